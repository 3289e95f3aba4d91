//! Fields of newer programs in digests, and in what is frozen.

use super::*;
use crate::causality::{Dot, Epoch, Tenure};
use crate::time::Hlc;
use crate::value::history::future_row;
use crate::value::{Beside, Closed, MergeKind};

const TIED_TO_TICKS: [MergeKind; 2] = [MergeKind::LargestEventPerActor, MergeKind::Dotted];

fn dot(event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(7), epoch: Epoch(1), tenure: Tenure(0) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

fn future(tag: u32, kind: MergeKind, event: u64) -> Row {
    Row::decode(&future_row(tag, kind, dot(event), at(event), 3)).unwrap()
}

/// A row that holds something known too.
fn counted() -> Row {
    let mut row = Row::default();
    let known = Dot { actor: ActorId { expires: Tick(3), ..dot(1).actor }, event: 1 };
    row.increment(known, at(1), 5, &Beside::NONE).unwrap();
    row
}

#[test]
fn no_tick_is_settled_over_a_difference_in_a_field_of_a_newer_program() {
    for kind in TIED_TO_TICKS {
        let mut with = counted();
        assert!(with.merge(&future(40, kind, 1)));
        assert_eq!(with.digest(Tick(6)), counted().digest(Tick(6)), "{kind:?}: it may still change");
        assert_ne!(with.digest(Tick(7)), counted().digest(Tick(7)), "{kind:?}");
        assert_ne!(future(40, kind, 1).digest(Tick(7)), future(40, kind, 2).digest(Tick(7)), "{kind:?}");
        assert_ne!(future(40, kind, 1).digest(Tick(7)), future(41, kind, 1).digest(Tick(7)), "{kind:?}: by its tag");
        let mut without = counted();
        without.merge(&with);
        assert_eq!(with.digest(Tick(7)), without.digest(Tick(7)), "{kind:?}: an exchange makes them equal");
    }
    let floor = future(109, MergeKind::Floor, 1);
    assert!(floor.digest(Tick(1)).is_some(), "what was settled of it must be equal, as of a counter");
    for kind in [MergeKind::LargestBytes, MergeKind::Union, MergeKind::LatestStamp, MergeKind::Sketch] {
        assert_eq!(future(40, kind, 1).digest(Tick(7)), None, "{kind:?}: two busy replicas would never be equal");
    }
}

#[test]
fn what_is_frozen_of_a_field_of_a_newer_program_is_not_changed_by_what_comes_late() {
    for kind in [MergeKind::LargestEventPerActor, MergeKind::Dotted, MergeKind::LatestStamp, MergeKind::Sketch] {
        let late = future(40, kind, 2);
        for mut ours in [counted(), future(40, kind, 1), future(40, MergeKind::LargestBytes, 1)] {
            assert!(ours.touches(&late, Closed::to_owner(Tick(7), Tick(0))), "{kind:?}");
            assert!(!ours.touches(&late, Closed::to_owner(Tick(6), Tick(0))), "{kind:?}: it is not frozen");
            ours.merge(&late);
            assert!(!ours.touches(&late, Closed::to_owner(Tick(7), Tick(0))), "{kind:?}: it is here");
        }
    }
    // Content 3 is the tick of the floor.
    let floor = future(109, MergeKind::Floor, 1);
    assert!(counted().touches(&floor, Closed::to_owner(Tick(7), Tick(3))), "what it sums up was forgotten here");
    assert!(
        !counted().touches(&floor, Closed::to_owner(Tick(7), Tick(2)))
            && !floor.touches(&floor, Closed::to_owner(Tick(7), Tick(3)))
    );
}
