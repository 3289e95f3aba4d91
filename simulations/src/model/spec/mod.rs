//! The specification's values: a counter, a dotted structure and a register, reduced to what the rules need.
//!
//! [`counter`] and [`dotted`] are two of the three types; this file has the register and the row that holds all of them;
//! [`digest`] is what owners compare.

mod counter;
mod digest;
mod dotted;

use std::collections::BTreeMap;

use super::machine::rules::{Rule, Rules};
use super::machine::values::{Actor, Bits, Closed, Mint, SessionEvent, Settled, Shown, Stamp, Values};
use counter::{Counter, Entry, Sum, is_old};
use dotted::Dotted;

/// Last writer wins; a tombstone has no value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Register {
    /// Its place in the total order of writes.
    pub stamp: Stamp,
    /// The ghost's number as the value, or none: deleted.
    pub value: Option<u8>,
}

/// All that a key holds.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Row {
    /// Exactly-once counter.
    pub counter: Counter,
    /// Siblings, or the presence of an element.
    pub dotted: Dotted,
    /// Register.
    pub register: Option<Register>,
}

impl Row {
    /// Whether a merge would change what of ticks ≤ `frozen` may come back to life (R7). Sums may be taken at any time.
    fn touches_row(&self, other: &Row, closed: Closed, settled: Settled, rules: Rules) -> bool {
        let frozen = closed.through;
        // Entries that a sum covers are dropped, so what covers one of them would come without it.
        let summed = if rules.has(Rule::CompactedCovers) { self.counter.settled.tick } else { 0 };
        let (mine, theirs) = (&self.counter, &other.counter);
        let w = mine.settled.tick.max(theirs.settled.tick).max(settled.w);
        let v = mine.covered.tick.max(theirs.covered.tick);
        let is_old = |actor: &Actor, above: u8| actor.tick <= frozen && actor.tick > above;
        theirs.entries.iter().any(|(actor, entry)| {
            is_old(actor, w) && entry.event > mine.entries.get(actor).map_or(0, |entry| entry.event)
        }) || theirs.baselines.iter().any(|(actor, entry)| {
            actor.tick <= closed.covers.max(summed)
                && actor.tick > v
                && entry.event > mine.baselines.get(actor).map_or(0, |entry| entry.event)
        }) || rules.has(Rule::FreezeCovers)
            && theirs.touched.is_some_and(|stamp| stamp.2.tick <= frozen)
            && (theirs.touched > mine.touched
                || (theirs.covered.tick, theirs.covered.is_full) > (mine.covered.tick, mine.covered.is_full))
            || self.dotted.touches(&other.dotted, frozen, settled.w, rules)
            || other.register.is_some_and(|register| {
                register.stamp.2.tick <= frozen && self.register.is_none_or(|mine| register.stamp > mine.stamp)
            })
    }

    /// What of an incoming row an established owner does not take: what it has settled and forgotten.
    fn ignore_settled(&self, other: &mut Row, settled: Settled, rules: Rules) {
        other.counter.entries.retain(|actor, _| actor.tick > settled.w);
        if rules.has(Rule::IgnoreRetiredSums) {
            let mine = self.counter.settled.tick;
            let is_retired = |tick: u8| tick > mine && tick <= settled.w;
            if is_retired(other.counter.settled.tick) {
                other.counter.settled = Sum::default();
            }
            if is_retired(other.counter.covered.tick) {
                other.counter.covered = Sum::default();
            }
            other.counter.baselines.retain(|actor, _| !is_retired(actor.tick));
        }
        if rules.has(Rule::IgnoreDeadDots) {
            other.dotted.live.retain(|dot, _| dot.0.tick > settled.w || self.dotted.live.contains_key(dot));
        }
    }
}

impl Values for Row {
    type Part = Row;

    fn request(&mut self, event: SessionEvent) -> Vec<Row> {
        let SessionEvent { actor, event, p, n } = event;
        let mut delta = Row::default();
        delta.counter.entries.insert(actor, Entry { event, p, n });
        self.counter.merge(&delta.counter, Rules::ALL);
        vec![delta]
    }

    fn increment(&mut self, mint: Mint, ghost: Bits) -> Vec<Row> {
        let entry = self.counter.entries.entry(mint.actor).or_default();
        *entry = Entry { event: mint.event, p: entry.p + ghost, n: entry.n };
        let mut delta = Row::default();
        delta.counter.entries.insert(mint.actor, *entry);
        vec![delta]
    }

    fn reset(&mut self, mint: Mint, other: Option<&Row>, frozen: u8, settled: Settled, rules: Rules) -> Vec<Row> {
        if let Some(other) = other {
            let mut shown = Row { counter: other.counter.clone(), ..Row::default() };
            if rules.has(Rule::ObservedFrozen) {
                let mine = &self.counter.entries;
                let may = |actor: &Actor, event: u8| {
                    actor.tick > frozen || mine.get(actor).is_some_and(|entry| entry.event >= event)
                };
                shown.counter.entries.retain(|actor, entry| may(actor, entry.event));
                shown.counter.baselines.retain(|actor, entry| may(actor, entry.event));
                shown.counter.settled = Sum::default();
                shown.counter.covered = Sum::default();
                shown.counter.touched = None;
            }
            self.merge(&[shown], settled, true, rules);
        }
        self.counter.reset(mint.stamp(), rules);
        let mut delta = Row { counter: self.counter.clone(), ..Row::default() };
        if !rules.has(Rule::ResetWhole) {
            delta.counter.entries.clear();
            delta.counter.settled = Sum::default();
        }
        vec![delta]
    }

    fn write_dots(&mut self, mint: Mint, adds: Option<u8>, removes: bool) -> Vec<Row> {
        if removes {
            self.dotted.live.clear();
        }
        if let Some(ghost) = adds {
            self.dotted.live.insert((mint.actor, mint.event), ghost);
        }
        self.dotted.seen.insert(mint.actor, mint.event);
        vec![Row { dotted: self.dotted.clone(), ..Row::default() }]
    }

    fn set(&mut self, mint: Mint, value: Option<u8>) -> Vec<Row> {
        let register = Some(Register { stamp: mint.stamp(), value });
        self.register = register;
        vec![Row { register, ..Row::default() }]
    }

    fn latest(&self) -> Option<(u8, u8)> {
        let stamp = self.counter.touched.max(self.register.map(|register| register.stamp));
        stamp.map(|(wall, logical, _)| (wall, logical))
    }

    fn has_dots(part: &Row) -> bool {
        part.dotted != Dotted::default()
    }

    fn parts(&self) -> Vec<Row> {
        if *self == Row::default() { vec![] } else { vec![self.clone()] }
    }

    fn merge(&mut self, parts: &[Row], settled: Settled, is_established: bool, rules: Rules) {
        for part in parts {
            let mut incoming = part.clone();
            if is_established {
                self.ignore_settled(&mut incoming, settled, rules);
            }
            self.counter.merge(&incoming.counter, rules);
            self.dotted.merge(&incoming.dotted);
            self.register = self.register.max(incoming.register);
        }
        self.normalise(settled);
    }

    fn touches(&self, parts: &[Row], closed: Closed, settled: Settled, rules: Rules) -> bool {
        parts.iter().any(|part| self.touches_row(part, closed, settled, rules))
    }

    fn leave_forgotten(mut parts: Vec<Row>, v: u8, lease: u8) -> Vec<Row> {
        for row in &mut parts {
            if row.register.is_some_and(|register| is_old(register.stamp, v, lease)) {
                row.register = None;
            }
            let counter = &mut row.counter;
            if counter.touched.is_none_or(|stamp| is_old(stamp, v, lease)) {
                counter.settled = if counter.settled.tick <= v { Sum::default() } else { counter.settled };
                counter.covered = if counter.covered.tick <= v { Sum::default() } else { counter.covered };
                counter.baselines.retain(|actor, _| actor.tick > v);
            }
        }
        parts
    }

    fn give_up(&mut self, theirs: &Row, v: u8) {
        let counter = &mut self.counter;
        counter.entries.retain(|actor, _| actor.tick > v);
        counter.baselines.retain(|actor, _| actor.tick > v);
        for sum in [&mut counter.settled, &mut counter.covered] {
            *sum = if sum.tick <= v { Sum::default() } else { *sum };
        }
        let dotted = &mut self.dotted;
        dotted.live.retain(|dot, _| dot.0.tick > v || theirs.dotted.live.contains_key(dot));
        let is_old = dotted.live.is_empty() && dotted.floor <= v && dotted.seen.keys().all(|actor| actor.tick <= v);
        if is_old && theirs.dotted == Dotted::default() {
            *dotted = Dotted::default();
        }
        if theirs.register.is_none() {
            self.register = self.register.filter(|register| register.stamp.2.tick > v);
        }
    }

    fn keep_younger(&mut self, than: u8) {
        let counter = &mut self.counter;
        *counter = Counter {
            entries: counter.entries.split_off(&Actor::after(than)),
            baselines: counter.baselines.split_off(&Actor::after(than)),
            touched: counter.touched.filter(|stamp| stamp.2.tick > than),
            ..Counter::default()
        };
        let dotted = &mut self.dotted;
        *dotted = Dotted {
            live: dotted.live.split_off(&(Actor::after(than), 0)),
            floor: 0,
            seen: dotted.seen.split_off(&Actor::after(than)),
        };
        self.register = self.register.filter(|register| register.stamp.2.tick > than);
    }

    fn normalise(&mut self, settled: Settled) {
        self.counter.compact(settled.w);
        self.dotted.compact(settled.w);
        self.counter.fold(settled.v);
    }

    fn retire(&mut self, settled: Settled, lease: u8, rules: Rules) -> bool {
        let before = self.clone();
        let through = if rules.has(Rule::RetireFolded) { settled.v } else { settled.w };
        if rules.retires_counters && self.counter.is_spent(through, lease, rules) {
            self.counter = Counter::default();
        }
        if self.dotted.is_spent() && self.dotted.floor <= settled.w {
            self.dotted = Dotted::default();
        }
        let lease = if rules.has(Rule::RetireWaitsLease) { lease } else { 0 };
        if self.register.is_some_and(|it| it.value.is_none() && is_old(it.stamp, through, lease)) {
            self.register = None;
        }
        *self != before
    }

    fn digest(&self, through: u8, rules: Rules) -> u128 {
        self.digest_of(through, rules).hash()
    }

    fn baseline_digest(&self, through: u8, lease: u8, rules: Rules) -> u128 {
        self.baseline_digest_of(through, lease, rules).hash()
    }

    fn has_old(&self, through: u8, rules: Rules) -> bool {
        let counter = &self.counter;
        let is_old = |actor: &Actor, above: u8| actor.tick <= through && actor.tick > above;
        counter.entries.keys().any(|actor| is_old(actor, counter.settled.tick))
            || counter.baselines.keys().any(|actor| is_old(actor, counter.covered.tick))
            || rules.has(Rule::HintedCovers) && counter.touched.is_some_and(|stamp| stamp.2.tick <= through)
            || self.dotted.live.keys().any(|dot| is_old(&dot.0, self.dotted.floor))
            || rules.has(Rule::HintedRemovals) && self.dotted.seen.keys().any(|actor| is_old(actor, self.dotted.floor))
            || self.register.is_some_and(|it| it.stamp.2.tick <= through)
    }

    fn shown(&self) -> Shown {
        let of = |entries: &BTreeMap<Actor, Entry>| entries.values().fold(0, |all, entry| all | entry.p | entry.n);
        Shown {
            value: self.counter.value(),
            counted: self.counter.settled.p | self.counter.settled.n | of(&self.counter.entries),
            reset: self.counter.covered.p | self.counter.covered.n | of(&self.counter.baselines),
            live: self.dotted.live.values().fold(0, |all, ghost| all | 1 << ghost),
            register: self.register.map(|register| {
                let (wall, logical, actor) = register.stamp;
                let place = [wall, logical, actor.tick, actor.kind, actor.number, actor.epoch];
                (place.iter().fold(0, |place, part| place << 8 | u128::from(*part)), register.value)
            }),
        }
    }
}
