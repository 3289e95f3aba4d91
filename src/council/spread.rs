//! How a decided layout reaches every node: whoever hears another speak under a larger number asks for it.
//!
//! Every frame names the layout that its sender acts by, and pings go everywhere; so a layout spreads as rumours do, each node
//! that has it being one more that tells. Who had it decided tells a few at once. Asked and sent at most once per peer and ping
//! interval. Sources: Demers 1987 (anti-entropy), Dynamo 2007 §4.8.1.

use super::Council;
use crate::ids::NodeId;
use crate::membership::LayoutEpoch;
use crate::membership::layout::{Committed, Descent};
use crate::message::client::{ClusterAnswer, ClusterError, RivalLayout};
use crate::message::peer::LayoutMessage;
use crate::shard::{Effect, Env, Observation, TimerKey, Turn};
use crate::storage::keyspace;
use crate::time::Timestamp;

/// Nodes that are told of a decision at once by who had it decided.
const TOLD_AT_ONCE: usize = 32;

/// A rival layout that was not heard of for so long is no alarm any more.
const RIVAL_FORGOTTEN_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

impl Council {
    /// A node speaks under a layout: asks for it if it is newer, sends the own one if it would not hear of it otherwise.
    pub(crate) fn on_layout_heard(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, heard: LayoutEpoch) {
        let own = self.present.layout.epoch;
        if heard == own {
            return;
        }
        if heard.number > own.number {
            self.ahead = Some((from, heard.number));
            self.pull(env, turn, from);
        } else if heard.number == own.number || !self.present.descends_from(heard) {
            self.on_rival(env, turn, from, heard);
        } else if !self.is_member(from) {
            // Nobody speaks to it of its own accord: it waits to be let join, has left, or is fenced.
            self.push(env, turn, from);
        }
    }

    pub(super) fn on_pull(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, have: u64) {
        if have < self.present.layout.epoch.number {
            self.push(env, turn, from);
        }
    }

    pub(super) fn on_push(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, committed: Committed) {
        if committed.layout.cluster != self.present.layout.cluster || committed.validate().is_err() {
            return;
        }
        match self.present.descent_of(&committed) {
            Descent::Known => {}
            Descent::Newer => self.adopt(turn, committed, false),
            Descent::Rival => self.on_rival(env, turn, from, committed.layout.epoch),
        }
    }

    /// Takes a decided layout up: remembered first, then the shards are told.
    pub(super) fn adopt(&mut self, turn: &mut Turn, committed: Committed, tells: bool) {
        let told: Vec<NodeId> = self.present.layout.members.iter().map(|member| member.id).collect();
        if !self.keep(turn, keyspace::layout_key(), &committed) {
            return;
        }
        self.present = committed;
        self.vote_on_next(turn);
        self.end_proposal(turn);
        if let Some(recovery) = self.recovery.take() {
            turn.out.cancel_timer(&TimerKey::Recovery);
            let lost = ClusterError::Lost { to: self.present.layout.epoch };
            self.answer(turn, recovery.asker, ClusterAnswer::Refused(lost));
        }
        self.moves.forget();
        self.forget_joined();
        turn.out.observe(Observation::LayoutDecided {
            number: self.present.layout.epoch.number,
            phase: self.present.layout.phase,
        });
        self.announce_decided(turn);
        if tells {
            self.tell(turn, told);
        }
    }

    /// Tells the driver of the present layout, once it is durable; of each once.
    pub(super) fn announce_decided(&mut self, turn: &mut Turn) {
        let number = self.present.layout.epoch.number;
        if self.announced >= number {
            return;
        }
        self.announced = number;
        let ticket = turn.memory_ticket();
        turn.out.perform_after(ticket, Effect::Adopt(Box::new(self.present.clone())));
    }

    /// Tells members of before and of now of what was decided: all of a small cluster, some of a large one.
    fn tell(&mut self, turn: &mut Turn, mut nodes: Vec<NodeId>) {
        nodes.extend(self.present.layout.members.iter().map(|member| member.id));
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|node| *node != self.me);
        if nodes.len() > TOLD_AT_ONCE {
            let first = self.draw() as usize % nodes.len();
            nodes.rotate_left(first);
            nodes.truncate(TOLD_AT_ONCE);
        }
        for node in nodes {
            self.say_durably(turn, node, LayoutMessage::Push(self.present.clone()));
        }
    }

    /// Asks a node for its layout, unless it was asked a moment ago.
    pub(super) fn pull(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId) {
        if is_due(&mut self.pulled, env, from) {
            let have = self.present.layout.epoch.number;
            self.say(turn, from, LayoutMessage::Pull { have });
        }
    }

    /// Asks once more for a newer layout that has not come.
    pub(super) fn pull_again(&mut self, env: &Env<'_>, turn: &mut Turn) {
        self.ahead = self.ahead.filter(|(_, number)| *number > self.present.layout.epoch.number);
        if let Some((node, _)) = self.ahead {
            self.pull(env, turn, node);
        }
    }

    /// Sends a node the own layout, unless it was sent a moment ago.
    pub(super) fn push(&mut self, env: &Env<'_>, turn: &mut Turn, to: NodeId) {
        if is_due(&mut self.pushed, env, to) {
            self.say_durably(turn, to, LayoutMessage::Push(self.present.clone()));
        }
    }

    fn on_rival(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, other: LayoutEpoch) {
        let rival = RivalLayout { own: self.present.layout.epoch, other, from };
        if self.rival.is_none() {
            turn.out.observe(Observation::RivalLayout { from, number: other.number });
        }
        self.rival = Some((rival, env.now.mono));
    }

    /// Whether this node was the one that acts by a layout that cannot be.
    pub(super) fn rival_from(&self, node: NodeId) -> bool {
        self.rival.is_some_and(|(rival, _)| rival.from == node)
    }

    /// Who was asked and told long ago, and rivals that are gone.
    pub(super) fn forget_old(&mut self, env: &Env<'_>) {
        let is_recent = |at: Timestamp| env.now.mono.since(at) < env.config.ping_interval;
        self.pulled.retain(|_, at| is_recent(*at));
        self.pushed.retain(|_, at| is_recent(*at));
        self.rival = self.rival.filter(|(_, at)| env.now.mono.since(*at) < RIVAL_FORGOTTEN_AFTER);
        self.forget_candidates(env);
    }
}

/// Whether the last time is a ping interval ago; it is now, then.
fn is_due(last: &mut std::collections::BTreeMap<NodeId, Timestamp>, env: &Env<'_>, node: NodeId) -> bool {
    let is_due = last.get(&node).is_none_or(|at| env.now.mono.since(*at) >= env.config.ping_interval);
    if is_due {
        last.insert(node, env.now.mono);
    }
    is_due
}
