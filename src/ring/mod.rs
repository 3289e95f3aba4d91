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
//!
//! # While the members change
//!
//! A layout may stand between two placements ([`crate::membership::layout::phase`]). The view is then the only place that
//! knows what the phase means for a partition: who is owed its rows ([`RingView::owners`]), who is read
//! ([`RingView::readers`]), in which lists a write needs its W ([`RingView::write_sets`]), who may accept
//! ([`RingView::accept_set`]), who hands over ([`RingView::leavers`]). In the steady phase all of it is the preference list.
//! What a change would move, [`change`] says beforehand.

pub mod change;
mod placement;
mod preference_list;
pub mod slot;
mod transition;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use preference_list::PreferenceList;

use crate::ids::{Key, NodeId, PartitionId};
use crate::membership::{Layout, LayoutEpoch, LayoutError, Member, OwnerTable};
use transition::Transition;

/// A layout with its placement computed: who owns which partition, and who stands in.
#[derive(Debug)]
pub struct RingView {
    layout: Arc<Layout>,
    /// Of the placement that is read, by partition number.
    lists: Vec<PreferenceList>,
    /// Partitions for which the placement of before and the one to come differ. Empty in the steady phase.
    transitions: BTreeMap<PartitionId, Transition>,
    zones: BTreeMap<NodeId, ZoneIndex>,
}

/// A zone of a layout, as a number. Nodes without a named zone have one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneIndex(pub u16);

impl RingView {
    /// Places the partitions of a valid layout. Costs a few milliseconds, twice as many while the members change, up to
    /// seconds for a thousand members; done once per layout, never by a request.
    pub fn new(layout: Layout) -> Result<RingView, LayoutError> {
        layout.validate()?;
        let place = |members: &[Member], fallbacks, owners| {
            let lists = placement::place(&layout, members, fallbacks, owners);
            if layout.fenced.is_empty() {
                return lists;
            }
            lists.iter().map(|list| list.without(|node| layout.is_fenced(node))).collect()
        };
        let mut lists = place(&layout.members, layout.fallbacks, layout.owners.as_deref());
        let mut transitions = BTreeMap::new();
        if let Some(before) = &layout.before {
            let lists_before = place(&before.members, before.fallbacks, before.owners.as_deref());
            let pairs = (0..layout.partitions).map(PartitionId).zip(lists_before.iter().zip(&lists));
            let transition = |(partition, (before, after))| {
                Transition::new(before, after, layout.phase).map(|transition| (partition, transition))
            };
            transitions = pairs.filter_map(transition).collect();
            for (list, before) in lists.iter_mut().zip(lists_before) {
                if transition::reads_before(&before, list, layout.phase) {
                    *list = before;
                }
            }
        }
        let zones = zones(&layout);
        Ok(RingView { layout: Arc::new(layout), lists, transitions, zones })
    }

    /// The owners to come of a layout that moves away from the placement that is read here: of placement version 2, which
    /// changes as little as possible.
    pub(crate) fn owners_after(&self, moving: &Layout) -> OwnerTable {
        let before = moving.before.as_ref().map_or(&self.layout.members, |before| &before.members);
        placement::rebalance(moving, before, |partition| self.readers(partition).to_vec())
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

    /// The list of the placement that is read: the readers, then those who stand in for them. A partition number beyond Q
    /// (possible only from a malformed message) gives an empty list, here and in all that follows.
    pub fn preference_list(&self, partition: PartitionId) -> &PreferenceList {
        static NOBODY: PreferenceList = PreferenceList::nobody();
        self.lists.get(usize::from(partition.0)).unwrap_or(&NOBODY)
    }

    /// Who must come to hold every row: the N nodes that the partition belongs to; while it moves those of before and those
    /// to come, the readers first.
    pub fn owners(&self, partition: PartitionId) -> &[NodeId] {
        self.transition(partition).map_or_else(|| self.readers(partition), |transition| &transition.owners)
    }

    /// The N nodes whose answers count for reads.
    pub fn readers(&self, partition: PartitionId) -> &[NodeId] {
        self.preference_list(partition).owners()
    }

    /// Whom a read may ask: the readers, then those who stand in for them.
    pub fn read_set(&self, partition: PartitionId) -> &[NodeId] {
        self.preference_list(partition).accept_set()
    }

    /// The lists in each of which a write needs its W: one, or two while the partition moves.
    pub fn write_sets(&self, partition: PartitionId) -> &[PreferenceList] {
        match self.transition(partition) {
            Some(transition) => &transition.write_sets,
            None => std::slice::from_ref(self.preference_list(partition)),
        }
    }

    /// The nodes that may accept, mint and hold for the partition, in order of preference; while the members change those
    /// of both placements.
    pub fn accept_set(&self, partition: PartitionId) -> &[NodeId] {
        self.transition(partition).map_or_else(|| self.read_set(partition), |transition| &transition.accept_set)
    }

    /// Who is to own the partition and is loaded by those of before; in the moving phase only.
    pub fn joiners(&self, partition: PartitionId) -> impl Iterator<Item = NodeId> + '_ {
        let readers = self.readers(partition);
        let is_moving = self.layout.phase.reads_before();
        self.owners(partition).iter().copied().filter(move |owner| is_moving && !readers.contains(owner))
    }

    /// Who owned the partition before and now hands over what it still has; in the closing phase only.
    pub fn leavers(&self, partition: PartitionId) -> &[NodeId] {
        self.transition(partition).map_or(&[], |transition| &transition.leavers)
    }

    /// The owners of before of a partition that moves, while writes are counted among them and those to come; else nobody.
    pub fn owners_before(&self, partition: PartitionId) -> &[NodeId] {
        self.counted_owners(partition, <[PreferenceList]>::first)
    }

    /// The owners to come of a partition that moves, while writes are counted among them and those of before; else nobody.
    pub fn owners_to_come(&self, partition: PartitionId) -> &[NodeId] {
        self.counted_owners(partition, <[PreferenceList]>::last)
    }

    fn counted_owners(
        &self,
        partition: PartitionId,
        which: impl Fn(&[PreferenceList]) -> Option<&PreferenceList>,
    ) -> &[NodeId] {
        if self.may_settle(partition) {
            return &[];
        }
        which(self.write_sets(partition)).map_or(&[], PreferenceList::owners)
    }

    /// Whether the partition's owners change.
    pub fn is_moved(&self, partition: PartitionId) -> bool {
        self.transition(partition).is_some_and(|transition| transition.is_moved)
    }

    /// Whether nobody is left of those who owned the partition before the change, so that only those to come count already.
    pub fn is_taken_over(&self, partition: PartitionId) -> bool {
        self.transition(partition).is_some_and(|transition| transition.is_taken_over)
    }

    /// Whether the partition may settle: not while writes are counted among two sets of owners.
    pub fn may_settle(&self, partition: PartitionId) -> bool {
        !(self.layout.phase.writes_to_both() && self.is_moved(partition))
    }

    /// Number of the layout since which writers count their W in all of the partition's write sets; 0: every layout that a
    /// writer may still hold does. What is told under an older one counts too little.
    pub fn since(&self, partition: PartitionId) -> u64 {
        let since = || self.layout.before.as_ref().map(|before| before.since);
        self.transition(partition).and_then(|_| since()).unwrap_or(0)
    }

    /// Whether this member was declared lost. It stands in none of the lists.
    pub fn is_fenced(&self, node: NodeId) -> bool {
        self.layout.is_fenced(node)
    }

    /// The zone of a member; `None` if the layout has no such member.
    pub fn zone_of(&self, node: NodeId) -> Option<ZoneIndex> {
        self.zones.get(&node).copied()
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

    fn transition(&self, partition: PartitionId) -> Option<&Transition> {
        self.transitions.get(&partition)
    }
}

/// One for each member without a named zone, then the named ones in the order of their names.
fn zones(layout: &Layout) -> BTreeMap<NodeId, ZoneIndex> {
    let mut groups: BTreeMap<(&str, Option<NodeId>), Vec<NodeId>> = BTreeMap::new();
    for member in &layout.members {
        let alone = Some(member.id).filter(|_| member.zone.is_empty());
        groups.entry((&member.zone, alone)).or_default().push(member.id);
    }
    let numbered = groups.into_values().zip((0..).map(ZoneIndex));
    numbered.flat_map(|(nodes, zone)| nodes.into_iter().map(move |node| (node, zone))).collect()
}

#[cfg(test)]
#[path = "transition_tests.rs"]
mod tests;
