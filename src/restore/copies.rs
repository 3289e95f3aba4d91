//! The rows of a partition in every backup, side by side: in the order of their keys, and for each key those first that
//! are settled furthest.

use std::collections::VecDeque;

use super::checks::Checked;
use super::{Level, RestoreError};
use crate::causality::Tick;
use crate::ids::PartitionId;
use crate::limits;
use crate::replica::{PartitionMemory, StoredRow};
use crate::storage::{PageLimit, Range, RowKey, Space, keyspace};

/// What one backup holds of a row.
#[derive(Debug)]
pub(super) struct Found {
    pub stored: StoredRow,
    /// Of the backup's partition.
    pub memory: PartitionMemory,
    /// An owner's; else a fallback's or newborn's, which proves nothing by what it lacks.
    pub is_owner: bool,
    /// How it stands to that of the owner that has forgotten most.
    pub age: Age,
}

/// How a backup stands to the one that is settled furthest, the base (`stability/loss` has the proof of each line).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It is the base.
    Base,
    /// What the base has forgotten rests on what this one had said: it holds nothing that was forgotten.
    InStep,
    /// It was taken before something was settled that is in the base: it may hold what was forgotten since.
    Older,
}

impl Age {
    fn of(memory: &PartitionMemory, is_owner: bool, base: Option<&PartitionMemory>) -> Age {
        let Some(base) = base else { return Age::InStep };
        let is_older = match is_owner {
            true => base.compacted > memory.frozen || base.folded > memory.compacted,
            false => base.frozen > memory.sealed,
        };
        if is_older { Age::Older } else { Age::InStep }
    }
}

/// The backups of one partition.
#[derive(Debug)]
pub(super) struct Copies<'a> {
    copies: Vec<Copy<'a>>,
}

#[derive(Debug)]
struct Copy<'a> {
    checked: &'a Checked,
    memory: PartitionMemory,
    is_owner: bool,
    age: Age,
    rest: Option<Range>,
    page: VecDeque<(RowKey, StoredRow)>,
}

impl<'a> Copies<'a> {
    /// Opens a partition, of `count`, in every backup.
    pub fn of(sources: &'a [Checked], partition: PartitionId, count: u16) -> Copies<'a> {
        let mut copies: Vec<Copy<'a>> = sources
            .iter()
            .map(|checked| Copy {
                checked,
                memory: checked.memories.get(&partition).copied().unwrap_or_default(),
                is_owner: checked.is_owner(partition),
                age: Age::InStep,
                rest: Some(keyspace::partition_range(partition, count)),
                page: VecDeque::new(),
            })
            .collect();
        copies.sort_by_key(|copy| {
            let PartitionMemory { folded, compacted, sealed, .. } = copy.memory;
            std::cmp::Reverse((copy.is_owner, folded, compacted, sealed, copy.checked.source.node))
        });
        let base = copies.first().filter(|copy| copy.is_owner).map(|copy| copy.memory);
        for (place, copy) in copies.iter_mut().enumerate() {
            let is_base = place == 0 && base.is_some();
            copy.age = if is_base { Age::Base } else { Age::of(&copy.memory, copy.is_owner, base.as_ref()) };
        }
        Copies { copies }
    }

    /// How far the partition is settled.
    pub fn level(&self) -> Level {
        let base = self.copies.first().filter(|copy| copy.is_owner).map(|copy| copy.memory);
        let owners = || self.copies.iter().filter(|copy| copy.is_owner).map(|copy| &copy.memory);
        let compacted = owners().map(|memory| memory.compacted).max().unwrap_or_default();
        let all = || self.copies.iter().map(|copy| &copy.memory);
        let memory = PartitionMemory {
            is_established: true,
            sealed: all().map(|memory| memory.sealed).max().unwrap_or_default().max(compacted),
            // Nobody has reported anything in the new cluster: what is sealed freezes there anew.
            frozen: compacted,
            compacted,
            folded: base.map_or(Tick(0), |base| base.folded),
            newest: all().map(|memory| memory.newest).max().unwrap_or_default(),
            is_unswept: true,
            ..PartitionMemory::default()
        };
        Level { base, memory }
    }

    /// The next row that any backup holds, with all that hold it.
    pub fn next_row(&mut self) -> Result<Option<(RowKey, Vec<Found>)>, RestoreError> {
        let mut next: Option<RowKey> = None;
        for copy in &mut self.copies {
            copy.fill()?;
            if let Some((row, _)) = copy.page.front()
                && next.as_ref().is_none_or(|next| row < next)
            {
                next = Some(row.clone());
            }
        }
        let Some(next) = next else { return Ok(None) };
        let mut found = Vec::new();
        for copy in &mut self.copies {
            if copy.page.front().is_some_and(|(row, _)| *row == next)
                && let Some((_, stored)) = copy.page.pop_front()
            {
                let (memory, is_owner, age) = (copy.memory, copy.is_owner, copy.age);
                found.push(Found { stored, memory, is_owner, age });
            }
        }
        Ok(Some((next, found)))
    }
}

impl Copy<'_> {
    /// Reads a page if none is at hand.
    fn fill(&mut self) -> Result<(), RestoreError> {
        while self.page.is_empty() {
            let Some(range) = self.rest.take() else { return Ok(()) };
            let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
            let source = &self.checked.source;
            let damaged = |detail: String| RestoreError::Damaged { name: source.name.clone(), detail };
            let page = source.store.scan(Space::Rows, &range, limit).map_err(|error| damaged(error.to_string()))?;
            if let Some((last, _)) = page.entries.last()
                && !page.is_last
            {
                self.rest = Some(Range { start: keyspace::after(last), end: range.end });
            }
            for (key, bytes) in page.entries {
                let row = RowKey::parse(key).map_err(|error| damaged(error.to_string()))?;
                let stored = StoredRow::decode(&bytes).map_err(|error| damaged(format!("{row}: {error}")))?;
                self.page.push_back((row, stored));
            }
        }
        Ok(())
    }
}
