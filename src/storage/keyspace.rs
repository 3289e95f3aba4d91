//! How keys stand on disk.
//!
//! ```text
//! Rows   slot u16 │ xxh3-48 of the key, 6 bytes │ key length u16 │ key │ kind u8 │ sub-key
//! Debts  owner u64 │ row key
//! Meta   tag u8 │ …                                             (all numbers big-endian)
//! ```
//!
//! A slot is one range, hence so is a partition; inside a slot rows stand in hash order, so a scan's place in it is
//! (slot, hash) whatever comes and goes. The hash is checked when a row key is read back (a misdirected read).

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Range;
use crate::ids::{Key, NodeId, PartitionId};
use crate::limits;
use crate::ring::slot;

/// What stands behind a key. Elements of sets and maps and rows of sessions get kinds of their own.
const KIND_MAIN: u8 = 0;

/// The key of a row on disk, and its name between nodes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct RowKey(Bytes);

/// Bytes that are no row key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a row key")]
pub struct NotARowKey;

const SLOT_BYTES: usize = 2;
const HASH_BYTES: usize = 6;
const LENGTH_BYTES: usize = 2;
const PREFIX_BYTES: usize = SLOT_BYTES + HASH_BYTES + LENGTH_BYTES;

impl RowKey {
    /// The row that holds the product record of a key.
    pub fn main(key: &Key) -> RowKey {
        let name = key.as_bytes();
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + name.len() + 1);
        bytes.extend_from_slice(&slot::of_key(name).0.to_be_bytes());
        bytes.extend_from_slice(&hash48(name));
        bytes.extend_from_slice(&(name.len() as u16).to_be_bytes());
        bytes.extend_from_slice(name);
        bytes.push(KIND_MAIN);
        RowKey(bytes.into())
    }

    /// Reads a row key back: length, slot and hash must fit the key that it names.
    pub fn parse(bytes: Bytes) -> Result<RowKey, NotARowKey> {
        let prefix: [u8; PREFIX_BYTES] =
            bytes.get(..PREFIX_BYTES).and_then(|prefix| prefix.try_into().ok()).ok_or(NotARowKey)?;
        let [s0, s1, hash @ .., l0, l1] = prefix;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let name = bytes.get(PREFIX_BYTES..PREFIX_BYTES + length).ok_or(NotARowKey)?;
        let kind = bytes.get(PREFIX_BYTES + length).ok_or(NotARowKey)?;
        let is_whole = *kind == KIND_MAIN && bytes.len() == PREFIX_BYTES + length + 1;
        let fits = slot::of_key(name).0 == u16::from_be_bytes([s0, s1]) && hash48(name) == hash;
        if is_whole && fits { Ok(RowKey(bytes)) } else { Err(NotARowKey) }
    }

    /// The bytes on disk.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The client's key that this row belongs to.
    pub fn key(&self) -> Key {
        let name = self.0.slice(PREFIX_BYTES..self.0.len() - 1);
        Key::new(name).expect("a row key holds a key within the bound: its length is a u16")
    }

    /// The slot that the row stands in.
    pub fn slot(&self) -> slot::Slot {
        slot::Slot(self.0.iter().take(SLOT_BYTES).fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    /// The partition that the row stands in, of `partitions`.
    pub fn partition(&self, partitions: u16) -> PartitionId {
        slot::partition_of(self.slot(), partitions)
    }
}

/// The rows of a partition, of `partitions`.
/// Note that the end of the last partition, slot 16384, is no slot but sorts after all.
pub fn partition_range(partition: PartitionId, partitions: u16) -> Range {
    let width = limits::SLOTS / partitions.max(1);
    let first = partition.0.saturating_mul(width);
    let next = first.saturating_add(width);
    let bytes = |slot: u16| Bytes::copy_from_slice(&slot.to_be_bytes());
    Range { start: bytes(first), end: Some(bytes(next)) }
}

/// The key of a debt in the index.
pub fn debt_key(owner: NodeId, row: &RowKey) -> Bytes {
    let mut bytes = Vec::with_capacity(8 + row.0.len());
    bytes.extend_from_slice(&owner.0.to_be_bytes());
    bytes.extend_from_slice(&row.0);
    bytes.into()
}

/// The row that a key of the debt index names.
pub fn row_of_debt(debt: &Bytes) -> Result<RowKey, NotARowKey> {
    if debt.len() < 8 {
        return Err(NotARowKey);
    }
    RowKey::parse(debt.slice(8..))
}

/// The owner that a key of the debt index names.
pub fn owner_of_debt(debt: &Bytes) -> NodeId {
    NodeId(debt.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// All debts to one owner.
pub fn debt_range(owner: NodeId) -> Range {
    let bytes = |number: u64| Bytes::copy_from_slice(&number.to_be_bytes());
    Range { start: bytes(owner.0), end: owner.0.checked_add(1).map(bytes) }
}

/// The smallest key that is larger than this one: where a scan goes on.
pub fn after(key: &Bytes) -> Bytes {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.extend_from_slice(key);
    bytes.push(0);
    bytes.into()
}

/// Key of the record that names the directory: its cluster, member and starts.
pub fn directory_key() -> Bytes {
    Bytes::from_static(b"D")
}

/// Key of what a node remembers of a partition (tenure, established or newborn).
pub fn partition_key(partition: PartitionId) -> Bytes {
    let [high, low] = partition.0.to_be_bytes();
    Bytes::copy_from_slice(&[b'P', high, low])
}

fn hash48(name: &[u8]) -> [u8; HASH_BYTES] {
    let [_, _, hash @ ..] = xxhash_rust::xxh3::xxh3_64(name).to_be_bytes();
    hash
}

impl TryFrom<Bytes> for RowKey {
    type Error = NotARowKey;
    fn try_from(bytes: Bytes) -> Result<RowKey, NotARowKey> {
        RowKey::parse(bytes)
    }
}

impl From<RowKey> for Bytes {
    fn from(row: RowKey) -> Bytes {
        row.0
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key())
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowKey({self})")
    }
}

#[cfg(test)]
#[path = "keyspace_tests.rs"]
mod tests;
