//! Lost members: who fills their places, and what is taken back without them.

use super::*;
use crate::membership::layout::samples::{founded, member};
use crate::membership::{Change, Plan};

fn view(layout: Layout) -> RingView {
    RingView::new(layout).unwrap()
}

fn after(ring: &RingView, changes: Vec<Change>) -> RingView {
    view(Plan { base: ring.epoch(), changes, accepts_loss: true }.apply(ring).unwrap())
}

fn next_phase(ring: &RingView) -> RingView {
    view(ring.layout().next_phase().unwrap().unwrap())
}

/// Five members and the change by which another one joins, as far as `phases` more.
fn joining(phases: usize) -> RingView {
    let first = after(&view(founded(5, 64)), vec![Change::Join(member(6))]);
    (0..phases).fold(first, |ring, _| next_phase(&ring))
}

fn has_all_owners(ring: &RingView) -> bool {
    ring.partitions().all(|partition| ring.owners(partition).len() == 3)
}

#[test]
fn a_change_that_says_that_a_member_is_lost_is_taken_back_without_it() {
    let moving = after(&joining(0), vec![Change::Fence(NodeId(3))]);
    let back = view(reverted(&moving).unwrap());
    assert_eq!((back.layout().phase, back.epoch().number), (Phase::Moving, 4));
    assert!(back.is_fenced(NodeId(3)) && back.layout().member(NodeId(6)).is_none());
    for partition in back.partitions() {
        assert_eq!(back.readers(partition), moving.readers(partition), "the same are read all the while");
        assert!(!back.owners(partition).contains(&NodeId(3)));
    }
    let end = view(back.layout().outcome().unwrap());
    let members: Vec<u64> = end.layout().members.iter().map(|member| member.id.0).collect();
    assert_eq!(members, [1, 2, 4, 5]);
    assert!(has_all_owners(&end), "no partition has an owner less");
}

#[test]
fn that_a_member_is_lost_is_not_taken_back() {
    let steady = view(founded(5, 64));
    let moving = after(&steady, vec![Change::Fence(NodeId(3))]);
    assert_eq!(reverted(&moving), Err(RevertError::OnlyLosses));
    let back = view(reverted(&joining(0)).unwrap());
    assert_eq!((back.layout().phase, &back.layout().members), (Phase::Steady, &steady.layout().members));
    assert_eq!(reverted(&steady), Err(RevertError::NotMoving));
    assert_eq!(reverted(&joining(1)), Err(RevertError::TooLate { phase: Phase::Switched }));
}

#[test]
fn a_lost_joiner_is_no_loss_to_those_of_before() {
    let moving = after(&joining(0), vec![Change::Fence(NodeId(6))]);
    let back = reverted(&moving).unwrap();
    assert_eq!((back.phase, back.members.len()), (Phase::Steady, 5));
    assert!(back.is_fenced(NodeId(6)));
}

#[test]
fn where_too_few_are_left_a_place_stays_empty_until_another_one_joins() {
    let steady = view(founded(3, 64));
    let replace = Change::Replace { old: NodeId(3), new: member(4), is_dead: true };
    let back = view(reverted(&after(&steady, vec![replace])).unwrap());
    assert_eq!(back.layout().phase, Phase::Steady);
    assert!(back.is_fenced(NodeId(3)) && back.layout().member(NodeId(3)).is_some());
    assert!(back.partitions().all(|partition| back.owners(partition).len() == 2));
    assert_eq!(filled(&back), None, "there is nobody to fill it");
    let joined = after(&back, vec![Change::Join(member(5))]);
    let end = view(joined.layout().outcome().unwrap());
    assert!(end.layout().member(NodeId(3)).is_none() && has_all_owners(&end));
}

/// Two survive, one of whom is joining: of some partitions they are the only owners, and have taken writes since.
fn alone_with_a_joiner() -> RingView {
    let mut layout = founded(5, 64);
    layout.replicas = 2;
    (layout.read_quorum, layout.write_quorum) = (2, 2);
    let steady = view(layout.seal().unwrap());
    let replacing = after(&steady, vec![Change::Replace { old: NodeId(3), new: member(6), is_dead: false }]);
    let survivors = [NodeId(4), NodeId(6)];
    let alone = view(recovered(&replacing, &survivors, replacing.epoch().number + 1, WallTime(0)).unwrap());
    assert_eq!(alone.layout().phase, Phase::Moving);
    let take_over = |partition| survivors.iter().all(|node| alone.owners(partition).contains(node));
    assert!(alone.partitions().all(take_over), "both take over everything");
    alone
}

#[test]
fn a_change_whose_new_owners_alone_are_left_of_a_partition_is_not_taken_back() {
    let refused = reverted(&alone_with_a_joiner());
    assert!(matches!(refused, Err(RevertError::NobodyLeft { .. })), "{refused:?}");
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_what_was_written_since_would_be_nobodys() {
    let alone = alone_with_a_joiner();
    mutation::switch_off(Some(Mutation::TakenOverTakenBack));
    let back = reverted(&alone).map(view);
    mutation::switch_off(None);
    let back = back.unwrap();
    assert!(back.partitions().any(|partition| alone.is_taken_over(partition) && back.owners(partition).is_empty()));
}

#[test]
fn places_that_were_lost_too_late_are_filled_when_the_change_is_through() {
    for phases in [1, 2] {
        let lost = after(&joining(phases), vec![Change::Fence(NodeId(3))]);
        assert_eq!(filled(&lost), None, "one change at a time");
        let steady = view(lost.layout().outcome().unwrap());
        assert!(steady.layout().member(NodeId(3)).is_some() && !has_all_owners(&steady));
        let filling = view(filled(&steady).unwrap());
        assert_eq!(filling.layout().phase, Phase::Moving);
        let end = view(filling.layout().outcome().unwrap());
        assert!(end.layout().member(NodeId(3)).is_none() && has_all_owners(&end));
        assert_eq!(filled(&end), None);
    }
    assert_eq!(filled(&view(founded(5, 64))), None);
}
