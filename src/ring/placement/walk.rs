//! The ring of virtual nodes, and the walk along it.
//!
//! The order of the ring comes from `hashring`, asked once: the virtual nodes of the members and one start per
//! partition are added together, and one full round of the sorted ring gives both. What to know about the crate: `add`
//! sorts each time (hence `batch_add`); `get_with_replicas` copies the whole ring per call and names one machine several
//! times (hence one call, and the skipping here), yet it is the only way to see the order with a hasher of one's own
//! (`into_iter` exists for the default one only, whose result depends on what `derive(Hash)` emits).

use std::hash::{Hash, Hasher};

use hashring::HashRing;
use xxhash_rust::xxh3::Xxh3Builder;

use crate::ids::{NodeId, PartitionId};
use crate::membership::Member;

/// Virtual nodes of a member of weight 1. With 64 a joining node moves up to 1.4 times the least possible, with 256 up
/// to 1.2 times (3 to 20 nodes, 256 partitions).
const VIRTUAL_NODES: u32 = 256;

/// Seed of the ring's hash, of placement version 1. Changing it moves nearly all data.
const SEED: u64 = 0x5354_4152_4c49_4e47; // "STARLING"

/// What stands on the ring.
#[derive(Clone, Debug)]
enum Point {
    /// One of a member's virtual nodes.
    Virtual { carrier: usize, node: NodeId, index: u32 },
    /// Where the walk of a partition starts.
    Start(PartitionId),
}

/// By hand, as fixed bytes: what `derive(Hash)` feeds a hasher may change with compiler and platform.
impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Point::Virtual { node, index, .. } => {
                state.write(b"n");
                state.write(&node.0.to_be_bytes());
                state.write(&index.to_be_bytes());
            }
            Point::Start(partition) => {
                state.write(b"p");
                state.write(&partition.0.to_be_bytes());
            }
        }
    }
}

/// The order of the ring, with the place in it where each partition starts.
pub(super) struct Walk {
    /// Carriers by their position in the list that the walk was built from, one entry per virtual node.
    order: Vec<usize>,
    /// By partition number.
    starts: Vec<usize>,
    carriers: usize,
}

impl Walk {
    /// The ring of these members, each with 256 virtual nodes per unit of its weight.
    pub(super) fn new(carriers: &[&Member], partitions: u16) -> Walk {
        let virtual_nodes = carriers.iter().enumerate().flat_map(|(carrier, member)| {
            let count = member.weight.saturating_mul(VIRTUAL_NODES);
            (0..count).map(move |index| Point::Virtual { carrier, node: member.place(), index })
        });
        let starts = (0..partitions).map(|partition| Point::Start(PartitionId(partition)));
        let mut ring = HashRing::with_hasher(Xxh3Builder::new().with_seed(SEED));
        ring.batch_add(virtual_nodes.chain(starts).collect());

        let mut walk = Walk { order: Vec::new(), starts: vec![0; usize::from(partitions)], carriers: carriers.len() };
        // So many replicas *beside* the first are the whole ring, each point once.
        let round = ring.get_with_replicas(&Point::Start(PartitionId(0)), ring.len().saturating_sub(1));
        for point in round.unwrap_or_default() {
            match point {
                Point::Virtual { carrier, .. } => walk.order.push(carrier),
                Point::Start(partition) => {
                    if let Some(start) = walk.starts.get_mut(usize::from(partition.0)) {
                        *start = walk.order.len();
                    }
                }
            }
        }
        walk
    }

    /// Every carrier once, in the order in which the ring meets them from the partition's start.
    pub(super) fn from<'a>(&'a self, partition: PartitionId, seen: &'a mut Seen) -> impl Iterator<Item = usize> + 'a {
        let start = self.starts.get(usize::from(partition.0)).copied().unwrap_or(0);
        let (before, after) = self.order.split_at(start);
        seen.forget();
        // `take` ends the walk with the last carrier instead of a full round.
        after.iter().chain(before).copied().filter(|carrier| seen.is_new(*carrier)).take(self.carriers)
    }
}

/// Which carriers a walk has met; reused between walks, so that a walk costs no memory.
pub(super) struct Seen {
    /// By carrier: the last walk that met it.
    walks: Vec<u64>,
    walk: u64,
}

impl Seen {
    /// For walks over so many carriers.
    pub(super) fn new(carriers: usize) -> Seen {
        Seen { walks: vec![0; carriers], walk: 0 }
    }

    fn forget(&mut self) {
        self.walk += 1;
    }

    fn is_new(&mut self, carrier: usize) -> bool {
        self.walks.get_mut(carrier).is_some_and(|last| std::mem::replace(last, self.walk) != self.walk)
    }
}
