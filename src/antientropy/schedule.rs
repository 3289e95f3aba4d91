//! Which partition is compared with whom, and when.
//!
//! ```text
//! waiting ──its time──→ ready, of a kind ──room──→ running ──end──→ waiting for the interval, or for a retry
//!    ↑         │ not now        │ of no kind meanwhile
//!    └─put off─┴────────────────┘          woken when what it waits for may have come
//! ```
//!
//! Due: everything at the start and when a peer answers again; each pair of partition and co-owner once per interval.
//! The co-owner with the smaller id begins (both directions are repaired in one exchange), except that a newborn owner
//! always begins itself. A failed exchange is due again after [`RETRY_AFTER`]. A pair with which nothing can be done now (the other
//! side begins, or does not answer; another teacher comes first) is looked at again as late, unless it is woken: so each look
//! costs what begins or is put off by it, and not what waits. Among those of a kind the longest due comes first, however often it was
//! put off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{NodeId, PartitionId};
use crate::shard::Env;
use crate::time::Timestamp;

/// Pause after an exchange that did not complete, and before a pair is looked at again with which nothing could be done.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a pair has to wait for: room for one more of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This node has lost its data, and is read from all the same.
    Lost,
    /// This node is to own the partition, and is loaded.
    Load,
    /// Rows are compared, or given.
    Rows,
    /// Trees are compared.
    Walk,
}

/// When each partition is compared with each co-owner.
#[derive(Debug, Default)]
pub struct Schedule {
    pairs: BTreeMap<(PartitionId, NodeId), Due>,
    /// The pairs that wait for their time.
    by_time: BTreeSet<(Timestamp, PartitionId, NodeId)>,
    /// Those that wait for room, by when they became due.
    ready: BTreeMap<Kind, BTreeSet<(Timestamp, PartitionId, NodeId)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Looked at after `until`. It is due since then, or longer: then it was put off.
    Waits {
        since: Timestamp,
        until: Timestamp,
    },
    Ready {
        kind: Kind,
        since: Timestamp,
    },
    Running,
}

impl Due {
    fn at(at: Timestamp) -> Due {
        Due::Waits { since: at, until: at }
    }
}

impl Schedule {
    /// Every pair of an own partition and a co-owner is due at once if it is new, or the partition's owners change; the others
    /// keep their time. No exchange may be running.
    pub fn rebuild(&mut self, env: &Env<'_>, own: &BTreeSet<PartitionId>) {
        let before = std::mem::take(self);
        for partition in own {
            for peer in env.ring.owners(*partition).iter().filter(|owner| **owner != env.me) {
                let due = match before.pairs.get(&(*partition, *peer)) {
                    Some(Due::Waits { since, .. } | Due::Ready { since, .. }) if !env.ring.is_moved(*partition) => {
                        Due::at(*since)
                    }
                    Some(_) | None => Due::at(env.now.mono),
                };
                self.set((*partition, *peer), Some(due));
            }
        }
    }

    /// A pair that is due at once and was not compared so far: this node hands the partition over.
    pub fn add(&mut self, env: &Env<'_>, partition: PartitionId, peer: NodeId) {
        if !self.pairs.contains_key(&(partition, peer)) {
            self.set((partition, peer), Some(Due::at(env.now.mono)));
        }
    }

    /// The partition is compared with nobody any more.
    pub fn remove(&mut self, partition: PartitionId) {
        for pair in self.pairs_of(partition) {
            self.set(pair, None);
        }
    }

    /// A peer answers again: everything shared with it is due.
    pub fn on_reachable(&mut self, env: &Env<'_>, node: NodeId) {
        let shared: Vec<PartitionId> =
            self.pairs.keys().filter(|(_, peer)| *peer == node).map(|(partition, _)| *partition).collect();
        for partition in shared {
            self.hurry(env, partition, node);
        }
    }

    /// One pair is due now (a newborn found an established co-owner).
    pub fn hurry(&mut self, env: &Env<'_>, partition: PartitionId, node: NodeId) {
        let now = env.now.mono;
        if let Some(Due::Waits { since, .. } | Due::Ready { since, .. }) = self.pairs.get(&(partition, node)).copied() {
            self.set((partition, node), Some(Due::Waits { since: since.min(now), until: now }));
        }
    }

    /// What the partition's pairs wait for may have come: those that were put off are looked at again now.
    pub fn wake(&mut self, env: &Env<'_>, partition: PartitionId) {
        let is_put_off = |due: Option<&Due>| matches!(due, Some(Due::Waits { since, until }) if since < until);
        for pair in self.pairs_of(partition) {
            if is_put_off(self.pairs.get(&pair)) {
                self.hurry(env, partition, pair.1);
            }
        }
    }

    /// Looks at the pairs whose time has come: each waits for room of its kind from now on, or is put off.
    pub fn sort(&mut self, env: &Env<'_>, kind_of: impl Fn((PartitionId, NodeId)) -> Option<Kind>) {
        while let Some((until, partition, peer)) = self.by_time.first().copied() {
            if until > env.now.mono {
                break;
            }
            let Some(Due::Waits { since, .. }) = self.pairs.get(&(partition, peer)).copied() else { break };
            self.file(env, (partition, peer), since, &kind_of);
        }
    }

    /// Takes the pair of one of these kinds that is due the longest: it is running from now on. `kind_of` tells the kind that it has
    /// now.
    pub fn take(
        &mut self,
        env: &Env<'_>,
        kinds: &[Kind],
        kind_of: impl Fn((PartitionId, NodeId)) -> Option<Kind>,
    ) -> Option<(PartitionId, NodeId)> {
        loop {
            let heads = kinds.iter().filter_map(|kind| Some((*self.ready.get(kind)?.first()?, *kind)));
            let ((since, partition, peer), kind) = heads.min()?;
            let pair = (partition, peer);
            if env.liveness.is_reachable(peer) && kind_of(pair) == Some(kind) {
                self.set(pair, Some(Due::Running));
                return Some(pair);
            }
            self.file(env, pair, since, &kind_of);
        }
    }

    /// An exchange ended: when it is due again.
    pub fn on_end(&mut self, env: &Env<'_>, partition: PartitionId, peer: NodeId, is_complete: bool) {
        if !self.pairs.contains_key(&(partition, peer)) {
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
        self.set((partition, peer), Some(Due::at(env.now.mono.after(pause))));
    }

    fn file(
        &mut self,
        env: &Env<'_>,
        pair: (PartitionId, NodeId),
        since: Timestamp,
        kind_of: impl Fn((PartitionId, NodeId)) -> Option<Kind>,
    ) {
        let kind = env.liveness.is_reachable(pair.1).then(|| kind_of(pair)).flatten();
        let put_off = Due::Waits { since, until: env.now.mono.after(RETRY_AFTER) };
        self.set(pair, Some(kind.map_or(put_off, |kind| Due::Ready { kind, since })));
    }

    fn pairs_of(&self, partition: PartitionId) -> Vec<(PartitionId, NodeId)> {
        let of_partition = (partition, NodeId(u64::MIN))..=(partition, NodeId(u64::MAX));
        self.pairs.range(of_partition).map(|(pair, _)| *pair).collect()
    }

    fn set(&mut self, pair: (PartitionId, NodeId), due: Option<Due>) {
        let (partition, peer) = pair;
        let before = match due {
            Some(due) => self.pairs.insert(pair, due),
            None => self.pairs.remove(&pair),
        };
        match before {
            Some(Due::Waits { until, .. }) => {
                self.by_time.remove(&(until, partition, peer));
            }
            Some(Due::Ready { kind, since }) => {
                self.ready.entry(kind).or_default().remove(&(since, partition, peer));
            }
            Some(Due::Running) | None => {}
        }
        match due {
            Some(Due::Waits { until, .. }) => {
                self.by_time.insert((until, partition, peer));
            }
            Some(Due::Ready { kind, since }) => {
                self.ready.entry(kind).or_default().insert((since, partition, peer));
            }
            Some(Due::Running) | None => {}
        }
    }
}
