//! A hot key is counted by five nodes for hundreds of leases: owners and, now and then, a fallback on its own.
//!
//! Every lease of every node, every start and every standing-in is an actor of its own. They must not add up: at every
//! time the row names no more of them than a few leases can bring forth, and at rest none.

use starling::message::client::{Command, Options};
use starling::storage::RowKey;

use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::world::World;
use crate::world::network::Cut;
use crate::world::node::Damage;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rolling_actors",
    story: "five nodes count on one key for hundreds of leases: the row names few actors at every time, and none at rest",
    play,
};

/// Names that a row may have while it is counted on: those of the leases that are not settled yet, by each of the five.
/// Settling lags behind by the bound on clocks, an interval or two, and as long as a node was away.
const ACTORS_MAX: usize = 100;

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
        most = most.max(actors(&stage.world, &key));
    }
    stage.must(most > 5, || format!("{most} actors at most: nothing has rolled over"));
    stage.must(most <= ACTORS_MAX, || {
        format!("the row named {most} actors at a time, at most {ACTORS_MAX} may be unsettled")
    });
    let minted = stage.world.facts.mints.keys().filter(|(row, _)| *row == RowKey::main(&key)).map(|(_, dot)| dot.actor);
    let minted = minted.collect::<std::collections::BTreeSet<_>>().len();
    stage.must(minted > 2 * ACTORS_MAX, || format!("only {minted} actors have minted in all"));
    stage
}

/// The most actors that any owner's row of a key names.
fn actors(world: &World, key: &starling::ids::Key) -> usize {
    let rows = world.stored_rows();
    let by_node = rows.get(&RowKey::main(key)).into_iter().flatten();
    let count = |stored: &starling::replica::StoredRow| {
        stored.row.actors().map(|(actor, _)| actor).collect::<std::collections::BTreeSet<_>>().len()
    };
    by_node.map(|(_, stored)| count(stored)).max().unwrap_or(0)
}
