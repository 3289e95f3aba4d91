//! Changes of the members: who belongs to the cluster at each moment, which view each node has, and the next phase.
//!
//! ```text
//! change(…) ─→ commit ─→ every member learns, at moments of its own ─→ all have, and the move is through ─→ commit the next
//!                 ↑                                                                                          │
//!                 └──────────────────────────────── until the layout is steady ──────────────────────────────┘
//! ```
//!
//! The world stands in for those who decide: it commits layouts one after the other and tells each node that is there,
//! as a driver does, with [`Input::RingChanged`] to every shard. A node that is down, or stands still, learns later. What
//! a node has learned is on its disk; a wiped one begins again with the layout with which it first came.
//!
//! A spare is a place of the world that is in no layout yet: it starts when it learns of one that names it. A member that
//! is in the layout no longer ends when it learns so. A member that is declared lost ends at once and is never told.

use std::sync::Arc;
use std::time::Duration;

use starling::ids::NodeId;
use starling::membership::{Change, ChangeError, Layout, LayoutError, Member, Plan};
use starling::ring::RingView;
use starling::shard::Input;
use starling::time::Timestamp;

use super::node::Damage;
use super::options::WorldOptions;
use super::{Event, World};

/// A node that is there learns of a layout within this.
const LEARNS_WITHIN: Duration = Duration::from_millis(1_500);

/// How often it is looked whether the next phase may come.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// A committed layout.
#[derive(Clone, Debug)]
pub struct Committed {
    /// When.
    pub at: Timestamp,
    /// What.
    pub ring: Arc<RingView>,
    /// When every member that it had then had taken it up.
    pub everywhere_at: Option<Timestamp>,
}

impl World {
    /// The last committed layout, with its placement.
    pub fn ring(&self) -> &Arc<RingView> {
        let last = self.layouts.last().expect("a world begins with a layout");
        &last.ring
    }

    /// All committed layouts, the first ones first.
    pub fn layouts(&self) -> &[Committed] {
        &self.layouts
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

    /// The nodes that clients know: members of the last committed layout that are not declared lost.
    pub fn doors(&self) -> &[usize] {
        &self.doors
    }

    /// Whether a node is to run: a member that is not declared lost.
    pub fn is_member(&self, node: usize) -> bool {
        self.doors.contains(&node)
    }

    /// Whether a node is to run no longer: it was declared lost, or is in the layout no more.
    pub(super) fn has_gone(&self, node: usize) -> bool {
        node < self.options.places() && !self.is_member(node)
    }

    /// Whether a node was declared lost.
    pub fn is_fenced(&self, node: usize) -> bool {
        self.ring().is_fenced(self.node(node).id)
    }

    /// The member that a node of the world would be.
    pub fn as_member(node: usize) -> Member {
        Member::new(WorldOptions::id(node), format!("n{}", node + 1), format!("node-{}:1", node + 1))
    }

    /// Begins a change of the members: the layout that follows the present one by it is committed, and each phase after the
    /// other when the one before is through.
    pub fn change(&mut self, changes: Vec<Change>, accepts_loss: bool) -> Result<(), ChangeError> {
        let plan = Plan { base: self.ring().epoch(), changes, accepts_loss };
        let next = plan.apply(self.ring())?;
        self.commit(next).map_err(ChangeError::Layout)
    }

    /// Takes the change back that is under way, if it is still moving: whether it was.
    pub fn revert(&mut self) -> bool {
        let reverted = self.ring().layout().reverted();
        reverted.is_ok_and(|layout| self.commit(layout).is_ok())
    }

    /// Makes a layout the last committed one. Every node that it concerns learns of it, at a moment of its own.
    pub fn commit(&mut self, layout: Layout) -> Result<(), LayoutError> {
        let before: Vec<usize> = self.doors.clone();
        let ring = Arc::new(RingView::new(layout)?);
        let (now, number) = (self.now, ring.epoch().number);
        self.trace.event(now, "layout", number, &ring.epoch().content.to_le_bytes());
        self.trace.line(now, || format!("layout {number} is committed: {:?}", ring.layout()));
        self.doors = self.members_of(&ring);
        self.layouts.push(Committed { at: now, ring, everywhere_at: None });
        let fenced: Vec<usize> = before.iter().copied().filter(|node| self.is_fenced(*node)).collect();
        for node in fenced {
            self.crash(node, Damage::None);
            self.node_mut(node).damaged_at = Some(now);
        }
        let mut concerned = [before, self.doors.clone()].concat();
        concerned.sort_unstable();
        concerned.dedup();
        concerned.retain(|node| !self.is_fenced(*node));
        for node in concerned {
            self.learn_within(node, LEARNS_WITHIN);
        }
        self.queue.push(self.now.after(LOOKS_EVERY), Event::LookAtMove { layout: number });
        Ok(())
    }

    pub(super) fn members_of(&self, ring: &RingView) -> Vec<usize> {
        let is_in = |node: NodeId| ring.layout().member(node).is_some() && !ring.is_fenced(node);
        (0..self.options.places()).filter(|node| is_in(WorldOptions::id(*node))).collect()
    }

    fn learn_within(&mut self, node: usize, span: Duration) {
        let after = self.node_chance.span(Duration::ZERO, span);
        self.queue.push(self.now.after(after), Event::Learn { node });
    }

    /// A node that was started on its directory may be behind.
    pub(super) fn learn_soon_if_behind(&mut self, node: usize) {
        if self.node(node).ring.epoch().number < self.ring().epoch().number {
            self.learn_within(node, LEARNS_WITHIN);
        }
    }

    /// A node learns of the last committed layout, if it is there.
    pub(super) fn on_learn(&mut self, node: usize) {
        let (now, ring) = (self.now, self.ring().clone());
        let place = self.node(node);
        if self.is_fenced(node) || place.id != WorldOptions::id(node) {
            return;
        }
        if place.paused_until.is_some_and(|until| until > now) {
            return self.learn_within(node, LEARNS_WITHIN);
        }
        let is_new = place.life == 0;
        if !is_new && (!place.is_up() || place.ring.epoch().number >= ring.epoch().number) {
            return;
        }
        let number = ring.epoch().number;
        self.trace.event(now, "learn", node as u64, &number.to_le_bytes());
        self.trace.line(now, || format!("{} learns of layout {number}", WorldOptions::id(node)));
        if is_new {
            let place = self.node_mut(node);
            (place.ring, place.first_ring) = (ring.clone(), ring);
            self.start(node);
        } else if !self.is_member(node) {
            self.crash(node, Damage::None);
        } else {
            self.node_mut(node).ring = ring.clone();
            for shard in 0..self.options.shards {
                self.answer_input(node, shard, Input::RingChanged(ring.clone()));
            }
        }
        self.note_whether_everywhere();
    }

    fn note_whether_everywhere(&mut self) {
        let number = self.ring().epoch().number;
        let have_it = self.doors.iter().all(|node| self.node(*node).ring.epoch().number == number);
        let now = self.now;
        if let Some(last) = self.layouts.last_mut().filter(|_| have_it) {
            last.everywhere_at.get_or_insert(now);
        }
    }

    /// Commits the next phase when every member has taken this one up and the move is through.
    pub(super) fn look_at_move(&mut self, layout: u64) {
        let ring = self.ring().clone();
        if ring.epoch().number != layout || ring.layout().phase.is_steady() {
            return;
        }
        self.note_whether_everywhere();
        let have_all = self.layouts.last().is_some_and(|last| last.everywhere_at.is_some());
        if have_all && self.is_move_through() {
            let next = ring.layout().next_phase().and_then(|next| next.map_or(Ok(()), |next| self.commit(next)));
            return next.unwrap_or_else(|error| panic!("the phase after {} cannot be: {error}", ring.layout().phase));
        }
        self.queue.push(self.now.after(LOOKS_EVERY), Event::LookAtMove { layout });
    }

    /// Whether every member acts by the last committed layout and says that nothing of the present phase is left to do.
    fn is_move_through(&self) -> bool {
        let number = self.ring().epoch().number;
        self.doors.iter().all(|node| {
            let process = self.node(*node).process.as_ref();
            process.is_some_and(|process| process.shards.iter().all(|slot| slot.acts_by(number)))
        })
    }
}

#[cfg(test)]
mod tests {
    use starling::membership::Phase;

    use super::*;

    fn world(spares: usize) -> World {
        World::new(WorldOptions { spares, ..WorldOptions::calm(1) }).unwrap()
    }

    fn run_until_steady(world: &mut World) {
        let give_up = world.after(Duration::from_secs(60));
        while !world.ring().layout().phase.is_steady() || world.layouts().last().unwrap().everywhere_at.is_none() {
            assert!(world.now() < give_up, "{:?}", world.ring().layout().phase);
            world.run_for(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_change_goes_through_its_phases_one_after_the_other() {
        let mut world = world(1);
        world.run_for(Duration::from_secs(2));
        assert!(!world.node(5).is_up() && world.doors() == [0, 1, 2, 3, 4]);
        let changes = vec![Change::Join(World::as_member(5)), Change::Leave(WorldOptions::id(0))];
        world.change(changes, false).unwrap();
        run_until_steady(&mut world);
        let phases: Vec<Phase> = world.layouts().iter().map(|it| it.ring.layout().phase).collect();
        assert_eq!(phases, [Phase::Steady, Phase::Moving, Phase::Switched, Phase::Closing, Phase::Steady]);
        for (one, next) in world.layouts().iter().zip(world.layouts().iter().skip(1)) {
            assert!(one.everywhere_at.unwrap() <= next.at, "a phase was committed before all had taken up the last");
        }
        world.run_for(Duration::from_secs(2));
        assert!(world.node(5).is_up() && !world.node(0).is_up(), "the spare runs, and who left does not");
        assert_eq!(world.doors(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_phase_waits_for_a_member_that_is_down_and_not_for_one_that_is_declared_lost() {
        let mut world = world(1);
        world.run_for(Duration::from_secs(2));
        world.crash(4, Damage::None);
        world.change(vec![Change::Join(World::as_member(5))], false).unwrap();
        world.run_for(Duration::from_secs(20));
        assert_eq!(world.ring().layout().phase, Phase::Moving);
        world.change(vec![Change::Fence(WorldOptions::id(4))], false).unwrap();
        run_until_steady(&mut world);
        world.start(4);
        assert!(!world.node(4).is_up(), "who was declared lost does not come back under its name");
    }
}
