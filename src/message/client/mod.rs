//! The dialogue of a client with a node.
//!
//! ```text
//! mod.rs      Hello, then Call → Answer; a Request is one key, one Command, and Options
//! command.rs  what can be asked of a key, type by type
//! answer.rs   what comes back
//! error.rs    what happened to the data, and what to do
//! node.rs     calls about the node itself
//! cluster.rs  calls about the cluster: its plan, its layout, and how far a change is
//! settling.rs who waits for whom before something may be forgotten
//! ```
//!
//! After the HELLO exchange a client sends [`Call`]s and gets one [`Answer`] each, in any order; `id` ties them.
//! A [`Request`] is about one key and goes to the shard of its partition; a [`NodeCall`] is about the node itself.

mod answer;
pub mod backup;
pub mod cluster;
mod command;
mod error;
mod node;
mod settling;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use answer::{Location, ObservedReply, PageReply, ReplicaView, Response, ValueReply, WriteAck, WriteReply};
pub use backup::{BackupRefusal, BackupTaken};
pub use cluster::{
    ClusterAnswer, ClusterCall, ClusterError, MemberProgress, MoveWait, PlanView, Progress, RivalLayout,
};
pub use command::{CollectionCommand, CollectionKind, Command, ElementChange, ElementWrite, SessionWrite, Upkeep};
pub use error::{Outcome, Reason, RequestError};
pub use node::{
    ConflictKind, ConflictStatus, Direction, FaultPlan, LinkFault, NodeAnswer, NodeCall, NodeStatus, PartitionRepair,
    ReadRepairStatus, SessionTerms, ShardStatus,
};
pub use settling::{Need, PartitionStability, Waiting};

use crate::ids::{ClusterId, Key, NodeId, RequestId};
use crate::membership::LayoutEpoch;
pub use crate::membership::liveness::{PeerLag, PeerStatus};
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
    /// A token of an earlier answer: a read waits until it shows what the token has seen, or fails as stale; an answer
    /// brings the token that has seen it too. Empty: begins a token. `None`: no session.
    pub token: Option<Bytes>,
    /// Zones in which nodes must hold a write, or show what is read. `None`: however few.
    pub zones: Option<u8>,
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
