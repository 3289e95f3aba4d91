//! Whether the replicas became equal, how long that took, and whether the counts are exact.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Measured, OpKind, OpOutcome, figures};
use crate::plan::{NodeIndex, Plan};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Convergence {
    /// Every owner of every key was equal to its co-owners from this long after the last heal until the end.
    After(Duration),
    /// Some owners still differed when the settling time was over.
    NotConverged {
        /// Share of keys whose owners differed at the end.
        share: f64,
        /// Keys.
        keys: u32,
    },
    /// Nobody answered, so nothing can be said.
    NotMeasured,
}

/// The range in which a count must lie: what was acknowledged, plus any part of what is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Sum of the acknowledged increments.
    pub acknowledged: i128,
    /// Smallest sum of a part of the unknown ones: that of the negative.
    pub unknown_low: i128,
    /// Largest sum of a part of the unknown ones: that of the positive.
    pub unknown_high: i128,
}

/// A final count beside what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Which counter.
    pub key: String,
    /// Which owner.
    pub owner: NodeIndex,
    /// What it showed.
    pub count: Option<i128>,
    /// What is right.
    pub range: Range,
}

impl Range {
    /// Whether a count lies in it.
    pub fn contains(&self, count: i128) -> bool {
        count >= self.acknowledged + self.unknown_low && count <= self.acknowledged + self.unknown_high
    }

    fn add(&mut self, by: i64, outcome: &OpOutcome) {
        match outcome {
            OpOutcome::Ok => self.acknowledged += i128::from(by),
            OpOutcome::Refused(_) => {}
            OpOutcome::Unknown(_) => {
                self.unknown_low += i128::from(by.min(0));
                self.unknown_high += i128::from(by.max(0));
            }
        }
    }
}

impl Checked {
    /// The owner answered, and its count is possible.
    pub fn is_right(&self) -> bool {
        self.count.is_some_and(|count| self.range.contains(count))
    }

    /// How far the count lies outside of its range: below (negative) or above.
    pub fn error(&self) -> Option<i128> {
        let count = self.count?;
        let low = self.range.acknowledged + self.range.unknown_low;
        let high = self.range.acknowledged + self.range.unknown_high;
        Some((count - low).min(0) + (count - high).max(0))
    }
}

/// What each counter must show, from the outcomes that its clients were told.
pub fn ranges(measured: &Measured) -> BTreeMap<&str, Range> {
    let mut ranges: BTreeMap<&str, Range> = BTreeMap::new();
    for op in &measured.ops {
        if let OpKind::Increment(by) = op.kind {
            ranges.entry(op.key.as_str()).or_default().add(by, &op.outcome);
        }
    }
    ranges
}

/// Every final count with its range.
pub fn check_counts(measured: &Measured) -> Vec<Checked> {
    let ranges = ranges(measured);
    let check = |found: &super::FinalCount| Checked {
        key: found.key.clone(),
        owner: found.owner,
        count: found.count,
        range: ranges.get(found.key.as_str()).copied().unwrap_or_default(),
    };
    measured.final_counts.iter().map(check).collect()
}

/// When the last fault ended, from which convergence counts; the end of the load if there was none.
pub fn healed_at(plan: &Plan, measured: &Measured) -> Duration {
    figures::timeline(plan, measured).healed_at().unwrap_or(plan.duration)
}

/// Whether and when the owners became equal for good.
pub fn convergence(plan: &Plan, measured: &Measured) -> Convergence {
    let healed = healed_at(plan, measured);
    let samples: Vec<_> = measured.divergence.iter().filter(|sample| sample.compared > 0).collect();
    let Some(last) = samples.last() else { return Convergence::NotMeasured };
    if last.at < healed {
        return Convergence::NotMeasured;
    }
    if last.differing > 0 {
        let share = f64::from(last.differing) / f64::from(last.compared);
        return Convergence::NotConverged { share, keys: last.differing };
    }
    let mut since = last.at;
    for sample in samples.iter().rev().take_while(|sample| sample.at >= healed && sample.differing == 0) {
        since = sample.at;
    }
    Convergence::After(since.saturating_sub(healed))
}

/// Area under the divergence curve. Unit: key-fraction × seconds.
pub fn divergence_area(measured: &Measured) -> f64 {
    let share = |index: usize| {
        measured.divergence.get(index).map_or(0.0, |s| f64::from(s.differing) / f64::from(s.compared.max(1)))
    };
    measured
        .divergence
        .windows(2)
        .enumerate()
        .filter_map(|(index, pair)| {
            let [first, second] = pair else { return None };
            let width = second.at.saturating_sub(first.at).as_secs_f64();
            Some((share(index) + share(index + 1)) / 2.0 * width)
        })
        .sum()
}

/// Sum of the acknowledged increments of a key over time: each outcome counts from the moment it was known.
pub fn acknowledged_over_time(measured: &Measured, key: &str) -> Vec<(Duration, Range)> {
    let mut ops: Vec<_> = measured.ops.iter().filter(|op| op.key == key).collect();
    ops.sort_by_key(|op| op.end);
    let mut range = Range::default();
    let mut line = vec![(Duration::ZERO, range)];
    for op in ops {
        if let OpKind::Increment(by) = op.kind {
            range.add(by, &op.outcome);
            line.push((op.end, range));
        }
    }
    line
}
