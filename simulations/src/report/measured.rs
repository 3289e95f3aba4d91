//! What a run measured: raw samples only. Everything shown is computed from these, so the virtual world and the drills
//! cannot differ in how a number is made.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling::message::client::{Outcome, Reason, RequestError};

use crate::plan::NodeIndex;

/// One run of one configuration of a plan. All times count from the start of the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// [`crate::plan::Configuration::name`].
    pub configuration: String,
    /// Where it ran.
    pub world: World,
    /// The seed of the run.
    pub seed: u64,
    /// Every request, in any order.
    pub ops: Vec<Op>,
    /// Owners compared with each other, in growing order of time.
    pub divergence: Vec<DivergenceSample>,
    /// The key whose counter is followed on every node; its owners come first.
    pub watched_key: String,
    /// The watched key on every node, in growing order of time.
    pub views: Vec<ViewSample>,
    /// Nodes that own the watched key.
    pub watched_owners: Vec<NodeIndex>,
    /// When each fault really began or ended: index of the plan's event, and the time.
    pub events: Vec<(usize, Duration)>,
    /// Every counter on every of its owners, read after the settling.
    pub final_counts: Vec<FinalCount>,
    /// Facts worth a line in the report: amnesia alarms, refused conversations, log lines of errors.
    pub notes: Vec<String>,
}

/// Where a run ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum World {
    /// Virtual clock, network and disks.
    Virtual,
    /// Real processes on this machine.
    Processes,
}

/// One request of the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Op {
    /// The node that the client is attached to.
    pub node: NodeIndex,
    /// What was asked.
    pub kind: OpKind,
    /// Of which key: `likes:3`.
    pub key: String,
    /// When it was meant to start: a late start counts as latency.
    pub start: Duration,
    /// When its outcome was known.
    pub end: Duration,
    /// What came of it.
    pub outcome: OpOutcome,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpKind {
    /// Adds this much.
    Increment(i64),
    /// Reads.
    Read,
    /// Writes a text.
    Put,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpOutcome {
    /// Served.
    Ok,
    /// Certainly not applied (a read: not answered); the reason in a few words.
    Refused(String),
    /// May have been applied.
    Unknown(String),
}

/// How far apart the owners were at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivergenceSample {
    /// When.
    pub at: Duration,
    /// Keys whose owners were all asked and answered.
    pub compared: u32,
    /// Of these, keys whose owners differ. Real processes are not asked at one instant: there, only keys that differed
    /// in the sample before too are counted, so that a write on its way is not taken for divergence.
    pub differing: u32,
}

/// The watched key as every node shows it by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSample {
    /// When.
    pub at: Duration,
    /// By node index: the sum of its counter (0 without a row), or `None` if it did not answer.
    pub counts: Vec<Option<i128>>,
}

/// What one owner shows of one counter at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalCount {
    /// Which counter.
    pub key: String,
    /// Which owner.
    pub owner: NodeIndex,
    /// The sum that it shows by itself; `None` if it did not answer.
    pub count: Option<i128>,
    /// Hash of the row's causal state.
    pub state_hash: String,
}

impl OpOutcome {
    /// The outcome of a request that failed for this reason, with the reason in a few words that do not depend on
    /// which node or how many, so that equal reasons can be counted.
    pub fn failed(error: &RequestError) -> OpOutcome {
        let words = match &error.reason {
            Reason::TooFewZones { .. } => "too few zones reachable",
            Reason::TooFewReachable { strict: true, .. } => "too few owners reachable",
            Reason::TooFewReachable { strict: false, .. } => "too few nodes reachable",
            Reason::DeadlineExceeded { .. } => "no quorum before the deadline",
            Reason::QuorumFailed { .. } => "the quorum failed",
            Reason::ImpossibleQuorum { .. } => "impossible quorum",
            Reason::NotANumber => "not a number",
            Reason::Overflow => "overflow",
            Reason::ValueTooLarge { .. } => "value too large",
            Reason::Busy { .. } => "busy",
            Reason::NoOwner => "no owner reachable",
            Reason::NotEstablished => "the partition has not been taken over yet",
            Reason::Settling { .. } => "what it removes is being settled",
            Reason::StaleLayout { .. } => "stale layout",
            Reason::CoordinatorLost { .. } => "the coordinator was lost",
            Reason::DiskReserve { .. } => "disk reserve",
            Reason::ClockAhead { .. } => "clock ahead",
            Reason::StorageFailed { .. } => "storage failed",
            Reason::NewerRow { .. } => "row of a newer program",
            Reason::Forbidden(_) => "forbidden",
            Reason::Backup(_) => "no backup",
            Reason::Stopping => "the node is stopping",
            Reason::WrongType { .. } => "another type",
            Reason::NotFinite => "not a finite number",
            Reason::TooMany { .. } => "too many items",
            Reason::Malformed(_) => "malformed command",
            Reason::ForeignToken { .. } => "foreign token",
            Reason::SessionExpired => "the session has expired",
            Reason::ContextSettled => "the context is too old",
            Reason::Unsettled => "not settled, and owners are away",
            Reason::LeaseTooLong { .. } => "the lease is too long",
            Reason::SessionReused { .. } => "the session's event was used before",
            Reason::TooManySessions => "too many sessions",
            Reason::CommandTooLarge { .. } => "the command is too large",
            Reason::AnswerTooLarge { .. } => "the answer is too large",
            Reason::Stale => "stale",
            Reason::TooManySiblings { .. } | Reason::SiblingsTooLarge { .. } => "too many siblings",
            Reason::TwoClaimants { .. } => "two processes of one member",
            Reason::NotFollowed => "a token with a whole collection",
        };
        match error.outcome {
            Outcome::NotApplied => OpOutcome::Refused(words.to_owned()),
            Outcome::Unknown => OpOutcome::Unknown(words.to_owned()),
        }
    }
}

impl Op {
    /// From the intended start to the known outcome.
    pub fn latency(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }

    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        match self.kind {
            OpKind::Increment(_) | OpKind::Put => true,
            OpKind::Read => false,
        }
    }

    /// Served, and within the deadline.
    pub fn is_served(&self, deadline: Duration) -> bool {
        self.outcome == OpOutcome::Ok && self.latency() <= deadline
    }
}
