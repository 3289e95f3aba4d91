//! How fast co-owners may read and give each other rows: two token buckets, one of bytes and one of rows.
//!
//! What a page cost is taken when it is known, so a bucket may fall below nothing; the next page waits until it is there
//! again. While clients are busy both fill at a quarter of their rate. Time is the input's, so a pause is the same in every
//! run. The initiator waits as long as it must, since only it decides when the next page is asked for; the responder holds
//! an answer up by [`PAUSE_MAX`] at most, so that it is not taken for dead.
//!
//! Called by the exchange, on both sides, once per page; the building of trees and the delivery of debts have pauses of
//! their own.

use std::time::Duration;

use crate::shard::Env;
use crate::time::{Timestamp, micros};

/// The longest pause before the buckets are looked at again.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A bucket holds what flows in during this time. Unit: microseconds.
const BURST: u64 = 500_000;

/// Clients are busy while deliveries are asked to pause for so long between pages. Unit: milliseconds.
const BUSY_FROM_MS: u32 = 4;

/// The buckets of a shard.
#[derive(Debug, Default)]
pub struct Pace {
    bytes: Bucket,
    rows: Bucket,
    /// When they were filled last; `None` while they are full.
    at: Option<Timestamp>,
}

/// Unit: millionths of a token.
#[derive(Debug, Default)]
struct Bucket {
    /// What is missing to the full.
    missing: u64,
}

impl Bucket {
    /// A rate of zero is no limit.
    fn fill(&mut self, rate: u64, passed: u64) {
        let came = if rate == 0 { u64::MAX } else { rate.saturating_mul(passed) };
        self.missing = self.missing.saturating_sub(came);
    }

    /// Until there is something in it again. Unit: microseconds.
    fn wait(&self, rate: u64) -> u64 {
        let room = rate.saturating_mul(BURST);
        if rate == 0 { 0 } else { self.missing.saturating_sub(room).div_ceil(rate) }
    }
}

impl Pace {
    /// A page took so many bytes and rows.
    pub fn charge(&mut self, env: &Env<'_>, bytes: usize, rows: usize) {
        self.fill(env);
        let taken = |count: usize| (count as u64).saturating_mul(1_000_000);
        self.bytes.missing = self.bytes.missing.saturating_add(taken(bytes));
        self.rows.missing = self.rows.missing.saturating_add(taken(rows));
    }

    /// How long the next page must wait, if it must.
    pub fn wait(&mut self, env: &Env<'_>) -> Option<Duration> {
        self.fill(env);
        let (bytes, rows) = rates(env);
        let wait = self.bytes.wait(bytes).max(self.rows.wait(rows));
        (wait > 0).then(|| Duration::from_micros(wait).min(PAUSE_MAX))
    }

    fn fill(&mut self, env: &Env<'_>) {
        let now = env.now.mono;
        let passed = micros(now.since(self.at.replace(now).unwrap_or(now)));
        let (bytes, rows) = rates(env);
        self.bytes.fill(bytes, passed);
        self.rows.fill(rows, passed);
    }
}

/// Bytes and rows per second.
fn rates(env: &Env<'_>) -> (u64, u64) {
    let share = if env.delivery_pause_ms >= BUSY_FROM_MS { 4 } else { 1 };
    // A limit stays one, however small.
    let of = |rate: u64| if rate == 0 { 0 } else { (rate / share).max(1) };
    (of(env.config.repair_bytes_per_second), of(u64::from(env.config.repair_rows_per_second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_its_rate() {
        let (rate, mut bucket) = (1_000, Bucket::default());
        bucket.missing += 500 * 1_000_000;
        assert_eq!(bucket.wait(rate), 0, "half a second's worth is there");
        bucket.missing += 250 * 1_000_000;
        assert_eq!(bucket.wait(rate), 250_000);
        bucket.fill(rate, 250_000);
        assert_eq!(bucket.wait(rate), 0);
        bucket.fill(rate, 10_000_000);
        assert_eq!(bucket.missing, 0, "it does not hold more than that");
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut bucket = Bucket { missing: u64::MAX };
        assert_eq!(bucket.wait(0), 0);
        bucket.fill(0, 0);
        assert_eq!(bucket.missing, 0);
    }
}
