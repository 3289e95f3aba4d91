//! The plain exchanges that a shard has begun: one partition, or ranges of it, with one co-owner each. What is said in one of them
//! stands in [`dialogue`](super::dialogue).
//!
//! Bounded by who begins them: as many at once as `exchanges_max`, and one that waits for room for each pair of partition and
//! co-owner. Called by the shard's routes with whatever concerns one of them, by its number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::dialogue::{Course, Exchange};
use super::plan::{Aim, Outcome, Plan};
use crate::ids::{NodeId, OpId, PartitionId};
use crate::message::peer::{ExchangeAnswer, ExchangePushed, Refusal};
use crate::shard::{Env, Outbox, Running, TimerKey, Turn};
use crate::storage::{Page, StoreError};

/// Silence of the other side or of the own store ends an exchange after this long.
pub(super) const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// The exchanges that this shard has begun.
#[derive(Debug, Default)]
pub struct Exchanges {
    open: BTreeMap<OpId, Exchange>,
    /// Those that wait for room: at most one for each pair of partition and co-owner.
    waiting: VecDeque<Plan>,
}

impl Exchanges {
    /// The exchanges in which data moves one way.
    pub fn running(&self) -> impl Iterator<Item = Running> {
        self.open.values().filter(|exchange| exchange.aim != Aim::Both).map(|exchange| {
            let Exchange { partition, peer, aim, received, sent, bytes, rows_there, .. } = exchange;
            let rows = if *aim == Aim::Give { *sent } else { *received };
            Running { partition: *partition, peer: *peer, rows, bytes: *bytes, rows_there: *rows_there }
        })
    }

    /// What this owner holds of a partition is in doubt: its exchanges end.
    pub fn abandon(&mut self, out: &mut Outbox, partition: PartitionId) -> Vec<Outcome> {
        self.abandon_those(out, |_, of| of == partition)
    }

    /// Another layout is taken up: what came so far is of before.
    pub fn abandon_all(&mut self, out: &mut Outbox) {
        self.abandon_those(out, |_, _| true);
    }

    fn abandon_those(&mut self, out: &mut Outbox, which: impl Fn(NodeId, PartitionId) -> bool) -> Vec<Outcome> {
        let (ended, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|plan: &Plan| which(plan.peer, plan.partition));
        self.waiting = waiting;
        let is_one = |exchange: &Exchange| which(exchange.peer, exchange.partition);
        let ops: Vec<OpId> = self.open.iter().filter(|(_, exchange)| is_one(exchange)).map(|(op, _)| *op).collect();
        let mut ended: Vec<Outcome> = Vec::from(ended).into_iter().map(Plan::fail).collect();
        ended.extend(ops.into_iter().filter_map(|op| self.end(out, op, Course::Fails)));
        ended
    }

    /// Begins an exchange when there is room.
    pub fn wish(&mut self, plan: Plan) {
        self.waiting.push_back(plan);
    }

    /// The next one that waits for room.
    pub fn next_waiting(&mut self) -> Option<Plan> {
        self.waiting.pop_front()
    }

    /// Exchanges under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins an exchange.
    pub fn start(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, plan: Plan) {
        if let Some(exchange) = Exchange::start(env, turn, op, plan) {
            self.open.insert(op, exchange);
        }
    }

    /// The pause before a page is over.
    pub fn on_paced(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId) {
        if let Some(exchange) = self.open.get(&op) {
            exchange.read_page(env, turn, op);
        }
    }

    /// The partitions of which this node is being loaded.
    pub fn loading(&self) -> BTreeSet<PartitionId> {
        let takes = |exchange: &&Exchange| matches!(exchange.aim, Aim::Take | Aim::TakeOver);
        self.open.values().filter(takes).map(|exchange| exchange.partition).collect()
    }

    /// Exchanges end in which data moves between owners of before and those to come.
    pub fn halt(&mut self, out: &mut Outbox, is_move: impl Fn(PartitionId) -> bool) -> Vec<Outcome> {
        let moves =
            |exchange: &Exchange| exchange.aim == Aim::Give || exchange.aim != Aim::Both && is_move(exchange.partition);
        let ops: Vec<OpId> = self.open.iter().filter(|(_, exchange)| moves(exchange)).map(|(op, _)| *op).collect();
        ops.into_iter().filter_map(|op| self.end(out, op, Course::Fails)).collect()
    }

    /// Whether an exchange of this partition is under way.
    pub fn has_partition(&self, partition: PartitionId) -> bool {
        self.open.values().any(|exchange| exchange.partition == partition)
    }

    /// Whether this is one of ours.
    pub fn has(&self, op: OpId) -> bool {
        self.open.contains_key(&op)
    }

    /// The own page was read.
    pub fn on_page(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<Page, StoreError>,
    ) -> Option<Outcome> {
        let exchange = self.open.get_mut(&op)?;
        let Ok(page) = outcome else { return self.end(&mut turn.out, op, Course::Fails) };
        exchange.offer(env, turn, op, page);
        None
    }

    /// The other side told what differs.
    pub fn on_answer(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: ((NodeId, PartitionId), u64),
        answer: ExchangeAnswer,
    ) -> Option<Outcome> {
        let op = answer.op;
        let course = self.open.get_mut(&op)?.on_answer(env, turn, from, answer);
        self.end(&mut turn.out, op, course)
    }

    /// A row that came is merged and durable, or was refused.
    pub fn on_merged(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<(), Refusal>,
    ) -> Option<Outcome> {
        let course = self.open.get_mut(&op)?.on_merged(env, turn, op, outcome);
        self.end(&mut turn.out, op, course)
    }

    /// What was pushed is durable there, or was refused.
    pub fn on_pushed(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: (NodeId, PartitionId),
        answer: ExchangePushed,
    ) -> Option<Outcome> {
        let op = answer.op;
        let course = self.open.get_mut(&op)?.on_pushed(env, turn, from, answer);
        self.end(&mut turn.out, op, course)
    }

    /// Nothing was heard for too long.
    pub fn on_timeout(&mut self, out: &mut Outbox, op: OpId) -> Option<Outcome> {
        self.end(out, op, Course::Fails)
    }

    /// A peer is lost: its exchanges end.
    pub fn on_lost(&mut self, out: &mut Outbox, node: NodeId) -> Vec<Outcome> {
        self.abandon_those(out, |peer, _| peer == node)
    }

    /// Ends an exchange, if it does not go on.
    fn end(&mut self, out: &mut Outbox, op: OpId, course: Course) -> Option<Outcome> {
        if course == Course::Waits {
            return None;
        }
        out.cancel_timer(&TimerKey::ExchangeTimeout(op));
        out.cancel_timer(&TimerKey::Pace(op));
        Some(self.open.remove(&op)?.outcome(course == Course::Ends))
    }
}
