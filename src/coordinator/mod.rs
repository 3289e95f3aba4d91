//! The coordinator: carries a client's request to a quorum of replicas and answers it.
//!
//! ```text
//! request ─→ order (per connection and key) ─→ this node may coordinate? ─no─→ forward.rs  one hop to one that may
//!                                                │ yes
//!                                   read.rs ←────┴────→ write.rs        each counts its answers with tally.rs
//!
//! arrive.rs             requests of clients, of other nodes, and those whose turn has come
//! begin.rs, bounds.rs   who may coordinate, and what is refused at the door
//! spread.rs             who holds a write, and who is sent it next
//! quorum_read.rs        the part that a read and a covering write share
//! observes.rs           which writes cover; observing.rs: what these look at first
//! clear.rs              removing the elements of a key before the key itself
//! answers.rs            what a reader is shown
//! session.rs            what a token has seen
//! read_repair.rs        what a read found to be missing at an owner
//! replay.rs             forwarded requests that arrive twice
//! lost.rs               a node that is gone, or a frame that never left
//! ```
//!
//! Reads are coordinated by the node that is asked. Writes are coordinated by an owner while one is reachable, else by
//! a fallback: only these mint. Called by the shard; touches no storage, speaks to replicas (the own one included) by
//! messages. Every request is answered by its deadline. Source: Dynamo 2007 §4.5 and §4.6.

mod answers;
mod arrive;
mod begin;
mod bounds;
mod candidates;
mod clear;
mod forward;
mod lost;
mod observes;
mod observing;
mod order;
mod origin;
mod quorum_read;
mod read;
mod read_repair;
mod replay;
mod session;
mod spread;
mod tally;
mod write;

use std::collections::BTreeMap;

pub use origin::{NOBODY, Origin};

use self::candidates::Candidates;
use self::clear::ClearOp;
use self::forward::ForwardOp;
use self::order::ConnectionOrder;
use self::read::ReadOp;
use self::read_repair::{Found, ReadRepairs};
use self::replay::Replay;
use self::write::{Progress, Stage, WriteOp};
use crate::ids::{ConnectionId, Key, NodeId, OpId, PartitionId};
use crate::message::client::{Command, Options, ReadRepairStatus, Request, Response, Upkeep};
use crate::message::peer::{Forwarded, ReadAnswer, Replicated};
use crate::shard::{Env, Local, Minted, NotMinted, Outbox, ShardScope, TimerKey};
use crate::storage::RowKey;
use crate::time::Timestamp;

/// The requests under way.
#[derive(Debug, Default)]
pub struct Coordinator {
    ops: BTreeMap<OpId, Op>,
    /// Numbered in steps of [`replay::SHARDS_MAX`], from the number of the shard.
    next_op: u64,
    order: ConnectionOrder,
    replay: Replay,
    /// Connection and key of the ops of this node's clients that still hold their place in the order.
    lanes: BTreeMap<OpId, (ConnectionId, Key)>,
    /// Writes minted in this turn, which increments of the same key with the same quorum join.
    gathering: BTreeMap<(RowKey, usize, Candidates), OpId>,
    repairs: ReadRepairs,
}

#[derive(Debug)]
enum Op {
    Read(ReadOp),
    Write(WriteOp),
    Forward(ForwardOp),
    Clear(ClearOp),
}

impl Coordinator {
    /// A coordinator whose dialogues have numbers that no other shard of the node gives.
    pub fn new(scope: ShardScope) -> Coordinator {
        Coordinator { next_op: scope.index as u64 % replay::SHARDS_MAX, ..Coordinator::default() }
    }

    /// Requests under way.
    pub fn open_ops(&self) -> usize {
        self.ops.len() + self.order.len()
    }

    /// What reads have found to be missing since the start.
    pub fn read_repairs(&self) -> ReadRepairStatus {
        self.repairs.status()
    }

    /// A replica showed its row.
    pub fn on_read_answer(&mut self, env: &Env<'_>, out: &mut Outbox, from: NodeId, answer: ReadAnswer) {
        let op = answer.op;
        match self.ops.get_mut(&op) {
            Some(Op::Read(read)) => {
                read.quorum.on_answer(from, answer.outcome);
                self.advance_read(env, out, op);
            }
            Some(Op::Write(write)) => {
                if let Stage::Observing(quorum) = &mut write.stage {
                    quorum.on_answer(from, answer.outcome);
                    let progress = write.advance_observation(env, out, op);
                    self.follow(env, out, op, progress);
                }
            }
            // The request was answered before this replica did.
            Some(Op::Forward(_) | Op::Clear(_)) | None => {}
        }
    }

    /// A replica acknowledged or refused. False if no write waits for it: the ledger may.
    pub fn on_replicated(&mut self, env: &Env<'_>, out: &mut Outbox, from: NodeId, answer: &Replicated) -> bool {
        let Some(Op::Write(write)) = self.ops.get_mut(&answer.op) else { return false };
        let progress = write.on_replicated(env, out, answer.op, from, answer.outcome.clone());
        self.follow(env, out, answer.op, progress);
        true
    }

    /// The coordinator that a request was forwarded to answered.
    pub fn on_forwarded(&mut self, env: &Env<'_>, out: &mut Outbox, from: NodeId, answer: Forwarded) {
        let op = answer.op;
        let Some(Op::Forward(forward)) = self.ops.get_mut(&op) else { return };
        if forward.target != from {
            // A repeated refusal of a node that was asked before.
            return;
        }
        if forward.may_try_another(&answer.response) && forward.send_to_next(env, out, op) {
            return;
        }
        let (origin, partition, response) = (forward.origin, forward.partition, forward.answer(answer.response));
        self.finish(out, op, partition, vec![(origin, response)]);
    }

    /// The own replica minted or refused.
    pub fn on_minted(&mut self, env: &Env<'_>, out: &mut Outbox, minted: Minted) {
        let op = minted.op;
        let Some(Op::Write(write)) = self.ops.get_mut(&op) else { return };
        let must_observe = minted.outcome.as_ref().err() == Some(&NotMinted::MustObserve);
        let progress = write.on_minted(env, out, op, minted.outcome);
        if must_observe {
            out.set_timer(TimerKey::OpWiden(op), env.now.mono.after(env.config.widen_after));
            return self.follow(env, out, op, progress);
        }
        self.release_lane(out, op);
        self.follow(env, out, op, progress);
        self.gather(out, op);
    }

    /// End of the turn: what was minted in it goes out.
    pub fn flush(&mut self, env: &Env<'_>, out: &mut Outbox) {
        for op in std::mem::take(&mut self.gathering).into_values() {
            let Some(Op::Write(write)) = self.ops.get_mut(&op) else { continue };
            let progress = write.replicate(env, out, op);
            out.set_timer(TimerKey::OpWiden(op), env.now.mono.after(env.config.widen_after));
            // The mint may have outlasted the deadline; then it fires now.
            out.set_timer(TimerKey::OpDeadline(op), write.deadline());
            self.follow(env, out, op, progress);
        }
    }

    /// A request's deadline passed.
    pub fn on_deadline(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        match self.ops.get_mut(&op) {
            Some(Op::Read(read)) => {
                let (origin, response) = (read.origin, read.expire(env));
                let partition = read.quorum.candidates.partition;
                self.finish(out, op, partition, vec![(origin, response)]);
            }
            Some(Op::Forward(forward)) => {
                let (origin, partition, response) = (forward.origin, forward.partition, forward.expire());
                self.finish(out, op, partition, vec![(origin, response)]);
            }
            Some(Op::Write(write)) => {
                let progress = write.expire(env, out);
                if let Progress::Answered(_) = &progress {
                    out.set_timer(TimerKey::OpDeadline(op), write.deadline());
                }
                self.follow(env, out, op, progress);
            }
            // Its steps have the same deadline, and answer at it.
            Some(Op::Clear(_)) | None => {}
        }
    }

    /// A quorum is late.
    pub fn on_widen(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        let progress = match self.ops.get_mut(&op) {
            Some(Op::Read(read)) => {
                read.quorum.widen(env, out, op);
                Progress::Open
            }
            Some(Op::Write(write)) => write.widen(env, out, op),
            Some(Op::Forward(_) | Op::Clear(_)) | None => return,
        };
        out.set_timer(TimerKey::OpWiden(op), env.now.mono.after(env.config.widen_after));
        self.follow(env, out, op, progress);
    }

    /// Another layout was taken up: what is under way goes on by its lists.
    pub fn on_ring_changed(&mut self, env: &Env<'_>, out: &mut Outbox) {
        let ops: Vec<OpId> = self.ops.keys().copied().collect();
        for op in ops {
            match self.ops.get_mut(&op) {
                Some(Op::Read(read)) => {
                    read.quorum.again(read.quorum.wanted.clone());
                    self.advance_read(env, out, op);
                }
                Some(Op::Write(write)) => {
                    let progress = write.on_ring_changed(env, out, op);
                    self.follow(env, out, op, progress);
                }
                Some(Op::Forward(_) | Op::Clear(_)) | None => {}
            }
        }
    }

    /// Joins a write that was just minted with one of the same key, quorum and strictness of this turn.
    fn gather(&mut self, out: &mut Outbox, op: OpId) {
        let Some(Op::Write(write)) = self.ops.get(&op) else { return };
        if !write.is_gathering() {
            return;
        }
        let group = (write.row.clone(), write.w, write.candidates);
        let first = *self.gathering.entry(group).or_insert(op);
        if first == op {
            return;
        }
        let Some(Op::Write(joining)) = self.ops.remove(&op) else { return };
        out.cancel_timer(&TimerKey::OpDeadline(op));
        out.cancel_timer(&TimerKey::OpWiden(op));
        if let Some(Op::Write(group)) = self.ops.get_mut(&first) {
            group.absorb(joining);
        }
    }

    fn advance_read(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        let Some(Op::Read(read)) = self.ops.get_mut(&op) else { return };
        if let Some(response) = read.advance(env, out, op) {
            let (origin, partition) = (read.origin, read.quorum.candidates.partition);
            let row = read.quorum.row.clone();
            let repairs = env.config.read_repair && !matches!(response, Response::Failed(_));
            let writes = |op: &Op| matches!(op, Op::Write(write) if write.row == row);
            let Some(Op::Read(read)) = self.ops.get(&op) else { return };
            let found = match repairs && read.quorum.views().nth(1).is_some() {
                true => self.repairs.look(env, &read.quorum, || self.ops.values().any(writes)),
                false => Found::Nothing,
            };
            self.finish(out, op, partition, vec![(origin, response)]);
            // The answer does not wait for what it found.
            self.repairs.send(env, out, partition, found);
        }
    }

    fn follow(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, progress: Progress) {
        let Some(Op::Write(write)) = self.ops.get(&op) else { return };
        let partition = write.candidates.partition;
        match progress {
            Progress::Open => {}
            Progress::Answered(answers) => {
                for (origin, response) in answers {
                    origin.answer(out, partition, response);
                }
            }
            Progress::Ended(answers) => self.finish(out, op, partition, answers),
            Progress::MustClear(kinds) => {
                let Some(Op::Write(write)) = self.ops.remove(&op) else { return };
                out.cancel_timer(&TimerKey::OpWiden(op));
                let Some(mut clear) = write.into_clear(env, kinds) else { return };
                let first = clear.begin();
                let deadline = clear.deadline;
                self.ops.insert(op, Op::Clear(clear));
                self.ask_own(env, out, op, first, deadline);
            }
        }
    }

    /// A request of this coordinator to itself was answered.
    pub fn on_own_answer(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, response: Response) {
        let Some(Op::Clear(clear)) = self.ops.get_mut(&op) else { return };
        let (origin, partition, deadline) = (clear.origin, clear.partition, clear.deadline);
        match clear.on_answer(response) {
            clear::Next::Ask(request) => self.ask_own(env, out, op, request, deadline),
            clear::Next::Answer(response) => self.finish(out, op, partition, vec![(origin, response)]),
        }
    }

    /// Covers a key whose deadline has passed. Nobody waits for it; a failed sweep is made up for by a later one.
    pub fn sweep(&mut self, env: &Env<'_>, out: &mut Outbox, key: Key) {
        let request = Request { key, command: Command::Upkeep(Upkeep::Sweep), options: Options::default() };
        self.ask_own(env, out, NOBODY, request, env.deadline(None));
    }

    fn ask_own(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, request: Request, deadline: Timestamp) {
        let own = self.next_op();
        self.coordinate(env, out, own, Origin::Own { op }, request, deadline);
    }

    /// Ends an op: answers, forgets it, and lets the next command of the connection on the key start.
    fn finish(&mut self, out: &mut Outbox, op: OpId, partition: PartitionId, answers: Vec<(Origin, Response)>) {
        for (origin, response) in answers {
            origin.answer(out, partition, response);
        }
        self.ops.remove(&op);
        out.cancel_timer(&TimerKey::OpDeadline(op));
        out.cancel_timer(&TimerKey::OpWiden(op));
        self.release_lane(out, op);
    }

    /// The op no longer holds back later commands of its connection on its key; those that may start are told to.
    fn release_lane(&mut self, out: &mut Outbox, op: OpId) {
        let Some((connection, key)) = self.lanes.remove(&op) else { return };
        for start in self.order.release(connection, &key) {
            out.cancel_timer(&TimerKey::Waiting(start.connection, start.request_id));
            out.tell(Local::Start(start));
        }
    }

    fn next_op(&mut self) -> OpId {
        self.next_op += replay::SHARDS_MAX;
        OpId(self.next_op)
    }
}
