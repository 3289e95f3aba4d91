//! Expiry: what has expired stays hidden until somebody writes; what was written after every deadline is there; the
//! deadline that was written last is the one that holds.
//!
//! Each of these keys has one client, which asks one thing at a time, and asks the next when it has waited long enough: an
//! answer to what it gave up may come late, and tells of the moment at which it comes. Nodes judge by their own clocks, so
//! everything here holds but for twice the bound on clocks.

use std::time::Duration;

use starling::ids::Key;
use starling::message::client::{Command, Response, Visible};
use starling::time::{Timestamp, WallTime};

use super::cell::{self, Event, What};
use super::{Certainty, Evidence, Violation, shown};
use crate::world::clock::WORLD_START;
use crate::world::history::{Known, Op, OpNumber};

/// Checks every key on which texts expire and nothing else happens.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for key in evidence.by_key.keys() {
        let is_about =
            |op: &Op| matches!(op.request.command, Command::Put { .. } | Command::Delete | Command::Expire { .. });
        let expires = evidence.ops(key).any(|(_, op)| matches!(op.request.command, Command::Expire { .. }));
        if expires && evidence.ops(key).all(|(_, op)| !op.request.command.is_write() || is_about(op)) {
            let wrong = [wrong_end(evidence, key), flicker(evidence, key)];
            found.extend(
                wrong.into_iter().flatten().map(|text| Violation { checker: "expiry", text: format!("{key} {text}") }),
            );
        }
    }
    found.truncate(5);
    found
}

pub(super) fn margin(evidence: &Evidence<'_>) -> Duration {
    evidence.world.skew_bound() * 2 + Duration::from_secs(1)
}

/// The moment of the world at which a deadline passes.
pub(super) fn moment(deadline: WallTime) -> Timestamp {
    Timestamp(deadline.0.saturating_sub(WORLD_START))
}

fn wrong_end(evidence: &Evidence<'_>, key: &Key) -> Option<String> {
    let visible = evidence.finals.get(key)?.shown?;
    evidence.judges("expiry");
    let margin = margin(evidence);
    // The register: a deadline that passes writes "nothing" like a delete, from its own moment on.
    let ops: Vec<(OpNumber, &Op)> = evidence.ops(key).filter(|(_, op)| op.request.command.is_write()).collect();
    let may_be = |op: &Op| evidence.certainty(op) != Certainty::MustNot;
    let ended = |op: &Op| evidence.minted_by(op);
    let removers: Vec<&Op> = ops
        .iter()
        .map(|(_, op)| *op)
        .filter(|op| may_be(op))
        .filter(|op| matches!(op.request.command, Command::Delete | Command::Expire { deadline: Some(_) }))
        .collect();
    if *visible == Visible::Nothing {
        // A put after every deadline and delete, by more than clocks are off, must be there.
        let safe = ops.iter().find(|(_, op)| {
            matches!(op.request.command, Command::Put { .. })
                && evidence.certainty(op) == Certainty::Must
                && removers.iter().all(|remover| ended(remover).after(margin) < op.invoked_at)
        });
        return safe
            .map(|(number, _)| format!("shows nothing, though {number:?} came after every delete and deadline"));
    }
    // Some put that it shows must not be older than a later certain one.
    let writes: Vec<Event<'_>> = cell::events(evidence, key, |op| match &op.request.command {
        Command::Put { value } => Some(What::Write(value.clone())),
        Command::Delete => Some(What::Cover),
        _ => None,
    });
    if let Some(wrong) = cell::wrong_last(evidence, &writes, shown::text(visible).as_ref()) {
        return Some(wrong);
    }
    // The deadline: if every candidate for the last word on it has passed, nothing may be shown.
    let words = || ops.iter().filter(|(_, op)| !matches!(op.request.command, Command::Delete) && may_be(op));
    let last_certain =
        words().filter(|(_, op)| evidence.certainty(op) == Certainty::Must).map(|(_, op)| op.invoked_at).max()?;
    let mut candidates = words().filter(|(_, op)| ended(op).after(margin) >= last_certain).peekable();
    candidates.peek()?;
    let now = evidence.world.now();
    let all_passed = candidates.all(|(_, op)| match op.request.command {
        Command::Expire { deadline: Some(deadline) } => moment(deadline).after(margin) < now,
        _ => false,
    });
    all_passed.then(|| format!("shows {visible:?}, though the deadline that was written last has passed"))
}

/// A read that shows something after one that showed nothing, with no write from before the first until the second was
/// answered.
fn flicker(evidence: &Evidence<'_>, key: &Key) -> Option<String> {
    let mut hidden: Option<(OpNumber, &Op)> = None;
    for (number, op) in evidence.ops(key) {
        let command = &op.request.command;
        if may_have_written(op) {
            hidden = None;
        }
        let (Command::Get, Some((ended, Response::Value(reply)))) = (command, &op.answer) else { continue };
        if reply.partial {
            continue;
        }
        if reply.value == Visible::Nothing {
            hidden = hidden.or_else(|| is_settled(evidence, key, op).then_some((number, op)));
        } else if let Some((first, hidden_op)) = hidden
            && hidden_op.ended_at().is_some_and(|at| at.after(margin(evidence)) < *ended)
            && !is_written_meanwhile(evidence, key, (number, *ended))
        {
            return Some(format!(
                "showed nothing to {first:?}, and {:?} to {number:?}, with no write in between",
                reply.value
            ));
        }
    }
    None
}

fn may_have_written(op: &Op) -> bool {
    op.request.command.is_write() && op.known() != Known::NotApplied
}

/// Whether the client had given up a read, and wrote before the answer came: the answer may show what it wrote.
fn is_written_meanwhile(evidence: &Evidence<'_>, key: &Key, (read, ended): (OpNumber, Timestamp)) -> bool {
    evidence.ops(key).any(|(number, op)| number > read && op.invoked_at <= ended && may_have_written(op))
}

/// Whether every write before a read was certain, and must be seen by every quorum.
fn is_settled(evidence: &Evidence<'_>, key: &Key, read: &Op) -> bool {
    let before = evidence.ops(key).filter(|(_, op)| op.request.command.is_write() && op.invoked_at < read.invoked_at);
    before.filter(|(_, op)| op.known() != Known::NotApplied).all(|(_, op)| {
        super::written(op).is_some_and(|(at, ack)| {
            let wrote_nothing = ack.acks.is_empty() && at < read.invoked_at;
            wrote_nothing || evidence.must_meet((op.invoked_at, at, ack), read, None)
        })
    })
}

#[cfg(test)]
#[path = "expiry_tests.rs"]
mod tests;
