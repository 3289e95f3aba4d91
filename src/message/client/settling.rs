//! Who waits for whom, and for what: what `status` shows of a partition that is not settled.

use serde::{Deserialize, Serialize};

use crate::causality::Tick;
use crate::ids::{NodeId, PartitionId};

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Any answer: the node is down, or cut off.
    Answer,
    /// It takes over the partition's data, or learns how far it is sealed.
    Data,
    /// It seals the tick: its clock, or hints that it cannot deliver, hold it back.
    Seal,
    /// It learns that all have sealed.
    Freeze,
    /// It looks through its rows and reports them.
    Report,
    /// It learns of a new directory.
    Directories,
    /// Its rows and the own ones become equal, by exchange.
    Exchange,
    /// It compacts too.
    Compaction,
    /// It folds too.
    Fold,
    /// It is given the same tick and actor lease as this node.
    Lifetimes,
    /// The partition moves: it hands over what it has, or, if it is this node itself, the change goes on.
    Move,
}

/// One node that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Waiting {
    /// For whom.
    pub node: NodeId,
    /// For what.
    pub need: Need,
}

/// A partition that has something to settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStability {
    /// Which.
    pub partition: PartitionId,
    /// Events up to this tick are refused.
    pub sealed: Tick,
    /// Rows up to this tick change only by exchange.
    pub frozen: Tick,
    /// Entries up to this tick are summed up.
    pub compacted: Tick,
    /// Baselines up to this tick are summed up, tombstones forgotten.
    pub folded: Tick,
    /// The last tick of which something is still to be settled or forgotten.
    pub newest: Tick,
    /// Rows with something unsettled when they were last looked through; `None`: not since the start.
    pub unsettled_rows: Option<u64>,
    /// Bytes of these rows.
    pub unsettled_bytes: Option<u64>,
    /// Whom the node waits for. Empty: for nothing but its own work, or for time.
    pub waiting: Vec<Waiting>,
}

impl Need {
    /// This need, of a node.
    pub fn of(self) -> impl Fn(NodeId) -> Waiting {
        move |node| Waiting { node, need: self }
    }
}
