//! The thread of one shard: inputs in, turns onto the disk, effects out.
//!
//! ```text
//!            ┌────────────────────────────────────────────────────────────────┐
//! mailbox ─→ │ handle … handle (≤ 256 inputs, ≤ 1 MiB of writes, ≤ 2 ms)      │
//!            │ tick                                                           │
//!            │ seal ─→ batch ─→ store.write ─→ sync thread notes the ticket   │ ─→ next turn
//!            │      └→ effects, only after the write returned ────────────────┼─→ transport, clients, jobs, log
//!            └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The shard itself holds back effects that must wait for a sync; the thread only keeps the order: nothing of a turn
//! goes out before the turn is written. A failed write ends the thread with the error, its effects unperformed, and the
//! node stops. One plain thread per shard, so that a turn is never moved or interleaved.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starling::config::Durability;
use starling::ids::NodeId;
use starling::limits;
use starling::message::client::{Answer, AnswerBody, NodeAnswer, ShardStatus};
use starling::message::peer::Frame;
use starling::shard::{Effect, Input, SealedTurn};
use starling::storage::{Store, StoreError};
use starling::time::{Now, Timestamp};

use super::adopter::Adopter;
use super::clock::Clock;
use super::connections::Connections;
use super::counters::Counters;
use super::jobs::Jobs;
use super::mailbox::{Chunk, Control, Mailbox};
use super::observer::Observer;
use super::router::PeerLinks;
use super::sync_thread::Syncs;
use crate::transport::{NotSent, WhyNotSent};

/// A turn is sealed after this long, however many inputs still wait: its answers must not.
pub const TURN_TIME_MAX: Duration = Duration::from_millis(2);

/// What the thread drives: the core's shard; in tests, something smaller.
pub trait Machine: Send {
    /// As `Shard::handle`.
    fn handle(&mut self, now: Now, input: Input);
    /// As `Shard::tick`.
    fn tick(&mut self, now: Now);
    /// As `Shard::next_deadline`.
    fn next_deadline(&self) -> Option<Timestamp>;
    /// As `Shard::turn_is_full`.
    fn turn_is_full(&self) -> bool;
    /// As `Shard::seal`.
    fn seal(&mut self, now: Now) -> SealedTurn;
    /// As `Shard::status`.
    fn status(&self, now: Now) -> ShardStatus;
}

/// Where the effects of a shard go.
#[derive(Clone)]
pub struct Outlets {
    /// To peers.
    pub links: Arc<dyn PeerLinks>,
    /// To clients.
    pub connections: Arc<Connections>,
    /// To the disk, off this thread.
    pub jobs: Arc<Jobs>,
    /// To the sync thread.
    pub syncs: Arc<Syncs>,
    /// To whom layouts are told.
    pub adopter: Arc<Adopter>,
    /// To the summary.
    pub counters: Arc<Counters>,
}

/// The thread's state.
pub struct ShardThread<M> {
    index: usize,
    machine: M,
    mailbox: Arc<Mailbox>,
    store: Arc<dyn Store>,
    durability: Durability,
    clock: Clock,
    outlets: Outlets,
    observer: Observer,
    /// Taken from the mailbox, to be handled next.
    waiting: VecDeque<Input>,
}

impl<M: Machine> ShardThread<M> {
    /// A thread for the shard with this number; [`ShardThread::run`] is its body.
    pub fn new(
        index: usize,
        machine: M,
        mailbox: Arc<Mailbox>,
        store: Arc<dyn Store>,
        durability: Durability,
        clock: Clock,
        outlets: Outlets,
    ) -> Self {
        let observer = Observer::new(index, outlets.counters.clone());
        let waiting = VecDeque::new();
        ShardThread { index, machine, mailbox, store, durability, clock, outlets, observer, waiting }
    }

    /// Turns until [`Control::Stop`] (the last one is written), a write that failed, or a directory that is damaged and is to be
    /// given up: an error of that kind.
    pub fn run(mut self) -> Result<(), StoreError> {
        loop {
            let must_stop = self.fill_turn();
            if must_stop {
                self.machine.handle(self.clock.now(), Input::Stopping);
            }
            self.close_turn()?;
            if must_stop {
                return Ok(());
            }
        }
    }

    /// Handles inputs until the turn is full or none are left; sleeps for the first. Whether the thread is to end.
    fn fill_turn(&mut self) -> bool {
        let mut chunk = Chunk::default();
        let mut must_stop = false;
        let mut handled = 0;
        let mut timeout = match self.waiting.is_empty() {
            true => self.machine.next_deadline().map(|deadline| self.clock.until(deadline)),
            false => Some(Duration::ZERO),
        };
        let mut started = None;
        loop {
            self.mailbox.receive(&mut chunk, timeout);
            timeout = Some(Duration::ZERO);
            let started = *started.get_or_insert_with(Instant::now);
            for control in chunk.controls.drain(..) {
                match control {
                    Control::Status(tell) => tell(self.machine.status(self.clock.now())),
                    Control::Stop => must_stop = true,
                }
            }
            self.waiting.extend(chunk.inputs.drain(..));
            if self.waiting.is_empty() {
                break;
            }
            while let Some(input) = self.waiting.pop_front() {
                self.machine.handle(self.clock.now(), input);
                handled += 1;
                let is_full = handled >= limits::INPUTS_PER_TURN_MAX
                    || self.machine.turn_is_full()
                    || started.elapsed() >= TURN_TIME_MAX;
                if is_full {
                    self.outlets.counters.inputs.add(handled as u64);
                    return must_stop;
                }
            }
        }
        self.outlets.counters.inputs.add(handled as u64);
        must_stop
    }

    /// Fires timers, seals, writes, and only then performs.
    fn close_turn(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.machine.tick(now);
        let SealedTurn { batch, ticket, effects } = self.machine.seal(now);
        if !batch.is_empty() {
            // Writes fail, too, once the store has met a bad block by itself. Nobody was asked yet whether the directory may be given
            // up: so it is no damage here; the next start reads the block, and asks.
            self.store.write(&batch).map_err(|error| StoreError::io(error.detail))?;
            self.outlets.counters.turns_written.add(1);
            match self.durability {
                Durability::Fsync => self.outlets.syncs.note(self.index, ticket),
                Durability::Wal => self.waiting.push_front(Input::Durable(ticket)),
            }
        }
        let damage = effects.iter().find_map(|effect| match effect {
            Effect::Restart { why } => Some(StoreError::corrupt(why.clone())),
            _ => None,
        });
        self.perform(effects);
        damage.map_or(Ok(()), Err)
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reply { connection, request_id, response } => {
                    answers.push((connection, Answer { id: request_id, body: AnswerBody::Key(response) }));
                }
                Effect::NodeReply { connection, request_id, answer } => {
                    let body = AnswerBody::Node(NodeAnswer::Cluster(answer));
                    answers.push((connection, Answer { id: request_id, body }));
                }
                Effect::Adopt(committed) => {
                    self.outlets.adopter.adopt(committed.layout);
                }
                Effect::Send { to, frame } => self.send(to, frame),
                Effect::SendBack { to, start, frame } => self.outlets.links.send_back(to, start, frame),
                Effect::StartJob(job) => self.outlets.jobs.submit(job, self.mailbox.clone()),
                // The thread ends with it, once all else has left.
                Effect::Restart { .. } => {}
                Effect::Observe(fact) => self.observer.observe(&fact),
            }
        }
        if !answers.is_empty() {
            self.outlets.counters.replies.add(answers.len() as u64);
            self.outlets.connections.deliver(answers);
        }
    }

    /// What does not leave comes back to this shard as its next input.
    fn send(&mut self, to: NodeId, frame: Frame) {
        let Err(NotSent { frame, why }) = self.outlets.links.send(to, frame) else {
            return self.outlets.counters.frames_sent.add(1);
        };
        self.waiting.push_back(match why {
            WhyNotSent::QueueFull => Input::PeerQueueFull { node: to, frame },
            WhyNotSent::Unreachable => Input::PeerUnreachable { node: to, not_sent: vec![frame] },
        });
    }
}

#[cfg(test)]
#[path = "shard_thread_tests.rs"]
mod tests;
