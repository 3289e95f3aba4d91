//! Rows that are owed, from their holder to an owner ([`crate::hints`]).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Marks, Refusal};
use crate::causality::Epoch;
use crate::ids::{OpId, RowVersion};
use crate::storage::RowKey;

/// Rows that are owed to the receiver, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliver {
    /// The holder's delivery.
    pub op: OpId,
    /// Whole rows of the addressed partition.
    pub rows: Vec<OwedRow>,
    /// Of an established owner: its directory, and how far the partition is settled there.
    pub marks: Option<Marks>,
}

/// One row that is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedRow {
    /// Which row.
    pub row: RowKey,
    /// The holder's version of what is sent.
    pub version: RowVersion,
    /// The whole state, encoded.
    pub state: Bytes,
}

/// Answer to [`Deliver`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The holder's delivery.
    pub op: OpId,
    /// The start of the holder that sent it.
    pub epoch: Epoch,
    /// What is durable now: marks at or below these versions are struck.
    pub rows: Vec<(RowKey, RowVersion)>,
    /// What was not taken.
    pub refused: Vec<(RowKey, Refusal)>,
    /// The receiver's pace: the next page not before this. Unit: milliseconds.
    pub pause_ms: u32,
}

impl Delivered {
    /// The first row that the owner refused because it would have changed what is frozen.
    pub fn first_frozen(&self) -> Option<&RowKey> {
        self.refused.iter().find(|(_, refusal)| *refusal == Refusal::Frozen).map(|(row, _)| row)
    }
}
