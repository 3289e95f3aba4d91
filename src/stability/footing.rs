//! What a turn must know of stability while it changes rows: whose directories are known, which ticks are unsettled,
//! and which partitions are being looked through.
//!
//! ```text
//! every change of a row ──→ Ticks: the actor ticks of its partition that are not settled yet
//!                       └─→ Watch: did it change what a survey has counted, or may have? then its report is void
//! ```
//!
//! In memory only: after a restart nothing is known, and everything is asked and surveyed again. Costs one look into a
//! small set per change; two copies and digests of the row where a report is out. They are digests of what a survey would
//! see, the row without what may be forgotten: a write that keeps something from being forgotten changes a report too, or it
//! would differ for ever from that of an owner that looked later, with rows that are equal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::causality::Tick;
use crate::config::ShardConfig;
use crate::ids::{Incarnation, NodeId, OpId, PartitionId};
use crate::replica::StoredRow;

/// Distinct unsettled ticks of a partition that are remembered; beyond it the largest are found again by a survey.
const TICKS_MAX: usize = 4096;

/// The parts of stability that a turn carries.
#[derive(Debug, Default)]
pub struct Footing {
    incarnations: BTreeMap<NodeId, Incarnation>,
    ticks: BTreeMap<PartitionId, Ticks>,
    watches: BTreeMap<PartitionId, Watch>,
}

/// The unsettled ticks of a partition.
#[derive(Debug, Default)]
struct Ticks {
    seen: BTreeSet<Tick>,
    /// `seen` holds every one of them up to its largest.
    is_complete: bool,
}

/// What a survey counts, or a report rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The survey.
    pub op: OpId,
    /// Entries up to here; `None` once they have changed, or no longer matter.
    pub entries: Option<Tick>,
    /// Baselines up to here; `None` once they have changed, or no longer matter.
    pub baselines: Option<Tick>,
    /// What is forgotten already.
    pub folded: Tick,
    /// Length of a tick.
    pub tick: Duration,
    /// Length of a lease, in ticks.
    pub lease_ticks: u32,
}

/// What a watched row held before a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    entries: Option<u128>,
    baselines: Option<u128>,
}

impl Footing {
    /// A node's directory may be another one by now.
    pub fn doubt(&mut self, node: NodeId) {
        self.incarnations.remove(&node);
    }

    /// The directory of a node, as its answer to a round of this shard told it.
    pub fn incarnation_of(&self, node: NodeId) -> Option<Incarnation> {
        self.incarnations.get(&node).copied()
    }

    /// A node's directory. True if another one was known before.
    pub fn learn(&mut self, node: NodeId, incarnation: Incarnation) -> bool {
        self.incarnations.insert(node, incarnation).is_some_and(|before| before != incarnation)
    }

    /// An actor of this tick stands in a row of the partition.
    pub fn note(&mut self, partition: PartitionId, tick: Tick) {
        let ticks = self.ticks.entry(partition).or_default();
        if ticks.seen.insert(tick) && ticks.seen.len() > TICKS_MAX {
            ticks.seen.pop_last();
        }
    }

    /// The node holds nothing of the partition any more.
    pub fn forget(&mut self, partition: PartitionId) {
        self.ticks.remove(&partition);
        self.watches.remove(&partition);
    }

    /// A survey has noted every tick of the partition.
    pub fn note_all(&mut self, partition: PartitionId) {
        self.ticks.entry(partition).or_default().is_complete = true;
    }

    /// Ticks up to this one are settled.
    pub fn settle(&mut self, partition: PartitionId, through: Tick) {
        let ticks = self.ticks.entry(partition).or_default();
        let was_full = ticks.seen.len() >= TICKS_MAX;
        ticks.seen = ticks.seen.split_off(&Tick(through.0.saturating_add(1)));
        ticks.is_complete &= !was_full;
    }

    /// The smallest tick that may be unsettled, of a partition that is compacted so far.
    pub fn oldest(&self, partition: PartitionId, compacted: Tick) -> Option<Tick> {
        let next = Tick(compacted.0.saturating_add(1));
        match self.ticks.get(&partition) {
            Some(ticks) if ticks.is_complete => ticks.seen.range(next..).next().copied(),
            Some(_) | None => Some(next),
        }
    }

    /// A survey begins: from now on changes are noticed.
    pub fn watch(&mut self, partition: PartitionId, watch: Watch) {
        self.watches.insert(partition, watch);
    }

    /// Nothing rests on the partition's rows any more.
    pub fn unwatch(&mut self, partition: PartitionId) {
        self.watches.remove(&partition);
    }

    /// The entries that were counted may change: they were compacted.
    pub fn unwatch_entries(&mut self, partition: PartitionId) {
        if let Some(watch) = self.watches.get_mut(&partition) {
            watch.entries = None;
        }
    }

    /// What is watched of a partition.
    pub fn watch_of(&self, partition: PartitionId) -> Option<Watch> {
        self.watches.get(&partition).copied()
    }

    /// What a row holds of what is watched, before it changes; `None` if nothing is.
    pub fn before(&self, partition: PartitionId, row: Option<&StoredRow>) -> Option<Held> {
        self.watches.get(&partition).map(|watch| watch.held_in(row))
    }

    /// The row has changed.
    pub fn after(&mut self, partition: PartitionId, before: Option<Held>, row: Option<&StoredRow>) {
        let Some(watch) = self.watches.get_mut(&partition) else { return };
        let (before, after) = (before.unwrap_or_default(), watch.held_in(row));
        if before.entries != after.entries {
            watch.entries = None;
        }
        if before.baselines != after.baselines {
            watch.baselines = None;
        }
    }
}

impl Watch {
    /// A survey that begins now.
    pub fn new(op: OpId, entries: Tick, baselines: Tick, folded: Tick, config: &ShardConfig) -> Watch {
        let (tick, lease_ticks) = (config.tick, config.actor_lease_ticks);
        Watch { op, entries: Some(entries), baselines: Some(baselines), folded, tick, lease_ticks }
    }

    fn held_in(&self, stored: Option<&StoredRow>) -> Held {
        let Some(StoredRow { row, header }) = stored else { return Held::default() };
        let mut row = row.clone();
        row.retire(self.folded, self.tick, self.lease_ticks, &header.beside);
        let baselines = |through| row.baseline_digest(through, self.tick, self.lease_ticks);
        Held {
            entries: self.entries.and_then(|through| row.digest(through)),
            baselines: self.baselines.and_then(baselines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{ActorId, Dot, Epoch, Tenure};
    use crate::time::Hlc;
    use crate::value::Beside;

    const HERE: PartitionId = PartitionId(3);

    fn dot(expires: u32, event: u64) -> Dot {
        Dot { actor: ActorId { expires: Tick(expires), epoch: Epoch(1), tenure: Tenure(0) }, event }
    }

    fn at(wall: u64) -> Hlc {
        Hlc { wall, logical: 0 }
    }

    fn increment(stored: &mut StoredRow, expires: u32, event: u64) {
        stored.row.increment(dot(expires, event), at(event), 1, &Beside::NONE).unwrap();
    }

    fn watch(entries: u32, baselines: u32, folded: u32) -> Watch {
        let config = ShardConfig { actor_lease_ticks: 1, ..ShardConfig::default() };
        Watch::new(OpId(1), Tick(entries), Tick(baselines), Tick(folded), &config)
    }

    #[test]
    fn a_change_of_counted_ticks_voids_a_report_and_a_later_one_does_not() {
        let mut footing = Footing::default();
        let mut row = StoredRow::default();
        increment(&mut row, 5, 1);
        footing.watch(HERE, watch(5, 4, 0));
        let before = footing.before(HERE, Some(&row));
        increment(&mut row, 6, 1);
        footing.after(HERE, before, Some(&row));
        assert_eq!(footing.watch_of(HERE).unwrap().entries, Some(Tick(5)));
        let before = footing.before(HERE, Some(&row));
        increment(&mut row, 5, 2);
        footing.after(HERE, before, Some(&row));
        let watch = footing.watch_of(HERE).unwrap();
        assert_eq!((watch.entries, watch.baselines), (None, Some(Tick(4))));
    }

    #[test]
    fn a_row_that_appears_voids_too() {
        let mut footing = Footing::default();
        footing.watch(HERE, watch(5, 4, 0));
        let before = footing.before(HERE, None);
        let mut row = StoredRow::default();
        increment(&mut row, 5, 1);
        footing.after(HERE, before, Some(&row));
        assert_eq!(footing.watch_of(HERE).unwrap().entries, None);
    }

    #[test]
    fn a_write_that_keeps_a_removal_from_being_forgotten_voids_too() {
        let mut footing = Footing::default();
        let mut spent = StoredRow::default();
        increment(&mut spent, 3, 1);
        let seen = spent.row.clone();
        spent.row.reset(dot(3, 2), at(2), &seen);
        spent.row.compact(Tick(3));
        spent.row.fold_baselines(Tick(3));
        footing.watch(HERE, watch(9, 8, 8));
        let before = footing.before(HERE, Some(&spent));
        assert_eq!(before, Some(Held::default()), "a survey sees nothing of it");
        increment(&mut spent, 20, 1);
        footing.after(HERE, before, Some(&spent));
        let watch = footing.watch_of(HERE).unwrap();
        assert_eq!((watch.entries, watch.baselines), (None, None), "a survey sees its sums now");
    }

    #[test]
    fn the_oldest_tick_is_anything_until_a_survey_has_noted_all() {
        let mut footing = Footing::default();
        footing.note(HERE, Tick(9));
        assert_eq!(footing.oldest(HERE, Tick(3)), Some(Tick(4)));
        footing.note_all(HERE);
        assert_eq!(footing.oldest(HERE, Tick(3)), Some(Tick(9)));
        footing.note(HERE, Tick(7));
        assert_eq!(footing.oldest(HERE, Tick(3)), Some(Tick(7)));
        footing.settle(HERE, Tick(9));
        assert_eq!(footing.oldest(HERE, Tick(9)), None);
    }

    #[test]
    fn ticks_beyond_the_bound_are_found_again_by_a_survey() {
        let mut footing = Footing::default();
        footing.note_all(HERE);
        for tick in 1..=TICKS_MAX as u32 + 5 {
            footing.note(HERE, Tick(tick));
        }
        footing.settle(HERE, Tick(TICKS_MAX as u32));
        assert_eq!(footing.oldest(HERE, Tick(TICKS_MAX as u32)), Some(Tick(TICKS_MAX as u32 + 1)));
    }
}
