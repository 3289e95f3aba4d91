//! No forward runs twice, however often the network delivers it.
//!
//! A forward is the one message between nodes that is not idempotent: it makes its receiver mint. So each is accepted
//! once per (forwarder's start, dialogue), and only by the start of the receiver that the forwarder meant: what an
//! earlier start did with a copy, nobody here can know. Dialogues far behind the newest are refused as if seen
//! ([`WINDOW`], as in the anti-replay windows of DTLS).
//!
//! Each shard of the forwarder numbers its own dialogues, at its own pace, and nodes may be cut into different numbers
//! of shards: so there is a window per shard that forwards. Of two starts of a peer nobody here can say which is the
//! newer, because a frame may come late: so several have windows ([`STARTS_MAX`]), and the one that was silent longest
//! makes room and is refused from then on.

use std::collections::{BTreeMap, BTreeSet};

use crate::causality::Epoch;
use crate::ids::{NodeId, OpId};

/// How far behind the newest dialogue of a peer's shard a late forward may be. Unit: dialogues of that shard.
pub const WINDOW: u64 = 65_536;

/// Dialogues are numbered in steps of this, from the number of their shard.
pub const SHARDS_MAX: u64 = 1024;

/// Starts of one peer that have windows at once.
pub const STARTS_MAX: usize = 4;

/// Starts of one peer that are remembered as over.
pub const ENDED_STARTS_MAX: usize = 256;

/// Forwards that were taken, by peer.
#[derive(Debug, Default)]
pub(super) struct Replay {
    peers: BTreeMap<NodeId, Peer>,
    /// Counts the forwards that were looked at.
    time: u64,
}

#[derive(Debug, Default)]
struct Peer {
    starts: BTreeMap<Epoch, Start>,
    ended: BTreeSet<Epoch>,
}

#[derive(Debug, Default)]
struct Start {
    heard_at: u64,
    /// By shard of the forwarder.
    seen: BTreeMap<u64, BTreeSet<u64>>,
}

impl Replay {
    /// Whether a forward is new; if so it counts as taken from now on.
    pub fn admit(&mut self, from: NodeId, start: Epoch, op: OpId) -> bool {
        self.time += 1;
        let peer = self.peers.entry(from).or_default();
        if peer.ended.contains(&start) {
            return false;
        }
        if !peer.starts.contains_key(&start) && peer.starts.len() >= STARTS_MAX {
            peer.end_quietest();
        }
        let start = peer.starts.entry(start).or_default();
        start.heard_at = self.time;
        let seen = start.seen.entry(op.0 % SHARDS_MAX).or_default();
        let number = op.0 / SHARDS_MAX;
        let newest = seen.last().copied().unwrap_or(0);
        if number.saturating_add(WINDOW) <= newest || !seen.insert(number) {
            return false;
        }
        while seen.first().is_some_and(|oldest| oldest.saturating_add(WINDOW) <= newest.max(number)) {
            seen.pop_first();
        }
        true
    }
}

impl Peer {
    fn end_quietest(&mut self) {
        let Some(quietest) = self.starts.iter().min_by_key(|(_, start)| start.heard_at).map(|(epoch, _)| *epoch) else {
            return;
        };
        self.starts.remove(&quietest);
        self.ended.insert(quietest);
        if self.ended.len() > ENDED_STARTS_MAX {
            self.ended.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn op(number: u64, shard: u64) -> OpId {
        OpId(number * SHARDS_MAX + shard)
    }

    #[test]
    fn a_forward_is_taken_once() {
        let mut replay = Replay::default();
        assert!(replay.admit(PEER, Epoch(1), op(5, 0)));
        assert!(!replay.admit(PEER, Epoch(1), op(5, 0)));
        assert!(replay.admit(PEER, Epoch(1), op(3, 0)), "late, but new");
        assert!(replay.admit(NodeId(3), Epoch(1), op(5, 0)), "another peer's dialogue");
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut replay = Replay::default();
        assert!(replay.admit(PEER, Epoch(1), op(1, 0)));
        assert!(replay.admit(PEER, Epoch(1), op(WINDOW + 1, 0)));
        assert!(!replay.admit(PEER, Epoch(1), op(1, 0)));
        assert!(replay.peers[&PEER].starts[&Epoch(1)].seen[&0].len() == 1, "bounded by the window");
    }

    #[test]
    fn a_busy_shard_of_the_forwarder_does_not_shut_out_an_idle_one() {
        let mut replay = Replay::default();
        assert!(replay.admit(PEER, Epoch(1), op(10 * WINDOW, 1)));
        assert!(replay.admit(PEER, Epoch(1), op(1, 0)));
        assert!(!replay.admit(PEER, Epoch(1), op(1, 0)));
    }

    #[test]
    fn a_late_forward_of_an_earlier_start_does_not_end_the_present_one() {
        let mut replay = Replay::default();
        assert!(replay.admit(PEER, Epoch(9), op(1, 0)));
        assert!(replay.admit(PEER, Epoch(1), op(7, 0)), "an earlier start's, on its way since then");
        assert!(replay.admit(PEER, Epoch(9), op(2, 0)));
        assert!(!replay.admit(PEER, Epoch(9), op(1, 0)));
        assert!(!replay.admit(PEER, Epoch(1), op(7, 0)));
    }

    #[test]
    fn starts_beyond_the_bound_end_with_the_one_that_was_silent_longest() {
        let mut replay = Replay::default();
        for start in 0..=STARTS_MAX as u64 {
            assert!(replay.admit(PEER, Epoch(start), op(1, 0)));
        }
        assert!(!replay.admit(PEER, Epoch(0), op(2, 0)));
        assert!(replay.admit(PEER, Epoch(1), op(2, 0)));
        assert_eq!(replay.peers[&PEER].starts.len(), STARTS_MAX);
    }
}
