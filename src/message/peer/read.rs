//! Rows of one key, from replicas to a coordinator.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::causality::{Epoch, Tick};
use crate::ids::{CollectionKind, NodeId, OpId};
use crate::storage::RowKey;

/// Asks for a replica's rows of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The main row of the key.
    pub row: RowKey,
    /// Which rows beside the main row.
    pub beside: Wanted,
}

/// Which side rows a coordinator wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// None.
    Nothing,
    /// Those of all sessions.
    Sessions,
    /// These elements.
    Elements(Vec<RowKey>),
    /// The elements after one.
    Page {
        /// Of which collection.
        kind: CollectionKind,
        /// `None`: from the first.
        after: Option<Bytes>,
        /// At most this many rows.
        count: u16,
    },
}

/// What a replica has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The main row, encoded (empty: nothing there).
    pub main: Bytes,
    /// What the main row's local header says of the side rows: equal on two replicas that have the same ones.
    pub beside: Bytes,
    /// The side rows that were wanted and are there.
    pub rows: Vec<(RowKey, Bytes)>,
    /// Of a page: everything before this key of a row was shown; `None`: to the end.
    pub until: Option<Bytes>,
    /// All actors that expire at this tick or before are settled here.
    pub settled: Tick,
    /// Baselines of ticks up to here are summed up, and what was deleted is forgotten.
    #[serde(default)]
    pub folded: Tick,
    /// For each co-owner of which it is known: how long ago the last complete exchange with it began. Unit: milliseconds.
    pub exchanged: Vec<(NodeId, u64)>,
}

/// Answer to [`Read`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAnswer {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The start of the coordinator that asked.
    pub epoch: Epoch,
    /// The rows, or why not.
    pub outcome: Result<Shown, Refusal>,
}
