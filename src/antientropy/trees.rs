//! The trees of a shard: kept up as rows change, and built anew by looking through a partition.
//!
//! ```text
//! waiting ──due──→ reading a page ──→ taken in ──pause──→ reading … ──last page──→ whole, until it is due again
//!                                     rows before the cursor: a change is taken in at once
//!                                     rows behind it: the page that is being read may or may not show a change,
//!                                                     so what changes meanwhile is noted and counts instead of the page
//! ```
//!
//! A partition without a whole tree is compared without one. A tree that is built anew while the earlier one serves must
//! equal it: if it does not, rows were lost or changed beneath this shard, and the new one is right.
//!
//! Bounded: one partition of a shard at a time, one page, [`CHANGED_MAX`] noted changes. Called by the turn for each row
//! that it writes (a look into an ordered map, and one or two additions), and by the shard's routes for pages and timers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::tree::{MerkleTree, contribution};
use crate::ids::{OpId, PartitionId};
use crate::limits;
use crate::shard::{Env, Job, Outbox, TimerKey};
use crate::storage::{Page, PageLimit, Range, StoreError, keyspace};
use crate::time::Timestamp;

/// Changes that are noted while a page is read; a page during which more rows change is read again.
const CHANGED_MAX: usize = 65_536;

/// Bytes of their keys, likewise: a key may be long.
const CHANGED_BYTES_MAX: usize = 8 << 20;

/// Pause between two pages, so that a large partition does not hold up clients.
const PAGE_PAUSE: Duration = Duration::from_millis(2);

/// A partition that could not be read is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The trees of one shard.
#[derive(Debug)]
pub struct Trees {
    partitions: u16,
    /// Of the own partitions.
    by_id: BTreeMap<PartitionId, Entry>,
    /// When each is to be built, again or for the first time.
    due: BTreeSet<(Timestamp, PartitionId)>,
    build: Option<Build>,
}

#[derive(Debug, Default)]
struct Entry {
    whole: Option<MerkleTree>,
    /// When it is to be built, again or for the first time; `None` while it is being built.
    due: Option<Timestamp>,
}

/// A tree that is being built.
#[derive(Debug)]
struct Build {
    op: OpId,
    partition: PartitionId,
    tree: MerkleTree,
    /// What is still to be read; its start is the cursor.
    rest: Range,
    /// A page is being read: what the rows from the cursor on add since it was asked for.
    changed: Option<BTreeMap<Bytes, Option<u128>>>,
    /// Bytes of their keys.
    changed_bytes: usize,
    /// More changed than can be noted.
    is_overrun: bool,
}

/// A tree is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Of which partition.
    pub partition: PartitionId,
    /// It took the place of one that said something else: rows were lost or changed beneath the shard.
    pub differs: bool,
}

impl Trees {
    /// No trees yet. A cluster has `partitions`.
    pub fn new(partitions: u16) -> Trees {
        Trees { partitions, by_id: BTreeMap::new(), due: BTreeSet::new(), build: None }
    }

    /// These partitions have a tree, or will have one; the trees of others are forgotten.
    pub fn set_partitions(&mut self, own: &BTreeSet<PartitionId>) {
        self.by_id.retain(|partition, _| own.contains(partition));
        self.due.retain(|(_, partition)| own.contains(partition));
        self.build.take_if(|build| !own.contains(&build.partition));
        for partition in own {
            if !self.by_id.contains_key(partition) {
                self.by_id.insert(*partition, Entry::default());
                self.schedule(*partition, Timestamp(0));
            }
        }
    }

    fn schedule(&mut self, partition: PartitionId, at: Timestamp) {
        let Some(entry) = self.by_id.get_mut(&partition) else { return };
        if let Some(before) = entry.due.replace(at) {
            self.due.remove(&(before, partition));
        }
        self.due.insert((at, partition));
    }

    /// The tree of a partition, if it is whole.
    pub fn whole(&self, partition: PartitionId) -> Option<&MerkleTree> {
        self.by_id.get(&partition)?.whole.as_ref()
    }

    /// Whether the first tree of a partition is still to come: it waits, or is being built, and no page of it has failed.
    pub fn is_awaited(&self, env: &Env<'_>, partition: PartitionId) -> bool {
        let is_coming = |entry: &Entry| entry.whole.is_none() && entry.due.is_none_or(|due| due <= env.now.mono);
        env.config.trees && self.by_id.get(&partition).is_some_and(is_coming)
    }

    /// The partitions that have a tree, or will have one.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.by_id.keys().copied().collect()
    }

    /// How many partitions the cluster has.
    pub(super) fn partition_count(&self) -> u16 {
        self.partitions
    }

    /// The tree of a partition without rows.
    pub(super) fn blank(&self, partition: PartitionId) -> MerkleTree {
        MerkleTree::new(partition, self.partitions)
    }

    /// This is the tree of a partition that has none yet; it is built anew later.
    pub(super) fn adopt(&mut self, partition: PartitionId, tree: MerkleTree, again: Timestamp) {
        if let Some(entry) = self.by_id.get_mut(&partition) {
            entry.whole = Some(tree);
            self.schedule(partition, again);
        }
    }

    /// Every tree that is whole.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, &MerkleTree)> {
        self.by_id.iter().filter_map(|(partition, entry)| Some((*partition, entry.whole.as_ref()?)))
    }

    /// Partitions whose first tree is not whole yet.
    pub fn waiting(&self) -> usize {
        self.by_id.values().filter(|entry| entry.whole.is_none()).count()
    }

    /// Memory of all sums. Unit: bytes.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(_, tree)| tree.bytes()).sum()
    }

    /// A row is being written: what stood on disk added `before`, what will stand there adds `now`.
    pub fn replace(&mut self, partition: PartitionId, row: &Bytes, before: Option<u128>, now: Option<u128>) {
        if before == now {
            return;
        }
        let Some(entry) = self.by_id.get_mut(&partition) else { return };
        if let Some(tree) = &mut entry.whole {
            tree.replace(row, before, now);
        }
        let is_crowded = entry.whole.as_ref().is_some_and(MerkleTree::is_crowded) && entry.due != Some(Timestamp(0));
        match self.build.as_mut().filter(|build| build.partition == partition) {
            Some(build) => build.replace(row, before, now),
            None if is_crowded => self.schedule(partition, Timestamp(0)),
            None => {}
        }
    }

    /// What is kept of a partition is in doubt: its tree is built anew at once.
    pub fn rebuild(&mut self, partition: PartitionId) {
        if self.build.as_ref().is_none_or(|build| build.partition != partition) {
            self.schedule(partition, Timestamp(0));
        }
    }

    /// Builds the next tree that is due, if none is being built. `next_op` numbers it.
    pub fn begin(&mut self, env: &Env<'_>, out: &mut Outbox, next_op: impl FnOnce() -> OpId) {
        if self.build.is_some() || !env.config.trees {
            return;
        }
        let Some((at, partition)) = self.due.first().copied().filter(|(at, _)| *at <= env.now.mono) else { return };
        self.due.remove(&(at, partition));
        let Some(entry) = self.by_id.get_mut(&partition) else { return };
        entry.due = None;
        let tree = match &entry.whole {
            Some(tree) if tree.is_crowded() => tree.finer(),
            Some(tree) => tree.blank(),
            None => MerkleTree::new(partition, self.partitions),
        };
        let build = Build {
            op: next_op(),
            partition,
            tree,
            rest: keyspace::partition_range(partition, self.partitions),
            changed: None,
            changed_bytes: 0,
            is_overrun: false,
        };
        self.build.insert(build).read(out);
    }

    /// Whether this is the dialogue of the tree that is being built.
    pub fn has(&self, op: OpId) -> bool {
        self.build.as_ref().is_some_and(|build| build.op == op)
    }

    /// The pause after a page is over.
    pub fn on_timer(&mut self, out: &mut Outbox, op: OpId) {
        if let Some(build) = self.build.as_mut().filter(|build| build.op == op && build.changed.is_none()) {
            build.read(out);
        }
    }

    /// A page was read. Tells of the tree that is whole with it.
    pub fn on_page(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        op: OpId,
        outcome: Result<Page, StoreError>,
    ) -> Option<Built> {
        let build = self.build.as_mut().filter(|build| build.op == op)?;
        let changed = build.changed.take()?;
        let Ok(page) = outcome else {
            // Nobody compares by a tree that leaves rows out.
            let partition = build.partition;
            self.build = None;
            self.schedule(partition, env.now.mono.after(RETRY_AFTER));
            return None;
        };
        let mut is_last = !std::mem::take(&mut build.is_overrun) && build.take_in(page, changed);
        if build.tree.is_crowded() {
            // The rows that were read so far stand in too few leaves: once more, with more of them.
            build.tree = build.tree.finer();
            build.rest = keyspace::partition_range(build.partition, self.partitions);
            is_last = false;
        }
        if !is_last {
            let pause = PAGE_PAUSE + Duration::from_millis(u64::from(env.delivery_pause_ms));
            out.set_timer(TimerKey::TreePage(op), env.now.mono.after(pause));
            return None;
        }
        let Build { partition, tree, .. } = self.build.take()?;
        let again = env.config.tree_rebuild_interval;
        if !again.is_zero() {
            self.schedule(partition, env.now.mono.after(again));
        }
        let earlier = self.by_id.get_mut(&partition)?.whole.replace(tree);
        let differs = earlier.is_some_and(|earlier| self.whole(partition).is_some_and(|tree| !tree.means(&earlier)));
        Some(Built { partition, differs })
    }
}

impl Build {
    fn read(&mut self, out: &mut Outbox) {
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        out.start_job(Job::ScanRows { op: self.op, range: self.rest.clone(), limit });
        self.changed = Some(BTreeMap::new());
        self.changed_bytes = 0;
    }

    fn replace(&mut self, row: &Bytes, before: Option<u128>, now: Option<u128>) {
        if *row < self.rest.start {
            self.tree.replace(row, before, now);
        } else if let Some(changed) = &mut self.changed {
            if changed.len() < CHANGED_MAX && self.changed_bytes < CHANGED_BYTES_MAX {
                if changed.insert(row.clone(), now).is_none() {
                    self.changed_bytes += row.len();
                }
            } else {
                self.is_overrun = true;
            }
        }
    }

    /// Takes in a page, and what changed while it was read. Returns whether it was the last.
    fn take_in(&mut self, page: Page, changed: BTreeMap<Bytes, Option<u128>>) -> bool {
        let is_last = page.is_last || page.entries.is_empty();
        let end = page.entries.last().filter(|_| !is_last).map(|(last, _)| keyspace::after(last));
        for (row, stored) in page.entries {
            if !changed.contains_key(&row) {
                self.tree.replace(&row, None, contribution(&row, &stored));
            }
        }
        for (row, now) in changed {
            // What lies behind the page is still to be read, with this change in it.
            if end.as_ref().is_none_or(|end| row < *end) {
                self.tree.replace(&row, None, now);
            }
        }
        if let Some(end) = end {
            self.rest.start = end;
        }
        is_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Key;
    use crate::replica::StoredRow;
    use crate::storage::RowKey;

    const PARTITION: PartitionId = PartitionId(0);

    fn row(number: u32) -> Bytes {
        RowKey::main(&Key::new(format!("{number}")).unwrap()).as_bytes().clone()
    }

    fn build() -> Build {
        Build {
            op: OpId(1),
            partition: PARTITION,
            tree: MerkleTree::new(PARTITION, 1),
            rest: keyspace::partition_range(PARTITION, 1),
            changed: Some(BTreeMap::new()),
            changed_bytes: 0,
            is_overrun: false,
        }
    }

    /// A row with this hash in its tree: whatever stands there, it must be read as a row.
    fn stored(number: u8) -> Bytes {
        use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
        use crate::time::Hlc;
        let actor = ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) };
        let mut stored = StoredRow::default();
        stored.row.set_flag(Dot { actor, event: u64::from(number) }, Hlc { wall: 1, logical: 0 });
        stored.encode()
    }

    fn of(row: &Bytes, number: u8) -> Option<u128> {
        contribution(row, &stored(number))
    }

    fn whole(rows: &[(&Bytes, u8)]) -> MerkleTree {
        let mut tree = MerkleTree::new(PARTITION, 1);
        for (row, number) in rows {
            tree.replace(row, None, of(row, *number));
        }
        tree
    }

    #[test]
    fn what_changes_while_a_page_is_read_counts_once_whether_the_page_shows_it_or_not() {
        let mut rows: Vec<Bytes> = (0..4).map(row).collect();
        rows.sort();
        let [a, b, c, d] = &rows[..] else { panic!() };
        for shows in [false, true] {
            let mut build = build();
            // While the first page is read, `a` changes, `b` comes, and `d`, which is of the second page, changes.
            build.replace(a, of(a, 1), of(a, 2));
            build.replace(b, None, of(b, 1));
            build.replace(d, of(d, 1), of(d, 2));
            let mut entries = vec![(a.clone(), stored(if shows { 2 } else { 1 }))];
            if shows {
                entries.push((b.clone(), stored(1)));
            }
            entries.push((c.clone(), stored(1)));
            let changed = build.changed.take().unwrap();
            assert!(!build.take_in(Page { entries, is_last: false }, changed));
            // In the pause `c` goes, and `d` changes once more.
            build.replace(c, of(c, 1), None);
            build.replace(d, of(d, 2), of(d, 3));
            build.changed = Some(BTreeMap::new());
            let page = Page { entries: vec![(d.clone(), stored(3))], is_last: true };
            let changed = build.changed.take().unwrap();
            assert!(build.take_in(page, changed));
            assert_eq!(build.tree, whole(&[(a, 2), (b, 1), (d, 3)]), "the page shows the change: {shows}");
        }
    }

    #[test]
    fn a_page_during_which_too_much_changes_is_read_again() {
        let mut build = build();
        for number in 0..=CHANGED_MAX as u32 {
            build.replace(&row(number), None, Some(1));
        }
        assert!(build.is_overrun);
        assert_eq!(build.changed.map(|changed| changed.len()), Some(CHANGED_MAX));
    }

    #[test]
    fn rows_of_partitions_that_are_not_owned_are_not_counted() {
        let mut trees = Trees::new(4);
        trees.set_partitions(&[PartitionId(1)].into());
        trees.by_id.get_mut(&PartitionId(1)).unwrap().whole = Some(MerkleTree::new(PartitionId(1), 4));
        trees.replace(PartitionId(2), &row(1), None, Some(7));
        assert_eq!((trees.bytes(), trees.waiting()), (0, 0));
    }
}
