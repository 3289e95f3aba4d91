//! The mailbox of one shard: three bounded queues, drained in order, and the place where its thread sleeps.
//!
//! ```text
//! answers   of peers and jobs to the shard's own dialogues      first; never refused: those dialogues are bounded
//! requests  of peers                                            second; full → dropped and counted, the sender's
//! clients   requests of this node's clients                     third; full → `Busy` at once   deadline handles it
//! ```
//!
//! Senders are the transport, the job pool and the sync thread; the one receiver is the shard's thread. A chunk takes
//! at most [`CHUNK`] inputs, and each of the two lower queues always gets a quarter of it, so that a flood of answers
//! starves nobody. `Durable` is cumulative, so only the newest waits. A wake-up costs a system call only while the
//! receiver sleeps.
//!
//! Lost answers are harmless to the data (the network loses them too); that is why the answers, though bounded by
//! construction, have a backstop against a peer that answers what nobody asked.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starling::ids::{NodeId, Ticket};
use starling::message::client::ShardStatus;
use starling::message::peer::Frame;
use starling::message::weight;
use starling::shard::Input;

/// Inputs that the receiver takes at a time.
pub const CHUNK: usize = 64;

/// Peers' requests that may wait. Unit: bytes, as `message::weight` counts. Beyond it the frame's requests are dropped.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Clients' requests that may wait; a further one is answered `Busy`. As many as a shard keeps under way by default.
pub const CLIENTS_MAX: usize = 8192;

/// Clients' requests that may wait. Unit: bytes. A further one is answered `Busy`.
pub const CLIENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Backstop of the answers. Unit: bytes. Far above what the dialogues of a shard can have asked for.
pub const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Questions of the node to its shard that may wait.
pub const CONTROLS_MAX: usize = 1024;

/// The queue was full; what was offered is gone or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What the node, not the protocol, wants of a shard's thread.
pub enum Control {
    /// Tell how the shard is. The callback must not block.
    Status(Box<dyn FnOnce(ShardStatus) + Send>),
    /// Seal, write and end.
    Stop,
}

/// What the receiver took.
#[derive(Default)]
pub struct Chunk {
    /// In the order in which they are to be handled.
    pub inputs: Vec<Input>,
    /// To be obeyed before the inputs.
    pub controls: Vec<Control>,
}

/// The mailbox; shared by reference between its senders and its one receiver.
#[derive(Default)]
pub struct Mailbox {
    queues: Mutex<Queues>,
    wake: Condvar,
}

#[derive(Default)]
struct Queues {
    durable: Option<Ticket>,
    controls: Vec<Control>,
    answers: Weighed,
    requests: Weighed,
    clients: Weighed,
    is_asleep: bool,
}

#[derive(Default)]
struct Weighed {
    inputs: VecDeque<(Input, usize)>,
    bytes: usize,
}

impl Weighed {
    fn push(&mut self, input: Input, bytes: usize) {
        self.bytes += bytes;
        self.inputs.push_back((input, bytes));
    }

    fn take(&mut self, count: usize, into: &mut Vec<Input>) {
        for (input, bytes) in self.inputs.drain(..count.min(self.inputs.len())) {
            self.bytes -= bytes;
            into.push(input);
        }
    }

    fn len(&self) -> usize {
        self.inputs.len()
    }
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.durable.is_none()
            && self.controls.is_empty()
            && self.answers.len() + self.requests.len() + self.clients.len() == 0
    }

    fn take(&mut self, chunk: &mut Chunk) {
        chunk.controls.append(&mut self.controls);
        chunk.inputs.extend(self.durable.take().map(Input::Durable));
        let room = CHUNK.saturating_sub(chunk.inputs.len());
        let for_requests = self.requests.len().min(CHUNK / 4);
        let for_clients = self.clients.len().min(CHUNK / 4);
        let answers = self.answers.len().min(room.saturating_sub(for_requests + for_clients));
        let requests = self.requests.len().min(room.saturating_sub(answers + for_clients));
        let clients = self.clients.len().min(room.saturating_sub(answers + requests));
        self.answers.take(answers, &mut chunk.inputs);
        self.requests.take(requests, &mut chunk.inputs);
        self.clients.take(clients, &mut chunk.inputs);
    }
}

impl Mailbox {
    /// What the shard's own dialogues wait for: results of jobs, frames that did not leave, changes of its world.
    pub fn own(&self, input: Input) {
        self.change(|queues| queues.answers.push(input, 0));
    }

    /// Answers of a peer. At the backstop they are dropped.
    pub fn answers(&self, from: NodeId, frame: Frame) -> Result<(), Full> {
        let bytes = weight::of_frame(&frame);
        self.change(|queues| {
            if queues.answers.bytes.saturating_add(bytes) > ANSWER_BYTES_MAX && queues.answers.bytes > 0 {
                return Err(Full);
            }
            queues.answers.push(Input::Peer { from, frame }, bytes);
            Ok(())
        })
    }

    /// Requests of a peer. When the queue is full they are dropped: the peer's deadlines handle it.
    pub fn requests(&self, from: NodeId, frame: Frame) -> Result<(), Full> {
        let bytes = weight::of_frame(&frame);
        self.change(|queues| {
            if queues.requests.bytes.saturating_add(bytes) > REQUEST_BYTES_MAX && queues.requests.bytes > 0 {
                return Err(Full);
            }
            queues.requests.push(Input::Peer { from, frame }, bytes);
            Ok(())
        })
    }

    /// A client's request with its weight. When the queue is full it was not taken and is to be answered `Busy`.
    pub fn client(&self, input: Input, bytes: usize) -> Result<(), Full> {
        self.change(|queues| {
            let clients = &mut queues.clients;
            let is_too_heavy = clients.bytes.saturating_add(bytes) > CLIENT_BYTES_MAX && clients.bytes > 0;
            if clients.len() >= CLIENTS_MAX || is_too_heavy {
                return Err(Full);
            }
            clients.push(input, bytes);
            Ok(())
        })
    }

    /// Every turn up to the ticket is durable.
    pub fn durable(&self, ticket: Ticket) {
        self.change(|queues| queues.durable = queues.durable.max(Some(ticket)));
    }

    /// Asks something of the shard's thread. When too much is asked already, the question is given back.
    pub fn control(&self, control: Control) -> Result<(), Control> {
        self.change(|queues| {
            if queues.controls.len() >= CONTROLS_MAX && !matches!(control, Control::Stop) {
                return Err(control);
            }
            queues.controls.push(control);
            Ok(())
        })
    }

    /// The next inputs, at most [`CHUNK`]; if there are none, sleeps until there are or the time is up (`None`: for
    /// ever). For the shard's thread alone.
    pub fn receive(&self, chunk: &mut Chunk, timeout: Option<Duration>) {
        let mut queues = self.lock();
        if queues.is_empty() && timeout != Some(Duration::ZERO) {
            queues.is_asleep = true;
            queues = match timeout {
                Some(timeout) => {
                    let woken = self.wake.wait_timeout(queues, timeout);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(queues).unwrap_or_else(PoisonError::into_inner),
            };
            queues.is_asleep = false;
        }
        queues.take(chunk);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Queues) -> T) -> T {
        let mut queues = self.lock();
        let result = change(&mut queues);
        let must_wake = queues.is_asleep && !queues.is_empty();
        if must_wake {
            queues.is_asleep = false;
        }
        drop(queues);
        if must_wake {
            self.wake.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // A sender that panicked leaves whole queues behind: every change is one push.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
