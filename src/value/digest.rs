//! Digests: what of a row must be equal at all owners before it is forgotten.
//!
//! ```text
//! digest            before entries of expired actors become one sum
//! baseline_digest   before baselines of expired actors become one sum
//! ```
//!
//! They hold only what fresh writes leave alone (entries, contexts, tombstones), or two busy replicas would never report
//! the same. Of the fields of newer programs they hold what their kinds tie to ticks: the program that knows such a field
//! will take equal reports for a proof that the field is equal, so no tick is settled over a difference in it. A program
//! that learns of a field goes on hashing it as one that is unknown, as long as older ones may be in the cluster.
//!
//! Source: rules R8 and R10 of the counters that count exactly once.

use super::Row;
use super::counter::Totals;
use super::field::Field;
use super::per_actor::PerActor;
use super::register::Stamp;
use crate::causality::{ActorId, Context, Tick};

/// The part that a field of a newer program is; the parts of known fields have smaller numbers.
const UNKNOWN: u8 = 255;

impl Row {
    /// Hash of what must be equal everywhere before ticks up to `through` are compacted: the settled sum and the floors,
    /// and of actors that expired by then the entries, the dots that were seen and the tombstones. `None` if there is
    /// nothing of them. Of a main row, take it after [`super::Beside::settle`].
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
        if let Some(others) = &self.others {
            digest.context(4, others.siblings.context(), through);
            digest.context(5, others.flag.context(), through);
            digest.context(6, others.presence.context(), through);
            digest.context(7, others.scored.context(), through);
            digest.tombstone(8, others.sketch.tombstone(), through);
            digest.tombstone(9, others.expiry.tombstone(), through);
        }
        for (tag, field) in self.unknown.iter() {
            digest.unknown(*tag, field, through);
        }
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

    fn context(&mut self, number: u8, context: &Context, through: Tick) {
        let expired: Vec<(ActorId, u64)> = context.seen().through(through).collect();
        if expired.is_empty() && context.floor() == Tick(0) {
            return;
        }
        self.part(number);
        self.bytes.extend_from_slice(&context.floor().0.to_be_bytes());
        self.bytes.extend_from_slice(&(expired.len() as u64).to_be_bytes());
        for (actor, event) in expired {
            self.bytes.extend_from_slice(&actor.to_bytes());
            self.bytes.extend_from_slice(&event.to_be_bytes());
        }
    }

    fn tombstone(&mut self, number: u8, stamp: Option<&Stamp>, through: Tick) {
        if let Some(stamp) = stamp.filter(|stamp| stamp.actor.expires <= through) {
            self.part(number);
            stamp.encode(&mut self.bytes);
        }
    }

    /// A field of a newer program, by its kind. What a kind does not tie to a tick may still grow, and is left out.
    fn unknown(&mut self, tag: u32, field: &Field, through: Tick) {
        let before = self.bytes.len();
        self.part(UNKNOWN);
        self.bytes.extend_from_slice(&tag.to_be_bytes());
        let head = self.bytes.len();
        match field {
            Field::LargestEventPerActor(records) => {
                for record in records.through(through) {
                    self.bytes.extend_from_slice(&record.actor.to_bytes());
                    self.bytes.extend_from_slice(&record.event.to_be_bytes());
                    self.bytes.extend_from_slice(&(record.content.len() as u64).to_be_bytes());
                    self.bytes.extend_from_slice(&record.content);
                }
            }
            Field::Floor(.., payload) => self.bytes.extend_from_slice(payload),
            Field::Dotted(dotted) => self.context(UNKNOWN, dotted.context(), through),
            Field::Sketch(sketch) => self.tombstone(UNKNOWN, sketch.tombstone(), through),
            Field::LargestBytes(_) | Field::LatestStamp(..) | Field::Union(_) => {}
        }
        if self.bytes.len() == head {
            self.bytes.truncate(before);
        }
    }

    fn finish(self) -> Option<u128> {
        (!self.bytes.is_empty()).then(|| xxhash_rust::xxh3::xxh3_128(&self.bytes))
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
