//! A coordinator that reaches nobody loses its disk.
//!
//! Its peers never heard of the writes, so it must not have called them acknowledged by two.

use starling::message::client::{Command, Response};

use super::stage::{Stage, quorum};
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "acknowledged_then_lost",
    story: "a coordinator whose messages are lost is asked for two acknowledgements, and then loses its disk",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    for node in 1..5 {
        stage.world.cut(0, node, Cut::Loses);
    }
    // Not yet suspected: the coordinator mints, and waits.
    let answer = stage.ask_and_wait(0, &key, Command::Increment { by: 5 }, quorum(2));
    let is_honest = matches!(answer, Some(Response::Failed(_)));
    stage.must(is_honest, || format!("one node alone cannot be two, but: {answer:?}"));
    stage.world.crash(0, Damage::Wiped);
    stage
}
