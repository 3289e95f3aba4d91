//! Agreement on the next layout: single-decree Paxos, one instance per layout number.
//!
//! ```text
//! proposer                                   acceptors: the voters of layout n−1
//! begin ──Prepare{n, ballot}───────────────→ nothing promised to this ballot or a higher one?
//!       ←─Promise{what was accepted}──────── yes: durable first      no: ←─ Refused{promised}
//! a majority: the value accepted under the highest ballot, else the own one
//!       ──Accept{n, ballot, value}─────────→ nothing promised to a higher one?
//!       ←─Accepted────────────────────────── yes: durable first      no: ←─ Refused{promised}
//! a majority: chosen                         Refused, or silence: pause, then again under a higher ballot
//! ```
//!
//! Pure, and generic in the value, so that a search can play every order of events with small ones
//! (`paxos_tests.rs`: three acceptors and two proposers, messages lost, repeated and overtaken, any of them stopped and
//! started). [`crate::council`] runs it: sends the messages and keeps the acceptor's state.
//!
//! Promises:
//! - of one number at most one value is ever chosen, whatever is lost, repeated or restarted, as long as acceptors keep
//!   what they were told to keep ([`Answered::is_to_be_kept`]) before the answer leaves;
//! - an acceptor that may have forgotten a vote, or has left the decision to a recovery, is [`Closed`]: it says so, and counts
//!   for nobody;
//! - what may have been chosen is finished by any proposer, also by one without a value of its own;
//! - a proposer keeps nothing: its ballots name the start, so no two starts ever use one.
//!
//! It does not promise an end while two proposers outbid each other; the growing, jittered pause makes that rare.
//!
//! Source: Lamport, "Paxos Made Simple" (2001). Numbers and their voters are a chain: who votes on layout n stands in
//! layout n−1, so an acceptor answers for the one number that follows its own layout.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::causality::Epoch;
use crate::ids::NodeId;
use crate::mutation::{Mutation, is_off};

/// First pause after an attempt that failed; doubled with each further one, up to [`PAUSE_MAX`].
pub const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Longest pause, without the jitter.
pub const PAUSE_MAX: Duration = Duration::from_millis(6_400);

/// An attempt. Higher ones win; no two attempts have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Above all rounds that the proposer has heard of.
    pub round: u64,
    /// Whose.
    pub node: NodeId,
    /// The start of it: a proposer that was restarted has forgotten its rounds.
    pub start: Epoch,
}

/// What a proposer asks of every voter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ask<V> {
    /// Number of the layout that is decided on.
    pub number: u64,
    /// The attempt.
    pub ballot: Ballot,
    /// `None`: prepare. Else accept this.
    pub value: Option<V>,
}

/// What an acceptor answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reply<V> {
    /// To prepare: nothing below this ballot will be accepted any more.
    Promise {
        /// The ballot that was asked for.
        ballot: Ballot,
        /// What was accepted last, and under which ballot.
        accepted: Option<(Ballot, V)>,
    },
    /// To accept: done.
    Accepted {
        /// The ballot that was asked for.
        ballot: Ballot,
    },
    /// A higher ballot was promised, or this one already.
    Refused {
        /// The ballot that was asked for.
        ballot: Ballot,
        /// The highest one that was promised.
        promised: Ballot,
    },
    /// The acceptor does not vote on this number.
    Closed {
        /// The ballot that was asked for.
        ballot: Ballot,
    },
    /// The acceptor votes on another number. A lower one: it lacks a layout that the proposer has. A higher one: the
    /// proposer does; what it proposes has been decided.
    OtherNumber {
        /// The ballot that was asked for.
        ballot: Ballot,
        /// The number that the acceptor votes on.
        number: u64,
    },
}

/// Whether an acceptor votes, and if not, why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Closed {
    /// It votes.
    #[default]
    No,
    /// A recovery without a majority was promised that it votes on this number no more.
    Recovering,
    /// Its directory was lost, and with it what it had voted. It votes on no number up to this one; `None`: as far as it knows
    /// on none yet.
    Forgotten {
        /// The last number that it may have voted on.
        through: Option<u64>,
    },
}

impl Closed {
    /// Whether the acceptor votes.
    pub fn is_open(&self) -> bool {
        *self == Closed::No
    }
}

/// The vote of one node on one number. To be kept durably.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acceptor<V> {
    number: u64,
    promised: Option<Ballot>,
    accepted: Option<(Ballot, V)>,
    #[serde(default, skip_serializing_if = "Closed::is_open")]
    closed: Closed,
}

/// What an acceptor says to an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<V> {
    /// To be sent.
    pub reply: Reply<V>,
    /// The acceptor's state has changed, and must be durable before the reply leaves.
    pub is_to_be_kept: bool,
}

/// One node's attempts to have a value chosen, or to finish what others began.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposer<V> {
    me: NodeId,
    start: Epoch,
    number: u64,
    voters: Vec<NodeId>,
    /// `None`: only what others may have had chosen is to be finished.
    own: Option<V>,
    /// The highest round that was heard of.
    round: u64,
    attempts: u32,
    stage: Stage<V>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage<V> {
    /// No attempt, or one that was refused.
    Resting,
    Preparing {
        ballot: Ballot,
        promises: BTreeMap<NodeId, Option<(Ballot, V)>>,
    },
    Accepting {
        ballot: Ballot,
        value: V,
        accepted: BTreeSet<NodeId>,
    },
    Chosen(V),
}

/// What a proposer does about a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<V> {
    /// Nothing, or not yet.
    Wait,
    /// Ask every voter this.
    Ask(Ask<V>),
    /// A majority has accepted it: this is the layout of the number.
    Chosen(V),
    /// Nothing was accepted that needs to be finished, and there is no own value: nothing is left to do.
    NothingBegun,
    /// A higher ballot is on its way. Begin again after a pause.
    Outbid,
    /// The voter is at another number: it or this proposer lacks a layout. Fetch or send it.
    OtherNumber {
        /// The number that the voter votes on.
        number: u64,
    },
}

impl<V: Clone> Acceptor<V> {
    /// Nothing was promised for this number: the one after the layout that the node holds.
    pub fn new(number: u64) -> Acceptor<V> {
        Acceptor { number, promised: None, accepted: None, closed: Closed::No }
    }

    /// The same, of a voter that may not vote.
    pub fn closed(number: u64, closed: Closed) -> Acceptor<V> {
        Acceptor { closed, ..Acceptor::new(number) }
    }

    /// Whether it votes.
    pub fn why_closed(&self) -> Closed {
        self.closed
    }

    /// Votes on this number no more: what is decided of it is decided without this voter.
    pub fn close(&mut self) {
        if self.closed.is_open() {
            self.closed = Closed::Recovering;
        }
    }

    /// The number that is voted on.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What was accepted last: if the proposer is gone, this is what any voter should try to finish.
    pub fn accepted(&self) -> Option<&V> {
        self.accepted.as_ref().map(|(_, value)| value)
    }

    /// The highest ballot that was promised.
    pub fn promised(&self) -> Option<Ballot> {
        self.promised
    }

    /// Answers an ask.
    pub fn on_ask(&mut self, ask: &Ask<V>) -> Answered<V> {
        let ballot = ask.ballot;
        if ask.number != self.number {
            let reply = Reply::OtherNumber { ballot, number: self.number };
            return Answered { reply, is_to_be_kept: false };
        }
        let may_repeat = matches!(self.closed, Closed::Forgotten { .. }) && is_off(Mutation::ForgottenVoteRepeated);
        if !self.closed.is_open() && !may_repeat {
            return Answered { reply: Reply::Closed { ballot }, is_to_be_kept: false };
        }
        match (self.promised, &ask.value) {
            // One promise per ballot: a second majority for it could rest on another view of what was accepted.
            (Some(promised), None) if promised >= ballot => self.refused(ballot, promised),
            (Some(promised), Some(_)) if promised > ballot => self.refused(ballot, promised),
            (_, None) => {
                self.promised = Some(ballot);
                let reply = Reply::Promise { ballot, accepted: self.accepted.clone() };
                Answered { reply, is_to_be_kept: !is_off(Mutation::PromiseNotDurable) }
            }
            (_, Some(value)) => {
                let is_new = self.accepted.as_ref().is_none_or(|(accepted, _)| *accepted != ballot);
                self.promised = Some(ballot);
                if is_new {
                    self.accepted = Some((ballot, value.clone()));
                }
                // Also a repetition waits for what it speaks of.
                Answered { reply: Reply::Accepted { ballot }, is_to_be_kept: true }
            }
        }
    }

    fn refused(&self, ballot: Ballot, promised: Ballot) -> Answered<V> {
        Answered { reply: Reply::Refused { ballot, promised }, is_to_be_kept: false }
    }
}

impl<V: Clone> Proposer<V> {
    /// Of a start of a node, for the number after the layout whose voters these are.
    pub fn new(me: NodeId, start: Epoch, number: u64, voters: Vec<NodeId>, own: Option<V>) -> Proposer<V> {
        Proposer { me, start, number, voters, own, round: 0, attempts: 0, stage: Stage::Resting }
    }

    /// Begins an attempt under a new ballot, whatever became of the last one. Ask every voter this.
    pub fn begin(&mut self) -> Ask<V> {
        self.round = self.round.saturating_add(1);
        self.attempts = self.attempts.saturating_add(1);
        let ballot = Ballot { round: self.round, node: self.me, start: self.start };
        self.stage = Stage::Preparing { ballot, promises: BTreeMap::new() };
        Ask { number: self.number, ballot, value: None }
    }

    /// How long to wait for the end of this attempt, or after its failure, before the next one: doubled each time, plus a
    /// part of the same again that `jitter` draws.
    pub fn pause(&self, jitter: u64) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(16);
        let base = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
        let micros = u64::try_from(base.as_micros()).unwrap_or(u64::MAX).max(1);
        base + Duration::from_micros(jitter % micros)
    }

    /// What was chosen, if this proposer has seen it.
    pub fn chosen(&self) -> Option<&V> {
        match &self.stage {
            Stage::Chosen(value) => Some(value),
            _ => None,
        }
    }

    /// A voter answered. What belongs to another attempt, or comes from nobody who votes, changes nothing.
    pub fn on_reply(&mut self, from: NodeId, reply: Reply<V>) -> Step<V> {
        if !self.voters.contains(&from) {
            return Step::Wait;
        }
        let majority = self.majority();
        match (&mut self.stage, reply) {
            (Stage::Preparing { ballot, promises }, Reply::Promise { ballot: promised, accepted })
                if *ballot == promised =>
            {
                let ballot = *ballot;
                promises.insert(from, accepted);
                if promises.len() < majority {
                    return Step::Wait;
                }
                let found = promises.values().flatten().max_by_key(|(ballot, _)| *ballot);
                let Some(value) = found.map(|(_, value)| value.clone()).or_else(|| self.own.clone()) else {
                    self.stage = Stage::Resting;
                    return Step::NothingBegun;
                };
                self.stage = Stage::Accepting { ballot, value: value.clone(), accepted: BTreeSet::new() };
                Step::Ask(Ask { number: self.number, ballot, value: Some(value) })
            }
            (Stage::Accepting { ballot, value, accepted }, Reply::Accepted { ballot: answered })
                if *ballot == answered =>
            {
                accepted.insert(from);
                if accepted.len() < majority {
                    return Step::Wait;
                }
                let value = value.clone();
                self.stage = Stage::Chosen(value.clone());
                Step::Chosen(value)
            }
            (
                Stage::Preparing { ballot, .. } | Stage::Accepting { ballot, .. },
                Reply::Refused { ballot: answered, promised },
            ) if *ballot == answered && promised > answered => {
                self.round = self.round.max(promised.round);
                self.stage = Stage::Resting;
                Step::Outbid
            }
            (
                Stage::Preparing { ballot, .. } | Stage::Accepting { ballot, .. },
                Reply::OtherNumber { ballot: answered, number },
            ) if *ballot == answered => Step::OtherNumber { number },
            _ => Step::Wait,
        }
    }

    /// More than half of the voters.
    fn majority(&self) -> usize {
        let half = self.voters.len() / 2;
        if is_off(Mutation::LayoutByMinority) { half.max(1) } else { half + 1 }
    }
}

#[cfg(test)]
#[path = "paxos_tests.rs"]
mod tests;
