//! Who matters for a partition while a change of the members is under way, where it makes a difference.
//!
//! Made from two preference lists, of the placement of before and of the one to come, and the phase. The table of who is
//! who in which phase stands in [`crate::membership::layout::phase`].

use super::PreferenceList;
use crate::ids::NodeId;
use crate::membership::layout::Phase;

/// A partition whose two preference lists differ.
#[derive(Debug)]
pub(super) struct Transition {
    pub(super) owners: Vec<NodeId>,
    pub(super) accept_set: Vec<NodeId>,
    pub(super) write_sets: Vec<PreferenceList>,
    pub(super) leavers: Vec<NodeId>,
    /// The owners differ, not only who stands in.
    pub(super) is_moved: bool,
}

impl Transition {
    /// `None` if both lists name the same owners and the same stand-ins.
    pub(super) fn new(before: &PreferenceList, after: &PreferenceList, phase: Phase) -> Option<Transition> {
        let is_moved = !are_same(before.owners(), after.owners());
        if !is_moved && are_same(before.fallbacks(), after.fallbacks()) {
            return None;
        }
        let (read, other) = if phase.reads_before() { (before, after) } else { (after, before) };
        let owners = match phase.writes_to_both() {
            true => union([read.owners(), other.owners()]),
            false => read.owners().to_vec(),
        };
        let accept_set = union([&owners, other.owners(), read.fallbacks(), other.fallbacks()]);
        let write_sets = match phase.writes_to_both() {
            true => vec![before.clone(), after.clone()],
            false => vec![read.clone()],
        };
        let is_leaver = |node: &&NodeId| phase == Phase::Closing && !after.owners().contains(node);
        let leavers = before.owners().iter().filter(is_leaver).copied().collect();
        Some(Transition { owners, accept_set, write_sets, leavers, is_moved })
    }
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
