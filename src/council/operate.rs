//! What operators ask of the cluster.
//!
//! The plan is kept by the node that was asked, durably; a change is staged only if the plan can be carried out with it. Commit
//! names what the operator saw, so that nothing else is decided than what was shown; repeated, it says what became of it.

use super::{Asker, Council, KEEPER};
use crate::ids::NodeId;
use crate::membership::layout::losses;
use crate::membership::{Change, ChangeError, LayoutEpoch, Plan};
use crate::message::client::{ClusterAnswer, ClusterCall, ClusterError, PlanView};
use crate::message::peer::{LayoutMessage, Paused, PeerMessage};
use crate::shard::{Env, Turn};
use crate::storage::keyspace;
use crate::time::WallTime;

impl Council {
    /// A call about the cluster.
    pub(crate) fn on_call(&mut self, env: &Env<'_>, turn: &mut Turn, asker: Asker, call: ClusterCall) {
        if self.present.layout.member(self.me).is_none() && !call.is_read_only() {
            return self.refuse(turn, asker, ClusterError::NotAMember);
        }
        let answer = match call {
            ClusterCall::Stage { change, accepts_loss } => self.stage(env, turn, change, accepts_loss),
            ClusterCall::Plan => Ok(ClusterAnswer::Plan(self.plan.as_ref().map(|plan| self.view_of(env, plan)))),
            ClusterCall::DropPlan => {
                self.drop_plan(turn);
                Ok(ClusterAnswer::PlanDropped)
            }
            ClusterCall::Commit { base, content } => return self.on_commit(env, turn, asker, base, content),
            ClusterCall::Revert => return self.on_revert(env, turn, asker),
            ClusterCall::Progress => return self.on_progress_call(env, turn, asker),
            ClusterCall::PauseMoves(is_paused) => Ok(self.pause_moves(env, turn, is_paused)),
            ClusterCall::Candidates => Ok(ClusterAnswer::Candidates(self.candidates.list())),
            ClusterCall::Recover { survivors, cluster } => {
                return self.on_recover(env, turn, asker, survivors, &cluster);
            }
        };
        self.answer(turn, asker, answer.unwrap_or_else(ClusterAnswer::Refused));
    }

    fn refuse(&self, turn: &mut Turn, asker: Asker, error: ClusterError) {
        self.answer(turn, asker, ClusterAnswer::Refused(error));
    }

    fn stage(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        change: Change,
        accepts_loss: bool,
    ) -> Result<ClusterAnswer, ClusterError> {
        self.has_adopted(env)?;
        let base = self.present.layout.epoch;
        let empty = || Plan { base, changes: Vec::new(), accepts_loss: false };
        let mut plan = self.plan.clone().unwrap_or_else(empty);
        plan.changes.push(change);
        plan.accepts_loss |= accepts_loss;
        plan.apply(env.ring)?;
        self.keep(turn, keyspace::plan_key(), &plan);
        let view = self.view_of(env, &plan);
        self.plan = Some(plan);
        Ok(ClusterAnswer::Plan(Some(view)))
    }

    fn view_of(&self, env: &Env<'_>, plan: &Plan) -> Box<PlanView> {
        let present = self.present.layout.clone();
        let stale = ChangeError::PlanIsStale { base: plan.base, now: present.epoch };
        let next = if env.ring.epoch() == present.epoch { plan.apply(env.ring) } else { Err(stale) };
        Box::new(PlanView { plan: plan.clone(), present, next })
    }

    fn drop_plan(&mut self, turn: &mut Turn) {
        if self.plan.take().is_some() {
            turn.keep(keyspace::plan_key(), bytes::Bytes::new());
        }
    }

    /// The shards act by the newest layout: what is planned now is planned from it.
    fn has_adopted(&self, env: &Env<'_>) -> Result<(), ClusterError> {
        let present = self.present.layout.epoch;
        if let Some((rival, _)) = self.rival {
            return Err(ClusterError::Rival(rival));
        }
        match env.ring.epoch() == present {
            true => Ok(()),
            false => Err(ClusterError::Adopting { number: present.number }),
        }
    }

    fn on_commit(&mut self, env: &Env<'_>, turn: &mut Turn, asker: Asker, base: LayoutEpoch, content: u64) {
        if self.was_decided(base.number.saturating_add(1), content) {
            // It was committed, and the answer was lost.
            self.drop_plan_before(turn, base.number.saturating_add(1));
            return self.answer(turn, asker, ClusterAnswer::Committed(self.present.layout.epoch));
        }
        match self.planned(env, base, content) {
            Ok(next) => self.propose(env, turn, next, Some(asker)),
            Err(error) => self.refuse(turn, asker, error),
        }
    }

    fn planned(
        &self,
        env: &Env<'_>,
        base: LayoutEpoch,
        content: u64,
    ) -> Result<crate::membership::Layout, ClusterError> {
        let plan = self.plan.as_ref().ok_or(ClusterError::NoPlan)?;
        if base != self.present.layout.epoch {
            return Err(ChangeError::PlanIsStale { base, now: self.present.layout.epoch }.into());
        }
        self.has_adopted(env)?;
        let next = plan.apply(env.ring)?;
        match next.epoch.content == content {
            true => Ok(next),
            false => Err(ClusterError::OtherPlan { now: next.epoch.content }),
        }
    }

    /// The plan was carried out: that of this number, or an older one, is one no more.
    pub(super) fn drop_plan_before(&mut self, turn: &mut Turn, number: u64) {
        if self.plan.as_ref().is_some_and(|plan| plan.base.number < number) {
            self.drop_plan(turn);
        }
    }

    fn on_revert(&mut self, env: &Env<'_>, turn: &mut Turn, asker: Asker) {
        if let Err(error) = self.has_adopted(env) {
            return self.refuse(turn, asker, error);
        }
        match losses::reverted(env.ring) {
            Ok(next) => self.propose(env, turn, next, Some(asker)),
            Err(error) => self.refuse(turn, asker, error.into()),
        }
    }

    /// Every member is told, and tells its shards; those that do not hear it now hear it from who leads the change.
    fn pause_moves(&mut self, env: &Env<'_>, turn: &mut Turn, is_paused: bool) -> ClusterAnswer {
        // Above what is known: it may have been said by a node whose clock is ahead.
        let at = env.now.wall.max(WallTime(self.paused.at.0.saturating_add(1)));
        let paused = Paused { is_paused, at };
        self.on_paused(paused);
        let message = || PeerMessage::Layout(Box::new(LayoutMessage::Pause(paused)));
        let others: Vec<NodeId> = self.living().map(|member| member.id).filter(|node| *node != self.me).collect();
        for node in others {
            turn.out.send(node, KEEPER, message());
        }
        turn.out.send(self.me, KEEPER, message());
        ClusterAnswer::Paused(is_paused)
    }
}
