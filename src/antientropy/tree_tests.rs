//! Trees against what they stand for: sums of everything that is there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::ids::Key;
use crate::ring::slot;
use crate::storage::RowKey;
use crate::time::Hlc;
use crate::value::Beside;

const PARTITIONS: u16 = 4;

fn row(number: u32) -> RowKey {
    RowKey::main(&Key::new(format!("key/{number}")).unwrap())
}

fn stored(events: u64) -> StoredRow {
    let actor = ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) };
    let mut stored = StoredRow::default();
    for event in 1..=events {
        stored.row.increment(Dot { actor, event }, Hlc { wall: event, logical: 0 }, 1, &Beside::NONE).unwrap();
    }
    stored
}

fn partition_of(row: &RowKey) -> PartitionId {
    slot::partition_of(row.slot(), PARTITIONS)
}

/// The first rows of a partition, by number.
fn rows_of(partition: PartitionId) -> impl Iterator<Item = (u32, RowKey)> {
    (0..).map(|number| (number, row(number))).filter(move |(_, row)| partition_of(row) == partition)
}

/// The tree of what stands on a disk, each row added once.
fn scanned(partition: PartitionId, disk: &BTreeMap<RowKey, Bytes>) -> MerkleTree {
    let mut tree = MerkleTree::new(partition, PARTITIONS);
    for (row, stored) in disk {
        tree.replace(row.as_bytes(), None, contribution(row.as_bytes(), stored));
    }
    tree
}

fn nodes(tree: &MerkleTree) -> Vec<Node> {
    let mut all = vec![Node::ROOT];
    let mut next = 0;
    while let Some(node) = all.get(next).copied() {
        all.extend(tree.children(node, u8::MAX));
        next += 1;
    }
    all
}

fn is_within(range: &Range, row: &RowKey) -> bool {
    *row.as_bytes() >= range.start && range.end.as_ref().is_none_or(|end| row.as_bytes() < end)
}

proptest! {
    #[test]
    fn whatever_came_and_went_every_node_adds_up_to_what_stands_in_its_range(
        changes in prop::collection::vec((0_u32..40, 0_u64..4), 0..120),
    ) {
        let partition = PartitionId(2);
        let rows: Vec<RowKey> = rows_of(partition).map(|(_, row)| row).take(40).collect();
        let mut tree = MerkleTree::new(partition, PARTITIONS);
        let mut disk = BTreeMap::new();
        for (number, events) in changes {
            let row = &rows[number as usize];
            let before = disk.get(row).and_then(|stored| contribution(row.as_bytes(), stored));
            // Without events there is a row with an empty state, or none.
            let now = stored(events).encode();
            let contributes = contribution(row.as_bytes(), &now);
            prop_assert_eq!(contributes.is_none(), events == 0);
            tree.replace(row.as_bytes(), before, contributes);
            disk.insert(row.clone(), now);
        }
        let fresh = scanned(partition, &disk);
        for node in nodes(&fresh) {
            prop_assert_eq!(tree.sum(node), fresh.sum(node));
            let range = &fresh.ranges([node])[0];
            let within = disk.iter().filter(|(row, _)| is_within(range, row));
            let counted = within.filter(|(row, stored)| contribution(row.as_bytes(), stored).is_some()).count();
            prop_assert_eq!(fresh.sum(node).unwrap().rows as usize, counted);
        }
    }

    #[test]
    fn one_row_that_differs_is_seen_in_every_node_above_it_and_in_no_other(number in 0_usize..30, events in 1_u64..5) {
        let partition = PartitionId(1);
        let mut disk: BTreeMap<RowKey, Bytes> =
            rows_of(partition).map(|(_, row)| (row, stored(2).encode())).take(30).collect();
        let one = scanned(partition, &disk);
        let changed = disk.keys().nth(number).unwrap().clone();
        disk.insert(changed.clone(), stored(2 + events).encode());
        let other = scanned(partition, &disk);
        for node in nodes(&one) {
            prop_assert_eq!(one.sum(node) != other.sum(node), is_within(&one.ranges([node])[0], &changed));
        }
    }
}

#[test]
fn trees_of_different_depth_agree_down_to_the_coarser_leaves() {
    let partition = PartitionId(1);
    let disk: BTreeMap<RowKey, Bytes> = rows_of(partition).map(|(_, row)| (row, stored(2).encode())).take(50).collect();
    let coarse = scanned(partition, &disk);
    let mut fine = coarse.finer();
    assert_eq!(fine.leaf_bits(), coarse.leaf_bits() + FAN_OUT_BITS);
    for (row, stored) in &disk {
        fine.replace(row.as_bytes(), None, contribution(row.as_bytes(), stored));
    }
    assert!(fine.means(&coarse) && coarse.means(&fine));
    let (last, stored) = disk.last_key_value().unwrap();
    fine.replace(last.as_bytes(), contribution(last.as_bytes(), stored), None);
    assert!(!fine.means(&coarse) && !coarse.means(&fine));
    fine.replace(last.as_bytes(), None, contribution(last.as_bytes(), stored));
    assert!(fine.means(&coarse));
}

#[test]
fn the_header_of_a_row_does_not_count() {
    let mut one = stored(3);
    let bare = contribution(row(1).as_bytes(), &one.encode());
    one.header.owe(crate::ids::NodeId(7), crate::ids::RowVersion(1), crate::time::WallTime(5));
    assert_eq!(contribution(row(1).as_bytes(), &one.encode()), bare);
    assert_ne!(contribution(row(2).as_bytes(), &one.encode()), bare, "but the key does");
}

#[test]
fn the_leaves_of_a_partition_are_its_range_without_a_gap() {
    for partitions in [1, 4, 256, 4096, limits::SLOTS] {
        for partition in [0, partitions / 2, partitions - 1] {
            let tree = MerkleTree::new(PartitionId(partition), partitions);
            let whole = keyspace::partition_range(PartitionId(partition), partitions);
            let leaves = nodes(&tree).into_iter().filter(|node| tree.children(*node, u8::MAX).next().is_none());
            assert_eq!(tree.ranges(leaves), [whole], "{partition} of {partitions}");
        }
    }
}

#[test]
fn ranges_that_are_not_neighbours_stay_apart() {
    let tree = MerkleTree::new(PartitionId(3), 256);
    let leaf = |prefix| Node { bits: 10, prefix };
    let ranges = tree.ranges([leaf(9), leaf(3), leaf(4), leaf(1023)]);
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[0], tree.ranges([leaf(3), leaf(4)])[0]);
}

#[test]
fn a_node_that_the_tree_does_not_have_has_no_sum() {
    let tree = MerkleTree::new(PartitionId(3), 256);
    assert_eq!(tree.sum(Node { bits: 11, prefix: 0 }), None);
    assert_eq!(tree.sum(Node { bits: 4, prefix: 16 }), None);
    assert_eq!(tree.sum(Node { bits: 4, prefix: 15 }), Some(Sum::default()));
    assert_eq!(tree.sum(Node { bits: 255, prefix: 0 }), None);
}

#[test]
fn the_trees_of_a_node_stay_within_a_few_mebibytes_however_many_partitions_it_owns() {
    for partitions in [1, 256, 4096, limits::SLOTS] {
        let mut tree = MerkleTree::new(PartitionId(0), partitions);
        tree.replace(&[0; 8], None, Some(1));
        assert!(tree.bytes() * usize::from(partitions) <= 6 << 20, "{partitions}");
    }
}
