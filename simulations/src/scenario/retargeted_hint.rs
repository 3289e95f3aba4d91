//! An owner leaves while a fallback still keeps a hint for it: what the hint holds must come to the owners of today, once.
//!
//! The fallback took increments when it could reach nobody. It hands them to the other owners, but the one that leaves has no
//! room just then, and is asked again much later. When that one is gone, nobody answers to its name any more: a hint that
//! still waits for it would wait for ever, and, given to somebody else as if it were new, would count twice (ScyllaDB 5833).

use std::time::Duration;

use starling::membership::{Change, Phase};
use starling::storage::Space;

use super::crowd::Crowd;
use super::stage::{Stage, integer, short_leases};
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "retargeted_hint",
    story: "an owner leaves while a hint for it waits at a fallback: the hint goes to the owners of today, once",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 16;
        options.spares = 1;
        options.config.delivery_backoff = Duration::from_secs(60);
    });
    let key = stage.key_of(&[0]);
    let set = stage.accept_set(&key);
    let (leaver, fallback) = (0, set.get(3).copied().unwrap_or_default());
    stage.run_ms(2_000);
    stage.add(leaver, &key, 100, 3);
    stage.world.isolate(fallback, Cut::Loses);
    stage.run_ms(2_500);
    stage.add(fallback, &key, 1, 1);
    stage.add(fallback, &key, 10, 1);
    // It refuses what is delivered, and will not be asked again for long.
    stage.world.disk_reserve(leaver, true);
    stage.world.heal_all();
    let debts = |world: &crate::world::World| world.entries_of(WorldOptions::id(fallback), Space::Debts).len();
    stage.run_ms(4_000);
    let left = debts(&stage.world);
    stage.must(left == 1, || format!("one hint must wait for the owner that had no room, not {left}"));
    stage.world.disk_reserve(leaver, false);
    let mut crowd = Crowd::on(stage, 20);
    let join = Change::Join(crowd.stage.world.options.member(5));
    crowd.change(3, vec![join, Change::Leave(WorldOptions::id(leaver))]);
    crowd.run_until_all_are(Phase::Steady);
    let left = debts(&crowd.stage.world);
    crowd.stage.must(left == 0, || format!("the owner has left, and {left} hints for it still wait"));
    let mut stage = crowd.go(11);
    let owners = stage.accept_set(&key);
    for node in owners.iter().take(3) {
        stage.must_show(*node, &key, &integer(111), "the leaver is gone");
    }
    stage
}
