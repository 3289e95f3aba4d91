//! A fallback meets its own old entry in a delta that was on its way for a long time.
//!
//! It had counted, delivered everything and forgotten the row; a delete from the time between comes back with an early
//! entry of its own. It must count on under a new name, and not continue what it only learned.

use starling::message::client::Command;

use super::stage::{Stage, quorum};
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "old_delete_returns",
    story: "a fallback that delivered and forgot meets an early entry of its own in a delayed delete, and counts on",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| options.config.exchange = false);
    let key = stage.key_of(&[0, 1, 2]);
    let set = stage.accept_set(&key);
    let (Some(first), Some(third), Some(fallback)) = (set.first().copied(), set.get(2).copied(), set.get(3).copied())
    else {
        panic!("three owners and a fallback are needed");
    };
    let everyone: Vec<usize> = (0..stage.world.nodes().len()).collect();
    let rest: Vec<usize> = everyone.iter().copied().filter(|node| *node != fallback).collect();

    // The fallback is alone and counts; then it reaches the first owner only, which learns of the first event.
    stage.world.split(&[vec![fallback], rest.clone()], Cut::Loses);
    stage.run_ms(2_500);
    stage.add(fallback, &key, 1, 1);
    stage.world.heal(fallback, first);
    stage.world.heal(first, fallback);
    stage.wait_until("the first owner learns of the first event", |world| Stage::count_on(world, first, &key) == 1);

    // The first owner deletes while the third is away: the fallback is to hold the delete, but it stays on its way.
    stage.world.isolate(third, Cut::Loses);
    stage.run_ms(2_500);
    stage.world.cut(first, fallback, Cut::Jams);
    stage.ask(first, &key, Command::Delete, quorum(1));
    stage.run_ms(400);
    stage.world.set_jammed_aside(first, fallback);

    // The fallback, alone again, counts on, then delivers everything to everybody and forgets.
    stage.world.split(&[vec![fallback], rest.clone()], Cut::Loses);
    stage.run_ms(2_500);
    stage.add(fallback, &key, 10, 1);
    stage.add(fallback, &key, 100, 1);
    stage.world.heal_all();
    stage.wait_until("the fallback delivers and forgets", |world| !Stage::has_row(world, fallback, &key));

    // Alone for a third time, it gets the old delete, and counts on.
    stage.world.split(&[vec![fallback], rest], Cut::Loses);
    stage.run_ms(2_500);
    stage.world.release_set_aside(first, fallback);
    stage.wait_until("the old delete arrives", |world| Stage::has_row(world, fallback, &key));
    stage.add(fallback, &key, 1_000, 1);
    stage
}
