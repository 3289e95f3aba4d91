//! The register: the last writer wins.
//!
//! ```text
//! merge(x, y) = max(x, y)     ordered by (hybrid logical clock, actor, event, value); nothing is smallest
//! ```
//!
//! The order is total, so replicas agree whatever arrives first. A deletion is a write of nothing: it keeps its stamp,
//! so that an older value that comes late stays deleted. The value takes part in the order only so that even two
//! writes under one stamp (which are never minted) converge.
//!
//! Encoding: `wall u64 │ logical u32 │ actor 16 │ event u64 │ 0` or `… │ 1 │ value`, big-endian, so that the order of
//! the bytes is the order of the registers.
//!
//! Source: Johnson and Thomas (RFC 677, 1975); Kulkarni et al. 2014 for the clock.

use bytes::Bytes;

use super::error::DecodeError;
use super::wire::Reader;
use crate::causality::{ActorId, Dot};
use crate::time::Hlc;

/// When, and under which dot, a register was written. A total order; no two writes of a row share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The coordinator's clock.
    pub hlc: Hlc,
    /// Who minted the write.
    pub actor: ActorId,
    /// Under which event.
    pub event: u64,
}

impl Stamp {
    /// Length of a stamp in bytes.
    pub const BYTES: usize = 36;

    /// The stamp of a write.
    pub fn new(hlc: Hlc, dot: Dot) -> Stamp {
        Stamp { hlc, actor: dot.actor, event: dot.event }
    }

    /// Appends the stamp.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_hlc(self.hlc, out);
        out.extend_from_slice(&self.actor.to_bytes());
        out.extend_from_slice(&self.event.to_be_bytes());
    }

    /// Reads a stamp. Event zero is refused: no write has it.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Stamp, DecodeError> {
        let hlc = decode_hlc(reader)?;
        let actor = ActorId::from_bytes(reader.array()?);
        let event = u64::from_be_bytes(reader.array()?);
        if event == 0 {
            return Err(DecodeError::Malformed("event zero"));
        }
        Ok(Stamp { hlc, actor, event })
    }
}

/// Length of a clock reading in bytes.
pub const HLC_BYTES: usize = 12;

/// Appends a clock reading, big-endian.
pub fn encode_hlc(hlc: Hlc, out: &mut Vec<u8>) {
    out.extend_from_slice(&hlc.wall.to_be_bytes());
    out.extend_from_slice(&hlc.logical.to_be_bytes());
}

/// Reads a clock reading.
pub fn decode_hlc(reader: &mut Reader<'_>) -> Result<Hlc, DecodeError> {
    Ok(Hlc { wall: u64::from_be_bytes(reader.array()?), logical: u32::from_be_bytes(reader.array()?) })
}

/// One write of a register; the fields stand in the order in which they decide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// When.
    pub stamp: Stamp,
    /// What; `None` is a deletion.
    pub value: Option<Bytes>,
}

/// A last-writer-wins register; `None` inside means that it was never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    write: Option<Write>,
}

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held<'a> {
    /// Never written, or deleted.
    Nothing,
    /// The canonical decimal text of an integer.
    Integer(i64),
    /// Any other bytes.
    Text(&'a Bytes),
}

const DELETED: u8 = 0;
const PRESENT: u8 = 1;

impl Register {
    /// A register that was written once.
    pub fn of(write: Write) -> Register {
        Register { write: Some(write) }
    }

    /// Whether it was never written; a deleted register was.
    pub fn is_unwritten(&self) -> bool {
        self.write.is_none()
    }

    /// The stamp of the last write.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.write.as_ref().map(|write| &write.stamp)
    }

    /// The stamp of the last write, if that was a deletion.
    pub fn tombstone(&self) -> Option<&Stamp> {
        self.write.as_ref().filter(|write| write.value.is_none()).map(|write| &write.stamp)
    }

    /// The value as it was written; `None` if there is none.
    pub fn value(&self) -> Option<&Bytes> {
        self.write.as_ref().and_then(|write| write.value.as_ref())
    }

    /// What it holds.
    pub fn held(&self) -> Held<'_> {
        match self.value() {
            None => Held::Nothing,
            Some(value) => canonical_integer(value).map_or(Held::Text(value), Held::Integer),
        }
    }

    /// Takes the later write. Returns whether anything changed.
    pub fn merge(&mut self, other: &Register) -> bool {
        let is_later = other.write > self.write;
        if is_later {
            self.clone_from(other);
        }
        is_later
    }

    /// Bytes that [`Register::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        let value = |write: &Write| write.value.as_ref().map_or(0, Bytes::len);
        self.write.as_ref().map_or(0, |write| Stamp::BYTES + 1 + value(write))
    }

    /// Appends the last write, if there is one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Some(Write { stamp, value }) = &self.write else { return };
        stamp.encode(out);
        match value {
            None => out.push(DELETED),
            Some(value) => {
                out.push(PRESENT);
                out.extend_from_slice(value);
            }
        }
    }

    /// Reads a register that was written and takes all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Register, DecodeError> {
        let mut reader = Reader::new(bytes);
        let stamp = Stamp::decode(&mut reader)?;
        let value = match (reader.byte()?, reader.remainder()) {
            (DELETED, []) => None,
            (PRESENT, value) => Some(Bytes::copy_from_slice(value)),
            _ => return Err(DecodeError::Malformed("a register that is neither deleted nor present")),
        };
        Ok(Register::of(Write { stamp, value }))
    }
}

/// The integer that these bytes are the one decimal text of: no sign of plus, no leading zeros, no minus zero.
fn canonical_integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let is_plain = match text {
        [b'0'] => true,
        [b'-', first, ..] | [first, ..] => (b'1'..=b'9').contains(first),
        [] => false,
    };
    is_plain.then_some(number)
}

/// `validate_merge` never refuses: merge is defined for all states.
impl crdts::CvRDT for Register {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Register::merge(self, &other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_decimal_text_of_an_integer_is_a_number() {
        for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            assert_eq!(canonical_integer(number.to_string().as_bytes()), Some(number));
        }
        for text in ["", "-", "+7", "07", "-0", "-07", "00", " 7", "7 ", "7.0", "1e3", "seven", "9223372036854775808"] {
            assert_eq!(canonical_integer(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(canonical_integer(b"\xff7"), None);
    }
}
