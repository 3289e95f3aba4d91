//! The row: the replicated state of one key.
//!
//! ```text
//! version u8 │ (tag │ kind u8 │ length │ payload)*          tags ascending; an empty row is the empty byte string
//!
//! tag 1  touched      kind 1, largest bytes               wall u64 │ logical u32
//! tag 2  register     kind 2, latest stamp                see `register`
//! tag 3  entries      kind 3, largest event per actor     content p │ n, see `counter`
//! tag 4  baselines    kind 3, largest event per actor     content p │ n
//! other               any kind                            kept and merged by kind alone, see `field`
//!
//! merge(x, y) = per tag the merge of its kind; what only one of them has is taken
//! ```
//!
//! There is one encoding per state: equal rows have equal bytes, and bytes that are not the encoding of any row are
//! refused. Numbers (tag, length, event, p, n) stand as in `wire`. These bytes are on disk and on the wire; the golden
//! files beside this module say that they never change.
//!
//! A row of one text and three actors takes some 150 bytes; merge, encode and decode of it take less than a
//! microsecond. A merge never fails; whether the result is still within the limits of a row, [`Row::is_within_limits`]
//! says.

use bytes::Bytes;

use super::error::{DecodeError, ValueError};
use super::field::{Field, MergeKind};
use super::per_actor::PerActor;
use super::register::{HLC_BYTES, Register, decode_hlc, encode_hlc};
use super::string::StringState;
use super::visible::Visible;
use super::wire::{Reader, put_number};
use crate::causality::{ActorId, Dot, VersionVector};
use crate::limits;
use crate::time::Hlc;

/// Version of the row encoding that this program writes, and the newest that it reads.
const VERSION: u8 = 1;

const TOUCHED: u32 = 1;
const REGISTER: u32 = 2;
const ENTRIES: u32 = 3;
const BASELINES: u32 = 4;

/// The replicated state of a key. The default is the state of a key that was never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    string: StringState,
    /// Fields of newer programs, by ascending tag.
    unknown: Vec<(u32, Field)>,
}

/// Merging and showing.
impl Row {
    /// Whether nothing was ever written. A deleted key is not empty: it remembers what was deleted.
    pub fn is_empty(&self) -> bool {
        *self == Row::default()
    }

    /// Takes over all that `other` knows: a delta or a whole row. Returns whether anything changed.
    pub fn merge(&mut self, other: &Row) -> bool {
        let mut changed = self.string.merge(&other.string);
        for (tag, theirs) in &other.unknown {
            match self.unknown.binary_search_by_key(tag, |(tag, _)| *tag) {
                Ok(place) => changed |= self.unknown.get_mut(place).is_some_and(|(_, ours)| ours.merge(theirs)),
                Err(place) => {
                    self.unknown.insert(place, (*tag, theirs.clone()));
                    changed = true;
                }
            }
        }
        changed
    }

    /// What a client is shown.
    pub fn visible(&self) -> Visible {
        self.string.visible()
    }

    /// A text stands beside increments that it did not see; the next put or delete covers them.
    pub fn has_conflict(&self) -> bool {
        self.string.has_conflict()
    }

    /// Whether there is an increment that no put or delete has seen.
    pub fn has_live_counter(&self) -> bool {
        self.string.counter.is_live()
    }

    /// Sum of the counter alone, exact, as decimal text.
    pub fn counter_sum_text(&self) -> String {
        self.string.counter.sum().to_string()
    }

    /// The largest stamp anywhere in the row; the default if there is none. A new stamp must be larger.
    pub fn latest_stamp(&self) -> Hlc {
        self.unknown.iter().map(|(_, field)| field.hlc()).fold(self.string.latest_stamp(), Hlc::max)
    }

    /// Every actor with an event that it reached, in no order; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.string.actors().chain(self.unknown.iter().flat_map(|(_, field)| field.actors()))
    }

    /// Per actor the largest event seen anywhere in the row. A put or a delete that a later one replaced leaves no
    /// trace, so this may name fewer events than were ever seen; of increments it names every one.
    pub fn version_vector(&self) -> VersionVector {
        let mut seen = VersionVector::default();
        for (actor, event) in self.actors() {
            seen.observe(Dot { actor, event });
        }
        seen
    }
}

/// Writing. Each returns the delta to replicate, which the row itself already contains.
/// Dots must be fresh, and stamps larger than [`Row::latest_stamp`] of the row and of what was observed.
impl Row {
    /// Whether an increment by so much would be applied.
    pub fn can_increment(&self, by: i64) -> Result<(), ValueError> {
        self.string.can_increment(by)
    }

    /// Adds to the number. The delta is the actor's entry and `touched`. On an error the row stays as it was.
    ///
    /// # Panics
    /// If the counter has the dot already: every peer would drop the increment as one that it has seen.
    pub fn increment(&mut self, dot: Dot, stamp: Hlc, by: i64) -> Result<Row, ValueError> {
        let string = self.string.increment(dot, stamp, by)?;
        Ok(Row { string, unknown: Vec::new() })
    }

    /// Merges `observed`, writes the register, and covers exactly the increments of `observed`. The delta is all that
    /// was observed with the write on top: a baseline never travels without its entry. What others sent stands in
    /// `observed` and is merged here: the amnesia check comes first.
    ///
    /// # Panics
    /// If the event of the dot is zero.
    pub fn put(&mut self, dot: Dot, stamp: Hlc, value: Bytes, observed: &Row) -> Row {
        self.cover(dot, stamp, Some(value), observed)
    }

    /// Merges `observed`, empties the register, and covers exactly the increments of `observed`; see [`Row::put`].
    ///
    /// # Panics
    /// If the event of the dot is zero.
    pub fn delete(&mut self, dot: Dot, stamp: Hlc, observed: &Row) -> Row {
        self.cover(dot, stamp, None, observed)
    }

    fn cover(&mut self, dot: Dot, stamp: Hlc, value: Option<Bytes>, observed: &Row) -> Row {
        let mut delta = observed.clone();
        delta.string.write(dot, stamp, value);
        self.merge(&delta);
        delta
    }
}

/// Bytes.
impl Row {
    /// The canonical encoding; empty for an empty row.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_bytes_max());
        self.encode_into(&mut out);
        out.into()
    }

    /// Appends the canonical encoding.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        out.push(VERSION);
        let string = &self.string;
        if string.touched != Hlc::default() {
            put_head(TOUCHED, MergeKind::LargestBytes, HLC_BYTES, out);
            encode_hlc(string.touched, out);
        }
        if !string.register.is_unwritten() {
            put_head(REGISTER, MergeKind::LatestStamp, string.register.encoded_bytes(), out);
            string.register.encode(out);
        }
        for (tag, records) in [(ENTRIES, &string.counter.entries), (BASELINES, &string.counter.baselines)] {
            if !records.is_empty() {
                put_head(tag, MergeKind::LargestEventPerActor, records.encoded_bytes(), out);
                records.encode(out);
            }
        }
        // All known tags are smaller than any unknown one.
        for (tag, field) in &self.unknown {
            put_head(*tag, field.kind(), field.encoded_bytes(), out);
            field.encode(out);
        }
    }

    /// Reads a row that takes all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Row, DecodeError> {
        if bytes.is_empty() {
            return Ok(Row::default());
        }
        if bytes.len() > limits::ROW_BYTES_MAX {
            return Err(DecodeError::TooLarge { bytes: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            VERSION => {}
            0 => return Err(DecodeError::Malformed("version zero")),
            version => return Err(DecodeError::NewerVersion { version, readable: VERSION }),
        }
        let mut row = Row::default();
        let mut fields = 0;
        let mut last = 0;
        while !reader.is_at_end() {
            let (tag, kind, payload) = read_field(&mut reader)?;
            if tag <= last {
                return Err(DecodeError::Malformed("fields out of order"));
            }
            if fields == limits::FIELDS_PER_ROW_MAX {
                return Err(DecodeError::Malformed("too many fields"));
            }
            row.set(tag, kind, payload)?;
            last = tag;
            fields += 1;
        }
        if fields == 0 {
            return Err(DecodeError::Malformed("a row without fields"));
        }
        Ok(row)
    }

    /// Hash of the causal state: equal for equal rows, whatever version of the encoding they came in.
    pub fn state_hash(&self) -> u128 {
        Row::state_hash_of(&self.encode())
    }

    /// [`Row::state_hash`] of the row that these bytes encode, without decoding them.
    pub fn state_hash_of(encoded: &[u8]) -> u128 {
        xxhash_rust::xxh3::xxh3_128(encoded.get(1..).unwrap_or_default())
    }

    /// Whether other nodes would take the row: its size, its fields and its actors. A merge can only leave the limits
    /// after a fault (thousands of actors on one key).
    pub fn is_within_limits(&self) -> bool {
        let counter = &self.string.counter;
        let actors = counter.entries.len().max(counter.baselines.len());
        actors <= limits::ACTORS_PER_FIELD_MAX
            && self.unknown.len() + KNOWN_FIELDS <= limits::FIELDS_PER_ROW_MAX
            && self.unknown.iter().all(|(_, field)| field.is_within_limits())
            && self.encoded_bytes_max() <= limits::ROW_BYTES_MAX
    }

    /// The length of the encoding, or a few bytes more.
    pub fn encoded_bytes_max(&self) -> usize {
        let StringState { register, counter, .. } = &self.string;
        let known =
            HLC_BYTES + register.encoded_bytes() + counter.entries.encoded_bytes() + counter.baselines.encoded_bytes();
        let unknown: usize = self.unknown.iter().map(|(_, field)| field.encoded_bytes()).sum();
        1 + known + unknown + (KNOWN_FIELDS + self.unknown.len()) * HEAD_BYTES_MAX
    }

    /// Puts a field that was read in its place.
    fn set(&mut self, tag: u32, kind: MergeKind, payload: &[u8]) -> Result<(), DecodeError> {
        let string = &mut self.string;
        let expected = match tag {
            TOUCHED => {
                string.touched = decode_touched(payload)?;
                MergeKind::LargestBytes
            }
            REGISTER => {
                string.register = Register::decode(payload)?;
                MergeKind::LatestStamp
            }
            ENTRIES => {
                string.counter.entries = PerActor::decode(payload)?;
                MergeKind::LargestEventPerActor
            }
            BASELINES => {
                string.counter.baselines = PerActor::decode(payload)?;
                MergeKind::LargestEventPerActor
            }
            _ => {
                self.unknown.push((tag, Field::decode(kind, payload)?));
                kind
            }
        };
        if kind == expected { Ok(()) } else { Err(DecodeError::Malformed("a field of another kind than its tag's")) }
    }
}

const KNOWN_FIELDS: usize = 4;

/// Tag, kind and length of a field within the limits.
const HEAD_BYTES_MAX: usize = 5 + 1 + 5;

fn put_head(tag: u32, kind: MergeKind, length: usize, out: &mut Vec<u8>) {
    put_number(tag.into(), out);
    out.push(kind as u8);
    put_number(length as u128, out);
}

fn read_field<'a>(reader: &mut Reader<'a>) -> Result<(u32, MergeKind, &'a [u8]), DecodeError> {
    let tag = u32::try_from(reader.number()?).map_err(|_| DecodeError::Malformed("a tag has more than 32 bits"))?;
    let kind = reader.byte()?;
    let kind = match MergeKind::from_number(kind) {
        Some(kind) => kind,
        None if kind == 0 => return Err(DecodeError::Malformed("merge kind zero")),
        None => return Err(DecodeError::NewerKind { tag, kind }),
    };
    Ok((tag, kind, reader.prefixed()?))
}

fn decode_touched(payload: &[u8]) -> Result<Hlc, DecodeError> {
    let mut reader = Reader::new(payload);
    let touched = decode_hlc(&mut reader)?;
    if reader.is_at_end() && touched != Hlc::default() {
        Ok(touched)
    } else {
        Err(DecodeError::Malformed("`touched` is not one reading of a clock"))
    }
}

/// `validate_merge` never refuses: merge is defined for all states.
impl crdts::CvRDT for Row {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Row::merge(self, &other);
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
