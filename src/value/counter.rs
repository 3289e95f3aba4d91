//! The counter: increments that count once, and resets that take away just what they saw.
//!
//! ```text
//! entries     actor → (event, p, n)    all that the actor ever added (p) and took (n), up to this event
//! baselines   actor → (event, p, n)    the part of it that resets have seen
//!
//! value        = Σ (p - n) of entries − Σ (p - n) of baselines
//! merge(x, y)  = per actor the record with the larger event, entries and baselines each for themselves
//! ```
//!
//! An actor's entry is cumulative, so an increment that is sent again, overtaken or merged twice counts once. What a
//! replica has seen of an actor is always a prefix of its events; so a baseline (a copy of the entry that the reset
//! saw) names exactly the increments that the reset covers. Those that it did not see survive it, and two concurrent
//! resets do not subtract twice. A baseline never travels without its entry, or the value would dip below what anyone
//! ever saw.
//!
//! The `crdts` crate's counters with `ResetRemove` bring old totals back and lose concurrent increments; a test beside
//! this file shows it. Its `PNCounter` is the oracle for everything but resets.
//!
//! Source: Shapiro et al. (2011), PN-Counter; the observed reset by baselines was checked against an event-set model.

use super::error::{DecodeError, ValueError};
use super::per_actor::{Content, PerActor, Record};
use super::sum::ExactSum;
use super::wire::{Reader, number_bytes, put_number};
use crate::causality::Dot;
use crate::mutation::{self, Mutation};

/// What an actor did up to an event: cumulative, each part only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Totals {
    /// Sum of the increments.
    pub p: u128,
    /// Sum of the decrements.
    pub n: u128,
}

/// A counter with observed resets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pub(super) entries: PerActor<Totals>,
    pub(super) baselines: PerActor<Totals>,
}

impl Counter {
    /// The exact value.
    pub fn sum(&self) -> ExactSum {
        let mut sum = ExactSum::default();
        for entry in self.entries.iter() {
            sum.add(entry.content.p);
            sum.subtract(entry.content.n);
        }
        for baseline in self.baselines.iter() {
            sum.subtract(baseline.content.p);
            sum.add(baseline.content.n);
        }
        sum
    }

    /// Whether there is an increment that no reset has seen, whatever the increments add up to.
    pub fn is_live(&self) -> bool {
        self.entries.iter().any(|entry| {
            let covered = self.baselines.get(entry.actor).map_or(0, |baseline| baseline.event);
            entry.event > covered
        })
    }

    /// Adds under a fresh dot. Returns the delta: the actor's new entry, alone.
    /// Overflow (of a total that no cluster reaches) leaves the counter as it was.
    ///
    /// # Panics
    /// If the dot is not fresh: every peer would drop the increment as one that it has seen.
    pub fn increment(&mut self, dot: Dot, by: i64) -> Result<Counter, ValueError> {
        let (event, mut totals) =
            self.entries.get(dot.actor).map_or_else(Default::default, |entry| (entry.event, entry.content));
        assert!(dot.event > event, "a dot is minted once: {dot:?} after event {event} of its actor");
        let part = if by < 0 { &mut totals.n } else { &mut totals.p };
        *part = part.checked_add(by.unsigned_abs().into()).ok_or(ValueError::Overflow)?;
        let entry = PerActor::of(Record { actor: dot.actor, event: dot.event, content: totals });
        self.entries.merge(&entry);
        Ok(Counter { entries: entry, baselines: PerActor::default() })
    }

    /// Covers every entry: the value becomes zero, for whoever merges this.
    pub fn cover(&mut self) {
        self.baselines.merge(&self.entries);
    }

    /// Takes the larger record per actor. Returns whether anything changed.
    pub fn merge(&mut self, other: &Counter) -> bool {
        if mutation::is_off(Mutation::MergeTakesLargerSum) {
            let is_larger = other.sum() > self.sum();
            if is_larger {
                self.clone_from(other);
            }
            return is_larger;
        }
        let grew = self.entries.merge(&other.entries);
        self.baselines.merge(&other.baselines) || grew
    }
}

/// Encoding: `p │ n`.
impl Content for Totals {
    fn encoded_bytes(&self) -> usize {
        number_bytes(self.p) + number_bytes(self.n)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_number(self.p, out);
        put_number(self.n, out);
    }

    fn decode(bytes: &[u8]) -> Result<Totals, DecodeError> {
        let mut reader = Reader::new(bytes);
        let totals = Totals { p: reader.number()?, n: reader.number()? };
        if !reader.is_at_end() {
            return Err(DecodeError::Malformed("bytes behind the totals of an actor"));
        }
        Ok(totals)
    }
}

/// `validate_merge` never refuses: merge is defined for all states.
impl crdts::CvRDT for Counter {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Counter::merge(self, &other);
    }
}

#[cfg(test)]
#[path = "counter_tests.rs"]
mod tests;
