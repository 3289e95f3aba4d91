//! The plots of the page, one per file. Each takes a run and gives one SVG picture; runs that are compared share their
//! axes, so that heights can be compared too.

pub mod availability;
pub mod counter;
pub mod divergence;
pub mod latency;
pub mod rates;

use std::time::Duration;

use super::svg::Band;
use super::{Measured, figures};
use crate::plan::Plan;

/// Every span of a run in which something was wrong.
pub fn bands(plan: &Plan, measured: &Measured, end: Duration) -> Vec<Band> {
    let phases = figures::timeline(plan, measured).phases(end);
    let faulty = phases.into_iter().filter(|phase| phase.is_faulty);
    faulty
        .map(|phase| {
            let sides: Vec<String> = phase.sides.iter().map(|side| plan.names(side)).collect();
            let label = match (sides.len(), phase.down.is_empty()) {
                (1, true) => "slow or one-way link".to_owned(),
                (1, false) => format!("{} down", plan.names(&phase.down)),
                (_, true) => sides.join(" | "),
                (_, false) => format!("{} ({} down)", sides.join(" | "), plan.names(&phase.down)),
            };
            Band { from: phase.from.as_secs_f64(), to: phase.to.as_secs_f64(), label }
        })
        .collect()
}

/// At most `max` of the items, evenly spread, the last one included: a plot needs no more points than pixels.
pub fn thinned<T: Copy>(items: &[T], max: usize) -> Vec<T> {
    if items.len() <= max || max < 2 {
        return items.to_vec();
    }
    (0..max).filter_map(|i| items.get(i * (items.len() - 1) / (max - 1)).copied()).collect()
}

/// The time of the last sample of a run, or the end of its load.
pub fn end_of(plan: &Plan, measured: &Measured) -> Duration {
    let last = measured.divergence.last().map_or(Duration::ZERO, |sample| sample.at);
    last.max(plan.quiet_from())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_first_and_the_last() {
        let items: Vec<u32> = (0..1000).collect();
        let few = thinned(&items, 11);
        assert_eq!((few.len(), few[0], few[10]), (11, 0, 999));
        assert_eq!(thinned(&[1, 2, 3], 11), [1, 2, 3]);
    }
}
