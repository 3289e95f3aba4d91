//! Writing one partition into the directories of its new owners: equal rows in bounded batches, and at last the memory.

use bytes::Bytes;

use super::{Level, RestoreError, Target};
use crate::causality::Tick;
use crate::ids::{NodeId, PartitionId, RowVersion};
use crate::limits;
use crate::replica::{PartitionMemory, Partitions, StoredRow};
use crate::storage::{Batch, RowKey, RowKind, Space};

/// The version of every restored row; a start gives larger ones.
const VERSION: RowVersion = RowVersion(1);

/// The open batch of one partition.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    targets: Vec<&'a Target>,
    batch: Batch,
    bytes: usize,
    /// The last tick that a row names, and the last that stands in a sum.
    newest: Tick,
    summed: Tick,
    rows: u64,
    keys: u64,
}

impl<'a> Writer<'a> {
    /// Writes to these owners.
    pub fn to(owners: &[NodeId], targets: &'a [Target]) -> Writer<'a> {
        let targets = targets.iter().filter(|target| owners.contains(&target.node)).collect();
        let (batch, newest, summed) = (Batch::default(), Tick(0), Tick(0));
        Writer { targets, batch, bytes: 0, newest, summed, rows: 0, keys: 0 }
    }

    /// Writes a row in which something is to be settled or forgotten until `newest`.
    pub fn row(&mut self, row: &RowKey, mut stored: StoredRow, newest: Tick) -> Result<(), RestoreError> {
        stored.header.version = VERSION;
        self.newest = self.newest.max(newest);
        self.summed = self.summed.max(stored.row.settled_until());
        self.rows += 1;
        self.keys += u64::from(row.kind() == RowKind::Main);
        let bytes = stored.encode();
        self.bytes += row.as_bytes().len() + bytes.len();
        self.batch.put(Space::Rows, row.as_bytes().clone(), bytes);
        if self.bytes >= limits::TURN_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// Writes what the owners remember of the partition; returns how many rows were written, and how many main rows.
    pub fn end(mut self, partition: PartitionId, level: &Level) -> Result<(u64, u64), RestoreError> {
        let memory = PartitionMemory {
            newest: level.memory.newest.max(self.newest),
            // A sum says that it is sealed, whoever had sealed it.
            sealed: level.memory.sealed.max(self.summed),
            ..level.memory
        };
        let (key, value): (Bytes, Bytes) = Partitions::default().set(partition, memory);
        self.batch.put(Space::Meta, key, value);
        self.flush()?;
        Ok((self.rows, self.keys))
    }

    /// A batch lists its changes in the order of their keys: the main row, which is written last, comes first.
    fn flush(&mut self) -> Result<(), RestoreError> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.changes.sort_by(|(space, key, _), (other_space, other, _)| (space, key).cmp(&(other_space, other)));
        self.bytes = 0;
        for target in &self.targets {
            target.store.write(&batch)?;
        }
        Ok(())
    }
}
