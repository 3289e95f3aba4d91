//! Per actor the record of its largest event: the lattice under counters, and under any later field of its kind.
//!
//! ```text
//! merge(x, y)[a] = max(x[a], y[a])        ordered by (event, content)
//! ```
//!
//! Two records of one dot never differ (a dot is never minted twice); if they do nevertheless, the larger content
//! wins, so that replicas still converge. The order of contents must be the order of their encodings: then code that
//! keeps the contents as plain bytes merges alike.
//!
//! Encoding: per actor, in ascending order, `actor 16 │ event │ length │ content`. Memory: a sorted vector. A merge
//! costs a binary search per record of the other side, and one pass more if it brings new actors.

use bytes::Bytes;

use super::error::DecodeError;
use super::wire::{Reader, number_bytes, put_number};
use crate::causality::{ActorId, Tick};
use crate::limits;

/// What an actor's record holds. Its order must be the order of its encodings.
pub trait Content: Ord + Clone {
    /// Bytes that `encode` appends.
    fn encoded_bytes(&self) -> usize;
    /// Appends the content.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a content that takes all of these bytes.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// An unknown content: its bytes.
impl Content for Bytes {
    fn encoded_bytes(&self) -> usize {
        self.len()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(bytes: &[u8]) -> Result<Bytes, DecodeError> {
        Ok(Bytes::copy_from_slice(bytes))
    }
}

/// One actor's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<C> {
    /// Whose.
    pub actor: ActorId,
    /// The event at which the content was as it is; not zero.
    pub event: u64,
    /// All that the actor did up to this event.
    pub content: C,
}

/// Records in the order of their actors, one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerActor<C> {
    records: Vec<Record<C>>,
}

impl<C> Default for PerActor<C> {
    fn default() -> Self {
        PerActor { records: Vec::new() }
    }
}

/// Fewest bytes of a record: the actor, a small event, an empty content.
const RECORD_BYTES_MIN: usize = ActorId::BYTES + 2;

impl<C: Content> PerActor<C> {
    /// Only this record.
    pub fn of(record: Record<C>) -> PerActor<C> {
        PerActor { records: vec![record] }
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many actors have a record.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The actor's record.
    pub fn get(&self, actor: ActorId) -> Option<&Record<C>> {
        let place = self.records.binary_search_by_key(&actor, |record| record.actor).ok()?;
        self.records.get(place)
    }

    /// The records in the order of their actors.
    pub fn iter(&self) -> std::slice::Iter<'_, Record<C>> {
        self.records.iter()
    }

    /// Every actor with its event.
    pub fn dots(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.records.iter().map(|record| (record.actor, record.event))
    }

    /// The records of actors that expired by this tick: the first ones, in the order of the actors.
    pub fn through(&self, tick: Tick) -> &[Record<C>] {
        self.records.get(..self.place_after(tick)).unwrap_or_default()
    }

    /// Drops the records of actors that expired by this tick; none at tick 0. Returns whether there were any.
    pub fn forget(&mut self, tick: Tick) -> bool {
        let count = self.place_after(tick);
        self.records.drain(..count);
        count > 0
    }

    /// Takes out the records of actors that expired by this tick; none at tick 0.
    pub fn split_through(&mut self, tick: Tick) -> PerActor<C> {
        let rest = self.records.split_off(self.place_after(tick));
        PerActor { records: std::mem::replace(&mut self.records, rest) }
    }

    /// Drops the actor's record, and returns it.
    pub fn remove(&mut self, actor: ActorId) -> Option<Record<C>> {
        let place = self.records.binary_search_by_key(&actor, |record| record.actor).ok()?;
        Some(self.records.remove(place))
    }

    /// Takes out the records that the test picks.
    pub fn take(&mut self, picks: impl Fn(&Record<C>) -> bool) -> Vec<Record<C>> {
        if !self.records.iter().any(&picks) {
            return Vec::new();
        }
        let (taken, kept) = std::mem::take(&mut self.records).into_iter().partition(picks);
        self.records = kept;
        taken
    }

    /// Tick 0 is before all actors: it stands for no tick.
    fn place_after(&self, tick: Tick) -> usize {
        if tick == Tick(0) { 0 } else { self.records.partition_point(|record| record.actor.expires <= tick) }
    }

    /// Takes the larger record of each actor. Returns whether anything changed.
    pub fn merge(&mut self, other: &PerActor<C>) -> bool {
        self.merge_records(&other.records)
    }

    /// Merges the records of actors that expire after this tick only.
    pub fn merge_above(&mut self, other: &PerActor<C>, tick: Tick) -> bool {
        self.merge_records(other.records.get(other.place_after(tick)..).unwrap_or_default())
    }

    fn merge_records(&mut self, other: &[Record<C>]) -> bool {
        let mut changed = false;
        let mut missing = Vec::new();
        let mut searched = 0;
        for theirs in other {
            let rest = self.records.get_mut(searched..).unwrap_or_default();
            match rest.binary_search_by_key(&theirs.actor, |record| record.actor) {
                Ok(place) => {
                    searched += place + 1;
                    if let Some(ours) = rest.get_mut(place)
                        && (ours.event, &ours.content) < (theirs.event, &theirs.content)
                    {
                        ours.clone_from(theirs);
                        changed = true;
                    }
                }
                Err(place) => {
                    searched += place;
                    missing.push(theirs.clone());
                }
            }
        }
        if !missing.is_empty() {
            self.records.append(&mut missing);
            // Two sorted runs: the stable sort recognises and merges them in one pass.
            self.records.sort_by_key(|record| record.actor);
            changed = true;
        }
        changed
    }

    /// Bytes that [`PerActor::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        let record_bytes = |record: &Record<C>| {
            let content = record.content.encoded_bytes();
            ActorId::BYTES + number_bytes(record.event.into()) + number_bytes(content as u128) + content
        };
        self.records.iter().map(record_bytes).sum()
    }

    /// Appends the records.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for record in &self.records {
            out.extend_from_slice(&record.actor.to_bytes());
            put_number(record.event.into(), out);
            put_number(record.content.encoded_bytes() as u128, out);
            record.content.encode(out);
        }
    }

    /// Reads records that take all of these bytes: at least one, at most [`limits::ACTORS_PER_FIELD_MAX`], in order.
    pub fn decode(bytes: &[u8]) -> Result<PerActor<C>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut records: Vec<Record<C>> =
            Vec::with_capacity((bytes.len() / RECORD_BYTES_MIN).min(limits::ACTORS_PER_FIELD_MAX));
        while !reader.is_at_end() {
            if records.len() == limits::ACTORS_PER_FIELD_MAX {
                return Err(DecodeError::Malformed("too many actors in one field"));
            }
            let actor = ActorId::from_bytes(reader.array()?);
            if actor.expires == Tick(0) {
                return Err(DecodeError::Malformed("an actor that expired before all time"));
            }
            if records.last().is_some_and(|last| last.actor >= actor) {
                return Err(DecodeError::Malformed("actors out of order"));
            }
            let event = reader.number64()?;
            if event == 0 {
                return Err(DecodeError::Malformed("event zero"));
            }
            records.push(Record { actor, event, content: C::decode(reader.prefixed()?)? });
        }
        if records.is_empty() {
            return Err(DecodeError::Malformed("a field without actors"));
        }
        Ok(PerActor { records })
    }
}
