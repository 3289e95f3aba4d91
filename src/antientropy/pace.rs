//! How fast co-owners may read and give each other rows: two token buckets, one of bytes and one of rows.
//!
//! What a page cost is taken when it is known, so a bucket may fall below nothing; the next page waits until it is there
//! again. While clients are busy both fill at a quarter of their rate. Time is the input's, so a pause is the same in every
//! run. Who has lost its data, and who gives it the others', has buckets of its own ([`Haste::TakingOver`]): until it has all,
//! one owner fewer holds what is written, so it waits only while clients are busy. The initiator waits as long as it must, since only it decides when the next page is asked for; the responder holds
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

/// How much an exchange matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Owners compare what they have.
    Comparing,
    /// An owner that has nothing yet takes over what the others have.
    TakingOver,
}

/// The buckets of a shard.
#[derive(Debug, Default)]
pub struct Pace {
    comparing: Buckets,
    taking_over: Buckets,
}

#[derive(Debug, Default)]
struct Buckets {
    bytes: Bucket,
    rows: Bucket,
    /// When they were filled last; `None`: not yet, they are full.
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
    pub fn charge(&mut self, env: &Env<'_>, haste: Haste, bytes: usize, rows: usize) {
        let buckets = self.filled(env, haste);
        let taken = |count: usize| (count as u64).saturating_mul(1_000_000);
        buckets.bytes.missing = buckets.bytes.missing.saturating_add(taken(bytes));
        buckets.rows.missing = buckets.rows.missing.saturating_add(taken(rows));
    }

    /// How long the next page must wait, if it must.
    pub fn wait(&mut self, env: &Env<'_>, haste: Haste) -> Option<Duration> {
        let buckets = self.filled(env, haste);
        let (bytes, rows) = rates(env, haste);
        let wait = buckets.bytes.wait(bytes).max(buckets.rows.wait(rows));
        (wait > 0).then(|| Duration::from_micros(wait).min(PAUSE_MAX))
    }

    fn filled(&mut self, env: &Env<'_>, haste: Haste) -> &mut Buckets {
        let buckets = match haste {
            Haste::Comparing => &mut self.comparing,
            Haste::TakingOver => &mut self.taking_over,
        };
        let now = env.now.mono;
        let passed = micros(now.since(buckets.at.replace(now).unwrap_or(now)));
        let (bytes, rows) = rates(env, haste);
        buckets.bytes.fill(bytes, passed);
        buckets.rows.fill(rows, passed);
        buckets
    }
}

/// Bytes and rows per second.
fn rates(env: &Env<'_>, haste: Haste) -> (u64, u64) {
    let is_busy = env.delivery_pause_ms >= BUSY_FROM_MS;
    let of = |rate: u64| match (haste, is_busy) {
        (Haste::TakingOver, false) => 0,
        (Haste::TakingOver, true) | (Haste::Comparing, false) => rate,
        // A limit stays one, however small.
        (Haste::Comparing, true) if rate > 0 => (rate / 4).max(1),
        (Haste::Comparing, true) => 0,
    };
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
