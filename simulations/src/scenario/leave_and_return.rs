//! A node leaves for long and returns with its old directory, while everything that it held has moved on elsewhere.
//!
//! It was an owner, and a fallback with hints. While it was away its co-owners counted, deleted and counted anew, its
//! hints became old news, and its actors expired. What it brings back must neither be lost nor be taken for new, nor may
//! it go on minting where it left off (ScyllaDB 27306). Three times: the second time everything that it did before may
//! have been compacted, the third time it returns with less than it left with.

use std::time::Duration;

use starling::ids::Key;
use starling::message::client::{Command, Options, Response};

use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "leave_and_return",
    story: "a node with rows and hints leaves for many leases and returns with its old directory, three times",
    play,
};

/// Many leases.
const AWAY: Duration = Duration::from_secs(60);

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, short_leases);
    // Those that may stand in have learned what is sealed.
    stage.run_ms(3_000);
    let own = stage.key_of(&[0, 1, 2]);
    let set = stage.accept_set(&own);
    let (leaver, stays) = match set.as_slice() {
        [leaver, stays, ..] => (*leaver, *stays),
        short => panic!("owners are needed, not {short:?}"),
    };
    let held = key_with_fallback(&stage, leaver);
    let reborn = stage.key_of(&[leaver, stays]);
    for round in 0..3_u32 {
        let unit = 1_000_i64.pow(round);
        stage.add(leaver, &own, unit, 3);
        stage.add(leaver, &reborn, unit, 2);

        // It takes a hint and an increment that nobody else hears of, and leaves.
        stage.world.isolate(leaver, Cut::Loses);
        stage.run_ms(2_500);
        stage.add(leaver, &own, 10 * unit, 1);
        stage.add(leaver, &held, unit, 1);
        stage.world.copy_directory(leaver);
        if round == 2 {
            // It returns with the copy, so this is lost: nobody else has heard of it.
            stage.add(leaver, &own, 5 * unit, 1);
        }
        stage.world.crash(leaver, Damage::None);
        stage.world.heal_all();

        // Its rows move on: the others count, and one key is deleted and made anew.
        stage.run_ms(2_500);
        stage.add(stays, &own, 100 * unit, 2);
        let answer = stage.ask_and_wait(stays, &reborn, Command::Delete, Options::default());
        stage
            .must(matches!(answer, Some(Response::Written(_))), || format!("the delete must succeed, but: {answer:?}"));
        let by_others = stage.accept_set(&held).into_iter().find(|node| *node != leaver).unwrap_or_default();
        stage.add(by_others, &held, 10 * unit, 2);
        stage.world.run_for(AWAY);
        stage.add(stays, &reborn, 7 * unit, 2);

        // It returns.
        if round == 2 {
            stage.world.crash(leaver, Damage::Restored);
        }
        stage.world.start(leaver);
        stage.run_ms(50);
        stage.add(leaver, &own, 200 * unit, 1);
        let expected = sum(311, round);
        come_to(&mut stage, &own, expected);
        come_to(&mut stage, &held, sum(11, round));
        // What it brought back of the deleted key stays deleted; what came after is there.
        come_to(&mut stage, &reborn, 7 * 1_000_i128.pow(round));
        let is_gone = stage.world.facts.count("hint dropped") > u64::from(round);
        stage.must(is_gone, || "what it held for others should be delivered and forgotten".into());
        // Quiet, so that all of this may be compacted before the next time.
        stage.world.run_for(AWAY);
    }
    stage
}

/// What so many units a round come to.
fn sum(units: i128, round: u32) -> i128 {
    (0..=round).map(|past| units * 1_000_i128.pow(past)).sum()
}

/// All owners of a key must come to count this.
fn come_to(stage: &mut Stage, key: &Key, expected: i128) {
    let owners: Vec<usize> = stage.accept_set(key).into_iter().take(3).collect();
    stage.wait_until(&format!("all owners of {key} count {expected}"), move |world| {
        owners.iter().all(|owner| Stage::count_on(world, *owner, key) == expected)
    });
}

/// A key for which a node may stand in.
fn key_with_fallback(stage: &Stage, node: usize) -> Key {
    (0..10_000)
        .map(|number| crate::workload::key(&format!("held/{number}")))
        .find(|key| stage.accept_set(key).iter().skip(3).any(|fallback| *fallback == node))
        .expect("every node is a fallback of some partition")
}
