//! What a main row knows of the rows beside it: its sessions' rows and its elements' rows, summed up.
//!
//! ```text
//! session rows   per tick: rows, bytes, Σ (events, p, n), Σ hash mod 2^128      so an increment decodes none of them
//!                baselines, of the sessions that have one
//! element rows   per kind: rows, live elements                                  so a set knows its size
//! ```
//!
//! It stands in the main row's local header: every directory keeps its own, and none is ever sent. `replica` tells it of
//! each change of a side row, in the batch of that change. When the partition compacts, [`Beside::settle`] moves what the
//! sessions of expired ticks did into the main row; their rows are then erased by the sweep.
//!
//! Costs: a few words per tick that has open sessions, and a record per session that a reset has seen: some 30 bytes that
//! are written with each change of the key. Reading the number looks at none of them.
//!
//! Encoding: empty if there is nothing beside; else `version u8 │ ticks │ (tick u32 │ rows │ bytes │ events │ p │ n │ hash
//! 16)* │ length of baselines │ baselines │ (rows │ live)` for set, map and sorted set; numbers as in `wire`.

use std::collections::BTreeMap;

use super::Row;
use super::error::DecodeError;
use super::per_actor::PerActor;
use super::settled::{Settled, Sum};
use super::side_baselines::SideBaselines;
use super::wire::{Reader, put_number};
use crate::causality::{ActorId, Tick};
use crate::ids::CollectionKind;
use crate::limits;

/// Version of the encoding that this program writes.
const VERSION: u8 = 1;

/// The rows of sessions, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionSum {
    /// How many.
    pub rows: u64,
    /// Of their encoded states.
    pub bytes: u64,
    /// What they did.
    pub sum: Sum,
    /// Sum of their state hashes modulo 2^128: equal sums, equal rows.
    pub hash: u128,
}

/// The elements of one kind, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElementCount {
    /// Rows, those of removed elements included.
    pub rows: u64,
    /// Elements that a reader is shown.
    pub live: u64,
}

/// What stands beside a main row; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside(Option<Box<Content>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    sessions: BTreeMap<Tick, SessionSum>,
    baselines: SideBaselines,
    elements: [ElementCount; 3],
}

impl Beside {
    /// Of a row that stands alone.
    pub const NONE: Beside = Beside(None);

    /// Whether nothing stands beside the row.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Takes note of a change of a session's row; `None` is a row that was not, or is no longer, there.
    pub fn replace_session(&mut self, before: Option<&Row>, after: Option<&Row>, actor: ActorId) {
        self.change(|content| {
            let sum = content.sessions.entry(actor.expires).or_default();
            if let Some(before) = before {
                sum.remove(before, actor);
            }
            if let Some(after) = after {
                sum.add(after, actor);
            }
            if sum.rows == 0 {
                content.sessions.remove(&actor.expires);
            }
            content.baselines.replace(actor, after.and_then(|after| after.baseline_of(actor)));
        });
    }

    /// Takes note of a change of an element's row.
    pub fn replace_element(
        &mut self,
        kind: CollectionKind,
        was_live: bool,
        is_live: bool,
        existed: bool,
        exists: bool,
    ) {
        self.change(|content| {
            let [set, map, sorted] = &mut content.elements;
            let count = match kind {
                CollectionKind::Set => set,
                CollectionKind::Map => map,
                CollectionKind::SortedSet => sorted,
            };
            count.rows = count.rows.saturating_add(exists.into()).saturating_sub(existed.into());
            count.live = count.live.saturating_add(is_live.into()).saturating_sub(was_live.into());
        });
    }

    /// Compacts the main row, and moves into it what sessions of ticks up to `through` did: their sums into its settled
    /// sum, their baselines into its baselines. What the row took over from a peer's sum is forgotten here. To be called
    /// after every merge into the main row and when the partition compacts, in place of [`Row::compact`]. Returns whether
    /// the row changed.
    pub fn settle(&mut self, row: &mut Row, through: Tick) -> bool {
        if self.is_empty() {
            return row.compact(through);
        }
        let held = row.settled_tick();
        let mut settling = Settled::default();
        let mut moved = PerActor::default();
        self.change(|content| {
            let last = through.max(held);
            content.sessions.retain(|tick, sessions| {
                if *tick > last {
                    return true;
                }
                if *tick > held {
                    settling.tick = settling.tick.max(*tick);
                    settling.sum.add(&sessions.sum);
                }
                false
            });
            moved = content.baselines.take_through(last);
        });
        row.settle(through, settling, moved)
    }

    /// The session rows of all ticks, added up.
    pub fn sessions(&self) -> SessionSum {
        let mut total = SessionSum::default();
        for sessions in self.sessions_by_tick().map(|(_, sessions)| sessions) {
            total.rows += sessions.rows;
            total.bytes += sessions.bytes;
            total.sum.add(&sessions.sum);
            total.hash = total.hash.wrapping_add(sessions.hash);
        }
        total
    }

    /// The session rows by the tick at which their actors expire.
    pub fn sessions_by_tick(&self) -> impl Iterator<Item = (Tick, &SessionSum)> {
        self.0.iter().flat_map(|content| content.sessions.iter()).map(|(tick, sessions)| (*tick, sessions))
    }

    /// What sessions did that expire after this tick.
    pub(super) fn sums_above(&self, tick: Tick) -> impl Iterator<Item = Sum> {
        self.sessions_by_tick().filter(move |(expires, _)| *expires > tick).map(|(_, sessions)| sessions.sum)
    }

    /// The baselines of sessions that have one.
    pub(super) fn baselines(&self) -> Option<&SideBaselines> {
        self.0.as_ref().map(|content| &content.baselines)
    }

    /// The elements of a kind.
    pub fn elements(&self, kind: CollectionKind) -> ElementCount {
        let [set, map, sorted] = self.0.as_ref().map_or_else(Default::default, |content| content.elements);
        match kind {
            CollectionKind::Set => set,
            CollectionKind::Map => map,
            CollectionKind::SortedSet => sorted,
        }
    }

    /// Changes the content, and keeps none that says nothing.
    fn change(&mut self, change: impl FnOnce(&mut Content)) {
        let mut content = self.0.take().unwrap_or_default();
        change(&mut content);
        self.0 = (*content != Content::default()).then_some(content);
    }
}

impl SessionSum {
    /// Bytes of these rows with their keys, each of which has so many.
    pub fn bytes_with_keys(&self, key_bytes: usize) -> u64 {
        self.bytes.saturating_add(self.rows.saturating_mul(key_bytes as u64))
    }

    fn add(&mut self, row: &Row, actor: ActorId) {
        self.rows += 1;
        let encoded = row.encode();
        self.bytes = self.bytes.saturating_add(encoded.len() as u64);
        self.sum.add(&row.entry_of(actor).map(|entry| Sum::of(&entry)).unwrap_or_default());
        self.hash = self.hash.wrapping_add(Row::state_hash_of(&encoded));
    }

    fn remove(&mut self, row: &Row, actor: ActorId) {
        self.rows = self.rows.saturating_sub(1);
        let encoded = row.encode();
        self.bytes = self.bytes.saturating_sub(encoded.len() as u64);
        self.sum.subtract(&row.entry_of(actor).map(|entry| Sum::of(&entry)).unwrap_or_default());
        self.hash = self.hash.wrapping_sub(Row::state_hash_of(&encoded));
    }
}

/// As a coordinator sees it, of several replicas.
impl Beside {
    /// Whether there is a session's row.
    pub fn has_sessions(&self) -> bool {
        self.0.as_ref().is_some_and(|content| !content.sessions.is_empty())
    }

    /// Whether some element of a collection is live.
    pub fn has_elements(&self) -> bool {
        CollectionKind::ALL.into_iter().any(|kind| self.elements(kind).live > 0)
    }

    /// Whether both have the same session rows.
    pub fn has_same_sessions(&self, other: &Beside) -> bool {
        self.sessions_by_tick().eq(other.sessions_by_tick())
    }

    /// Takes over what another says of sessions.
    pub fn take_sessions(&mut self, other: &Beside) {
        self.change(|content| {
            content.sessions = other.sessions_by_tick().map(|(tick, sum)| (tick, *sum)).collect();
            content.baselines = other.baselines().cloned().unwrap_or_default();
        });
    }

    /// Takes over the larger counts of elements: an estimate, for no replica knows of the other's elements.
    pub fn take_counts(&mut self, other: &Beside) {
        let Some(theirs) = &other.0 else { return };
        self.change(|content| {
            for (ours, theirs) in content.elements.iter_mut().zip(theirs.elements) {
                ours.rows = ours.rows.max(theirs.rows);
                ours.live = ours.live.max(theirs.live);
            }
        });
    }
}

/// Bytes.
impl Beside {
    /// The encoding.
    pub fn encode(&self) -> bytes::Bytes {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out.into()
    }

    /// Appends the encoding: nothing, if nothing stands beside the row.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let Some(content) = &self.0 else { return };
        out.push(VERSION);
        put_number(content.sessions.len() as u128, out);
        for (tick, sessions) in &content.sessions {
            out.extend_from_slice(&tick.0.to_be_bytes());
            put_number(sessions.rows.into(), out);
            put_number(sessions.bytes.into(), out);
            sessions.sum.encode(out);
            out.extend_from_slice(&sessions.hash.to_be_bytes());
        }
        let baselines = content.baselines.records();
        put_number(baselines.encoded_bytes() as u128, out);
        baselines.encode(out);
        for count in content.elements {
            put_number(count.rows.into(), out);
            put_number(count.live.into(), out);
        }
    }

    /// Reads what takes all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Beside, DecodeError> {
        if bytes.is_empty() {
            return Ok(Beside::NONE);
        }
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            VERSION => {}
            0 => return Err(DecodeError::Malformed("version zero")),
            version => return Err(DecodeError::NewerVersion { version, readable: VERSION }),
        }
        let mut content = Content::default();
        let ticks = reader.number()?;
        if ticks > limits::ACTORS_PER_FIELD_MAX as u128 {
            return Err(DecodeError::Malformed("too many ticks beside a row"));
        }
        for _ in 0..ticks {
            let tick = Tick(u32::from_be_bytes(reader.array()?));
            if content.sessions.last_key_value().is_some_and(|(last, _)| *last >= tick) {
                return Err(DecodeError::Malformed("ticks out of order"));
            }
            let (rows, bytes) = (reader.number64()?, reader.number64()?);
            let sum = Sum::decode(&mut reader)?;
            let hash = u128::from_be_bytes(reader.array()?);
            if rows == 0 {
                return Err(DecodeError::Malformed("a tick without session rows"));
            }
            content.sessions.insert(tick, SessionSum { rows, bytes, sum, hash });
        }
        let baselines = reader.prefixed()?;
        if !baselines.is_empty() {
            content.baselines = SideBaselines::of(PerActor::decode(baselines)?);
        }
        for count in &mut content.elements {
            *count = ElementCount { rows: reader.number64()?, live: reader.number64()? };
        }
        if !reader.is_at_end() {
            return Err(DecodeError::Malformed("bytes behind what stands beside a row"));
        }
        if content == Content::default() {
            return Err(DecodeError::Malformed("nothing beside a row has no bytes"));
        }
        Ok(Beside(Some(Box::new(content))))
    }
}
