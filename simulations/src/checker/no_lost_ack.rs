//! Puts and deletes are not lost: what a register shows at the end was written, and not before a write that was
//! acknowledged.
//!
//! The last writer wins by stamp, and stamps follow clocks that are off by at most a known bound. So a write that
//! ended before another one was invoked, by more than twice that bound, can never win over it.

use starling::ids::Key;
use starling::message::client::{Command, ReplicaView};

use super::cell::{self, What};
use super::{Evidence, Violation, shown};

/// Checks every key that was put and never incremented.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for key in evidence.by_key.keys() {
        let is_register = evidence.ops(key).all(|(_, op)| {
            matches!(op.request.command, Command::Put { .. } | Command::Delete) || !op.request.command.is_write()
        });
        let views = evidence.finals.get(key).map(|finals| finals.views.as_slice()).unwrap_or_default();
        if is_register {
            found.extend(views.iter().find_map(|view| check_owner(evidence, key, view)));
        }
    }
    found
}

fn check_owner(evidence: &Evidence<'_>, key: &Key, view: &ReplicaView) -> Option<Violation> {
    let events = cell::events(evidence, key, |op| match &op.request.command {
        Command::Put { value } => Some(What::Write(value.clone())),
        Command::Delete => Some(What::Cover),
        _ => None,
    });
    if !events.is_empty() {
        evidence.judges("no_lost_ack");
    }
    let wrong = cell::wrong_last(evidence, &events, shown::text(&view.value).as_ref())?;
    Some(Violation { checker: "no_lost_ack", text: format!("{key} on {} {wrong}", view.node) })
}
