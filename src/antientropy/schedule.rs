//! Which partition is compared with whom, and when.
//!
//! Due: everything at the start and when a peer answers again; each pair of partition and co-owner once per interval.
//! The co-owner with the smaller id begins (both directions are repaired in one exchange), except that a newborn owner
//! always begins itself. A failed exchange is due again after [`RETRY_AFTER`]. Costs a look at the pairs that are due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{NodeId, PartitionId};
use crate::shard::Env;
use crate::time::Timestamp;

/// Pause after an exchange that did not complete.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When each partition is compared with each co-owner.
#[derive(Debug, Default)]
pub struct Schedule {
    due: BTreeMap<(PartitionId, NodeId), Due>,
    /// The pairs that wait for their time.
    by_time: BTreeSet<(Timestamp, PartitionId, NodeId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    At(Timestamp),
    Running,
}

impl Schedule {
    /// Every pair of an own partition and a co-owner is due at once if it is new, or the partition's owners change; the others
    /// keep their time. No exchange may be running.
    pub fn rebuild(&mut self, env: &Env<'_>, own: &BTreeSet<PartitionId>) {
        let before = std::mem::take(self);
        for partition in own {
            for peer in env.ring.owners(*partition).iter().filter(|owner| **owner != env.me) {
                let due = match before.due.get(&(*partition, *peer)) {
                    Some(due @ Due::At(_)) if !env.ring.is_moved(*partition) => *due,
                    Some(_) | None => Due::At(env.now.mono),
                };
                self.set(*partition, *peer, due);
            }
        }
    }

    /// A pair that is due at once and was not compared so far: this node hands the partition over.
    pub fn add(&mut self, env: &Env<'_>, partition: PartitionId, peer: NodeId) {
        if !self.due.contains_key(&(partition, peer)) {
            self.set(partition, peer, Due::At(env.now.mono));
        }
    }

    /// The partition is compared with nobody any more.
    pub fn remove(&mut self, partition: PartitionId) {
        let pairs = (partition, NodeId(u64::MIN))..=(partition, NodeId(u64::MAX));
        let pairs: Vec<(PartitionId, NodeId)> = self.due.range(pairs).map(|(pair, _)| *pair).collect();
        for pair in pairs {
            if let Some(Due::At(at)) = self.due.remove(&pair) {
                self.by_time.remove(&(at, pair.0, pair.1));
            }
        }
    }

    /// A peer answers again: everything shared with it is due.
    pub fn on_reachable(&mut self, env: &Env<'_>, node: NodeId) {
        let shared: Vec<PartitionId> =
            self.due.keys().filter(|(_, peer)| *peer == node).map(|(partition, _)| *partition).collect();
        for partition in shared {
            self.hurry(env, partition, node);
        }
    }

    /// One pair is due now (a newborn found an established co-owner).
    pub fn hurry(&mut self, env: &Env<'_>, partition: PartitionId, node: NodeId) {
        if self.due.get(&(partition, node)).is_some_and(|due| *due != Due::Running) {
            self.set(partition, node, Due::At(env.now.mono));
        }
    }

    /// Takes up to `count` pairs that are due, that `may_begin` allows, and whose peer is reachable. Oldest first.
    pub fn take_due(
        &mut self,
        env: &Env<'_>,
        count: usize,
        may_begin: impl Fn(PartitionId, NodeId) -> bool,
    ) -> Vec<(PartitionId, NodeId)> {
        let ready: Vec<(PartitionId, NodeId)> = self
            .by_time
            .iter()
            .take_while(|(at, ..)| *at <= env.now.mono)
            .map(|(_, partition, peer)| (*partition, *peer))
            .filter(|(partition, peer)| env.liveness.is_reachable(*peer) && may_begin(*partition, *peer))
            .take(count)
            .collect();
        for (partition, peer) in &ready {
            self.set(*partition, *peer, Due::Running);
        }
        ready
    }

    /// An exchange ended: when it is due again.
    pub fn on_end(&mut self, env: &Env<'_>, partition: PartitionId, peer: NodeId, is_complete: bool) {
        if !self.due.contains_key(&(partition, peer)) {
            return;
        }
        let interval = env.config.exchange_interval;
        let pause = if !is_complete {
            RETRY_AFTER
        } else if interval.is_zero() {
            Duration::MAX
        } else {
            interval
        };
        self.set(partition, peer, Due::At(env.now.mono.after(pause)));
    }

    fn set(&mut self, partition: PartitionId, peer: NodeId, due: Due) {
        if let Some(Due::At(before)) = self.due.insert((partition, peer), due) {
            self.by_time.remove(&(before, partition, peer));
        }
        if let Due::At(at) = due {
            self.by_time.insert((at, partition, peer));
        }
    }
}
