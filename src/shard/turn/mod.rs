//! The open turn: every row that the shard touches, the writes to come, and the outbox.
//!
//! Rows are loaded from the store into an overlay ([`row_cache`](super::row_cache)), changed there, and written as one
//! batch when the turn is sealed, so a later input of the same turn sees them and a hot row is encoded once per turn.
//!
//! For every row changed since the last sync it remembers the ticket: whoever shows or acknowledges the row waits for
//! that one ([`Turn::ticket_of`]), not for the newest. What is remembered of partitions changes in [`memory`], and
//! [`batch`] writes it all down.

mod batch;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::deadlines::Deadlines;
use super::env::ShardScope;
use super::observation::Observation;
use super::outbox::Outbox;
use super::row_cache::{ReadRow, RowCache};
use crate::antientropy::{Pace, Trees, kept, tree};
use crate::causality::Epoch;
use crate::hints::RepairMarks;
use crate::hints::lag::{self, Owed};
use crate::ids::{NodeId, PartitionId, RowVersion, Ticket};
use crate::limits;
use crate::message::peer::Refusal;
use crate::replica::normal::{self, Normal};
use crate::replica::{OpenError, Partitions, StoredRow};
use crate::stability::{Footing, Held};
use crate::storage::{Lookup, PageLimit, RowKey, Space, Store, StoreError, keyspace};
use crate::time::{Timestamp, WallTime};
use crate::value::DecodeError;

/// Whether a row can be used in this turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is loaded (or known to be absent).
    Ready,
    /// A job must fetch it.
    NotInMemory,
    /// It cannot be read. Never to be taken for absent.
    Failed(Refusal),
}

/// Overlay and outbox of the turn that is open now.
#[derive(Debug)]
pub struct Turn {
    /// What leaves.
    pub out: Outbox,
    /// Sums of the rows on disk, as of the last sealed turn.
    pub trees: Trees,
    /// How fast rows may be exchanged.
    pub pace: Pace,
    store: Arc<dyn Store>,
    rows: RowCache,
    memory_changes: BTreeMap<Bytes, Bytes>,
    memory_sealed: Ticket,
    partitions: Partitions,
    footing: Footing,
    deadlines: Deadlines,
    partition_count: u16,
    owed: Owed,
    repair_marks: RepairMarks,
    start: u32,
    changes: u64,
    bytes: usize,
    /// A read that failed, not looked at yet.
    failure: Option<StoreError>,
    /// This is the last turn: the trees are left to the next start.
    pub(super) is_stopping: bool,
    scope: ShardScope,
    /// The word of a stop in good order stands on disk.
    has_stopped: bool,
}

impl Turn {
    /// Counts what is owed, by reading the debt index once: of the rows that `is_mine` picks, to whom each is owed.
    pub(crate) fn open(
        (out, trees): (Outbox, Trees),
        store: Arc<dyn Store>,
        partitions: Partitions,
        partition_count: u16,
        (epoch, start, scope): (Epoch, u32, ShardScope),
        row_cache_bytes: usize,
        mut is_mine: impl FnMut(&RowKey, NodeId) -> bool,
    ) -> Result<Turn, OpenError> {
        let mut owed = Owed::default();
        let repair_marks = RepairMarks::open(store.as_ref(), partitions.iter().map(|(partition, _)| partition))?;
        let mut range = crate::storage::Range { start: Bytes::new(), end: None };
        loop {
            let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
            let page = store.scan(Space::Debts, &range, limit)?;
            for (debt, value) in &page.entries {
                let row =
                    keyspace::row_of_debt(debt).map_err(|_| OpenError::Malformed { detail: "the index of debts" })?;
                let owner = keyspace::owner_of_debt(debt);
                if is_mine(&row, owner) {
                    owed.add(owner, lag::since_of(value));
                }
            }
            match page.entries.last() {
                Some((last, _)) if !page.is_last => range.start = keyspace::after(last),
                _ => break,
            }
        }
        Ok(Turn {
            out,
            trees,
            pace: Pace::default(),
            store,
            rows: RowCache::new(epoch, row_cache_bytes),
            memory_changes: BTreeMap::new(),
            memory_sealed: Ticket(0),
            partitions,
            footing: Footing::default(),
            deadlines: Deadlines::default(),
            partition_count,
            owed,
            repair_marks,
            start,
            changes: 0,
            bytes: 0,
            failure: None,
            is_stopping: false,
            scope,
            has_stopped: false,
        })
    }

    /// Takes over the trees of the stop right before this start, if it was one in good order; they are built anew at `again`.
    pub(super) fn take_over_trees(&mut self, again: Timestamp) {
        self.has_stopped = kept::take_over(&mut self.trees, self.store.as_ref(), self.scope, self.start, again);
    }

    /// Loads a row, if memory has it.
    pub fn load(&mut self, row: &RowKey) -> Access {
        if self.rows.touch(row) {
            return Access::Ready;
        }
        match self.store.get(Space::Rows, row.as_bytes()) {
            Lookup::Found(bytes) => match self.admit(row, Some(bytes)) {
                Ok(()) => Access::Ready,
                Err(error) => Access::Failed(self.malformed(row, &error)),
            },
            Lookup::Absent => {
                self.rows.keep(row, ReadRow::default());
                Access::Ready
            }
            Lookup::NotInMemory => Access::NotInMemory,
            Lookup::Failed(error) => {
                let refusal = Refusal::Failed(error.to_string());
                self.failure = self.failure.take().filter(StoreError::is_corrupt).or(Some(error));
                Access::Failed(refusal)
            }
        }
    }

    /// A read of the store that failed since the last call.
    pub(super) fn take_failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }

    /// Takes in a row that a job fetched. Replaces whatever is loaded: the caller knows that it is current.
    pub fn admit(&mut self, row: &RowKey, bytes: Option<Bytes>) -> Result<(), DecodeError> {
        let encoded_bytes = bytes.as_ref().map_or(0, Bytes::len);
        // Of what stands there, not of its normal form, which is written when the row changes next.
        let on_disk = bytes.as_ref().and_then(|bytes| tree::contribution(row.as_bytes(), bytes));
        let mut stored = bytes.map(|bytes| StoredRow::decode(&bytes)).transpose()?;
        let indexed =
            stored.iter().flat_map(|stored| &stored.header.debts).map(|debt| (debt.owner, debt.since)).collect();
        let memory = self.memory(row.partition(self.partition_count));
        if stored.as_mut().is_some_and(|stored| normal::settle(row, stored, &memory) == Normal::Absent) {
            stored = None;
        }
        self.rows.keep(row, ReadRow { stored, indexed, on_disk, encoded_bytes });
        Ok(())
    }

    /// Reports a row that cannot be decoded; nobody reads it as absent.
    pub fn malformed(&mut self, row: &RowKey, error: &DecodeError) -> Refusal {
        self.out.observe(Observation::Malformed { row: row.clone(), detail: error.to_string() });
        Refusal::of_bytes(error)
    }

    /// A loaded row; `None` if it is absent.
    pub fn row(&self, row: &RowKey) -> Option<&StoredRow> {
        self.rows.get(row).and_then(|loaded| loaded.stored.as_ref())
    }

    /// A loaded row to change; an absent one begins empty. It will be written when the turn is sealed.
    pub fn row_mut(&mut self, row: &RowKey) -> &mut StoredRow {
        let loaded = self.rows.soil(row).expect("a row is loaded before it is changed");
        loaded.stored.get_or_insert_default()
    }

    /// Deletes a loaded row. If it could continue an own actor, the partition's tenure advances, so that the actor
    /// whose events are forgotten here is never continued.
    pub fn delete_row(&mut self, row: &RowKey, partition: PartitionId, keeps_tenure: bool) {
        if self.row(row).is_none() {
            return;
        }
        let Some(stored) = self.rows.soil(row).and_then(|loaded| loaded.stored.take()) else { return };
        if stored.header.minting.is_some() && !keeps_tenure {
            self.advance_tenure(partition);
        }
    }

    /// A version that no row of this directory ever had.
    pub fn next_version(&mut self) -> RowVersion {
        self.changes += 1;
        RowVersion(u64::from(self.start) << 40 | self.changes)
    }

    /// What must be durable before anybody may show or acknowledge this row.
    pub fn ticket_of(&self, row: &RowKey) -> Ticket {
        self.rows.ticket_of(row, self.out.open_ticket())
    }

    /// Writes a record of the node down, with this turn; whoever speaks of it waits for [`Turn::memory_ticket`].
    pub(crate) fn keep(&mut self, key: Bytes, record: Bytes) {
        self.memory_changes.insert(key, record);
    }

    /// Where a row stands.
    pub fn partition_of(&self, row: &RowKey) -> PartitionId {
        row.partition(self.partition_count)
    }

    /// What stability knows of the nodes and rows.
    pub fn footing(&self) -> &Footing {
        &self.footing
    }

    /// What stability knows of the nodes and rows.
    pub fn footing_mut(&mut self) -> &mut Footing {
        &mut self.footing
    }

    /// A partition was settled further: what is loaded of it follows. The row of a session that this turn had something to write to
    /// is deleted with it; its part of the sum stands beside the main row on disk until the sweep writes that.
    pub fn settle_loaded(&mut self, partition: PartitionId) {
        let (memory, count) = (self.memory(partition), self.partition_count);
        self.rows.for_each(|row, loaded| {
            if row.partition(count) == partition
                && loaded.stored.as_mut().is_some_and(|stored| normal::settle(row, stored, &memory) == Normal::Absent)
            {
                loaded.stored = None;
            }
        });
    }

    /// Rows of a partition were lost or changed beneath this shard: what is loaded of it may be what the disk has no more. What
    /// is about to be written puts it there again, and the tree is looked up once more after that.
    pub fn doubt_loaded(&mut self, partition: PartitionId) {
        let count = self.partition_count;
        if !self.rows.forget(|row| row.partition(count) == partition) {
            self.trees.rebuild(partition);
        }
    }

    /// What a loaded row holds of what a survey counts; to be given to [`Turn::note_change`] when it has changed.
    pub fn held(&self, row: &RowKey, partition: PartitionId) -> Option<Held> {
        self.footing.before(partition, self.row(row))
    }

    /// A loaded row has changed: its ticks are noted, and a report that it makes untrue is void.
    pub fn note_change(&mut self, row: &RowKey, partition: PartitionId, before: Option<Held>) {
        let stored = self.rows.get(row).and_then(|loaded| loaded.stored.as_ref());
        self.footing.after(partition, before, stored);
        let memory = self.partitions.get(partition);
        let mut newest = memory.newest;
        for (actor, _) in stored.iter().flat_map(|stored| stored.row.actors()) {
            if actor.expires > memory.compacted {
                self.footing.note(partition, actor.expires);
                newest = newest.max(actor.expires);
            }
        }
        if newest > memory.newest {
            self.note_tick(partition, newest);
        }
    }

    /// Deletes a row that may stand on disk although it was loaded as absent.
    pub fn erase_row(&mut self, row: &RowKey) {
        if let Some(loaded) = self.rows.soil(row) {
            loaded.stored = None;
        }
    }

    /// Rows owed to an owner: on disk, as of the last sealed turn.
    pub fn owed_to(&self, owner: NodeId) -> u64 {
        self.owed.rows(owner)
    }

    /// Everybody who is owed a row, by what the present turn has changed too; some may be named several times.
    pub fn owed_owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.owed.owners().chain(self.rows.unwritten_debtees())
    }

    /// When the oldest of them arose, as far as it is known.
    pub fn owed_since(&self, owner: NodeId) -> Option<WallTime> {
        self.owed.oldest(owner)
    }

    /// Something of a partition is not written down as owed to an owner: only an exchange brings it there.
    pub fn mark_for_repair(&mut self, partition: PartitionId, owner: NodeId, now: Timestamp) {
        if let Some((key, record)) = self.repair_marks.mark(partition, owner, now) {
            self.memory_changes.insert(key, record);
        }
    }

    /// An exchange that began then is complete: the owner has all that this node had of the partition.
    pub fn prove_repair(&mut self, partition: PartitionId, owner: NodeId, began: Timestamp) {
        if let Some((key, record)) = self.repair_marks.prove(partition, owner, began) {
            self.memory_changes.insert(key, record);
            self.out.observe(Observation::RepairProved { owner, partition });
        }
    }

    /// Whether something of the partition is not written down as owed to the owner.
    pub fn needs_repair(&self, partition: PartitionId, owner: NodeId) -> bool {
        self.repair_marks.has(partition, owner)
    }

    /// Partitions of which owners may lack something, with these owners.
    pub fn repair_marks(&self) -> impl Iterator<Item = (PartitionId, Vec<NodeId>)> + '_ {
        self.repair_marks.iter()
    }

    /// The keys of the shard that will expire.
    pub fn deadlines(&mut self) -> &mut Deadlines {
        &mut self.deadlines
    }

    /// Counts bytes that this turn will write.
    pub fn count_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Whether the driver should seal now.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= limits::TURN_BYTES_MAX
    }

    pub(crate) fn on_durable(&mut self, ticket: Ticket) {
        self.rows.on_durable(ticket);
        self.out.on_durable(ticket);
    }
}
