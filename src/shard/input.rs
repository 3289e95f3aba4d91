//! What a shard is told, and what it asks for: the whole interface between the core and its driver.

use std::sync::Arc;

use bytes::Bytes;

use super::observation::Observation;
use crate::causality::Epoch;
use crate::ids::{ConnectionId, NodeId, OpId, RequestId, Ticket};
use crate::membership::{Committed, LayoutEpoch};
use crate::message::client::{ClusterAnswer, ClusterCall, Request, Response};
use crate::message::peer::Frame;
use crate::ring::RingView;
use crate::storage::{Page, PageLimit, Range, RowKey, Space, StoreError};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client of this node asks.
    Client {
        /// Which connection; commands of one connection on one key keep their order.
        connection: ConnectionId,
        /// The client's number for it.
        request_id: RequestId,
        /// What it asks.
        request: Request,
    },
    /// A peer speaks. Its identity was proven by its certificate.
    Peer {
        /// Who.
        from: NodeId,
        /// What.
        frame: Frame,
    },
    /// A peer's connection is gone. What was given to [`Effect::Send`] for it and is not in `not_sent` may have arrived.
    PeerUnreachable {
        /// Who.
        node: NodeId,
        /// Frames that certainly never left.
        not_sent: Vec<Frame>,
    },
    /// The queue to a peer was full: this frame never left. The peer itself may be well.
    PeerQueueFull {
        /// Who.
        node: NodeId,
        /// What did not leave.
        frame: Frame,
    },
    /// Every turn up to this ticket is on disk (synced under `fsync`, written under `wal`).
    Durable(Ticket),
    /// A job ended.
    JobDone(JobResult),
    /// The process ends in good order: the turn that is open is the last one. What is kept up in memory only is written with it.
    Stopping,
    /// The node has adopted another layout, and remembers it durably. Every shard of it is told.
    RingChanged(Arc<RingView>),
    /// A peer's HELLO names a layout with a larger number than this node's: it is fetched.
    LayoutHeard {
        /// Who.
        from: NodeId,
        /// Which.
        layout: LayoutEpoch,
    },
    /// A call about the cluster, for shard 0. The caller may make it.
    Admin {
        /// Its connection.
        connection: ConnectionId,
        /// Its number for the call.
        request_id: RequestId,
        /// What it asks.
        call: ClusterCall,
    },
    /// The file system fell below its reserve (`true`) or rose above it again: writes are refused below it.
    DiskReserve {
        /// Below the reserve.
        is_below: bool,
    },
}

/// What the driver is to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answers a client.
    Reply {
        /// Its connection.
        connection: ConnectionId,
        /// Its number for the request.
        request_id: RequestId,
        /// The answer.
        response: Response,
    },
    /// Sends a frame to a peer. Never blocks: a full queue comes back as [`Input::PeerQueueFull`].
    Send {
        /// Who.
        to: NodeId,
        /// What.
        frame: Frame,
    },
    /// Sends a frame to one start of a peer, on the connection that this start opened: it may not be the process at the
    /// peer's address. Dropped if there is no such connection.
    SendBack {
        /// Who.
        to: NodeId,
        /// Which start of it.
        start: Epoch,
        /// What.
        frame: Frame,
    },
    /// Answers a call about the cluster.
    NodeReply {
        /// Its connection.
        connection: ConnectionId,
        /// Its number for the call.
        request_id: RequestId,
        /// The answer.
        answer: ClusterAnswer,
    },
    /// Of shard 0: this layout is durable here. The driver builds its view, off the shard's thread, and tells every shard
    /// with [`Input::RingChanged`]; then links and routing follow.
    Adopt(Box<Committed>),
    /// Reads from the store off the shard's thread; the result comes back as [`Input::JobDone`].
    StartJob(Job),
    /// What stands on disk is damaged, and the other owners have it: the driver notes that in the directory, durably, and ends the
    /// process. The next start sets the directory aside and begins with an empty one, as after the loss of a disk. Within one
    /// process that could not be: what this start has said of its rows to others would be taken for true.
    Restart {
        /// For the log.
        why: String,
    },
    /// A fact for logs, metrics and checkers.
    Observe(Observation),
}

/// A read that must not run in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Reads one row that was not in memory.
    Fetch {
        /// Which row.
        row: RowKey,
    },
    /// Reads a page of the rows of a range.
    ScanRows {
        /// Whose page it is.
        op: OpId,
        /// The range.
        range: Range,
        /// How much.
        limit: PageLimit,
    },
    /// Reads a page of the side rows of one key.
    ScanFamily {
        /// Whose page it is.
        op: OpId,
        /// The range.
        range: Range,
        /// How much.
        limit: PageLimit,
    },
    /// Reads a page of what is owed to an owner: index entries, each with its row.
    ScanDebts {
        /// Whose page it is.
        op: OpId,
        /// The range of the index.
        range: Range,
        /// How much.
        limit: PageLimit,
    },
}

/// What a job read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// Of [`Job::Fetch`].
    Fetched {
        /// Which row.
        row: RowKey,
        /// Its bytes, or `None` if it is not there.
        outcome: Result<Option<Bytes>, StoreError>,
    },
    /// Of [`Job::ScanRows`].
    Rows {
        /// Whose page it is.
        op: OpId,
        /// The page.
        outcome: Result<Page, StoreError>,
    },
    /// Of [`Job::ScanFamily`].
    Family {
        /// Whose page it is.
        op: OpId,
        /// The page.
        outcome: Result<Page, StoreError>,
    },
    /// Of [`Job::ScanDebts`].
    Debts {
        /// Whose page it is.
        op: OpId,
        /// The page.
        outcome: Result<DebtPage, StoreError>,
    },
}

impl JobResult {
    /// Why the job could not read, if it could not.
    pub fn error(&self) -> Option<&StoreError> {
        match self {
            JobResult::Fetched { outcome, .. } => outcome.as_ref().err(),
            JobResult::Rows { outcome, .. } | JobResult::Family { outcome, .. } => outcome.as_ref().err(),
            JobResult::Debts { outcome, .. } => outcome.as_ref().err(),
        }
    }
}

/// A page of debts to one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebtPage {
    /// Key of the index entry, and the row that it names as it was read (`None`: gone meanwhile).
    pub entries: Vec<(Bytes, Option<Bytes>)>,
    /// Whether the range ends with this page.
    pub is_last: bool,
}

impl Job {
    /// Runs the job against a store. The one implementation for every driver; it may wait for the disk.
    pub fn run(&self, store: &dyn crate::storage::Store) -> JobResult {
        match self {
            Job::Fetch { row } => {
                JobResult::Fetched { row: row.clone(), outcome: store.fetch(Space::Rows, row.as_bytes()) }
            }
            Job::ScanRows { op, range, limit } => {
                JobResult::Rows { op: *op, outcome: store.scan(Space::Rows, range, *limit) }
            }
            Job::ScanFamily { op, range, limit } => {
                JobResult::Family { op: *op, outcome: store.scan(Space::Rows, range, *limit) }
            }
            Job::ScanDebts { op, range, limit } => {
                JobResult::Debts { op: *op, outcome: debt_page(store, range, *limit) }
            }
        }
    }
}

fn debt_page(store: &dyn crate::storage::Store, range: &Range, limit: PageLimit) -> Result<DebtPage, StoreError> {
    let index = store.scan(Space::Debts, range, limit)?;
    let mut page = DebtPage { entries: Vec::with_capacity(index.entries.len()), is_last: index.is_last };
    let mut bytes = 0;
    let count = index.entries.len();
    for (position, (debt, _)) in index.entries.into_iter().enumerate() {
        let row = debt.get(8..).unwrap_or_default();
        let state = store.fetch(Space::Rows, row)?;
        bytes += debt.len() + state.as_ref().map_or(0, Bytes::len);
        page.entries.push((debt, state));
        if bytes >= limit.bytes && position + 1 < count {
            page.is_last = false;
            break;
        }
    }
    Ok(page)
}
