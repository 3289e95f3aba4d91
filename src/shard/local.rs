//! What the parts of one shard tell each other, so that they never call each other.
//!
//! ```text
//! coordinator ──Task──→ replica ──Minted──→ coordinator ──Missing──→ hints (ledger) ──Task(Owe)──→ replica
//!                       replica ──Merged──→ exchange                 hints (delivery) ─Task(Strike)┘
//! stability ──Task(Settle)──→ replica ──Settled──→ stability         replica ──Surveyed──→ stability
//! transfer ──Task(Drop)──→ replica ──Dropped──→ transfer
//! coordinator ──Task(Read)──→ replica ──Task(Show), when a job has read side rows──→ replica
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::causality::{Epoch, Tick};
use crate::ids::{ConnectionId, NodeId, OpId, PartitionId, RequestId, RowVersion};
use crate::message::client::{Command, Outcome, Reason, Request, RequestError, Response, Visible};
use crate::message::peer::{Addressed, Part, Refusal, Wanted};
use crate::replica::Gathered;
use crate::stability::Surveyed;
use crate::storage::RowKey;
use crate::time::{Timestamp, WallTime};
use crate::value::{Beside, Row};

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
    /// For the coordinator: an answer to a request of its own.
    Answered {
        /// The dialogue that asked.
        op: OpId,
        /// What came of it.
        response: Response,
    },
    /// For stability: what a survey counted is durable.
    Surveyed(Surveyed),
    /// For the hints: a row has the marks that the present layout asks for, or could not be read.
    Retargeted {
        /// The look through the debts.
        op: OpId,
        /// It has.
        is_done: bool,
    },
    /// For stability: a row of a sweep was settled, or could not be.
    Settled {
        /// The sweep.
        op: OpId,
        /// It was.
        is_done: bool,
    },
    /// For the transfer: a row that was to be dropped was looked at.
    Dropped(PartitionId),
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

/// Work on one family of rows of the local replica.
#[derive(Clone, Debug)]
pub struct Task {
    /// The main row, or the only one that the task is about.
    pub row: RowKey,
    /// What to do.
    pub body: TaskBody,
}

/// What to do with a row.
#[derive(Clone, Debug)]
pub enum TaskBody {
    /// Mint a new dot.
    Mint(Box<Mint>),
    /// Merge a coordinator's fresh delta and acknowledge it.
    Replicate {
        /// The coordinator.
        from: NodeId,
        /// Its start.
        epoch: Epoch,
        /// Its dialogue.
        op: OpId,
        /// What changed in which row.
        parts: Vec<Part>,
        /// To a fallback: whom to hold it for.
        owed: Vec<NodeId>,
        /// The command only takes away.
        only_removes: bool,
        /// Number of the layout under which the coordinator said it.
        layout: u64,
    },
    /// Show the main row and what else is wanted.
    Read {
        /// Who asks.
        asker: Asker,
        /// Which rows beside the main row.
        beside: Wanted,
    },
    /// Show the main row with side rows that a job has read.
    Show {
        /// Who asks.
        asker: Asker,
        /// These.
        gathered: Gathered,
    },
    /// Mark owners that have not acknowledged the row.
    Owe {
        /// Who.
        owners: Vec<NodeId>,
        /// Which version.
        version: RowVersion,
        /// When the first write of it was answered without them.
        since: WallTime,
    },
    /// An owner acknowledged the row durably.
    Strike {
        /// Who.
        owner: NodeId,
        /// Up to which version.
        version: RowVersion,
    },
    /// An owner refuses the hint as one of what this node had sealed once: that part of it is owed no longer.
    Lose {
        /// Who.
        owner: NodeId,
        /// How far it had sealed.
        sealed: Tick,
    },
    /// Merge a whole row.
    Merge {
        /// The state, encoded.
        state: Bytes,
        /// Where it came from.
        source: MergeSource,
    },
    /// What is owed to a node that is no owner any more is owed to those that are.
    Retarget {
        /// The look through the debts.
        op: OpId,
    },
    /// Write the row with what is settled summed up, and delete it if nothing is left.
    Settle {
        /// The sweep.
        op: OpId,
    },
    /// Every owner has what this node, which is none, has of the row: delete it, unless it has marks.
    Drop {
        /// Where it stands.
        partition: PartitionId,
    },
}

/// Who wants to see rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A coordinator.
    Coordinator {
        /// Its node.
        from: NodeId,
        /// Its start.
        epoch: Epoch,
        /// Its dialogue.
        op: OpId,
    },
    /// A client that inspects this replica.
    Client {
        /// Its connection.
        connection: ConnectionId,
        /// Its number for the request.
        request_id: RequestId,
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
    pub command: Command,
    /// How many nodes must hold it.
    pub w: usize,
    /// The merge of the replicas that were asked; `None`: nobody was, the own rows decide.
    pub observed: Option<Observed>,
}

/// What a covering write has seen, merged from the replicas that were asked.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The main row, with what every session did in it.
    pub row: Row,
    /// The elements that were named.
    pub elements: BTreeMap<RowKey, Row>,
    /// What stands beside the main row and is not in it.
    pub beside: Beside,
}

/// What came of a mint.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The new write, or why there is none.
    pub outcome: Result<FreshWrite, NotMinted>,
}

/// Why nothing was minted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotMinted {
    /// It cannot be.
    Refused(RequestError),
    /// The own main row is not enough to cover: the coordinator must observe first.
    MustObserve,
}

impl From<RequestError> for NotMinted {
    fn from(error: RequestError) -> NotMinted {
        NotMinted::Refused(error)
    }
}

/// A write that was minted in this turn.
#[derive(Clone, Debug)]
pub struct FreshWrite {
    /// What to replicate: by row the version that contains it, and the delta.
    pub parts: BTreeMap<RowKey, (RowVersion, Row)>,
    /// What the key shows now.
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
        /// It is an established owner in the directory that is known here, and has forgotten as much as this node: its rows
        /// may change frozen ticks.
        is_vouched: bool,
    },
    /// An exchange that this shard takes part in.
    Exchange {
        /// Its dialogue here.
        op: OpId,
        /// As above.
        is_vouched: bool,
        /// A newborn takes over what it has slept through: what stands here up to this tick, and not in what comes, is
        /// given up. 0: nothing is.
        forgotten: Tick,
    },
    /// A reader found that this owner lacks something of it.
    Repair {
        /// The reader's coordinator.
        from: NodeId,
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
