//! Deadlines of counters, flags, sets and siblings: what the last deadline was set for is gone when it has passed; and what
//! was written to a key that had been emptied before its deadline stays.
//!
//! As on the keys of `expiry`, each has one client, which asks one thing at a time.
//!
//! ```text
//! … deadlines │ emptied: all owners hold it, and it saw all that was added before │ an add by owners … adds, no deadline │ end
//!   all owners hold them                                                            └── must be there, exactly
//! ```
//!
//! A node that has not heard of the deadline, or of what emptied the key, keeps the deadline; so does a fallback. Such keys
//! prove nothing here.

use starling::ids::Key;
use starling::message::client::{CollectionCommand, CollectionKind, Command, ElementChange, Visible};
use starling::time::Timestamp;

use super::cell::{self, Event, What};
use super::{Certainty, Evidence, Violation, expiry, shown, written};
use crate::world::history::{Op, OpNumber};

/// What a write does to such a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Adds(i64),
    Empties,
    Expires(Timestamp),
    Persists,
    Other,
}

/// Checks every key that expires and is a counter, a flag, a set, or siblings.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for key in evidence.by_key.keys().filter(|key| is_about(evidence, key)) {
        let wrong = [outlived(evidence, key), gone(evidence, key)];
        found.extend(
            wrong.into_iter().flatten().map(|text| Violation { checker: "begun_anew", text: format!("{key} {text}") }),
        );
    }
    found.truncate(5);
    found
}

/// Whether deadlines are set, and otherwise only one of these types is written.
fn is_about(evidence: &Evidence<'_>, key: &Key) -> bool {
    let types = |op: &Op| match &op.request.command {
        Command::Increment { .. } | Command::Overwrite { to: None, .. } => Some(1),
        Command::SetFlag { .. } => Some(2),
        Command::Collection { kind: CollectionKind::Set, .. } => Some(3),
        Command::PutSibling { .. } => Some(4),
        Command::Expire { .. } | Command::Delete => None,
        _ => Some(0),
    };
    let writes = || evidence.ops(key).map(|(_, op)| op).filter(|op| op.request.command.is_write());
    let mut kinds = writes().filter_map(types);
    let first = kinds.next();
    let expires = writes().any(|op| matches!(op.request.command, Command::Expire { .. }));
    expires && first.is_some_and(|first| first > 0 && kinds.all(|kind| kind == first))
}

fn does(op: &Op) -> Does {
    match &op.request.command {
        Command::Increment { by } => Does::Adds(*by),
        Command::SetFlag { on: true } | Command::PutSibling { .. } => Does::Adds(0),
        Command::SetFlag { on: false } | Command::Overwrite { .. } => Does::Empties,
        Command::Collection { command: CollectionCommand::Write { changes }, .. } => {
            if changes.iter().all(|write| write.change == ElementChange::Remove) {
                Does::Empties
            } else {
                Does::Adds(0)
            }
        }
        Command::Expire { deadline: Some(deadline) } => Does::Expires(expiry::moment(*deadline)),
        Command::Expire { deadline: None } => Does::Persists,
        _ => Does::Other,
    }
}

/// The writes that may have been carried out, in the order of their client.
fn writes<'a>(evidence: &'a Evidence<'_>, key: &Key) -> Vec<(OpNumber, &'a Op)> {
    let may_be = |op: &Op| op.request.command.is_write() && evidence.certainty(op) != Certainty::MustNot;
    evidence.ops(key).filter(|(_, op)| may_be(op)).collect()
}

/// A deadline that was the last word on its key, and has passed.
fn outlived(evidence: &Evidence<'_>, key: &Key) -> Option<String> {
    let visible = evidence.finals.get(key)?.shown?;
    let writes = writes(evidence, key);
    let place = writes.iter().rposition(|(_, op)| matches!(does(op), Does::Expires(_)))?;
    let (number, last) = writes.get(place)?;
    let Does::Expires(moment) = does(last) else { return None };
    let (before, after) = (writes.get(..place)?, writes.get(place + 1..)?);
    let has_passed = moment.after(expiry::margin(evidence)) < evidence.world.now();
    let is_last = after.iter().all(|(_, op)| does(op) == Does::Empties)
        && before.iter().all(|(_, op)| evidence.minted_by(op) < last.invoked_at);
    if evidence.certainty(last) != Certainty::Must || !has_passed || !is_last {
        return None;
    }
    evidence.judges("begun_anew: gone");
    let stands = *visible != Visible::Nothing;
    stands.then(|| format!("shows {visible:?}, though the deadline of {number:?} was the last word and has passed"))
}

/// Something that was added after the key had been emptied, and went with the deadline of before.
fn gone(evidence: &Evidence<'_>, key: &Key) -> Option<String> {
    let visible = evidence.finals.get(key)?.shown?;
    let writes = writes(evidence, key);
    let place = writes.iter().rposition(|(_, op)| does(op) == Does::Empties)?;
    let (emptied, last) = writes.get(place)?;
    let (before, after) = (writes.get(..place)?, writes.get(place + 1..)?);
    let (first, anew) = after.first()?;
    let empties = Event { number: *emptied, op: last, certainty: evidence.certainty(last), what: What::Cover };
    let was_known = |(number, op): &(OpNumber, &Op)| match does(op) {
        Does::Adds(_) => {
            let added = Event { number: *number, op, certainty: evidence.certainty(op), what: What::Raise };
            cell::surely_observed(evidence, &empties, &added)
        }
        Does::Expires(_) => is_held_by_all(evidence, key, op) && evidence.minted_by(op) < last.invoked_at,
        Does::Empties | Does::Persists => evidence.minted_by(op) < last.invoked_at,
        Does::Other => false,
    };
    let judges = is_held_by_all(evidence, key, last)
        && before.iter().all(was_known)
        && after.iter().all(|(_, op)| matches!(does(op), Does::Adds(_)))
        && is_by_owners(evidence, anew);
    if !judges {
        return None;
    }
    evidence.judges("begun_anew: written anew");
    let text = format!("{first:?} was written after {emptied:?} had emptied the key, and");
    match does(anew) {
        Does::Adds(by) if by != 0 => {
            let by_of = |op: &Op| if let Does::Adds(by) = does(op) { i128::from(by) } else { 0 };
            let is_sure = |op: &Op| evidence.certainty(op) == Certainty::Must;
            let required = after.iter().filter(|(_, op)| is_sure(op)).map(|(_, op)| by_of(op)).sum();
            let optional: Vec<i128> = after.iter().filter(|(_, op)| !is_sure(op)).map(|(_, op)| by_of(op)).collect();
            let wrong = match shown::number(visible) {
                Some(sum) => cell::wrong_rest(required, &optional, sum)?,
                None => format!("shows {visible:?}"),
            };
            Some(format!("{text} the key {wrong}"))
        }
        _ => (*visible == Visible::Nothing).then(|| format!("{text} the key shows nothing")),
    }
}

/// Whether every owner has acknowledged it, and kept it.
fn is_held_by_all(evidence: &Evidence<'_>, key: &Key, op: &Op) -> bool {
    let ring = evidence.world.ring();
    let owners = ring.owners(ring.partition_of(key)).len();
    evidence.certainty(op) == Certainty::Must
        && written(op).is_some_and(|(at, reply)| {
            let keeps = reply.acks.iter().filter(|ack| ack.is_owner && evidence.keeps_since(ack.node, at));
            keeps.count() == owners && reply.acks.len() == owners
        })
}

/// Whether an owner has taken it, so that it was held against what the owners know.
fn is_by_owners(evidence: &Evidence<'_>, op: &Op) -> bool {
    evidence.certainty(op) == Certainty::Must
        && written(op).is_some_and(|(_, reply)| reply.acks.iter().all(|ack| ack.is_owner))
}
