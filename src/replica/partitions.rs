//! What a directory remembers of each partition: its tenure, and whether this owner has taken over its data.
//!
//! ```text
//! newborn ──an exchange with an established co-owner, complete and durable──→ established
//!    └──────all N owners newborn at one moment (founding)────────────────────────┘
//! ```
//!
//! Fallbacks have a tenure too. Small enough to stay in memory; every change goes into the turn's batch.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::identity::OpenError;
use crate::causality::{Tenure, Tick};
use crate::ids::PartitionId;
use crate::ring::RingView;
use crate::storage::{Space, Store, keyspace};

/// What is remembered of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionMemory {
    /// Grows when a row with an own actor is forgotten, or an own entry turns up that nobody here remembers.
    pub tenure: Tenure,
    /// This directory holds the partition's data as an owner.
    pub is_established: bool,
    /// Entries of ticks up to here are replaced by their sum; what comes of them is ignored.
    pub compacted: Tick,
}

/// The memory of every partition of one shard.
#[derive(Debug, Default)]
pub struct Partitions {
    by_id: BTreeMap<PartitionId, PartitionMemory>,
}

impl Partitions {
    /// Reads the memory of the partitions that `is_mine` picks.
    pub fn open(
        store: &dyn Store,
        ring: &RingView,
        is_mine: impl Fn(PartitionId) -> bool,
    ) -> Result<Partitions, OpenError> {
        let mut by_id = BTreeMap::new();
        for partition in ring.partitions().filter(|partition| is_mine(*partition)) {
            let memory = match store.fetch(Space::Meta, &keyspace::partition_key(partition))? {
                None => PartitionMemory::default(),
                Some(record) => PartitionMemory::decode(&record)?,
            };
            by_id.insert(partition, memory);
        }
        Ok(Partitions { by_id })
    }

    /// What is remembered of a partition.
    pub fn get(&self, partition: PartitionId) -> PartitionMemory {
        self.by_id.get(&partition).copied().unwrap_or_default()
    }

    /// Remembers; returns the write that makes it so.
    pub fn set(&mut self, partition: PartitionId, memory: PartitionMemory) -> (Bytes, Bytes) {
        self.by_id.insert(partition, memory);
        (keyspace::partition_key(partition), memory.encode())
    }

    /// Every partition of the shard.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, PartitionMemory)> + '_ {
        self.by_id.iter().map(|(partition, memory)| (*partition, *memory))
    }
}

impl PartitionMemory {
    const VERSION: u8 = 1;

    fn encode(self) -> Bytes {
        let [a, b, c, d] = self.tenure.0.to_be_bytes();
        Bytes::copy_from_slice(&[Self::VERSION, a, b, c, d, u8::from(self.is_established)])
    }

    fn decode(record: &[u8]) -> Result<PartitionMemory, OpenError> {
        match record {
            [Self::VERSION, a, b, c, d, established @ (0 | 1)] => Ok(PartitionMemory {
                tenure: Tenure(u32::from_be_bytes([*a, *b, *c, *d])),
                is_established: *established == 1,
                compacted: Tick(0),
            }),
            _ => Err(OpenError::Malformed { detail: "the memory of a partition" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_reads_back_as_it_was_written() {
        let memory = PartitionMemory { tenure: Tenure(70_000), is_established: true, compacted: Tick(0) };
        assert_eq!(PartitionMemory::decode(&memory.encode()), Ok(memory));
        assert!(PartitionMemory::decode(&[9, 0, 0, 0, 0, 1]).is_err());
    }
}
