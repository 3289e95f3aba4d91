//! No forward runs twice, however often the network delivers it.
//!
//! A forward is the one message between nodes that is not idempotent: it makes its receiver mint. So each is accepted
//! once per (forwarder's start, dialogue), and only by the start of the receiver that the forwarder meant: what an
//! earlier start did with a copy, nobody here can know. Dialogues far behind the newest are refused as if seen
//! ([`WINDOW`], as in the anti-replay windows of DTLS), and so is every start of a peer but its newest.

use std::collections::{BTreeMap, BTreeSet};

use crate::causality::Epoch;
use crate::ids::{NodeId, OpId};

/// How far behind the newest dialogue of a peer's start a late forward may be. Unit: dialogues of the peer.
pub const WINDOW: u64 = 65_536;

/// Starts of one peer that are remembered as over.
pub const ENDED_STARTS_MAX: usize = 256;

/// Forwards that were taken, by peer.
#[derive(Debug, Default)]
pub(super) struct Replay {
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Debug, Default)]
struct Peer {
    start: Epoch,
    ended: BTreeSet<Epoch>,
    seen: BTreeSet<OpId>,
}

impl Replay {
    /// Whether a forward is new; if so it counts as taken from now on.
    pub fn admit(&mut self, from: NodeId, start: Epoch, op: OpId) -> bool {
        let peer = self.peers.entry(from).or_insert_with(|| Peer { start, ..Peer::default() });
        if peer.ended.contains(&start) {
            return false;
        }
        if peer.start != start {
            peer.ended.insert(std::mem::replace(&mut peer.start, start));
            if peer.ended.len() > ENDED_STARTS_MAX {
                peer.ended.pop_first();
            }
            peer.seen.clear();
        }
        let newest = peer.seen.last().map_or(0, |newest| newest.0);
        if op.0.saturating_add(WINDOW) <= newest || !peer.seen.insert(op) {
            return false;
        }
        while peer.seen.first().is_some_and(|oldest| oldest.0.saturating_add(WINDOW) <= newest.max(op.0)) {
            peer.seen.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    #[test]
    fn a_forward_is_taken_once() {
        let mut replay = Replay::default();
        assert!(replay.admit(PEER, Epoch(1), OpId(5)));
        assert!(!replay.admit(PEER, Epoch(1), OpId(5)));
        assert!(replay.admit(PEER, Epoch(1), OpId(3)), "late, but new");
        assert!(replay.admit(NodeId(3), Epoch(1), OpId(5)), "another peer's dialogue");
    }

    #[test]
    fn what_is_older_than_the_window_or_of_an_ended_start_is_refused() {
        let mut replay = Replay::default();
        assert!(replay.admit(PEER, Epoch(1), OpId(1)));
        assert!(replay.admit(PEER, Epoch(1), OpId(WINDOW + 1)));
        assert!(!replay.admit(PEER, Epoch(1), OpId(1)));
        assert!(replay.peers[&PEER].seen.len() == 1, "bounded by the window");
        assert!(replay.admit(PEER, Epoch(9), OpId(1)), "a new start counts anew");
        assert!(!replay.admit(PEER, Epoch(1), OpId(WINDOW + 2)));
    }
}
