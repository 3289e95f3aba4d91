//! Increments of sessions count once: whatever was acknowledged, however often and through whomever it was sent, is in
//! the sum of every owner exactly once; what was never acknowledged is in it at most once; what a reset observed is gone,
//! and what it did not see is there.
//!
//! ```text
//! final = Σ untagged + Σ sessions' last events + Σ (written − observed) over the resets and set-to-values
//! ```
//!
//! Of an unanswered increment, either nothing or all of it may be in the sum; steps are large and random, so the sum tells
//! which. The equation is exact if every reset must have seen the one before it. Where that is not certain (its reply was
//! partial, the quorums need not overlap, or it was never answered) the last reset bounds the sum, if it is certain and later
//! than all others: it wrote its number, has taken away whatever it must have seen, and nothing of what came later.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use starling::causality::ActorId;
use starling::ids::Key;
use starling::message::client::{Command, Reason, Response};

use super::cell;
use super::{Certainty, Evidence, Violation, shown, written};
use crate::world::history::{Op, OpNumber};

/// Checks every key that sessions counted on, and nothing but counting was done to.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found: Vec<Violation> = evidence.by_key.keys().filter_map(|key| check_key(evidence, key)).collect();
    found.extend(reused(evidence));
    found
}

/// What one session did to a key: by event, its total and whether it counts.
pub(super) type Events = BTreeMap<u64, (i128, Certainty)>;

fn check_key(evidence: &Evidence<'_>, key: &Key) -> Option<Violation> {
    let is_counted = |op: &Op| {
        matches!(op.request.command, Command::Increment { .. } | Command::IncrementAs(_) | Command::Overwrite { .. })
    };
    let mut writes = evidence.ops(key).filter(|(_, op)| op.request.command.is_write()).peekable();
    writes.peek()?;
    if !writes.all(|(_, op)| is_counted(op)) {
        return None;
    }
    let (mut required, mut optional) = (0, Vec::new());
    for (_, op) in evidence.ops(key) {
        let Command::Increment { by } = op.request.command else { continue };
        match evidence.certainty(op) {
            Certainty::Must => required += i128::from(by),
            Certainty::May => optional.push(i128::from(by)),
            Certainty::MustNot => {}
        }
    }
    for events in sessions(evidence, key).values() {
        let (sure, steps) = steps(events);
        required += sure;
        optional.extend(steps);
    }
    let has_resets = evidence.ops(key).any(|(_, op)| matches!(op.request.command, Command::Overwrite { .. }));
    match covered(evidence, key) {
        Some(covered) => required += covered,
        None => {
            (required, optional) = since_the_last(evidence, key)?;
            evidence.judges("exactly_once: resets in doubt");
        }
    }
    evidence.judges(if has_resets { "exactly_once: resets" } else { "exactly_once" });
    let finals = evidence.finals.get(key)?;
    let views = finals.views.iter().map(|view| (view.node.to_string(), &view.value));
    let all = views.chain(finals.shown.map(|value| ("a client".to_owned(), value)));
    all.into_iter().find_map(|(who, value)| {
        let wrong = match shown::number(value) {
            Some(sum) => cell::wrong_rest(required, &optional, sum)?,
            None => format!("shows {value:?}, which is no number"),
        };
        let text = format!("{key} on {who} {wrong}{}", explanation(evidence, key, value, required, &optional));
        Some(Violation { checker: "exactly_once", text })
    })
}

/// Per session, its events with their totals. An event is certain if any copy of it was acknowledged, and was not applied
/// if every copy was refused.
pub(super) fn sessions(evidence: &Evidence<'_>, key: &Key) -> BTreeMap<ActorId, Events> {
    let mut sessions: BTreeMap<ActorId, Events> = BTreeMap::new();
    for (_, op) in evidence.ops(key) {
        let Command::IncrementAs(write) = op.request.command else { continue };
        let total = i128::try_from(write.p).unwrap_or(i128::MAX) - i128::try_from(write.n).unwrap_or(i128::MAX);
        let copy = evidence.certainty(op);
        let event = sessions.entry(write.actor).or_default().entry(write.event).or_insert((total, copy));
        event.1 = match (event.1, copy) {
            (Certainty::Must, _) | (_, Certainty::Must) => Certainty::Must,
            (Certainty::May, _) | (_, Certainty::May) => Certainty::May,
            (Certainty::MustNot, Certainty::MustNot) => Certainty::MustNot,
        };
    }
    sessions
}

/// What a session certainly counts, and the steps beyond it that may count.
fn steps(events: &Events) -> (i128, Vec<i128>) {
    let sure = events.iter().rev().find(|(_, (_, certainty))| *certainty == Certainty::Must);
    let (last, sure) = sure.map_or((0, 0), |(event, (total, _))| (*event, *total));
    let mut before = sure;
    let mut steps = Vec::new();
    for (_, (total, certainty)) in events.iter().filter(|(event, _)| **event > last) {
        if *certainty == Certainty::May {
            steps.push(total - before);
            before = *total;
        }
    }
    (sure, steps)
}

/// A reset or set-to-value: what it saw, and what became of it.
struct Cover<'a> {
    looked: &'a Op,
    observed: i128,
    to: i128,
    is_partial: bool,
    certainty: Certainty,
    /// A copy that was acknowledged.
    acknowledged: Option<&'a Op>,
}

/// What the resets and set-to-values of a key change together; `None` if that is not certain.
fn covered(evidence: &Evidence<'_>, key: &Key) -> Option<i128> {
    let covers = covers(evidence, key)?;
    let mut sum = 0;
    let mut last: Option<&Cover<'_>> = None;
    for cover in covers.iter().filter(|cover| cover.certainty != Certainty::MustNot) {
        if cover.certainty == Certainty::May || last.is_some_and(|last| !must_have_seen(evidence, cover, last)) {
            return None;
        }
        sum += cover.to - cover.observed;
        last = Some(cover);
    }
    Some(sum)
}

/// In the order in which they looked; `None` if one of them saw something else than a number.
fn covers<'a>(evidence: &'a Evidence<'_>, key: &Key) -> Option<Vec<Cover<'a>>> {
    let mut by_context: BTreeMap<&Bytes, OpNumber> = BTreeMap::new();
    let mut covers: BTreeMap<OpNumber, Cover<'a>> = BTreeMap::new();
    for (number, op) in evidence.ops(key) {
        if let Some((_, Response::Observed(reply))) = &op.answer {
            by_context.entry(&reply.context).or_insert(number);
        }
        let Command::Overwrite { context, to } = &op.request.command else { continue };
        let look = *by_context.get(context)?;
        let looked = evidence.world.history.op(look);
        let Some((_, Response::Observed(reply))) = &looked.answer else { return None };
        let cover = covers.entry(look).or_insert(Cover {
            looked,
            observed: shown::number(&reply.value)?,
            to: i128::from(to.unwrap_or(0)),
            is_partial: reply.partial,
            certainty: Certainty::MustNot,
            acknowledged: None,
        });
        match evidence.certainty(op) {
            Certainty::Must => {
                cover.certainty = Certainty::Must;
                cover.acknowledged = Some(op);
            }
            Certainty::May if cover.certainty == Certainty::MustNot => cover.certainty = Certainty::May,
            Certainty::May | Certainty::MustNot => {}
        }
    }
    Some(covers.into_values().collect())
}

/// What must be, and what may be in the sum after the last reset or set-to-value, whatever became of those before it; `None`
/// if that is not certain either.
fn since_the_last(evidence: &Evidence<'_>, key: &Key) -> Option<(i128, Vec<i128>)> {
    let covers = covers(evidence, key)?;
    let mut possible = covers.iter().filter(|cover| cover.certainty != Certainty::MustNot);
    let last = possible.next_back().filter(|last| last.certainty == Certainty::Must && !last.is_partial)?;
    let margin = evidence.world.skew_bound() * 2 + Duration::from_secs(1);
    let began = last.looked.invoked_at;
    // Stamps follow clocks: one that looked just before may have the later one.
    if possible.any(|cover| cover.looked.ended_at().is_none_or(|ended| ended.after(margin) >= began)) {
        return None;
    }
    let ended = last.looked.ended_at()?;
    let was_seen = |op: &Op| {
        let r = last.looked.request.options.r;
        written(op).is_some_and(|(at, ack)| evidence.must_meet((op.invoked_at, at, ack), last.looked, r))
    };
    let (mut required, mut optional) = (last.to, Vec::new());
    for (_, op) in evidence.ops(key) {
        let Command::Increment { by } = op.request.command else { continue };
        match evidence.certainty(op) {
            Certainty::MustNot => {}
            Certainty::Must if op.invoked_at > ended => required += i128::from(by),
            _ if was_seen(op) => {}
            Certainty::Must | Certainty::May => optional.push(i128::from(by)),
        }
    }
    // Of a session, events are seen with all that came before them.
    for (actor, events) in sessions(evidence, key) {
        let copies = |event: u64| {
            evidence.ops(key).map(|(_, op)| op).filter(move |op| {
                matches!(op.request.command, Command::IncrementAs(write) if write.actor == actor && write.event == event)
            })
        };
        let is_must = |event: &u64| events.range(event..).any(|(_, (_, certainty))| *certainty == Certainty::Must);
        let is_seen = |event: &u64| events.range(event..).any(|(later, _)| copies(*later).any(was_seen));
        let mut before = 0;
        for (event, (total, certainty)) in &events {
            if *certainty == Certainty::MustNot && !is_must(event) {
                continue;
            }
            let step = total - before;
            before = *total;
            let is_later = copies(*event).all(|op| op.invoked_at > ended);
            match (is_seen(event), is_later && is_must(event)) {
                (true, _) => {}
                (false, true) => required += step,
                (false, false) => optional.push(step),
            }
        }
    }
    Some((required, optional))
}

fn must_have_seen(evidence: &Evidence<'_>, cover: &Cover<'_>, last: &Cover<'_>) -> bool {
    let Some((acked_at, ack)) = last.acknowledged.and_then(written) else { return false };
    let (looked, since) = (cover.looked, last.looked.invoked_at);
    !cover.is_partial && evidence.must_meet((since, acked_at, ack), looked, looked.request.options.r)
}

/// A well-behaved client never uses an event for two payloads, so no node may say that it did.
fn reused(evidence: &Evidence<'_>) -> Option<Violation> {
    let ops = evidence.world.history.ops().iter().enumerate();
    let wrong = ops.filter(|(_, op)| {
        matches!(&op.answer, Some((_, Response::Failed(error))) if matches!(error.reason, Reason::SessionReused { .. }))
    });
    wrong
        .map(|(number, op)| {
            let text = format!(
                "{:?} repeats what was sent before, and was called another payload: {:?}",
                OpNumber(number),
                op.request
            );
            Violation { checker: "exactly_once", text }
        })
        .next()
}

/// Which single step would explain a wrong sum.
fn explanation(
    evidence: &Evidence<'_>,
    key: &Key,
    value: &starling::message::client::Visible,
    required: i128,
    optional: &[i128],
) -> String {
    let Some(sum) = shown::number(value) else { return String::new() };
    let fits = |rest: i128| cell::wrong_rest(required, optional, rest).is_none();
    let mut found = Vec::new();
    for (number, op) in evidence.ops(key).filter(|(_, op)| op.known() == crate::world::history::Known::Applied) {
        if let Command::Increment { by } = op.request.command {
            let by = i128::from(by);
            if fits(sum + by) {
                found.push(format!("{number:?} was lost"));
            } else if fits(sum - by) {
                found.push(format!("{number:?} counts twice"));
            }
        }
        if found.len() == 3 {
            break;
        }
    }
    for (actor, events) in sessions(evidence, key) {
        let mut before = 0;
        for (event, (total, _)) in events {
            for (by, what) in [(total - before, "step"), (total, "total")] {
                if fits(sum + by) {
                    found.push(format!("the {what} of event {event} of {actor} was lost"));
                } else if fits(sum - by) {
                    found.push(format!("the {what} of event {event} of {actor} counts twice"));
                }
            }
            before = total;
        }
        if found.len() >= 3 {
            break;
        }
    }
    if found.is_empty() { String::new() } else { format!(" (it would fit if {})", found.join(", or ")) }
}
