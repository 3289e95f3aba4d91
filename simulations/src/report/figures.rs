//! Counts and rates of a run: who was served, when, and on which side of a split.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Measured, Op, OpOutcome};
use crate::plan::{Event, NodeIndex, OpClass, Phase, Plan, Timeline};

/// What came of a set of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub offered: u64,
    /// Served within the deadline.
    pub served: u64,
    /// Served, but later.
    pub late: u64,
    /// Certainly not applied.
    pub refused: u64,
    /// Nobody knows.
    pub unknown: u64,
}

/// One side of a split while it lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its nodes.
    pub nodes: Vec<NodeIndex>,
    /// When the split began.
    pub from: Duration,
    /// And ended.
    pub to: Duration,
    /// Increments and puts of clients attached to it.
    pub writes: Tally,
    /// Their reads.
    pub reads: Tally,
}

/// Requests of a short span of time, by outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateBucket {
    /// Start of the span.
    pub from: Duration,
    /// What came of the requests that were meant to start in it.
    pub tally: Tally,
}

impl Tally {
    /// Of these requests.
    pub fn of<'a>(ops: impl Iterator<Item = &'a Op>, deadline: Duration) -> Tally {
        let mut tally = Tally::default();
        for op in ops {
            tally.offered += 1;
            match &op.outcome {
                OpOutcome::Ok if op.is_served(deadline) => tally.served += 1,
                OpOutcome::Ok => tally.late += 1,
                OpOutcome::Refused(_) => tally.refused += 1,
                OpOutcome::Unknown(_) => tally.unknown += 1,
            }
        }
        tally
    }

    /// Served within the deadline / offered; `None` if nothing was offered.
    pub fn availability(&self) -> Option<f64> {
        (self.offered > 0).then(|| self.served as f64 / self.offered as f64)
    }

    /// Both together.
    pub fn plus(self, other: Tally) -> Tally {
        Tally {
            offered: self.offered + other.offered,
            served: self.served + other.served,
            late: self.late + other.late,
            refused: self.refused + other.refused,
            unknown: self.unknown + other.unknown,
        }
    }
}

impl Side {
    /// The requests of this class.
    pub fn tally(&self, of: OpClass) -> Tally {
        match of {
            OpClass::Writes => self.writes,
            OpClass::Reads => self.reads,
            OpClass::All => self.writes.plus(self.reads),
        }
    }
}

/// The plan's timeline with the times at which the faults really came.
pub fn timeline(plan: &Plan, measured: &Measured) -> Timeline {
    let mut events: Vec<Event> = plan.timeline.events().to_vec();
    for (index, at) in &measured.events {
        if let Some(event) = events.get_mut(*index) {
            event.at = *at;
        }
    }
    Timeline::new(plan.cluster.nodes.len(), events)
}

/// Phases of the run under load.
pub fn phases(plan: &Plan, measured: &Measured) -> Vec<Phase> {
    timeline(plan, measured).phases(plan.duration)
}

/// Every side of every split under load, in order of time.
pub fn sides(plan: &Plan, measured: &Measured, deadline: Duration) -> Vec<Side> {
    let mut sides = Vec::new();
    for phase in phases(plan, measured).into_iter().filter(|phase| phase.sides.len() > 1) {
        for nodes in phase.sides {
            let here = |op: &&Op| op.start >= phase.from && op.start < phase.to && nodes.contains(&op.node);
            let writes = Tally::of(measured.ops.iter().filter(here).filter(|op| op.is_write()), deadline);
            let reads = Tally::of(measured.ops.iter().filter(here).filter(|op| !op.is_write()), deadline);
            sides.push(Side { nodes, from: phase.from, to: phase.to, writes, reads });
        }
    }
    sides
}

/// Outcomes over time, by intended start.
pub fn rates(measured: &Measured, width: Duration, end: Duration, deadline: Duration) -> Vec<RateBucket> {
    let mut buckets = Vec::new();
    let mut from = Duration::ZERO;
    while from < end && !width.is_zero() {
        let inside = |op: &&Op| op.start >= from && op.start < from + width;
        buckets.push(RateBucket { from, tally: Tally::of(measured.ops.iter().filter(inside), deadline) });
        from += width;
    }
    buckets
}

/// Reasons of refusals and unknown outcomes with their counts, most frequent first.
pub fn reasons(measured: &Measured) -> Vec<(&'static str, &str, u64)> {
    let mut counts: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
    for op in &measured.ops {
        match &op.outcome {
            OpOutcome::Ok => {}
            OpOutcome::Refused(reason) => *counts.entry(("refused", reason)).or_default() += 1,
            OpOutcome::Unknown(reason) => *counts.entry(("unknown", reason)).or_default() += 1,
        }
    }
    let mut list: Vec<_> = counts.into_iter().map(|((outcome, reason), count)| (outcome, reason, count)).collect();
    list.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    list
}
