//! Having a layout decided, or finishing what another one began.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Asker, Council};
use crate::ids::NodeId;
use crate::membership::Layout;
use crate::membership::layout::paxos::{Ask, Proposer, Reply, Step};
use crate::message::client::{ClusterAnswer, ClusterError};
use crate::message::peer::LayoutMessage;
use crate::shard::{Env, TimerKey, Turn};
use crate::time::Timestamp;

/// So long attempts are repeated; then whoever asked is told what is known.
const PATIENCE: Duration = Duration::from_secs(10);

/// A vote that stands for so long without a decision is taken up by the first voter, by the second a second later …
const ABANDONED_AFTER: Duration = Duration::from_secs(2);

/// Attempts for one number.
#[derive(Debug)]
pub(super) struct Proposal {
    proposer: Proposer<Layout>,
    /// Content of the own layout; `None`: only what others began is finished.
    own: Option<u64>,
    askers: Vec<Asker>,
    until: Timestamp,
    /// Voters that answered anything.
    answered: BTreeSet<NodeId>,
    /// Somebody was asked to accept: it may be decided whatever comes.
    is_out: bool,
}

impl Council {
    /// Proposes a layout for the number after the present one, for somebody or on its own account.
    pub(super) fn propose(&mut self, env: &Env<'_>, turn: &mut Turn, next: Layout, asker: Option<Asker>) {
        let content = next.epoch.content;
        if let Some(proposal) = &mut self.proposal {
            if proposal.own == Some(content) {
                proposal.askers.extend(asker);
            } else if let Some(asker) = asker {
                self.answer(turn, asker, ClusterAnswer::Refused(ClusterError::Busy));
            }
            return;
        }
        self.begin(env, turn, Some(next), asker);
    }

    fn begin(&mut self, env: &Env<'_>, turn: &mut Turn, own: Option<Layout>, asker: Option<Asker>) {
        let present = &self.present.layout;
        let content = own.as_ref().map(|own| own.epoch.content);
        let proposer = Proposer::new(self.me, self.start, present.epoch.number + 1, present.voters(), own);
        self.proposal = Some(Proposal {
            proposer,
            own: content,
            askers: asker.into_iter().collect(),
            until: env.now.mono.after(PATIENCE),
            answered: BTreeSet::new(),
            is_out: false,
        });
        self.attempt(env, turn);
    }

    fn attempt(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let jitter = self.draw();
        let Some(proposal) = &mut self.proposal else { return };
        let ask = proposal.proposer.begin();
        // Whoever asked waits no longer than promised, however long the pause would be.
        let again = env.now.mono.after(proposal.proposer.pause(jitter)).min(proposal.until);
        turn.out.set_timer(TimerKey::Proposal, again);
        self.ask_voters(turn, &ask);
    }

    fn ask_voters(&self, turn: &mut Turn, ask: &Ask<Layout>) {
        for voter in self.present.layout.voters() {
            self.say(turn, voter, LayoutMessage::Ask(ask.clone()));
        }
    }

    /// An attempt has not come to an end in time.
    pub(crate) fn on_proposal_timer(&mut self, env: &Env<'_>, turn: &mut Turn) {
        match &self.proposal {
            Some(proposal) if env.now.mono < proposal.until => self.attempt(env, turn),
            Some(_) => self.give_up(turn),
            None => {}
        }
    }

    fn give_up(&mut self, turn: &mut Turn) {
        let Some(proposal) = self.proposal.take() else { return };
        let error = if proposal.is_out {
            ClusterError::Unknown
        } else {
            let voters = self.present.layout.voters().len();
            ClusterError::NoMajority { answered: proposal.answered.len(), voters }
        };
        for asker in proposal.askers {
            self.answer(turn, asker, ClusterAnswer::Refused(error.clone()));
        }
    }

    /// A voter answered.
    pub(super) fn on_reply(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, reply: Reply<Layout>) {
        let Some(proposal) = &mut self.proposal else { return };
        if !matches!(reply, Reply::Closed { .. }) {
            proposal.answered.insert(from);
        }
        match proposal.proposer.on_reply(from, reply) {
            // Outbid: the timer of the attempt begins the next one.
            Step::Wait | Step::Outbid => {}
            Step::Ask(ask) => {
                proposal.is_out = true;
                self.ask_voters(turn, &ask);
            }
            Step::Chosen(layout) => {
                let committed = self.present.followed_by(layout);
                self.adopt(turn, committed, true);
            }
            Step::NothingBegun => {
                self.proposal = None;
                self.voted_since = None;
                turn.out.cancel_timer(&TimerKey::Proposal);
            }
            Step::OtherNumber { number } if number <= self.present.layout.epoch.number => self.push(env, turn, from),
            Step::OtherNumber { .. } => self.pull(env, turn, from),
        }
    }

    /// A layout was decided while something was proposed: whoever asked is told whether it is theirs.
    pub(super) fn end_proposal(&mut self, turn: &mut Turn) {
        turn.out.cancel_timer(&TimerKey::Proposal);
        let Some(proposal) = self.proposal.take() else { return };
        let present = self.present.layout.epoch;
        let is_decided = proposal.own.is_some_and(|own| self.was_decided(present.number, own));
        if is_decided && !proposal.askers.is_empty() {
            self.drop_plan_before(turn, present.number);
        }
        for asker in proposal.askers {
            let answer = match is_decided {
                true => ClusterAnswer::Committed(present),
                false => ClusterAnswer::Refused(ClusterError::Lost { to: present }),
            };
            self.answer(turn, asker, answer);
        }
    }

    /// Whether the present layout, or one before it from the number given, has this content.
    pub(super) fn was_decided(&self, up_to: u64, content: u64) -> bool {
        let past = self.present.lineage.iter().copied();
        let present = &self.present.layout.epoch;
        past.chain([(present.number, present.content)]).any(|(number, other)| number <= up_to && other == content)
    }

    /// A vote that stands without a decision: whoever asked for it may be gone, and it may have been decided.
    pub(super) fn finish_what_was_begun(&mut self, env: &Env<'_>, turn: &mut Turn) {
        if self.vote.accepted().is_none() || self.proposal.is_some() || self.rival.is_some() || self.recovery.is_some()
        {
            return;
        }
        let since = *self.voted_since.get_or_insert(env.now.mono);
        let rank = self.present.layout.voters().iter().position(|voter| *voter == self.me).unwrap_or(0);
        if env.now.mono.since(since) >= ABANDONED_AFTER + Duration::from_secs(rank as u64) {
            self.begin(env, turn, None, None);
        }
    }
}
