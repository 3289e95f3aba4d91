//! Sorted sets: members come and go as those of sets do; a member shows the last score that was written, a finite one; a member
//! that is only added to shows a sum of what was added, and the last addition is in it.

use std::time::Duration;

use bytes::Bytes;
use starling::ids::CollectionKind;
use starling::message::client::ElementChange;

use super::cell::{self, Event, What};
use super::sets::{Shown, check_kind};
use super::subset_sum::SubsetSums;
use super::{Certainty, Evidence, Violation, shown};

/// More additions to one member are not searched.
const ADDS_MAX: usize = 26;

/// Scores of the workload are multiples of one part in so many.
const SCALE: f64 = 1024.0;

/// Checks every sorted set.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let what = |change: &ElementChange| match change {
        ElementChange::Score(bits) => Some(What::Write(Bytes::copy_from_slice(&bits.to_be_bytes()))),
        // The scores that are drawn are multiples of 1/1024, so their sums are exact.
        ElementChange::AddToScore(bits) => Some(What::Add((f64::from_bits(*bits) * SCALE) as i128)),
        ElementChange::Remove => Some(What::Cover),
        _ => None,
    };
    check_kind(evidence, CollectionKind::SortedSet, "sorted_sets", what, wrong_score)
}

/// What is wrong about a score that was only added to: `incr` writes the sum that it saw, so that the score is a sum of some
/// of what was added, and holds the last addition that nothing else can have outdated.
fn wrong_sum(evidence: &Evidence<'_>, events: &[Event<'_>], score: f64) -> Option<String> {
    let adds = || events.iter().filter(|event| event.what != What::Cover && event.certainty != Certainty::MustNot);
    let mut steps = Vec::new();
    for add in adds() {
        let What::Add(by) = add.what else { return None };
        steps.push(by);
    }
    let sums = SubsetSums::of(&steps).filter(|_| steps.len() <= ADDS_MAX)?;
    evidence.judges("sorted_sets: added to");
    let shown = (score * SCALE) as i128;
    if !sums.contains(shown) {
        return Some(format!("shows {score}, which is no sum of what was added"));
    }
    // The last of all, if it came after every other had ended: it saw what it was told to see, and won.
    let last = adds().max_by_key(|add| add.op.invoked_at).filter(|add| add.certainty == Certainty::Must)?;
    let What::Add(by) = last.what else { return None };
    let margin = evidence.world.skew_bound() * 2 + Duration::from_secs(1);
    let others = || events.iter().filter(|event| event.number != last.number && event.certainty != Certainty::MustNot);
    if others().any(|other| evidence.minted_by(other.op).after(margin) >= last.op.invoked_at) {
        return None;
    }
    let mut before: Vec<i128> = Vec::new();
    for add in adds().filter(|add| add.number != last.number) {
        before.extend(if let What::Add(by) = add.what { Some(by) } else { None });
    }
    let holds = SubsetSums::of(&before)?.contains(shown - by);
    (!holds).then(|| format!("shows {score}, without what {:?} added last of all", last.number))
}

fn wrong_score(evidence: &Evidence<'_>, events: &[Event<'_>], shown: Shown<'_>) -> Option<String> {
    let visible = shown.value;
    let Some(score) = shown::score(visible).filter(|score| score.is_finite()) else {
        return Some(format!("shows {visible:?} for a score"));
    };
    if events.iter().any(|event| matches!(event.what, What::Add(_)) && event.certainty != Certainty::MustNot) {
        return wrong_sum(evidence, events, score);
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
