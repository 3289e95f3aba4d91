//! The counter: increments that count once, and resets that take away just what they saw.
//!
//! ```text
//! entries     actor → (event, p, n)    all that the actor ever added (p) and took (n), up to this event
//! baselines   actor → (event, p, n)    the part of it that resets have seen
//! settled     tick, sum                entries of expired actors, added up; see `settled`
//! covered     tick, full?, sum         baselines of expired actors, added up
//!
//! value        = settled + Σ entries − covered − Σ baselines          each of them p − n
//! merge(x, y)  = the larger settled and covered; per actor the record with the larger event, entries above
//!                settled.tick and baselines above covered.tick only
//! ```
//!
//! An actor's entry is cumulative, so an increment that is sent again, overtaken or merged twice counts once. What a
//! replica has seen of an actor is always a prefix of its events; so a baseline (a copy of the entry that the reset
//! saw) names exactly the increments that the reset covers. Those that it did not see survive it, and two concurrent
//! resets do not subtract twice. A baseline never travels without its entry, or the value would dip below what anyone
//! ever saw.
//!
//! Actors expire. Once it is proved that all replicas hold the same entries up to a tick, each adds them up and forgets
//! them; from then on entries of such actors are ignored, because the sum holds them. Replicas that have added up and
//! those that have not show the same value, and merge in either direction.
//!
//! The `crdts` crate's counters with `ResetRemove` bring old totals back and lose concurrent increments; a test beside
//! this file shows it. Its `PNCounter` is the oracle for everything but resets.
//!
//! Source: Shapiro et al. (2011), PN-Counter; the observed reset by baselines and the sums at stability (rules R1 to R10)
//! were checked by complete search over a model.

use super::beside::Beside;
use super::error::{DecodeError, ValueError};
use super::per_actor::{Content, PerActor, Record};
use super::settled::{Covered, Settled, Sum, Sums};
use super::sum::ExactSum;
use super::wire::{Reader, number_bytes, put_number};
use crate::causality::{Dot, Tick};
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
    /// `None` if both are nothing: most counters are young.
    sums: Option<Box<Sums>>,
}

impl Counter {
    /// Only these records.
    pub fn of(entries: PerActor<Totals>, baselines: PerActor<Totals>) -> Counter {
        Counter { entries, baselines, sums: None }
    }

    /// Entries and settled sum alone.
    pub fn without_baselines(&self) -> Counter {
        let mut counter = Counter::of(self.entries.clone(), PerActor::default());
        counter.set_sums(Sums { settled: self.settled(), covered: Covered::default() });
        counter
    }

    /// Whether it was never incremented.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.baselines.is_empty() && self.sums.is_none()
    }

    /// Both sums, if there is any.
    pub(super) fn sums(&self) -> Option<&Sums> {
        self.sums.as_deref()
    }

    /// What the entries of expired actors add up to.
    pub fn settled(&self) -> Settled {
        self.sums.as_ref().map_or_else(Settled::default, |sums| sums.settled)
    }

    /// What the baselines of expired actors add up to.
    pub fn covered(&self) -> Covered {
        self.sums.as_ref().map_or_else(Covered::default, |sums| sums.covered)
    }

    /// Replaces both sums; the records that stand in them are forgotten.
    pub(super) fn set_sums(&mut self, sums: Sums) {
        self.sums = (sums != Sums::default()).then(|| Box::new(sums));
        if !mutation::is_off(Mutation::MergeKeepsSettledEntries) {
            self.entries.forget(sums.settled.tick);
        }
        if !mutation::is_off(Mutation::BaselineNotSuperseded) {
            self.baselines.forget(sums.covered.tick);
        }
    }

    /// Takes over sums that were read; records below them are left, for the reader to refuse.
    pub(super) fn read_sums(&mut self, sums: Sums) {
        self.sums = Some(Box::new(sums));
    }

    /// The exact value, with what stands beside the row.
    pub fn sum(&self, beside: &Beside) -> ExactSum {
        let mut sum = ExactSum::default();
        if let Some(Sums { settled, covered }) = self.sums.as_deref() {
            sum.add(settled.sum.p);
            sum.subtract(settled.sum.n);
            sum.subtract(covered.sum.p);
            sum.add(covered.sum.n);
        }
        for entry in self.entries.iter() {
            sum.add(entry.content.p);
            sum.subtract(entry.content.n);
        }
        for baseline in self.baselines.iter() {
            sum.subtract(baseline.content.p);
            sum.add(baseline.content.n);
        }
        if !beside.is_empty() {
            for sessions in beside.sums_above(self.settled().tick) {
                sum.add(sessions.p);
                sum.subtract(sessions.n);
            }
            for covered in self.covered_beside(beside) {
                sum.subtract(covered.p);
                sum.add(covered.n);
            }
            for known in self.known_beside(beside) {
                sum.add(known.content.p);
                sum.subtract(known.content.n);
            }
        }
        sum
    }

    /// What the baselines beside the row add up to; [`Counter::known_beside`] stands in the row's own too.
    fn covered_beside<'a>(&self, beside: &'a Beside) -> impl Iterator<Item = &'a Sum> {
        let covered = self.covered().tick;
        beside.baselines().into_iter().flat_map(move |baselines| baselines.sums_above(covered))
    }

    /// Of the sessions that have a baseline here and beside the row, the smaller of the two.
    fn known_beside<'a>(&'a self, beside: &'a Beside) -> impl Iterator<Item = &'a Record<Totals>> {
        let covered = self.covered().tick;
        let both = move |own: &'a Record<Totals>| {
            let theirs = beside.baselines()?.get(own.actor)?;
            Some(if own.event >= theirs.event { theirs } else { own })
        };
        self.baselines.iter().filter(move |own| own.actor.expires > covered).filter_map(both)
    }

    /// Whether there is an increment that no reset has seen, whatever the increments add up to.
    pub fn is_live(&self, beside: &Beside) -> bool {
        let is_covered = |entry: &Record<Totals>| {
            self.baselines.get(entry.actor).is_some_and(|baseline| baseline.event >= entry.event)
        };
        if !self.entries.iter().all(is_covered) {
            return true;
        }
        if self.sums.is_none() && beside.is_empty() {
            return false;
        }
        // Of everything else only the sums are known. A baseline never exceeds its entry, so equal sums are all equal.
        let mut open = self.settled().sum;
        for sessions in beside.sums_above(self.settled().tick) {
            open.add(&sessions);
        }
        open.subtract(&self.covered().sum);
        for baseline in self.baselines.iter().filter(|baseline| self.entries.get(baseline.actor).is_none()) {
            open.subtract(&Sum::of(baseline));
        }
        for covered in self.covered_beside(beside) {
            open.subtract(covered);
        }
        for known in self.known_beside(beside) {
            open.add(&Sum::of(known));
        }
        open.events != 0
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
        let settled = self.settled().tick;
        assert!(settled == Tick(0) || dot.actor.expires > settled, "{dot:?} is of an actor that expired and settled");
        let part = if by < 0 { &mut totals.n } else { &mut totals.p };
        *part = part.checked_add(by.unsigned_abs().into()).ok_or(ValueError::Overflow)?;
        let entry = PerActor::of(Record { actor: dot.actor, event: dot.event, content: totals });
        self.entries.merge(&entry);
        Ok(Counter::of(entry, PerActor::default()))
    }

    /// Covers every entry, and all that settled: the value becomes zero, for whoever merges this.
    pub fn cover(&mut self) {
        self.baselines.merge(&self.entries);
        let Settled { tick, sum } = self.settled();
        if tick > Tick(0) {
            let covered = self.covered().max(Covered { tick, is_full: true, sum });
            self.set_sums(Sums { settled: self.settled(), covered });
        }
    }

    /// Takes the larger sums, and the larger record per actor. Returns whether anything changed.
    pub fn merge(&mut self, other: &Counter) -> bool {
        if mutation::is_off(Mutation::MergeTakesLargerSum) {
            let is_larger = other.sum(&Beside::NONE) > self.sum(&Beside::NONE);
            if is_larger {
                self.clone_from(other);
            }
            return is_larger;
        }
        let mut changed = false;
        if other.sums.is_some() {
            let settled = self.settled().max(other.settled());
            let covered = self.covered().max(other.covered());
            changed = settled != self.settled() || covered != self.covered();
            if changed {
                self.set_sums(Sums { settled, covered });
            }
        }
        changed |= if self.sums.is_none() || mutation::is_off(Mutation::MergeKeepsSettledEntries) {
            self.entries.merge(&other.entries)
        } else {
            self.entries.merge_above(&other.entries, self.settled().tick)
        };
        let covered = if mutation::is_off(Mutation::BaselineNotSuperseded) { Tick(0) } else { self.covered().tick };
        self.baselines.merge_above(&other.baselines, covered) || changed
    }

    /// Adds up the entries of actors that expired by `through`, and `beside`, of which the largest tick is given.
    /// Every replica must do this with the same entries. Returns whether anything changed.
    pub fn compact(&mut self, through: Tick, beside: Settled) -> bool {
        let mut settled = self.settled();
        let old = settled;
        settled.tick = settled.tick.max(beside.tick);
        settled.sum.add(&beside.sum);
        for entry in self.entries.through(through) {
            settled.tick = settled.tick.max(entry.actor.expires);
            settled.sum.add(&Sum::of(entry));
        }
        if settled == old {
            return false;
        }
        self.entries.forget(through);
        self.set_sums(Sums { settled, covered: self.covered() });
        true
    }

    /// Adds up the baselines of actors that expired by `through`; their entries must have settled. Every replica must do
    /// this with the same baselines, or be overruled by a later reset. Returns whether anything changed.
    pub fn fold_baselines(&mut self, through: Tick) -> bool {
        let mut covered = self.covered();
        let mut folded = false;
        for baseline in self.baselines.through(through) {
            covered.tick = covered.tick.max(baseline.actor.expires);
            covered.is_full = false;
            covered.sum.add(&Sum::of(baseline));
            folded = true;
        }
        if folded {
            self.baselines.forget(through);
            self.set_sums(Sums { settled: self.settled(), covered });
        }
        folded
    }

    /// Whether resets saw all that has settled: the sums add nothing.
    pub fn has_covered_sum(&self) -> bool {
        let (settled, covered) = (self.settled(), self.covered());
        covered.tick == settled.tick && covered.sum == settled.sum
    }

    /// Whether resets saw all that there ever was, and all of it has settled: a reset of the whole sum, or baselines that
    /// add up to it.
    pub fn is_fully_covered(&self) -> bool {
        self.entries.is_empty() && self.baselines.is_empty() && self.has_covered_sum()
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
