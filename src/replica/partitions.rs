//! What a directory remembers of each partition: its tenure, whether it may act for it, and how far it is settled.
//!
//! ```text
//! owner:    newborn ──an exchange with an established co-owner, complete and durable──→ established
//!              └──────all N owners newborn at one moment (founding)────────────────────────┘
//! fallback: new ──an established owner tells how far the partition is sealed──→ established
//!
//! ticks:    folded ≤ compacted ≤ frozen ≤ sealed          newest: the last tick of which something is to be settled or forgotten
//! ```
//!
//! The ticks are `stability`'s; they only grow. Small enough to stay in memory; every change goes into the turn's batch.

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
    /// An owner: this directory holds the partition's data. A fallback: it knows how far the partition is sealed.
    pub is_established: bool,
    /// Clients' events of ticks up to here are refused; a fallback holds no row of them either.
    pub sealed: Tick,
    /// Rows of ticks up to here change only by exchange.
    pub frozen: Tick,
    /// Entries of ticks up to here are replaced by their sum; what comes of them is ignored.
    pub compacted: Tick,
    /// Baselines of ticks up to here are replaced by their sum, and tombstones of them are forgotten.
    pub folded: Tick,
    /// The last tick of which something is still to be settled, or to be forgotten once it is folded.
    pub newest: Tick,
    /// Rows on disk may still hold what has been settled: a sweep is due.
    pub is_unswept: bool,
    /// A fallback about to seal refuses up to here already. Only in memory: it is announced when it is `sealed`.
    pub refusing: Tick,
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
    const VERSION: u8 = 2;
    const BYTES: usize = 1 + 6 * 4 + 2;

    /// Clients' events of ticks up to here are refused.
    pub fn refused(&self) -> Tick {
        self.sealed.max(self.refusing)
    }

    fn encode(self) -> Bytes {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.push(Self::VERSION);
        let Self { tenure, sealed, frozen, compacted, folded, newest, .. } = self;
        for number in [tenure.0, sealed.0, frozen.0, compacted.0, folded.0, newest.0] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&[u8::from(self.is_established), u8::from(self.is_unswept)]);
        bytes.into()
    }

    fn decode(record: &[u8]) -> Result<PartitionMemory, OpenError> {
        let malformed = || OpenError::Malformed { detail: "the memory of a partition" };
        let ([Self::VERSION], rest) = record.split_first_chunk().ok_or_else(malformed)? else {
            return Err(malformed());
        };
        let (numbers, [established @ (0 | 1), unswept @ (0 | 1)]) = rest.split_last_chunk().ok_or_else(malformed)?
        else {
            return Err(malformed());
        };
        let (numbers, []) = numbers.as_chunks::<4>() else { return Err(malformed()) };
        let [tenure, sealed, frozen, compacted, folded, newest] = numbers else { return Err(malformed()) };
        let tick = |bytes: &[u8; 4]| Tick(u32::from_be_bytes(*bytes));
        Ok(PartitionMemory {
            tenure: Tenure(u32::from_be_bytes(*tenure)),
            is_established: *established == 1,
            sealed: tick(sealed),
            frozen: tick(frozen),
            compacted: tick(compacted),
            folded: tick(folded),
            newest: tick(newest),
            is_unswept: *unswept == 1,
            refusing: Tick(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::fuzz_tests::{feed as fuzz, rounds};
    use crate::value::golden_tests::{check_bytes, unhex};

    fn memory(number: u32) -> PartitionMemory {
        PartitionMemory {
            tenure: Tenure(number),
            is_established: number.is_multiple_of(2),
            sealed: Tick(9),
            frozen: Tick(8),
            compacted: Tick(7),
            folded: Tick(6),
            newest: Tick(0x0102_0304),
            is_unswept: true,
            refusing: Tick(0),
        }
    }

    #[test]
    fn what_is_remembered_has_its_old_bytes() {
        let old = include_str!("golden/partition_memory.hex");
        check_bytes(old, &memory(0x0A0B_0C0D).encode());
        assert_eq!(PartitionMemory::decode(&unhex(old)), Ok(memory(0x0A0B_0C0D)));
    }

    #[test]
    fn whatever_is_read_as_the_memory_of_a_partition_is_the_one_encoding_of_it() {
        for round in 0..rounds() {
            let good = [memory(0), memory(round as u32)].map(|memory| memory.encode().to_vec());
            fuzz(round, &good, |bytes| Some(PartitionMemory::decode(bytes).ok()?.encode().to_vec()));
        }
    }

    #[test]
    fn memory_reads_back_as_it_was_written_but_for_what_is_not_announced() {
        let memory = PartitionMemory {
            tenure: Tenure(70_000),
            is_established: true,
            sealed: Tick(9),
            frozen: Tick(8),
            compacted: Tick(7),
            folded: Tick(6),
            newest: Tick(500),
            is_unswept: true,
            refusing: Tick(10),
        };
        assert_eq!(memory.refused(), Tick(10));
        assert_eq!(PartitionMemory::decode(&memory.encode()), Ok(PartitionMemory { refusing: Tick(0), ..memory }));
        for length in 0..PartitionMemory::BYTES {
            assert!(PartitionMemory::decode(&memory.encode()[..length]).is_err(), "{length}");
        }
        assert!(PartitionMemory::decode(&[9; PartitionMemory::BYTES]).is_err());
    }
}
