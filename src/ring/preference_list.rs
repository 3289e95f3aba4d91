//! The preference list of a partition: its owners, then the nodes that stand in for them.

use crate::ids::NodeId;

/// Distinct nodes in order of preference; the first ones are the owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferenceList {
    nodes: Vec<NodeId>,
    owners: usize,
}

impl PreferenceList {
    /// A list of `owners` followed by `fallbacks`, all distinct.
    pub fn new(owners: Vec<NodeId>, fallbacks: Vec<NodeId>) -> PreferenceList {
        let count = owners.len();
        let mut nodes = owners;
        nodes.extend(fallbacks);
        PreferenceList { nodes, owners: count }
    }

    /// The same list without some nodes.
    pub(super) fn without(&self, is_left_out: impl Fn(NodeId) -> bool) -> PreferenceList {
        let rest = |nodes: &[NodeId]| nodes.iter().copied().filter(|node| !is_left_out(*node)).collect();
        PreferenceList::new(rest(self.owners()), rest(self.fallbacks()))
    }

    /// The list of a partition that does not exist.
    pub const fn nobody() -> PreferenceList {
        PreferenceList { nodes: Vec::new(), owners: 0 }
    }

    /// The N nodes that the partition belongs to.
    pub fn owners(&self) -> &[NodeId] {
        self.nodes.split_at(self.owners).0
    }

    /// The nodes that stand in, in order of preference.
    pub fn fallbacks(&self) -> &[NodeId] {
        self.nodes.split_at(self.owners).1
    }

    /// Owners and fallbacks: all that may accept, mint and hold for the partition.
    pub fn accept_set(&self) -> &[NodeId] {
        &self.nodes
    }
}
