//! What changes move: little more than they must, and nobody ends with more than its share.

use super::*;
use crate::membership::Change;
use crate::membership::layout::samples::{founded, member};

fn preview(layout: &Layout, changes: Vec<Change>) -> Preview {
    let present = RingView::new(layout.clone()).unwrap();
    Preview::of(&present, &Plan { base: layout.epoch, changes, accepts_loss: false }).unwrap()
}

/// Nobody owns more than a tenth above its fair share, or than the share rounded up.
fn check_balance(moves: &Moves) {
    for (node, load) in &moves.members {
        let most = load.fair_parts.div_ceil(Moves::PARTS).max(load.fair_parts * 11 / 10 / Moves::PARTS);
        assert!(load.after <= most, "{node}: {load:?}, at most {most}");
    }
}

#[test]
fn one_node_that_joins_moves_at_most_a_third_more_than_the_least() {
    for nodes in 3..=20 {
        let moves = preview(&founded(nodes, 256), vec![Change::Join(member(nodes + 1))]).moves;
        let score = moves.score().unwrap();
        assert!(score <= 1.3, "{nodes} nodes: {score:.3} × what must move");
        assert_eq!(moves.fair_parts / Moves::PARTS, 256 * 3 / (nodes + 1), "its fair share, rounded down");
        check_balance(&moves);
        let load = moves.members[&NodeId(nodes + 1)];
        assert_eq!((load.before, load.after), (0, load.comes));
    }
}

#[test]
fn the_balance_is_a_tenth_above_the_fair_share_at_most() {
    for nodes in [3, 5, 8] {
        let preview = preview(&founded(nodes, 1024), vec![Change::Join(member(nodes + 1))]);
        let balance = preview.moves.balance().unwrap();
        assert!((1.0..=1.10).contains(&balance), "{nodes} nodes: {balance}");
    }
}

#[test]
fn a_node_that_leaves_hands_over_what_it_has() {
    for nodes in 4..=12 {
        let moves = preview(&founded(nodes, 256), vec![Change::Leave(NodeId(2))]).moves;
        let load = moves.members[&NodeId(2)];
        assert_eq!((load.after, load.goes), (0, load.before));
        assert!(moves.score().unwrap() <= 1.4, "{nodes} nodes: {:?}", moves.score());
        check_balance(&moves);
    }
}

#[test]
fn a_replacement_moves_exactly_the_partitions_of_the_old_one() {
    let mut layout = founded(7, 256);
    for (member, (weight, zone)) in layout.members.iter_mut().zip([(1, "a"), (2, "a"), (1, "b"), (3, ""), (1, "c")]) {
        member.weight = weight;
        member.zone = zone.into();
    }
    let layout = layout.seal().unwrap();
    let present = RingView::new(layout.clone()).unwrap();
    for old in (1..=7).map(NodeId) {
        let replace = Change::Replace { old, new: member(9), is_dead: false };
        let preview = preview(&layout, vec![replace]);
        let owned: Vec<PartitionId> =
            present.partitions().filter(|partition| present.is_owner(*partition, old)).collect();
        assert_eq!(preview.moves.partitions.keys().copied().collect::<Vec<_>>(), owned, "of {old}");
        for partition in present.partitions() {
            let new = |node: &NodeId| if *node == old { NodeId(9) } else { *node };
            let expected: Vec<NodeId> = present.accept_set(partition).iter().map(new).collect();
            assert_eq!(preview.outcome.accept_set(partition), expected, "the others keep their order, too");
        }
    }
}

#[test]
fn a_new_weight_moves_about_what_shares_change_and_a_drain_moves_all() {
    let layout = founded(6, 1024);
    let heavier = preview(&layout, vec![Change::Weight { node: NodeId(1), weight: 2 }]).moves;
    assert!(heavier.score().unwrap() <= 1.3, "{:?}", heavier.score());
    check_balance(&heavier);
    let drained = preview(&layout, vec![Change::Weight { node: NodeId(1), weight: 0 }]);
    assert_eq!(drained.moves.members[&NodeId(1)].after, 0);
    assert!(drained.outcome.layout().member(NodeId(1)).is_some(), "drained, and still a member");
}

#[test]
fn moves_are_counted_once_per_copy() {
    let preview = preview(&founded(5, 64), vec![Change::Join(member(6)), Change::Leave(NodeId(3))]);
    let moves = &preview.moves;
    let sum = |of: fn(&Load) -> u64| moves.members.values().map(of).sum::<u64>();
    assert_eq!(sum(|load| load.comes), moves.replicas_moved);
    assert_eq!(sum(|load| load.goes), moves.replicas_moved);
    assert_eq!((sum(|load| load.before), sum(|load| load.after)), (192, 192));
    for (partition, Move { comes, goes }) in &moves.partitions {
        assert_eq!(comes.len(), goes.len());
        assert!(comes.iter().all(|node| preview.outcome.is_owner(*partition, *node)));
    }
}

#[test]
fn what_changes_nobodys_share_has_no_score() {
    let address = Change::Address { node: NodeId(1), address: "elsewhere:1".into() };
    let moves = preview(&founded(5, 64), vec![address]).moves;
    assert_eq!((moves.score(), moves.replicas_moved, moves.partitions.len()), (None, 0, 0));
}

#[test]
fn a_plan_that_is_refused_has_no_preview() {
    let present = RingView::new(founded(3, 16)).unwrap();
    let plan = Plan { base: present.epoch(), changes: vec![Change::Leave(NodeId(1))], accepts_loss: false };
    let refused = Preview::of(&present, &plan).unwrap_err();
    assert_eq!(refused, PreviewError::Change(ChangeError::TooFewForReplicas { carriers: 2, replicas: 3 }));
}
