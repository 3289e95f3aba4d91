//! The cluster falls into two halves; both go on counting; after the heal every count is the sum of all.

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "split_and_heal",
    story: "two nodes and three nodes count apart, with all writes accepted, and agree after the heal",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let keys: Vec<_> = [[0, 1], [2, 3], [1, 4]].iter().map(|owners| stage.key_of(owners)).collect();
    for key in &keys {
        stage.add(0, key, 1, 2);
    }
    stage.world.split(&[vec![0, 1], vec![2, 3, 4]], Cut::Loses);
    stage.run_ms(2_500);
    for round in 0..10 {
        for node in 0..5 {
            for key in &keys {
                stage.add(node, key, 10_i64.pow(node as u32 + 1), if round % 2 == 0 { 1 } else { 2 });
            }
        }
    }
    stage
}
