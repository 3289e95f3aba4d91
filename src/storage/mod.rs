//! What the core asks of a disk: point reads from memory, atomic batches, one sync, and bounded pages.
//!
//! The shard reads through [`Store::get`] inside a turn and never waits: a row that is only on disk answers
//! [`Lookup::NotInMemory`], the op parks, and a job calls [`Store::fetch`] off the shard's thread. The driver writes
//! each sealed turn with [`Store::write`] before it feeds the next input, so the store always shows every sealed turn;
//! [`Store::sync`] makes them durable, off the shard's thread.
//!
//! ```text
//! shard ─get─→ memory ┐                      ┌─ fetch, scan ─ jobs
//! driver ─write──────→ one Store per node ───┤
//!        └sync (one at a time, covers all)   └─ RocksDB in production, `memory::MemoryStore` in simulation
//! ```
//!
//! `contract` is the test suite that every store must pass. Promises: a batch is all or nothing, also across a crash;
//! after a crash the store shows a prefix of the written batches that holds at least all synced ones.

pub mod contract;
pub mod keyspace;
pub mod memory;

use std::fmt;

use bytes::Bytes;

pub use keyspace::{RowKey, RowKind};

/// The parts of the key space, kept apart on disk (one column family each).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Row key → [`crate::replica::StoredRow`]: local header and state.
    Rows,
    /// (owner, row key) → row version: the index of what is owed, by owner.
    Debts,
    /// Small things about the directory and its partitions.
    Meta,
    /// What a stop leaves to the next start that it could also find out by looking through all rows ([`crate::antientropy`]).
    Trees,
}

impl Space {
    /// All of them.
    pub const ALL: [Space; 4] = [Space::Rows, Space::Debts, Space::Meta, Space::Trees];
}

/// Answer of a point read that must not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The value, from memory.
    Found(Bytes),
    /// Certainly not there.
    Absent,
    /// Only the disk knows: ask [`Store::fetch`] in a job.
    NotInMemory,
    /// The store could not tell. Never to be read as absent.
    Failed(StoreError),
}

/// A store that failed: a read that could not be answered, or a write or sync after which the process must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage failed: {detail}")]
pub struct StoreError {
    /// Of what kind.
    pub kind: StoreErrorKind,
    /// What happened, and what of the data.
    pub detail: String,
}

/// What a failure of the store says of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The system refused or failed: tried again, it may be well.
    Io,
    /// What stands on disk is not what was written, or is gone: a checksum that does not fit, a file that is missing. It stays so;
    /// only the other owners' copies help.
    Corrupt,
}

impl StoreError {
    /// The system refused or failed.
    pub fn io(detail: impl Into<String>) -> StoreError {
        StoreError { kind: StoreErrorKind::Io, detail: detail.into() }
    }

    /// What stands on disk is damaged.
    pub fn corrupt(detail: impl Into<String>) -> StoreError {
        StoreError { kind: StoreErrorKind::Corrupt, detail: detail.into() }
    }

    /// Whether what stands on disk is damaged.
    pub fn is_corrupt(&self) -> bool {
        self.kind == StoreErrorKind::Corrupt
    }
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets a value.
    Put(Bytes),
    /// Removes the key.
    Delete,
}

/// Writes that become visible and durable together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of spaces and keys; a key of a space stands in it once.
    pub changes: Vec<(Space, Bytes, Change)>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a write.
    pub fn put(&mut self, space: Space, key: Bytes, value: Bytes) {
        self.changes.push((space, key, Change::Put(value)));
    }

    /// Adds a removal.
    pub fn delete(&mut self, space: Space, key: Bytes) {
        self.changes.push((space, key, Change::Delete));
    }
}

/// The keys of a scan: from `start` (included) to `end` (excluded; `None`: to the end of the space).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// First key that may stand in the page.
    pub start: Bytes,
    /// First key that may not.
    pub end: Option<Bytes>,
}

/// How much of a range one page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Most entries.
    pub rows: usize,
    /// The page ends after the entry with which it reaches this many bytes of keys and values.
    pub bytes: usize,
}

/// A page of a scan, read from one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys in growing order, with their values.
    pub entries: Vec<(Bytes, Bytes)>,
    /// Whether the range ends with this page; else it goes on after the last entry.
    pub is_last: bool,
}

impl Page {
    /// Bytes of its keys and values.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

/// A node's storage. Shared by its shards, its jobs and its driver: every call may come from any thread.
pub trait Store: Send + Sync + fmt::Debug {
    /// A point read that answers from memory or says that it cannot. Shows every batch written before.
    fn get(&self, space: Space, key: &[u8]) -> Lookup;

    /// A point read that may wait for the disk. For jobs and for opening, never inside a turn.
    fn fetch(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// A bounded page of a range in key order, from one snapshot. For jobs and for opening, never inside a turn.
    fn scan(&self, space: Space, range: &Range, limit: PageLimit) -> Result<Page, StoreError>;

    /// Applies a batch atomically. Visible when it returns, durable after a later [`Store::sync`]. After an error
    /// nothing may be acknowledged any more: the process stops.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes every batch written before this call durable. After an error the process stops.
    fn sync(&self) -> Result<(), StoreError>;
}
