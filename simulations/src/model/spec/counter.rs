//! The specification's counter: entries per actor, their settled sum, and what resets cover of both.

use std::collections::BTreeMap;

use crate::model::machine::rules::{Rule, Rules};
use crate::model::machine::values::{Actor, Bits, Stamp};

/// Cumulative totals of one actor; the larger event wins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Entry {
    /// Its newest event.
    pub event: u8,
    /// Sum of what was added.
    pub p: Bits,
    /// Sum of what was taken away.
    pub n: Bits,
}

/// A sum of everything up to a tick, or what covers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Sum {
    /// The largest tick that was really summed in this row.
    pub tick: u8,
    /// Of a cover: exactly the settled sum of that tick (and larger than one that is not).
    pub is_full: bool,
    /// Added.
    pub p: Bits,
    /// Taken away.
    pub n: Bits,
}

impl Sum {
    fn add(&mut self, actor: &Actor, entry: &Entry) {
        self.tick = self.tick.max(actor.tick);
        self.p += entry.p;
        self.n += entry.n;
    }

    fn totals(&self) -> (Bits, Bits) {
        (self.p, self.n)
    }
}

/// value = settled + Σ entries − covered − Σ baselines.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Counter {
    /// Sum of the entries of settled ticks.
    pub settled: Sum,
    /// Live entries, of ticks above `settled.tick`.
    pub entries: BTreeMap<Actor, Entry>,
    /// What resets covered of settled ticks.
    pub covered: Sum,
    /// What resets covered of each actor, of ticks above `covered.tick`.
    pub baselines: BTreeMap<Actor, Entry>,
    /// The largest stamp of a covering operation.
    pub touched: Option<Stamp>,
}

impl Counter {
    /// What a read shows.
    pub fn value(&self) -> i128 {
        let of = |x: &Entry| i128::from(x.p) - i128::from(x.n);
        let sum = |x: &Sum| i128::from(x.p) - i128::from(x.n);
        sum(&self.settled) + self.entries.values().map(of).sum::<i128>()
            - sum(&self.covered)
            - self.baselines.values().map(of).sum::<i128>()
    }

    /// Whether there is anything that a reset would cover.
    pub fn is_live(&self) -> bool {
        self.settled.totals() != self.covered.totals() || !self.entries.is_empty()
    }

    /// Join (R2).
    pub fn merge(&mut self, other: &Counter, rules: Rules) {
        let key = |x: &Sum| (x.tick, x.p, x.n);
        if key(&other.settled) > key(&self.settled) {
            self.settled = other.settled;
        }
        for (actor, entry) in &other.entries {
            let known = if rules.has(Rule::DropSettled) { self.settled.tick } else { 0 };
            if actor.tick > known && entry.event > self.entries.get(actor).map_or(0, |mine| mine.event) {
                self.entries.insert(*actor, *entry);
            }
        }
        if rules.has(Rule::DropSettled) {
            let tick = self.settled.tick;
            self.entries.retain(|actor, _| actor.tick > tick);
        }
        let key = |x: &Sum| (x.tick, x.is_full, x.p, x.n);
        if key(&other.covered) > key(&self.covered) {
            self.covered = other.covered;
        }
        for (actor, entry) in &other.baselines {
            if actor.tick > self.covered.tick && entry.event > self.baselines.get(actor).map_or(0, |mine| mine.event) {
                self.baselines.insert(*actor, *entry);
            }
        }
        self.supersede(rules);
        self.touched = self.touched.max(other.touched);
    }

    fn supersede(&mut self, rules: Rules) {
        if rules.has(Rule::FullSupersedes) {
            let tick = self.covered.tick;
            self.baselines.retain(|actor, _| actor.tick > tick);
        }
    }

    /// Covers exactly what this counter holds (R4).
    pub fn reset(&mut self, stamp: Stamp, rules: Rules) {
        for (actor, entry) in &self.entries {
            if entry.event > self.baselines.get(actor).map_or(0, |mine| mine.event) {
                self.baselines.insert(*actor, *entry);
            }
        }
        if self.settled.tick > 0 && (self.settled.tick, true) > (self.covered.tick, self.covered.is_full) {
            self.covered = Sum { is_full: true, ..self.settled };
        }
        self.supersede(rules);
        self.touched = self.touched.max(Some(stamp));
    }

    /// R9.
    pub fn compact(&mut self, through: u8) {
        for (actor, entry) in self.entries.range(..Actor::after(through)) {
            self.settled.add(actor, entry);
        }
        self.entries.retain(|actor, _| actor.tick > through);
    }

    /// R10.
    pub fn fold(&mut self, through: u8) {
        for (actor, entry) in self.baselines.range(..Actor::after(through)) {
            self.covered.add(actor, entry);
            self.covered.is_full = false;
        }
        self.baselines.retain(|actor, _| actor.tick > through);
    }

    /// Whether everything is covered, and by covers that are older than anything that can still arrive.
    pub fn is_spent(&self, through: u8, lease: u8, rules: Rules) -> bool {
        self.settled.totals() == self.covered.totals()
            && self.settled.tick <= through
            && self.entries.is_empty()
            && self.baselines.is_empty()
            && (!rules.has(Rule::RetireOldCovers) || self.touched.is_none_or(|stamp| is_old(stamp, through, lease)))
    }
}

/// Whether every write with a smaller stamp has an actor of a tick ≤ `through`.
pub fn is_old(stamp: Stamp, through: u8, lease: u8) -> bool {
    stamp.2.tick <= through && through >= stamp.0 + lease
}
