//! What is given up, and what is not.

use bytes::Bytes;

use super::*;
use crate::causality::{ActorId, Epoch, Tenure};
use crate::time::{Hlc, WallTime};
use crate::value::Visible;

const TICK: Duration = Duration::from_secs(1);
const LEASE: u32 = 10;

fn dot(tick: u32, event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(tick), epoch: Epoch(1), tenure: Tenure(0) }, event }
}

fn at(seconds: u64) -> Hlc {
    Hlc { wall: seconds * 1_000_000, logical: 0 }
}

fn text(value: &'static str) -> Bytes {
    Bytes::from_static(value.as_bytes())
}

fn shown(row: &Row) -> Visible {
    row.visible(&Beside::NONE, WallTime(0))
}

/// The row of a directory that was replaced meets that of a co-owner that has folded so far.
fn met(mut ours: Row, theirs: &Row, folded: u32) -> Row {
    ours.give_up(theirs, Tick(folded), TICK, LEASE, &Beside::NONE);
    ours.merge(theirs);
    ours
}

#[test]
fn what_was_deleted_and_forgotten_meanwhile_stays_deleted() {
    let mut old = Row::default();
    old.put(dot(2, 1), at(1), text("old"), &Row::default());
    assert_eq!(met(old, &Row::default(), 30), Row::default(), "a register, with when it was touched");

    let mut counter = Row::default();
    counter.increment(dot(2, 1), at(1), 5, &Beside::NONE).unwrap();
    assert_eq!(met(counter.clone(), &Row::default(), 30), Row::default(), "a counter");
    counter.compact(Tick(3));
    assert_eq!(met(counter, &Row::default(), 30), Row::default(), "a sum");

    let mut member = Row::default();
    member.add_member(dot(2, 1));
    assert_eq!(met(member, &Row::default(), 30), Row::default(), "a member");

    let mut sketch = Row::default();
    sketch.add_to_sketch(dot(2, 1), at(1), &[text("item")]);
    assert_eq!(met(sketch, &Row::default(), 30), Row::default(), "a sketch");

    let mut deadline = Row::default();
    deadline.put(dot(2, 1), at(1), text("old"), &Row::default());
    deadline.set_expiry(dot(2, 2), at(2), Some(WallTime(9_000_000)));
    assert_eq!(met(deadline, &Row::default(), 30), Row::default(), "a key that expired");
}

#[test]
fn what_still_stands_with_the_co_owner_stays() {
    let mut row = Row::default();
    row.put(dot(2, 1), at(1), text("old"), &Row::default());
    row.add_member(dot(2, 2));
    row.increment(dot(3, 1), at(2), 5, &Beside::NONE).unwrap_or_default();
    let mut theirs = row.clone();
    theirs.compact(Tick(30));
    theirs.fold_baselines(Tick(30));
    assert_eq!(met(row, &theirs, 30), theirs);
}

#[test]
fn what_is_younger_than_what_was_folded_is_kept() {
    let mut young = Row::default();
    young.increment(dot(40, 1), at(35), 5, &Beside::NONE).unwrap();
    young.add_member(dot(40, 2));
    assert_eq!(met(young.clone(), &Row::default(), 30), young);
    let mut put = Row::default();
    put.put(dot(40, 1), at(35), text("young"), &Row::default());
    assert_eq!(shown(&met(put, &Row::default(), 30)), Visible::Text(text("young")));
}

#[test]
fn a_young_increment_on_a_sum_that_was_reset_and_forgotten_counts_alone() {
    let mut ours = Row::default();
    ours.increment(dot(2, 1), at(1), 5, &Beside::NONE).unwrap();
    ours.compact(Tick(3));
    ours.increment(dot(40, 1), at(35), 7, &Beside::NONE).unwrap();
    let mut theirs = Row::default();
    theirs.increment(dot(41, 1), at(36), 100, &Beside::NONE).unwrap();
    assert_eq!(met(ours, &theirs, 30).counter_sum_text(&Beside::NONE), "107");
}

#[test]
fn a_young_removal_of_what_the_co_owner_still_has_is_kept() {
    let mut theirs = Row::default();
    theirs.add_member(dot(2, 1));
    theirs.compact(Tick(30));
    let mut ours = Row::default();
    ours.add_member(dot(2, 1));
    let seen = ours.clone();
    ours.remove_member(dot(40, 1), &seen);
    assert!(!met(ours, &theirs, 30).is_live_element(crate::ids::CollectionKind::Set));
}

#[test]
fn an_old_sibling_that_was_replaced_goes_and_a_young_one_stays() {
    let mut ours = Row::default();
    let seen = crate::causality::Context::default();
    ours.put_sibling(dot(2, 1), at(1), text("old"), &seen).unwrap();
    ours.put_sibling(dot(40, 1), at(35), text("young"), &seen).unwrap();
    let mut theirs = Row::default();
    theirs.put_sibling(dot(41, 1), at(36), text("theirs"), &seen).unwrap();
    let met = met(ours, &theirs, 30);
    assert_eq!(met.sibling_values().cloned().collect::<Vec<_>>(), [text("young"), text("theirs")]);
}

#[test]
fn a_register_that_is_newer_than_theirs_was_never_deleted() {
    let (mut ours, mut theirs) = (Row::default(), Row::default());
    theirs.put(dot(2, 1), at(1), text("first"), &Row::default());
    ours.put(dot(3, 1), at(2), text("second"), &theirs);
    assert_eq!(shown(&met(ours, &theirs, 30)), Visible::Text(text("second")));
}

#[test]
fn a_hint_of_what_was_sealed_keeps_only_what_is_younger() {
    let mut hint = Row::default();
    let seen = crate::causality::Context::default();
    hint.put_sibling(dot(2, 1), at(1), text("old"), &seen).unwrap();
    hint.increment(dot(2, 2), at(1), 5, &Beside::NONE).unwrap_or_default();
    let mut old = hint.clone();
    hint.put_sibling(dot(40, 1), at(35), text("young"), &seen).unwrap();
    assert!(hint.keep_younger(Tick(30)));
    assert_eq!(hint.sibling_values().cloned().collect::<Vec<_>>(), [text("young")]);
    // With an owner where the old one still stands, both do.
    let mut owner = Row::default();
    owner.put_sibling(dot(2, 1), at(1), text("old"), &seen).unwrap();
    owner.merge(&hint);
    assert_eq!(owner.sibling_values().count(), 2);
    assert!(old.keep_younger(Tick(30)) && old.holds_only_touches());
}
