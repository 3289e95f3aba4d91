//! The bytes of a row.
//!
//! ```text
//! version u8 │ (tag │ kind u8 │ length │ payload)*          tags ascending; an empty row is the empty byte string
//!
//! tag 1  touched      kind 1, largest bytes               wall u64 │ logical u32
//! tag 2  register     kind 2, latest stamp                see `register`
//! tag 3  entries      kind 3, largest event per actor     content p │ n, see `counter`
//! tag 4  baselines    kind 3, largest event per actor     content p │ n
//! tag 5  settled      kind 5, floor of the entries        see `settled`
//! tag 6  covered      kind 5, floor of the baselines      see `settled`
//! tag 7-12 touched    kind 1, largest bytes               of siblings, flag, sketch, set, map, sorted set
//! tag 13 siblings     kind 6, dotted                      see `dotted`
//! tag 14 flag         kind 6, dotted                      no values
//! tag 15 sketch       kind 7, sketch                      see `sketch`
//! tag 16 expiry       kind 2, latest stamp                see `expiry`
//! tag 17 presence     kind 6, dotted                      no values
//! tag 18 scored       kind 6, dotted                      see `score`
//! other               any kind                            kept and merged by kind alone, see `field`
//!
//! merge(x, y) = per tag the merge of its kind; what only one of them has is taken
//! ```
//!
//! There is one encoding per state: equal rows have equal bytes, and bytes that are not the encoding of any row are
//! refused. Numbers (tag, length, event, p, n) stand as in `wire`. These bytes are on disk and on the wire; the golden
//! files beside this module say that they never change.

use bytes::Bytes;

use super::Row;
use super::dotted::Dotted;
use super::error::DecodeError;
use super::expiry::Expiry;
use super::field::MergeKind;
use super::others::{Others, TOUCHABLE};
use super::per_actor::{Content, PerActor};
use super::register::{HLC_BYTES, Register, decode_hlc, encode_hlc};
use super::settled::{Covered, Settled, Sums};
use super::sketch::Sketch;
use super::string::StringState;
use super::wire::{Reader, put_number};
use crate::limits;
use crate::time::Hlc;

/// Version of the row encoding that this program writes, and the newest that it reads.
const VERSION: u8 = 1;

const TOUCHED: u32 = 1;
const REGISTER: u32 = 2;
const ENTRIES: u32 = 3;
const BASELINES: u32 = 4;
const SETTLED: u32 = 5;
const COVERED: u32 = 6;
/// Of the first of `others::TOUCHABLE`; the others follow.
const OTHERS_TOUCHED: u32 = 7;
const OTHERS_TOUCHED_LAST: u32 = OTHERS_TOUCHED + TOUCHABLE.len() as u32 - 1;
const SIBLINGS: u32 = 13;
const FLAG: u32 = 14;
const SKETCH: u32 = 15;
const EXPIRY: u32 = 16;
const PRESENCE: u32 = 17;
const SCORED: u32 = 18;

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
        if let Some(Sums { settled, covered }) = string.counter.sums() {
            if !settled.is_nothing() {
                put_head(SETTLED, MergeKind::Floor, settled.encoded_bytes(), out);
                settled.encode(ENTRIES as u8, out);
            }
            if !covered.is_nothing() {
                put_head(COVERED, MergeKind::Floor, covered.encoded_bytes(), out);
                covered.encode(BASELINES as u8, out);
            }
        }
        if let Some(others) = &self.others {
            others.encode(out);
        }
        // All known tags are smaller than any unknown one.
        for (tag, field) in self.unknown.iter() {
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
        if row.string.counter.sums().is_some() || !row.unknown.is_empty() {
            row.check_floors()?;
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
            && self.unknown.len() + SCORED as usize <= limits::FIELDS_PER_ROW_MAX
            && self.unknown.is_within_limits()
            && self.others.as_ref().is_none_or(|others| others.is_within_limits())
            && self.encoded_bytes_max() <= limits::ROW_BYTES_MAX
    }

    /// The length of the encoding, or a few bytes more.
    pub fn encoded_bytes_max(&self) -> usize {
        let StringState { register, counter, .. } = &self.string;
        let string =
            HLC_BYTES + register.encoded_bytes() + counter.entries.encoded_bytes() + counter.baselines.encoded_bytes();
        let sums = counter.sums().map_or(0, |Sums { settled, covered }| {
            settled.encoded_bytes() + covered.encoded_bytes() + 2 * HEAD_BYTES_MAX
        });
        let others = self.others.as_ref().map_or(0, |others| others.encoded_bytes() + OTHERS_FIELDS * HEAD_BYTES_MAX);
        let unknown: usize = self.unknown.iter().map(|(_, field)| field.encoded_bytes() + HEAD_BYTES_MAX).sum();
        1 + string + STRING_FIELDS * HEAD_BYTES_MAX + sums + others + unknown
    }

    /// Refuses records that stand in a sum already: no merge leaves them.
    fn check_floors(&self) -> Result<(), DecodeError> {
        let counter = &self.string.counter;
        let is_clean = counter.entries.through(counter.settled().tick).is_empty()
            && counter.baselines.through(counter.covered().tick).is_empty();
        if is_clean { self.unknown.check_floors() } else { Err(DecodeError::Malformed("records below their floor")) }
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
            SETTLED => {
                let settled = Settled::decode(ENTRIES as u8, payload)?;
                string.counter.read_sums(Sums { settled, covered: string.counter.covered() });
                MergeKind::Floor
            }
            COVERED => {
                let covered = Covered::decode(BASELINES as u8, payload)?;
                string.counter.read_sums(Sums { settled: string.counter.settled(), covered });
                MergeKind::Floor
            }
            OTHERS_TOUCHED..=SCORED => self.others.get_or_insert_default().set(tag, payload)?,
            _ => {
                self.unknown.push(tag, kind, payload)?;
                kind
            }
        };
        if kind == expected { Ok(()) } else { Err(DecodeError::Malformed("a field of another kind than its tag's")) }
    }
}

/// The types beside the string.
impl Others {
    fn encoded_bytes(&self) -> usize {
        TOUCHABLE.len() * HLC_BYTES
            + self.siblings.encoded_bytes()
            + self.flag.encoded_bytes()
            + self.sketch.encoded_bytes()
            + self.expiry.encoded_bytes()
            + self.presence.encoded_bytes()
            + self.scored.encoded_bytes()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for (tag, touched) in (OTHERS_TOUCHED..).zip(&self.touched) {
            if *touched != Hlc::default() {
                put_head(tag, MergeKind::LargestBytes, HLC_BYTES, out);
                encode_hlc(*touched, out);
            }
        }
        encode_dotted(SIBLINGS, &self.siblings, out);
        encode_dotted(FLAG, &self.flag, out);
        if !self.sketch.is_unwritten() {
            put_head(SKETCH, MergeKind::Sketch, self.sketch.encoded_bytes(), out);
            self.sketch.encode(out);
        }
        if !self.expiry.is_unwritten() {
            put_head(EXPIRY, MergeKind::LatestStamp, self.expiry.encoded_bytes(), out);
            self.expiry.encode(out);
        }
        encode_dotted(PRESENCE, &self.presence, out);
        encode_dotted(SCORED, &self.scored, out);
    }

    /// Puts a field that was read in its place. Returns the kind of its tag.
    fn set(&mut self, tag: u32, payload: &[u8]) -> Result<MergeKind, DecodeError> {
        match tag {
            OTHERS_TOUCHED..=OTHERS_TOUCHED_LAST => {
                let stamp = decode_touched(payload)?;
                let place = (tag - OTHERS_TOUCHED) as usize;
                if let Some(touched) = self.touched.get_mut(place) {
                    *touched = stamp;
                }
                return Ok(MergeKind::LargestBytes);
            }
            SIBLINGS => self.siblings = Dotted::decode(payload)?,
            FLAG => self.flag = Dotted::decode(payload)?,
            SKETCH => {
                self.sketch = Sketch::decode(payload)?;
                return Ok(MergeKind::Sketch);
            }
            EXPIRY => {
                self.expiry = Expiry::decode(payload)?;
                return Ok(MergeKind::LatestStamp);
            }
            PRESENCE => self.presence = Dotted::decode(payload)?,
            _ => self.scored = Dotted::decode(payload)?,
        }
        Ok(MergeKind::Dotted)
    }
}

fn encode_dotted<V: Content>(tag: u32, dotted: &Dotted<V>, out: &mut Vec<u8>) {
    if !dotted.is_empty() {
        put_head(tag, MergeKind::Dotted, dotted.encoded_bytes(), out);
        dotted.encode(out);
    }
}

/// Fields of the string but its sums: touched, register, entries, baselines.
const STRING_FIELDS: usize = 4;

/// Fields of the types beside the string.
const OTHERS_FIELDS: usize = (SCORED - OTHERS_TOUCHED + 1) as usize;

/// Tag, kind and length of a field within the limits.
const HEAD_BYTES_MAX: usize = 5 + 1 + 5;

pub(super) fn put_head(tag: u32, kind: MergeKind, length: usize, out: &mut Vec<u8>) {
    put_number(tag.into(), out);
    out.push(kind as u8);
    put_number(length as u128, out);
}

pub(super) fn read_field<'a>(reader: &mut Reader<'a>) -> Result<(u32, MergeKind, &'a [u8]), DecodeError> {
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

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
