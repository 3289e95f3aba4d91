//! The counter against the `crdts` crate: its PN-counter where that is right, its reset where it is not.

use crdts::{CmRDT, CvRDT, PNCounter, ResetRemove, VClock};
use proptest::prelude::*;

use super::*;
use crate::causality::{ActorId, Epoch, Tenure, Tick};
use crate::value::laws;

fn actor(number: u64) -> ActorId {
    ActorId { expires: Tick(5), epoch: Epoch(number), tenure: Tenure(0) }
}

fn dot(number: u64, event: u64) -> Dot {
    Dot { actor: actor(number), event }
}

const ACTORS: usize = 3;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each step is an increment at a replica, or (amount `None`) the merge of the next replica into it.
    #[test]
    fn without_resets_it_counts_like_the_pn_counter_of_crdts(
        steps in proptest::collection::vec((0..ACTORS, proptest::option::of(-1000..1000i64)), 1..50),
    ) {
        let mut ours = vec![Counter::default(); ACTORS];
        let mut theirs = vec![PNCounter::<ActorId>::new(); ACTORS];
        for (event, (at, by)) in (1..).zip(steps) {
            match by {
                Some(by) => {
                    ours[at].increment(dot(at as u64, event), by).unwrap();
                    let amount = by.unsigned_abs();
                    let change = match by < 0 {
                        true => theirs[at].dec_many(actor(at as u64), amount),
                        false => theirs[at].inc_many(actor(at as u64), amount),
                    };
                    theirs[at].apply(change);
                }
                None => {
                    let from = (at + 1) % ACTORS;
                    let (row, oracle) = (ours[from].clone(), theirs[from].clone());
                    ours[at].merge(&row);
                    CvRDT::merge(&mut theirs[at], oracle);
                }
            }
            prop_assert_eq!(ours[at].sum(&Beside::NONE).to_string(), theirs[at].read().to_string());
        }
    }

    /// States that no history makes, too: equal events with other totals.
    #[test]
    fn the_merge_laws_hold_for_arbitrary_states(a in any_counter(), b in any_counter(), c in any_counter()) {
        laws::check_merge(&a, &b, &c);
    }
}

fn any_records() -> impl Strategy<Value = PerActor<Totals>> {
    proptest::collection::vec((0..4u64, 1..4u64, 0..3u128, 0..3u128), 0..5).prop_map(|records| {
        let mut all = PerActor::default();
        for (number, event, p, n) in records {
            all.merge(&PerActor::of(Record { actor: actor(number), event, content: Totals { p, n } }));
        }
        all
    })
}

fn any_counter() -> impl Strategy<Value = Counter> {
    (any_records(), any_records()).prop_map(|(entries, baselines)| Counter::of(entries, baselines))
}

/// A reset of the `crdts` crate forgets the actor; a peer that missed the reset brings the old total back.
#[test]
fn a_reset_holds_against_a_peer_that_missed_it_where_crdts_revives_the_old_total() {
    let mut oracle = PNCounter::<ActorId>::new();
    oracle.apply(oracle.inc_many(actor(1), 10));
    let oracle_peer = oracle.clone();
    oracle.reset_remove(&VClock::from(crdts::Dot::new(actor(1), 10)));
    oracle.apply(oracle.inc_many(actor(1), 3));
    CvRDT::merge(&mut oracle, oracle_peer);
    assert_eq!(oracle.read().to_string(), "10", "three were counted after the reset");

    let mut ours = Counter::default();
    ours.increment(dot(1, 1), 10).unwrap();
    let our_peer = ours.clone();
    ours.cover();
    ours.increment(dot(1, 2), 3).unwrap();
    ours.merge(&our_peer);
    assert_eq!(ours.sum(&Beside::NONE).exact(), Some(3));
}

/// A reset of the `crdts` crate that meets a later total covers none of it.
#[test]
fn a_reset_covers_its_part_of_a_later_total_where_crdts_covers_nothing() {
    let mut oracle = PNCounter::<ActorId>::new();
    oracle.apply(oracle.inc_many(actor(1), 10));
    oracle.apply(oracle.inc_many(actor(1), 7));
    oracle.reset_remove(&VClock::from(crdts::Dot::new(actor(1), 10)));
    assert_eq!(oracle.read().to_string(), "17", "seven came after what the reset saw");

    let mut ours = Counter::default();
    ours.increment(dot(1, 1), 10).unwrap();
    let mut reset = ours.clone();
    reset.cover();
    ours.increment(dot(1, 2), 7).unwrap();
    ours.merge(&reset);
    assert_eq!(ours.sum(&Beside::NONE).exact(), Some(7));
}

/// An overflow of the `crdts` crate wraps; ours is refused.
#[test]
fn totals_that_would_overflow_are_refused_and_stay() {
    let full = PerActor::of(Record { actor: actor(1), event: 1, content: Totals { p: u128::MAX, n: 0 } });
    let mut counter = Counter::of(full, PerActor::default());
    let before = counter.clone();
    assert_eq!(counter.increment(dot(1, 2), 1), Err(ValueError::Overflow));
    assert_eq!(counter, before);
    counter.increment(dot(1, 2), -1).unwrap();
    assert_eq!(counter.sum(&Beside::NONE).to_string(), (u128::MAX - 1).to_string());
}

#[test]
#[should_panic(expected = "a dot is minted once")]
fn a_dot_that_the_counter_has_seen_is_not_minted_again() {
    let mut counter = Counter::default();
    counter.increment(dot(1, 3), 1).unwrap();
    counter.increment(dot(1, 3), 1).unwrap();
}

#[test]
fn an_increment_by_zero_is_live_until_it_is_covered() {
    let mut counter = Counter::default();
    counter.increment(dot(1, 1), 0).unwrap();
    assert!(counter.is_live(&Beside::NONE));
    counter.cover();
    assert!(!counter.is_live(&Beside::NONE));
}

#[test]
fn a_delta_merges_into_a_counter_of_many_actors_at_its_place() {
    let mut counter = Counter::default();
    for number in (0..100).step_by(2) {
        counter.increment(dot(number, 1), 1).unwrap();
    }
    for number in [0, 1, 49, 50, 99, 200] {
        let mut delta = Counter::default();
        delta.increment(dot(number, 2), 10).unwrap();
        assert!(counter.merge(&delta) && !counter.merge(&delta));
    }
    let actors: Vec<u64> = counter.entries.dots().map(|(actor, _)| actor.epoch.0).collect();
    assert!(actors.is_sorted() && actors.len() == 54);
    assert_eq!(counter.sum(&Beside::NONE).exact(), Some(48 + 6 * 10));
}

/// What the mutation tests rely on: with the protection off, one side's increments are lost.
#[cfg(feature = "mutations")]
#[test]
fn without_the_protection_the_larger_sum_swallows_the_smaller() {
    let (mut five, mut three) = (Counter::default(), Counter::default());
    five.increment(dot(1, 1), 5).unwrap();
    three.increment(dot(2, 1), 3).unwrap();
    mutation::switch_off(Some(Mutation::MergeTakesLargerSum));
    three.merge(&five);
    five.merge(&three);
    mutation::switch_off(None);
    assert_eq!((five.sum(&Beside::NONE).exact(), three.sum(&Beside::NONE).exact()), (Some(5), Some(5)));
}
