//! Sorted sets: members come and go as those of sets do; a member shows the last score that was written, a finite one.

use bytes::Bytes;
use starling::ids::CollectionKind;
use starling::message::client::ElementChange;

use super::cell::{self, Event, What};
use super::sets::{Shown, check_kind};
use super::{Certainty, Evidence, Violation, shown};

/// Checks every sorted set.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let what = |change: &ElementChange| match change {
        ElementChange::Score(bits) => Some(What::Write(Bytes::copy_from_slice(&bits.to_be_bytes()))),
        ElementChange::AddToScore(_) => Some(What::Raise),
        ElementChange::Remove => Some(What::Cover),
        _ => None,
    };
    check_kind(evidence, CollectionKind::SortedSet, "sorted_sets", what, wrong_score)
}

fn wrong_score(evidence: &Evidence<'_>, events: &[Event<'_>], shown: Shown<'_>) -> Option<String> {
    let visible = shown.value;
    let Some(score) = shown::score(visible).filter(|score| score.is_finite()) else {
        return Some(format!("shows {visible:?} for a score"));
    };
    // A score that was added to is written as the merged value, which the checker does not know.
    if events.iter().any(|event| event.what == What::Raise && event.certainty != Certainty::MustNot) {
        return None;
    }
    // A removal does not write a score: whoever was not seen by it keeps what it wrote, and what it saw is gone, though
    // it may have been the last.
    let covers = || events.iter().filter(|event| event.what == What::Cover);
    let writes = events.iter().filter(|event| event.what != What::Cover).cloned().map(|mut event| {
        if event.certainty == Certainty::Must && covers().any(|cover| cell::could_observe(evidence, cover, &event)) {
            event.certainty = Certainty::May;
        }
        event
    });
    let writes: Vec<Event<'_>> = writes.collect();
    cell::wrong_last(evidence, &writes, Some(&Bytes::copy_from_slice(&score.to_bits().to_be_bytes())))
}
