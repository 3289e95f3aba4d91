//! Whether one member id is claimed by two live starts: a bundle or a directory was copied, and both run.
//!
//! ```text
//!  a witness (any peer)                                    a start of member M
//!  frames of M name one start ──→ nothing to do
//!  … and then another ──────────→ each tick a new round ──Challenge{round, rival}──→ answers at once: Claim{round}
//!  both answered rounds that began after the other had spoken ──→ contested: each is told its rival
//!                                                          told of a live rival ──→ refuses writes, until nobody
//!                                                                                   has told it for a while
//! ```
//!
//! The shard calls it with the starts that frames name, with challenges and with claims, and asks it on the liveness
//! timer whom to challenge. Detection is exact, not a guess: frames that are late, repeated or out of order name old
//! starts for ever, so naming proves nothing. Answering a round does, for a round cannot be answered before it began:
//!
//! - A restart is never an alarm. The earlier start is dead before the later one speaks, and the rounds in question
//!   begin after that, so it answers none of them, whatever the network repeats.
//! - Two live starts are found as soon as each has answered one round; loss only delays it.
//! - The alarm ends by itself when one of them answers no more.
//!
//! What ends it is a timeout, and may be: no dot depends on it, every start mints under an epoch of its own. What is
//! at stake is what the member has promised: an acknowledgement of one of them strikes debts of the other.
//!
//! Costs: nothing while a peer names one start; else two small messages per start and tick, for a few seconds after
//! each restart. Memory: [`STARTS_MAX`] starts per member.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::causality::Epoch;
use crate::ids::NodeId;
use crate::time::Timestamp;

/// Starts of one member that are told apart at a time; of more, the one that was heard longest ago is forgotten.
pub const STARTS_MAX: usize = 4;

/// A start that nobody heard for so many times the patience is gone.
const FORGET_AFTER: u32 = 3;

/// What this shard knows of the starts of its peers, and of rivals of its own.
#[derive(Debug)]
pub struct Claims {
    me: NodeId,
    epoch: Epoch,
    peers: BTreeMap<NodeId, Peer>,
    /// The newest word of each peer about this member: its start and round. Older words are void.
    told: BTreeMap<NodeId, (Epoch, u64)>,
    /// Another live start of this member, and when it was last told of.
    rival: Option<(Epoch, Timestamp)>,
    alarms: u64,
}

#[derive(Debug, Default)]
struct Peer {
    /// The newest round that began. Rounds begin only while two starts are known.
    round: u64,
    starts: Vec<Start>,
    is_contested: bool,
}

#[derive(Debug)]
struct Start {
    epoch: Epoch,
    heard_at: Timestamp,
    /// The first round that began after it had spoken.
    joined: u64,
    /// The newest round that it answered, and when the answer came.
    answered: Option<(u64, Timestamp)>,
}

/// A challenge to be sent to one start, on the connection that it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The member.
    pub node: NodeId,
    /// The start of it that is meant.
    pub start: Epoch,
    /// To be answered.
    pub round: u64,
    /// Another start of the member that is alive, if that is proven.
    pub rival: Option<Epoch>,
}

/// A member's id became contested, or is no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The member.
    pub node: NodeId,
    /// Two live starts claim it.
    pub is_contested: bool,
}

impl Claims {
    /// Of a start of a member among others.
    pub fn new(me: NodeId, epoch: Epoch, members: impl Iterator<Item = NodeId>) -> Claims {
        let peers = members.filter(|node| *node != me).map(|node| (node, Peer::default())).collect();
        Claims { me, epoch, peers, told: BTreeMap::new(), rival: None, alarms: 0 }
    }

    /// Takes up the members of another layout.
    pub fn set_members(&mut self, members: &BTreeSet<NodeId>) {
        self.peers.retain(|node, _| members.contains(node));
        self.told.retain(|node, _| members.contains(node));
        for node in members.iter().filter(|node| **node != self.me) {
            self.peers.entry(*node).or_default();
        }
    }

    /// A frame named the start of its sender.
    pub fn on_frame(&mut self, from: NodeId, start: Epoch, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if let [only] = peer.starts.as_slice()
            && only.epoch == start
        {
            return;
        }
        if let Some(known) = peer.starts.iter_mut().find(|known| known.epoch == start) {
            known.heard_at = now;
            return;
        }
        if let [only] = peer.starts.as_mut_slice() {
            // Nobody listened for it while it was alone.
            only.heard_at = now;
        }
        if peer.starts.len() >= STARTS_MAX
            && let Some(oldest) = peer.starts.iter().map(|known| known.heard_at).min()
            && let Some(place) = peer.starts.iter().position(|known| known.heard_at == oldest)
        {
            peer.starts.remove(place);
        }
        peer.starts.push(Start { epoch: start, heard_at: now, joined: peer.round + 1, answered: None });
    }

    /// A start of a peer answered a round of this start.
    pub fn on_claim(&mut self, from: NodeId, start: Epoch, round: u64, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let newest = peer.round;
        let Some(known) = peer.starts.iter_mut().find(|known| known.epoch == start) else { return };
        let is_new = known.answered.is_none_or(|(answered, _)| round > answered);
        if is_new && (known.joined..=newest).contains(&round) {
            known.answered = Some((round, now));
        }
    }

    /// A peer challenged this start; `rival` is what it says. The caller answers in any case.
    pub fn on_challenge(
        &mut self,
        from: (NodeId, Epoch),
        round: u64,
        rival: Option<Epoch>,
        now: Timestamp,
    ) -> Option<Change> {
        let (node, start) = from;
        if !self.peers.contains_key(&node) {
            return None;
        }
        let is_stale = self.told.get(&node).is_some_and(|(told, newest)| *told == start && *newest >= round);
        if is_stale {
            return None;
        }
        self.told.insert(node, (start, round));
        let rival = rival.filter(|rival| *rival != self.epoch)?;
        let was_contested = self.rival.replace((rival, now)).is_some();
        (!was_contested).then(|| self.alarm(self.me))
    }

    /// Whom to challenge now, and which alarms began or ended. `patience`: silence that ends an alarm.
    pub fn on_timer(&mut self, now: Timestamp, patience: Duration) -> (Vec<Question>, Vec<Change>) {
        let mut questions = Vec::new();
        let mut begun = Vec::new();
        let mut changes = Vec::new();
        for (node, peer) in &mut self.peers {
            if peer.starts.len() < 2 {
                continue;
            }
            peer.forget_silent(now, patience * FORGET_AFTER);
            let is_contested = peer.has_rivals(now, patience);
            match (peer.is_contested, is_contested) {
                (false, true) => begun.push(*node),
                (true, false) => changes.push(Change { node: *node, is_contested }),
                (false, false) | (true, true) => {}
            }
            peer.is_contested = is_contested;
            questions.extend(peer.questions(*node, now, patience));
        }
        changes.extend(begun.into_iter().map(|node| self.alarm(node)));
        if self.rival.is_some_and(|(_, told_at)| now.since(told_at) >= patience) {
            self.rival = None;
            changes.push(Change { node: self.me, is_contested: false });
        }
        (questions, changes)
    }

    /// Another live start of this member: writes are refused.
    pub fn rival(&self) -> Option<Epoch> {
        self.rival.map(|(epoch, _)| epoch)
    }

    /// Whether this shard sees two live starts of a member.
    pub fn is_contested(&self, node: NodeId) -> bool {
        match node == self.me {
            true => self.rival.is_some(),
            false => self.peers.get(&node).is_some_and(|peer| peer.is_contested),
        }
    }

    /// Alarms since the start, about any member.
    pub fn alarms(&self) -> u64 {
        self.alarms
    }

    fn alarm(&mut self, node: NodeId) -> Change {
        self.alarms += 1;
        Change { node, is_contested: true }
    }
}

impl Peer {
    fn forget_silent(&mut self, now: Timestamp, after: Duration) {
        if let Some(newest) = self.starts.iter().map(|start| start.heard_at).max() {
            self.starts.retain(|start| start.heard_at == newest || now.since(start.heard_at) < after);
        }
    }

    /// Begins a round if there is more than one start to tell apart.
    fn questions(&mut self, node: NodeId, now: Timestamp, patience: Duration) -> Vec<Question> {
        if self.starts.len() < 2 {
            return Vec::new();
        }
        self.round += 1;
        let round = self.round;
        let question = |start: &Start| Question {
            node,
            start: start.epoch,
            round,
            rival: self.rival_of(start, now, patience).map(|rival| rival.epoch),
        };
        self.starts.iter().map(question).collect()
    }

    fn has_rivals(&self, now: Timestamp, patience: Duration) -> bool {
        self.starts.iter().any(|start| self.rival_of(start, now, patience).is_some())
    }

    /// A start that is alive together with this one: each answered a round that began after the other had spoken, and
    /// both have answered lately.
    fn rival_of(&self, one: &Start, now: Timestamp, patience: Duration) -> Option<&Start> {
        let is_rival = |other: &&Start| {
            one.epoch != other.epoch
                && one.answered_since(other.joined, now, patience)
                && other.answered_since(one.joined, now, patience)
        };
        self.starts.iter().find(is_rival)
    }
}

impl Start {
    fn answered_since(&self, round: u64, now: Timestamp, patience: Duration) -> bool {
        self.answered.is_some_and(|(answered, at)| answered >= round && now.since(at) < patience)
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
