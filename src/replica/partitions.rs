//! What a directory remembers of each partition: its tenure, whether it may act for it, and how far it is settled.
//!
//! ```text
//! owner:    newborn ──an exchange with an established co-owner, complete and durable──→ established
//!              └──────all N owners newborn at one moment (founding)────────────────────────┘
//! fallback: new ──an established owner tells how far the partition is sealed──→ established
//! another layout gives another role: what held for the earlier one is forgotten in the same write (`role`)
//!
//! ticks:    folded ≤ compacted ≤ frozen ≤ sealed          newest: the last tick of which something is to be settled or forgotten
//! ```
//!
//! The ticks are `stability`'s; they only grow. Small enough to stay in memory; every change goes into the turn's batch.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::identity::OpenError;
use super::role::Role;
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
    /// What this directory is to the partition.
    pub role: Role,
    /// Number of the layout that gave it the role. 0: not noted.
    pub role_since: u64,
    /// Number of the layout under which an owner was last synced with every owner of before; 0: never.
    pub synced: u64,
    /// An owner of before has handed over all that it had.
    pub is_cleared: bool,
    /// Not an owner any more, and not cleared: rows without marks are data, not delivered hints.
    pub has_strays: bool,
    /// A fallback about to seal refuses up to here already. Only in memory: it is announced when it is `sealed`.
    pub refusing: Tick,
    /// An owner to come has learned how far the partition is sealed. Only in memory: it asks again after each start.
    pub knows_seal: bool,
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
            by_id.insert(partition, Partitions::read(store, partition)?);
        }
        Ok(Partitions { by_id })
    }

    /// Reads the memory of one partition.
    pub fn read(store: &dyn Store, partition: PartitionId) -> Result<PartitionMemory, OpenError> {
        match store.fetch(Space::Meta, &keyspace::partition_key(partition))? {
            None => Ok(PartitionMemory::default()),
            Some(record) => PartitionMemory::decode(&record),
        }
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
    const VERSION: u8 = 3;
    const BYTES: usize = 1 + Self::TICK_BYTES + 2 * 8 + 5;
    const TICK_BYTES: usize = 6 * 4;

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
        for number in [self.role_since, self.synced] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let role = match self.role {
            Role::None => 0,
            Role::Fallback => 1,
            Role::Owner => 2,
        };
        let [established, unswept] = [self.is_established, self.is_unswept].map(u8::from);
        let [cleared, strays] = [self.is_cleared, self.has_strays].map(u8::from);
        bytes.extend_from_slice(&[established, unswept, role, cleared, strays]);
        bytes.into()
    }

    /// Version 2 is the same without the role and what belongs to it.
    fn decode(record: &[u8]) -> Result<PartitionMemory, OpenError> {
        let malformed = || OpenError::Malformed { detail: "the memory of a partition" };
        let (version, rest) = record.split_first().ok_or_else(malformed)?;
        let (ticks, rest) = rest.split_first_chunk::<{ Self::TICK_BYTES }>().ok_or_else(malformed)?;
        let memory = match (version, rest) {
            (2, [established, unswept]) => PartitionMemory {
                is_established: flag(*established).ok_or_else(malformed)?,
                is_unswept: flag(*unswept).ok_or_else(malformed)?,
                ..PartitionMemory::default()
            },
            (&Self::VERSION, rest) => Self::role_part(rest).ok_or_else(malformed)?,
            _ => return Err(malformed()),
        };
        let (numbers, []) = ticks.as_chunks::<4>() else { return Err(malformed()) };
        let [tenure, sealed, frozen, compacted, folded, newest] = numbers else { return Err(malformed()) };
        let tick = |bytes: &[u8; 4]| Tick(u32::from_be_bytes(*bytes));
        Ok(PartitionMemory {
            tenure: Tenure(u32::from_be_bytes(*tenure)),
            sealed: tick(sealed),
            frozen: tick(frozen),
            compacted: tick(compacted),
            folded: tick(folded),
            newest: tick(newest),
            ..memory
        })
    }

    /// What follows the ticks.
    fn role_part(bytes: &[u8]) -> Option<PartitionMemory> {
        let (role_since, rest) = bytes.split_first_chunk::<8>()?;
        let (synced, rest) = rest.split_first_chunk::<8>()?;
        let [established, unswept, role, cleared, strays] = rest else { return None };
        let role = match role {
            0 => Role::None,
            1 => Role::Fallback,
            2 => Role::Owner,
            _ => return None,
        };
        Some(PartitionMemory {
            is_established: flag(*established)?,
            is_unswept: flag(*unswept)?,
            role,
            role_since: u64::from_be_bytes(*role_since),
            synced: u64::from_be_bytes(*synced),
            is_cleared: flag(*cleared)?,
            has_strays: flag(*strays)?,
            ..PartitionMemory::default()
        })
    }
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
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
            role: [Role::None, Role::Fallback, Role::Owner][number as usize % 3],
            role_since: 0x1112_1314_1516_1718,
            synced: 0x2122_2324_2526_2728,
            is_cleared: number.is_multiple_of(5),
            has_strays: !number.is_multiple_of(5),
            refusing: Tick(0),
            knows_seal: false,
        }
    }

    #[test]
    fn what_is_remembered_has_its_old_bytes() {
        let old = include_str!("golden/partition_memory_3.hex");
        check_bytes(old, &memory(0x0A0B_0C0D).encode());
        assert_eq!(PartitionMemory::decode(&unhex(old)), Ok(memory(0x0A0B_0C0D)));
    }

    #[test]
    fn the_memory_of_a_program_without_roles_is_read_as_one_of_no_role() {
        let old = include_str!("golden/partition_memory.hex");
        let now = memory(0x0A0B_0C0D);
        let PartitionMemory { tenure, is_established, sealed, frozen, compacted, folded, newest, is_unswept, .. } = now;
        let expected = PartitionMemory {
            tenure,
            is_established,
            sealed,
            frozen,
            compacted,
            folded,
            newest,
            is_unswept,
            ..PartitionMemory::default()
        };
        assert_eq!(PartitionMemory::decode(&unhex(old)), Ok(expected));
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
            role: Role::Owner,
            role_since: 3,
            synced: 4,
            is_cleared: false,
            has_strays: true,
            refusing: Tick(10),
            knows_seal: true,
        };
        assert_eq!(memory.refused(), Tick(10));
        let kept = PartitionMemory { refusing: Tick(0), knows_seal: false, ..memory };
        assert_eq!(PartitionMemory::decode(&memory.encode()), Ok(kept));
        for length in 0..PartitionMemory::BYTES {
            assert!(PartitionMemory::decode(&memory.encode()[..length]).is_err(), "{length}");
        }
        assert!(PartitionMemory::decode(&[9; PartitionMemory::BYTES]).is_err());
    }
}
