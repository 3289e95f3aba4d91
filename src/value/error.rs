//! What can go wrong with a value: a write that does not fit it, or bytes that are no row.

use crate::limits;

/// A write that was refused before it was minted. The row stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// An increment of a text.
    #[error("the value is not an integer")]
    NotANumber,
    /// The sum would leave the signed 64-bit range.
    #[error("the result would not fit a signed 64-bit integer")]
    Overflow,
    /// A session sent an event again with other totals.
    #[error("event {event} of this session was sent before with other totals")]
    EventReused {
        /// The event.
        event: u64,
    },
    /// A session's totals became smaller, or an earlier event's were larger than a later one's.
    #[error("the totals of this session at event {event} do not fit those that it sent before: they only grow")]
    TotalsShrank {
        /// The event.
        event: u64,
    },
    /// NaN, infinite, or a sum of scores beyond the largest.
    #[error("a score must be a finite number")]
    NotFinite,
    /// Longer than a value may be.
    #[error("the value has {bytes} bytes, at most {} are allowed", limits::VALUE_BYTES_MAX)]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// Too many values stand side by side.
    #[error("there would be {count} siblings, at most {} are allowed", limits::SIBLINGS_MAX)]
    TooManySiblings {
        /// How many there would be.
        count: usize,
    },
    /// Together they are too long.
    #[error("the siblings would have {bytes} bytes, at most {} are allowed", limits::SIBLING_BYTES_MAX)]
    SiblingsTooLarge {
        /// How long they would be.
        bytes: usize,
    },
}

/// Bytes that are no row of this program. Nothing was merged; the bytes are untouched where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer program: keep the bytes and upgrade.
    #[error("row version {version}, this program reads up to {readable}")]
    NewerVersion {
        /// What the row says.
        version: u8,
        /// The newest that this program reads.
        readable: u8,
    },
    /// A field that merges in a way that this program does not know: keep the bytes and upgrade.
    #[error("field {tag} has merge kind {kind}, which this program does not know")]
    NewerKind {
        /// Tag of the field.
        tag: u32,
        /// Its merge kind.
        kind: u8,
    },
    /// Longer than any row may be. Nothing was read.
    #[error("a row of {bytes} bytes, at most {} are allowed", limits::ROW_BYTES_MAX)]
    TooLarge {
        /// Length of the bytes.
        bytes: usize,
    },
    /// Not the canonical encoding of any row: damaged, or not a row.
    #[error("malformed row: {0}")]
    Malformed(&'static str),
}

impl DecodeError {
    /// Whether the bytes come from a newer program; else they are damaged, too large, or no row.
    pub fn is_newer(&self) -> bool {
        match self {
            DecodeError::NewerVersion { .. } | DecodeError::NewerKind { .. } => true,
            DecodeError::TooLarge { .. } | DecodeError::Malformed(_) => false,
        }
    }
}
