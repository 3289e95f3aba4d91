//! Puts and deletes are not lost: what a register shows at the end was written, and not before a write that was
//! acknowledged.
//!
//! The last writer wins by stamp, and stamps follow clocks that are off by at most a known bound. So a write that
//! ended before another one was invoked, by more than twice that bound, can never win over it.

use std::time::Duration;

use bytes::Bytes;
use starling::ids::{Key, NodeId};
use starling::message::client::{Command, Visible};
use starling::time::WallTime;
use starling::value::Beside;

use super::{Certainty, Evidence, Violation};
use crate::world::history::{Op, OpNumber};

/// Checks every key that was put and never incremented.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for key in evidence.by_key.keys() {
        let is_register = evidence.ops(key).all(|(_, op)| !matches!(op.request.command, Command::Increment { .. }));
        if is_register {
            found.extend(check_key(evidence, key));
        }
    }
    found
}

fn check_key(evidence: &Evidence<'_>, key: &Key) -> Option<Violation> {
    let ring = evidence.world.ring();
    let by_node = evidence.rows.get(&evidence.row(key));
    ring.owners(ring.partition_of(key)).iter().find_map(|owner| {
        let stored = by_node.and_then(|by_node| by_node.get(owner));
        let visible = stored.map_or(Visible::Nothing, |stored| stored.row.visible(&Beside::NONE, WallTime(0)));
        check_owner(evidence, key, *owner, &visible)
    })
}

fn check_owner(evidence: &Evidence<'_>, key: &Key, owner: NodeId, visible: &Visible) -> Option<Violation> {
    let violation = |text: String| Some(Violation { checker: "no_lost_ack", text });
    let shown = match visible {
        Visible::Nothing => None,
        Visible::Text(text) => Some(text.clone()),
        Visible::Integer { value, .. } => Some(Bytes::from(value.to_string())),
    };
    let writes: Vec<(OpNumber, &Op)> = evidence.ops(key).filter(|(_, op)| op.request.command.is_write()).collect();
    let winners: Vec<&(OpNumber, &Op)> = writes
        .iter()
        .filter(|(_, op)| evidence.certainty(op) != Certainty::MustNot)
        .filter(|(_, op)| match (&op.request.command, &shown) {
            (Command::Put { value }, Some(shown)) => value == shown,
            (Command::Delete, None) => true,
            _ => false,
        })
        .collect();
    let was_ever_applied = writes.iter().any(|(_, op)| evidence.certainty(op) == Certainty::Must);
    if winners.is_empty() {
        if shown.is_none() && !was_ever_applied {
            return None;
        }
        return violation(format!(
            "{key} on {owner} shows {visible:?}, which no write that may be applied has written"
        ));
    }
    let margin = evidence.world.skew_bound() * 2 + Duration::from_secs(1);
    for (number, op) in writes.iter().filter(|(_, op)| evidence.certainty(op) == Certainty::Must) {
        let can_win = |(_, winner): &&(OpNumber, &Op)| evidence.minted_by(winner).after(margin) >= op.invoked_at;
        if !winners.iter().any(can_win) {
            return violation(format!(
                "{key} on {owner} shows {visible:?} of {:?}, but the acknowledged {number:?} ({:?}) came later",
                winners.iter().map(|(number, _)| number).collect::<Vec<_>>(),
                op.request.command,
            ));
        }
    }
    None
}
