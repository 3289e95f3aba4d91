//! What goes wrong with a store in memory, what survives it, and what was asked of the store.

#[cfg(doc)]
use crate::storage::{Lookup, Store};

/// What goes wrong without a crash. `Default`: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryFaults {
    /// Of 1000 [`Store::get`] calls, how many answer [`Lookup::NotInMemory`], for present and absent keys of every
    /// space alike: on a real disk each of them can have left the cache.
    pub not_in_memory_per_mille: u16,
    /// Of 1000 reads of any kind, how many fail.
    pub failed_reads_per_mille: u16,
    /// The next write fails. Its batch may or may not have reached the disk.
    pub fail_writes: bool,
    /// The next sync fails. What was unsynced stays so.
    pub fail_syncs: bool,
    /// Reads show what has rotted as it was: for those who look at a world from outside.
    pub sees_through_rot: bool,
}

/// How many unsynced batches survive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// As many of the oldest as the seed says, from none to all.
    Random,
    /// So many of the oldest, or all if there are fewer.
    First(usize),
}

/// What a crash took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Batches that had not been synced.
    pub unsynced: usize,
    /// Batches that had been: only a lying disk loses these.
    pub synced: usize,
}

/// What was asked of a store since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryCounters {
    /// Calls of [`Store::get`].
    pub gets: u64,
    /// Of those, how many answered [`Lookup::NotInMemory`].
    pub not_in_memory: u64,
    /// Calls of [`Store::fetch`].
    pub fetches: u64,
    /// Calls of [`Store::scan`].
    pub scans: u64,
    /// Batches written.
    pub writes: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Calls that failed.
    pub failures: u64,
}
