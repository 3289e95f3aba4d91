//! Who matters for a partition while a change of the members is under way, where it makes a difference.
//!
//! Made from two preference lists, of the placement of before and of the one to come, and the phase. The table of who is
//! who in which phase stands in [`crate::membership::layout::phase`].
//!
//! A placement in which every owner of the partition was declared lost has nobody who could be read, load others, or take over;
//! what only they had is given up. The other placement alone counts then, in every phase: its owners have what there is, or
//! found the partition among themselves. Whoever stood in is waited for all the same: it may hold hints.

use super::PreferenceList;
use crate::ids::NodeId;
use crate::membership::layout::Phase;
use crate::mutation::{self, Mutation};

/// A partition whose two preference lists differ.
#[derive(Debug)]
pub(super) struct Transition {
    pub(super) owners: Vec<NodeId>,
    pub(super) accept_set: Vec<NodeId>,
    pub(super) write_sets: Vec<PreferenceList>,
    pub(super) leavers: Vec<NodeId>,
    /// The owners differ, not only who stands in, and both placements count.
    pub(super) is_moved: bool,
    /// Nobody is left of the owners of before: only those to come count, in every phase.
    pub(super) is_taken_over: bool,
}

impl Transition {
    /// `None` if both lists name the same owners and the same stand-ins.
    pub(super) fn new(before: &PreferenceList, after: &PreferenceList, phase: Phase) -> Option<Transition> {
        let differs = !are_same(before.owners(), after.owners());
        if !differs && are_same(before.fallbacks(), after.fallbacks()) {
            return None;
        }
        let counts_both = !is_lost(before) && !is_lost(after);
        let is_moved = differs && counts_both;
        let is_taken_over = is_lost(before) && !is_lost(after);
        let (read, other) = if reads_before(before, after, phase) { (before, after) } else { (after, before) };
        let (owners, write_sets) = match phase.writes_to_both() && counts_both {
            true => (union([read.owners(), other.owners()]), vec![before.clone(), after.clone()]),
            false => (read.owners().to_vec(), vec![read.clone()]),
        };
        let accept_set = union([&owners, other.owners(), read.fallbacks(), other.fallbacks()]);
        let is_leaver = |node: &&NodeId| phase == Phase::Closing && !owners.contains(node);
        let leavers = before.owners().iter().filter(is_leaver).copied().collect();
        Some(Transition { owners, accept_set, write_sets, leavers, is_moved, is_taken_over })
    }
}

/// Which of the two lists is read in this phase.
pub(super) fn reads_before(before: &PreferenceList, after: &PreferenceList, phase: Phase) -> bool {
    match (is_lost(before), is_lost(after)) {
        (true, false) => false,
        (false, true) => true,
        _ => phase.reads_before(),
    }
}

/// Nobody is left of its owners.
fn is_lost(list: &PreferenceList) -> bool {
    list.owners().is_empty() && !mutation::is_off(Mutation::LostPlacementCounts)
}

fn are_same(some: &[NodeId], others: &[NodeId]) -> bool {
    some.len() == others.len() && some.iter().all(|node| others.contains(node))
}

/// Every node once, in the order in which the lists name them.
fn union<const LISTS: usize>(lists: [&[NodeId]; LISTS]) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    for node in lists.into_iter().flatten() {
        if !nodes.contains(node) {
            nodes.push(*node);
        }
    }
    nodes
}
