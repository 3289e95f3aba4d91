//! A fallback stands in, delivers, forgets the row, and stands in again.
//!
//! The second time it holds no row that remembers its events; the tenure of the partition does. Without it the second
//! hints repeat the numbers of the first, and the owners drop them.

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fallback_twice",
    story: "a fallback counts for absent owners, delivers and forgets, and counts for them again",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |_| {});
    let key = stage.key_of(&[0, 1, 2]);
    let set = stage.accept_set(&key);
    let (owners, fallbacks) = set.split_at(3);
    let fallback = fallbacks.first().copied().unwrap_or_default();
    let others: Vec<usize> = (0..stage.world.nodes().len()).filter(|node| *node != fallback).collect();
    for round in 0..3 {
        stage.world.split(&[vec![fallback], others.clone()], Cut::Loses);
        // Long enough to be suspected.
        stage.run_ms(2_500);
        for step in 1..=3 {
            stage.add(fallback, &key, step * 10_i64.pow(round), 1);
        }
        let held = Stage::has_row(&stage.world, fallback, &key);
        stage.must(held, || "the fallback should hold a hint".into());
        stage.world.heal_all();
        stage.wait_until("the hints are delivered and forgotten", |world| !Stage::has_row(world, fallback, &key));
        let expected: i128 = (0..=round).map(|past| 6 * 10_i128.pow(past)).sum();
        for owner in owners {
            let count = Stage::count_on(&stage.world, *owner, &key);
            let id = WorldOptions::id(*owner);
            stage.must(count == expected, || format!("{id} counts {count} after round {round}, not {expected}"));
        }
    }
    let dropped = stage.world.facts.count("hint dropped");
    stage.must(dropped >= 3, || format!("three hints should have been dropped, not {dropped}"));
    stage
}
