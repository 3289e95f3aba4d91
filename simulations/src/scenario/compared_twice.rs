//! Writes are always on their way to one of the owners, and nothing is ever lost.
//!
//! Whenever two owners compare their sums, these differ. Half a second later what was on its way has arrived: comparing
//! twice, they exchange nothing.

use std::time::Duration;

use starling::message::client::{Command, Options};

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "compared_twice",
    story: "a slow link keeps one owner a moment behind: what is only on its way is not exchanged",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let keys: Vec<_> = (0..600).map(|number| stage.another_key_of(&[0, 1, 2], number)).collect();
    stage.wait_until("every tree is whole", |world| {
        (0..world.nodes().len()).all(|node| world.status(node).iter().all(|status| status.trees_waiting == 0))
    });
    // Between the other owner and this one the link is quick: sums overtake what they speak of.
    stage.world.network.degrade(0, 2, 0, Duration::from_millis(150));
    let sum = |world: &World| -> (u64, u64) {
        let all: Vec<_> = (0..world.nodes().len()).flat_map(|node| world.status(node)).collect();
        (all.iter().map(|status| status.tree_walks).sum(), all.iter().map(|status| status.tree_differences).sum())
    };
    let (walks, differences) = sum(&stage.world);
    for key in &keys {
        stage.ask(0, key, Command::Increment { by: 1 }, Options::default());
        stage.run_ms(40);
    }
    stage.run_ms(2_000);
    let (walks_then, differences_then) = sum(&stage.world);
    stage.must(walks_then > walks + 64, || "owners should have compared meanwhile".into());
    stage.must(differences_then == differences, || {
        format!("{} ranges were exchanged although nothing was lost", differences_then - differences)
    });
    stage
}
