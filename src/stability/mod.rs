//! Stability: what may be forgotten, by proof and never by a timer.
//!
//! Actors expire; once all that they did up to a tick is known to be the same on every owner, it is replaced by its sum,
//! and deletions that everybody knows are forgotten. Per partition, and per tick:
//!
//! ```text
//!          R6 all seal            R7 all have sealed          R9 all owners' reports equal       R10 the same, baselines
//! events ──────────────→ sealed ─────────────────────→ frozen ───────────────────────────→ compacted ─────────────→ folded
//! accepted          clients refused           changed by exchange only      │ R8 survey,        │ ignored         │ tombstones
//!                   (a fallback has            between known directories     │ report of what   ↓                 ↓ forgotten
//!                    none left)                                              │ is durable       sweep: rows rewritten, deleted
//! ```
//!
//! Every owner with something to settle asks the accept set once per `stability_interval` and acts on the answers to its
//! present round alone (`decide`): no vote, no leader. Answers count only under the layout that the asker acts by; a partition
//! whose owners change does not settle while writes are counted in both placements, nor, after that, before the owners of before
//! have handed over everything. A node that is down stops this for the partitions whose accept set
//! it is in, and no write. What must survive a crash stands in `PartitionMemory`; the rest is asked and surveyed again.
//!
//! ```text
//! rounds.rs   who is asked when, and what is answered               scan.rs      surveys and sweeps, page by page
//! decide.rs   the rules, as a pure function of the answers          findings.rs  what becomes of them
//! steps.rs    what is done
//! seal.rs     when a tick may be sealed                             takeover.rs  learning how far others have settled
//! footing.rs  what turns must know while they change rows           part.rs      what is known of one partition
//! loss.rs     the proof that the own directory has lost its memory
//! ```
//!
//! Called by the shard. Costs one look through each owned partition per start, and then nothing for one in which nothing
//! can be settled; else one message per node of the accept set and interval, one survey and one sweep of the partition per
//! step. Bounded: partitions per round, scans at once, pages. Source: the rules, and the searches that they stood, are in
//! `simulations/src/model/README.md`.

pub mod decide;
mod findings;
mod footing;
mod loss;
mod part;
mod rounds;
mod scan;
mod seal;
mod status;
mod steps;
mod takeover;

use std::collections::{BTreeMap, BTreeSet};

pub use decide::{Step, View};
pub use footing::{Footing, Held, Watch};
pub use scan::{Found, Purpose};

use crate::causality::{Epoch, Tick};
use crate::ids::{NodeId, OpId, PartitionId};
use crate::message::client::Need;
use crate::message::peer::{
    Lifetimes, Marks, PeerMessage, Report, StabilityAnswer, StabilityQuery, StabilityStanding, StabilityState,
};
use crate::mutation::{self, Mutation};
use crate::replica::{PartitionMemory, Standing, marks};
use crate::shard::{Env, Local, Observation, TimerKey, Turn};
use crate::storage::{Page, StoreError};
use crate::time::{Timestamp, WallTime, micros};
use part::Part;
use scan::Scans;

/// Partitions asked about at one firing of the timer; the others follow at the next ones.
const PARTITIONS_PER_ROUND_MAX: usize = 256;

/// Who was asked by another node stays awake for so many intervals.
const AWAKE_INTERVALS: u32 = 3;

/// A partition that waits is measured once in so many intervals.
const MEASURE_INTERVALS: u32 = 12;

/// After a survey a partition rests so many times as long as it took.
const SCAN_PAUSES: u32 = 8;

/// Largest number by which the pause between two comparisons of unequal owners is doubled.
const COMPARE_DOUBLINGS_MAX: u32 = 4;

/// An exchange that is needed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hurry {
    /// Of which partition.
    pub partition: PartitionId,
    /// With whom.
    pub node: NodeId,
}

/// A survey whose rows are durable now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The dialogue.
    pub op: OpId,
    /// Where.
    pub partition: PartitionId,
    /// Of entries.
    pub entries: Report,
    /// Of baselines.
    pub baselines: Report,
}

/// What a question is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// That this tick be sealed.
    Seal(Tick),
    /// That a step which is under way go on.
    Help,
    /// Only the answer.
    Answer,
}

/// The settling of one shard's partitions.
#[derive(Debug, Default)]
pub struct Stability {
    round: u64,
    rounds_at: Timestamp,
    /// Every own partition was looked through once, or is in the queue.
    has_looked: bool,
    /// The partition after which the next round begins.
    cursor: Option<PartitionId>,
    parts: BTreeMap<PartitionId, Part>,
    scans: Scans,
    /// Owners that are ahead, and from whom this node must take over what they have settled.
    catching_up: BTreeSet<(PartitionId, NodeId)>,
    /// Partitions of which this fallback had sealed ticks up to these, in a memory that it has lost.
    behind: BTreeMap<PartitionId, Tick>,
    /// Partitions that were found to have lost their memory, since the start.
    losses: u64,
}

impl Stability {
    /// The node holds nothing of a partition any more.
    pub fn forget(&mut self, turn: &mut Turn, partition: PartitionId) {
        self.parts.remove(&partition);
        self.behind.remove(&partition);
        turn.footing_mut().forget(partition);
    }

    /// What a node has said of itself in the present round.
    pub fn marks_of(&self, partition: PartitionId, node: NodeId) -> Option<Marks> {
        self.parts.get(&partition)?.said.get(&node).map(|state| state.marks)
    }

    /// Another layout is taken up: answers to rounds of before count no longer, and what reports rest on may be another set of
    /// owners. Everything is asked and surveyed again.
    pub fn on_layout(&mut self, env: &Env<'_>, turn: &mut Turn) {
        for (partition, part) in &mut self.parts {
            part.end_round();
            part.void();
            turn.footing_mut().unwatch(*partition);
            part.waiting.clear();
            if !may_settle(env, *partition) {
                part.waiting.push(Need::Move.of()(env.me));
            }
        }
        self.scans.on_layout(|partition| env.ring.is_owner(partition, env.me));
        self.catching_up.clear();
        self.has_looked = false;
        self.rounds_at = env.now.mono;
    }
}

impl Part {
    fn is_awake(&self, env: &Env<'_>) -> bool {
        self.asked_at.is_some_and(|at| env.now.mono.since(at) < env.config.stability_interval * AWAKE_INTERVALS)
    }
}

/// R11.
fn may_act(memory: &PartitionMemory) -> bool {
    memory.is_established || mutation::is_off(Mutation::NewbornReports)
}

fn is_fallback(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.accepts(partition, env.me) && !env.ring.is_owner(partition, env.me) && !is_leaver(env, partition)
}

/// It was an owner before, and hands over what it has.
fn is_leaver(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.leavers(partition).contains(&env.me)
}

/// Nothing settles while writes are counted in two placements: what one of the sets has agreed on, the other may not know.
fn may_settle(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.may_settle(partition) || mutation::is_off(Mutation::SettleWhileMoving)
}

/// An owner of before that has handed over everything: it takes nothing, and holds nothing that could still come.
fn has_cleared(memory: &PartitionMemory) -> bool {
    memory.is_cleared || mutation::is_off(Mutation::LeaverSealsAsOwner)
}

fn ask(env: &Env<'_>, turn: &mut Turn, partition: PartitionId, node: NodeId, round: u64, want: Want) {
    let wanted = if let Want::Seal(tick) = want { tick } else { Tick(0) };
    let marks = marks::marks(env, turn, partition);
    let query = StabilityQuery { round, marks, wanted, is_needed: want != Want::Answer };
    turn.out.send(node, partition, PeerMessage::StabilityQuery(query));
}
