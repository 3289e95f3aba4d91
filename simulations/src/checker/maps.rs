//! Maps: a field that holds texts shows the last writer's; a field that is counted shows every increment that no removal
//! can have observed, and none that a removal must have; a removed field stays gone.

use bytes::Bytes;
use starling::ids::CollectionKind;
use starling::message::client::{ElementChange, Visible};

use super::cell::{self, Event, What};
use super::sets::check_kind;
use super::{Certainty, Evidence, Violation, shown};

/// Checks every map.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let what = |change: &ElementChange| match change {
        ElementChange::Put(value) => Some(What::Write(value.clone())),
        ElementChange::Increment(by) => Some(What::Add(i128::from(*by))),
        ElementChange::Remove => Some(What::Cover),
        _ => None,
    };
    check_kind(evidence, CollectionKind::Map, "maps", |_| what, wrong_field)
}

fn wrong_field(evidence: &Evidence<'_>, _: &Bytes, events: &[Event<'_>], visible: &Visible) -> Option<String> {
    let is_counted = events.iter().any(|event| matches!(event.what, What::Add(_)));
    let is_text = events.iter().any(|event| matches!(event.what, What::Write(_)));
    match (is_counted, is_text, shown::number(visible)) {
        (true, false, Some(sum)) => cell::wrong_sum(evidence, events, sum),
        (true, false, None) => Some(format!("is counted, and shows {visible:?}")),
        (false, true, _) => {
            // A removal writes only where it saw something.
            let mut events = events.to_vec();
            for event in events.iter_mut().filter(|event| event.certainty == Certainty::Must) {
                if event.what == What::Cover {
                    event.certainty = Certainty::May;
                }
            }
            cell::wrong_last(evidence, &events, shown::text(visible).as_ref())
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "maps_tests.rs"]
mod tests;
