//! What the parts of one shard tell each other, so that they never call each other.
//!
//! ```text
//! coordinator ──Task──→ replica ──Minted──→ coordinator ──Missing──→ hints (ledger) ──Task(Owe)──→ replica
//!                       replica ──Merged──→ exchange                 hints (delivery) ─Task(Strike)┘
//! ```

use bytes::Bytes;

use crate::causality::Epoch;
use crate::ids::{ConnectionId, NodeId, OpId, RequestId, RowVersion};
use crate::message::client::{Outcome, Reason, Request, RequestError, Visible};
use crate::message::peer::{Addressed, Refusal};
use crate::storage::RowKey;
use crate::time::{Hlc, Timestamp};
use crate::value::Row;

/// One thing that is told.
#[derive(Clone, Debug)]
pub enum Local {
    /// A message of the own node to itself: it is a peer too.
    Peer(Addressed),
    /// For the replica.
    Task(Task),
    /// For the coordinator: what came of a mint.
    Minted(Minted),
    /// For the ledger: a write was answered, and these owners have not acknowledged it.
    Missing(Missing),
    /// For the exchange: a row is merged and durable, or refused.
    Merged(Merged),
    /// For the coordinator: the turn of a client's command that waited for an earlier one on its key.
    Start(Start),
}

/// A client's command that waited for an earlier one of its connection on its key.
#[derive(Clone, Debug)]
pub struct Start {
    /// The client's connection.
    pub connection: ConnectionId,
    /// The client's number for it.
    pub request_id: RequestId,
    /// The command.
    pub request: Request,
    /// Counted from its arrival.
    pub deadline: Timestamp,
}

/// Work on one row of the local replica.
#[derive(Clone, Debug)]
pub struct Task {
    /// Which row.
    pub row: RowKey,
    /// What to do.
    pub body: TaskBody,
}

/// What to do with a row.
#[derive(Clone, Debug)]
pub enum TaskBody {
    /// Mint a new dot.
    Mint(Mint),
    /// Merge a coordinator's fresh delta and acknowledge it.
    Replicate {
        /// The coordinator.
        from: NodeId,
        /// Its start.
        epoch: Epoch,
        /// Its dialogue.
        op: OpId,
        /// Its version of the row.
        version: RowVersion,
        /// The delta, encoded.
        delta: Bytes,
        /// To a fallback: whom to hold it for.
        owed: Vec<NodeId>,
    },
    /// Show the row to a coordinator.
    Read {
        /// The coordinator.
        from: NodeId,
        /// Its start.
        epoch: Epoch,
        /// Its dialogue.
        op: OpId,
    },
    /// Show the own view to a client.
    Inspect {
        /// Its connection.
        connection: ConnectionId,
        /// Its number for the request.
        request_id: RequestId,
    },
    /// Mark owners that have not acknowledged the row.
    Owe {
        /// Who.
        owners: Vec<NodeId>,
        /// Which version.
        version: RowVersion,
    },
    /// An owner acknowledged the row durably.
    Strike {
        /// Who.
        owner: NodeId,
        /// Up to which version.
        version: RowVersion,
    },
    /// Merge a whole row.
    Merge {
        /// The state, encoded.
        state: Bytes,
        /// Where it came from.
        source: MergeSource,
    },
}

/// A new dot to mint.
#[derive(Clone, Debug)]
pub struct Mint {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// Nothing is minted at it or after it.
    pub deadline: Timestamp,
    /// What to write.
    pub command: MintCommand,
}

/// What a mint writes.
#[derive(Clone, Debug)]
pub enum MintCommand {
    /// Adds to the counter.
    Increment(i64),
    /// Writes the register and covers what was observed (`None`: the own row).
    Put {
        /// The text.
        value: Bytes,
        /// The merge of the replicas that were asked.
        observed: Option<Row>,
    },
    /// Covers what was observed (`None`: the own row).
    Delete {
        /// The merge of the replicas that were asked.
        observed: Option<Row>,
    },
}

impl MintCommand {
    /// The largest stamp that the command has observed.
    pub fn latest_stamp(&self) -> Hlc {
        match self {
            MintCommand::Put { observed: Some(row), .. } | MintCommand::Delete { observed: Some(row) } => {
                row.latest_stamp()
            }
            MintCommand::Put { observed: None, .. }
            | MintCommand::Delete { observed: None }
            | MintCommand::Increment(_) => Hlc::default(),
        }
    }
}

/// What came of a mint.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The new write, or why there is none.
    pub outcome: Result<FreshWrite, RequestError>,
}

/// A write that was minted in this turn.
#[derive(Clone, Debug)]
pub struct FreshWrite {
    /// What to replicate.
    pub delta: Row,
    /// The row's version that contains it.
    pub version: RowVersion,
    /// What the row shows now.
    pub value: Visible,
}

/// Owners that have not acknowledged a write.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Which row.
    pub row: RowKey,
    /// Which version.
    pub version: RowVersion,
    /// Who.
    pub owners: Vec<NodeId>,
}

/// Where a whole row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeSource {
    /// A holder pays its debt.
    Delivery {
        /// The holder.
        from: NodeId,
        /// Its start.
        epoch: Epoch,
        /// Its dialogue.
        op: OpId,
        /// Its version of what it sent.
        version: RowVersion,
    },
    /// An exchange that this shard takes part in.
    Exchange {
        /// Its dialogue here.
        op: OpId,
    },
}

/// A row of an exchange is merged and durable, or refused.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The exchange's dialogue.
    pub op: OpId,
    /// Refused: nothing was changed.
    pub outcome: Result<(), Refusal>,
}

/// Refused, and nothing changed.
pub fn not_applied(reason: Reason) -> RequestError {
    RequestError { outcome: Outcome::NotApplied, reason }
}

/// It may have been applied.
pub fn unknown(reason: Reason) -> RequestError {
    RequestError { outcome: Outcome::Unknown, reason }
}
