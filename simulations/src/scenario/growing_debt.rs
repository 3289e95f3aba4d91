//! A row grows while an older version of it is being delivered.
//!
//! The acknowledgement of the older version must not strike the debt of the newer one. The exchange is off here: only
//! the debt remembers.

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "growing_debt",
    story: "a row grows while its older version is delivered; the late acknowledgement must not pay for the growth",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        options.config.exchange = false;
        options.config.request_deadline = std::time::Duration::from_millis(300);
    });
    let key = stage.key_of(&[0, 1, 2]);
    // Node 1 never learns of anything from node 0's side but by node 0; node 2 is away.
    stage.world.isolate(2, Cut::Loses);
    stage.run_ms(2_500);
    stage.add(0, &key, 1, 2);
    stage
        .wait_until("the coordinator owes the row to the absent owner", |world| world.facts.count("debt recorded") > 0);
    stage.world.slow_disk(2, 10_000);
    stage.world.heal(0, 2);
    stage.world.heal(2, 0);
    stage.wait_until("the older version arrives, not yet synced", |world| Stage::count_on(world, 2, &key) == 1);
    // What comes now is lost on its way to node 2; its acknowledgements still come back.
    stage.world.cut(0, 2, Cut::Loses);
    stage.add(0, &key, 10, 2);
    stage.run_ms(10_000);
    stage.world.slow_disk(2, 1);
    stage
}
