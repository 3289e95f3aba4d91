//! How keys stand on disk.
//!
//! ```text
//! Rows   slot u16 │ xxh3-48 of the key, 6 bytes │ key length u16 │ key │ kind u8 │ sub-key
//!        kind 0 main, no sub-key │ 1 session, its actor │ 2 member of a set │ 3 field of a map │ 4 member with a score
//! Debts  owner u64 │ row key
//! Meta   tag u8 │ …                                             (all numbers big-endian)
//! Trees  tag u8 │ partition or shard u16
//! ```
//!
//! A slot is one range, hence so is a partition; inside a slot rows stand in hash order, so a scan's place in it is
//! (slot, hash) whatever comes and goes. The hash is checked when a row key is read back (a misdirected read).
//! The rows of one key are its *family*: the main row, then its side rows, sessions in the order of their expiry.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Range;
use crate::causality::{ActorId, Tick};
use crate::ids::{CollectionKind, Key, NodeId, PartitionId};
use crate::limits;
use crate::ring::slot;

/// What a row of a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// The product record of the key.
    Main,
    /// What one client session did to the counter.
    Session,
    /// One element of a collection.
    Element(CollectionKind),
}

impl RowKind {
    fn number(self) -> u8 {
        match self {
            RowKind::Main => 0,
            RowKind::Session => 1,
            RowKind::Element(CollectionKind::Set) => 2,
            RowKind::Element(CollectionKind::Map) => 3,
            RowKind::Element(CollectionKind::SortedSet) => 4,
        }
    }

    fn from_number(number: u8) -> Option<RowKind> {
        match number {
            0 => Some(RowKind::Main),
            1 => Some(RowKind::Session),
            2 => Some(RowKind::Element(CollectionKind::Set)),
            3 => Some(RowKind::Element(CollectionKind::Map)),
            4 => Some(RowKind::Element(CollectionKind::SortedSet)),
            _ => None,
        }
    }

    fn allows_sub_key(self, bytes: usize) -> bool {
        match self {
            RowKind::Main => bytes == 0,
            RowKind::Session => bytes == ActorId::BYTES,
            RowKind::Element(_) => bytes <= limits::ELEMENT_BYTES_MAX,
        }
    }
}

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
        bytes.push(RowKind::Main.number());
        RowKey(bytes.into())
    }

    /// The row of a session in the family of this row.
    pub fn session(&self, actor: ActorId) -> RowKey {
        self.side(RowKind::Session, &actor.to_bytes())
    }

    /// The row of an element in the family of this row. At most [`limits::ELEMENT_BYTES_MAX`] bytes.
    pub fn element(&self, kind: CollectionKind, element: &[u8]) -> RowKey {
        self.side(RowKind::Element(kind), element)
    }

    /// The main row of the family.
    pub fn main_row(&self) -> RowKey {
        if self.kind() == RowKind::Main { self.clone() } else { self.side(RowKind::Main, &[]) }
    }

    fn side(&self, kind: RowKind, sub_key: &[u8]) -> RowKey {
        let family = self.family();
        let mut bytes = Vec::with_capacity(family.len() + 1 + sub_key.len());
        bytes.extend_from_slice(family);
        bytes.push(kind.number());
        bytes.extend_from_slice(sub_key);
        RowKey(bytes.into())
    }

    /// What the rows of a family have in common.
    fn family(&self) -> &[u8] {
        self.0.get(..self.kind_place()).unwrap_or_default()
    }

    fn kind_place(&self) -> usize {
        let length = self.0.get(SLOT_BYTES + HASH_BYTES..PREFIX_BYTES).unwrap_or_default();
        PREFIX_BYTES + length.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    /// What the row holds.
    pub fn kind(&self) -> RowKind {
        self.0.get(self.kind_place()).and_then(|kind| RowKind::from_number(*kind)).unwrap_or(RowKind::Main)
    }

    /// The element's bytes, or the session's.
    pub fn sub_key(&self) -> Bytes {
        self.0.slice(self.kind_place() + 1..)
    }

    /// The session, if the row is one's.
    pub fn actor(&self) -> Option<ActorId> {
        let sub_key: [u8; ActorId::BYTES] = self.sub_key().as_ref().try_into().ok()?;
        (self.kind() == RowKind::Session).then(|| ActorId::from_bytes(sub_key))
    }

    /// Reads a row key back: length, slot and hash must fit the key that it names.
    pub fn parse(bytes: Bytes) -> Result<RowKey, NotARowKey> {
        let prefix: [u8; PREFIX_BYTES] =
            bytes.get(..PREFIX_BYTES).and_then(|prefix| prefix.try_into().ok()).ok_or(NotARowKey)?;
        let [s0, s1, hash @ .., l0, l1] = prefix;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let name = bytes.get(PREFIX_BYTES..PREFIX_BYTES + length).ok_or(NotARowKey)?;
        let kind = bytes.get(PREFIX_BYTES + length).and_then(|kind| RowKind::from_number(*kind)).ok_or(NotARowKey)?;
        let is_whole = kind.allows_sub_key(bytes.len() - (PREFIX_BYTES + length + 1));
        let fits = slot::of_key(name).0 == u16::from_be_bytes([s0, s1]) && hash48(name) == hash;
        if is_whole && fits { Ok(RowKey(bytes)) } else { Err(NotARowKey) }
    }

    /// The bytes on disk.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The client's key that this row belongs to.
    pub fn key(&self) -> Key {
        let name = self.0.slice(PREFIX_BYTES..self.kind_place());
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

/// The session rows of a family that expire after a tick.
pub fn sessions_after(row: &RowKey, settled: Tick) -> Range {
    let end = row.side(RowKind::Element(CollectionKind::Set), &[]).0;
    let start = settled.0.checked_add(1).map_or(end.clone(), |next| row.side(RowKind::Session, &next.to_be_bytes()).0);
    Range { start, end: Some(end) }
}

/// The elements of a collection of a family that come after one of them.
pub fn elements_after(row: &RowKey, kind: CollectionKind, element: Option<&[u8]>) -> Range {
    let start = match element {
        Some(element) => after(&row.element(kind, element).0),
        None => row.element(kind, &[]).0,
    };
    let mut end = row.family().to_vec();
    end.push(RowKind::Element(kind).number() + 1);
    Range { start, end: Some(end.into()) }
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

/// Where a row stands among all: the slot and the hash of its key as one number, which orders as keys on disk do.
pub fn place_of(row: &[u8]) -> u64 {
    row.first_chunk().map_or(0, |place| u64::from_be_bytes(*place))
}

/// Key of the record that names the directory: its cluster, member and starts.
pub fn directory_key() -> Bytes {
    Bytes::from_static(b"D")
}

/// Key of the layout that was decided last, as this node knows (`membership::Committed`).
pub fn layout_key() -> Bytes {
    Bytes::from_static(b"L")
}

/// Key of this node's vote on the next layout.
pub fn acceptor_key() -> Bytes {
    Bytes::from_static(b"X")
}

/// Key of the changes that were staged at this node. Empty: none.
pub fn plan_key() -> Bytes {
    Bytes::from_static(b"S")
}

/// Key of what a node remembers of a partition (`replica::PartitionMemory`).
pub fn partition_key(partition: PartitionId) -> Bytes {
    let [high, low] = partition.0.to_be_bytes();
    Bytes::copy_from_slice(&[b'P', high, low])
}

/// Key of the record of owners that may lack something of a partition (`hints::RepairMarks`).
pub fn repair_key(partition: PartitionId) -> Bytes {
    let [high, low] = partition.0.to_be_bytes();
    Bytes::copy_from_slice(&[b'R', high, low])
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

/// Row keys are ordered as their bytes are.
impl std::borrow::Borrow<[u8]> for RowKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<RowKey> for Bytes {
    fn from(row: RowKey) -> Bytes {
        row.0
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key())?;
        match (self.kind(), self.actor()) {
            (RowKind::Main, _) => Ok(()),
            (RowKind::Session, Some(actor)) => write!(f, "/{actor}"),
            (RowKind::Session | RowKind::Element(_), _) => write!(f, "/{}", self.sub_key().escape_ascii()),
        }
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
