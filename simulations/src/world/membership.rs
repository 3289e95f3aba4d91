//! Changes of the members: who belongs to the cluster at each moment, and which view each node has.
//!
//! The members decide themselves; the world does what their drivers do, and remembers what was decided and when.
//!
//! ```text
//! operator ──call──→ shard 0 of a member ──Paxos, spreading──→ Effect::Adopt of a node ──→ Input::RingChanged to its shards
//!                                                                    └─→ the world notes the layout, if it is new
//! ```
//!
//! A spare is a place of the world that is in no layout yet. The operator starts it before it lets it join, with the
//! founding layout in its bundle; until a layout names it, others hear only what may come from outside. A node that takes a
//! layout up in which it is no member, or declared lost, ends. What a node has taken up stands on its disk.

use std::sync::Arc;

use starling::council::stored_layout;
use starling::ids::NodeId;
use starling::membership::{Layout, LayoutEpoch};
use starling::message::peer::Frame;
use starling::ring::RingView;
use starling::shard::Input;
use starling::time::Timestamp;

use super::World;
use super::node::Damage;
use super::options::WorldOptions;

/// A layout that was decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// When the first node took it up.
    pub at: Timestamp,
    /// What.
    pub ring: Arc<RingView>,
    /// When every member that it had then had taken it up.
    pub everywhere_at: Option<Timestamp>,
}

impl World {
    /// The newest layout that was decided, with its placement.
    pub fn ring(&self) -> &Arc<RingView> {
        let last = self.layouts.last().expect("a world begins with a layout");
        &last.ring
    }

    /// All layouts that were decided, the first ones first.
    pub fn layouts(&self) -> &[Decided] {
        &self.layouts
    }

    /// Layouts that were decided although another one of the same number had been.
    pub fn rival_layouts(&self) -> &[LayoutEpoch] {
        &self.rival_layouts
    }

    /// The layouts by which some node may have acted between two moments.
    pub fn rings_between(&self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = &RingView> {
        let is_past = move |place: usize| {
            let next = self.layouts.get(place + 1);
            next.is_some_and(|next| next.everywhere_at.is_some_and(|at| at < from))
        };
        let layouts = self.layouts.iter().enumerate();
        layouts.filter(move |(place, it)| it.at <= until && !is_past(*place)).map(|(_, it)| it.ring.as_ref())
    }

    /// The nodes that clients know: members of the newest layout that are not declared lost.
    pub fn doors(&self) -> &[usize] {
        &self.doors
    }

    /// Whether a node is a member that is not declared lost.
    pub fn is_member(&self, node: usize) -> bool {
        self.doors.contains(&node)
    }

    /// Whether a node is to run: a member, or let in to become one.
    pub(super) fn may_start(&self, node: usize) -> bool {
        node >= self.options.places() || self.is_member(node) || self.node(node).is_candidate
    }

    /// Whether a node was declared lost.
    pub fn is_fenced(&self, node: usize) -> bool {
        self.ring().is_fenced(self.node(node).id)
    }

    /// Starts a spare, so that it can be let join.
    pub fn start_candidate(&mut self, node: usize) {
        if self.node(node).life == 0 {
            self.node_mut(node).is_candidate = true;
            self.start(node);
        }
    }

    /// Starts a node that the operator should not: one that was declared lost, or has left.
    pub fn start_though_gone(&mut self, node: usize) {
        let was = std::mem::replace(&mut self.node_mut(node).is_candidate, true);
        self.start(node);
        self.node_mut(node).is_candidate = was;
    }

    /// The layout with which a node starts: the newer one of that in its bundle and that on its disk.
    pub(super) fn layout_of_start(&mut self, node: usize) -> Arc<RingView> {
        let bundle = self.layouts.first().expect("a world begins with a layout").ring.clone();
        match stored_layout(&self.node(node).store) {
            Ok(Some(stored)) if stored.epoch.number > bundle.epoch().number => self.view_of(stored),
            Ok(_) => bundle,
            Err(error) => panic!("{} cannot read its layout: {error}", WorldOptions::id(node)),
        }
    }

    fn view_of(&self, layout: Layout) -> Arc<RingView> {
        let known = self.layouts.iter().find(|it| it.ring.epoch() == layout.epoch);
        match known.map(|it| it.ring.clone()).map_or_else(|| RingView::new(layout).map(Arc::new), Ok) {
            Ok(ring) => ring,
            Err(error) => panic!("a layout was decided that cannot be: {error}"),
        }
    }

    /// A node has decided layout on its disk: all of its shards are told.
    pub(super) fn adopt(&mut self, node: usize, layout: Layout) {
        let ring = self.view_of(layout);
        let (now, number) = (self.now, ring.epoch().number);
        self.trace.event(now, "adopt", node as u64, &number.to_le_bytes());
        self.trace
            .line(now, || format!("{} takes up layout {number}: {:?}", WorldOptions::id(node), ring.layout().phase));
        self.note_decided(&ring);
        let id = self.node(node).id;
        let is_in = |ring: &RingView| ring.layout().member(id).is_some() && !ring.is_fenced(id);
        if is_in(&ring) {
            let place = self.node_mut(node);
            (place.ring, place.is_candidate) = (ring.clone(), false);
            for shard in 0..self.options.shards {
                self.answer_input(node, shard, Input::RingChanged(ring.clone()));
            }
        } else if !self.node(node).is_candidate {
            self.crash(node, Damage::None);
        }
        self.note_whether_everywhere();
    }

    fn note_decided(&mut self, ring: &Arc<RingView>) {
        let (epoch, newest) = (ring.epoch(), self.ring().epoch());
        let is_known = self.layouts.iter().any(|it| it.ring.epoch() == epoch);
        if is_known {
            return;
        }
        if epoch.number <= newest.number {
            self.rival_layouts.push(epoch);
            return;
        }
        let lost: Vec<usize> = self.doors.iter().copied().filter(|node| ring.is_fenced(self.node(*node).id)).collect();
        for node in lost {
            self.node_mut(node).damaged_at = Some(self.now);
        }
        let is_in = |node: NodeId| ring.layout().member(node).is_some() && !ring.is_fenced(node);
        self.doors = (0..self.options.places()).filter(|node| is_in(WorldOptions::id(*node))).collect();
        self.layouts.push(Decided { at: self.now, ring: ring.clone(), everywhere_at: None });
    }

    fn note_whether_everywhere(&mut self) {
        let number = self.ring().epoch().number;
        let have_it = self.doors.iter().all(|node| self.node(*node).ring.epoch().number == number);
        let now = self.now;
        if let Some(last) = self.layouts.last_mut().filter(|_| have_it) {
            last.everywhere_at.get_or_insert(now);
        }
    }

    /// What a node's door lets through of a frame: of a node that its layout does not name, only what may come from outside.
    /// Whether that was all.
    pub(super) fn let_in(&self, to: usize, from: NodeId, frame: &mut Frame) -> bool {
        let ring = &self.node(to).ring;
        let messages = frame.messages.len();
        if ring.layout().member(from).is_none() || ring.is_fenced(from) {
            frame.messages.retain(|addressed| addressed.message.may_come_from_outside());
        }
        frame.messages.len() == messages
    }

    /// A node hears by which layout another acts of which only one of the two knows: what both say when they connect.
    pub(super) fn tell_layout(&mut self, node: usize, peer: usize) {
        let (from, layout) = (self.node(peer).id, self.node(peer).ring.epoch());
        let is_newer = layout.number > self.node(node).ring.epoch().number;
        if is_newer && self.node(node).is_up() && self.network.is_open(peer, node) {
            self.answer_input(node, 0, Input::LayoutHeard { from, layout });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use starling::membership::{Change, Phase};

    use super::*;

    fn world(spares: usize) -> World {
        let mut world = World::new(WorldOptions { spares, partitions: 16, ..WorldOptions::calm(1) }).unwrap();
        world.run_for(Duration::from_secs(2));
        world
    }

    fn run_until(world: &mut World, holds: impl Fn(&World) -> bool) {
        let give_up = world.after(Duration::from_secs(60));
        while !holds(world) {
            assert!(world.now() < give_up, "{:?}, {:?}", world.ring().layout().phase, world.operations());
            world.run_for(Duration::from_millis(50));
        }
    }

    fn is_steady_again(world: &World) -> bool {
        let last = world.layouts().last();
        last.is_some_and(|it| {
            it.ring.epoch().number > 1 && it.ring.layout().phase.is_steady() && it.everywhere_at.is_some()
        })
    }

    #[test]
    fn a_change_goes_through_its_phases_one_after_the_other() {
        let mut world = world(1);
        assert!(!world.node(5).is_up() && world.doors() == [0, 1, 2, 3, 4]);
        let joins = Change::Join(world.options.member(5));
        world.change_through(2, vec![joins, Change::Leave(WorldOptions::id(0))], false);
        run_until(&mut world, is_steady_again);
        let phases: Vec<Phase> = world.layouts().iter().map(|it| it.ring.layout().phase).collect();
        assert_eq!(phases, [Phase::Steady, Phase::Moving, Phase::Switched, Phase::Closing, Phase::Steady]);
        for (one, next) in world.layouts().iter().zip(world.layouts().iter().skip(1)) {
            assert!(one.everywhere_at.unwrap() <= next.at, "a phase was decided on before all had taken up the last");
        }
        run_until(&mut world, |world| world.node(5).is_up() && !world.node(0).is_up());
        assert_eq!(world.doors(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_phase_waits_for_a_member_that_is_down_and_not_for_one_that_is_declared_lost() {
        let mut world = world(1);
        world.crash(4, Damage::None);
        let joins = Change::Join(world.options.member(5));
        world.change_through(2, vec![joins], false);
        world.run_for(Duration::from_secs(20));
        assert_eq!(world.ring().layout().phase, Phase::Moving);
        world.change_through(1, vec![Change::Fence(WorldOptions::id(4))], false);
        run_until(&mut world, is_steady_again);
        world.start_though_gone(4);
        run_until(&mut world, |world| !world.node(4).is_up());
    }
}
