//! Faults on purpose: frames to or from a peer vanish or come late, for drills.
//!
//! Only a node started with `--drills` takes a plan, only from an admin, and every plan ends by itself
//! ([`FAULTS_MAX`] at the latest): a drill whose conductor dies heals. A dropped frame is lost without a word, as the
//! network would lose it; a delayed one keeps its place. The connections underneath stay up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rand::{Rng, RngExt};
use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::{Direction, FaultPlan, LinkFault};
use tokio::time::Instant;

/// Longest time that a plan stays in force; a longer wish is cut to it.
pub const FAULTS_MAX: Duration = Duration::from_secs(600);

/// Longest delay of a frame. Unit: milliseconds.
pub const DELAY_MS_MAX: u32 = 60_000;

/// A plan that was refused; the faults before it are still in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The node does not do drills.
    #[error("this node was not started with --drills")]
    NoDrills,
    /// A peer that is not in the layout, or the node itself.
    #[error("{0} is no peer of this node")]
    NotAPeer(NodeId),
    /// A share or delay beyond what is possible.
    #[error(
        "the link to {0}: at most 1000 per mille can be dropped and {DELAY_MS_MAX} ms added; of one direction one fault"
    )]
    Impossible(NodeId),
}

/// What becomes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes its way.
    Pass,
    /// It vanishes.
    Drop,
    /// It goes after this time, behind those before it.
    Delay(Duration),
}

/// Which way a frame goes, seen from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// The faults in force on one node.
#[derive(Debug)]
pub(super) struct Faults {
    node: NodeId,
    drills: bool,
    /// Spares every frame the lock while nothing is in force.
    is_any: AtomicBool,
    state: RwLock<Option<InForce>>,
}

/// A plan as it is looked up.
#[derive(Debug, Clone)]
struct InForce {
    links: Vec<LinkFault>,
    by_link: BTreeMap<(NodeId, Way), Fault>,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    drop_per_mille: u16,
    delay: Duration,
}

impl Faults {
    /// No faults; whether any can be set is decided here for good.
    pub(super) fn new(node: NodeId, drills: bool) -> Faults {
        Faults { node, drills, is_any: AtomicBool::new(false), state: RwLock::new(None) }
    }

    /// Replaces the plan. One without links heals.
    pub(super) fn set(&self, plan: &FaultPlan, layout: &Layout, now: Instant) -> Result<(), FaultError> {
        if !self.drills {
            return Err(FaultError::NoDrills);
        }
        let in_force = InForce::new(plan, layout, self.node, now)?;
        let is_any = !in_force.by_link.is_empty();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        tracing::warn!(links = ?in_force.links, for_ms = plan.for_ms, "injected faults replaced");
        *state = is_any.then_some(in_force);
        self.is_any.store(is_any, Ordering::Release);
        Ok(())
    }

    /// What is in force, with the time that is left.
    pub(super) fn in_force(&self, now: Instant) -> FaultPlan {
        self.end_if_over(now);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            Some(in_force) => FaultPlan {
                links: in_force.links.clone(),
                for_ms: u64::try_from(in_force.until.duration_since(now).as_millis()).unwrap_or(u64::MAX),
            },
            None => FaultPlan::default(),
        }
    }

    /// Decides about one frame.
    pub(super) fn judge(&self, peer: NodeId, way: Way) -> Verdict {
        if !self.is_any.load(Ordering::Acquire) {
            return Verdict::Pass;
        }
        let now = Instant::now();
        self.end_if_over(now);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().map_or(Verdict::Pass, |in_force| in_force.verdict(peer, way, &mut rand::rng()))
    }

    /// The dead-man timer.
    fn end_if_over(&self, now: Instant) {
        let is_over = |state: &Option<InForce>| state.as_ref().is_some_and(|in_force| now >= in_force.until);
        if !is_over(&self.state.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if is_over(&state) {
            tracing::warn!("injected faults ended by their dead-man timer");
            *state = None;
            self.is_any.store(false, Ordering::Release);
        }
    }
}

impl InForce {
    fn new(plan: &FaultPlan, layout: &Layout, node: NodeId, now: Instant) -> Result<InForce, FaultError> {
        let mut by_link = BTreeMap::new();
        for link in &plan.links {
            if link.peer == node || layout.member(link.peer).is_none() {
                return Err(FaultError::NotAPeer(link.peer));
            }
            let ways: &[Way] = match link.direction {
                Direction::Inbound => &[Way::In],
                Direction::Outbound => &[Way::Out],
                Direction::Both => &[Way::In, Way::Out],
            };
            let fault =
                Fault { drop_per_mille: link.drop_per_mille, delay: Duration::from_millis(u64::from(link.delay_ms)) };
            let is_possible = link.drop_per_mille <= 1000 && link.delay_ms <= DELAY_MS_MAX;
            for way in ways {
                if !is_possible || by_link.insert((link.peer, *way), fault).is_some() {
                    return Err(FaultError::Impossible(link.peer));
                }
            }
        }
        let until = now + Duration::from_millis(plan.for_ms).min(FAULTS_MAX);
        Ok(InForce { links: plan.links.clone(), by_link, until })
    }

    fn verdict(&self, peer: NodeId, way: Way, rng: &mut impl Rng) -> Verdict {
        let Some(fault) = self.by_link.get(&(peer, way)) else { return Verdict::Pass };
        if rng.random_range(0..1000) < fault.drop_per_mille {
            return Verdict::Drop;
        }
        if fault.delay.is_zero() { Verdict::Pass } else { Verdict::Delay(fault.delay) }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::super::testing::layout;
    use super::*;

    fn link(peer: u64, direction: Direction, drop_per_mille: u16, delay_ms: u32) -> LinkFault {
        LinkFault { peer: NodeId(peer), direction, drop_per_mille, delay_ms }
    }

    fn plan(links: Vec<LinkFault>) -> FaultPlan {
        FaultPlan { links, for_ms: 1_000 }
    }

    fn in_force(links: Vec<LinkFault>) -> InForce {
        InForce::new(&plan(links), &layout(3), NodeId(1), Instant::now()).unwrap()
    }

    #[test]
    fn a_fault_meets_its_peer_and_direction_only() {
        let faults = in_force(vec![link(2, Direction::Inbound, 1000, 0), link(3, Direction::Both, 0, 250)]);
        let mut rng = SmallRng::seed_from_u64(1);
        let late = Verdict::Delay(Duration::from_millis(250));
        for (peer, way, expected) in [
            (2, Way::In, Verdict::Drop),
            (2, Way::Out, Verdict::Pass),
            (3, Way::In, late),
            (3, Way::Out, late),
            (4, Way::Out, Verdict::Pass),
        ] {
            assert_eq!(faults.verdict(NodeId(peer), way, &mut rng), expected, "n{peer} {way:?}");
        }
    }

    #[test]
    fn the_share_that_vanishes_is_the_one_that_was_asked_for() {
        let faults = in_force(vec![link(2, Direction::Outbound, 300, 0)]);
        let mut rng = SmallRng::seed_from_u64(7);
        let dropped = (0..10_000).filter(|_| faults.verdict(NodeId(2), Way::Out, &mut rng) == Verdict::Drop).count();
        assert!((2_850..3_150).contains(&dropped), "{dropped} of 10,000 at 300 per mille");
    }

    #[tokio::test(start_paused = true)]
    async fn faults_end_by_themselves_and_by_an_empty_plan() {
        let faults = Faults::new(NodeId(1), true);
        let cut = plan(vec![link(2, Direction::Both, 1000, 0)]);
        faults.set(&cut, &layout(3), Instant::now()).unwrap();
        assert_eq!(faults.in_force(Instant::now()), cut);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(faults.judge(NodeId(2), Way::Out), Verdict::Drop);
        assert_eq!(faults.in_force(Instant::now()).for_ms, 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(faults.judge(NodeId(2), Way::Out), Verdict::Pass);
        assert_eq!(faults.in_force(Instant::now()), FaultPlan::default());

        faults.set(&cut, &layout(3), Instant::now()).unwrap();
        assert_eq!(faults.judge(NodeId(2), Way::In), Verdict::Drop);
        faults.set(&FaultPlan::default(), &layout(3), Instant::now()).unwrap();
        assert_eq!(faults.judge(NodeId(2), Way::In), Verdict::Pass);
    }

    #[tokio::test(start_paused = true)]
    async fn no_plan_outlives_ten_minutes() {
        let faults = Faults::new(NodeId(1), true);
        let endless = FaultPlan { links: vec![link(2, Direction::Both, 1000, 0)], for_ms: u64::MAX };
        faults.set(&endless, &layout(3), Instant::now()).unwrap();
        assert_eq!(faults.in_force(Instant::now()).for_ms, 600_000);
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let faults = Faults::new(NodeId(1), true);
        let now = Instant::now();
        faults.set(&plan(vec![link(2, Direction::Both, 1000, 0)]), &layout(3), now).unwrap();
        for (refused, expected) in [
            (link(1, Direction::Both, 1, 0), FaultError::NotAPeer(NodeId(1))),
            (link(9, Direction::Both, 1, 0), FaultError::NotAPeer(NodeId(9))),
            (link(3, Direction::Both, 1001, 0), FaultError::Impossible(NodeId(3))),
            (link(3, Direction::Both, 0, DELAY_MS_MAX + 1), FaultError::Impossible(NodeId(3))),
        ] {
            assert_eq!(faults.set(&plan(vec![refused]), &layout(3), now), Err(expected));
        }
        let twice = vec![link(3, Direction::Both, 1, 0), link(3, Direction::Inbound, 2, 0)];
        assert_eq!(faults.set(&plan(twice), &layout(3), now), Err(FaultError::Impossible(NodeId(3))));
        assert_eq!(faults.judge(NodeId(2), Way::Out), Verdict::Drop);
        assert_eq!(faults.judge(NodeId(3), Way::Out), Verdict::Pass);
    }

    #[test]
    fn without_drills_nothing_can_be_set() {
        let faults = Faults::new(NodeId(1), false);
        assert_eq!(faults.set(&FaultPlan::default(), &layout(3), Instant::now()), Err(FaultError::NoDrills));
    }
}
