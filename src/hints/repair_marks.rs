//! Partitions that need repair: something of them was to be owed to an owner, and there was no room.
//!
//! ```text
//! debts to an owner at their bound ─→ marked (partition, owner), durable ─→ an exchange with it, begun after that, complete ─→ proved
//! ```
//!
//! What is not written down as a debt reaches the owner by exchange alone, so only an exchange can take the mark away: one in
//! which the owner got all that this node had. A mark of an earlier start was set before this one. At most one mark per partition
//! and owner. Kept by the turn, for its batch; shown by `starling status`.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::{NodeId, PartitionId};
use crate::mutation::{self, Mutation};
use crate::replica::OpenError;
use crate::storage::{Space, Store, keyspace};
use crate::time::Timestamp;

/// Version of the record of a partition.
const VERSION: u8 = 1;

/// Which owners lack something of which partition, or may.
#[derive(Clone, Debug, Default)]
pub struct RepairMarks {
    /// With the last time that something was left out.
    by_partition: BTreeMap<PartitionId, BTreeMap<NodeId, Timestamp>>,
}

impl RepairMarks {
    /// Reads the marks of these partitions.
    pub fn open(store: &dyn Store, mine: impl Iterator<Item = PartitionId>) -> Result<RepairMarks, OpenError> {
        let mut by_partition = BTreeMap::new();
        for partition in mine {
            let Some(record) = store.fetch(Space::Meta, &keyspace::repair_key(partition))? else { continue };
            let owners = decode(&record)?;
            if !owners.is_empty() {
                by_partition.insert(partition, owners.into_iter().map(|owner| (owner, Timestamp(0))).collect());
            }
        }
        Ok(RepairMarks { by_partition })
    }

    /// Something is left out now. Returns the write that makes the mark durable, if it is new.
    pub fn mark(&mut self, partition: PartitionId, owner: NodeId, now: Timestamp) -> Option<(Bytes, Bytes)> {
        let is_new = self.by_partition.entry(partition).or_default().insert(owner, now).is_none();
        is_new.then(|| self.record(partition))
    }

    /// An exchange that began then is complete: the owner has all that this node had. Returns the write that takes the mark away,
    /// if there was one that is older.
    pub fn prove(&mut self, partition: PartitionId, owner: NodeId, began: Timestamp) -> Option<(Bytes, Bytes)> {
        if mutation::is_off(Mutation::RepairMarkNeverProved) {
            return None;
        }
        let owners = self.by_partition.get_mut(&partition)?;
        owners.get(&owner).filter(|marked| **marked < began)?;
        owners.remove(&owner);
        if owners.is_empty() {
            self.by_partition.remove(&partition);
        }
        Some(self.record(partition))
    }

    /// Whether an owner may lack something of a partition.
    pub fn has(&self, partition: PartitionId, owner: NodeId) -> bool {
        self.by_partition.get(&partition).is_some_and(|owners| owners.contains_key(&owner))
    }

    /// The marks, by partition.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, Vec<NodeId>)> + '_ {
        self.by_partition.iter().map(|(partition, owners)| (*partition, owners.keys().copied().collect()))
    }

    fn record(&self, partition: PartitionId) -> (Bytes, Bytes) {
        let owners = self.by_partition.get(&partition).into_iter().flat_map(BTreeMap::keys);
        let mut bytes = vec![VERSION];
        owners.for_each(|owner| bytes.extend_from_slice(&owner.0.to_be_bytes()));
        (keyspace::repair_key(partition), bytes.into())
    }
}

fn decode(record: &[u8]) -> Result<Vec<NodeId>, OpenError> {
    let malformed = || OpenError::Malformed { detail: "the mark of a partition that needs repair" };
    let ([VERSION], rest) = record.split_first_chunk().ok_or_else(malformed)? else { return Err(malformed()) };
    let (owners, []) = rest.as_chunks::<8>() else { return Err(malformed()) };
    Ok(owners.iter().map(|owner| NodeId(u64::from_be_bytes(*owner))).collect())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::storage::Batch;
    use crate::storage::memory::MemoryStore;
    use crate::value::fuzz_tests::{feed, rounds};
    use crate::value::golden_tests::{check_bytes, unhex};

    const PARTITION: PartitionId = PartitionId(3);
    const PEER: NodeId = NodeId(2);

    fn marked(marks: &RepairMarks) -> Vec<(PartitionId, Vec<NodeId>)> {
        marks.iter().collect()
    }

    #[test]
    fn only_an_exchange_that_began_after_something_was_left_out_takes_the_mark_away() {
        let mut marks = RepairMarks::default();
        assert!(marks.mark(PARTITION, PEER, Timestamp(10)).is_some());
        assert!(marks.mark(PARTITION, PEER, Timestamp(20)).is_none(), "it stands already");
        assert!(
            marks.prove(PARTITION, PEER, Timestamp(15)).is_none(),
            "what was left out at 20 may have come too late"
        );
        assert!(marks.prove(PARTITION, NodeId(9), Timestamp(30)).is_none());
        assert!(marks.prove(PartitionId(4), PEER, Timestamp(30)).is_none());
        assert_eq!(marked(&marks), [(PARTITION, vec![PEER])]);
        assert!(marks.prove(PARTITION, PEER, Timestamp(21)).is_some());
        assert_eq!(marked(&marks), []);
    }

    #[test]
    fn a_mark_outlives_a_restart_until_it_is_proved() {
        let store = MemoryStore::new(1);
        let write = |(key, value): (Bytes, Bytes)| {
            let mut batch = Batch::default();
            batch.put(Space::Meta, key, value);
            store.write(&batch).unwrap();
        };
        let mut marks = RepairMarks::default();
        write(marks.mark(PARTITION, PEER, Timestamp(10)).unwrap());
        write(marks.mark(PARTITION, NodeId(5), Timestamp(10)).unwrap());
        let all = || [PARTITION, PartitionId(4)].into_iter();
        let mut marks = RepairMarks::open(&store, all()).unwrap();
        assert_eq!(marked(&marks), [(PARTITION, vec![PEER, NodeId(5)])]);
        for owner in [PEER, NodeId(5)] {
            write(marks.prove(PARTITION, owner, Timestamp(1)).unwrap());
        }
        assert_eq!(marked(&RepairMarks::open(&store, all()).unwrap()), []);
    }

    #[test]
    fn whatever_stands_where_a_mark_should_is_refused_or_comes_back() {
        for round in 0..rounds() {
            let mut random = ChaCha8Rng::seed_from_u64(round);
            let mut marks = RepairMarks::default();
            let owners = random.random_range(1..5_u64);
            let records = (0..owners).filter_map(|owner| marks.mark(PARTITION, NodeId(owner << 40), Timestamp(1)));
            let good: Vec<Vec<u8>> = records.map(|(_, record)| record.to_vec()).collect();
            feed(round, &good, |bytes| {
                let owners = decode(bytes).ok()?;
                let owners = owners.into_iter().flat_map(|owner| owner.0.to_be_bytes());
                Some([VERSION].into_iter().chain(owners).collect())
            });
        }
    }

    #[test]
    fn a_record_has_its_old_bytes_and_anything_else_is_refused() {
        let mut marks = RepairMarks::default();
        marks.mark(PARTITION, PEER, Timestamp(1));
        let (_, record) = marks.mark(PARTITION, NodeId(0x0102), Timestamp(1)).unwrap();
        let old = "01 0000000000000002 0000000000000102";
        check_bytes(old, &record);
        assert_eq!(decode(&unhex(old)), Ok(vec![PEER, NodeId(0x0102)]));
        for length in (0..record.len()).filter(|length| length % 8 != 1) {
            assert!(decode(&record[..length]).is_err(), "{length}");
        }
        assert!(decode(&[2]).is_err(), "of a newer program");
    }
}
