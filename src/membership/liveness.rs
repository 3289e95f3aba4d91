//! Who answers: liveness from the traffic itself, plus pings where there is none.
//!
//! A peer counts as reachable while it *answers*: only a message that responds to one of ours proves both directions,
//! so a link that is cut one way looks cut from both ends. Steers routing, hints and exchanges, never ownership.
//! Also keeps the peers' wall clocks, for the alarm on a clock that runs ahead.
//!
//! ```text
//! unreachable ──an answer──→ reachable ──silence for `suspect_after`, or a lost connection──→ unreachable
//!                  │ lost before within a minute: answers for a while (0.5 s, 1 s, 2 s, 4 s), without a gap
//! ```
//!
//! Silence counts only if several pings went unanswered in it: who was stalled itself asks first, and a network that loses one
//! message of twenty makes nobody suspect (five nodes: about once in a day, with no traffic at all). A peer that comes and goes is
//! believed less each time, until it stays, or starts anew.
//!
//! Above [`FULL_MESH_MAX`] peers not everybody is asked all the time: each node asks a few others in turn, so that all together
//! ask everyone many times a second, and whoever suspects a peer says so to three others, which ask it themselves before they
//! believe it. Whose rumour reaches whom is a graph in which everyone is a logarithm of steps from everyone (node i of n tells
//! 3i + 1 to 3i + 3: Imase and Itoh 1981). What that costs a node does not grow with the cluster; `starling-sim cost layout`
//! shows how long a death takes to be known to all. Sources: SWIM (Das 2002) for the turn and the rumour, without its indirect
//! pings. The crate `foca` is not used: up to some fifty nodes asking everybody is simpler and faster, and beyond that it would
//! bring a second view of who is a member beside the layout, which alone says so here.
//!
//! Costs: one ping per peer and `ping_interval` of silence, or eight of traffic; while a peer is silent, one every half interval.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::causality::Epoch;
use crate::ids::NodeId;
use crate::mutation::{self, Mutation};
use crate::time::{Now, Timestamp, WallTime, micros};

/// How this shard sees its peers.
#[derive(Debug)]
pub struct Liveness {
    me: NodeId,
    peers: BTreeMap<NodeId, Peer>,
    /// The last peer whose turn it was, among many.
    turn: NodeId,
    /// How many suspicions were told.
    told: usize,
}

#[derive(Debug, Default)]
struct Peer {
    answered_at: Option<Timestamp>,
    is_reachable: bool,
    /// Pings since it answered last.
    unanswered: u32,
    /// Of one that is not reachable: since when it has answered without a gap.
    answers_since: Option<Timestamp>,
    /// When it was lost in this start of it, the last few times.
    lost_at: VecDeque<Timestamp>,
    /// It is to be asked, whatever else.
    is_doubted: bool,
    epoch: Option<Epoch>,
    /// The peer's wall clock minus ours when it last told. Unit: microseconds.
    clock_offset: Option<i64>,
    /// What it told.
    clock_told: Option<WallTime>,
    /// When it told.
    clock_at: Option<Timestamp>,
}

/// A peer as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Who.
    pub node: NodeId,
    /// It answers.
    pub is_reachable: bool,
    /// Since it last answered. Unit: milliseconds; `None`: never.
    pub heard_ms_ago: Option<u64>,
    /// Rows owed to it: hints and debts.
    pub owed_rows: u64,
    /// Two live processes answer for it: it takes no writes.
    pub is_contested: bool,
    /// What it has not confirmed.
    #[serde(default)]
    pub lag: PeerLag,
}

/// What a peer has not confirmed of the writes that one node knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerLag {
    /// Writes that were answered and that it has not acknowledged, and rows that are owed to it (each for one write or more).
    pub operations: u64,
    /// Age of the oldest of them, up to a second more. Unit: milliseconds; `None`: there is none, or it was written down by a program that did not
    /// note it.
    pub oldest_ms: Option<u64>,
    /// So long ago began the oldest of the last complete exchanges with it, over the partitions that both own and that were
    /// compared since the start: what no debt tells of is at most that old. Unit: milliseconds.
    pub compared_ms_ago: Option<u64>,
    /// Partitions that both own and that were not compared since the start.
    pub uncompared_partitions: u32,
}

impl PeerLag {
    /// The lag of the same peer elsewhere, or of another one, is added: writes add up, ages are those of the oldest.
    pub fn add(&mut self, other: &PeerLag) {
        self.operations = self.operations.saturating_add(other.operations);
        self.oldest_ms = self.oldest_ms.max(other.oldest_ms);
        self.compared_ms_ago = self.compared_ms_ago.max(other.compared_ms_ago);
        self.uncompared_partitions = self.uncompared_partitions.saturating_add(other.uncompared_partitions);
    }
}

/// A peer's clock that was told so many ping intervals ago is asked for again, also while traffic makes pings needless.
const CLOCK_IS_OLD_AFTER: u32 = 8;

/// A peer is suspected once so many pings are unanswered, and it is a gap in the answers of one that is not reachable.
const UNANSWERED_MIN: u32 = 4;

/// Up to so many peers all of them are asked; of more, a few in turn.
pub const FULL_MESH_MAX: usize = 32;

/// Of more, so many are asked each time, twice per ping interval.
const TURNS: usize = 4;

/// Of those that were never heard, so many in addition: a start knows a thousand within a few seconds.
const STRANGERS: usize = 32;

/// A suspicion is told to so many.
const CONFIDANTS: usize = 3;

/// Losses within this time count.
const FLAPS_WITHIN: Duration = Duration::from_secs(60);

/// So long must a peer answer that was lost twice within that time; twice as long for each further loss.
const TRUSTED_AFTER: Duration = Duration::from_millis(500);

/// Losses that count at most: so long as after these a peer must answer at most, 4 s.
const FLAPS_MAX: usize = 5;

impl Peer {
    fn lose(&mut self, now: Timestamp) -> bool {
        self.answers_since = None;
        let was_reachable = std::mem::replace(&mut self.is_reachable, false);
        if was_reachable {
            self.lost_at.push_back(now);
            if self.lost_at.len() > FLAPS_MAX {
                self.lost_at.pop_front();
            }
        }
        was_reachable
    }

    /// How long it must answer before it is believed.
    fn trusted_after(&self, now: Timestamp) -> Duration {
        let losses = self.lost_at.iter().filter(|at| now.since(**at) < FLAPS_WITHIN).count();
        if losses < 2 || mutation::is_off(Mutation::FlapsBelieved) {
            return Duration::ZERO;
        }
        TRUSTED_AFTER * (1 << (losses - 2))
    }
}

impl Liveness {
    /// Nobody has answered yet.
    pub fn new(me: NodeId, members: impl Iterator<Item = NodeId>) -> Liveness {
        let peers = members.filter(|node| *node != me).map(|node| (node, Peer::default())).collect();
        Liveness { me, peers, turn: me, told: 0 }
    }

    /// Takes up the members of another layout; names those that are none any more.
    pub fn set_members(&mut self, members: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let gone: Vec<NodeId> = self.peers.keys().filter(|node| !members.contains(node)).copied().collect();
        self.peers.retain(|node, _| members.contains(node));
        for node in members.iter().filter(|node| **node != self.me) {
            self.peers.entry(*node).or_default();
        }
        gone
    }

    /// Whether a node can be asked. The own node always can.
    pub fn is_reachable(&self, node: NodeId) -> bool {
        node == self.me || self.peers.get(&node).is_some_and(|peer| peer.is_reachable)
    }

    /// Every peer, reachable or not.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.keys().copied()
    }

    /// Somebody says that a peer does not answer: it is asked soon. Nothing else is believed.
    pub fn doubt(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.is_doubted = true;
        }
    }

    /// A peer answered something. True if it was not reachable before, and is now.
    pub fn on_answer(&mut self, from: NodeId, now: Timestamp) -> bool {
        let Some(peer) = self.peers.get_mut(&from) else { return false };
        peer.answered_at = Some(now);
        peer.unanswered = 0;
        let since = *peer.answers_since.get_or_insert(now);
        if peer.is_reachable || now.since(since) < peer.trusted_after(now) {
            return false;
        }
        peer.is_reachable = true;
        true
    }

    /// A peer's frame told in which start it is. True if that is another one than was heard last, or the first.
    pub fn on_epoch(&mut self, from: NodeId, epoch: Epoch) -> bool {
        let Some(peer) = self.peers.get_mut(&from) else { return false };
        let is_other = peer.epoch.replace(epoch) != Some(epoch);
        if is_other {
            // What its process before it did says nothing of this one.
            peer.lost_at.clear();
        }
        is_other
    }

    /// The start in which a peer was last heard.
    pub fn epoch_of(&self, node: NodeId) -> Option<Epoch> {
        self.peers.get(&node).and_then(|peer| peer.epoch)
    }

    /// A peer told its wall clock.
    pub fn on_clock(&mut self, from: NodeId, theirs: WallTime, now: Now) {
        if let Some(peer) = self.peers.get_mut(&from) {
            let difference = i128::from(theirs.0) - i128::from(now.wall.0);
            peer.clock_told = Some(theirs);
            peer.clock_offset = i64::try_from(difference).ok();
            peer.clock_at = Some(now.mono);
        }
    }

    /// What a peer's wall clock showed when it last told.
    pub fn clock_told_by(&self, node: NodeId) -> Option<WallTime> {
        self.peers.get(&node).and_then(|peer| peer.clock_told)
    }

    /// A connection was lost. True if the peer was reachable before.
    pub fn on_lost(&mut self, node: NodeId, now: Timestamp) -> bool {
        self.peers.get_mut(&node).is_some_and(|peer| peer.lose(now))
    }

    /// Peers to be pinged now: those that have been silent for the interval, and those whose clock was told long ago.
    pub fn to_ping(&mut self, now: Timestamp, interval: Duration) -> Vec<NodeId> {
        let is_older = |at: Option<Timestamp>, span| at.is_none_or(|at| now.since(at) >= span);
        let clock_is_old_after = interval.saturating_mul(CLOCK_IS_OLD_AFTER);
        let is_due = |peer: &Peer| is_older(peer.answered_at, interval) || is_older(peer.clock_at, clock_is_old_after);
        let mut pinged = Vec::new();
        self.take_turns();
        let asks_all = self.peers.len() <= FULL_MESH_MAX;
        let is_asked = |peer: &Peer| asks_all || peer.is_doubted || peer.is_reachable && peer.unanswered > 0;
        for (node, peer) in self.peers.iter_mut().filter(|(_, peer)| is_asked(peer)) {
            peer.is_doubted = false;
            if !is_due(peer) {
                continue;
            }
            peer.unanswered = peer.unanswered.saturating_add(1);
            if !peer.is_reachable && peer.unanswered > UNANSWERED_MIN {
                peer.answers_since = None;
            }
            pinged.push(*node);
        }
        pinged
    }

    /// Among many peers: those whose turn it is are asked next, and some of those that were never heard.
    fn take_turns(&mut self) {
        if self.peers.len() <= FULL_MESH_MAX {
            return;
        }
        for node in after(&self.peers, self.turn).take(TURNS).collect::<Vec<NodeId>>() {
            self.turn = node;
            self.doubt(node);
        }
        let is_stranger = |peer: &&mut Peer| peer.answered_at.is_none() && peer.unanswered == 0;
        self.peers.values_mut().filter(is_stranger).take(STRANGERS).for_each(|peer| peer.is_doubted = true);
    }

    /// Whom to tell of a suspicion: nobody where everyone asks everyone, else a few that answer, others each time.
    pub fn confidants(&mut self) -> Vec<NodeId> {
        if self.peers.len() <= FULL_MESH_MAX {
            return Vec::new();
        }
        let mut nodes: Vec<NodeId> = self.peers.keys().copied().collect();
        let place = nodes.partition_point(|node| *node < self.me);
        nodes.insert(place, self.me);
        let first = CONFIDANTS * place + 1 + self.told;
        self.told = (self.told + CONFIDANTS) % nodes.len();
        let others = (first..first + nodes.len()).filter_map(|step| nodes.get(step % nodes.len()).copied());
        others.filter(|node| *node != self.me && self.is_reachable(*node)).take(CONFIDANTS).collect()
    }

    /// A peer speaks, which proves one direction only: if it is not reachable, it is asked.
    pub fn on_heard(&mut self, node: NodeId) {
        if !self.is_reachable(node) {
            self.doubt(node);
        }
    }

    /// Marks peers whose silence has become suspicious, although they were asked, and names them.
    pub fn suspect(&mut self, now: Timestamp, after: Duration) -> Vec<NodeId> {
        let mut suspects = Vec::new();
        for (node, peer) in &mut self.peers {
            let is_silent = peer.answered_at.is_none_or(|at| now.since(at) >= after);
            if peer.is_reachable && is_silent && peer.unanswered >= UNANSWERED_MIN {
                peer.lose(now);
                suspects.push(*node);
            }
        }
        suspects
    }

    /// How far the own wall clock is ahead of the median of the reachable peers' clocks. Unit: microseconds; negative
    /// when behind, 0 while fewer than two peers have told theirs (one cannot say whose clock is wrong).
    pub fn clock_ahead(&self) -> i64 {
        let mut offsets: Vec<i64> =
            self.peers.values().filter(|peer| peer.is_reachable).filter_map(|peer| peer.clock_offset).collect();
        if offsets.len() < 2 {
            return 0;
        }
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).map_or(0, |median| median.saturating_neg())
    }

    /// What the reachable peers' wall clocks show now, by what they told and how long ago that was: the median. Does not
    /// move when the own wall clock jumps. `None` while fewer than two have told theirs.
    pub fn wall_of_peers(&self, now: Timestamp) -> Option<WallTime> {
        let wall = |peer: &Peer| Some(peer.clock_told?.0.saturating_add(micros(now.since(peer.clock_at?))));
        let mut walls: Vec<u64> = self.peers.values().filter(|peer| peer.is_reachable).filter_map(wall).collect();
        walls.sort_unstable();
        walls.get(walls.len() / 2).filter(|_| walls.len() >= 2).copied().map(WallTime)
    }

    /// For `status`; `owed` tells the rows owed to a node, `is_contested` whether two processes answer for it, `lag` what it has
    /// not confirmed.
    pub fn status(
        &self,
        now: Timestamp,
        owed: impl Fn(NodeId) -> u64,
        is_contested: impl Fn(NodeId) -> bool,
        lag: impl Fn(NodeId) -> PeerLag,
    ) -> Vec<PeerStatus> {
        let status = |(node, peer): (&NodeId, &Peer)| PeerStatus {
            node: *node,
            is_reachable: peer.is_reachable,
            heard_ms_ago: peer.answered_at.map(|at| now.since(at).as_millis() as u64),
            owed_rows: owed(*node),
            is_contested: is_contested(*node),
            lag: lag(*node),
        };
        self.peers.iter().map(status).collect()
    }
}

/// The peers in the order of their ids, from the one after a node around to that one.
fn after(peers: &BTreeMap<NodeId, Peer>, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
    let later = peers.range((Bound::Excluded(node), Bound::Unbounded));
    later.chain(peers.range(..=node)).map(|(node, _)| *node)
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
