//! What was measured: latencies of the calls that succeeded, outcomes of all.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use starling::message::client::Outcome;
use starling_client::Error;

/// Largest latency that is told apart. Unit: microseconds. Longer ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;

/// Different error texts that are kept; the rest is counted as one.
const TEXTS_MAX: usize = 16;

/// Calls of one class: reads or writes.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Latencies of successful calls. Unit: microseconds; three digits.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) ok: u64,
    pub(crate) not_applied: u64,
    pub(crate) unknown: u64,
    /// How often each error was met.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            latencies: Histogram::new_with_max(LATENCY_US_MAX, 3).expect("the bounds and three digits are valid"),
            ok: 0,
            not_applied: 0,
            unknown: 0,
            errors: BTreeMap::new(),
        }
    }

    /// Counts a call that ended.
    pub(crate) fn record(&mut self, latency: Duration, error: Option<&Error>) {
        match error {
            None => {
                self.ok += 1;
                let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(us.max(1));
            }
            Some(error) => {
                match error.outcome() {
                    Outcome::NotApplied => self.not_applied += 1,
                    Outcome::Unknown => self.unknown += 1,
                }
                self.count(error.to_string(), 1);
            }
        }
    }

    /// Adds what another one counted.
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.latencies.add(&other.latencies).expect("all histograms have the same bounds");
        self.ok += other.ok;
        self.not_applied += other.not_applied;
        self.unknown += other.unknown;
        for (text, count) in &other.errors {
            self.count(text.clone(), *count);
        }
    }

    /// Calls that ended, in whatever way.
    pub(crate) fn ended(&self) -> u64 {
        self.ok + self.not_applied + self.unknown
    }

    fn count(&mut self, text: String, times: u64) {
        let text =
            if self.errors.len() < TEXTS_MAX || self.errors.contains_key(&text) { text } else { "others".into() };
        *self.errors.entry(text).or_default() += times;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_tallies_count_what_both_counted() {
        let (mut all, mut one) = (Tally::new(), Tally::new());
        one.record(Duration::from_millis(2), None);
        one.record(Duration::ZERO, Some(&Error::NotSent { cause: "x".into() }));
        one.record(Duration::ZERO, Some(&Error::Unknown { node: "a".into(), cause: "y".into() }));
        all.merge(&one);
        all.merge(&one);
        assert_eq!((all.ok, all.not_applied, all.unknown, all.ended()), (2, 2, 2, 6));
        assert_eq!(all.errors.len(), 2);
        assert!((1_990..=2_010).contains(&all.latencies.value_at_quantile(0.5)));
    }

    #[test]
    fn error_texts_are_bounded() {
        let mut tally = Tally::new();
        for number in 0..100 {
            tally.record(Duration::ZERO, Some(&Error::NotSent { cause: number.to_string() }));
        }
        assert_eq!(tally.errors.len(), TEXTS_MAX + 1);
        assert_eq!(tally.errors.values().sum::<u64>(), 100);
    }
}
