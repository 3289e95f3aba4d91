//! Which type a key shows, and what it hides.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};

fn dot(event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

const NOW: WallTime = WallTime(0);

fn shown(row: &Row) -> Visible {
    row.visible(&Beside::NONE, NOW)
}

/// A row in which a split made all of these live.
fn every_type() -> Row {
    let mut row = Row::default();
    row.add_to_sketch(dot(1), at(1), ["a", "b"]);
    row.set_flag(dot(2), at(2));
    row.put_sibling(dot(3), at(3), Bytes::from("x"), &Context::default()).unwrap();
    row.increment(dot(4), at(4), 5, &Beside::NONE).unwrap();
    row
}

#[test]
fn the_type_that_was_touched_last_is_shown_and_the_others_stay_beside_it() {
    let mut row = every_type();
    assert_eq!(shown(&row), Visible::Integer { value: 5, saturated: false });
    assert!(row.has_conflict(&Beside::NONE));
    row.touch(ValueType::Siblings, at(5));
    assert_eq!(shown(&row), Visible::Siblings(vec![Bytes::from("x")]));
    row.touch(ValueType::Flag, at(6));
    assert_eq!(shown(&row), Visible::Flag);
    row.touch(ValueType::Sketch, at(7));
    assert_eq!(shown(&row), Visible::Estimate(2));
    let whole = row.clone();
    row.clear_flag(dot(5), at(8), &whole);
    assert_eq!(shown(&row), Visible::Estimate(2), "a type that is not live is not shown");
}

#[test]
fn a_write_of_another_type_than_the_visible_one_is_refused() {
    let row = every_type();
    assert_eq!(row.can_write(ValueType::String, &Beside::NONE, NOW), Ok(()));
    assert_eq!(row.can_write(ValueType::Flag, &Beside::NONE, NOW), Err(ValueType::String));
    assert_eq!(ValueType::String.to_string(), "string");
    assert_eq!(Row::default().can_write(ValueType::Flag, &Beside::NONE, NOW), Ok(()));
}

#[test]
fn a_collection_is_live_while_an_element_beside_it_is() {
    let mut early = Beside::NONE;
    early.replace_element(CollectionKind::Map, false, true, false, true);
    let map = Visible::Collection { kind: CollectionKind::Map, size: 1 };
    assert_eq!(Row::default().visible(&early, NOW), map, "an element may come before its main row");
    let mut row = Row::default();
    row.set_flag(dot(1), at(1));
    row.touch(ValueType::Collection(CollectionKind::Set), at(2));
    assert_eq!(shown(&row), Visible::Flag);
    let mut beside = Beside::NONE;
    beside.replace_element(CollectionKind::Set, false, true, false, true);
    let set = |size| Visible::Collection { kind: CollectionKind::Set, size };
    assert_eq!((row.visible(&beside, NOW), row.has_conflict(&beside)), (set(1), true));
    beside.replace_element(CollectionKind::Set, true, false, true, true);
    assert_eq!((row.visible(&beside, NOW), beside.elements(CollectionKind::Set).rows), (Visible::Flag, 1));
    beside.replace_element(CollectionKind::Set, false, false, true, false);
    assert!(beside.is_empty());
}

#[test]
fn one_delete_takes_away_what_it_saw_of_every_type_and_nothing_else() {
    let mut row = every_type();
    row.set_expiry(dot(5), at(5), Some(WallTime(99)));
    let observed = row.clone();
    let mut unseen = observed.clone();
    unseen.put_sibling(dot(6), at(6), Bytes::from("late"), &Context::default()).unwrap();
    let delta = row.delete(dot(7), at(7), &observed);
    assert_eq!((shown(&row), row.deadline()), (Visible::Nothing, None));
    assert!(!row.has_anything(&Beside::NONE) && !row.has_conflict(&Beside::NONE));
    let mut other = observed.clone();
    other.merge(&delta);
    assert_eq!(other, row, "one delta says it all");
    // A dot of the actor before the deletion's that it did not see: only another actor's survives.
    let mut elsewhere = observed;
    let stranger = Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(2), tenure: Tenure(0) }, event: 1 };
    elsewhere.put_sibling(stranger, at(6), Bytes::from("late"), &Context::default()).unwrap();
    elsewhere.merge(&delta);
    assert_eq!(shown(&elsewhere), Visible::Siblings(vec![Bytes::from("late")]));
}

#[test]
fn a_read_hides_what_has_expired_until_it_is_covered() {
    let mut row = Row::default();
    row.put(dot(1), at(1), Bytes::from("x"), &Row::default());
    row.set_expiry(dot(2), at(2), Some(WallTime(100)));
    assert_eq!(row.visible(&Beside::NONE, WallTime(99)), Visible::Text(Bytes::from("x")));
    assert_eq!(row.visible(&Beside::NONE, WallTime(100)), Visible::Nothing);
    assert_eq!(row.visible_type(&Beside::NONE, WallTime(100)), None, "so any type may be written");
    assert!(row.has_anything(&Beside::NONE), "it is there, to be covered");
    let mut made_to_stay = row.clone();
    made_to_stay.set_expiry(dot(3), at(3), None);
    assert_eq!(made_to_stay.visible(&Beside::NONE, WallTime(100)), Visible::Text(Bytes::from("x")));

    let seen = row.clone();
    row.sweep(dot(3), at(200), &seen);
    row.increment(dot(4), at(201), 1, &Beside::NONE).unwrap();
    assert_eq!(row.visible(&Beside::NONE, WallTime(202)), Visible::Nothing, "what comes late stays hidden");
    let seen = row.clone();
    row.delete(dot(5), at(203), &seen);
    row.increment(dot(5), at(203), 1, &Beside::NONE).unwrap();
    assert_eq!(row.visible(&Beside::NONE, WallTime(204)), Visible::Integer { value: 1, saturated: false });
}

#[test]
fn a_put_ends_a_deadline_that_it_saw_and_a_shorter_one_replaces_a_longer() {
    let mut row = Row::default();
    row.set_expiry(dot(1), at(1), Some(WallTime(100)));
    row.set_expiry(dot(2), at(2), Some(WallTime(10)));
    assert_eq!(row.deadline(), Some(WallTime(10)));
    let seen = row.clone();
    row.put(dot(3), at(3), Bytes::from("x"), &seen);
    assert_eq!(row.deadline(), None);
}

#[test]
fn a_put_ends_a_deadline_that_it_did_not_see_and_a_later_deadline_holds() {
    let mut row = Row::default();
    row.set_expiry(dot(1), at(1), Some(WallTime(100)));
    row.put(dot(2), at(2), Bytes::from("x"), &Row::default());
    assert_eq!(row.visible(&Beside::NONE, WallTime(200)), Visible::Text(Bytes::from("x")));
    assert_eq!(row.deadline(), None);
    row.set_expiry(dot(3), at(3), Some(WallTime(100)));
    assert_eq!(row.visible(&Beside::NONE, WallTime(200)), Visible::Nothing);
}

#[test]
fn a_sweep_and_a_new_beginning_leave_what_was_put_meanwhile() {
    let mut expired = Row::default();
    expired.put(dot(1), at(1), Bytes::from("old"), &Row::default());
    expired.set_expiry(dot(2), at(2), Some(WallTime(100)));
    let mut swept = expired.clone();
    swept.sweep(dot(4), at(300), &expired);
    let mut begun = expired.clone();
    begun.begin_anew(dot(5), at(300), &expired);
    assert_eq!((shown(&begun), begun.deadline()), (Visible::Nothing, None));
    let put = expired.clone().put(dot(3), at(200), Bytes::from("new"), &expired);
    for mut row in [swept, begun] {
        row.merge(&put);
        assert_eq!(row.visible(&Beside::NONE, WallTime(400)), Visible::Text(Bytes::from("new")));
    }
}

#[test]
fn of_two_scores_given_at_once_the_later_is_shown_and_the_next_covers_both() {
    let score = |value| Score::new(value).unwrap();
    let stranger = ActorId { expires: Tick(9), epoch: Epoch(2), tenure: Tenure(0) };
    let (mut here, mut there) = (Row::default(), Row::default());
    here.put_score(dot(1), at(5), score(1.0));
    there.put_score(Dot { actor: stranger, event: 1 }, at(4), score(2.0));
    here.merge(&there);
    assert_eq!(shown(&here), Visible::Score(score(1.0)));
    here.put_score(dot(2), at(6), score(0.5));
    assert_eq!(here.score(), Some(score(0.5)));
    let seen = here.clone();
    here.remove_score(dot(3), &seen);
    here.merge(&there);
    assert_eq!((shown(&here), here.is_live_element(CollectionKind::SortedSet)), (Visible::Nothing, false));
}

#[test]
fn too_many_siblings_or_too_long_ones_are_refused_and_a_merge_keeps_all() {
    let mut row = Row::default();
    for event in 1..=crate::limits::SIBLINGS_MAX as u64 {
        row.put_sibling(dot(event), at(event), Bytes::from("x"), &Context::default()).unwrap();
    }
    let before = row.clone();
    let refused = row.put_sibling(dot(99), at(99), Bytes::from("y"), &Context::default());
    assert_eq!(refused, Err(ValueError::TooManySiblings { count: 65 }));
    assert_eq!(row, before);
    let long = Bytes::from(vec![0; crate::limits::VALUE_BYTES_MAX + 1]);
    let bytes = long.len();
    assert_eq!(row.put_sibling(dot(99), at(99), long, &row.siblings_context()), Err(ValueError::TooLarge { bytes }));
    let mut other = Row::default();
    let stranger = Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(2), tenure: Tenure(0) }, event: 1 };
    other.put_sibling(stranger, at(1), Bytes::from("z"), &Context::default()).unwrap();
    row.merge(&other);
    assert_eq!(row.siblings(), 65);
    let seen = row.siblings_context();
    row.put_sibling(dot(99), at(100), Bytes::from("y"), &seen).unwrap();
    assert_eq!(row.siblings(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The two-step write: the context is what a client carried, the second step may be sent through any node, again.
    #[test]
    fn a_reset_or_a_put_from_a_context_counts_once_however_often_it_is_sent(
        seen in proptest::collection::vec(-5..6i64, 1..5),
        unseen in proptest::collection::vec(-5..6i64, 0..5),
        value in proptest::option::of(-9..10i64),
        resets in 1..4usize,
    ) {
        let mut row = Row::default();
        let mut event = 0;
        let mut add = |row: &mut Row, by: i64| {
            event += 1;
            row.increment(dot(event), at(event), by, &Beside::NONE).unwrap();
        };
        seen.iter().for_each(|by| add(&mut row, *by));
        let context = row.counter_seen();
        unseen.iter().for_each(|by| add(&mut row, *by));
        let stamp = Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(5), tenure: Tenure(0) }, event: 1 };
        let mut elsewhere = row.clone();
        for _ in 0..resets {
            for row in [&mut row, &mut elsewhere] {
                match value {
                    Some(value) => row.put(stamp, at(50), Bytes::from(value.to_string()), &context),
                    None => row.reset(stamp, at(50), &context),
                };
            }
        }
        prop_assert_eq!(&row, &elsewhere);
        let expected = value.unwrap_or(0) + unseen.iter().sum::<i64>();
        let is_nothing = value.is_none() && unseen.is_empty();
        let integer = Visible::Integer { value: expected, saturated: false };
        prop_assert_eq!(shown(&row), if is_nothing { Visible::Nothing } else { integer });
    }
}
