//! A replica merges the same delta twice while its disk is slow, and loses power.
//!
//! The second merge changes nothing, but the row it rests on is not yet synced: an acknowledgement must wait for it.

use starling::message::client::{Command, Response};

use super::stage::{Stage, quorum};
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "late_acknowledgement",
    story: "a replica with a slow disk gets a delta twice and loses power; then the coordinator loses its disk",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    // Only node 1 hears the coordinator; everything it hears comes twice.
    for node in 2..5 {
        stage.world.cut(0, node, Cut::Loses);
        stage.world.cut(1, node, Cut::Loses);
    }
    stage.world.network.options.duplicate_per_mille = 1000;
    stage.world.slow_disk(1, 100_000);
    let number = stage.ask(0, &key, Command::Increment { by: 5 }, quorum(2));
    stage.run_ms(500);
    let early = matches!(stage.world.answer(number), Some(Response::Written(_)));
    stage.world.crash(1, Damage::AllUnsynced);
    stage.world.crash(0, Damage::Wiped);
    stage.must(!early, || "the write was acknowledged although only one disk had it".into());
    stage
}
