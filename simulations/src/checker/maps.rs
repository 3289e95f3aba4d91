//! Maps: a field that holds texts shows the last writer's; a field that is counted shows every increment that no removal
//! can have observed, and none that a removal must have; a removed field stays gone.
//!
//! A field that is put and counted is both: the register says whether it shows a text, which then is the last writer's; a
//! put covers increments as a removal does, and those that none can have observed stand in the number, or, beside a text,
//! are told as a conflict.

use bytes::Bytes;
use starling::ids::CollectionKind;
use starling::message::client::ElementChange;

use super::cell::{self, Event, What};
use super::sets::{Shown, check_kind};
use super::{Certainty, Evidence, Violation, shown};

/// Checks every map.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let what = |change: &ElementChange| match change {
        ElementChange::Put(value) => Some(What::Write(value.clone())),
        ElementChange::Increment(by) => Some(What::Add(i128::from(*by))),
        ElementChange::Remove => Some(What::Cover),
        _ => None,
    };
    check_kind(evidence, CollectionKind::Map, "maps", what, wrong_field)
}

fn wrong_field(evidence: &Evidence<'_>, events: &[Event<'_>], shown: Shown<'_>) -> Option<String> {
    let is_counted = events.iter().any(|event| matches!(event.what, What::Add(_)));
    let is_text = events.iter().any(|event| matches!(event.what, What::Write(_)));
    if is_counted && is_text {
        evidence.judges("maps: put and counted");
    }
    let visible = shown.value;
    match (is_counted, is_text, shown::number(visible)) {
        (true, false, Some(sum)) => cell::wrong_sum(evidence, events, sum),
        (true, false, None) => Some(format!("is counted, and shows {visible:?}")),
        (false, true, _) => wrong_text(evidence, events, shown::text(visible).as_ref()),
        (true, true, Some(sum)) => wrong_text(evidence, events, None)
            .or_else(|| cell::wrong_sum(evidence, &as_counter(events), sum))
            .or_else(|| shown.is_in_conflict.then(|| "is a number, and said to be in conflict".into())),
        (true, true, None) => wrong_text(evidence, events, shown::text(visible).as_ref())
            .or_else(|| wrong_conflict(evidence, &as_counter(events), shown.is_in_conflict)),
        (false, false, _) => None,
    }
}

/// What is wrong about the register of a field. A removal writes only where it saw something.
fn wrong_text(evidence: &Evidence<'_>, events: &[Event<'_>], shown: Option<&Bytes>) -> Option<String> {
    let mut events: Vec<Event<'_>> =
        events.iter().filter(|event| !matches!(event.what, What::Add(_))).cloned().collect();
    for event in events.iter_mut().filter(|event| event.certainty == Certainty::Must) {
        if event.what == What::Cover {
            event.certainty = Certainty::May;
        }
    }
    cell::wrong_last(evidence, &events, shown)
}

/// The same field as a counter: a put covers what it saw, as a removal does.
fn as_counter<'a>(events: &[Event<'a>]) -> Vec<Event<'a>> {
    let mut events = events.to_vec();
    for event in events.iter_mut().filter(|event| matches!(event.what, What::Write(_))) {
        event.what = What::Cover;
    }
    events
}

/// What is wrong about a text that is, or is not, said to stand beside increments that it did not see.
fn wrong_conflict(evidence: &Evidence<'_>, events: &[Event<'_>], is_told: bool) -> Option<String> {
    let covers = || events.iter().filter(|event| event.what == What::Cover && event.certainty != Certainty::MustNot);
    let mut adds = events.iter().filter(|event| event.what != What::Cover && event.certainty != Certainty::MustNot);
    if is_told {
        let may_stand = |add: &Event<'_>| !covers().any(|cover| cell::surely_observed(evidence, cover, add));
        let stands = adds.any(may_stand);
        return (!stands).then(|| "is said to be in conflict, and every increment was covered".into());
    }
    let must_stand = |add: &&Event<'_>| {
        add.certainty == Certainty::Must && !covers().any(|cover| cell::could_observe(evidence, cover, add))
    };
    let hidden = adds.find(must_stand)?;
    Some(format!("shows a text and no conflict, though nothing can have covered {:?}", hidden.number))
}

#[cfg(test)]
#[path = "maps_tests.rs"]
mod tests;
