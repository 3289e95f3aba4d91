//! What a change of the members moves: counted from two placements, before anything is decided.
//!
//! ```text
//! layout ──RingView──→ present ┬─→ Preview{next, moves}
//! plan ──apply──→ next ──outcome──→ RingView ┘
//! ```
//!
//! `starling cluster plan` shows a [`Preview`]. Two placements and a comparison: milliseconds for a few members, some
//! seconds for a thousand; never in a request. How many bytes a partition has no layout tells: shares of partitions only.

use std::collections::BTreeMap;

use super::{RingView, placement};
use crate::ids::{NodeId, PartitionId};
use crate::membership::{ChangeError, Layout, LayoutError, Plan};

/// What would become of a layout by a plan.
#[derive(Debug)]
pub struct Preview {
    /// The layout that would be committed first.
    pub next: Layout,
    /// The placement at the end of the change.
    pub outcome: RingView,
    /// What moves in between.
    pub moves: Moves,
}

/// A layout that cannot be previewed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreviewError {
    /// The layout that was told is none.
    #[error("the present layout cannot be: {0}")]
    Present(LayoutError),
    /// The plan is refused.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// The difference between two placements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moves {
    /// By partition: who comes to own it, and who owned it and does not any longer. Only those that move.
    pub partitions: BTreeMap<PartitionId, Move>,
    /// Every member that owns something before or after.
    pub members: BTreeMap<NodeId, Load>,
    /// Copies of partitions that a node takes over.
    pub replicas_moved: u64,
    /// What would move between two placements that give everybody exactly the fair share. Unit: copies of partitions, in
    /// parts of [`Moves::PARTS`].
    pub fair_parts: u64,
}

/// A partition that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Owners to come that are none yet.
    pub comes: Vec<NodeId>,
    /// Owners that are none any longer.
    pub goes: Vec<NodeId>,
}

/// How many partitions a member owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
    /// That it takes over.
    pub comes: u64,
    /// That it gives up.
    pub goes: u64,
    /// What its weight gives it after, within what zones allow. In parts of [`Moves::PARTS`].
    pub fair_parts: u64,
}

impl Preview {
    /// What the plan would make of the present layout.
    pub fn of(present: &RingView, plan: &Plan) -> Result<Preview, PreviewError> {
        let next = plan.apply(present)?;
        let outcome = next.outcome().and_then(RingView::new).map_err(ChangeError::Layout)?;
        let moves = Moves::between(present, &outcome);
        Ok(Preview { next, outcome, moves })
    }
}

impl Moves {
    /// Parts in which shares are counted, to one partition.
    pub const PARTS: u64 = placement::FAIR_PARTS;

    /// From the owners that are read now to those of another view of the same cluster.
    pub fn between(before: &RingView, after: &RingView) -> Moves {
        let (fair_before, fair_after) = (fair_shares(before), fair_shares(after));
        let share_before = |node: &NodeId| fair_before.get(node).copied().unwrap_or(0);
        let gain = |(node, share): (&NodeId, &u64)| share.saturating_sub(share_before(node));
        let mut moves = Moves {
            partitions: BTreeMap::new(),
            members: BTreeMap::new(),
            replicas_moved: 0,
            fair_parts: fair_after.iter().map(gain).sum(),
        };
        for (node, fair_parts) in &fair_after {
            moves.members.entry(*node).or_default().fair_parts = *fair_parts;
        }
        for partition in after.partitions() {
            moves.add(partition, before.readers(partition), after.readers(partition));
        }
        moves
    }

    fn add(&mut self, partition: PartitionId, before: &[NodeId], after: &[NodeId]) {
        let missing = |from: &[NodeId], others: &[NodeId]| {
            from.iter().filter(|node| !others.contains(node)).copied().collect::<Vec<NodeId>>()
        };
        let (comes, goes) = (missing(after, before), missing(before, after));
        before.iter().for_each(|node| self.load(*node).before += 1);
        after.iter().for_each(|node| self.load(*node).after += 1);
        comes.iter().for_each(|node| self.load(*node).comes += 1);
        goes.iter().for_each(|node| self.load(*node).goes += 1);
        self.replicas_moved += comes.len() as u64;
        if !comes.is_empty() || !goes.is_empty() {
            self.partitions.insert(partition, Move { comes, goes });
        }
    }

    fn load(&mut self, node: NodeId) -> &mut Load {
        self.members.entry(node).or_default()
    }

    /// How much moves, in units of what would move between exactly fair placements: 1 is as little as one can ask for;
    /// placements may be a tenth off the fair share, so a little less is possible too. `None` if nobody's share changes.
    pub fn score(&self) -> Option<f64> {
        let fair = self.fair_parts as f64 / Moves::PARTS as f64;
        (self.fair_parts > 0).then(|| self.replicas_moved as f64 / fair)
    }

    /// The heaviest load afterwards, in units of its own fair share. 1 is perfect; the placement promises 1.10, or less
    /// than one partition above the share. `None` if nobody carries anything.
    pub fn balance(&self) -> Option<f64> {
        let carriers = self.members.values().filter(|load| load.fair_parts > 0);
        carriers.map(Load::balance).max_by(f64::total_cmp)
    }
}

impl Load {
    /// Partitions owned afterwards in units of the fair share.
    pub fn balance(&self) -> f64 {
        self.after as f64 * Moves::PARTS as f64 / self.fair_parts.max(1) as f64
    }

    /// The fair share afterwards. Unit: partitions.
    pub fn fair(&self) -> f64 {
        self.fair_parts as f64 / Moves::PARTS as f64
    }
}

/// The shares of the placement that is read.
fn fair_shares(ring: &RingView) -> BTreeMap<NodeId, u64> {
    let layout = ring.layout();
    match &layout.before {
        Some(before) if layout.phase.reads_before() => placement::fair_shares(layout, &before.members),
        _ => placement::fair_shares(layout, &layout.members),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
