//! The actors of a key are bounded: once everything was quiet for longer than leases last, no row still counts by actors
//! that have expired, however many there were. They stand in one sum.
//!
//! What has a stamp or a dot keeps that of its last write: a register, a deadline, a flag or member that several nodes
//! raised at once, each sibling. Those are few, and time adds none. Only where leases are so short that a run can wait for
//! them.

use std::collections::BTreeSet;

use starling::limits;
use starling::message::client::Command;

use super::{Evidence, Violation};
use crate::swarm::rest;

/// Names that may stand in a row at rest, beside those of siblings.
const ACTORS_MAX: usize = 8;

/// Checks every row of every node.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    if evidence.world.history.rest_from.is_none() || !rest::remembers_for_short(&evidence.world.options.config) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (row, by_node) in &evidence.rows {
        let has_siblings =
            evidence.ops(&row.key()).any(|(_, op)| matches!(op.request.command, Command::PutSibling { .. }));
        let most = if has_siblings { ACTORS_MAX + limits::SIBLINGS_MAX } else { ACTORS_MAX };
        for (node, stored) in by_node {
            let actors: BTreeSet<_> = stored.row.actors().map(|(actor, _)| actor).collect();
            if actors.len() > most {
                let oldest = actors.first();
                let text = format!("{row} on {node} names {} actors at rest, the oldest {oldest:?}", actors.len());
                found.push(Violation { checker: "actors_bounded", text });
            }
        }
    }
    found.truncate(3);
    found
}
