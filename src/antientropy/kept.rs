//! Trees that outlive a stop in good order, so that a start need not look through every partition again.
//!
//! ```text
//! last turn:  'T' partition → its leaves      'C' shard → start, shards: "nothing was written after these"      one batch
//! next start: its number follows ──→ taken            the first batch that it writes takes the word 'C' away again
//!             anything else (a crash, another number of shards, no record) ──→ built anew
//! ```
//!
//! A crash shows a prefix of the batches, so where the word is still there, what it speaks of is true. A record that cannot be
//! read is as good as none. Costs 20 bytes per leaf, written once at the stop.

use bytes::Bytes;

use super::trees::Trees;
use crate::ids::PartitionId;
use crate::mutation::{self, Mutation};
use crate::shard::ShardScope;
use crate::storage::{Batch, Space, Store};
use crate::time::Timestamp;

/// Version of both records. It changes with what a row adds to its leaf, too.
const VERSION: u8 = 1;

/// Writes all whole trees, and that they are those of the end of this start.
pub fn keep(trees: &Trees, scope: ShardScope, start: u32, batch: &mut Batch) {
    for partition in (0..trees.partition_count()).map(PartitionId).filter(|partition| scope.has(*partition)) {
        match trees.whole(partition) {
            Some(tree) => {
                let mut record = vec![VERSION];
                tree.encode(&mut record);
                batch.put(Space::Trees, tree_key(partition), record.into());
            }
            // What an earlier stop has left is not true any more.
            None => batch.delete(Space::Trees, tree_key(partition)),
        }
    }
    batch.put(Space::Trees, clean_key(scope), clean(scope, start));
}

/// The stop is not the last thing that happened any more.
pub fn forget(scope: ShardScope, batch: &mut Batch) {
    if !mutation::is_off(Mutation::TreeTrustedAfterCrash) {
        batch.delete(Space::Trees, clean_key(scope));
    }
}

/// Takes over the trees of the stop right before this start, to be built anew after `again`. Returns whether a word of it stands
/// on disk.
pub fn take_over(trees: &mut Trees, store: &dyn Store, scope: ShardScope, start: u32, again: Timestamp) -> bool {
    let Ok(Some(found)) = store.fetch(Space::Trees, &clean_key(scope)) else { return false };
    let is_last = found == clean(scope, start.wrapping_sub(1)) || mutation::is_off(Mutation::TreeTrustedAfterCrash);
    if is_last {
        for partition in trees.partitions() {
            let Ok(Some(record)) = store.fetch(Space::Trees, &tree_key(partition)) else { continue };
            let Some((&VERSION, leaves)) = record.split_first() else { continue };
            if let Some(tree) = trees.blank(partition).decode(leaves) {
                trees.adopt(partition, tree, again);
            }
        }
    }
    true
}

fn tree_key(partition: PartitionId) -> Bytes {
    let [high, low] = partition.0.to_be_bytes();
    Bytes::copy_from_slice(&[b'T', high, low])
}

fn clean_key(scope: ShardScope) -> Bytes {
    let [.., high, low] = (scope.index as u64).to_be_bytes();
    Bytes::copy_from_slice(&[b'C', high, low])
}

fn clean(scope: ShardScope, start: u32) -> Bytes {
    let mut record = vec![VERSION];
    record.extend_from_slice(&start.to_be_bytes());
    record.extend_from_slice(&(scope.count as u32).to_be_bytes());
    record.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::antientropy::tree::MerkleTree;
    use crate::storage::memory::MemoryStore;
    use crate::value::golden_tests::check_bytes;

    const SCOPE: ShardScope = ShardScope { index: 0, count: 1 };
    const PARTITION: PartitionId = PartitionId(2);

    /// Trees of a shard, one of them whole, with two rows.
    fn trees() -> Trees {
        let mut trees = waiting();
        let mut tree = MerkleTree::new(PARTITION, 4);
        for (row, adds) in [([0x20_u8, 1, 0, 0, 0, 0, 0, 0, 9], 7), ([0x2f, 255, 255, 255, 255, 255, 255, 255, 9], 9)] {
            tree.replace(&row, None, Some(adds));
        }
        trees.adopt(PARTITION, tree, Timestamp(5));
        trees
    }

    fn waiting() -> Trees {
        let mut trees = Trees::new(4);
        trees.set_partitions(&[PartitionId(1), PARTITION].into());
        trees
    }

    fn kept(start: u32) -> MemoryStore {
        let store = MemoryStore::new(1);
        let mut batch = Batch::default();
        keep(&trees(), SCOPE, start, &mut batch);
        store.write(&batch).unwrap();
        store
    }

    fn taken(store: &MemoryStore, scope: ShardScope, start: u32) -> Trees {
        let mut trees = waiting();
        take_over(&mut trees, store, scope, start, Timestamp(9));
        trees
    }

    #[test]
    fn trees_are_taken_over_by_the_next_start_with_as_many_shards_and_by_no_other() {
        let store = kept(7);
        let found = taken(&store, SCOPE, 8);
        assert_eq!((found.whole(PARTITION), found.waiting()), (trees().whole(PARTITION), 1));
        for (scope, start) in
            [(SCOPE, 7), (SCOPE, 9), (ShardScope { index: 0, count: 2 }, 8), (ShardScope { index: 1, count: 1 }, 8)]
        {
            assert_eq!(taken(&store, scope, start).waiting(), 2, "{scope:?} {start}");
        }
        let mut batch = Batch::default();
        forget(SCOPE, &mut batch);
        store.write(&batch).unwrap();
        assert_eq!(taken(&store, SCOPE, 8).waiting(), 2, "something was written since");
    }

    #[test]
    fn the_tree_of_an_earlier_stop_is_not_taken_for_that_of_a_later_one() {
        let store = kept(7);
        let mut batch = Batch::default();
        keep(&waiting(), SCOPE, 8, &mut batch);
        store.write(&batch).unwrap();
        assert_eq!(taken(&store, SCOPE, 9).waiting(), 2);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_as_good_as_none() {
        let store = kept(7);
        let record = store.fetch(Space::Trees, &tree_key(PARTITION)).unwrap().unwrap();
        for bad in
            [Vec::new(), vec![2], record[..record.len() - 1].to_vec(), [&record[..], &[0]].concat(), vec![VERSION, 40]]
        {
            let mut batch = Batch::default();
            batch.put(Space::Trees, tree_key(PARTITION), bad.into());
            store.write(&batch).unwrap();
            assert_eq!(taken(&store, SCOPE, 8).waiting(), 2);
        }
    }

    #[test]
    fn records_have_their_old_bytes() {
        check_bytes("01 00000007 00000001", &clean(SCOPE, 7));
        let mut tree = MerkleTree::new(PartitionId(0), 16_384);
        let mut empty = Vec::new();
        tree.encode(&mut empty);
        check_bytes("04", &empty);
        tree.replace(&[0, 0, 0x10, 0, 0, 0, 0, 0, 9], None, Some(7));
        let mut record = Vec::new();
        tree.encode(&mut record);
        let nothing = "00000000000000000000000000000000 00000000";
        let one = "00000000000000000000000000000007 00000001";
        let leaves: Vec<&str> = (0..16).map(|leaf| if leaf == 1 { one } else { nothing }).collect();
        check_bytes(&format!("04 {}", leaves.join(" ")), &record);
    }
}
