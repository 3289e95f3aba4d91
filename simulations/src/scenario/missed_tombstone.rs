//! An owner never hears of a key that was written and deleted, and the coordinator that knew it is gone.
//!
//! The other owner has nothing to show but that something was removed. If that did not count when owners compare their sums,
//! whoever still holds the write for the third owner would bring back what was deleted.

use starling::message::client::Command;

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "missed_tombstone",
    story: "an owner hears neither of a write nor of its deletion: comparing sums brings it what only remembers both",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    stage.wait_until("every tree is whole", |world| {
        (0..world.nodes().len()).all(|node| world.status(node).iter().all(|status| status.trees_waiting == 0))
    });
    // And has been compared: the next time is an interval later.
    stage.run_ms(2_000);
    stage.world.cut(0, 2, Cut::Loses);
    stage.add(0, &key, 7, 2);
    stage.write(0, &key, Command::Delete);
    stage.world.crash(0, Damage::AllUnsynced);
    let missed = !Stage::has_row(&stage.world, 2, &key);
    stage.must(missed, || "the third owner should have heard of nothing".into());
    stage.wait_until("the third owner learns of the deletion", |world| Stage::has_row(world, 2, &key));
    let still_down = !stage.world.node(0).is_up();
    stage.must(still_down, || "the coordinator should still be down".into());
    stage
}
