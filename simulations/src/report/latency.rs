//! Percentiles of latencies. Exact (nearest rank over the raw samples), so nothing is lost by merging: the samples of
//! all clients go into one set, and percentiles are never averaged.

use std::time::Duration;

use super::{Measured, Op, OpOutcome};

/// Latencies of a set of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many requests.
    pub count: usize,
    /// Half were faster.
    pub p50: Duration,
    /// 95 of 100 were faster.
    pub p95: Duration,
    /// 99 of 100 were faster.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

impl Percentiles {
    /// Of these latencies, in any order; `None` without any.
    pub fn of(mut latencies: Vec<Duration>) -> Option<Percentiles> {
        latencies.sort_unstable();
        Some(Percentiles {
            count: latencies.len(),
            p50: nearest_rank(&latencies, 50)?,
            p95: nearest_rank(&latencies, 95)?,
            p99: nearest_rank(&latencies, 99)?,
            max: *latencies.last()?,
        })
    }

    /// Whether a percentile rests on enough samples to be taken at its word: 100 / (1 − q) of them.
    pub fn is_firm(&self, percent: u32) -> bool {
        self.count * usize::try_from(100_u32.saturating_sub(percent)).unwrap_or(0) >= 100 * 100
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
fn nearest_rank(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Percentiles of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Middle of the span.
    pub at: Duration,
    /// Of the requests that were served and were meant to start in it.
    pub served: Percentiles,
}

/// Latencies of the served requests by the time of their intended start; spans without any are left out.
pub fn over_time(measured: &Measured, width: Duration, end: Duration) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    let mut from = Duration::ZERO;
    while from < end && !width.is_zero() {
        let inside = |op: &&Op| op.start >= from && op.start < from + width;
        if let Some(served) = served(measured.ops.iter().filter(inside)) {
            buckets.push(Bucket { at: from + width / 2, served });
        }
        from += width;
    }
    buckets
}

/// Of the requests that were served.
pub fn served<'a>(ops: impl Iterator<Item = &'a Op>) -> Option<Percentiles> {
    Percentiles::of(ops.filter(|op| op.outcome == OpOutcome::Ok).map(Op::latency).collect())
}

/// How long it took to be told of a refusal.
pub fn refusals<'a>(ops: impl Iterator<Item = &'a Op>) -> Option<Percentiles> {
    Percentiles::of(ops.filter(|op| matches!(op.outcome, OpOutcome::Refused(_))).map(Op::latency).collect())
}

/// Of all requests; one that was not served enters with the deadline, so that failing fast does not look fast.
pub fn with_failures<'a>(ops: impl Iterator<Item = &'a Op>, deadline: Duration) -> Option<Percentiles> {
    let latency = |op: &Op| if op.outcome == OpOutcome::Ok { op.latency() } else { op.latency().max(deadline) };
    Percentiles::of(ops.map(latency).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        let found = Percentiles::of((1..=100).rev().map(ms).collect()).unwrap();
        assert_eq!((found.p50, found.p95, found.p99, found.max), (ms(50), ms(95), ms(99), ms(100)));
        let one = Percentiles::of(vec![ms(7)]).unwrap();
        assert_eq!((one.p50, one.p99, one.max, one.count), (ms(7), ms(7), ms(7), 1));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn a_percentile_is_firm_only_with_enough_samples_beyond_it() {
        let of = |count| Percentiles { count, ..Percentiles::default() };
        assert!(of(10_000).is_firm(99) && !of(9_999).is_firm(99));
        assert!(of(2_000).is_firm(95) && !of(1_999).is_firm(95));
    }

    #[test]
    fn a_request_that_failed_fast_enters_at_the_deadline() {
        let op = |outcome| Op {
            node: 0,
            kind: super::super::OpKind::Read,
            key: "k".into(),
            start: ms(0),
            end: ms(1),
            outcome,
        };
        let ops = [op(OpOutcome::Ok), op(OpOutcome::Refused("no quorum".into()))];
        assert_eq!(with_failures(ops.iter(), ms(500)).unwrap().max, ms(500));
        assert_eq!(served(ops.iter()).unwrap().max, ms(1));
        assert_eq!(refusals(ops.iter()).unwrap().p99, ms(1));
    }
}
