//! Divergence over time: the share of keys whose owners differ.

use std::time::Duration;

use super::{bands, thinned};
use crate::plan::{Configuration, Plan};
use crate::report::Measured;
use crate::report::convergence::{self, Convergence};
use crate::report::svg::{Axis, Frame};
use crate::report::verdict;

/// The picture, with a mark where the owners became equal for good.
pub fn plot(plan: &Plan, run: &Configuration, measured: &Measured, end: Duration) -> String {
    let axis = Axis { low: 0.0, high: 100.0, is_log: false, label: "% of keys" };
    let mut frame = Frame::over_time(end.as_secs_f64(), &axis, &bands(plan, measured, end));
    let samples: Vec<(f64, f64)> = measured
        .divergence
        .iter()
        .filter(|sample| sample.compared > 0)
        .map(|s| (s.at.as_secs_f64(), 100.0 * f64::from(s.differing) / f64::from(s.compared)))
        .collect();
    let samples = thinned(&samples, 400);
    let area: Vec<_> = samples.iter().map(|(at, share)| (*at, 0.0, *share)).collect();
    frame.area(&area, "diverged");
    frame.line(&samples, "diverged");
    let found = convergence::convergence(plan, measured);
    if let Convergence::After(time) = found {
        let at = convergence::healed_at(plan, measured) + time;
        frame.mark(at.as_secs_f64(), "equal");
    }
    frame.finish(&format!("{}: share of keys whose owners differ; {}", run.title, verdict::in_words(found)))
}
