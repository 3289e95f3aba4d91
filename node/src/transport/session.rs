//! One stream of one client: its calls go to the router, the answers come back coalesced, in any order.
//!
//! ```text
//! client ─→ reader ─ permit ─→ router        at most `calls_max` calls of a connection are under way: without a permit
//!        ←─ writer ←─ Answers ←──┘           nothing is read, and the client feels it
//! ```
//!
//! Reading and writing share one task: a client that takes no answers gives no further calls. One that takes nothing for
//! `write_timeout`, or lets too many answers pile up, is disconnected. When the client ends its side, or the node stops,
//! the calls under way are still answered.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use starling::ids::ConnectionId;
use starling::membership::principal::Role;
use starling::message::client::{
    Answer, AnswerBody, Call, CallBody, FaultPlan, NodeAnswer, NodeCall, Outcome, Reason, RequestError, Response,
};
use starling::message::codec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::acceptor::StreamFault;
use super::door::{self, Door};
use super::frames::EnvelopeReader;
use super::inbound::{Answers, Inbound};
use super::refusal::close_code;

/// Largest call. Unit: bytes. Above every value that is allowed, so that one a little too large still gets an answer
/// that says so; a larger one closes the connection.
pub(super) const CALL_BYTES_MAX: usize = 4 * starling::limits::VALUE_BYTES_MAX;

/// Answers in one write.
const BATCH_MAX: usize = 256;

/// One stream of a client.
pub(super) struct Session<I: Inbound> {
    /// Its number for the router.
    pub(super) id: ConnectionId,
    /// What the certificate allows.
    pub(super) role: Role,
    /// The node.
    pub(super) door: Arc<Door>,
    /// The router.
    pub(super) inbound: I,
    /// Answers go here.
    pub(super) send: SendStream,
    /// Calls come from here.
    pub(super) reader: EnvelopeReader<RecvStream>,
    /// Calls that the whole connection may still make.
    pub(super) calls: Arc<Semaphore>,
}

/// Tells the router that the client is gone, however the session ends.
struct Goodbye<I: Inbound> {
    inbound: I,
    id: ConnectionId,
}

impl<I: Inbound> Drop for Goodbye<I> {
    fn drop(&mut self) {
        self.inbound.connection_closed(self.id);
    }
}

impl<I: Inbound> Session<I> {
    /// Runs until the client ends its side and has its answers, the node stops, or somebody breaks a rule.
    pub(super) async fn run(mut self) -> Result<(), StreamFault> {
        let settings = &self.door.settings;
        let (answers, mut queue) = Answers::channel(settings.calls_max, settings.answer_bytes_max);
        self.inbound.connection_opened(self.id, &self.role, answers.clone());
        let _goodbye = Goodbye { inbound: self.inbound.clone(), id: self.id };
        let mut overflow = std::pin::pin!(queue.overflow());
        let mut closing = self.door.closing.subscribe();
        let mut under_way = permits(&self.calls, 0).await?;
        let mut next_permit = None;
        let mut is_reading = true;
        let mut batch = Vec::new();
        while is_reading || under_way.num_permits() > 0 {
            tokio::select! {
                count = queue.take(&mut batch, BATCH_MAX) => {
                    self.write(&mut batch, overflow.as_mut()).await?;
                    drop(under_way.split(count));
                }
                permit = permits(&self.calls, 1), if is_reading && next_permit.is_none() => {
                    next_permit = Some(permit?);
                }
                call = self.reader.next::<Call>(), if is_reading && next_permit.is_some() => {
                    let mut next_call = call.map_err(StreamFault::from)?;
                    is_reading = next_call.is_some();
                    while let (Some(call), Some(permit)) = (next_call.take(), next_permit.take()) {
                        under_way.merge(permit);
                        self.hand_over(call, &answers);
                        next_permit = Arc::clone(&self.calls).try_acquire_owned().ok();
                        if next_permit.is_some() {
                            next_call = self.reader.buffered()?;
                        }
                    }
                }
                () = door::until_true(&mut closing), if is_reading => is_reading = false,
                () = overflow.as_mut() => return Err(too_slow_reader()),
            }
        }
        // The answers are with QUIC now; wait until the client has them, so that a stop does not cut them off.
        if self.send.finish().is_ok() {
            let _ = timeout(self.door.settings.write_timeout, self.send.stopped()).await;
        }
        Ok(())
    }

    fn hand_over(&self, call: Call, answers: &Answers) {
        match call.body {
            CallBody::Node(NodeCall::SetFaults(plan)) => {
                answers.send(Answer { id: call.id, body: AnswerBody::Node(self.set_faults(&plan)) });
            }
            CallBody::Node(NodeCall::Backup { .. }) if !matches!(self.role, Role::Admin(_)) => {
                let body = AnswerBody::Node(forbidden("backups need an admin certificate".into()));
                answers.send(Answer { id: call.id, body });
            }
            CallBody::Node(NodeCall::Cluster(cluster))
                if !cluster.is_read_only() && !matches!(self.role, Role::Admin(_)) =>
            {
                let body = AnswerBody::Node(forbidden("changes of the cluster need an admin certificate".into()));
                answers.send(Answer { id: call.id, body });
            }
            CallBody::Node(NodeCall::Cluster(_) | NodeCall::Status | NodeCall::Layout | NodeCall::Backup { .. })
            | CallBody::Key(_) => {
                self.inbound.client_call(self.id, call);
            }
        }
    }

    fn set_faults(&self, plan: &FaultPlan) -> NodeAnswer {
        match &self.role {
            Role::Admin(_) => match self.door.faults.set(plan, &self.door.present().layout, Instant::now()) {
                Ok(()) => NodeAnswer::FaultsSet,
                Err(error) => forbidden(error.to_string()),
            },
            Role::Client(_) | Role::Node(_) => forbidden("faults need an admin certificate".into()),
        }
    }

    /// Encodes the answers together and writes them. Empties the batch.
    async fn write<F: Future<Output = ()>>(
        &mut self,
        batch: &mut Vec<Answer>,
        mut overflow: Pin<&mut F>,
    ) -> Result<(), StreamFault> {
        let mut bytes = Vec::new();
        for answer in batch.drain(..) {
            if let Err(error) = codec::encode(&answer, &mut bytes) {
                tracing::error!(%error, "an answer cannot be sent; its client gets an error");
                codec::encode(&self.unsendable(&answer, error.to_string()), &mut bytes)
                    .map_err(|error| StreamFault::new(close_code::INTERNAL, error.to_string()))?;
            }
        }
        let mut rest = Bytes::from(bytes);
        while !rest.is_empty() {
            let patience = self.door.settings.write_timeout;
            tokio::select! {
                written = timeout(patience, self.send.write_chunks(std::slice::from_mut(&mut rest))) => {
                    written.map_err(|_| too_slow_writer(patience))?.map_err(|_| StreamFault::gone())?;
                }
                () = overflow.as_mut() => return Err(too_slow_reader()),
            }
        }
        Ok(())
    }

    fn unsendable(&self, answer: &Answer, detail: String) -> Answer {
        let error =
            RequestError { outcome: Outcome::Unknown, reason: Reason::StorageFailed { node: self.door.node, detail } };
        let body = match &answer.body {
            AnswerBody::Key(_) => AnswerBody::Key(Response::Failed(error)),
            AnswerBody::Node(_) => AnswerBody::Node(NodeAnswer::Failed(error)),
        };
        Answer { id: answer.id, body }
    }
}

async fn permits(calls: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, StreamFault> {
    Arc::clone(calls).acquire_many_owned(count).await.map_err(|_| StreamFault::gone())
}

fn too_slow_reader() -> StreamFault {
    StreamFault::new(close_code::LIMIT, "answers pile up; read them, or send fewer calls at once".into())
}

fn too_slow_writer(patience: Duration) -> StreamFault {
    StreamFault::new(close_code::LIMIT, format!("no answer was taken within {patience:?}"))
}

fn forbidden(text: String) -> NodeAnswer {
    NodeAnswer::Failed(RequestError { outcome: Outcome::NotApplied, reason: Reason::Forbidden(text) })
}
