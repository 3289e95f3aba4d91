//! The baselines of sessions beside a main row, with what they add up to: a key that thousands of sessions write, and that
//! was reset, is incremented without looking at each of them.
//!
//! Only the records stand on disk; the sums are made again when they are read. Costs a search per change, and a few words
//! per tick.

use std::collections::BTreeMap;

use super::counter::Totals;
use super::per_actor::{PerActor, Record};
use super::settled::Sum;
use crate::causality::{ActorId, Tick};

/// A baseline of each session that has one; the default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideBaselines {
    records: PerActor<Totals>,
    /// By the tick at which their sessions expire.
    sums: BTreeMap<Tick, Sum>,
}

impl SideBaselines {
    /// These records.
    pub fn of(records: PerActor<Totals>) -> SideBaselines {
        let mut sums: BTreeMap<Tick, Sum> = BTreeMap::new();
        for record in records.iter() {
            sums.entry(record.actor.expires).or_default().add(&Sum::of(record));
        }
        SideBaselines { records, sums }
    }

    /// All of them.
    pub fn records(&self) -> &PerActor<Totals> {
        &self.records
    }

    /// A session's.
    pub fn get(&self, actor: ActorId) -> Option<&Record<Totals>> {
        self.records.get(actor)
    }

    /// The sums of sessions that expire after this tick.
    pub fn sums_above(&self, tick: Tick) -> impl Iterator<Item = &Sum> {
        self.sums.range(Tick(tick.0.saturating_add(1))..).map(|(_, sum)| sum)
    }

    /// Puts a session's baseline in place of what was known of it.
    pub fn replace(&mut self, actor: ActorId, baseline: Option<Record<Totals>>) {
        if self.records.get(actor) == baseline.as_ref() {
            return;
        }
        if let Some(before) = self.records.remove(actor) {
            self.subtract(&before);
        }
        if let Some(baseline) = baseline {
            self.sums.entry(actor.expires).or_default().add(&Sum::of(&baseline));
            self.records.merge(&PerActor::of(baseline));
        }
    }

    /// Takes out those of sessions that expired by this tick.
    pub fn take_through(&mut self, tick: Tick) -> PerActor<Totals> {
        let taken = self.records.split_through(tick);
        if !taken.is_empty() {
            self.sums = self.sums.split_off(&Tick(tick.0.saturating_add(1)));
        }
        taken
    }

    fn subtract(&mut self, record: &Record<Totals>) {
        let tick = record.actor.expires;
        if let Some(sum) = self.sums.get_mut(&tick) {
            sum.subtract(&Sum::of(record));
            // Each record has an event, so a sum without events is of none.
            if sum.events == 0 {
                self.sums.remove(&tick);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::causality::{Epoch, Tenure};

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_records_whatever_was_done(
            steps in proptest::collection::vec((1..5u32, 0..3u64, 0..6u64), 1..60),
        ) {
            let mut baselines = SideBaselines::default();
            for (tick, epoch, event) in steps {
                let actor = ActorId { expires: Tick(tick), epoch: Epoch(epoch), tenure: Tenure::SESSION };
                let content = Totals { p: u128::from(event) * 10, n: u128::from(epoch) };
                match event {
                    0 => baselines.replace(actor, None),
                    5 => {
                        let taken = baselines.take_through(Tick(tick));
                        prop_assert!(taken.iter().all(|record| record.actor.expires <= Tick(tick)));
                        prop_assert!(baselines.records().iter().all(|record| record.actor.expires > Tick(tick)));
                    }
                    event => baselines.replace(actor, Some(Record { actor, event, content })),
                }
                prop_assert_eq!(&baselines, &SideBaselines::of(baselines.records().clone()));
                let above = baselines.sums_above(Tick(2)).fold(0, |events, sum| events + sum.events);
                let records = baselines.records().iter().filter(|record| record.actor.expires > Tick(2));
                prop_assert_eq!(above, records.map(|record| u128::from(record.event)).sum::<u128>());
            }
        }
    }
}
