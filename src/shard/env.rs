//! What every part of a shard may look at while it handles an input.

use crate::causality::Epoch;
use crate::config::ShardConfig;
use crate::ids::{NodeId, PartitionId};
use crate::membership::liveness::Liveness;
use crate::ring::RingView;
use crate::time::{Now, Timestamp};

/// Which of a node's shards this is: it keeps the partitions whose number modulo `count` is `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardScope {
    /// From 0.
    pub index: usize,
    /// Shards of the node.
    pub count: usize,
}

impl ShardScope {
    /// Whether the partition is this shard's.
    pub fn has(self, partition: PartitionId) -> bool {
        usize::from(partition.0) % self.count.max(1) == self.index
    }
}

/// The world as a shard sees it at this input. Read only.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The time of the input.
    pub now: Now,
    /// Which partitions are this shard's.
    pub scope: ShardScope,
    /// The knobs.
    pub config: &'a ShardConfig,
    /// The own member id.
    pub me: NodeId,
    /// The own start.
    pub epoch: Epoch,
    /// Who owns what.
    pub ring: &'a RingView,
    /// Who answers.
    pub liveness: &'a Liveness,
    /// The file system is below its reserve: writes are refused.
    pub is_below_reserve: bool,
    /// The own clock is this far ahead of the peers, beyond the bound: register writes are refused. Unit: ms.
    pub clock_ahead_ms: Option<u64>,
}

impl Env<'_> {
    /// A deadline from now, bounded to what a client may ask for.
    pub fn deadline(&self, asked_ms: Option<u32>) -> Timestamp {
        let span = asked_ms.map_or(self.config.request_deadline, |ms| std::time::Duration::from_millis(u64::from(ms)));
        self.now.mono.after(span.min(crate::limits::DEADLINE_MAX))
    }

    /// What is left until a deadline. Unit: milliseconds.
    pub fn remaining_ms(&self, deadline: Timestamp) -> u32 {
        u32::try_from(deadline.since(self.now.mono).as_millis()).unwrap_or(u32::MAX)
    }
}
