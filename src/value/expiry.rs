//! When a key goes: a register of a deadline, or none.
//!
//! The last writer wins, so a shorter deadline after a longer one is the shorter, and a key that was made to stay can be
//! given one anew. A read hides what has expired; it is taken away by an ordinary removal of what was seen, never by a timer.
//!
//! Encoding: a register (see there) whose value is the deadline as `u64`, big-endian.

use bytes::Bytes;

use super::error::DecodeError;
use super::register::{Register, Stamp, Write};
use crate::time::WallTime;

/// A deadline that the last writer gave; the default is that nobody did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    deadline: Option<WallTime>,
    register: Register,
}

impl Expiry {
    /// One write of it.
    pub fn of(stamp: Stamp, deadline: Option<WallTime>) -> Expiry {
        let value = deadline.map(|deadline| Bytes::copy_from_slice(&deadline.0.to_be_bytes()));
        Expiry { deadline, register: Register::of(Write { stamp, value }) }
    }

    /// Whether nobody ever gave one.
    pub fn is_unwritten(&self) -> bool {
        self.register.is_unwritten()
    }

    /// The deadline, if there is one.
    pub fn deadline(&self) -> Option<WallTime> {
        self.deadline
    }

    /// When it was written.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.register.stamp()
    }

    /// When it was written, if it says that the key stays.
    pub fn tombstone(&self) -> Option<&Stamp> {
        self.register.tombstone()
    }

    /// Takes the later write. Returns whether anything changed.
    pub fn merge(&mut self, other: &Expiry) -> bool {
        let changed = self.register.merge(&other.register);
        if changed {
            self.deadline = other.deadline;
        }
        changed
    }

    /// Bytes that [`Expiry::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        self.register.encoded_bytes()
    }

    /// Appends the last write, if there is one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.register.encode(out);
    }

    /// Reads a write that takes all of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Expiry, DecodeError> {
        let register = Register::decode(bytes)?;
        let deadline = match register.value() {
            None => None,
            Some(value) => {
                let value: [u8; 8] =
                    value.as_ref().try_into().map_err(|_| DecodeError::Malformed("a deadline of another width"))?;
                Some(WallTime(u64::from_be_bytes(value)))
            }
        };
        Ok(Expiry { deadline, register })
    }
}
