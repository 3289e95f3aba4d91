//! A layout without a majority: the last resort, when too many voters are lost for ever.
//!
//! ```text
//! asked by an operator who names the survivors and types the cluster's name
//! 5 s: do the voters and all survivors answer?   a majority that can vote → refused; a silent survivor → refused
//! every survivor: vote on this number no more (durable), and say what you have decided and promised
//!    a newer layout → taken up first         all answered → number 1 or 2 above, everyone else fenced, adopted at once
//!    one of them fell silent → refused: those who answered do not vote on this number any more; recover again,
//!                                    perhaps with all as survivors: then nothing but the number changes
//! ```
//!
//! What only the others had is declared lost, whatever they had decided among themselves is not known here. Should they come
//! back with a layout of their own, the two are rivals: neither is taken over the other, both sides say so, and the operator
//! wipes one side. The number skips one that a survivor had promised, so that no two layouts share it without being told apart.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Asker, Council};
use crate::ids::NodeId;
use crate::membership::layout::losses;
use crate::message::client::{ClusterAnswer, ClusterError};
use crate::message::peer::{LayoutMessage, RecoverAnswer, RecoverQuery};
use crate::shard::{Env, TimerKey, Turn};
use crate::storage::keyspace;

/// So long the voters, and then the survivors, may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) asker: Asker,
    survivors: Vec<NodeId>,
    round: u64,
    /// The voters were silent: the survivors are asked to vote no more.
    closes: bool,
    answers: BTreeMap<NodeId, RecoverAnswer>,
}

impl Council {
    pub(super) fn on_recover(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        asker: Asker,
        mut survivors: Vec<NodeId>,
        cluster: &str,
    ) {
        let layout = &self.present.layout;
        survivors.push(self.me);
        survivors.sort_unstable();
        survivors.dedup();
        let stranger = survivors.iter().find(|node| !self.is_member(**node));
        let refusal = match stranger {
            _ if cluster != layout.name => Some(ClusterError::NotAccepted { name: layout.name.clone() }),
            Some(node) => Some(ClusterError::NoSurvivor { node: *node }),
            None if self.recovery.is_some() || self.proposal.is_some() => Some(ClusterError::Busy),
            None if env.ring.epoch() != layout.epoch => Some(ClusterError::Adopting { number: layout.epoch.number }),
            None => None,
        };
        if let Some(error) = refusal {
            return self.answer(turn, asker, ClusterAnswer::Refused(error));
        }
        let round = self.draw();
        self.recovery = Some(Recovery { asker, survivors, round, closes: false, answers: BTreeMap::new() });
        self.ask_for_recovery(env, turn);
    }

    fn ask_for_recovery(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.answers.clear();
        let (round, closes) = (recovery.round, recovery.closes);
        let mut asked = recovery.survivors.clone();
        if !closes {
            asked.extend(self.present.layout.voters());
            asked.sort_unstable();
            asked.dedup();
        }
        turn.out.set_timer(TimerKey::Recovery, env.now.mono.after(PATIENCE));
        let have = self.present.layout.epoch.number;
        for node in asked {
            self.say(turn, node, LayoutMessage::RecoverQuery(RecoverQuery { round, epoch: self.start, closes, have }));
        }
    }

    pub(super) fn on_recover_query(&mut self, _: &Env<'_>, turn: &mut Turn, from: NodeId, query: RecoverQuery) {
        let RecoverQuery { round, epoch, closes, have } = query;
        let newer = (self.present.layout.epoch.number > have).then(|| self.present.clone());
        let is_closed = !self.vote.why_closed().is_open();
        if closes && newer.is_none() {
            self.vote.close();
            self.keep(turn, keyspace::acceptor_key(), &self.vote);
        }
        let answer = RecoverAnswer { round, epoch, newer, is_closed, promised: self.vote.promised() };
        self.say_durably(turn, from, LayoutMessage::RecoverAnswer(answer));
    }

    pub(super) fn on_recover_answer(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, answer: RecoverAnswer) {
        let voters = self.present.layout.voters();
        let Some(recovery) = self.recovery.as_mut().filter(|recovery| recovery.round == answer.round) else { return };
        if let Some(newer) = answer.newer.clone() {
            // To take it up ends the recovery.
            return self.on_push(env, turn, from, newer);
        }
        recovery.answers.insert(from, answer);
        if !recovery.closes {
            let can_vote = |voter: &&NodeId| recovery.answers.get(voter).is_some_and(|answer| !answer.is_closed);
            let answered = voters.iter().filter(can_vote).count();
            if answered > voters.len() / 2 {
                let asker = recovery.asker;
                self.recovery = None;
                turn.out.cancel_timer(&TimerKey::Recovery);
                let error = ClusterError::HasMajority { answered, voters: voters.len() };
                self.answer(turn, asker, ClusterAnswer::Refused(error));
            }
        } else if recovery.survivors.iter().all(|node| recovery.answers.contains_key(node)) {
            self.recover(env, turn);
        }
    }

    /// The time for answers is over. Nobody is asked to vote no more before all survivors have shown that they are there.
    pub(crate) fn on_recovery_timer(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let round = self.draw();
        let Some(recovery) = &mut self.recovery else { return };
        let is_silent = |node: &&NodeId| !recovery.answers.contains_key(node);
        let silent: Vec<NodeId> = recovery.survivors.iter().filter(is_silent).copied().collect();
        if silent.is_empty() && !recovery.closes {
            recovery.closes = true;
            recovery.round = round;
            return self.ask_for_recovery(env, turn);
        }
        let asker = recovery.asker;
        self.recovery = None;
        self.answer(turn, asker, ClusterAnswer::Refused(ClusterError::SurvivorsSilent { silent }));
    }

    fn recover(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let Some(Recovery { asker, survivors, answers, .. }) = self.recovery.take() else { return };
        turn.out.cancel_timer(&TimerKey::Recovery);
        let present = self.present.layout.epoch.number;
        let is_promised = answers.values().any(|answer| answer.promised.is_some());
        let number = present + if is_promised { 2 } else { 1 };
        match losses::recovered(env.ring, &survivors, number, env.now.wall) {
            Ok(next) => {
                let committed = self.present.followed_by(next);
                self.adopt(turn, committed, true);
                self.answer(turn, asker, ClusterAnswer::Committed(self.present.layout.epoch));
            }
            Err(error) => self.answer(turn, asker, ClusterAnswer::Refused(error.into())),
        }
    }
}
