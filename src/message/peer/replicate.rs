//! Fresh writes, from a coordinator to replicas ([`crate::coordinator`], [`crate::replica`]).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::causality::Epoch;
use crate::config::Durability;
use crate::ids::{NodeId, OpId, RowVersion};
use crate::storage::RowKey;

/// A fresh write of the sender to one family of rows, taken whole or not at all. It carries no new dots but the
/// sender's own and those of client sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// One for each row that changed; not empty, all of one key.
    pub parts: Vec<Part>,
    /// Only to a fallback: the owners it is to hold the delta for.
    pub owed: Vec<NodeId>,
    /// The command only takes away: taken below the disk reserve, too.
    #[serde(default)]
    pub only_removes: bool,
}

/// What a write changed in one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which row.
    pub row: RowKey,
    /// The coordinator's version of the row that contains the delta.
    pub version: RowVersion,
    /// The delta, encoded as a row.
    pub delta: Bytes,
}

/// Answer to [`Replicate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicated {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The start of the coordinator that sent the delta.
    pub epoch: Epoch,
    /// Which rows, at which version of the coordinator.
    pub rows: Vec<(RowKey, RowVersion)>,
    /// How safely it is held, or why not.
    pub outcome: Result<Durability, Refusal>,
}
