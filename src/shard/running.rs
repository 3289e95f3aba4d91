//! An exchange that moves data, as far as it has come: comparing co-owners tells it, moving data counts it.

use crate::ids::{NodeId, PartitionId};

/// How far an exchange that moves data one way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The partition.
    pub partition: PartitionId,
    /// The other side.
    pub peer: NodeId,
    /// Rows that came or went.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// About how many rows of the partition the other side has, if it told.
    pub rows_there: Option<u64>,
}
