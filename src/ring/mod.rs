//! The ring: from a key to the nodes that keep it.
//!
//! ```text
//! key ─CRC16─→ slot (16384) ─equal ranges─→ partition (Q) ─table─→ preference list
//!                                                                  owner owner owner │ fallback fallback
//!                                                                  └── N owners ──┘   └── F stand-ins ──┘
//!                                                                  └────────── accept set ─────────────┘
//! ```
//!
//! A [`RingView`] is immutable and shared; it is built when a layout is taken up, and every request only looks it up.
//! Source: Dynamo 2007 §6.2, strategy 3 (equal partitions, placement apart); slots as in Redis Cluster.

mod placement;
mod preference_list;
pub mod slot;

use std::sync::Arc;

pub use preference_list::PreferenceList;

use crate::ids::{Key, NodeId, PartitionId};
use crate::membership::{Layout, LayoutEpoch, LayoutError};

/// A layout with its placement computed: who owns which partition, and who stands in.
#[derive(Debug)]
pub struct RingView {
    layout: Arc<Layout>,
    /// By partition number.
    lists: Vec<PreferenceList>,
}

impl RingView {
    /// Places the partitions of a valid layout. Costs a few milliseconds; done once per layout.
    pub fn new(layout: Layout) -> Result<RingView, LayoutError> {
        layout.validate()?;
        let lists = placement::place(&layout);
        Ok(RingView { layout: Arc::new(layout), lists })
    }

    /// The layout that this view was built from.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The epoch that messages carry.
    pub fn epoch(&self) -> LayoutEpoch {
        self.layout.epoch
    }

    /// The partition that a key lies in.
    pub fn partition_of(&self, key: &Key) -> PartitionId {
        slot::partition_of(slot::of_key(key.as_bytes()), self.layout.partitions)
    }

    /// Owners, then fallbacks. A partition number beyond Q (possible only from a malformed message) gives an empty list.
    pub fn preference_list(&self, partition: PartitionId) -> &PreferenceList {
        static NOBODY: PreferenceList = PreferenceList::nobody();
        self.lists.get(usize::from(partition.0)).unwrap_or(&NOBODY)
    }

    /// The N nodes that the partition belongs to.
    pub fn owners(&self, partition: PartitionId) -> &[NodeId] {
        self.preference_list(partition).owners()
    }

    /// The nodes that may accept, mint and hold for the partition, in order of preference.
    pub fn accept_set(&self, partition: PartitionId) -> &[NodeId] {
        self.preference_list(partition).accept_set()
    }

    /// Whether the partition belongs to this node.
    pub fn is_owner(&self, partition: PartitionId, node: NodeId) -> bool {
        self.owners(partition).contains(&node)
    }

    /// Whether this node may accept for the partition.
    pub fn accepts(&self, partition: PartitionId, node: NodeId) -> bool {
        self.accept_set(partition).contains(&node)
    }

    /// Every partition.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.layout.partitions).map(PartitionId)
    }
}
