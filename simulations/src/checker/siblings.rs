//! Siblings: an acknowledged value stays until a put whose context had seen it; what such a put saw is gone; and nothing is
//! shown that nobody put.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{Command, Response};

use super::cell::{self, Event, What};
use super::{Certainty, Evidence, Violation, shown};
use crate::world::history::OpNumber;

/// Checks every key with siblings and nothing else.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    evidence.by_key.keys().flat_map(|key| check_key(evidence, key)).take(5).collect()
}

/// A put: its value, and the values that its context had seen.
struct Put {
    number: OpNumber,
    value: Bytes,
    replaces: BTreeSet<Bytes>,
    certainty: Certainty,
}

fn check_key(evidence: &Evidence<'_>, key: &Key) -> Vec<Violation> {
    let is_about = |command: &Command| matches!(command, Command::PutSibling { .. } | Command::Delete);
    let mut writes = evidence.ops(key).filter(|(_, op)| op.request.command.is_write());
    let has_puts = evidence.ops(key).any(|(_, op)| matches!(op.request.command, Command::PutSibling { .. }));
    let Some(shown) = evidence.finals.get(key).and_then(|finals| finals.siblings) else { return Vec::new() };
    if !has_puts || !writes.all(|(_, op)| is_about(&op.request.command)) {
        return Vec::new();
    }
    let shown: BTreeSet<Bytes> = shown::siblings(shown).into_iter().collect();
    let puts = puts(evidence, key);
    let deletes = cell::events(evidence, key, |op| (op.request.command == Command::Delete).then_some(What::Cover));
    let mut wrong = Vec::new();
    evidence.judges_many("siblings", puts.iter().filter(|put| put.certainty == Certainty::Must).count());
    for put in &puts {
        let op = evidence.world.history.op(put.number);
        let event = Event { number: put.number, op, certainty: put.certainty, what: What::Raise };
        let is_there = shown.contains(&put.value);
        let replaced_by = |least: Certainty| {
            puts.iter().find(|other| {
                other.replaces.contains(&put.value)
                    && (other.certainty == Certainty::Must
                        || (least == Certainty::May && other.certainty == Certainty::May))
            })
        };
        let may_be_deleted = deletes.iter().any(|delete| cell::could_observe(evidence, delete, &event));
        if put.certainty == Certainty::Must && !is_there && !may_be_deleted && replaced_by(Certainty::May).is_none() {
            wrong.push(format!("lacks {:?} of {:?}, which was acknowledged and never replaced", put.value, put.number));
        }
        if is_there && let Some(other) = replaced_by(Certainty::Must) {
            wrong.push(format!(
                "shows {:?} of {:?}, which {:?} had seen and replaced",
                put.value, put.number, other.number
            ));
        }
        if is_there && deletes.iter().any(|delete| cell::surely_observed(evidence, delete, &event)) {
            wrong.push(format!("shows {:?} of {:?}, which a delete had seen", put.value, put.number));
        }
    }
    let possible: BTreeSet<&Bytes> =
        puts.iter().filter(|put| put.certainty != Certainty::MustNot).map(|put| &put.value).collect();
    wrong.extend(
        shown
            .iter()
            .filter(|value| !possible.contains(value))
            .map(|value| format!("shows {value:?}, which nobody put")),
    );
    wrong.into_iter().map(|text| Violation { checker: "siblings", text: format!("{key} {text}") }).collect()
}

fn puts(evidence: &Evidence<'_>, key: &Key) -> Vec<Put> {
    let mut seen: BTreeMap<&Bytes, BTreeSet<Bytes>> = BTreeMap::new();
    for (_, op) in evidence.ops(key) {
        if let (Command::Siblings, Some((_, Response::Observed(reply)))) = (&op.request.command, &op.answer) {
            seen.entry(&reply.context).or_default().extend(shown::siblings(&reply.value));
        }
    }
    let put = |(number, op): (OpNumber, &crate::world::history::Op)| match &op.request.command {
        Command::PutSibling { value, context } => Some(Put {
            number,
            value: value.clone(),
            replaces: context.as_ref().and_then(|context| seen.get(context)).cloned().unwrap_or_default(),
            certainty: evidence.certainty(op),
        }),
        _ => None,
    };
    evidence.ops(key).filter_map(put).collect()
}
