//! Every node is restarted, one after the other, by turns in good order and by a power cut, while a node joins and another
//! leaves: no phase is left before all have taken it up, what was proved before a restart still holds after it, and clients
//! hardly notice.

use starling::membership::{Change, Phase};

use super::crowd::Crowd;
use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rolling_restart",
    story: "every node is restarted in turn while one joins and one leaves, under load",
    play,
};

fn play(setting: Setting) -> Stage {
    let stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 32;
        options.spares = 1;
        // As much to be moved for this pace as takes longer than the restarts of several nodes.
        options.config.repair_rows_per_second = 20;
    });
    let mut crowd = Crowd::on(stage, 40);
    crowd.run_ms(4_000);
    let joiner = crowd.stage.world.options.member(5);
    crowd.change(2, vec![Change::Join(joiner), Change::Leave(WorldOptions::id(0))]);
    crowd.run_until("the joining node runs", |world| world.node(5).is_up());
    let restarted = (0..6).filter(|node| {
        let is_changing = !crowd.stage.world.ring().layout().phase.is_steady();
        match node % 2 {
            0 => crowd.stage.world.stop(*node),
            _ => crowd.stage.world.crash(*node, Damage::UnsyncedTail),
        }
        crowd.run_ms(1_000);
        crowd.stage.world.start(*node);
        crowd.run_ms(1_000);
        is_changing
    });
    let amid = restarted.count();
    crowd.stage.must(amid >= 3, || format!("only {amid} nodes were restarted while the members changed"));
    crowd.run_until_all_are(Phase::Steady);
    crowd.run_ms(4_000);
    crowd.go(8)
}
