//! A hot key is counted by five nodes for hundreds of leases: owners and, now and then, a fallback on its own.
//!
//! Every lease of every node, every start and every standing-in is an actor of its own. They must not add up: at every
//! time the row names no more of them than a few leases can bring forth, and at rest none.

use std::collections::BTreeSet;

use starling::message::client::{Command, Options};
use starling::storage::RowKey;

use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::checker::actors_bounded;
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rolling_actors",
    story: "five nodes count on one key for hundreds of leases: the row names few actors at every time, and none at rest",
    play,
};

/// The five nodes; one that has just started anew, and one that has stood in and forgotten the row.
const MINTERS: usize = 5 + 2;

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, short_leases);
    let key = stage.key_of(&[0, 1, 2]);
    let set = stage.accept_set(&key);
    let fallback = set.get(3).copied().unwrap_or_default();
    let mut most = 0;
    for round in 0..120_u32 {
        for node in 0..5 {
            stage.ask(node, &key, Command::Increment { by: 1 + i64::from(round) }, Options::default());
            stage.run_ms(400);
        }
        match round % 20 {
            7 => {
                stage.world.isolate(fallback, Cut::Loses);
                stage.run_ms(2_500);
                stage.add(fallback, &key, 1_000_000, 1);
                stage.world.heal_all();
            }
            13 => {
                let owner = set.get(round as usize / 20 % 3).copied().unwrap_or_default();
                stage.world.crash(owner, Damage::UnsyncedTail);
                stage.run_ms(1_000);
                stage.world.start(owner);
            }
            _ => {}
        }
        most = most.max(actors_bounded::most(&stage.world).map_or(0, |(_, names)| names));
    }
    let bound = actors_bounded::names_max(&stage.world.options.config, MINTERS);
    stage.must(most > 5, || format!("{most} actors at most: nothing has rolled over"));
    stage.must(most <= bound, || format!("the row named {most} actors at a time, at most {bound} can be unsettled"));
    let minted = stage.world.facts.mints.keys().filter(|(row, _)| *row == RowKey::main(&key)).map(|(_, dot)| dot.actor);
    let minted = minted.collect::<BTreeSet<_>>().len();
    stage.must(minted > 2 * bound, || format!("only {minted} actors have minted in all"));
    stage.note(format!("{minted} actors minted, {most} were named at a time, the bound is {bound}"));
    stage
}
