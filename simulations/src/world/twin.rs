//! A second machine with the bundle of a member: two processes that are one node, as peers see it.
//!
//! It is a place of the world beyond the members: it has a disk, clocks and links of its own, but the member id of
//! another. Peers dial an address, and only one of the two is there; both can dial the peers. A world has a twin only if
//! its options ask for one; it does not run until a script starts it, and not when everything is made well.

use starling::causality::Epoch;
use starling::ids::NodeId;

use super::World;
use super::node::Damage;

impl World {
    /// The place of the twin.
    pub fn twin(&self) -> usize {
        self.options.places()
    }

    /// The twin gets a copy of its member's directory, as it is on disk now.
    pub fn copy_to_twin(&mut self) {
        let Some(of) = self.options.twin_of else { return };
        let (seed, twin) = (self.entropy.number(), self.twin());
        let copy = self.node(of).store.copy(seed);
        self.node_mut(twin).store = copy;
    }

    /// From now on peers that dial the member reach its twin; or the member again.
    pub fn move_address(&mut self, is_twin: bool) {
        self.has_twin_address = is_twin;
    }

    /// The twin goes away with all it has, and the member is back at its address.
    pub(super) fn end_twin(&mut self) {
        if self.options.twin_of.is_some() {
            self.crash(self.twin(), Damage::None);
            self.move_address(false);
        }
    }

    /// The place that is reached by dialling a member.
    pub(super) fn dialled(&self, id: NodeId) -> usize {
        let is_twins = self.has_twin_address && self.options.twin_of.is_some_and(|of| self.node(of).id == id);
        if is_twins { self.twin() } else { self.number_of(id) }
    }

    /// Whether a place is reached by dialling its member.
    pub(super) fn is_dialled(&self, place: usize) -> bool {
        self.dialled(self.node(place).id) == place
    }

    /// The place that runs this start of a member.
    pub(super) fn place_of_start(&self, id: NodeId, start: Epoch) -> Option<usize> {
        let runs = |process: &super::node::Process| process.identity.node == id && process.identity.epoch == start;
        self.nodes.iter().position(|node| node.process.as_ref().is_some_and(runs))
    }
}
