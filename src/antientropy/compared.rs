//! What the last comparison with each co-owner found: the ground of the share of partitions whose replicas are equal.
//!
//! A pair counts as equal if its last exchange was complete, moved no row either way, and began not too long ago. An exchange
//! that repaired says that the replicas were not equal when it began; the next one says whether they are now. In memory, of this
//! start only. One entry per own partition and co-owner.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{NodeId, PartitionId};
use crate::shard::Env;
use crate::time::Timestamp;

/// A comparison counts for so many intervals.
const INTERVALS: u32 = 3;

/// The last complete exchange of each pair.
#[derive(Debug, Default)]
pub struct Compared {
    last: BTreeMap<(PartitionId, NodeId), Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    began: Timestamp,
    was_equal: bool,
}

impl Compared {
    /// An exchange is complete that began then.
    pub fn note(&mut self, partition: PartitionId, peer: NodeId, began: Timestamp, was_equal: bool) {
        let last = self.last.entry((partition, peer)).or_insert(Last { began, was_equal });
        if began >= last.began {
            *last = Last { began, was_equal };
        }
    }

    /// Forgets the other pairs.
    pub fn retain(&mut self, is_pair: impl Fn(PartitionId, NodeId) -> bool) {
        self.last.retain(|(partition, peer), _| is_pair(*partition, *peer));
    }

    /// Of these partitions of the node, how many were equal to every co-owner's when they were last compared.
    pub fn equal(&self, env: &Env<'_>, own: impl Iterator<Item = PartitionId>) -> u32 {
        let interval = env.config.exchange_interval;
        let age_max = if interval.is_zero() { Duration::MAX } else { interval.saturating_mul(INTERVALS) };
        let is_equal = |partition: PartitionId, peer: NodeId| {
            let last = self.last.get(&(partition, peer));
            last.is_some_and(|last| last.was_equal && env.now.mono.since(last.began) <= age_max)
        };
        let of_all = |partition: &PartitionId| {
            let owners = env.ring.owners(*partition);
            owners.iter().all(|owner| *owner == env.me || is_equal(*partition, *owner))
        };
        u32::try_from(own.filter(of_all).count()).unwrap_or(u32::MAX)
    }
}
