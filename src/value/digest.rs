//! Digests: what of a row must be equal at all owners before it is forgotten.
//!
//! ```text
//! digest            before entries of expired actors become one sum
//! baseline_digest   before baselines of expired actors become one sum
//! ```
//!
//! The first holds only what fresh writes leave alone: sums, entries, the dots that were seen. So two busy replicas report
//! the same, and the actors of a row are bounded under any load. A floor is no part of it: one owner forgets a removal
//! before a fresh write comes, another after it, and then only one has a floor; whoever merges the two has it too. The
//! second holds what is forgotten next: removals so old that no write which they shadow can still come, and covered sums. A
//! fresh write may take these away, and then only forgetting waits until it has come everywhere. Of the fields of newer programs they hold what their kinds tie to ticks: the program that knows such a field
//! will take equal reports for a proof that the field is equal, so no tick is settled over a difference in it. A program
//! that learns of a field goes on hashing it as one that is unknown, as long as older ones may be in the cluster.
//!
//! Source: rules R8 and R10 of the counters that count exactly once.

use std::time::Duration;

use super::Row;
use super::compaction::is_retirable;
use super::counter::Totals;
use super::field::Field;
use super::per_actor::PerActor;
use super::register::Stamp;
use crate::causality::{ActorId, Context, Tick};

/// The part that a field of a newer program is; the parts of known fields have smaller numbers.
const UNKNOWN: u8 = 255;

impl Row {
    /// Hash of what must be equal everywhere before ticks up to `through` are compacted: the settled sum, and of actors
    /// that expired by then the entries and the dots that were seen. `None` if there is nothing of them. Of a main row, take it after [`super::Beside::settle`].
    pub fn digest(&self, through: Tick) -> Option<u128> {
        let mut digest = Digest::default();
        let counter = &self.string.counter;
        let settled = counter.settled();
        if !settled.is_nothing() {
            digest.part(1);
            settled.encode(0, &mut digest.bytes);
        }
        digest.records(2, &counter.entries, through);
        if let Some(others) = &self.others {
            digest.context(3, others.siblings.context(), through);
            digest.context(4, others.flag.context(), through);
            digest.context(5, others.presence.context(), through);
            digest.context(6, others.scored.context(), through);
        }
        for (tag, field) in self.unknown.iter() {
            digest.unknown(*tag, field, through);
        }
        digest.finish()
    }

    /// Hash of what must be equal everywhere before baselines of ticks up to `through` are folded and removals of them
    /// forgotten: the covered sum, those baselines, and the removals under stamps that [`Row::retire`] drops then. `None` if
    /// there is nothing of them.
    pub fn baseline_digest(&self, through: Tick, tick: Duration, lease_ticks: u32) -> Option<u128> {
        let mut digest = Digest::default();
        let counter = &self.string.counter;
        let covered = counter.covered();
        if !covered.is_nothing() {
            digest.part(1);
            covered.encode(0, &mut digest.bytes);
        }
        digest.records(2, &counter.baselines, through);
        let old =
            |stamp: Option<&Stamp>| stamp.filter(|stamp| is_retirable(stamp, through, tick, lease_ticks)).copied();
        digest.stamp(3, old(self.string.register.tombstone()));
        if let Some(others) = &self.others {
            digest.stamp(4, old(others.sketch.tombstone()));
            digest.stamp(5, old(others.expiry.tombstone()));
        }
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
        if expired.is_empty() {
            return;
        }
        self.part(number);
        self.bytes.extend_from_slice(&(expired.len() as u64).to_be_bytes());
        for (actor, event) in expired {
            self.bytes.extend_from_slice(&actor.to_bytes());
            self.bytes.extend_from_slice(&event.to_be_bytes());
        }
    }

    fn stamp(&mut self, number: u8, stamp: Option<Stamp>) {
        if let Some(stamp) = stamp {
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
            Field::LargestBytes(_) | Field::LatestStamp(..) | Field::Sketch(_) | Field::Union(_) => {}
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
