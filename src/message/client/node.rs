//! Calls about the node itself.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BackupTaken, ClusterAnswer, ClusterCall, PartitionStability, PeerStatus, RequestError, RivalLayout};
use crate::config::Durability;
use crate::ids::{Key, NodeId, PartitionId};
use crate::membership::{Layout, LayoutEpoch, Member};
use crate::message::peer::MoveState;
use crate::time::WallTime;

/// A call about the node itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeCall {
    /// How the node is, and whom it sees.
    Status,
    /// The committed layout.
    Layout,
    /// Replaces the node's injected faults (only with `--drills` and an admin certificate). Empty: heals.
    SetFaults(FaultPlan),
    /// Takes a backup of the node under this name (only with an admin certificate).
    Backup {
        /// Of the directory that it will be in; see [`super::backup::check_name`].
        name: String,
    },
    /// About the cluster.
    Cluster(ClusterCall),
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
    /// To `Backup`.
    BackedUp(BackupTaken),
    /// To `Cluster`.
    Cluster(ClusterAnswer),
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
    /// What the rows take on disk, about. Unit: bytes.
    #[serde(default)]
    pub rows_bytes: u64,
    /// Started with `--drills`.
    pub drills: bool,
    /// Injected faults that are in force now.
    pub faults: FaultPlan,
    /// Time of the last sync of the disk. Unit: microseconds; 0 before the first.
    pub last_sync_us: u64,
    /// What a session must know before it names itself.
    pub sessions: SessionTerms,
    /// The shards taken together.
    pub shards: ShardStatus,
}

/// What a client must know to open a session: the cluster's slots of time, and this node's clock, which may differ from
/// the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTerms {
    /// Length of a tick, the same in the whole cluster. Unit: microseconds.
    pub tick_us: u64,
    /// So many ticks may the expiry of a session lie ahead. Unit: ticks.
    pub lease_ticks_max: u32,
    /// This node's clock as it answered. Unit: microseconds since the Unix epoch.
    pub wall: WallTime,
}

/// How a shard is; of a node, the sum of its shards. What an older node does not tell is zero or empty, so that a mixed
/// cluster can be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    /// Of these, how many were equal to every co-owner's copy when they were last compared, within three intervals of the exchange.
    pub equal_partitions: u32,
    /// Own partitions of which co-owners may lack something that no debt tells of, because too much was owed to them already. An
    /// exchange takes the mark away. At most [`crate::limits::REPAIRS_SHOWN_MAX`].
    pub needs_repair: Vec<PartitionRepair>,
    /// How many there are.
    pub needs_repair_partitions: u32,
    /// Exchanges completed since the start.
    pub exchanges: u64,
    /// Rows that exchanges brought or sent since the start.
    pub exchanged_rows: u64,
    /// What reads have found to be missing at owners since the start.
    pub read_repairs: ReadRepairStatus,
    /// Comparisons with a co-owner that began with trees, since the start.
    pub tree_walks: u64,
    /// Ranges of keys that differed in both comparisons of trees, and were exchanged, since the start.
    pub tree_differences: u64,
    /// Own partitions whose tree is not whole yet: they are compared row by row.
    pub trees_waiting: u32,
    /// Memory of the trees. Unit: bytes.
    pub tree_bytes: u64,
    /// Amnesia alarms since the start: own entries that this node does not remember, and partitions that peers have settled
    /// further than it remembers although they rest on what it said.
    pub amnesia_alarms: u64,
    /// Conflicts met since the start: writes and merges that left two types live under a key, or, there or in a field of a
    /// map, a text beside increments that it did not see, or increments that a put or a delete did not see.
    pub conflicts: u64,
    /// Keys and fields that had one when they were last written or merged, newest first. At most
    /// [`crate::limits::CONFLICTS_LISTED_MAX`].
    pub conflicting: Vec<ConflictStatus>,
    /// Alarms since the start about two live processes that claim one member id, this node's or a peer's.
    pub claim_alarms: u64,
    /// Such a rival of this node: the epoch of its start, hexadecimal. While there is one, writes are refused.
    pub rival: Option<String>,
    /// Own clock minus the median of the peers'. Unit: milliseconds, saturated.
    pub clock_ahead_ms: i64,
    /// Own partitions in which something is not settled yet, and whom they wait for; those that wait first. At most
    /// [`crate::limits::SETTLING_SHOWN_MAX`].
    pub settling: Vec<PartitionStability>,
    /// How many there are.
    pub settling_partitions: u32,
    /// How far the present change of the members is with it.
    pub moves: MoveState,
    /// Nodes that wait to be let join.
    pub candidates: Vec<Member>,
    /// Another layout of the same number was told, or of another past: nothing is decided before one side is gone.
    pub rival_layout: Option<RivalLayout>,
    /// An operator has halted the moving of data.
    pub is_move_paused: bool,
}

/// A partition of which co-owners may lack something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRepair {
    /// Which.
    pub partition: PartitionId,
    /// Who.
    pub owners: Vec<NodeId>,
}

/// Read repair since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadRepairStatus {
    /// Rows that this node, coordinating reads, sent to owners that had nothing of them. What they took they count as `taken`.
    pub missing: u64,
    /// Rows that it sent to owners that lacked a part of them.
    pub outdated: u64,
    /// Owners, or rows, that differed and were sent nothing: too much was sent within a second, a write of the key was under way,
    /// a row is too large, or owners have settled differently far. The exchange finds these.
    pub left_out: u64,
    /// Rows that owners still lacked when they were read again within seconds after they had been sent: the owners refuse them, or
    /// have not taken them yet. They are not sent again meanwhile.
    #[serde(default)]
    pub not_taken: u64,
    /// Rows that changed here because a reader's coordinator, this node or another one, sent them.
    pub taken: u64,
}

/// What did not see each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictKind {
    /// Two types are live, or a text stands beside increments.
    #[default]
    Together,
    /// A put or a delete, and increments that count in spite of it.
    Missed,
}

/// A key with a conflict, or a field of a map with one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictStatus {
    /// Which.
    pub key: Key,
    /// The field of the map; `None`: it is in the key itself.
    #[serde(default)]
    pub field: Option<Bytes>,
    /// What does not fit together.
    #[serde(default)]
    pub kind: ConflictKind,
    /// When it was met. Unit: milliseconds before the answer.
    pub ms_ago: u64,
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
