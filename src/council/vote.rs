//! The vote of this node on the next layout, durable before anybody hears of it.
//!
//! A wiped disk has forgotten what it voted, so its node does not vote again before that can matter no more: not on the
//! number that follows the first layout that it is given, nor on the one after that. Every living member has a layout before
//! the next but one is proposed, so it had voted on no later one. Where all owners of a partition of the first layout are heard
//! to be newborn, the cluster is being founded: no layout was decided yet. A node that is joining has never voted.
//!
//! It costs: with a wiped voter among two, or one of three down beside it, nothing is decided (`recover` does). It is not found
//! out if all owners of a partition are wiped together, or if none of the partitions of shard 0 is the node's.

use super::Council;
use super::record;
use crate::ids::{NodeId, PartitionId};
use crate::membership::Layout;
use crate::membership::layout::paxos::{Acceptor, Ask, Closed};
use crate::message::peer::LayoutMessage;
use crate::replica::{OpenError, Partitions};
use crate::ring::RingView;
use crate::shard::{Env, TimerKey, Turn};
use crate::storage::{Store, keyspace};

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
        if !self.keep(turn, keyspace::acceptor_key(), &self.vote) {
            return;
        }
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
        let next = self.present.layout.epoch.number + 1;
        self.vote = Acceptor::closed(next, self.closed_after(self.vote.why_closed()));
        self.voted_since = None;
        self.keep(turn, keyspace::acceptor_key(), &self.vote);
        turn.out.cancel_timer(&TimerKey::Proposal);
    }

    /// Whether a voter that was closed before the present layout may vote on the next one.
    fn closed_after(&self, before: Closed) -> Closed {
        let layout = &self.present.layout;
        let is_joining = layout.before.as_ref().is_some_and(|it| it.members.iter().all(|member| member.id != self.me));
        let next = layout.epoch.number + 1;
        match before {
            Closed::Forgotten { .. } if is_joining => Closed::No,
            Closed::Forgotten { through: None } => Closed::Forgotten { through: Some(next + 1) },
            Closed::Forgotten { through: Some(last) } if next <= last => before,
            Closed::No | Closed::Recovering | Closed::Forgotten { .. } => Closed::No,
        }
    }

    /// Writes down that a wiped voter does not vote, before it is taken for one that was never asked.
    pub(crate) fn keep_closed(&self, turn: &mut Turn) {
        if !self.vote.why_closed().is_open() {
            self.keep(turn, keyspace::acceptor_key(), &self.vote);
        }
    }

    /// An owner of a partition, perhaps this node itself, has nothing of it yet. If that is so of all of them, nobody has voted.
    pub(crate) fn on_newborn(&mut self, ring: &RingView, turn: &mut Turn, partition: PartitionId, owner: NodeId) {
        let is_first = self.present.layout.epoch.number == 1;
        if !is_first || !matches!(self.vote.why_closed(), Closed::Forgotten { .. }) {
            return self.newborns.clear();
        }
        let heard = self.newborns.entry(partition).or_default();
        heard.insert(owner);
        if ring.owners(partition).iter().all(|owner| *owner == self.me || heard.contains(owner)) {
            self.vote = Acceptor::new(self.vote.number());
            self.keep(turn, keyspace::acceptor_key(), &self.vote);
            self.newborns.clear();
        }
    }
}

/// The vote that a directory holds; of one that holds nothing at all of a member that owns data it is taken for lost.
pub(super) fn stored_vote(
    store: &dyn Store,
    ring: &RingView,
    partitions: &Partitions,
    (me, next): (NodeId, u64),
) -> Result<Acceptor<Layout>, OpenError> {
    let stored: Option<Acceptor<Layout>> =
        record::fetch(store, &keyspace::acceptor_key(), "the vote on the next layout")?;
    let is_new = stored.is_none() && partitions.iter().all(|(_, memory)| !memory.is_established);
    if is_new && partitions.iter().any(|(partition, _)| ring.is_owner(partition, me)) {
        return Ok(Acceptor::closed(next, Closed::Forgotten { through: None }));
    }
    Ok(stored.filter(|vote| vote.number() >= next).unwrap_or_else(|| Acceptor::new(next)))
}
