//! The dialogue of a client with a node.
//!
//! After the HELLO exchange a client sends [`Call`]s and gets one [`Answer`] each, in any order; `id` ties them.
//! A [`Request`] is about one key and goes to the shard of its partition; a [`NodeCall`] is about the node itself.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causality::VersionVector;
use crate::config::Durability;
use crate::ids::{ClusterId, Key, NodeId, PartitionId, RequestId};
pub use crate::membership::liveness::PeerStatus;
use crate::membership::{Layout, LayoutEpoch};
pub use crate::value::Visible;

/// First message in both directions on every connection, between nodes too. Nothing counts before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The sender's cluster; another one is refused.
    pub cluster: ClusterId,
    /// The member that speaks; `None` for a client. Must be the one that the certificate names.
    pub node: Option<NodeId>,
    /// The sender's layout; `None` for a client that does not know it yet.
    pub layout: Option<LayoutEpoch>,
    /// The program's version, for people.
    pub version: String,
}

/// One call of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the client, unique among its unanswered calls on this connection.
    pub id: RequestId,
    /// What is asked.
    pub body: CallBody,
}

/// What a call is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallBody {
    /// One key.
    Key(Request),
    /// The node.
    Node(NodeCall),
}

/// The answer to the call with the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The call's id.
    pub id: RequestId,
    /// What came of it.
    pub body: AnswerBody,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerBody {
    /// To [`CallBody::Key`].
    Key(Response),
    /// To [`CallBody::Node`].
    Node(NodeAnswer),
}

/// A request about one key. Any node takes it; the coordinator may be another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The key.
    pub key: Key,
    /// What to do with it.
    pub command: Command,
    /// How.
    pub options: Options,
}

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The merge of R replicas.
    Get,
    /// Adds to the number.
    Increment {
        /// May be negative.
        by: i64,
    },
    /// Writes the register and covers the counter that was seen.
    Put {
        /// Text; the text of an integer makes the value a number.
        value: Bytes,
    },
    /// Covers all that was seen.
    Delete,
    /// The own, unmerged view of the node that is asked. Never forwarded.
    Inspect,
    /// Where the key lies. Never forwarded.
    Locate,
}

impl Command {
    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        match self {
            Command::Increment { .. } | Command::Put { .. } | Command::Delete => true,
            Command::Get | Command::Inspect | Command::Locate => false,
        }
    }
}

/// How a request is to be carried out; `None` takes the cluster's or the node's setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Replicas that must answer a read.
    pub r: Option<u8>,
    /// Nodes that must hold a write durably.
    pub w: Option<u8>,
    /// Quorums of owners only; fallbacks do not count.
    pub strict: bool,
    /// Unit: milliseconds from the arrival at the node.
    pub deadline_ms: Option<u32>,
    /// What a covering operation (put, delete) sees before it covers.
    pub observe: Observe,
}

/// What a covering operation covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observe {
    /// The merge of R replicas: nothing that was acknowledged a moment ago elsewhere is missed.
    #[default]
    Quorum,
    /// The coordinator's own row: faster, and covers less.
    Local,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To `Get`.
    Value(ValueReply),
    /// To `Increment`, `Put` and `Delete`: applied.
    Written(WriteReply),
    /// To `Inspect`.
    Inspected(ReplicaView),
    /// To `Locate`.
    Located(Location),
    /// Not done, or not known to be done.
    Failed(RequestError),
}

/// Answer to a read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueReply {
    /// The merged value.
    pub value: Visible,
    /// Fewer than R owners answered: there may be writes that nobody on this side has.
    pub partial: bool,
    /// A live counter stands beside a text register (a split made both); the next put covers it.
    pub conflict: bool,
    /// Whose answers were merged.
    pub answered: Vec<NodeId>,
}

/// Answer to a write that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReply {
    /// What the coordinator's replica shows after the write: an estimate while other writes are on their way.
    pub value: Visible,
    /// Who holds the write, and how safely.
    pub acks: Vec<WriteAck>,
    /// A covering operation saw fewer than R owners.
    pub partial: bool,
}

/// One node that holds a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteAck {
    /// The node.
    pub node: NodeId,
    /// How safely.
    pub durability: Durability,
    /// An owner; else a fallback that holds a hint.
    pub is_owner: bool,
}

/// One replica's own view of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaView {
    /// Whose view.
    pub node: NodeId,
    /// Whether the key belongs to that node.
    pub is_owner: bool,
    /// An owner that has not yet taken over its data.
    pub is_newborn: bool,
    /// What this replica alone shows.
    pub value: Visible,
    /// Sum of the counter alone, exact, as decimal text (it may exceed an i64).
    pub counter: String,
    /// Every write that the row has seen.
    pub seen: VersionVector,
    /// Owners to whom this node owes the row.
    pub owes: Vec<NodeId>,
    /// Hash of the row's causal state: equal hashes, equal replicas. Hexadecimal.
    pub state_hash: String,
}

/// Where a key lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Redis Cluster hash slot.
    pub slot: u16,
    /// Partition of the ring.
    pub partition: PartitionId,
    /// Owners in order of preference.
    pub owners: Vec<NodeId>,
    /// Fallbacks in order of preference.
    pub fallbacks: Vec<NodeId>,
}

/// A request that was not answered with success. [`Outcome`] says what happened to the data; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{outcome}: {reason}")]
pub struct RequestError {
    /// What happened to the data.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
}

/// What a failed request did to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Outcome {
    /// Nothing changed, and nothing will.
    #[error("not applied")]
    NotApplied,
    /// It may have been applied, or may still be. An increment that is sent again may count twice.
    #[error("unknown")]
    Unknown,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    /// Too few nodes of the accept set are reachable from the coordinator.
    #[error("{needed} {} needed, {reachable} reachable; retry when the network has healed{}",
        if *strict { "owners" } else { "nodes" }, if *strict { ", or without --strict" } else { ", or with a smaller quorum" })]
    TooFewReachable {
        /// R or W.
        needed: u8,
        /// Candidates that are not suspected.
        reachable: u8,
        /// Only owners counted.
        strict: bool,
    },
    /// The quorum did not answer in time.
    #[error("{answered} of {needed} answers before the deadline; read the value to see what became of it")]
    DeadlineExceeded {
        /// Answers that came.
        answered: u8,
        /// Answers needed.
        needed: u8,
    },
    /// Every candidate refused or failed before the quorum was complete.
    #[error(
        "{answered} of {needed} answers, and no candidate is left ({last_refusal}); a read can be sent again, a write whose \
         outcome is unknown only once its value was read"
    )]
    QuorumFailed {
        /// Answers that came.
        answered: u8,
        /// Answers needed.
        needed: u8,
        /// What the last refusing node said.
        last_refusal: String,
    },
    /// R or W is zero or more than N.
    #[error("a quorum of {asked} was asked for; 1 to {replicas} are possible")]
    ImpossibleQuorum {
        /// What was asked for.
        asked: u8,
        /// N.
        replicas: u8,
    },
    /// An increment of something that is not a number.
    #[error("the value is not an integer; put a number first, or delete the key")]
    NotANumber,
    /// The sum would leave the signed 64-bit range.
    #[error("the result would not fit a signed 64-bit integer; the value stays as it was")]
    Overflow,
    /// The value is too long.
    #[error("the value has {bytes} bytes, at most {bytes_max} are allowed")]
    ValueTooLarge {
        /// What was sent.
        bytes: u64,
        /// What is possible.
        bytes_max: u64,
    },
    /// A queue is full.
    #[error("the node is busy ({queue} is full); retry after a pause")]
    Busy {
        /// Which one.
        queue: String,
    },
    /// A covering operation that no owner could see, on a live counter.
    #[error("no owner is reachable, and the counter seen here may be incomplete; retry when an owner is back")]
    NoOwner,
    /// The nodes that could coordinate have not yet taken over the partition's data.
    #[error("the partition is being taken over by its owners; retry in a moment")]
    NotEstablished,
    /// Coordinator and forwarder disagree on who owns the key.
    #[error("the layout changed (this node is at epoch {have}); fetch it and retry")]
    StaleLayout {
        /// Number of the answering node's layout epoch.
        have: u64,
    },
    /// The coordinator that the request was forwarded to went away.
    #[error("node {node} was lost while it coordinated the request; read the value to see what became of it")]
    CoordinatorLost {
        /// Who.
        node: NodeId,
    },
    /// The disk is nearly full.
    #[error("the disk of node {node} is below its reserve; free space or retry on another node")]
    DiskReserve {
        /// Whose.
        node: NodeId,
    },
    /// The clock runs ahead.
    #[error("the clock of node {node} is {ahead_ms} ms ahead of its peers; correct it (increments still work)")]
    ClockAhead {
        /// Whose.
        node: NodeId,
        /// By how much.
        ahead_ms: u64,
    },
    /// The local store could not read.
    #[error("node {node} cannot read the row ({detail}); other replicas may")]
    StorageFailed {
        /// Whose store.
        node: NodeId,
        /// What it said.
        detail: String,
    },
    /// The row came from a newer program and cannot be changed by this one.
    #[error("the row holds data of a newer program; upgrade node {node}")]
    NewerRow {
        /// Who is too old.
        node: NodeId,
    },
    /// The call is not for this certificate, or this node was not started for it.
    #[error("refused: {0}")]
    Forbidden(String),
    /// The node is stopping.
    #[error("the node is stopping; use another")]
    Stopping,
}

/// A call about the node itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeCall {
    /// How the node is, and whom it sees.
    Status,
    /// The committed layout.
    Layout,
    /// Replaces the node's injected faults (only with `--drills` and an admin certificate). Empty: heals.
    SetFaults(FaultPlan),
}

/// Answer about the node itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeAnswer {
    /// To `Status`.
    Status(Box<NodeStatus>),
    /// To `Layout`.
    Layout(Box<Layout>),
    /// To `SetFaults`.
    FaultsSet,
    /// Refused.
    Failed(RequestError),
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Who.
    pub node: NodeId,
    /// The program's version.
    pub version: String,
    /// Number and hashes of its layout.
    pub layout: LayoutEpoch,
    /// The epoch of this start, hexadecimal.
    pub epoch: String,
    /// How often the directory was started.
    pub starts: u32,
    /// Unit: seconds.
    pub uptime_s: u64,
    /// What its acknowledgements mean.
    pub durability: Durability,
    /// Free bytes of the file system.
    pub disk_free_bytes: u64,
    /// Below the reserve: writes are refused.
    pub is_below_reserve: bool,
    /// Started with `--drills`.
    pub drills: bool,
    /// Injected faults that are in force now.
    pub faults: FaultPlan,
    /// Time of the last sync of the disk. Unit: microseconds; 0 before the first.
    pub last_sync_us: u64,
    /// The shards taken together.
    pub shards: ShardStatus,
}

/// How a shard is; of a node, the sum of its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// How it sees its peers.
    pub peers: Vec<PeerStatus>,
    /// Requests under way.
    pub open_ops: u64,
    /// Owners missing from writes that were answered, not yet written down as debts.
    pub ledger_entries: u64,
    /// Partitions that belong to the node.
    pub owned_partitions: u32,
    /// Of these, how many it has not yet taken over.
    pub newborn_partitions: u32,
    /// Exchanges completed since the start.
    pub exchanges: u64,
    /// Rows that exchanges brought or sent since the start.
    pub exchanged_rows: u64,
    /// Amnesia alarms since the start: own entries that this node does not remember.
    pub amnesia_alarms: u64,
    /// Own clock minus the median of the peers'. Unit: milliseconds, saturated.
    pub clock_ahead_ms: i64,
}

/// Injected faults of one node's links to its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPlan {
    /// Per peer.
    pub links: Vec<LinkFault>,
    /// The dead-man timer: faults end by themselves after this long. Unit: milliseconds.
    pub for_ms: u64,
}

/// What happens to the messages of one link, seen from the node that applies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFault {
    /// The other end.
    pub peer: NodeId,
    /// Which way.
    pub direction: Direction,
    /// Share of frames that vanish. Unit: per mille; 1000 cuts the link.
    pub drop_per_mille: u16,
    /// Added delay. Unit: milliseconds.
    pub delay_ms: u32,
}

/// A direction of a link, seen from the node that applies the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// What the peer sends to this node.
    Inbound,
    /// What this node sends to the peer.
    Outbound,
    /// Both.
    Both,
}
