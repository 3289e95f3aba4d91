//! The disk of a store in memory: what stands on it, and the log that a crash undoes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::BatchNumber;
use super::faults::{Loss, MemoryCounters, MemoryFaults};
use crate::storage::{Batch, Change, Page, PageLimit, Range, Space, StoreError};

/// Synced batches that a lying disk can still lose. Older ones are certain, and forgotten as batches.
pub const SYNCED_BATCHES_KEPT: usize = 256;

/// Unsynced batches that a crash can lose. Above it the oldest become durable without a sync.
pub const UNSYNCED_BATCHES_MAX: usize = 8192;

/// What a change replaced.
type Undo = (Space, Bytes, Option<Bytes>);

/// What stands on it now, and how to undo what a crash may take.
pub(super) struct Disk {
    rows: BTreeMap<Bytes, Bytes>,
    debts: BTreeMap<Bytes, Bytes>,
    meta: BTreeMap<Bytes, Bytes>,
    trees: BTreeMap<Bytes, Bytes>,
    /// How to undo the newest batches, oldest first; the first `synced` of them are synced.
    pub(super) log: VecDeque<Vec<Undo>>,
    pub(super) synced: usize,
    /// Batches ever written, lost ones included.
    pub(super) written: u64,
    /// After a failed write or sync everything fails until the next start, as the process must stop.
    broken: Option<StoreError>,
    pub(super) faults: MemoryFaults,
    /// Keys whose bytes are not what was written, until they are written again.
    rotten: BTreeSet<(Space, Bytes)>,
    pub(super) counters: MemoryCounters,
    rng: ChaCha8Rng,
}

impl Disk {
    /// A new disk, whose random answers come from `rng`.
    pub(super) fn empty(rng: ChaCha8Rng) -> Disk {
        Disk {
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
            rng,
        }
    }

    /// Another disk with the content, the rot and the faults of this one; nothing of it can be lost by a crash.
    pub(super) fn copy(&self, rng: ChaCha8Rng) -> Disk {
        Disk {
            rows: self.rows.clone(),
            debts: self.debts.clone(),
            meta: self.meta.clone(),
            trees: self.trees.clone(),
            faults: self.faults,
            rotten: self.rotten.clone(),
            ..Disk::empty(rng)
        }
    }

    /// Everything is gone; faults, counters and the random numbers go on.
    pub(super) fn wipe(&mut self) {
        for space in Space::ALL {
            self.map_mut(space).clear();
        }
        self.log.clear();
        self.synced = 0;
        self.broken = None;
        self.rotten.clear();
    }

    /// Marks at most `most` keys of a range as rotten, and says how many are so newly.
    pub(super) fn rot(&mut self, space: Space, range: &Range, most: usize) -> usize {
        let page = self.page(space, range, PageLimit { rows: most.max(1), bytes: usize::MAX });
        let before = self.rotten.len();
        self.rotten.extend(page.entries.into_iter().map(|(key, _)| (space, key)));
        self.rotten.len() - before
    }

    pub(super) fn map(&self, space: Space) -> &BTreeMap<Bytes, Bytes> {
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

    pub(super) fn readable(&mut self) -> Result<(), StoreError> {
        let per_mille = self.faults.failed_reads_per_mille;
        if self.happens(per_mille) {
            self.counters.failures += 1;
            return Err(StoreError::io("a read failed (injected); nothing was changed"));
        }
        Ok(())
    }

    pub(super) fn sound(&self, space: Space, key: &[u8]) -> Result<(), StoreError> {
        let is_sound = self.rotten.is_empty() || self.faults.sees_through_rot;
        if is_sound || !self.rotten.contains(&(space, Bytes::copy_from_slice(key))) {
            return Ok(());
        }
        Err(StoreError::corrupt("what stands on disk does not have its checksum (injected); nothing was changed"))
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
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

    pub(super) fn sync(&mut self, through: BatchNumber) -> Result<(), StoreError> {
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

    pub(super) fn crash_dropping(&mut self, batches: usize) -> Loss {
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

    pub(super) fn happens(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.rng.next_u32() % 1000 < u32::from(per_mille)
    }

    /// A number from 0 to `bound` - 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }

    /// The rows of a range, as many as the limit allows.
    pub(super) fn page(&self, space: Space, range: &Range, limit: PageLimit) -> Page {
        let end = range.end.as_deref();
        if end.is_some_and(|end| end <= range.start.as_ref()) {
            return Page { entries: Vec::new(), is_last: true };
        }
        let bounds = (Bound::Included(range.start.as_ref()), end.map_or(Bound::Unbounded, Bound::Excluded));
        let mut page = Page::default();
        let mut bytes = 0;
        for (key, value) in self.map(space).range::<[u8], _>(bounds) {
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
}
