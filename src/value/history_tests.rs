//! Rows that histories made keep the laws and show what the model says.

use proptest::collection::vec;
use proptest::prelude::*;

use super::history::{REPLICAS, Step, World, any_step};
use super::{Beside, Row, Visible, laws};
use crate::time::WallTime;

/// All that a history made: states and deltas, a bounded number of them.
fn rows(world: &World) -> Vec<&Row> {
    let states = world.replicas.iter().map(|replica| &replica.row);
    states.chain(world.messages.iter().rev().take(4).map(|(delta, _)| delta)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_replica_shows_what_the_writes_it_saw_add_up_to(steps in vec(any_step(), 1..60)) {
        World::after(&steps);
    }

    #[test]
    fn equal_writes_seen_make_equal_rows(steps in vec(any_step(), 1..40)) {
        let world = World::after(&steps);
        for (position, one) in world.replicas.iter().enumerate() {
            for other in &world.replicas[position..] {
                if one.model == other.model {
                    prop_assert_eq!(one.row.encode(), other.row.encode());
                }
            }
        }
    }

    #[test]
    fn replicas_that_got_everything_in_any_order_are_equal_and_true(
        steps in vec(any_step(), 1..40),
        order in any::<u64>(),
    ) {
        let mut world = World::after(&steps);
        let messages = world.messages.clone();
        for (position, replica) in world.replicas.iter_mut().enumerate() {
            // A different order at each replica, some messages twice: a walk with a step coprime to the count.
            let count = messages.len();
            let stride = (1..=count).rev().find(|stride| gcd(*stride, count) == 1).unwrap_or(1);
            let start = (order as usize).wrapping_add(position * 7);
            for index in 0..count + count / 2 {
                let turn = if position == 0 { index } else { index.wrapping_mul(stride) };
                let (row, model) = &messages[start.wrapping_add(turn) % count];
                replica.receive(row, model);
            }
            replica.check();
        }
        for replica in &world.replicas[1..] {
            prop_assert_eq!(replica.row.encode(), world.replicas[0].row.encode());
            prop_assert_eq!(&replica.model, &world.replicas[0].model);
        }
    }

    #[test]
    fn the_merge_laws_hold_for_states_and_deltas(steps in vec(any_step(), 1..40)) {
        let world = World::after(&steps);
        let rows = rows(&world);
        for x in &rows {
            for y in &rows {
                for z in &rows {
                    laws::check_merge(*x, *y, *z);
                }
                laws::check_reported_change(x, y);
                laws::check_encoding(x, y);
            }
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The order of arrival never matters: exhausted for a story in which everything happens at once.
#[test]
fn all_orders_of_arrival_end_in_the_same_bytes() {
    let steps = [
        Step::Increment { at: 0, wall: 1, by: 5 },
        Step::Exchange { from: 0, to: 1 },
        Step::Cover { at: 1, wall: 2, value: Some("10"), observes: None },
        Step::Increment { at: 0, wall: 3, by: 2 },
        Step::Increment { at: 2, wall: 3, by: 1 },
        Step::Cover { at: 2, wall: 1, value: None, observes: None },
        Step::Increment { at: 1, wall: 4, by: -4 },
    ];
    let world = World::after(&steps);
    let deltas: Vec<&Row> = world.messages.iter().map(|(delta, _)| delta).collect();
    assert_eq!(deltas.len(), 6);
    let mut expected = Row::default();
    deltas.iter().for_each(|delta| {
        expected.merge(delta);
    });
    // The put covered 5 and 10 was put; the delete (stamped later, on a row that had seen only the 1) covered the 1.
    let mut orders = 0;
    permute(&mut deltas.clone(), 0, &mut |order| {
        let mut row = Row::default();
        for delta in order {
            row.merge(delta);
        }
        assert_eq!(row.encode(), expected.encode());
        orders += 1;
    });
    assert_eq!(orders, 720);
}

fn permute<'a>(items: &mut Vec<&'a Row>, from: usize, visit: &mut impl FnMut(&[&'a Row])) {
    if from == items.len() {
        return visit(items);
    }
    for place in from..items.len() {
        items.swap(from, place);
        permute(items, from + 1, visit);
        items.swap(from, place);
    }
}

fn integer(value: i64) -> Visible {
    Visible::Integer { value, saturated: false }
}

#[test]
fn two_resets_at_once_do_not_subtract_twice() {
    let mut steps = vec![Step::Increment { at: 0, wall: 1, by: 7 }];
    steps.extend((1..REPLICAS).map(|to| Step::Exchange { from: 0, to }));
    steps.extend((0..2).map(|at| Step::Cover { at, wall: 2, value: Some("0"), observes: None }));
    steps.push(Step::Increment { at: 2, wall: 2, by: 3 });
    steps.extend([Step::Exchange { from: 0, to: 1 }, Step::Exchange { from: 1, to: 2 }]);
    assert_eq!(World::after(&steps).replicas[2].row.visible(&Beside::NONE, WallTime(0)), integer(3));
}

#[test]
fn an_increment_that_a_delete_did_not_see_survives_it() {
    let world = World::after(&[
        Step::Increment { at: 0, wall: 1, by: 7 },
        Step::Exchange { from: 0, to: 1 },
        Step::Increment { at: 0, wall: 2, by: 3 },
        Step::Cover { at: 1, wall: 9, value: None, observes: None },
        Step::Exchange { from: 1, to: 0 },
    ]);
    assert_eq!(world.replicas[0].row.visible(&Beside::NONE, WallTime(0)), integer(3));
    assert_eq!(world.replicas[1].row.visible(&Beside::NONE, WallTime(0)), Visible::Nothing);
}

#[test]
fn a_delete_that_observed_a_quorum_covers_what_another_replica_acknowledged() {
    let world = World::after(&[
        Step::Increment { at: 0, wall: 1, by: 7 },
        Step::Cover { at: 1, wall: 2, value: None, observes: Some(0) },
        Step::Exchange { from: 1, to: 0 },
    ]);
    assert_eq!(world.replicas[0].row.visible(&Beside::NONE, WallTime(0)), Visible::Nothing);
    assert!(!world.replicas[0].row.is_empty(), "a deleted key remembers what was deleted");
}

#[test]
fn a_reset_that_arrives_before_the_entries_it_covers_brings_them_along() {
    let world = World::after(&[
        Step::Increment { at: 0, wall: 1, by: 7 },
        Step::Cover { at: 0, wall: 2, value: Some("1"), observes: None },
        Step::Deliver { message: 1, to: 1 },
        Step::Deliver { message: 0, to: 1 },
    ]);
    assert_eq!(world.replicas[1].row.visible(&Beside::NONE, WallTime(0)), integer(1));
    assert_eq!(world.replicas[1].row.counter_sum_text(&Beside::NONE), "0");
}

#[test]
fn a_put_on_a_clock_that_lags_wins_over_what_it_saw() {
    let world = World::after(&[
        Step::Cover { at: 0, wall: 15, value: Some("old"), observes: None },
        Step::Cover { at: 1, wall: 1, value: Some("new"), observes: Some(0) },
        Step::Exchange { from: 1, to: 0 },
    ]);
    assert_eq!(world.replicas[0].row.visible(&Beside::NONE, WallTime(0)), Visible::Text("new".into()));
}
