//! The Merkle tree of one partition: sums over key ranges that two owners compare instead of their rows.
//!
//! ```text
//!                     root                       a node is a range of (slot, hash of the key), which is the order on disk
//!        ┌─────┬───────┴──────┬─────┐            a leaf: Σ mod 2^128 of a hash of (row key, state) over its rows,
//!      16 …  16 …           16 …  16 …                   and how many rows
//!   leaf leaf leaf …                             an inner node: the sum of its leaves, added up when it is asked for
//! ```
//!
//! The sums are additive, so a changed row costs one subtraction and one addition, wherever it stands, and needs no other
//! row. Only the causal state counts, in the form in which it stands on disk: what a directory notes beside it differs from
//! owner to owner. Hence two trees say something of each other only if both partitions are settled equally far and swept.
//!
//! A partition with many rows gets more leaves (it is looked through anew for that), so a leaf stays small; the two owners
//! may have different numbers of them, and compare down to the coarser ones. Costs [`LEAF_BYTES`] per leaf of a partition
//! that has rows: a few MiB per node, and a third of a byte per row of large partitions. Kept by `trees`, compared by `walk`.
//! Source: Merkle 1987; additive hashes, Bellare and Micciancio 1997 (here against faults, not against forgers: peers of a
//! cluster trust each other).

use std::ops::Range as Numbers;

use bytes::Bytes;

use crate::ids::PartitionId;
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::replica::StoredRow;
use crate::storage::{Range, keyspace};
use crate::value::Row;

/// Leaves of all partitions of a cluster together; a partition has its share of them.
const LEAVES: u32 = 1 << 18;

/// The least and the most leaves that a partition has as its share.
const LEAVES_OF_ONE: (u32, u32) = (16, 1024);

/// A tree with more rows to a leaf than this has too few leaves.
const ROWS_PER_LEAF_MAX: u32 = 128;

/// The most bits of the number of a leaf: a partition with more rows than fit has fuller leaves.
const LEAF_BITS_MAX: u8 = 18;

/// A node has two to the power of this many children; those above the leaves may have fewer.
const FAN_OUT_BITS: u8 = 4;

/// Memory of one leaf. Unit: bytes.
pub const LEAF_BYTES: usize = size_of::<u128>() + size_of::<u32>();

/// Bits of a key's hash in its row key, behind the slot.
const HASH_BITS: u32 = 48;

/// A node of a tree: the rows whose place in the partition begins with these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// How many.
    pub bits: u8,
    /// Which.
    pub prefix: u32,
}

/// What the rows of a node add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Σ mod 2^128 of the rows' contributions.
    pub hash: u128,
    /// Rows.
    pub rows: u32,
}

/// The tree of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    /// First place of the partition: a place is the slot and the hash of a key, as one number.
    first: u64,
    /// Bits of a place within the partition.
    place_bits: u32,
    /// Bits of the number of a leaf.
    leaf_bits: u8,
    /// Of each leaf; empty while the partition never had a row.
    hashes: Vec<u128>,
    rows: Vec<u32>,
    root: Sum,
}

/// The first key of a place. Where a slot begins, that is the slot alone, as ranges of partitions have it: so the end of
/// a partition's last leaf is the partition's end, and not beyond it.
fn key_of(place: u64) -> Bytes {
    let bytes = place.to_be_bytes();
    let [high, low, ..] = bytes;
    if place.trailing_zeros() >= HASH_BITS {
        Bytes::copy_from_slice(&[high, low])
    } else {
        Bytes::copy_from_slice(&bytes)
    }
}

/// What a row adds to its leaf: `None` if it counts as absent. `stored` is what stands on disk. Bytes that are no row count as
/// they stand: nobody else has them so, hence the leaf differs, and rows are compared.
pub fn contribution(row: &[u8], stored: &Bytes) -> Option<u128> {
    let Ok(state) = StoredRow::state_bytes(stored) else { return Some(xxhash_rust::xxh3::xxh3_128(stored)) };
    if state.is_empty() || (mutation::is_off(Mutation::TreeIgnoresTombstones) && is_tombstone(stored)) {
        return None;
    }
    Some(of_state(row, &state))
}

/// What a row in this state adds to a sum.
pub(super) fn of_state(row: &[u8], state: &[u8]) -> u128 {
    let mut bytes = Vec::with_capacity(row.len() + size_of::<u128>());
    bytes.extend_from_slice(row);
    bytes.extend_from_slice(&Row::state_hash_of(state).to_be_bytes());
    xxhash_rust::xxh3::xxh3_128(&bytes)
}

fn is_tombstone(stored: &Bytes) -> bool {
    StoredRow::decode(stored).is_ok_and(|stored| !stored.row.has_anything(&stored.header.beside))
}

impl Node {
    /// All rows of the partition.
    pub const ROOT: Node = Node { bits: 0, prefix: 0 };
}

impl MerkleTree {
    /// The tree of an empty partition, one of `partitions`.
    pub fn new(partition: PartitionId, partitions: u16) -> MerkleTree {
        let partitions = partitions.clamp(1, limits::SLOTS);
        let width = limits::SLOTS / partitions;
        let (least, most) = LEAVES_OF_ONE;
        let leaves = (LEAVES / u32::from(partitions)).clamp(least, most);
        MerkleTree {
            first: u64::from(partition.0.saturating_mul(width)) << HASH_BITS,
            place_bits: HASH_BITS + width.ilog2(),
            leaf_bits: leaves.ilog2() as u8,
            hashes: Vec::new(),
            rows: Vec::new(),
            root: Sum::default(),
        }
    }

    /// An empty tree of the same partition, with more leaves.
    pub fn finer(&self) -> MerkleTree {
        let leaf_bits = self.leaf_bits.saturating_add(FAN_OUT_BITS).min(LEAF_BITS_MAX);
        MerkleTree { leaf_bits, hashes: Vec::new(), rows: Vec::new(), root: Sum::default(), ..*self }
    }

    /// An empty tree of the same partition, with as many leaves.
    pub fn blank(&self) -> MerkleTree {
        MerkleTree { hashes: Vec::new(), rows: Vec::new(), root: Sum::default(), ..*self }
    }

    /// Whether it has so many rows that it should have more leaves.
    pub fn is_crowded(&self) -> bool {
        self.leaf_bits < LEAF_BITS_MAX && self.rows() >> self.leaf_bits >= u64::from(ROWS_PER_LEAF_MAX)
    }

    /// Rows of the partition.
    pub fn rows(&self) -> u64 {
        // More than half of all numbers: fewer than none, of a tree that counted rows that were gone from the disk.
        if self.root.rows > u32::MAX / 2 { 0 } else { u64::from(self.root.rows) }
    }

    /// Bits of the number of a leaf.
    pub fn leaf_bits(&self) -> u8 {
        self.leaf_bits
    }

    /// A row, given by its key on disk, adds this now; before, it added that. `None`: nothing.
    pub fn replace(&mut self, row: &[u8], before: Option<u128>, now: Option<u128>) {
        if before == now {
            return;
        }
        let leaf = (self.place_of(row) >> (self.place_bits - u32::from(self.leaf_bits))) as usize;
        if self.hashes.is_empty() {
            self.hashes = vec![0; self.leaves()];
            self.rows = vec![0; self.leaves()];
        }
        let (Some(hash), Some(rows)) = (self.hashes.get_mut(leaf), self.rows.get_mut(leaf)) else { return };
        for (hash, rows) in [(hash, rows), (&mut self.root.hash, &mut self.root.rows)] {
            *hash = hash.wrapping_sub(before.unwrap_or(0)).wrapping_add(now.unwrap_or(0));
            *rows = rows.wrapping_sub(u32::from(before.is_some())).wrapping_add(u32::from(now.is_some()));
        }
    }

    /// What a node adds up to; `None` if this tree has no such node.
    pub fn sum(&self, node: Node) -> Option<Sum> {
        if node == Node::ROOT {
            return Some(self.root);
        }
        let leaves = self.leaves_of(node)?;
        let hashes = self.hashes.get(leaves.clone()).unwrap_or_default();
        let rows = self.rows.get(leaves).unwrap_or_default();
        Some(Sum {
            hash: hashes.iter().fold(0, |sum, hash| sum.wrapping_add(*hash)),
            rows: rows.iter().fold(0, |sum, rows| sum.wrapping_add(*rows)),
        })
    }

    /// The nodes right below one, in a tree whose leaves have these bits; none below its leaves.
    pub fn children(&self, node: Node, leaf_bits: u8) -> impl Iterator<Item = Node> + use<> {
        let bits = node.bits.saturating_add(FAN_OUT_BITS).min(leaf_bits.min(self.leaf_bits));
        let more = bits.saturating_sub(node.bits);
        let count = if more == 0 { 0 } else { 1 << more };
        (0..count).map(move |child| Node { bits, prefix: node.prefix << more | child })
    }

    /// The rows of some nodes, as ranges of keys on disk; neighbours are joined.
    pub fn ranges(&self, nodes: impl IntoIterator<Item = Node>) -> Vec<Range> {
        let mut places: Vec<Numbers<u64>> = nodes.into_iter().map(|node| self.places_of(node)).collect();
        places.sort_unstable_by_key(|places| places.start);
        let mut joined: Vec<Numbers<u64>> = Vec::new();
        for places in places {
            match joined.last_mut() {
                Some(last) if places.start <= last.end => last.end = last.end.max(places.end),
                Some(_) | None => joined.push(places),
            }
        }
        joined.into_iter().map(|places| Range { start: key_of(places.start), end: Some(key_of(places.end)) }).collect()
    }

    /// Whether both add up to the same everywhere. A tree that never had a row equals one that has none any more.
    pub fn means(&self, other: &MerkleTree) -> bool {
        let bits = self.leaf_bits.min(other.leaf_bits);
        let mut nodes = (0..1 << bits).map(|prefix| Node { bits, prefix });
        self.first == other.first && self.root == other.root && nodes.all(|node| self.sum(node) == other.sum(node))
    }

    /// Memory of the sums. Unit: bytes.
    pub fn bytes(&self) -> usize {
        self.hashes.len() * LEAF_BYTES
    }

    /// The sums, as [`MerkleTree::decode`] reads them: the bits of a leaf's number, then each leaf, if there ever was a row.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.leaf_bits);
        for (hash, rows) in self.hashes.iter().zip(&self.rows) {
            bytes.extend_from_slice(&hash.to_be_bytes());
            bytes.extend_from_slice(&rows.to_be_bytes());
        }
    }

    /// The tree of this one's partition whose sums these are; `None` if they are none.
    pub fn decode(&self, bytes: &[u8]) -> Option<MerkleTree> {
        let (leaf_bits, leaves) = bytes.split_first().filter(|(bits, _)| **bits <= LEAF_BITS_MAX)?;
        let mut tree = MerkleTree { leaf_bits: *leaf_bits, ..self.blank() };
        let (leaves, []) = leaves.as_chunks::<LEAF_BYTES>() else { return None };
        if !leaves.is_empty() && leaves.len() != tree.leaves() {
            return None;
        }
        for leaf in leaves {
            let (hash, rows) = leaf.split_first_chunk::<{ size_of::<u128>() }>()?;
            let (hash, rows) = (u128::from_be_bytes(*hash), u32::from_be_bytes(rows.try_into().ok()?));
            tree.hashes.push(hash);
            tree.rows.push(rows);
            tree.root.hash = tree.root.hash.wrapping_add(hash);
            tree.root.rows = tree.root.rows.wrapping_add(rows);
        }
        Some(tree)
    }

    fn leaves(&self) -> usize {
        1 << self.leaf_bits
    }

    fn leaves_of(&self, node: Node) -> Option<Numbers<usize>> {
        let rest = self.leaf_bits.checked_sub(node.bits)?;
        if node.prefix >> node.bits != 0 {
            return None;
        }
        let first = (node.prefix as usize) << rest;
        Some(first..first + (1 << rest))
    }

    fn places_of(&self, node: Node) -> Numbers<u64> {
        let rest = self.place_bits.saturating_sub(u32::from(node.bits));
        let start = self.first + (u64::from(node.prefix) << rest);
        start..start + (1 << rest)
    }

    /// The place of a row within the partition.
    fn place_of(&self, row: &[u8]) -> u64 {
        keyspace::place_of(row).wrapping_sub(self.first) & ((1 << self.place_bits) - 1)
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
