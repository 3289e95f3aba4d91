//! The actors of a key are bounded: however long it is counted on, a row names those of the leases that are not settled yet,
//! and once everything was quiet for longer than leases last, none that only counted. They stand in one sum.
//!
//! ```text
//! at every time   nodes of the accept set, and their further starts and standings-in
//!                 × (3 + (tick + bound on clocks + 12 intervals of settling) / lease)
//! at rest         what has a stamp or a dot keeps that of its last write: a register, a deadline, a flag or member that
//!                 several nodes raised at once, each sibling
//! ```
//!
//! Two of the three leases are those under which nodes count now, the third has ended just now; those that ended before
//! wait until clocks allow to seal them and a step or two is done. A node that is away makes that time longer, and so the
//! first bound is for whoever knows that all are there.

use std::collections::BTreeSet;
use std::time::Duration;

use starling::config::ShardConfig;
use starling::limits;
use starling::message::client::Command;
use starling::replica::StoredRow;
use starling::storage::{RowKey, RowKind};

use super::{Evidence, Violation};
use crate::swarm::rest;
use crate::world::World;

/// Names that may stand in a row at rest, beside those of siblings.
const AT_REST_MAX: usize = 8;

/// Two steps of settling, the second of which takes the tick in. Unit: intervals of settling.
const STEPS: u32 = 12;

/// Checks every row of every node at rest, where leases are so short that a run can wait for them.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    if evidence.world.history.rest_from.is_none() || !rest::remembers_for_short(&evidence.world.options.config) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (row, by_node) in &evidence.rows {
        let has_siblings =
            evidence.ops(&row.key()).any(|(_, op)| matches!(op.request.command, Command::PutSibling { .. }));
        let most = if has_siblings { AT_REST_MAX + limits::SIBLINGS_MAX } else { AT_REST_MAX };
        evidence.judges_many("actors_bounded", by_node.len());
        for (node, stored) in by_node {
            let names = names(stored);
            if names > most {
                let text = format!("{row} on {node} names {names} actors at rest, at most {most} may stay");
                found.push(Violation { checker: "actors_bounded", text });
            }
        }
    }
    found.truncate(3);
    found
}

/// Actors that a row names.
fn names(stored: &StoredRow) -> usize {
    stored.row.actors().map(|(actor, _)| actor).filter(|actor| !actor.is_session()).collect::<BTreeSet<_>>().len()
}

/// The largest number of actors that a row may name while all nodes are there. `minters`: nodes of the accept set, their
/// further starts, and their standings-in after which they forgot the row.
pub fn names_max(config: &ShardConfig, minters: usize) -> usize {
    let waits = config.tick + config.clock_ahead_max + settles_within(config);
    let lease = config.tick * config.actor_lease_ticks;
    minters * (3 + usize::try_from(waits.as_micros() / lease.as_micros().max(1)).unwrap_or(usize::MAX))
}

/// The row that names the most actors now, and how many; of main rows and elements.
pub fn most(world: &World) -> Option<(RowKey, usize)> {
    let rows = world.stored_rows().into_iter().filter(|(row, _)| row.kind() != RowKind::Session);
    rows.map(|(row, by_node)| (row, by_node.values().map(names).max().unwrap_or(0))).max_by_key(|(_, names)| *names)
}

/// Longest time that the bound grants to two steps of settling.
pub fn settles_within(config: &ShardConfig) -> Duration {
    config.stability_interval * STEPS
}

/// A row that names too many actors for a world in which all nodes are there, and are quiet or have been for a while.
pub fn check_now(world: &World) -> Option<Violation> {
    let ring = world.ring();
    let nodes = ring.partitions().map(|partition| ring.accept_set(partition).len()).max().unwrap_or(0);
    let further_starts: usize = world.nodes().iter().map(|node| node.life.saturating_sub(1) as usize).sum();
    let standings_in = world.facts.count("hint dropped") as usize;
    let bound = names_max(&world.options.config, nodes + further_starts + standings_in);
    let (row, names) = most(world)?;
    (names > bound).then(|| Violation {
        checker: "actors_bounded",
        text: format!("{row} names {names} actors while all nodes are there, at most {bound} can be unsettled"),
    })
}
