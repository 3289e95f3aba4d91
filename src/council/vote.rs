//! The vote of this node on the next layout, durable before anybody hears of it.

use super::Council;
use crate::ids::NodeId;
use crate::membership::Layout;
use crate::membership::layout::paxos::{Acceptor, Ask};
use crate::message::peer::LayoutMessage;
use crate::shard::{Env, TimerKey, Turn};
use crate::storage::keyspace;

impl Council {
    /// A proposer asks for a promise, or for the acceptance of a layout.
    pub(super) fn on_ask(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, ask: Ask<Layout>) {
        let present = self.present.layout.epoch.number;
        if ask.number <= present {
            // It lacks what was decided.
            self.push(env, turn, from);
        } else if ask.number > present + 1 {
            self.pull(env, turn, from);
        }
        if !self.present.layout.voters().contains(&self.me) || ask.value.as_ref().is_some_and(|it| !self.may_follow(it))
        {
            return;
        }
        let answered = self.vote.on_ask(&ask);
        let reply = LayoutMessage::Reply(answered.reply);
        if !answered.is_to_be_kept {
            return self.say(turn, from, reply);
        }
        self.keep(turn, keyspace::acceptor_key(), &self.vote);
        if self.vote.accepted().is_some() {
            self.voted_since.get_or_insert(env.now.mono);
        }
        self.say_durably(turn, from, reply);
    }

    /// Whether a layout could be the next one at all.
    fn may_follow(&self, next: &Layout) -> bool {
        let present = &self.present.layout;
        next.cluster == present.cluster
            && next.epoch.number == present.epoch.number + 1
            && next.epoch.parent == present.epoch.content
            && next.validate().is_ok()
    }

    /// Begins to vote on the number after the present layout.
    pub(super) fn vote_on_next(&mut self, turn: &mut Turn) {
        self.vote = Acceptor::new(self.present.layout.epoch.number + 1);
        self.voted_since = None;
        self.keep(turn, keyspace::acceptor_key(), &self.vote);
        turn.out.cancel_timer(&TimerKey::Proposal);
    }
}
