//! Scenarios: short stories in a world, each about one way to lose data that a rule of the core forbids.
//!
//! Deterministic and quick. A scenario plays its story on a [`Stage`], says what must hold on the way, and at the end
//! everything is made well, the cluster must come to rest, and every checker is asked. The mutation tests switch the
//! rule off and expect the scenario to fail.

mod acknowledged_then_lost;
mod big_set;
mod bit_rot;
mod bridge_partition;
mod changing_signs;
mod cloned_directory;
mod compared_twice;
mod crowd;
mod doomstone;
mod down_node_growth;
mod expire_during_split;
mod fallback_twice;
mod flapping_link;
mod growing_debt;
mod hint_overflow;
mod hot_key_sessions;
mod join_leave_under_load;
mod late_acknowledgement;
mod leave_and_return;
mod long_absence;
mod lost_majority;
mod lost_third_message;
mod lost_wal_tail;
mod lost_while_moving;
mod missed_tombstone;
mod old_delete_returns;
mod owners_away;
mod quiet_day;
mod replace_dead_node;
mod reset_retried;
mod restored_backup;
mod restored_elsewhere;
mod retargeted_hint;
mod rolling_actors;
mod rolling_restart;
mod session_failover;
mod slow_reads;
mod split_and_heal;
mod split_during_join;
mod stage;
mod stale_session;
mod steady_load;
mod two_admins;
mod two_live_claimants;
mod type_conflict;
mod wiped_disk;
mod zombie_node;
mod zone_lost;

pub use stage::Stage;

use crate::checker::Violation;
use crate::panics;

/// One story.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What `starling-sim run` takes.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub story: &'static str,
    /// Plays it.
    play: fn(Setting) -> Stage,
}

/// How a scenario is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Print every event.
    pub prints: bool,
}

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// What the story shows besides.
    pub notes: Vec<String>,
    /// Hash of the trace.
    pub hash: u64,
}

/// All scenarios, in the order of their names.
pub const ALL: &[Scenario] = &[
    acknowledged_then_lost::SCENARIO,
    big_set::SCENARIO,
    bridge_partition::SCENARIO,
    changing_signs::SCENARIO,
    cloned_directory::SCENARIO,
    compared_twice::SCENARIO,
    doomstone::SCENARIO,
    down_node_growth::SCENARIO,
    down_node_growth::WIDE,
    expire_during_split::SCENARIO,
    fallback_twice::SCENARIO,
    flapping_link::SCENARIO,
    growing_debt::SCENARIO,
    hint_overflow::SCENARIO,
    hot_key_sessions::SCENARIO,
    join_leave_under_load::SCENARIO,
    late_acknowledgement::SCENARIO,
    leave_and_return::SCENARIO,
    long_absence::SCENARIO,
    lost_majority::SCENARIO,
    lost_third_message::SCENARIO,
    lost_wal_tail::SCENARIO,
    lost_while_moving::SCENARIO,
    missed_tombstone::SCENARIO,
    old_delete_returns::SCENARIO,
    owners_away::SCENARIO,
    quiet_day::SCENARIO,
    replace_dead_node::SCENARIO,
    restored_backup::SCENARIO,
    restored_elsewhere::SCENARIO,
    reset_retried::SCENARIO,
    retargeted_hint::SCENARIO,
    rolling_actors::SCENARIO,
    rolling_restart::SCENARIO,
    session_failover::SCENARIO,
    slow_reads::SCENARIO,
    split_and_heal::SCENARIO,
    split_during_join::SCENARIO,
    stale_session::SCENARIO,
    steady_load::CALM,
    steady_load::LOSSY,
    steady_load::RESETS,
    two_admins::SCENARIO,
    two_live_claimants::SCENARIO,
    type_conflict::SCENARIO,
    wiped_disk::SCENARIO,
    bit_rot::SCENARIO,
    zone_lost::SCENARIO,
    zombie_node::SCENARIO,
];

/// The scenario with a name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Plays the story to its end and asks every checker. A panic of the core is a violation too.
    pub fn run(&self, setting: Setting) -> Outcome {
        match panics::catch(|| (self.play)(setting).finish()) {
            Ok(outcome) => outcome,
            Err(panic) => {
                Outcome { violations: vec![Violation { checker: "panic", text: panic }], notes: Vec::new(), hash: 0 }
            }
        }
    }
}
