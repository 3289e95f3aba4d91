//! Which partition is compared with whom, and when.
//!
//! Due: everything at the start and when a peer answers again; each pair of partition and co-owner once per interval.
//! The co-owner with the smaller id begins (both directions are repaired in one exchange), except that a newborn owner
//! always begins itself. A failed exchange is due again after [`RETRY_AFTER`].

use std::collections::BTreeMap;
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    At(Timestamp),
    Running,
}

impl Schedule {
    /// Every pair of an own partition and a co-owner is due at once.
    pub fn new(env: &Env<'_>, own: impl Iterator<Item = PartitionId>) -> Schedule {
        let mut due = BTreeMap::new();
        for partition in own {
            for peer in env.ring.owners(partition).iter().filter(|owner| **owner != env.me) {
                due.insert((partition, *peer), Due::At(env.now.mono));
            }
        }
        Schedule { due }
    }

    /// A peer answers again: everything shared with it is due.
    pub fn on_reachable(&mut self, env: &Env<'_>, node: NodeId) {
        for ((_, peer), due) in &mut self.due {
            if *peer == node && *due != Due::Running {
                *due = Due::At(env.now.mono);
            }
        }
    }

    /// One pair is due now (a newborn found an established co-owner).
    pub fn hurry(&mut self, env: &Env<'_>, partition: PartitionId, node: NodeId) {
        if let Some(due) = self.due.get_mut(&(partition, node))
            && *due != Due::Running
        {
            *due = Due::At(env.now.mono);
        }
    }

    /// Takes up to `count` pairs that are due, that `may_begin` allows, and whose peer is reachable. Oldest first.
    pub fn take_due(
        &mut self,
        env: &Env<'_>,
        count: usize,
        may_begin: impl Fn(PartitionId, NodeId) -> bool,
    ) -> Vec<(PartitionId, NodeId)> {
        if count == 0 {
            return Vec::new();
        }
        let mut ready: Vec<(Timestamp, PartitionId, NodeId)> = self
            .due
            .iter()
            .filter_map(|((partition, peer), due)| match due {
                Due::At(at) if *at <= env.now.mono => Some((*at, *partition, *peer)),
                Due::At(_) | Due::Running => None,
            })
            .filter(|(_, partition, peer)| env.liveness.is_reachable(*peer) && may_begin(*partition, *peer))
            .collect();
        ready.sort_unstable();
        ready.truncate(count);
        for (_, partition, peer) in &ready {
            self.due.insert((*partition, *peer), Due::Running);
        }
        ready.into_iter().map(|(_, partition, peer)| (partition, peer)).collect()
    }

    /// An exchange ended: when it is due again.
    pub fn on_end(&mut self, env: &Env<'_>, partition: PartitionId, peer: NodeId, is_complete: bool) {
        let interval = env.config.exchange_interval;
        let pause = if !is_complete {
            RETRY_AFTER
        } else if interval.is_zero() {
            Duration::MAX
        } else {
            interval
        };
        self.due.insert((partition, peer), Due::At(env.now.mono.after(pause)));
    }
}
