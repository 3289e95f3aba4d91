//! A field by its merge kind alone: how this program merges what it does not understand.
//!
//! Every field of a row says how it merges, and every kind has one layout. So a program merges, hashes and passes on
//! the fields of a newer one correctly without knowing what they mean.
//!
//! ```text
//! kind                       layout of the payload                                merge
//! 1 largest bytes            bytes, at least one                                  the larger, byte by byte
//! 2 latest stamp             wall 8 │ logical 4 │ actor 16 │ event 8 │ value      the larger, byte by byte
//! 3 largest event per actor  (actor 16 │ event │ length │ content)*               per actor the larger (event, content)
//! 4 union                    (length │ item)*                                     the union
//! 5 floor                    tag │ tick u32 │ content                             the larger, byte by byte; records of kind 3
//!                                                                                 under that tag whose actor expired by the
//!                                                                                 tick are dropped, and ignored later
//! 6 dotted                   see `dotted`                                         what the other has not seen removed
//! 7 sketch                   see `sketch`                                         the larger generation; registers: the larger
//! ```
//!
//! Actors and items stand in ascending order, without repetition; a field that would hold nothing is left out. If two
//! rows disagree on the kind of a tag (no program writes that), the higher kind wins whole: still a lattice.

use bytes::Bytes;

use super::dotted::Dotted;
use super::error::DecodeError;
use super::per_actor::{PerActor, Record};
use super::register::Stamp;
use super::sketch::Sketch;
use super::wire::{Reader, number_bytes, put_number};
use crate::causality::{ActorId, Tick};
use crate::limits;
use crate::time::Hlc;

/// How a field merges. The numbers stand in every row and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum MergeKind {
    /// The larger payload wins.
    LargestBytes = 1,
    /// The payload with the larger stamp wins.
    LatestStamp = 2,
    /// Per actor, the record with the larger event wins.
    LargestEventPerActor = 3,
    /// All items of both.
    Union = 4,
    /// The larger payload wins, and takes the place of the older records of another field.
    Floor = 5,
    /// Values under dots: what one side has and the other has not seen removed.
    Dotted = 6,
    /// The larger generation wins; within one, registers merge to the larger.
    Sketch = 7,
}

impl MergeKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<MergeKind> {
        match number {
            1 => Some(MergeKind::LargestBytes),
            2 => Some(MergeKind::LatestStamp),
            3 => Some(MergeKind::LargestEventPerActor),
            4 => Some(MergeKind::Union),
            5 => Some(MergeKind::Floor),
            6 => Some(MergeKind::Dotted),
            7 => Some(MergeKind::Sketch),
            _ => None,
        }
    }
}

/// The state of a field that this program does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Kind 1.
    LargestBytes(Bytes),
    /// Kind 2: its stamp, and the whole payload.
    LatestStamp(Stamp, Bytes),
    /// Kind 3.
    LargestEventPerActor(PerActor<Bytes>),
    /// Kind 4: the items in ascending order.
    Union(Vec<Bytes>),
    /// Kind 5: the tag whose records it replaces, up to which tick, and the whole payload.
    Floor(u32, Tick, Bytes),
    /// Kind 6.
    Dotted(Dotted<Bytes>),
    /// Kind 7.
    Sketch(Sketch),
}

impl Field {
    /// How it merges.
    pub fn kind(&self) -> MergeKind {
        match self {
            Field::LargestBytes(_) => MergeKind::LargestBytes,
            Field::LatestStamp(..) => MergeKind::LatestStamp,
            Field::LargestEventPerActor(_) => MergeKind::LargestEventPerActor,
            Field::Union(_) => MergeKind::Union,
            Field::Floor(..) => MergeKind::Floor,
            Field::Dotted(_) => MergeKind::Dotted,
            Field::Sketch(_) => MergeKind::Sketch,
        }
    }

    /// Merges by kind. Returns whether anything changed.
    pub fn merge(&mut self, other: &Field) -> bool {
        let is_larger = match (&mut *self, other) {
            (Field::LargestEventPerActor(ours), Field::LargestEventPerActor(theirs)) => return ours.merge(theirs),
            (Field::Union(ours), Field::Union(theirs)) => return unite(ours, theirs),
            (Field::Dotted(ours), Field::Dotted(theirs)) => return ours.merge(theirs),
            (Field::Sketch(ours), Field::Sketch(theirs)) => return ours.merge(theirs),
            (Field::LargestBytes(ours), Field::LargestBytes(theirs)) => *theirs > *ours,
            // A stamp is the fixed-width head of its payload, in the order of its bytes.
            (Field::LatestStamp(_, ours), Field::LatestStamp(_, theirs)) => *theirs > *ours,
            (Field::Floor(.., ours), Field::Floor(.., theirs)) => *theirs > *ours,
            (ours, theirs) => theirs.kind() > ours.kind(),
        };
        if is_larger {
            self.clone_from(other);
        }
        is_larger
    }

    /// Whether it would bring to `ours` anything of ticks after `floor` up to `frozen` that was never seen there, or a floor
    /// up to `compacted` that is not there. What a kind does not tie to a tick is always welcome.
    pub fn touches(&self, ours: Option<&Field>, floor: Tick, frozen: Tick, compacted: Tick) -> bool {
        match (self, ours) {
            (Field::LargestEventPerActor(theirs), ours) => {
                let known = |actor| match ours {
                    Some(Field::LargestEventPerActor(records)) => records.get(actor).map_or(0, |record| record.event),
                    Some(_) | None => 0,
                };
                let is_news =
                    |theirs: &Record<Bytes>| theirs.actor.expires > floor && theirs.event > known(theirs.actor);
                theirs.through(frozen).iter().any(is_news)
            }
            (Field::Floor(_, theirs, _), Some(Field::Floor(_, ours, _))) => ours < theirs && *theirs <= compacted,
            (Field::Floor(_, theirs, _), _) => *theirs <= compacted,
            (Field::Dotted(theirs), Some(Field::Dotted(ours))) => ours.is_touched_by(theirs, frozen),
            (Field::Dotted(theirs), _) => Dotted::default().is_touched_by(theirs, frozen),
            (Field::Sketch(theirs), Some(Field::Sketch(ours))) => ours.is_touched_by(theirs, frozen),
            (Field::Sketch(theirs), _) => Sketch::default().is_touched_by(theirs, frozen),
            (Field::LatestStamp(theirs, payload), ours) => {
                let is_later = match ours {
                    Some(Field::LatestStamp(_, ours)) => payload > ours,
                    Some(_) | None => true,
                };
                theirs.actor.expires <= frozen && is_later
            }
            (Field::LargestBytes(_) | Field::Union(_), _) => false,
        }
    }

    /// Whether the actors or items are few enough to be read back.
    pub fn is_within_limits(&self) -> bool {
        match self {
            Field::LargestBytes(_) | Field::LatestStamp(..) | Field::Floor(..) | Field::Sketch(_) => true,
            Field::Dotted(dotted) => dotted.is_within_limits(),
            Field::LargestEventPerActor(records) => records.len() <= limits::ACTORS_PER_FIELD_MAX,
            Field::Union(items) => items.len() <= limits::UNION_ITEMS_PER_FIELD_MAX,
        }
    }

    /// Bytes that [`Field::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        match self {
            Field::LargestBytes(payload) | Field::LatestStamp(_, payload) | Field::Floor(.., payload) => payload.len(),
            Field::LargestEventPerActor(records) => records.encoded_bytes(),
            Field::Dotted(dotted) => dotted.encoded_bytes(),
            Field::Sketch(sketch) => sketch.encoded_bytes(),
            Field::Union(items) => items.iter().map(|item| number_bytes(item.len() as u128) + item.len()).sum(),
        }
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Field::LargestBytes(payload) | Field::LatestStamp(_, payload) | Field::Floor(.., payload) => {
                out.extend_from_slice(payload);
            }
            Field::LargestEventPerActor(records) => records.encode(out),
            Field::Dotted(dotted) => dotted.encode(out),
            Field::Sketch(sketch) => sketch.encode(out),
            Field::Union(items) => {
                for item in items {
                    put_number(item.len() as u128, out);
                    out.extend_from_slice(item);
                }
            }
        }
    }

    /// Reads a payload of this kind.
    pub fn decode(kind: MergeKind, payload: &[u8]) -> Result<Field, DecodeError> {
        if payload.is_empty() {
            return Err(DecodeError::Malformed("an empty field"));
        }
        match kind {
            MergeKind::LargestBytes => Ok(Field::LargestBytes(Bytes::copy_from_slice(payload))),
            MergeKind::LatestStamp => {
                let stamp = Stamp::decode(&mut Reader::new(payload))?;
                Ok(Field::LatestStamp(stamp, Bytes::copy_from_slice(payload)))
            }
            MergeKind::LargestEventPerActor => Ok(Field::LargestEventPerActor(PerActor::decode(payload)?)),
            MergeKind::Floor => {
                let mut reader = Reader::new(payload);
                let of = u32::try_from(reader.number()?);
                let of = of.map_err(|_| DecodeError::Malformed("a tag has more than 32 bits"))?;
                let tick = Tick(u32::from_be_bytes(reader.array()?));
                Ok(Field::Floor(of, tick, Bytes::copy_from_slice(payload)))
            }
            MergeKind::Dotted => Ok(Field::Dotted(Dotted::decode(payload)?)),
            MergeKind::Sketch => Ok(Field::Sketch(Sketch::decode(payload)?)),
            MergeKind::Union => Ok(Field::Union(decode_items(payload)?)),
        }
    }

    /// Every actor with an event that the field names; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        let none = (None, None, None, None);
        let (stamp, records, dotted, sketch) = match self {
            Field::LatestStamp(stamp, _) => (Some((stamp.actor, stamp.event)), None, None, None),
            Field::LargestEventPerActor(records) => (None, Some(records), None, None),
            Field::Dotted(dotted) => (None, None, Some(dotted), None),
            Field::Sketch(sketch) => (None, None, None, Some(sketch)),
            Field::LargestBytes(_) | Field::Union(_) | Field::Floor(..) => none,
        };
        let records = records.into_iter().flat_map(PerActor::dots);
        let dotted = dotted.into_iter().flat_map(Dotted::actors);
        stamp.into_iter().chain(records).chain(dotted).chain(sketch.into_iter().flat_map(Sketch::actors))
    }

    /// The clock reading that the field names, if it is of a kind that has one.
    pub fn hlc(&self) -> Hlc {
        match self {
            Field::LatestStamp(stamp, _) => stamp.hlc,
            Field::Sketch(sketch) => sketch.hlc(),
            Field::LargestBytes(_)
            | Field::LargestEventPerActor(_)
            | Field::Union(_)
            | Field::Floor(..)
            | Field::Dotted(_) => Hlc::default(),
        }
    }

    /// The tag whose records the field replaces, up to which tick.
    pub fn floor(&self) -> Option<(u32, Tick)> {
        if let Field::Floor(of, tick, _) = self { Some((*of, *tick)) } else { None }
    }

    /// Drops the records of actors that expired by the tick. Returns whether anything is left.
    pub fn forget(&mut self, tick: Tick) -> bool {
        let Field::LargestEventPerActor(records) = self else { return true };
        records.forget(tick);
        !records.is_empty()
    }
}

/// Adds what is missing. Returns whether anything was.
fn unite(ours: &mut Vec<Bytes>, theirs: &[Bytes]) -> bool {
    let mut missing: Vec<Bytes> = theirs.iter().filter(|item| ours.binary_search(item).is_err()).cloned().collect();
    let grows = !missing.is_empty();
    if grows {
        ours.append(&mut missing);
        ours.sort();
    }
    grows
}

fn decode_items(payload: &[u8]) -> Result<Vec<Bytes>, DecodeError> {
    let payload = Bytes::copy_from_slice(payload);
    let mut reader = Reader::new(&payload);
    let mut items: Vec<Bytes> = Vec::new();
    while !reader.is_at_end() {
        if items.len() == limits::UNION_ITEMS_PER_FIELD_MAX {
            return Err(DecodeError::Malformed("too many items in one field"));
        }
        let item = payload.slice_ref(reader.prefixed()?);
        if items.last().is_some_and(|last| *last >= item) {
            return Err(DecodeError::Malformed("items out of order"));
        }
        items.push(item);
    }
    Ok(items)
}
