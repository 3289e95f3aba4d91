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

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Batch, Change, Lookup, Page, PageLimit, Range, Space, Store, StoreError};

/// Synced batches that a lying disk can still lose. Older ones are certain, and forgotten as batches.
pub const SYNCED_BATCHES_KEPT: usize = 256;

/// Unsynced batches that a crash can lose. Above it the oldest become durable without a sync.
pub const UNSYNCED_BATCHES_MAX: usize = 8192;

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

/// Names a written batch of one store, in the order of writing: see [`MemoryStore::sync_through`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(u64);

/// The store. A clone is a handle on the same one.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

/// What a change replaced.
type Undo = (Space, Bytes, Option<Bytes>);

struct Inner {
    rows: BTreeMap<Bytes, Bytes>,
    debts: BTreeMap<Bytes, Bytes>,
    meta: BTreeMap<Bytes, Bytes>,
    trees: BTreeMap<Bytes, Bytes>,
    /// How to undo the newest batches, oldest first; the first `synced` of them are synced.
    log: VecDeque<Vec<Undo>>,
    synced: usize,
    /// Batches ever written, lost ones included.
    written: u64,
    /// After a failed write or sync everything fails until the next start, as the process must stop.
    broken: Option<StoreError>,
    faults: MemoryFaults,
    /// Keys whose bytes are not what was written, until they are written again.
    rotten: BTreeSet<(Space, Bytes)>,
    counters: MemoryCounters,
    rng: ChaCha8Rng,
}

impl MemoryStore {
    /// An empty store without faults. Its random answers are a function of the seed.
    pub fn new(seed: u64) -> MemoryStore {
        MemoryStore::holding(Inner {
            rows: BTreeMap::new(),
            debts: BTreeMap::new(),
            meta: BTreeMap::new(),
            trees: BTreeMap::new(),
            log: VecDeque::new(),
            synced: 0,
            written: 0,
            broken: None,
            faults: MemoryFaults::default(),
            rotten: BTreeSet::new(),
            counters: MemoryCounters::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        })
    }

    /// A second directory with all that this one shows now, as `cp -a` makes it: a backup or a clone. It takes over
    /// the faults, has a seed of its own, and a crash takes nothing of the copied content. Costs a copy of the map.
    pub fn copy(&self, seed: u64) -> MemoryStore {
        let inner = self.inner();
        MemoryStore::holding(Inner {
            rows: inner.rows.clone(),
            debts: inner.debts.clone(),
            meta: inner.meta.clone(),
            trees: inner.trees.clone(),
            log: VecDeque::new(),
            synced: 0,
            written: 0,
            broken: None,
            faults: inner.faults,
            rotten: inner.rotten.clone(),
            counters: MemoryCounters::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        })
    }

    /// A power cut: unsynced batches survive as a prefix, synced ones all. The store is then as it opens afterwards;
    /// a failed write or sync is forgotten.
    pub fn crash(&self, survivors: Survivors) -> Loss {
        let mut inner = self.inner();
        let unsynced = inner.log.len() - inner.synced;
        let kept = match survivors {
            Survivors::Random => inner.below(unsynced + 1),
            Survivors::First(batches) => batches.min(unsynced),
        };
        inner.crash_dropping(unsynced - kept)
    }

    /// A power cut on a disk that lied: all unsynced batches are lost, and the newest `batches` of the synced ones
    /// (of which [`SYNCED_BATCHES_KEPT`] are at hand).
    pub fn lose_synced_tail(&self, batches: usize) -> Loss {
        let mut inner = self.inner();
        let lost = inner.log.len() - inner.synced + batches.min(inner.synced);
        inner.crash_dropping(lost)
    }

    /// A new disk: everything is gone, faults and counters stay.
    pub fn wipe(&self) {
        let mut inner = self.inner();
        for space in Space::ALL {
            inner.map_mut(space).clear();
        }
        inner.log.clear();
        inner.synced = 0;
        inner.broken = None;
        inner.rotten.clear();
    }

    /// What stands under the keys of a range, at most `most` of them, is not what was written any more: whoever reads it is told
    /// so, as by a checksum. Returns how many. One key is a block that has rotted, a long range a file that is gone.
    pub fn rot(&self, space: Space, range: &Range, most: usize) -> usize {
        let mut inner = self.inner();
        let page = page(inner.map(space), range, PageLimit { rows: most.max(1), bytes: usize::MAX });
        let keys = page.entries.into_iter().map(|(key, _)| (space, key));
        let before = inner.rotten.len();
        inner.rotten.extend(keys);
        inner.rotten.len() - before
    }

    /// The number of the newest written batch.
    pub fn written(&self) -> BatchNumber {
        BatchNumber(self.inner().written)
    }

    /// A sync that began when `batch` was the newest one: later batches stay unsynced. [`Store::sync`] covers all.
    pub fn sync_through(&self, batch: BatchNumber) -> Result<(), StoreError> {
        self.inner().sync(batch)
    }

    /// Batches that a crash could take now.
    pub fn unsynced(&self) -> usize {
        let inner = self.inner();
        inner.log.len() - inner.synced
    }

    /// The faults from now on.
    pub fn set_faults(&self, faults: MemoryFaults) {
        self.inner().faults = faults;
    }

    /// The faults as they are set.
    pub fn faults(&self) -> MemoryFaults {
        self.inner().faults
    }

    /// What was asked so far.
    pub fn counters(&self) -> MemoryCounters {
        self.inner().counters
    }

    /// Keys of a space.
    pub fn len(&self, space: Space) -> usize {
        self.inner().map(space).len()
    }

    /// Whether no space holds anything, as in a new directory.
    pub fn is_empty(&self) -> bool {
        let inner = self.inner();
        Space::ALL.iter().all(|space| inner.map(*space).is_empty())
    }

    fn holding(inner: Inner) -> MemoryStore {
        MemoryStore { inner: Arc::new(Mutex::new(inner)) }
    }

    /// A panic of another thread leaves whole changes behind, at worst half a batch of a test that failed anyway.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Lookup {
        let mut inner = self.inner();
        inner.counters.gets += 1;
        if let Err(error) = inner.readable() {
            return Lookup::Failed(error);
        }
        let per_mille = inner.faults.not_in_memory_per_mille;
        if inner.happens(per_mille) {
            inner.counters.not_in_memory += 1;
            return Lookup::NotInMemory;
        }
        if let Err(error) = inner.sound(space, key) {
            return Lookup::Failed(error);
        }
        inner.map(space).get(key).cloned().map_or(Lookup::Absent, Lookup::Found)
    }

    fn fetch(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let mut inner = self.inner();
        inner.counters.fetches += 1;
        inner.readable()?;
        inner.sound(space, key)?;
        Ok(inner.map(space).get(key).cloned())
    }

    fn scan(&self, space: Space, range: &Range, limit: PageLimit) -> Result<Page, StoreError> {
        let mut inner = self.inner();
        inner.counters.scans += 1;
        inner.readable()?;
        let page = page(inner.map(space), range, limit);
        page.entries.iter().try_for_each(|(key, _)| inner.sound(space, key))?;
        Ok(page)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.inner().write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.inner().sync(BatchNumber(u64::MAX))
    }
}

impl Inner {
    fn map(&self, space: Space) -> &BTreeMap<Bytes, Bytes> {
        match space {
            Space::Rows => &self.rows,
            Space::Debts => &self.debts,
            Space::Meta => &self.meta,
            Space::Trees => &self.trees,
        }
    }

    fn map_mut(&mut self, space: Space) -> &mut BTreeMap<Bytes, Bytes> {
        match space {
            Space::Rows => &mut self.rows,
            Space::Debts => &mut self.debts,
            Space::Meta => &mut self.meta,
            Space::Trees => &mut self.trees,
        }
    }

    fn readable(&mut self) -> Result<(), StoreError> {
        let per_mille = self.faults.failed_reads_per_mille;
        if self.happens(per_mille) {
            self.counters.failures += 1;
            return Err(StoreError::io("a read failed (injected); nothing was changed"));
        }
        Ok(())
    }

    fn sound(&self, space: Space, key: &[u8]) -> Result<(), StoreError> {
        let is_sound = self.rotten.is_empty() || self.faults.sees_through_rot;
        if is_sound || !self.rotten.contains(&(space, Bytes::copy_from_slice(key))) {
            return Ok(());
        }
        Err(StoreError::corrupt("what stands on disk does not have its checksum (injected); nothing was changed"))
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.usable()?;
        if self.faults.fail_writes {
            if self.below(2) == 1 {
                self.apply(batch);
            }
            return self.fail("a write failed (injected); whether its batch is on disk shows after the next start");
        }
        self.apply(batch);
        self.counters.writes += 1;
        Ok(())
    }

    fn sync(&mut self, through: BatchNumber) -> Result<(), StoreError> {
        self.usable()?;
        if self.faults.fail_syncs {
            return self.fail("a sync failed (injected); what was written since the last one may be lost");
        }
        let later = usize::try_from(self.written.saturating_sub(through.0)).unwrap_or(usize::MAX);
        self.synced = self.synced.max(self.log.len().saturating_sub(later));
        self.forget_certain();
        self.counters.syncs += 1;
        Ok(())
    }

    fn usable(&mut self) -> Result<(), StoreError> {
        let Some(error) = self.broken.clone() else { return Ok(()) };
        self.counters.failures += 1;
        Err(error)
    }

    fn fail(&mut self, text: &str) -> Result<(), StoreError> {
        let error = StoreError::io(text);
        self.broken = Some(error.clone());
        self.counters.failures += 1;
        Err(error)
    }

    fn apply(&mut self, batch: &Batch) {
        let mut undo = Vec::with_capacity(batch.changes.len());
        for (space, key, change) in &batch.changes {
            self.rotten.remove(&(*space, key.clone()));
            let map = self.map_mut(*space);
            let before = match change {
                Change::Put(value) => map.insert(key.clone(), value.clone()),
                Change::Delete => map.remove(key),
            };
            undo.push((*space, key.clone(), before));
        }
        self.log.push_back(undo);
        self.written += 1;
        if self.log.len() - self.synced > UNSYNCED_BATCHES_MAX {
            self.synced += 1;
            self.forget_certain();
        }
    }

    fn forget_certain(&mut self) {
        while self.synced > SYNCED_BATCHES_KEPT {
            self.log.pop_front();
            self.synced -= 1;
        }
    }

    fn crash_dropping(&mut self, batches: usize) -> Loss {
        let unsynced = batches.min(self.log.len() - self.synced);
        for _ in 0..batches {
            for (space, key, before) in self.log.pop_back().into_iter().flatten().rev() {
                match before {
                    Some(value) => self.map_mut(space).insert(key, value),
                    None => self.map_mut(space).remove(&key),
                };
            }
        }
        // What a start finds on disk stays there.
        self.synced = self.log.len();
        self.forget_certain();
        self.broken = None;
        Loss { unsynced, synced: batches - unsynced }
    }

    fn happens(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.rng.next_u32() % 1000 < u32::from(per_mille)
    }

    /// A number from 0 to `bound` - 1.
    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }
}

fn page(map: &BTreeMap<Bytes, Bytes>, range: &Range, limit: PageLimit) -> Page {
    let end = range.end.as_deref();
    if end.is_some_and(|end| end <= range.start.as_ref()) {
        return Page { entries: Vec::new(), is_last: true };
    }
    let bounds = (Bound::Included(range.start.as_ref()), end.map_or(Bound::Unbounded, Bound::Excluded));
    let mut page = Page::default();
    let mut bytes = 0;
    for (key, value) in map.range::<[u8], _>(bounds) {
        // Asked before the entry is taken, so that a page that ends exactly with the range says so.
        if !page.entries.is_empty() && (page.entries.len() >= limit.rows || bytes >= limit.bytes) {
            return page;
        }
        bytes += key.len() + value.len();
        page.entries.push((key.clone(), value.clone()));
    }
    page.is_last = true;
    page
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        f.debug_struct("MemoryStore")
            .field("rows", &inner.rows.len())
            .field("debts", &inner.debts.len())
            .field("meta", &inner.meta.len())
            .field("unsynced", &(inner.log.len() - inner.synced))
            .finish()
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
