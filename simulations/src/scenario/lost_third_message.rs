//! The third owner never hears of a write, and the coordinator that knew it is gone.
//!
//! W was met by two, so nobody else owes the third anything. Only the exchange between owners can find out.

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lost_third_message",
    story: "the message to the third owner is lost, the coordinator dies, and the exchange of the others closes it",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    stage.world.cut(0, 2, Cut::Loses);
    stage.add(0, &key, 7, 2);
    stage.world.crash(0, Damage::AllUnsynced);
    let missed = !Stage::has_row(&stage.world, 2, &key);
    stage.must(missed, || "the third owner should have missed the write".into());
    stage.wait_until("the exchange brings the write to the third owner", |world| Stage::count_on(world, 2, &key) == 7);
    let still_down = !stage.world.node(0).is_up();
    stage.must(still_down, || "the coordinator should still be down".into());
    stage
}
