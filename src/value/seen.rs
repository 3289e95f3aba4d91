//! What was seen of a row: enough to tell whether another replica's row shows it too, and no values.
//!
//! ```text
//! counter     events of entries and baselines per actor, the ticks of both sums
//! registers   stamps of the register and of the expiry
//! dotted      the contexts of siblings, flag, presence and scores
//! sketch      the sketch itself: its registers say what was added, its stamps do not
//! ```
//!
//! A row covers it field by field: an event of an actor says nothing of another field of the same row, because deltas
//! travel alone. What has expired may be settled or forgotten where it was seen by everybody; [`Answered`] says what is
//! known of that. Fields of newer programs are not followed.
//!
//! Encoding: `mask u16 │ what the mask names, in this order`; numbers as in `wire`, contexts as in `dotted`.

use super::Row;
use super::dotted::{decode_context, encode_context};
use super::error::DecodeError;
use super::others::Others;
use super::per_actor::{Content, PerActor};
use super::register::Stamp;
use super::sketch::Sketch;
use super::wire::{Reader, put_number};
use crate::causality::{ActorId, Context, Dot, Tick, VersionVector};
use crate::time::WallTime;

/// What was seen of a row; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    settled: Tick,
    entries: VersionVector,
    covered: (Tick, bool),
    baselines: VersionVector,
    register: Option<Stamp>,
    expiry: Option<Stamp>,
    /// Of siblings, flag, presence and scores.
    contexts: [Context; 4],
    sketch: Sketch,
}

/// Whose rows were merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// One of the replicas has settled all actors that expired by this tick: every owner had the same of them.
    pub settled: Tick,
    /// An owner is among them.
    pub an_owner: bool,
    /// Every owner is.
    pub every_owner: bool,
    /// Whoever may have written before this moment has expired and is settled.
    pub written_before: WallTime,
}

const SETTLED: u16 = 1 << 0;
const ENTRIES: u16 = 1 << 1;
const COVERED: u16 = 1 << 2;
const BASELINES: u16 = 1 << 3;
const REGISTER: u16 = 1 << 4;
const EXPIRY: u16 = 1 << 5;
const FIRST_CONTEXT: u16 = 1 << 6;
const SKETCH: u16 = 1 << 10;
const KNOWN: u16 = (1 << 11) - 1;

impl Row {
    /// What whoever is shown this row has seen.
    pub fn seen(&self) -> Seen {
        let counter = &self.string.counter;
        let nothing = Others::default();
        let others = self.others.as_deref().unwrap_or(&nothing);
        let covered = counter.covered();
        Seen {
            settled: counter.settled().tick,
            entries: events(&counter.entries),
            covered: (covered.tick, covered.is_full),
            baselines: events(&counter.baselines),
            register: self.string.register.stamp().copied(),
            expiry: others.expiry.stamp().copied(),
            contexts: contexts(others).map(Clone::clone),
            sketch: others.sketch.clone(),
        }
    }
}

impl Row {
    /// Of [`Row::seen`] only when the key goes: what a main row says of its elements.
    pub fn seen_deadline(&self) -> Seen {
        let expiry = self.others.as_deref().and_then(|others| others.expiry.stamp().copied());
        Seen { expiry, ..Seen::default() }
    }
}

impl Seen {
    /// Whether it is nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Seen::default()
    }

    /// Adds what the other has seen.
    pub fn merge(&mut self, other: &Seen) {
        self.settled = self.settled.max(other.settled);
        self.entries.merge(&other.entries);
        self.covered = self.covered.max(other.covered);
        self.baselines.merge(&other.baselines);
        self.register = self.register.max(other.register);
        self.expiry = self.expiry.max(other.expiry);
        for (ours, theirs) in self.contexts.iter_mut().zip(&other.contexts) {
            ours.merge(theirs);
        }
        self.sketch.merge(&other.sketch);
        if self.settled > Tick(0) {
            self.entries.forget(self.settled);
        }
        if self.covered.0 > Tick(0) {
            self.baselines.forget(self.covered.0);
        }
    }

    /// Adds what was shown of the row, which covers all that was seen before. What it does not show was forgotten by every
    /// owner, and is followed no longer: else every later read would need the word of all of them, and a generation of the
    /// sketch that is gone would hide what was added since.
    pub fn add_shown(&mut self, shown: &Seen) {
        self.merge(shown);
        self.covered = shown.covered;
        self.baselines.clone_from(&shown.baselines);
        self.register = shown.register;
        self.expiry = shown.expiry;
        self.sketch.clone_from(&shown.sketch);
    }

    /// Whether the row shows when the key goes, as it was seen; see [`Seen::is_covered_by`].
    pub fn shows_deadline(&self, row: &Row, answered: Answered) -> bool {
        Seen { expiry: self.expiry, ..Seen::default() }.is_covered_by(row, answered)
    }

    /// Whether the row, the merge of what these replicas have shown, shows all of it.
    ///
    /// Of expired actors it is enough that they are settled where the row was shown. What may be forgotten only later (a
    /// reset, a register, a deadline, a sketch that were removed since) and is not in the row needs the word of every
    /// owner: all of them have settled the actor, so nobody else holds it, and none of them shows it.
    pub fn is_covered_by(&self, row: &Row, answered: Answered) -> bool {
        let is_settled = |actor: ActorId| answered.settled > Tick(0) && actor.expires <= answered.settled;
        let is_forgotten = |actor: ActorId| answered.every_owner && is_settled(actor);
        let counter = &row.string.counter;
        let (settled, covered) = (counter.settled().tick, counter.covered());
        let has = |records: &PerActor<_>, floor: Tick, actor: ActorId, event: u64| {
            (floor > Tick(0) && actor.expires <= floor) || records.get(actor).is_some_and(|known| known.event >= event)
        };
        let nothing = Others::default();
        let others = row.others.as_deref().unwrap_or(&nothing);
        let shows_stamp = |seen: Option<Stamp>, shown: Option<&Stamp>| {
            seen.is_none_or(|seen| shown.is_some_and(|shown| *shown >= seen) || is_forgotten(seen.actor))
        };
        // Whoever settled a tick held all of it, as did every other owner.
        let shows_settled = self.settled <= settled.max(answered.settled) || answered.an_owner;
        let shows_entries =
            self.entries.dots().all(|(actor, event)| is_settled(actor) || has(&counter.entries, settled, actor, event));
        let shows_covered = self.covered <= (covered.tick, covered.is_full)
            || (answered.every_owner && self.covered.0 <= answered.settled);
        let shows_baselines = self
            .baselines
            .dots()
            .all(|(actor, event)| is_forgotten(actor) || has(&counter.baselines, covered.tick, actor, event));
        let shows_contexts = self.contexts.iter().zip(contexts(others)).all(|(seen, shown)| {
            let has_dots =
                seen.seen().dots().all(|(actor, event)| is_settled(actor) || shown.has_seen(Dot { actor, event }));
            has_dots && (seen.floor() <= shown.floor().max(answered.settled) || answered.an_owner)
        });
        // It names only its last writer; all others wrote before. It may have been written anew since.
        let is_sketch_forgotten = answered.every_owner && self.sketch.hlc().wall < answered.written_before.0;
        let shows_sketch = is_sketch_forgotten || !others.sketch.clone().merge(&self.sketch);
        shows_settled
            && shows_entries
            && shows_covered
            && shows_baselines
            && shows_stamp(self.register, row.string.register.stamp())
            && shows_stamp(self.expiry, others.expiry.stamp())
            && shows_contexts
            && shows_sketch
    }

    /// Appends the encoding: two bytes, if it is nothing.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut mask = 0;
        let mut name = |bit: u16, is_there: bool| mask |= if is_there { bit } else { 0 };
        name(SETTLED, self.settled > Tick(0));
        name(ENTRIES, !self.entries.is_empty());
        name(COVERED, self.covered != Default::default());
        name(BASELINES, !self.baselines.is_empty());
        name(REGISTER, self.register.is_some());
        name(EXPIRY, self.expiry.is_some());
        for (place, context) in self.contexts.iter().enumerate() {
            name(FIRST_CONTEXT << place, !context.is_empty());
        }
        name(SKETCH, !self.sketch.is_unwritten());
        out.extend_from_slice(&mask.to_be_bytes());
        if mask & SETTLED != 0 {
            out.extend_from_slice(&self.settled.0.to_be_bytes());
        }
        if mask & ENTRIES != 0 {
            encode_context(&Context::new(Tick(0), self.entries.clone()), out);
        }
        if mask & COVERED != 0 {
            out.extend_from_slice(&self.covered.0.0.to_be_bytes());
            out.push(self.covered.1.into());
        }
        if mask & BASELINES != 0 {
            encode_context(&Context::new(Tick(0), self.baselines.clone()), out);
        }
        for stamp in [&self.register, &self.expiry].into_iter().flatten() {
            stamp.encode(out);
        }
        for context in self.contexts.iter().filter(|context| !context.is_empty()) {
            encode_context(context, out);
        }
        if mask & SKETCH != 0 {
            put_number(self.sketch.encoded_bytes() as u128, out);
            self.sketch.encode(out);
        }
    }

    /// Reads what takes all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Seen, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mask = u16::from_be_bytes(reader.array()?);
        if mask & !KNOWN != 0 {
            return Err(DecodeError::Malformed("unknown parts of what was seen"));
        }
        let mut seen = Seen::default();
        let has = |bit: u16| mask & bit != 0;
        if has(SETTLED) {
            seen.settled = Tick(u32::from_be_bytes(reader.array()?));
        }
        if has(ENTRIES) {
            seen.entries = decode_context(&mut reader)?.seen().clone();
        }
        if has(COVERED) {
            seen.covered = (Tick(u32::from_be_bytes(reader.array()?)), reader.byte()? != 0);
        }
        if has(BASELINES) {
            seen.baselines = decode_context(&mut reader)?.seen().clone();
        }
        if has(REGISTER) {
            seen.register = Some(Stamp::decode(&mut reader)?);
        }
        if has(EXPIRY) {
            seen.expiry = Some(Stamp::decode(&mut reader)?);
        }
        for (place, context) in seen.contexts.iter_mut().enumerate() {
            if mask & (FIRST_CONTEXT << place) != 0 {
                *context = decode_context(&mut reader)?;
            }
        }
        if has(SKETCH) {
            seen.sketch = Sketch::decode(reader.prefixed()?)?;
        }
        if reader.is_at_end() { Ok(seen) } else { Err(DecodeError::Malformed("bytes behind what was seen")) }
    }
}

fn contexts(others: &Others) -> [&Context; 4] {
    [others.siblings.context(), others.flag.context(), others.presence.context(), others.scored.context()]
}

fn events<C: Content>(records: &PerActor<C>) -> VersionVector {
    let mut seen = VersionVector::default();
    for (actor, event) in records.dots() {
        seen.observe(Dot { actor, event });
    }
    seen
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
