//! What covers what was seen, for every kind of write, and its bytes.

use proptest::prelude::*;

use super::*;
use crate::causality::{Epoch, Tenure};
use crate::time::Hlc;
use crate::value::{Beside, Score};

const OWNER: Answered = Answered { settled: Tick(0), an_owner: true, every_owner: false, written_before: WallTime(0) };

fn actor(epoch: u64) -> ActorId {
    ActorId { expires: Tick(9), epoch: Epoch(epoch), tenure: Tenure(0) }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

/// Writes one thing of a kind under a fresh dot, and returns the delta.
fn write(row: &mut Row, kind: u8, writer: u64, number: u64) -> Row {
    let dot = Dot { actor: actor(writer), event: number };
    let stamp = at(number);
    let observed = row.clone();
    match kind {
        0 => row.increment(dot, stamp, 1, &Beside::NONE).unwrap(),
        1 => row.put(dot, stamp, "7".into(), &observed),
        2 => row.delete(dot, stamp, &observed),
        3 => row.set_flag(dot, stamp),
        4 => row.clear_flag(dot, stamp, &observed),
        5 => row.add_to_sketch(dot, stamp, [number.to_be_bytes()]),
        6 => row.add_member(dot),
        7 => row.remove_member(dot, &observed),
        8 => row.put_score(dot, stamp, Score::new(1.0).unwrap()),
        9 => row.set_expiry(dot, stamp, None),
        _ => row.put_sibling(dot, stamp, "s".into(), &observed.siblings_context()).unwrap(),
    }
}

proptest! {
    #[test]
    fn a_row_covers_exactly_what_it_has_merged(writes in proptest::collection::vec((0..11u8, 0..2usize), 1..12)) {
        let mut rows = [Row::default(), Row::default()];
        for (number, (kind, place)) in (1..).zip(writes) {
            write(&mut rows[place], kind, place as u64, number);
        }
        let [ours, theirs] = rows;
        let mut merged = ours.clone();
        merged.merge(&theirs);
        let mut seen = ours.seen();
        prop_assert!(seen.is_covered_by(&ours, OWNER));
        prop_assert!(seen.is_covered_by(&merged, OWNER));
        // What covers it loses nothing by a merge with it.
        if theirs.seen().is_covered_by(&ours, OWNER) {
            prop_assert_eq!(merged.visible(&Beside::NONE, Default::default()), ours.visible(&Beside::NONE, Default::default()));
        }
        seen.merge(&theirs.seen());
        prop_assert!(seen.is_covered_by(&merged, OWNER));
        let mut bytes = Vec::new();
        seen.encode(&mut bytes);
        prop_assert_eq!(Seen::decode(&bytes), Ok(seen));
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(seen) = Seen::decode(&bytes) {
            seen.is_covered_by(&Row::default(), OWNER);
        }
    }
}

#[test]
fn a_row_without_the_write_does_not_cover_it_whatever_its_kind() {
    for kind in 0..11 {
        let mut before = Row::default();
        // Something of the same actor, so that a later event alone proves nothing.
        write(&mut before, 0, 1, 1);
        write(&mut before, 3, 1, 2);
        write(&mut before, 6, 1, 3);
        let mut after = before.clone();
        let delta = write(&mut after, kind, 1, 4);
        assert!(before.seen().is_covered_by(&after, OWNER), "kind {kind}");
        assert!(!delta.seen().is_covered_by(&before, OWNER), "kind {kind}");
        let mut other = before.clone();
        other.merge(&delta);
        assert!(delta.seen().is_covered_by(&other, OWNER), "kind {kind}");
    }
}

#[test]
fn what_expired_is_covered_where_it_is_settled_and_removals_where_every_owner_has_forgotten_them() {
    let mut row = Row::default();
    write(&mut row, 0, 1, 1);
    write(&mut row, 2, 1, 2);
    let seen = row.seen();
    let empty = Row::default();
    let answered = |settled: u32, every_owner: bool| Answered { settled: Tick(settled), every_owner, ..OWNER };
    assert!(!seen.is_covered_by(&empty, answered(8, true)), "not expired by then");
    assert!(!seen.is_covered_by(&empty, answered(9, false)), "another owner may hold the removal");
    assert!(seen.is_covered_by(&empty, answered(9, true)));
    let mut settled = row.clone();
    settled.compact(Tick(9));
    assert!(seen.is_covered_by(&settled, OWNER), "the sum and the register are there");
    assert!(settled.seen().is_covered_by(&row, OWNER), "an owner that has not summed up yet holds the entries");
    assert!(!settled.seen().is_covered_by(&row, Answered::default()), "a fallback may not");
}

#[test]
fn a_sketch_that_was_forgotten_and_is_written_anew_is_followed_anew() {
    let mut row = Row::default();
    write(&mut row, 5, 1, 1);
    write(&mut row, 2, 1, 2);
    write(&mut row, 5, 1, 3);
    let mut seen = row.seen();
    // Deleted once more, forgotten by everybody, and begun anew.
    let mut anew = Row::default();
    write(&mut anew, 5, 2, 100);
    let answered = |written_before: u64, every_owner: bool| Answered {
        settled: Tick(99),
        every_owner,
        written_before: WallTime(written_before),
        ..OWNER
    };
    assert!(!seen.is_covered_by(&anew, answered(4, false)), "another owner may hold it");
    assert!(!seen.is_covered_by(&anew, answered(3, true)), "an addition before the last one may be held as a hint");
    assert!(seen.is_covered_by(&anew, answered(4, true)));
    seen.add_shown(&anew.seen());
    assert!(seen.is_covered_by(&anew, OWNER));
    assert!(!seen.is_covered_by(&Row::default(), answered(4, true)), "what was added since is followed");
}
