//! The sketch: its laws, its bytes, and how well it counts.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::causality::{Dot, Epoch, Tenure, Tick};
use crate::value::laws;

fn stamp(wall: u64) -> Stamp {
    let actor = ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) };
    Stamp::new(Hlc { wall, logical: 0 }, Dot { actor, event: wall })
}

fn add(sketch: &mut Sketch, wall: u64, items: impl IntoIterator<Item = u64>) -> Sketch {
    let delta = sketch.delta(stamp(wall), items.into_iter().map(u64::to_be_bytes));
    sketch.merge(&delta);
    delta
}

fn bytes_of(sketch: &Sketch) -> Vec<u8> {
    let mut bytes = Vec::new();
    sketch.encode(&mut bytes);
    assert_eq!(bytes.len(), sketch.encoded_bytes());
    bytes
}

/// Small, large and deleted ones.
fn any_sketch() -> impl Strategy<Value = Sketch> {
    let count = prop_oneof![5 => 1..20u64, 1 => 5_000..6_000u64];
    vec((prop::option::weighted(0.8, (0..9_000u64, count)), 1..9u64), 0..4).prop_map(|writes| {
        let mut sketch = Sketch::default();
        for (write, wall) in writes {
            match write {
                Some((first, count)) => {
                    // A write comes after what it saw.
                    let wall = sketch.latest().map_or(wall, |latest| latest.hlc.wall + wall);
                    add(&mut sketch, wall, first..first + count);
                }
                None => {
                    sketch.merge(&Sketch::cleared(stamp(wall)));
                }
            }
        }
        sketch
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_merge_laws_hold(a in any_sketch(), b in any_sketch(), c in any_sketch()) {
        laws::check_merge(&a, &b, &c);
        let mut merged = a.clone();
        prop_assert_eq!(merged.merge(&b), merged != a, "merge reports a change exactly if there was one");
    }

    #[test]
    fn sketches_come_back_from_their_bytes(a in any_sketch(), b in any_sketch()) {
        if !a.is_unwritten() {
            prop_assert_eq!(Sketch::decode(&bytes_of(&a)), Ok(a.clone()));
        }
        prop_assert_eq!(a == b, bytes_of(&a) == bytes_of(&b));
    }

    #[test]
    fn a_delta_does_what_the_whole_does(a in any_sketch(), other in any_sketch(), items in vec(any::<u64>(), 1..9)) {
        let mut after = a.clone();
        let wall = a.latest().map_or(1, |latest| latest.hlc.wall + 1);
        let delta = add(&mut after, wall, items);
        laws::check_delta(&a, &delta, &after, &other);
    }
}

#[test]
fn the_estimate_is_within_three_standard_errors() {
    let mut sketch = Sketch::default();
    assert_eq!(sketch.estimate(), 0);
    let mut added = 0u64;
    for target in [1u64, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        add(&mut sketch, target, added..target);
        added = target;
        let error = sketch.estimate().abs_diff(target) as f64 / target as f64;
        assert!(error < 0.0243, "{target} items look like {}", sketch.estimate());
    }
    let before = sketch.clone();
    let mut again = sketch.clone();
    add(&mut again, 1, 0..1_000);
    assert_eq!(again, before, "adding again changes nothing");
}

#[test]
fn a_deletion_begins_anew_and_takes_what_it_did_not_see_of_the_old_generation() {
    let mut here = Sketch::default();
    add(&mut here, 1, 0..10);
    let mut there = here.clone();
    here.merge(&Sketch::cleared(stamp(2)));
    assert!(!here.is_live() && here.tombstone() == Some(&stamp(2)));
    add(&mut there, 3, 10..20);
    there.merge(&here);
    assert_eq!(there, here);
    add(&mut there, 4, 0..3);
    assert_eq!((there.estimate(), there.tombstone()), (3, None));
}

#[test]
fn nothing_added_is_nothing_written() {
    assert_eq!(Sketch::default().delta(stamp(1), Vec::<[u8; 1]>::new()), Sketch::default());
}

/// The hash, the registers and the estimator never change: sketches on disk outlive programs.
#[test]
fn registers_and_estimates_are_pinned() {
    let offers: Vec<(u16, u8)> = [&b""[..], b"a", b"starling", b"another item"].map(offer).to_vec();
    assert_eq!(offers, [(2881, 1), (14769, 1), (1068, 1), (10430, 3)]);
    let mut sketch = Sketch::default();
    add(&mut sketch, 1, 0..50_000);
    assert_eq!(sketch.estimate(), 49_807);
}

#[test]
fn bytes_that_are_not_canonical_are_refused() {
    let head = |generation: Option<u64>, wall: u64| {
        let mut bytes = vec![u8::from(generation.is_some())];
        generation.iter().for_each(|generation| stamp(*generation).encode(&mut bytes));
        stamp(wall).encode(&mut bytes);
        bytes
    };
    let with = |head: Vec<u8>, tail: &[u8]| [head, tail.to_vec()].concat();
    Sketch::decode(&with(head(Some(1), 2), &[PAIRS, 0, 1, 51])).expect("a good one");
    Sketch::decode(&with(head(Some(2), 2), &[NONE])).expect("a deleted one");
    let full = |value: u8| {
        let packed = u32::from(value) << 18 | u32::from(value) << 12 | u32::from(value) << 6 | u32::from(value);
        with(head(None, 1), &[&[ALL][..], &packed.to_be_bytes()[1..].repeat(REGISTERS / 4)].concat())
    };
    Sketch::decode(&full(51)).expect("a full one");
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a third sort of generation", with(vec![2], &head(None, 1)[1..])),
        ("older than its generation", with(head(Some(3), 2), &[PAIRS, 0, 1, 1])),
        ("empty without a generation", with(head(None, 2), &[NONE])),
        ("empty pairs", with(head(Some(1), 2), &[PAIRS])),
        ("a pair cut short", with(head(None, 2), &[PAIRS, 0, 1])),
        ("pairs out of order", with(head(None, 2), &[PAIRS, 0, 2, 1, 0, 1, 1])),
        ("a register twice", with(head(None, 2), &[PAIRS, 0, 1, 1, 0, 1, 2])),
        ("a register that is zero", with(head(None, 2), &[PAIRS, 0, 1, 0])),
        ("a value too large", with(head(None, 2), &[PAIRS, 0, 1, 52])),
        ("a register beyond the last", with(head(None, 2), &[PAIRS, 0x40, 0, 1])),
        ("all of them too large", full(52)),
        ("all of them zero", full(0)),
        ("all of them, cut short", {
            let mut bytes = full(51);
            bytes.pop();
            bytes
        }),
        ("a fourth form", with(head(None, 2), &[3])),
    ];
    for (what, bytes) in bad {
        assert!(matches!(Sketch::decode(&bytes), Err(DecodeError::Malformed(_))), "{what}");
    }
}
