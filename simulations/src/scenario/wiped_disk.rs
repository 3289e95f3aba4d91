//! An owner comes back with an empty disk under its old name.
//!
//! It must take over its data before it answers or counts (a newborn), and must not repeat the numbers of its past
//! (Riak 679).

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "wiped_disk",
    story: "an owner loses its disk, comes back empty under its name, takes over its data and counts on",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    for by in [1, 10, 100] {
        stage.add(0, &key, by, 3);
    }
    stage.world.crash(0, Damage::Wiped);
    stage.run_ms(100);
    stage.world.start(0);
    stage.wait_until("the wiped owner takes over its data", |world| {
        world.status(0).iter().all(|status| status.newborn_partitions == 0) && Stage::has_row(world, 0, &key)
    });
    let taken = Stage::count_on(&stage.world, 0, &key);
    stage.must(taken == 111, || format!("the owner took over a count of {taken}, 111 were acknowledged"));
    for by in [1_000, 10_000] {
        stage.add(0, &key, by, 2);
    }
    stage
}
