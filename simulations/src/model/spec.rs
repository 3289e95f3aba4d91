//! The specification's values: a counter, a dotted structure and a register, reduced to what the rules need.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::machine::rules::{Rule, Rules};
use super::machine::values::{Actor, Bits, Closed, Mint, SessionEvent, Settled, Shown, Stamp, Values};

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

/// Which write: its actor and event.
pub type Dot = (Actor, u8);

/// Observed-remove state: a dot lives if both sides have it, or one has it and the other has not seen it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Dotted {
    /// The writes that nothing has removed.
    pub live: BTreeMap<Dot, u8>,
    /// Every dot of a tick ≤ this has been seen.
    pub floor: u8,
    /// The newest dot seen of each actor of a later tick.
    pub seen: BTreeMap<Actor, u8>,
}

impl Dotted {
    /// Whether this side knows of the dot.
    pub fn has_seen(&self, dot: &Dot) -> bool {
        dot.0.tick <= self.floor || self.seen.get(&dot.0).is_some_and(|event| *event >= dot.1)
    }

    /// Join.
    pub fn merge(&mut self, other: &Dotted) {
        let mut live = BTreeMap::new();
        for (dot, ghost) in &self.live {
            if other.live.contains_key(dot) || !other.has_seen(dot) {
                live.insert(*dot, *ghost);
            }
        }
        for (dot, ghost) in &other.live {
            if self.live.contains_key(dot) || !self.has_seen(dot) {
                live.insert(*dot, *ghost);
            }
        }
        self.live = live;
        self.floor = self.floor.max(other.floor);
        for (actor, event) in &other.seen {
            let mine = self.seen.entry(*actor).or_default();
            *mine = (*mine).max(*event);
        }
        let floor = self.floor;
        self.seen.retain(|actor, _| actor.tick > floor);
    }

    /// R7 for dots: old adds must not come back, and old dots that are only seen must not come alone. With a fresh dot they
    /// may: whoever knows the fresh dot knows what it removed.
    fn touches(&self, other: &Dotted, frozen: u8, w: u8, rules: Rules) -> bool {
        let is_old = |actor: &Actor| actor.tick <= frozen && actor.tick > w;
        let is_new = |dot: &Dot| !self.live.contains_key(dot) && !self.has_seen(dot);
        if other.live.keys().any(|dot| is_old(&dot.0) && is_new(dot)) {
            return true;
        }
        let has_fresh = other.seen.iter().any(|(actor, event)| actor.tick > frozen && is_new(&(*actor, *event)));
        let grows = other.seen.iter().any(|(actor, event)| is_old(actor) && is_new(&(*actor, *event)));
        grows && rules.has(Rule::OldSeenAlone) && (!has_fresh || !rules.has(Rule::SeenWithFresh))
    }

    /// Actors of settled ticks leave the context; the floor stands for them.
    pub fn compact(&mut self, through: u8) {
        if let Some((actor, _)) = self.seen.range(..Actor::after(through)).next_back() {
            self.floor = self.floor.max(actor.tick);
        }
        self.seen.retain(|actor, _| actor.tick > through);
    }

    /// Whether only a settled context is left.
    pub fn is_spent(&self) -> bool {
        self.live.is_empty() && self.seen.is_empty()
    }
}

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

    /// Everything of settled ticks takes its settled form.
    fn normalise_(&mut self, settled: Settled) {
        self.counter.compact(settled.w);
        self.dotted.compact(settled.w);
        self.counter.fold(settled.v);
    }

    /// Forgets what nothing can bring back; true if it forgot something.
    fn retire_(&mut self, settled: Settled, lease: u8, rules: Rules) -> bool {
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

    /// R8: what of ticks ≤ `through` is to be settled; nothing that a later write can take away.
    fn digest_(&self, through: u8, rules: Rules) -> Digest {
        let old = ..Actor::after(through);
        let mut digest = Digest {
            sums: vec![self.counter.settled],
            events: self.counter.entries.range(old).map(|(actor, entry)| (*actor, entry.event)).collect(),
            seen: self.dotted.seen.range(old).map(|(actor, event)| (*actor, *event)).collect(),
            tombstone: None,
        };
        if !rules.has(Rule::DigestSeen) {
            digest.seen.clear();
        }
        digest
    }

    /// R10: covers, baselines of ticks ≤ `through`, and the tombstones that may go.
    fn baseline_digest_(&self, through: u8, lease: u8, rules: Rules) -> Digest {
        let old = ..Actor::after(through);
        Digest {
            sums: vec![self.counter.covered],
            events: self.counter.baselines.range(old).map(|(actor, entry)| (*actor, entry.event)).collect(),
            seen: vec![],
            tombstone: self
                .register
                .filter(|it| {
                    rules.has(Rule::DigestTombstones) && it.value.is_none() && is_old(it.stamp, through, lease)
                })
                .map(|it| it.stamp),
        }
    }

    /// Whether a fallback that holds this row still owes something of ticks ≤ `through`.
    fn has_old_(&self, through: u8, rules: Rules) -> bool {
        let counter = &self.counter;
        let is_old = |actor: &Actor, above: u8| actor.tick <= through && actor.tick > above;
        counter.entries.keys().any(|actor| is_old(actor, counter.settled.tick))
            || counter.baselines.keys().any(|actor| is_old(actor, counter.covered.tick))
            || rules.has(Rule::HintedCovers) && counter.touched.is_some_and(|stamp| stamp.2.tick <= through)
            || self.dotted.live.keys().any(|dot| is_old(&dot.0, self.dotted.floor))
            || rules.has(Rule::HintedRemovals) && self.dotted.seen.keys().any(|actor| is_old(actor, self.dotted.floor))
            || self.register.is_some_and(|it| it.stamp.2.tick <= through)
    }
}

/// What owners compare: a hash in the store, the things themselves here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Digest {
    sums: Vec<Sum>,
    events: Vec<(Actor, u8)>,
    seen: Vec<(Actor, u8)>,
    tombstone: Option<Stamp>,
}

impl Digest {
    fn hash(&self) -> u128 {
        let of = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            Hash::hash(self, &mut hasher);
            hasher.finish()
        };
        u128::from(of(1)) << 64 | u128::from(of(2))
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
        self.normalise_(settled);
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
        self.normalise_(settled);
    }

    fn retire(&mut self, settled: Settled, lease: u8, rules: Rules) -> bool {
        self.retire_(settled, lease, rules)
    }

    fn digest(&self, through: u8, rules: Rules) -> u128 {
        self.digest_(through, rules).hash()
    }

    fn baseline_digest(&self, through: u8, lease: u8, rules: Rules) -> u128 {
        self.baseline_digest_(through, lease, rules).hash()
    }

    fn has_old(&self, through: u8, rules: Rules) -> bool {
        self.has_old_(through, rules)
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
