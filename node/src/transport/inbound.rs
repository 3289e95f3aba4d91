//! What the transport tells the rest of the node: the trait that the runtime's router implements.
//!
//! ```text
//! peer stream ──→ peer_frame
//! lost peer ────→ peer_unreachable (with what certainly never arrived)
//! client ───────→ connection_opened, client_call … , connection_closed
//!          ←───── Answers, one per call
//! ```
//!
//! What does not leave at all comes back from [`super::Transport::send`] itself, to the thread that sent it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use starling::ids::{ConnectionId, NodeId};
use starling::membership::LayoutEpoch;
use starling::membership::principal::Role;
use starling::message::client::{Answer, Call};
use starling::message::peer::Frame;
use starling::message::weight;
use tokio::sync::{Notify, mpsc};

/// Takes what arrives. Called from the transport's tasks; nothing here may block a thread.
pub trait Inbound: Clone + Send + Sync + 'static {
    /// A member of the layout sent a frame, or another node of the cluster's authority one with nothing but what such nodes
    /// may say; its certificate proves who it is. What there is no room for is dropped.
    fn peer_frame(&self, from: NodeId, frame: Frame);

    /// A node has said in its HELLO that it has another layout than this node.
    fn layout_heard(&self, from: NodeId, theirs: LayoutEpoch);

    /// The connection to a peer is gone, or its first dial failed. `not_sent` certainly never arrived; of what was sent
    /// before, the last frames may be lost.
    fn peer_unreachable(&self, node: NodeId, not_sent: Vec<Frame>);

    /// A client was let in. Comes before its first call; `answers` may be kept until [`Inbound::connection_closed`].
    fn connection_opened(&self, connection: ConnectionId, role: &Role, answers: Answers);

    /// A client calls. It must get exactly one answer through its [`Answers`], a refusal if need be. Drills were
    /// already answered by the transport.
    fn client_call(&self, connection: ConnectionId, call: Call);

    /// A client is gone; answers to it lead nowhere from now on.
    fn connection_closed(&self, connection: ConnectionId);
}

/// The way back to one client. Cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub struct Answers {
    sender: mpsc::Sender<Answer>,
    backlog: Arc<Backlog>,
}

/// The other end of [`Answers`]: the session that writes them to the client.
#[derive(Debug)]
pub struct AnswerQueue {
    receiver: mpsc::Receiver<Answer>,
    backlog: Arc<Backlog>,
}

#[derive(Debug)]
struct Backlog {
    bytes: AtomicUsize,
    bytes_max: usize,
    is_over: AtomicBool,
    over: Notify,
}

impl Answers {
    /// A way for at most `answers_max` answers that wait, of at most `bytes_max` bytes together.
    pub fn channel(answers_max: usize, bytes_max: usize) -> (Answers, AnswerQueue) {
        let (sender, receiver) = mpsc::channel(answers_max.max(1));
        let backlog =
            Backlog { bytes: AtomicUsize::new(0), bytes_max, is_over: AtomicBool::new(false), over: Notify::new() };
        let backlog = Arc::new(backlog);
        (Answers { sender, backlog: Arc::clone(&backlog) }, AnswerQueue { receiver, backlog })
    }

    /// Sends an answer. A client that lets more than the bound pile up is disconnected; one that is gone gets nothing.
    pub fn send(&self, answer: Answer) {
        let bytes = weight::of_answer(&answer);
        let waiting = self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        // An answer heavier than the bound alone still goes when nothing waits before it.
        let is_over = waiting > self.backlog.bytes_max && waiting > bytes;
        if is_over || matches!(self.sender.try_send(answer), Err(mpsc::error::TrySendError::Full(_))) {
            self.backlog.is_over.store(true, Ordering::Relaxed);
            self.backlog.over.notify_one();
        }
    }
}

impl AnswerQueue {
    /// Waits for answers and takes up to `count_max` of them. May be cancelled without loss.
    pub async fn take(&mut self, into: &mut Vec<Answer>, count_max: usize) -> usize {
        let count = self.receiver.recv_many(into, count_max).await;
        let bytes: usize = into.iter().rev().take(count).map(weight::of_answer).sum();
        self.backlog.bytes.fetch_sub(bytes, Ordering::Relaxed);
        count
    }

    /// A future that is ready when the client let too much pile up. It does not borrow the queue.
    pub fn overflow(&self) -> impl Future<Output = ()> + Send + use<> {
        let backlog = Arc::clone(&self.backlog);
        async move {
            while !backlog.is_over.load(Ordering::Relaxed) {
                backlog.over.notified().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use starling::ids::RequestId;
    use starling::message::client::{AnswerBody, Response, ValueReply, Visible};

    use super::*;

    fn answer(id: u64, bytes: usize) -> Answer {
        let value = Visible::Text(Bytes::from(vec![b'x'; bytes]));
        let reply =
            ValueReply { value, partial: false, conflict: false, answered: Vec::new(), stale_ms: None, token: None };
        Answer { id: RequestId(id), body: AnswerBody::Key(Response::Value(reply)) }
    }

    #[tokio::test]
    async fn answers_come_out_in_order_and_free_their_bytes() {
        let (answers, mut queue) = Answers::channel(10, 5_000);
        let mut taken = Vec::new();
        for round in 0..10 {
            answers.send(answer(2 * round, 1_000));
            answers.send(answer(2 * round + 1, 1_000));
            assert_eq!(queue.take(&mut taken, 100).await, 2);
        }
        let ids: Vec<u64> = taken.iter().map(|answer| answer.id.0).collect();
        assert_eq!(ids, (0..20).collect::<Vec<u64>>());
        assert!(!queue.backlog.is_over.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_overflows_by_bytes() {
        let (answers, queue) = Answers::channel(1_000, 5_000);
        for id in 0..4 {
            answers.send(answer(id, 1_000));
        }
        assert!(!queue.backlog.is_over.load(Ordering::Relaxed));
        answers.send(answer(4, 1_000));
        queue.overflow().await;
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_overflows_by_count() {
        let (answers, queue) = Answers::channel(2, usize::MAX);
        for id in 0..3 {
            answers.send(answer(id, 1));
        }
        queue.overflow().await;
    }

    #[tokio::test]
    async fn one_answer_larger_than_the_bound_still_goes() {
        let (answers, mut queue) = Answers::channel(2, 100);
        answers.send(answer(1, 1_000_000));
        assert_eq!(queue.take(&mut Vec::new(), 10).await, 1);
        assert!(!queue.backlog.is_over.load(Ordering::Relaxed));
    }
}
