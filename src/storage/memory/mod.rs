//! A store in memory that crashes like a disk: for simulations and for tests.
//!
//! ```text
//! written   b1  b2  b3 │ b4  b5  b6      the map shows all six
//!           synced     │ unsynced        the log remembers how to undo each
//! crash     b1  b2  b3   b4            a prefix survives, at least all synced ones
//! lying     b1  b2                       a disk that lied about its syncs loses some of those as well
//! ```
//!
//! The batch at the edge may be torn on disk. A checksum covers each batch, so a torn one is dropped whole: what
//! survives is always a prefix, and "torn" needs no state of its own. Old unsynced batches become durable by
//! themselves ([`UNSYNCED_BATCHES_MAX`]), as an operating system writes back its pages, so a store that is never
//! synced stays bounded. A killed process loses nothing: a crash here is a power cut.
//!
//! Answers depend only on the seed and on the order of the calls. Costs: a read is a lookup in an ordered map under a
//! mutex, a write one insertion per change plus one record for undoing it; nothing is copied but for [`MemoryStore::copy`].
//!
//! A clone is a handle on the same directory; [`MemoryStore::copy`] is another directory with the same content.

mod disk;
mod faults;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::disk::Disk;
pub use self::disk::{SYNCED_BATCHES_KEPT, UNSYNCED_BATCHES_MAX};
pub use self::faults::{Loss, MemoryCounters, MemoryFaults, Survivors};
use super::{Batch, Lookup, Page, PageLimit, Range, Space, Store, StoreError};

/// Names a written batch of one store, in the order of writing: see [`MemoryStore::sync_through`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(u64);

/// The store. A clone is a handle on the same one.
#[derive(Clone)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
}

impl MemoryStore {
    /// An empty store without faults. Its random answers are a function of the seed.
    pub fn new(seed: u64) -> MemoryStore {
        MemoryStore::holding(Disk::empty(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// A second directory with all that this one shows now, as `cp -a` makes it: a backup or a clone. It takes over
    /// the faults, has a seed of its own, and a crash takes nothing of the copied content. Costs a copy of the map.
    pub fn copy(&self, seed: u64) -> MemoryStore {
        MemoryStore::holding(self.disk().copy(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// A power cut: unsynced batches survive as a prefix, synced ones all. The store is then as it opens afterwards;
    /// a failed write or sync is forgotten.
    pub fn crash(&self, survivors: Survivors) -> Loss {
        let mut disk = self.disk();
        let unsynced = disk.log.len() - disk.synced;
        let kept = match survivors {
            Survivors::Random => disk.below(unsynced + 1),
            Survivors::First(batches) => batches.min(unsynced),
        };
        disk.crash_dropping(unsynced - kept)
    }

    /// A power cut on a disk that lied: all unsynced batches are lost, and the newest `batches` of the synced ones
    /// (of which [`SYNCED_BATCHES_KEPT`] are at hand).
    pub fn lose_synced_tail(&self, batches: usize) -> Loss {
        let mut disk = self.disk();
        let lost = disk.log.len() - disk.synced + batches.min(disk.synced);
        disk.crash_dropping(lost)
    }

    /// A new disk: everything is gone, faults and counters stay.
    pub fn wipe(&self) {
        self.disk().wipe();
    }

    /// What stands under the keys of a range, at most `most` of them, is not what was written any more: whoever reads it is told
    /// so, as by a checksum. Returns how many. One key is a block that has rotted, a long range a file that is gone.
    pub fn rot(&self, space: Space, range: &Range, most: usize) -> usize {
        self.disk().rot(space, range, most)
    }

    /// The number of the newest written batch.
    pub fn written(&self) -> BatchNumber {
        BatchNumber(self.disk().written)
    }

    /// A sync that began when `batch` was the newest one: later batches stay unsynced. [`Store::sync`] covers all.
    pub fn sync_through(&self, batch: BatchNumber) -> Result<(), StoreError> {
        self.disk().sync(batch)
    }

    /// Batches that a crash could take now.
    pub fn unsynced(&self) -> usize {
        let disk = self.disk();
        disk.log.len() - disk.synced
    }

    /// The faults from now on.
    pub fn set_faults(&self, faults: MemoryFaults) {
        self.disk().faults = faults;
    }

    /// The faults as they are set.
    pub fn faults(&self) -> MemoryFaults {
        self.disk().faults
    }

    /// What was asked so far.
    pub fn counters(&self) -> MemoryCounters {
        self.disk().counters
    }

    /// Keys of a space.
    pub fn len(&self, space: Space) -> usize {
        self.disk().map(space).len()
    }

    /// Whether no space holds anything, as in a new directory.
    pub fn is_empty(&self) -> bool {
        let disk = self.disk();
        Space::ALL.iter().all(|space| disk.map(*space).is_empty())
    }

    fn holding(disk: Disk) -> MemoryStore {
        MemoryStore { disk: Arc::new(Mutex::new(disk)) }
    }

    /// A panic of another thread leaves whole changes behind, at worst half a batch of a test that failed anyway.
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Lookup {
        let mut disk = self.disk();
        disk.counters.gets += 1;
        if let Err(error) = disk.readable() {
            return Lookup::Failed(error);
        }
        let per_mille = disk.faults.not_in_memory_per_mille;
        if disk.happens(per_mille) {
            disk.counters.not_in_memory += 1;
            return Lookup::NotInMemory;
        }
        if let Err(error) = disk.sound(space, key) {
            return Lookup::Failed(error);
        }
        disk.map(space).get(key).cloned().map_or(Lookup::Absent, Lookup::Found)
    }

    fn fetch(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let mut disk = self.disk();
        disk.counters.fetches += 1;
        disk.readable()?;
        disk.sound(space, key)?;
        Ok(disk.map(space).get(key).cloned())
    }

    fn scan(&self, space: Space, range: &Range, limit: PageLimit) -> Result<Page, StoreError> {
        let mut disk = self.disk();
        disk.counters.scans += 1;
        disk.readable()?;
        let page = disk.page(space, range, limit);
        page.entries.iter().try_for_each(|(key, _)| disk.sound(space, key))?;
        Ok(page)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.disk().write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.disk().sync(BatchNumber(u64::MAX))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = self.disk();
        f.debug_struct("MemoryStore")
            .field("rows", &disk.map(Space::Rows).len())
            .field("debts", &disk.map(Space::Debts).len())
            .field("meta", &disk.map(Space::Meta).len())
            .field("unsynced", &(disk.log.len() - disk.synced))
            .finish()
    }
}

#[cfg(test)]
mod tests;
