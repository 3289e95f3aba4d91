//! Forgetting by proof: what a row does once all that may change it up to a tick is known to be known everywhere.
//!
//! ```text
//! compact          entries of expired actors become one sum               all owners have equal digests
//! fold_baselines   baselines of expired actors become one sum             … and later equal baseline digests
//! retire           what only remembers a removal goes                     … and every write that it shadows has expired
//! touches          would a message change what is frozen? Then it is refused whole
//! ignore_settled   what an exchange brings of ticks that are settled here is dropped
//! ```
//!
//! The proof is `stability`'s; here is what it allows. Nothing here looks at a clock. Digests hold only what fresh writes
//! leave alone (entries, contexts, tombstones), or two busy replicas would never report the same.
//!
//! Source: rules R2 and R7 to R10 of the counters that count exactly once.

use std::time::Duration;

use super::Row;
use super::counter::{Counter, Totals};
use super::per_actor::{PerActor, Record};
use super::register::Stamp;
use super::settled::Settled;
use crate::causality::Tick;
use crate::time::WallTime;

impl Row {
    /// Adds up the entries of actors that expired by `through`. Only at stability, and only for a row beside which no
    /// session's row stands: for others see [`super::Beside::settle`]. Never changes the value. Returns whether the row
    /// changed.
    pub fn compact(&mut self, through: Tick) -> bool {
        self.settle(through, Settled::default(), PerActor::default())
    }

    /// Compacts, and takes in what sessions beside the row did.
    pub(super) fn settle(&mut self, through: Tick, sessions: Settled, baselines: PerActor<Totals>) -> bool {
        let counter = &mut self.string.counter;
        let settled = counter.compact(through, sessions);
        let covered = counter.covered().tick;
        counter.baselines.merge_above(&baselines, covered) || settled
    }

    /// Adds up the baselines of actors that expired by `through`, which is at most the tick that was compacted. Returns
    /// whether the row changed.
    pub fn fold_baselines(&mut self, through: Tick) -> bool {
        self.string.counter.fold_baselines(through)
    }

    /// Drops what only remembers a removal that everybody knows: a deleted register, a counter that resets have seen
    /// whole. `through` is the tick up to which baselines were folded. A tombstone goes if its actor has expired and so
    /// has every actor that may have written below its stamp. Returns whether the row changed; one that is empty now is to
    /// be deleted.
    pub fn retire(&mut self, through: Tick, tick: Duration, lease_ticks: u32) -> bool {
        let has_expired = |stamp: &Stamp| {
            let shadowed = Tick::at(WallTime(stamp.hlc.wall), tick).0.saturating_add(lease_ticks.saturating_mul(2));
            stamp.actor.expires <= through && Tick(shadowed) <= through
        };
        let mut changed = false;
        let string = &mut self.string;
        if string.register.tombstone().is_some_and(has_expired) {
            string.register = Default::default();
            changed = true;
        }
        if string.counter.settled().tick <= through && string.counter.is_fully_covered() && !string.counter.is_empty() {
            string.counter = Counter::default();
            changed = true;
        }
        let touched = Tick::at(WallTime(string.touched.wall), tick).0.saturating_add(lease_ticks.saturating_mul(2));
        if string.is_untouched_but_for_its_stamp() && string.touched != Default::default() && Tick(touched) <= through {
            string.touched = Default::default();
            changed = true;
        }
        changed
    }

    /// Of an incoming row, drops what is settled here: entries up to `compacted`, baselines up to `folded`, and
    /// tombstones that `ours` has retired. Sums stay: they are always welcome.
    pub fn ignore_settled(&mut self, ours: &Row, compacted: Tick, folded: Tick) {
        let string = &mut self.string;
        string.counter.entries.forget(compacted);
        string.counter.baselines.forget(folded);
        let is_retired = string.register.tombstone().is_some_and(|stamp| stamp.actor.expires <= compacted)
            && ours.string.register.is_unwritten();
        if is_retired {
            string.register = Default::default();
        }
        if string.is_untouched_but_for_its_stamp() {
            string.touched = Default::default();
        }
    }

    /// Whether a merge of `incoming` would change what is frozen: anything of ticks up to `frozen`, except by a sum. A sum
    /// of ticks up to `compacted` that is not here counts too: it was retired.
    pub fn touches(&self, incoming: &Row, frozen: Tick, compacted: Tick) -> bool {
        let (ours, theirs) = (&self.string, &incoming.string);
        let is_news = |known: &PerActor<Totals>, floor: Tick, record: &Record<Totals>| {
            record.actor.expires > floor && known.get(record.actor).is_none_or(|known| known.event < record.event)
        };
        let (settled, covered) = (ours.counter.settled().tick, ours.counter.covered().tick);
        let their_sum = theirs.counter.settled().tick;
        theirs.counter.entries.through(frozen).iter().any(|entry| is_news(&ours.counter.entries, settled, entry))
            || theirs.counter.baselines.through(frozen).iter().any(|b| is_news(&ours.counter.baselines, covered, b))
            || (settled < their_sum && their_sum <= compacted)
            || (theirs.register.stamp().is_some_and(|stamp| stamp.actor.expires <= frozen)
                && ours.register.stamp() < theirs.register.stamp())
    }

    /// Hash of what must be equal everywhere before ticks up to `through` are compacted: the settled sum, and of actors
    /// that expired by then the entries and tombstones. `None` if there is nothing of them.
    pub fn digest(&self, through: Tick) -> Option<u128> {
        let mut digest = Digest::default();
        let counter = &self.string.counter;
        let settled = counter.settled();
        if !settled.is_nothing() {
            digest.part(1);
            settled.encode(0, &mut digest.bytes);
        }
        digest.records(2, &counter.entries, through);
        digest.tombstone(3, self.string.register.tombstone(), through);
        digest.finish()
    }

    /// Hash of what must be equal everywhere before baselines of ticks up to `through` are folded: the covered sum, and
    /// those baselines. `None` if there is nothing of them.
    pub fn baseline_digest(&self, through: Tick) -> Option<u128> {
        let mut digest = Digest::default();
        let counter = &self.string.counter;
        let covered = counter.covered();
        if !covered.is_nothing() {
            digest.part(1);
            covered.encode(0, &mut digest.bytes);
        }
        digest.records(2, &counter.baselines, through);
        digest.finish()
    }

    /// Largest tick that stands in the settled sum; 0 if there is none. Session rows up to it are absent.
    pub fn settled_tick(&self) -> Tick {
        self.string.counter.settled().tick
    }

    /// Largest tick that stands in the covered sum; 0 if there is none.
    pub fn covered_tick(&self) -> Tick {
        self.string.counter.covered().tick
    }
}

/// Bytes to be hashed, part by part; what has no part has no hash.
#[derive(Default)]
struct Digest {
    bytes: Vec<u8>,
}

impl Digest {
    fn part(&mut self, number: u8) {
        self.bytes.push(number);
    }

    fn records(&mut self, number: u8, records: &PerActor<Totals>, through: Tick) {
        let expired = records.through(through);
        if expired.is_empty() {
            return;
        }
        self.part(number);
        self.bytes.extend_from_slice(&(expired.len() as u64).to_be_bytes());
        for record in expired {
            self.bytes.extend_from_slice(&record.actor.to_bytes());
            self.bytes.extend_from_slice(&record.event.to_be_bytes());
            self.bytes.extend_from_slice(&record.content.p.to_be_bytes());
            self.bytes.extend_from_slice(&record.content.n.to_be_bytes());
        }
    }

    fn tombstone(&mut self, number: u8, stamp: Option<&Stamp>, through: Tick) {
        if let Some(stamp) = stamp.filter(|stamp| stamp.actor.expires <= through) {
            self.part(number);
            stamp.encode(&mut self.bytes);
        }
    }

    fn finish(self) -> Option<u128> {
        (!self.bytes.is_empty()).then(|| xxhash_rust::xxh3::xxh3_128(&self.bytes))
    }
}
