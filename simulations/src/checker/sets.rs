//! Sets: an acknowledged add that no removal can have observed is there; a member whose adds were all observed by
//! removals is gone, and stays gone. A page lists every member once, in order, and the size is that of the list.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use starling::ids::{CollectionKind, Key};
use starling::message::client::{CollectionCommand, Command, ElementChange, Visible};

use super::cell::{self, Event, Presence, What};
use super::finals::Elements;
use super::{Evidence, Violation};
use crate::world::history::Op;

/// Checks every set.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let what = |change: &ElementChange| match change {
        ElementChange::Add => Some(What::Raise),
        ElementChange::Remove => Some(What::Cover),
        _ => None,
    };
    check_kind(evidence, CollectionKind::Set, "sets", what, |_, _, _| None)
}

/// What an element shows.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub value: &'a Visible,
    pub is_in_conflict: bool,
}

/// Checks every collection of a kind: who is a member, and by `wrong_value` what a member shows. Only keys on which
/// nothing else was written.
pub(super) fn check_kind(
    evidence: &Evidence<'_>,
    kind: CollectionKind,
    checker: &'static str,
    what: impl Fn(&ElementChange) -> Option<What>,
    wrong_value: impl Fn(&Evidence<'_>, &[Event<'_>], Shown<'_>) -> Option<String>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    // Of a map's field the later stamp decides, also between a removal and a put; all else is removed only as it was seen.
    let ahead = if kind == CollectionKind::Map { evidence.world.skew_bound() * 2 } else { Duration::ZERO };
    for (key, finals) in &evidence.finals {
        let Some(elements) = finals.elements.get(&kind) else { continue };
        if !is_alone(evidence, key, kind) {
            continue;
        }
        let mut wrong = |text: String| found.push(Violation { checker, text: format!("{key} {text}") });
        wrong_list(elements).into_iter().for_each(&mut wrong);
        let listed: BTreeMap<&Bytes, &Visible> = elements.listed.iter().copied().collect();
        for element in
            written_elements(evidence, key).into_iter().chain(listed.keys().copied()).collect::<BTreeSet<_>>()
        {
            let events = cell::events(evidence, key, |op| {
                change_of(op, kind, element).and_then(|change| match change {
                    None => Some(What::Cover),
                    Some(change) => what(change),
                })
            });
            let is_there = listed.get(element);
            let expected = cell::presence(evidence, &events, ahead);
            if expected != Presence::May {
                evidence.judges(checker);
            }
            match (expected, is_there) {
                (Presence::Must, None) => {
                    wrong(format!("lacks {element:?}, which was added and not removed: {}", list(&events)))
                }
                (Presence::MustNot, Some(_)) => {
                    wrong(format!("holds {element:?} though it was removed, or never added: {}", list(&events)))
                }
                _ => {}
            }
            let is_in_conflict = elements.conflicts.contains(element);
            let shown = is_there.map(|value| Shown { value, is_in_conflict });
            if let Some(text) = shown.and_then(|shown| wrong_value(evidence, &events, shown)) {
                wrong(format!("{element:?} {text}: {}", list(&events)));
            }
        }
    }
    found.truncate(5);
    found
}

/// Whether all writes of a key are about its collection of this kind, or delete the key.
fn is_alone(evidence: &Evidence<'_>, key: &Key, kind: CollectionKind) -> bool {
    evidence.ops(key).filter(|(_, op)| op.request.command.is_write()).all(|(_, op)| match &op.request.command {
        Command::Delete => true,
        Command::Collection { kind: other, .. } => *other == kind,
        _ => false,
    })
}

fn written_elements<'a>(evidence: &'a Evidence<'_>, key: &Key) -> BTreeSet<&'a Bytes> {
    let changes = evidence.ops(key).filter_map(|(_, op)| match &op.request.command {
        Command::Collection { command: CollectionCommand::Write { changes }, .. } => Some(changes),
        _ => None,
    });
    changes.flatten().map(|change| &change.element).collect()
}

/// What an operation does to an element: a change, or (`None`) the delete of all.
fn change_of<'a>(op: &'a Op, kind: CollectionKind, element: &Bytes) -> Option<Option<&'a ElementChange>> {
    match &op.request.command {
        Command::Delete => Some(None),
        Command::Collection { kind: other, command: CollectionCommand::Write { changes } } if *other == kind => {
            changes.iter().find(|change| change.element == *element).map(|change| Some(&change.change))
        }
        _ => None,
    }
}

fn wrong_list(elements: &Elements<'_>) -> Option<String> {
    let is_sorted = elements.listed.iter().zip(elements.listed.iter().skip(1)).all(|(one, next)| one.0 < next.0);
    if !is_sorted {
        return Some("lists its elements out of order, or one of them twice".into());
    }
    let listed = elements.listed.len() as u64;
    (listed != elements.size).then(|| format!("lists {listed} elements and says that there are {}", elements.size))
}

/// The events of an element, for the text of a violation.
fn list(events: &[Event<'_>]) -> String {
    let last = events.len().saturating_sub(6);
    let shown: Vec<String> = events
        .iter()
        .skip(last)
        .map(|event| format!("{:?} {:?} {:?}", event.number, event.certainty, event.what))
        .collect();
    shown.join(", ")
}
