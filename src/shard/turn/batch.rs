//! The end of a turn: what it has changed, as one batch, and all that is counted along with the rows.

use std::collections::BTreeMap;

use super::Turn;
use crate::antientropy::{kept, tree};
use crate::hints::lag;
use crate::ids::NodeId;
use crate::replica::StoredRow;
use crate::storage::{Batch, Space, keyspace};
use crate::time::WallTime;

impl Turn {
    /// The writes of the turn, as one batch.
    pub(crate) fn take_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        let ticket = self.out.open_ticket();
        let dirty = self.rows.take_dirty();
        let mut debts = BTreeMap::new();
        for row in &dirty {
            let Some(loaded) = self.rows.write(row, ticket) else { continue };
            let owing = loaded.stored.iter().flat_map(|stored| &stored.header.debts);
            for debt in owing.clone() {
                debts.insert(keyspace::debt_key(debt.owner, row), Some(lag::index_value(debt.version, debt.since)));
            }
            let owed: Vec<(NodeId, WallTime)> = owing.map(|debt| (debt.owner, debt.since)).collect();
            for (paid, since) in &loaded.indexed {
                if !owed.iter().any(|(owner, _)| owner == paid) {
                    debts.insert(keyspace::debt_key(*paid, row), None);
                }
                self.owed.remove(*paid, *since);
            }
            for (owner, since) in &owed {
                self.owed.add(*owner, *since);
            }
            loaded.indexed = owed;
            let bytes = loaded.stored.as_ref().map(StoredRow::encode);
            let on_disk = bytes.as_ref().and_then(|bytes| tree::contribution(row.as_bytes(), bytes));
            let before = std::mem::replace(&mut loaded.on_disk, on_disk);
            self.trees.replace(row.partition(self.partition_count), row.as_bytes(), before, on_disk);
            match loaded.stored.as_ref().zip(bytes) {
                Some((stored, bytes)) => {
                    self.deadlines.note(row, stored);
                    self.rows.weigh(row, bytes.len());
                    batch.put(Space::Rows, row.as_bytes().clone(), bytes);
                }
                None => {
                    self.deadlines.remove(row);
                    batch.delete(Space::Rows, row.as_bytes().clone());
                }
            }
        }
        for (key, entry) in debts {
            match entry {
                Some(entry) => batch.put(Space::Debts, key, entry),
                None => batch.delete(Space::Debts, key),
            }
        }
        if !self.memory_changes.is_empty() {
            self.memory_sealed = ticket;
        }
        for (key, value) in std::mem::take(&mut self.memory_changes) {
            batch.put(Space::Meta, key, value);
        }
        if std::mem::take(&mut self.is_stopping) {
            kept::keep(&self.trees, self.scope, self.start, &mut batch);
            self.has_stopped = true;
        } else if self.has_stopped && !batch.is_empty() {
            kept::forget(self.scope, &mut batch);
            self.has_stopped = false;
        }
        self.bytes = 0;
        self.rows.trim();
        batch
    }
}
