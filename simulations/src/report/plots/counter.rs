//! The counter plot: one counter's true total beside what every node shows by itself.

use std::time::Duration;

use super::{bands, thinned};
use crate::plan::{Configuration, Plan};
use crate::report::Measured;
use crate::report::convergence;
use crate::report::svg::{Axis, Frame};

/// Largest total of the watched key in a run.
pub fn peak(measured: &Measured) -> f64 {
    let truth = convergence::acknowledged_over_time(measured, &measured.watched_key);
    truth.last().map_or(1.0, |(_, range)| (range.acknowledged + range.unknown_high) as f64)
}

/// The picture: the truth as a band from acknowledged to acknowledged plus unknown, owners as full lines, stand-ins
/// dashed.
pub fn plot(plan: &Plan, run: &Configuration, measured: &Measured, end: Duration, peak: f64) -> String {
    let axis = Axis { low: 0.0, high: peak.max(1.0) * 1.08, is_log: false, label: "count" };
    let mut frame = Frame::over_time(end.as_secs_f64(), &axis, &bands(plan, measured, end));
    let mut truth = convergence::acknowledged_over_time(measured, &measured.watched_key);
    if let Some((_, last)) = truth.last().copied() {
        truth.push((end, last));
    }
    let truth = thinned(&truth, 400);
    let band: Vec<_> = truth
        .iter()
        .map(|(at, r)| {
            let (low, high) = (r.acknowledged + r.unknown_low, r.acknowledged + r.unknown_high);
            (at.as_secs_f64(), low as f64, high as f64)
        })
        .collect();
    let line: Vec<_> = truth.iter().map(|(at, r)| (at.as_secs_f64(), r.acknowledged as f64)).collect();
    frame.area(&band, "possible");
    frame.line(&line, "truth");
    for node in 0..plan.cluster.nodes.len() {
        let view = |sample: &crate::report::ViewSample| {
            let count = sample.counts.get(node).copied().flatten()?;
            Some((sample.at.as_secs_f64(), count as f64))
        };
        let points: Vec<_> = measured.views.iter().filter_map(view).collect();
        let kind = if measured.watched_owners.contains(&node) { "owner" } else { "stand-in" };
        frame.line(&thinned(&points, 400), &format!("node{} {kind}", node % 8));
    }
    frame.finish(&format!("{}: the counter {} on every node beside the true total", run.title, measured.watched_key))
}
