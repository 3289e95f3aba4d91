//! Sessions: what is sent again counts once, and who contradicts itself is told so.

use super::*;
use crate::causality::{Dot, Epoch, Tenure, Tick};
use crate::time::Hlc;
use crate::value::Beside;

fn session(number: u64) -> ActorId {
    ActorId { expires: Tick(9), epoch: Epoch(number), tenure: Tenure::SESSION }
}

fn totals(p: u128, n: u128) -> Totals {
    Totals { p, n }
}

fn sum(row: &Row) -> String {
    row.counter_sum_text(&Beside::NONE)
}

#[test]
fn an_event_that_comes_again_or_late_counts_once() {
    let mut row = Row::default();
    let first = row.increment_as(session(1), 1, totals(5, 0)).unwrap();
    let second = row.increment_as(session(1), 2, totals(5, 2)).unwrap();
    assert_eq!(sum(&row), "3");
    assert_eq!(row.session_change(session(1), 1, totals(5, 0)), Ok(None));
    assert_eq!(row.increment_as(session(1), 1, totals(5, 0)), Ok(second.clone()), "who asks again wants it held");
    assert_eq!(sum(&row), "3");
    let mut other = Row::default();
    other.merge(&second);
    assert!(!other.merge(&first), "the later event contains the earlier");
    assert_eq!(sum(&other), "3");
}

#[test]
fn a_session_that_contradicts_itself_is_refused_and_nothing_changes() {
    let mut row = Row::default();
    row.increment_as(session(1), 3, totals(5, 5)).unwrap();
    let before = row.clone();
    let refused = [
        (3, totals(6, 5), ValueError::EventReused { event: 3 }),
        (3, totals(5, 4), ValueError::EventReused { event: 3 }),
        (4, totals(4, 5), ValueError::TotalsShrank { event: 4 }),
        (4, totals(6, 4), ValueError::TotalsShrank { event: 4 }),
        (2, totals(6, 5), ValueError::TotalsShrank { event: 2 }),
        (4, totals(5 + (1 << 63), 5), ValueError::Overflow),
        (4, totals(u128::MAX, 5), ValueError::Overflow),
        (4, totals(5, 6 + (1 << 63)), ValueError::Overflow),
    ];
    for (event, totals, error) in refused {
        assert_eq!(row.session_change(session(1), event, totals), Err(error), "{event} {totals:?}");
        assert_eq!(row.increment_as(session(1), event, totals), Err(error));
        assert_eq!(row, before);
    }
    assert_eq!(row.session_change(session(1), 4, totals(5 + (1 << 62), 5)), Ok(Some(1 << 62)));
    assert_eq!(row.session_change(session(1), 4, totals(5, 5 + (1 << 63))), Ok(Some(i64::MIN)));
}

#[test]
fn a_main_row_with_sessions_beside_it_shows_what_the_whole_would_show() {
    let node = |event| Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(7), tenure: Tenure(0) }, event };
    let at = |wall| Hlc { wall, logical: 0 };
    let mut whole = Row::default();
    whole.increment(node(1), at(1), 10, &Beside::NONE).unwrap();
    for number in 1..4 {
        whole.increment_as(session(number), 1, totals(number.into(), 0)).unwrap();
    }
    let seen = whole.clone();
    whole.reset(node(2), at(2), &seen);
    whole.increment_as(session(2), 2, totals(9, 0)).unwrap();
    let (main, sessions) = whole.clone().split_sessions();
    let actors: Vec<ActorId> = sessions.iter().map(|(actor, _)| *actor).collect();
    assert_eq!(actors, [session(1), session(2), session(3)]);
    let beside = sessions.iter().fold(Beside::NONE, |mut beside, (actor, row)| {
        beside.replace_session(None, Some(row), *actor);
        beside
    });
    assert_eq!((main.counter_sum_text(&beside), sum(&whole)), ("7".into(), "7".into()));
    assert!(main.has_live_counter(&beside) && whole.has_live_counter(&Beside::NONE));
    assert_eq!(beside.sessions().sum.p, 1 + 9 + 3);
    assert_eq!(main.can_increment(i64::MAX - 7, &beside), Ok(()));
    assert_eq!(main.can_increment(i64::MAX - 6, &beside), Err(ValueError::Overflow));
}
