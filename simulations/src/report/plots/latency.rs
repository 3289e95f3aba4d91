//! Latency of the served requests over time: p50, p95, p99, by orders of magnitude.

use std::time::Duration;

use super::bands;
use crate::plan::{Configuration, Plan};
use crate::report::svg::{Axis, Frame};
use crate::report::{Measured, latency};

/// Width of a span over which percentiles are taken.
const SPAN: Duration = Duration::from_secs(1);

/// The picture. The axis ends at the deadline: nothing is served later.
pub fn plot(plan: &Plan, run: &Configuration, measured: &Measured, end: Duration) -> String {
    let high = run.quorums.deadline.as_secs_f64() * 1000.0;
    let axis = Axis { low: 0.1, high: high * 1.3, is_log: true, label: "milliseconds" };
    let mut frame = Frame::over_time(end.as_secs_f64(), &axis, &bands(plan, measured, end));
    let buckets = latency::over_time(measured, SPAN, plan.duration);
    for class in ["p99", "p95", "p50"] {
        let value = |served: &latency::Percentiles| match class {
            "p99" => served.p99,
            "p95" => served.p95,
            _ => served.p50,
        };
        let point = |b: &latency::Bucket| (b.at.as_secs_f64(), value(&b.served).as_secs_f64() * 1000.0);
        frame.line(&buckets.iter().map(point).collect::<Vec<_>>(), class);
    }
    frame.finish(&format!("{}: latency of served requests over time", run.title))
}
