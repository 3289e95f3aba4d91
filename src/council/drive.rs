//! Leading a change through its phases, and telling how far it is.
//!
//! ```text
//! round: every shard of every member that is not fenced ──MoveQuery→ ←MoveAnswer{adopted, state}
//! all act by the present layout, and   Moving: all that is to be read is loaded      Switched: nothing more
//!                                      Closing: nothing is left with those who own no longer
//!   → propose the next phase
//! steady, places of lost members are empty, and enough are left → propose that others fill them
//! ```
//!
//! The rounds of the first reachable voter decide; several drivers for a moment are harmless, for they propose the same. Any
//! node begins a round of its own when an operator asks how far the change is, unless one began less than a second ago.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Asker, Council};
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::membership::Phase;
use crate::membership::layout::losses;
use crate::message::client::{ClusterAnswer, ClusterError, MemberProgress, MoveWait, Progress};
use crate::message::peer::{LayoutMessage, MoveAnswer, MoveQuery, MoveState, PeerMessage};
use crate::shard::{Env, TimerKey, Turn};
use crate::time::Timestamp;

/// Between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// Whoever asks for the progress waits so long for the answers of members.
const PATIENCE: Duration = Duration::from_millis(500);

/// Calls for the progress that wait at once.
const ASKERS_MAX: usize = 16;

/// What the members said in the present round.
#[derive(Debug, Default)]
pub(super) struct Moves {
    round: u64,
    began_at: Option<Timestamp>,
    answers: BTreeMap<NodeId, Told>,
    askers: Vec<Asker>,
}

/// What the shards of one member said.
#[derive(Debug, Default)]
struct Told {
    shards: u16,
    by_shard: BTreeMap<u16, (u64, MoveState)>,
}

impl Told {
    /// The oldest layout that one of the shards acts by; `None`: not all have answered.
    fn adopted(&self) -> Option<u64> {
        let is_whole = self.shards > 0 && self.by_shard.len() >= usize::from(self.shards);
        self.by_shard.values().map(|(adopted, _)| *adopted).min().filter(|_| is_whole)
    }

    fn state(&self) -> MoveState {
        let mut sum = MoveState::default();
        self.by_shard.values().for_each(|(_, state)| sum.add(state));
        sum
    }
}

impl Moves {
    /// What was said under the layout before counts no longer.
    pub(super) fn forget(&mut self) {
        self.answers.clear();
        self.began_at = None;
        self.round += 1;
    }
}

impl Council {
    /// Begins a round if this node leads the change and the last one is over.
    pub(super) fn drive(&mut self, env: &Env<'_>, turn: &mut Turn) {
        if self.is_round_due(env) && !self.present.layout.phase.is_steady() && self.driver(env) == Some(self.me) {
            self.begin_round(env, turn);
        }
        self.fill_places(env, turn);
    }

    /// Has others take over what members owned that were declared lost while their places could not be given away.
    fn fill_places(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let is_held = self.rival.is_some() || self.recovery.is_some() || self.proposal.is_some();
        let acts_by_present = env.ring.epoch() == self.present.layout.epoch;
        if is_held || !acts_by_present || self.driver(env) != Some(self.me) {
            return;
        }
        if let Some(next) = losses::filled(env.ring) {
            self.propose(env, turn, next, None);
        }
    }

    /// Whoever asks more often than that would never let a round end.
    fn is_round_due(&self, env: &Env<'_>) -> bool {
        self.moves.began_at.is_none_or(|at| env.now.mono.since(at) >= ROUND_INTERVAL)
    }

    /// The first voter that can be reached.
    pub(super) fn driver(&self, env: &Env<'_>) -> Option<NodeId> {
        self.present.layout.voters().into_iter().find(|voter| env.liveness.is_reachable(*voter))
    }

    fn begin_round(&mut self, env: &Env<'_>, turn: &mut Turn) {
        self.moves.forget();
        self.moves.began_at = Some(env.now.mono);
        let members: Vec<NodeId> = self.living().map(|member| member.id).collect();
        for node in members {
            self.ask_shard(turn, node, 0);
        }
    }

    fn ask_shard(&self, turn: &mut Turn, node: NodeId, shard: u16) {
        let query = LayoutMessage::MoveQuery(MoveQuery { round: self.moves.round, paused: self.paused });
        let query = PeerMessage::Layout(Box::new(query));
        match node == self.me && shard > 0 {
            true => turn.out.send_around(node, PartitionId(shard), query),
            false => turn.out.send(node, PartitionId(shard), query),
        }
    }

    /// A shard says how far it is.
    pub(super) fn on_move_answer(&mut self, env: &Env<'_>, turn: &mut Turn, from: NodeId, answer: MoveAnswer) {
        let MoveAnswer { round, epoch: _, shard, shards, adopted, state } = answer;
        let is_shard = shard < shards && usize::from(shards) <= limits::SHARDS_MAX;
        if round != self.moves.round || self.moves.began_at.is_none() || !is_shard {
            return;
        }
        let told = self.moves.answers.entry(from).or_default();
        let is_first = told.by_shard.is_empty();
        told.shards = shards;
        told.by_shard.insert(shard, (adopted, state));
        if is_first && shard == 0 {
            (1..shards).for_each(|shard| self.ask_shard(turn, from, shard));
        }
        if self.living().all(|member| self.adopted_by(member.id).is_some()) {
            self.answer_progress(env, turn);
            self.go_on(env, turn);
        }
    }

    fn adopted_by(&self, node: NodeId) -> Option<u64> {
        self.moves.answers.get(&node)?.adopted()
    }

    /// Proposes the next phase, if nobody is waited for.
    fn go_on(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let is_held = self.rival.is_some() || self.recovery.is_some() || self.proposal.is_some();
        let is_through = self.living().all(|member| self.wait_of(member.id).is_none());
        if is_held || !is_through || self.driver(env) != Some(self.me) {
            return;
        }
        if let Ok(Some(next)) = self.present.layout.next_phase() {
            self.propose(env, turn, next, None);
        }
    }

    /// Why the next phase waits for a member.
    fn wait_of(&self, node: NodeId) -> Option<MoveWait> {
        let layout = &self.present.layout;
        let Some(adopted) = self.adopted_by(node) else { return Some(MoveWait::Silent) };
        let is_off = crate::mutation::is_off(crate::mutation::Mutation::PhaseWithoutBarrier);
        if adopted != layout.epoch.number && !is_off {
            return Some(MoveWait::Adopts);
        }
        let state = self.moves.answers.get(&node).map(Told::state).unwrap_or_default();
        match layout.phase {
            Phase::Moving if !state.is_synced() => Some(MoveWait::Takes),
            Phase::Closing if !state.is_cleared() => Some(MoveWait::HandsOver),
            _ => None,
        }
    }

    /// An operator asks how far the change is: answered when all have told, or those that answer at all.
    pub(super) fn on_progress_call(&mut self, env: &Env<'_>, turn: &mut Turn, asker: Asker) {
        if self.moves.askers.len() >= ASKERS_MAX {
            return self.answer(turn, asker, ClusterAnswer::Refused(ClusterError::Busy));
        }
        if self.moves.askers.is_empty() {
            if self.is_round_due(env) {
                self.begin_round(env, turn);
            }
            turn.out.set_timer(TimerKey::Progress, env.now.mono.after(PATIENCE));
        }
        self.moves.askers.push(asker);
    }

    /// Answers everyone who asked for the progress, by what is known now.
    pub(crate) fn answer_progress(&mut self, env: &Env<'_>, turn: &mut Turn) {
        if self.moves.askers.is_empty() {
            return;
        }
        turn.out.cancel_timer(&TimerKey::Progress);
        let progress = self.progress(env);
        for asker in std::mem::take(&mut self.moves.askers) {
            self.answer(turn, asker, ClusterAnswer::Progress(Box::new(progress.clone())));
        }
    }

    fn progress(&self, env: &Env<'_>) -> Progress {
        let layout = &self.present.layout;
        let voters = layout.voters();
        let reachable = voters.iter().filter(|voter| env.liveness.is_reachable(**voter)).count();
        let member = |node: NodeId| {
            let is_fenced = layout.is_fenced(node);
            let told = self.moves.answers.get(&node);
            MemberProgress {
                node,
                adopted: self.adopted_by(node),
                is_fenced,
                state: told.map(Told::state).unwrap_or_default(),
                wait: self.wait_of(node).filter(|_| !is_fenced),
            }
        };
        Progress {
            layout: layout.epoch,
            phase: layout.phase,
            is_paused: self.paused.is_paused,
            driver: self.driver(env),
            members: layout.members.iter().map(|it| member(it.id)).collect(),
            rival: self.rival.map(|(rival, _)| rival),
            lacks_majority: reachable <= voters.len() / 2,
        }
    }
}
