//! A coordinator dies between the mint of a session's increment and its answer; the client sends it again elsewhere.
//!
//! At every point of the step at which a node can die, and however often the increment is repeated, before and after the
//! node is back: it counts once.

use starling::message::client::Options;

use super::stage::{Stage, integer, step};
use super::{Scenario, Setting};
use crate::world::node::{CrashPoint, Damage};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "session_failover",
    story: "a coordinator dies between the mint of a session's increment and its answer; sent again elsewhere, it counts once",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    let set = stage.accept_set(&key);
    let (Some(first), Some(second), Some(outsider)) = (set.first().copied(), set.get(1).copied(), set.get(4).copied())
    else {
        panic!("three owners and two fallbacks are needed");
    };
    let points = [CrashPoint::BeforeWrite, CrashPoint::AfterWrite, CrashPoint::AmidEffects, CrashPoint::AfterSync];
    let damages = [Damage::None, Damage::AllUnsynced];
    let mut total = 0;
    let actor = stage.session(77, 5);
    let cases = points.iter().flat_map(|point| damages.iter().map(move |damage| (*point, *damage)));
    for (place, (point, damage)) in cases.enumerate() {
        let event = place as u64 + 1;
        total += 10_i64.pow(place as u32);
        let write = step(actor, event, total);
        stage.world.arm(first, point, damage);
        let lost = stage.ask(first, &key, write.clone(), Options::default());
        stage.run_ms(300);
        let died = !stage.world.node(first).is_up();
        stage.must(died, || format!("the coordinator should have died at {point:?}: {:?}", lost));
        // Through another owner, through a node that is none, and once more when the first is back.
        stage.write(second, &key, write.clone());
        stage.write(outsider, &key, write.clone());
        stage.world.start(first);
        stage.run_ms(1_500);
        stage.write(first, &key, write);
        stage.must_show(second, &key, &integer(total), &format!("after {point:?} with {damage:?}"));
    }
    stage
}
