//! Changes of the members in a history: layouts that follow one another, and when each node takes them up.
//!
//! ```text
//! Change ──→ Moving ──each has adopted, and told that it has everything──→ Switched ──each has adopted──→ Closing
//!              └─Revert─→ Steady                            Steady ←──each has told that nothing is left──┘
//! ```
//!
//! One member carries nothing. A change drains one of the others and fills this one, so an owner, or a stand-in, comes and
//! another one goes; the next change begins where this one has ended. The scheduler decides when a node takes up a layout
//! ([`Step::Adopt`]) and when it tells how far it is ([`Step::Tell`]); what it has told once counts for the layout, whatever
//! becomes of it afterwards. What a node tells is durable, and so is the layout that it has taken up.
//!
//! [`Step::Adopt`]: super::step::Step::Adopt
//! [`Step::Tell`]: super::step::Step::Tell

use std::sync::Arc;

use starling::ids::NodeId;
use starling::membership::{Change, Layout, Phase, Plan};
use starling::ring::RingView;
use starling::shard::Input;

use super::cluster::Cluster;
use super::instance::Instance;

impl Cluster {
    /// A node takes up the layout that follows its own, or the newest one; false if there is none.
    pub(super) fn adopt(&mut self, node: u8) -> bool {
        let ring = self.ring.clone();
        let Some(it) = self.running(node).filter(|it| it.ring.epoch().number < ring.epoch().number) else {
            return false;
        };
        it.ring = ring.clone();
        self.turn(node, [Input::RingChanged(ring)]);
        true
    }

    /// A node tells how far it is with the last layout; when all have told that they are through, the next phase is committed.
    pub(super) fn tell(&mut self, node: u8) -> bool {
        let (phase, number, now) = (self.ring.layout().phase, self.ring.epoch().number, self.now);
        let Some(it) = self.running(node) else { return false };
        let clock = it.clock(now);
        let Some(state) = it.shard.as_ref().map(|shard| shard.move_state(clock)) else { return false };
        let is_through = match phase {
            Phase::Moving => state.is_synced(),
            Phase::Closing => state.is_cleared(),
            Phase::Switched | Phase::Steady => true,
        };
        if it.ring.epoch().number != number || !is_through || !it.unsynced.is_empty() || !self.told.insert(node) {
            return false;
        }
        if self.told.len() == self.nodes.len()
            && let Ok(Some(next)) = self.ring.layout().next_phase()
        {
            self.commit(next);
        }
        true
    }

    /// A change begins that drains a member and fills the one that carries nothing; false if one is under way, or it carries
    /// nothing.
    pub(super) fn change(&mut self, drained: u8) -> bool {
        let layout = self.ring.layout();
        let drained = Instance::id(usize::from(drained));
        let Some(filled) = layout.members.iter().find(|member| member.weight == 0).map(|member| member.id) else {
            return false;
        };
        let has_all = self.nodes.iter().all(|it| it.ring.epoch() == self.ring.epoch());
        if !layout.phase.is_steady() || drained == filled || !has_all {
            return false;
        }
        let weight = |node: NodeId, weight: u32| Change::Weight { node, weight };
        let changes = vec![weight(drained, 0), weight(filled, 1)];
        let plan = Plan { base: self.ring.epoch(), changes, accepts_loss: false };
        let Ok(next) = plan.apply(&self.ring) else { return false };
        self.commit(next);
        true
    }

    /// The change that is under way is taken back, if it is moving and every node knows of it.
    pub(super) fn revert(&mut self) -> bool {
        let has_all = self.nodes.iter().all(|it| it.ring.epoch() == self.ring.epoch());
        let Ok(layout) = self.ring.layout().reverted() else { return false };
        if has_all {
            self.commit(layout);
        }
        has_all
    }

    /// Every node learns what was committed, and tells what it can; what is left of a change otherwise.
    pub(super) fn go_on_with_change(&mut self) -> Option<String> {
        for node in 0..self.nodes.len() as u8 {
            self.adopt(node);
        }
        for node in 0..self.nodes.len() as u8 {
            self.tell(node);
        }
        let layout = self.ring.layout();
        if layout.phase.is_steady() {
            return None;
        }
        let waiting = |(number, it): (usize, &super::node::Node)| {
            let state = it.shard.as_ref().map(|shard| shard.move_state(it.clock(self.now)));
            (!self.told.contains(&(number as u8))).then(|| format!("n{} is at {state:?}", number + 1))
        };
        let waiting: Vec<String> = self.nodes.iter().enumerate().filter_map(waiting).collect();
        Some(format!("the change is {} and waits: {}", layout.phase, waiting.join("; ")))
    }

    fn commit(&mut self, layout: Layout) {
        self.say(|| format!("    layout {} is committed: {}", layout.epoch.number, layout.phase));
        self.told.clear();
        match RingView::new(layout) {
            Ok(ring) => {
                let of = |nodes: &[NodeId]| nodes.iter().map(|node| node.to_string()).collect::<Vec<_>>().join(" ");
                for partition in ring.partitions().filter(|partition| ring.is_moved(*partition)) {
                    let (readers, owners) = (of(ring.readers(partition)), of(ring.owners(partition)));
                    self.say(|| format!("    partition {partition} moves: owners {owners}, read from {readers}"));
                }
                *self.record.facts.entry("layouts").or_default() += 1;
                self.ring = Arc::new(ring);
            }
            Err(error) => self.wrong("layouts", format!("a layout cannot be: {error}")),
        }
    }
}
