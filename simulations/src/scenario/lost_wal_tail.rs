//! A coordinator loses the unsynced tail of its log after others had acknowledged what it minted.
//!
//! Fresh deltas run ahead of the coordinator's own sync. After the power cut it knows nothing of its last events, while
//! its peers do: it must never give their numbers to other writes (ScyllaDB 2169).

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lost_wal_tail",
    story: "a coordinator forgets unsynced events that its peers have acknowledged, and goes on counting",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    stage.add(0, &key, 1, 3);
    stage.world.slow_disk(0, 10_000);
    for by in [10, 100, 1_000] {
        stage.add(0, &key, by, 2);
    }
    stage.world.crash(0, Damage::AllUnsynced);
    let left = Stage::count_on(&stage.world, 0, &key);
    stage.must(left < 1_111, || format!("the tail should be lost, but the coordinator still counts {left}"));
    stage.world.slow_disk(0, 1);
    stage.world.start(0);
    stage.run_ms(3_000);
    for by in [10_000, 100_000] {
        stage.add(0, &key, by, 2);
    }
    stage
}
