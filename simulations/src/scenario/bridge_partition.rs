//! Two halves that do not reach each other, and one node between them that reaches both.
//!
//! Everybody sees three nodes, so every write finds its quorum. What one half writes reaches the other through the bridge, where
//! that is an owner, while the split lasts; the rest follows when it heals. Nobody changes its mind about who is there.

use std::time::Duration;

use super::flapping_link::sees;
use super::stage::{Stage, integer};
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "bridge_partition",
    story: "two halves see each other only through one node: writes go on everywhere, and travel over the bridge",
    play,
};

const BRIDGE: usize = 2;

/// Which half a node is in; the bridge is in both.
fn are_together(one: usize, other: usize) -> bool {
    one == BRIDGE || other == BRIDGE || (one < BRIDGE) == (other < BRIDGE)
}

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| options.config.exchange_interval = Duration::from_secs(5));
    // One owner in each half, and the bridge.
    let key = stage.key_of(&[0, BRIDGE, 4]);
    // The same where the bridge is no owner.
    let apart = stage.key_of(&[0, 1, 4]);
    let before = stage.world.facts.count("peer suspected");
    stage.world.split(&[vec![0, 1], vec![3, 4]], Cut::Loses);
    stage.wait_until("both halves notice", |world| sees(world, are_together));
    for _ in 0..20 {
        for node in 0..5 {
            stage.add(node, &key, 1, 2);
            stage.add(node, &apart, 1, 2);
        }
        stage.run_ms(500);
        let is_settled = sees(&stage.world, are_together);
        stage.must(is_settled, || "who reaches whom changed while the links did not".into());
    }
    let within = stage.world.options.config.exchange_interval * 3;
    stage.wait_long("what each half wrote is at the owner in the other one", within, |world| {
        [0, BRIDGE, 4].into_iter().all(|owner| Stage::count_on(world, owner, &key) == 100)
    });
    let lost = stage.world.facts.count("peer suspected") - before;
    stage.must(lost == 8, || format!("each of four nodes loses two, and no more; {lost} were lost"));
    stage.world.heal_all();
    stage.wait_until("the halves see each other", |world| sees(world, |_, _| true));
    stage.wait_long("all that was written is everywhere", within, |world| {
        [0, 1, 4].into_iter().all(|owner| Stage::count_on(world, owner, &apart) == 100)
    });
    for node in 0..5 {
        stage.must_show(node, &key, &integer(100), "when the split has healed");
        stage.must_show(node, &apart, &integer(100), "when the split has healed");
    }
    stage
}
