//! The router: from the transport's threads to the right shard's mailbox.
//!
//! The transport calls it with everything that arrives; nothing here waits or decides about the protocol. A message
//! goes to the shard of its partition (`partition mod shards`), a frame with messages for several shards is split, and
//! within a shard answers go apart from requests (`mailbox`). Calls about the node itself are answered here.
//!
//! Cheap to clone; every method may be called from any thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use starling::causality::Epoch;
use starling::ids::{ConnectionId, NodeId, RequestId};
use starling::membership::principal::Role;
use starling::membership::{Layout, LayoutEpoch};
use starling::message::client::{
    Answer, AnswerBody, BackupRefusal, Call, CallBody, FaultPlan, NodeAnswer, NodeCall, NodeStatus, Outcome, Reason,
    Request, RequestError, Response,
};
use starling::message::peer::Frame;
use starling::message::weight;
use starling::shard::Input;
use tracing::warn;

use super::connections::Connections;
use super::counters::Counters;
use super::mailbox::{Full, Mailbox};
use super::present::PresentRing;
use crate::backup::Backups;
use crate::status::StatusSource;
use crate::transport::NotSent;
use crate::transport::inbound::{Answers, Inbound};

/// What the runtime needs of the transport. Nothing here may wait.
pub trait PeerLinks: Send + Sync {
    /// Queues a frame for a peer, or gives back what certainly does not leave.
    fn send(&self, to: NodeId, frame: Frame) -> Result<(), NotSent>;

    /// Sends a frame to one start of a peer, on a connection that this start opened, or drops it.
    fn send_back(&self, to: NodeId, start: Epoch, frame: Frame);

    /// The injected faults that are in force now, with what is left of their time.
    fn faults(&self) -> FaultPlan;

    /// Who may be spoken to and heard from now on.
    fn set_layout(&self, layout: &Arc<Layout>);
}

/// The router of a node.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    ring: Arc<PresentRing>,
    mailboxes: Vec<Arc<Mailbox>>,
    connections: Arc<Connections>,
    status: StatusSource,
    counters: Arc<Counters>,
    links: OnceLock<Weak<dyn PeerLinks>>,
    backups: OnceLock<Backups>,
    is_stopping: AtomicBool,
}

impl Router {
    /// A router of this node to the shards with these mailboxes, in the order of their numbers. At least one.
    pub fn new(
        ring: Arc<PresentRing>,
        mailboxes: Vec<Arc<Mailbox>>,
        connections: Arc<Connections>,
        status: StatusSource,
        counters: Arc<Counters>,
    ) -> Router {
        assert!(!mailboxes.is_empty(), "a node has at least one shard");
        let (links, backups) = (OnceLock::new(), OnceLock::new());
        let is_stopping = AtomicBool::new(false);
        Router {
            shared: Arc::new(Shared { ring, mailboxes, connections, status, counters, links, backups, is_stopping }),
        }
    }

    /// Introduces the transport, once, before any call arrives. A second introduction is ignored.
    pub fn attach(&self, links: &Arc<dyn PeerLinks>) {
        // They lead back here, and must not keep it alive.
        let _already_attached = self.shared.links.set(Arc::downgrade(links)).is_err();
    }

    /// Introduces what takes backups, once. A second introduction is ignored.
    pub fn attach_backups(&self, backups: Backups) {
        let _already_attached = self.shared.backups.set(backups).is_err();
    }

    /// From now on new requests are answered `Stopping`.
    pub fn stop_accepting(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
    }

    /// The layout in force.
    pub fn layout(&self) -> Arc<Layout> {
        self.shared.ring.get().layout().clone()
    }

    /// Asks every shard how it is, and calls `done` with how the node is, on the thread of the shard that tells last.
    pub fn status(&self, done: impl FnOnce(NodeStatus) + Send + 'static) -> Result<(), Full> {
        let faults = self.shared.links.get().and_then(Weak::upgrade).map(|links| links.faults()).unwrap_or_default();
        self.shared.status.ask(&self.shared.mailboxes, self.shared.ring.get().epoch(), faults, done)
    }

    /// Hands a request to its shard; an answer only if it is refused at once.
    fn key_call(&self, connection: ConnectionId, request_id: RequestId, request: Request) -> Option<Answer> {
        if self.shared.is_stopping.load(Ordering::Acquire) {
            return Some(refusal(request_id, Reason::Stopping));
        }
        let ring = self.shared.ring.get();
        if ring.layout().member(self.shared.status.facts.node).is_none() {
            return Some(refusal(request_id, Reason::StaleLayout { have: ring.epoch().number }));
        }
        let shard = ring.partition_of(&request.key).shard(self.shards());
        let mailbox = self.shared.mailboxes.get(shard)?;
        let bytes = weight::of_request(&request);
        match mailbox.client(Input::Client { connection, request_id, request }, bytes) {
            Ok(()) => None,
            Err(Full) => {
                self.shared.counters.clients_refused.add(1);
                Some(refusal(request_id, Reason::Busy { queue: "the queue of client requests".into() }))
            }
        }
    }

    /// Answers a call about the node, at once or (status) when the shards have told how they are.
    fn node_call(&self, connection: ConnectionId, id: RequestId, call: NodeCall) -> Option<Answer> {
        let node = |answer| Answer { id, body: AnswerBody::Node(answer) };
        match call {
            NodeCall::Layout => {
                Some(node(NodeAnswer::Layout(Box::new(Layout::clone(self.shared.ring.get().layout())))))
            }
            NodeCall::SetFaults(_) => {
                // The transport answers these itself: it knows the caller's role and holds the faults.
                let reason = Reason::Forbidden("faults are set through the node's QUIC door".into());
                Some(node(NodeAnswer::Failed(RequestError { outcome: Outcome::NotApplied, reason })))
            }
            NodeCall::Backup { name } => {
                let connections = self.shared.connections.clone();
                let tell = move |outcome| {
                    let answer = match outcome {
                        Ok(taken) => NodeAnswer::BackedUp(taken),
                        Err(refusal) => NodeAnswer::Failed(refused(Reason::Backup(refusal))),
                    };
                    connections.deliver([(connection, Answer { id, body: AnswerBody::Node(answer) })]);
                };
                match self.shared.backups.get() {
                    Some(backups) => backups.begin(name, Box::new(tell)),
                    None => tell(Err(BackupRefusal::Failed { detail: "this node keeps no store".into() })),
                }
                None
            }
            NodeCall::Cluster(call) => {
                let mailbox = self.shared.mailboxes.first()?;
                let bytes = weight::of_cluster_call(&call);
                let asked = mailbox.client(Input::Admin { connection, request_id: id, call }, bytes);
                asked.err().map(|Full| {
                    let reason = Reason::Busy { queue: "the queue of client requests".into() };
                    node(NodeAnswer::Failed(RequestError { outcome: Outcome::NotApplied, reason }))
                })
            }
            NodeCall::Status => {
                let connections = self.shared.connections.clone();
                let asked = self.status(move |status| {
                    let answer = Answer { id, body: AnswerBody::Node(NodeAnswer::Status(Box::new(status))) };
                    connections.deliver([(connection, answer)]);
                });
                asked.err().map(|Full| {
                    let reason = Reason::Busy { queue: "the queue of status calls".into() };
                    node(NodeAnswer::Failed(RequestError { outcome: Outcome::NotApplied, reason }))
                })
            }
        }
    }

    fn shards(&self) -> usize {
        self.shared.mailboxes.len()
    }
}

impl Inbound for Router {
    /// Never waits: requests for which there is no room are dropped and counted, and the peer's deadlines handle it.
    /// Waiting would hold up the answers behind them in the same stream.
    fn peer_frame(&self, from: NodeId, frame: Frame) {
        self.shared.counters.peer_bytes_received.add(weight::of_frame(&frame) as u64);
        for (shard, frame) in frame.by_shard(self.shards()) {
            let Some(mailbox) = self.shared.mailboxes.get(shard) else { continue };
            let (answers, requests) = frame.apart();
            let mut dropped = 0;
            if let Some(answers) = answers {
                let count = answers.messages.len();
                dropped += mailbox.answers(from, answers).map_or_else(|Full| count, |()| 0);
            }
            if let Some(requests) = requests {
                let count = requests.messages.len();
                dropped += mailbox.requests(from, requests).map_or_else(|Full| count, |()| 0);
            }
            self.shared.counters.peer_messages_dropped.add(dropped as u64);
        }
    }

    fn layout_heard(&self, from: NodeId, theirs: LayoutEpoch) {
        let ours = self.shared.ring.get().epoch();
        if theirs.number == ours.number {
            warn!(peer = %from, ?ours, ?theirs, "another layout under the same number");
        }
        if let Some(keeper) = self.shared.mailboxes.first().filter(|_| theirs.number > ours.number) {
            keeper.own(Input::LayoutHeard { from, layout: theirs });
        }
    }

    fn peer_unreachable(&self, node: NodeId, not_sent: Vec<Frame>) {
        let mut by_shard: Vec<Vec<Frame>> = self.shared.mailboxes.iter().map(|_| Vec::new()).collect();
        for frame in not_sent {
            for (shard, frame) in frame.by_shard(self.shards()) {
                if let Some(frames) = by_shard.get_mut(shard) {
                    frames.push(frame);
                }
            }
        }
        for (mailbox, not_sent) in self.shared.mailboxes.iter().zip(by_shard) {
            mailbox.own(Input::PeerUnreachable { node, not_sent });
        }
    }

    fn connection_opened(&self, connection: ConnectionId, _role: &Role, answers: Answers) {
        self.shared.connections.open(connection, answers);
    }

    fn client_call(&self, connection: ConnectionId, Call { id, body }: Call) {
        let answer = match body {
            CallBody::Key(request) => self.key_call(connection, id, request),
            CallBody::Node(call) => self.node_call(connection, id, call),
        };
        if let Some(answer) = answer {
            self.shared.connections.deliver([(connection, answer)]);
        }
    }

    fn connection_closed(&self, connection: ConnectionId) {
        self.shared.connections.close(connection);
    }
}

fn refused(reason: Reason) -> RequestError {
    RequestError { outcome: Outcome::NotApplied, reason }
}

fn refusal(id: RequestId, reason: Reason) -> Answer {
    Answer { id, body: AnswerBody::Key(Response::Failed(refused(reason))) }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
