//! Outcome rates over time: served, late, refused, unknown, stacked.

use std::time::Duration;

use super::bands;
use crate::plan::{Configuration, Plan};
use crate::report::svg::{Axis, Frame};
use crate::report::{Measured, figures};

/// Width of a span over which requests are counted.
const SPAN: Duration = Duration::from_millis(500);

/// Largest rate of a run. Unit: requests per second.
pub fn peak(plan: &Plan, run: &Configuration, measured: &Measured) -> f64 {
    let buckets = figures::rates(measured, SPAN, plan.duration, run.quorums.deadline);
    buckets.iter().map(|bucket| bucket.tally.offered as f64 / SPAN.as_secs_f64()).fold(0.0, f64::max)
}

/// The picture.
pub fn plot(plan: &Plan, run: &Configuration, measured: &Measured, end: Duration, peak: f64) -> String {
    let axis = Axis { low: 0.0, high: peak * 1.05, is_log: false, label: "requests per second" };
    let mut frame = Frame::over_time(end.as_secs_f64(), &axis, &bands(plan, measured, end));
    let buckets = figures::rates(measured, SPAN, plan.duration, run.quorums.deadline);
    let mut below = vec![0.0; buckets.len()];
    for class in ["served", "late", "refused", "unknown"] {
        let count = |tally: &figures::Tally| match class {
            "served" => tally.served,
            "late" => tally.late,
            "refused" => tally.refused,
            _ => tally.unknown,
        };
        let mut points = Vec::new();
        for (bucket, below) in buckets.iter().zip(below.iter_mut()) {
            let upper = *below + count(&bucket.tally) as f64 / SPAN.as_secs_f64();
            let (from, to) = (bucket.from.as_secs_f64(), (bucket.from + SPAN).as_secs_f64());
            points.extend([(from, *below, upper), (to, *below, upper)]);
            *below = upper;
        }
        frame.area(&points, class);
    }
    let all = figures::Tally::of(measured.ops.iter(), run.quorums.deadline);
    frame.finish(&format!(
        "{}: {} requests, {} served, {} late, {} refused, {} unknown",
        run.title, all.offered, all.served, all.late, all.refused, all.unknown
    ))
}
