//! Lets connections in: proves who it is, hears the HELLO, then serves a peer's frames or a client's calls.
//!
//! ```text
//! packet ─→ handshake (certificate) ─→ role and layout ─→ HELLO ─→ HELLO back ─→ streams
//!                                       member │ outsider │ client
//!             └── refused: closed with a reason, counted, logged ──┘
//! ```
//!
//! Nothing is read before the certificate was checked, little before the HELLO, and both must happen within one time
//! bound. A node of the cluster's authority that is no member (a candidate, or one that was declared lost and does not
//! know it) is let in as an *outsider*: of what it says only what such nodes may say is heard, and few are let in. Every
//! stream begins with the two HELLOs. Each connection and each stream is a task of its own: a fault or even
//! a panic in one closes that connection and touches no other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quinn::{Connection, Incoming, RecvStream, SendStream, VarInt};
use starling::ids::{ConnectionId, NodeId};
use starling::membership::principal::{Principal, Role};
use starling::message::client::Hello;
use starling::message::codec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use super::door::{self, Door, Slot};
use super::frames::{EnvelopeReader, ReadError};
use super::inbound::Inbound;
use super::outsiders::Outsiders;
use super::peer::HELLO_BYTES_MAX;
use super::quic;
use super::receive;
use super::refusal::{Refusal, close_code};
use super::session::{CALL_BYTES_MAX, Session};
use super::tls;
use super::way_back;

/// Accepts for one node.
#[derive(Clone)]
pub(super) struct Acceptor<I> {
    /// The node.
    pub(super) door: Arc<Door>,
    /// The router.
    pub(super) inbound: I,
    /// Dropped by the last task: the transport's end waits for that.
    pub(super) _alive: mpsc::Sender<()>,
}

/// Why a stream ends its connection.
#[derive(Debug)]
pub(super) struct StreamFault {
    /// `None`: the other side just went away.
    close: Option<(u32, String)>,
}

/// Whom a connection belongs to.
#[derive(Clone)]
enum Who {
    Node(NodeId),
    Outsider(NodeId),
    Client(Role),
}

/// A connection whose first stream said HELLO.
struct Admitted {
    connection: Connection,
    who: Who,
    first: (SendStream, EnvelopeReader<RecvStream>),
    _slot: Option<Slot>,
}

impl<I: Inbound> Acceptor<I> {
    /// Accepts until the node stops.
    pub(super) async fn run(self) {
        let handshakes_max = self.door.settings.handshakes_max;
        let handshakes = Arc::new(Semaphore::new(handshakes_max));
        let mut closing = self.door.closing.subscribe();
        loop {
            let incoming = tokio::select! {
                incoming = self.door.endpoint.accept() => incoming,
                () = door::until_true(&mut closing) => return,
            };
            let Some(incoming) = incoming else { return };
            let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
                self.door.refusals.note(incoming.remote_address(), &Refusal::TooManyHandshakes(handshakes_max));
                incoming.refuse();
                continue;
            };
            let is_crowded = handshakes.available_permits() < handshakes_max / 2;
            if is_crowded && !incoming.remote_address_validated() && incoming.may_retry() {
                // The address proves itself by coming back with the token; a forged one does not.
                let _ = incoming.retry();
                continue;
            }
            tokio::spawn(self.clone().serve(incoming, permit));
        }
    }

    async fn serve(self, incoming: Incoming, permit: OwnedSemaphorePermit) {
        let address = incoming.remote_address();
        match self.admit(incoming).await {
            Ok(admitted) => {
                drop(permit);
                self.keep(admitted).await;
            }
            Err(refusal) => self.door.refusals.note(address, &refusal),
        }
    }

    async fn admit(&self, incoming: Incoming) -> Result<Admitted, Refusal> {
        let patience = self.door.settings.handshake_timeout;
        let due = Instant::now() + patience;
        let connection = timeout_at(due, incoming.into_future()).await.map_err(|_| Refusal::TooSlow(patience))??;
        let greeted = timeout_at(due, self.greet(&connection)).await.unwrap_or(Err(Refusal::TooSlow(patience)));
        match greeted {
            Ok((who, slot, first)) => Ok(Admitted { connection, who, first, _slot: slot }),
            Err(refusal) => {
                connection.close(refusal.close_code(), refusal.to_string().as_bytes());
                Err(refusal)
            }
        }
    }

    async fn greet(
        &self,
        connection: &Connection,
    ) -> Result<(Who, Option<Slot>, (SendStream, EnvelopeReader<RecvStream>)), Refusal> {
        let who = self.judge(tls::principal_of(connection)?)?;
        let slot = match &who {
            Who::Node(_) => None,
            Who::Outsider(_) => Some(Slot::for_outsider(&self.door)?),
            Who::Client(_) => Some(Slot::for_client(&self.door)?),
        };
        let (send, receive) = connection.accept_bi().await.map_err(|error| Refusal::Gone(error.to_string()))?;
        let first = self.exchange_hello(&who, send, receive).await?;
        Ok((who, slot, first))
    }

    /// What a proven identity may be here.
    fn judge(&self, principal: Principal) -> Result<Who, Refusal> {
        let ours = self.door.cluster;
        if principal.cluster != ours {
            return Err(Refusal::OtherCluster { theirs: principal.cluster, ours });
        }
        match principal.role {
            Role::Node(node) if node == self.door.node => Err(Refusal::OwnCertificate),
            Role::Node(node) if self.door.present().has(node) => Ok(Who::Node(node)),
            Role::Node(node) => Ok(Who::Outsider(node)),
            role @ (Role::Client(_) | Role::Admin(_)) => Ok(Who::Client(role)),
        }
    }

    /// Hears the HELLO of a stream and says its own.
    async fn exchange_hello(
        &self,
        who: &Who,
        mut send: SendStream,
        receive: RecvStream,
    ) -> Result<(SendStream, EnvelopeReader<RecvStream>), Refusal> {
        let settings = &self.door.settings;
        let mut reader = EnvelopeReader::new(receive, HELLO_BYTES_MAX, settings.envelope_timeout);
        let theirs: Hello = reader.next().await?.ok_or(ReadError::Torn)?;
        let ours = self.door.cluster;
        if theirs.cluster != ours {
            return Err(Refusal::OtherCluster { theirs: theirs.cluster, ours });
        }
        match (who, theirs.node) {
            (Who::Node(certificate) | Who::Outsider(certificate), hello) if hello != Some(*certificate) => {
                return Err(Refusal::OtherMember { certificate: *certificate, hello });
            }
            (Who::Client(_), Some(claimed)) => return Err(Refusal::ClientAsNode(claimed)),
            (Who::Node(_) | Who::Outsider(_), _) | (Who::Client(_), None) => {}
        }
        let present = self.door.present();
        if let (Some(node), Some(layout)) = (who.node(), theirs.layout)
            && layout != present.layout.epoch
        {
            self.inbound.layout_heard(node, layout);
        }
        reader.allow(match who {
            Who::Node(_) | Who::Outsider(_) => starling::limits::FRAME_BYTES_MAX,
            Who::Client(_) => CALL_BYTES_MAX,
        });
        let mut hello = Vec::new();
        codec::encode(&present.hello, &mut hello).map_err(|error| Refusal::Hello(error.to_string()))?;
        send.write_all(&hello).await.map_err(|error| Refusal::Gone(error.to_string()))?;
        Ok((send, reader))
    }

    /// Serves an admitted connection to its end.
    async fn keep(self, admitted: Admitted) {
        let Admitted { connection, who, first, _slot } = admitted;
        let address = connection.remote_address();
        match &who {
            Who::Node(node) => {
                tracing::info!(peer = %node, %address, "it connected");
                connection.set_receive_window(VarInt::from_u32(quic::PEER_WINDOW));
            }
            Who::Outsider(node) => tracing::info!(node = %node, %address, "a node that is no member connected"),
            Who::Client(_) => tracing::debug!(client = %who, %address, "connected"),
        }
        if let Some(node) = who.node() {
            self.door.add_sender(node, &connection);
            // A layout that was taken up since the handshake has not seen this connection.
            if self.door.present().has(node) != matches!(who, Who::Node(_)) {
                connection.close(VarInt::from_u32(close_code::REPLACED), b"the layout has changed; dial again");
            }
        }
        let calls = Arc::new(Semaphore::new(self.door.settings.calls_max));
        let mut closing = self.door.closing.subscribe();
        let mut streams = JoinSet::new();
        streams.spawn(self.clone().stream(who.clone(), first, Arc::clone(&calls)));
        loop {
            tokio::select! {
                opened = connection.accept_bi() => match opened {
                    Ok(stream) => {
                        streams.spawn(self.clone().greet_stream(who.clone(), stream, Arc::clone(&calls)));
                    }
                    Err(reason) => {
                        tracing::debug!(who = %who, %address, %reason, "disconnected");
                        break;
                    }
                },
                Some(ended) = streams.join_next() => self.on_stream_end(&who, &connection, ended),
                () = door::until_true(&mut closing) => {
                    self.finish(&who, &connection, &mut streams).await;
                    break;
                }
            }
        }
        if let Some(node) = who.node() {
            self.door.forget_sender(node, &connection);
        }
    }

    /// A client gets the answers under way before the node stops; a peer asks others.
    async fn finish(&self, who: &Who, connection: &Connection, streams: &mut JoinSet<Result<(), StreamFault>>) {
        if let Who::Client(_) = who {
            let sessions = async { while streams.join_next().await.is_some() {} };
            if timeout(self.door.settings.close_grace, sessions).await.is_err() {
                tracing::warn!(who = %who, "calls were still under way when the node stopped");
            }
        }
        connection.close(VarInt::from_u32(close_code::STOPPING), b"the node is stopping; use another");
    }

    async fn greet_stream(
        self,
        who: Who,
        (send, receive): (SendStream, RecvStream),
        calls: Arc<Semaphore>,
    ) -> Result<(), StreamFault> {
        let patience = self.door.settings.handshake_timeout;
        let greeted = timeout(patience, self.exchange_hello(&who, send, receive)).await;
        match greeted.unwrap_or(Err(Refusal::TooSlow(patience))) {
            Ok(stream) => self.stream(who, stream, calls).await,
            Err(Refusal::Gone(_)) => Err(StreamFault::gone()),
            Err(refusal) => Err(StreamFault::new(close_code::REFUSED, refusal.to_string())),
        }
    }

    async fn stream(
        self,
        who: Who,
        (send, reader): (SendStream, EnvelopeReader<RecvStream>),
        calls: Arc<Semaphore>,
    ) -> Result<(), StreamFault> {
        match who {
            Who::Node(node) => {
                let (mut way, waiting) = self.door.ways_back.open(node);
                let faults = Arc::clone(&self.door.faults);
                tokio::select! {
                    received = receive::run(reader, node, self.inbound, faults, |start| way.leads_to(start)) => Ok(received?),
                    never = way_back::write(send, waiting) => match never {},
                }
            }
            Who::Outsider(node) => {
                let (mut way, waiting) = self.door.ways_back.open(node);
                let faults = Arc::clone(&self.door.faults);
                let inbound = Outsiders(self.inbound);
                tokio::select! {
                    received = receive::run(reader, node, inbound, faults, |start| way.leads_to(start)) => Ok(received?),
                    never = way_back::write(send, waiting) => match never {},
                }
            }
            Who::Client(role) => {
                let id = ConnectionId(self.door.next_connection.fetch_add(1, Ordering::Relaxed));
                Session { id, role, door: self.door, inbound: self.inbound, send, reader, calls }.run().await
            }
        }
    }

    fn on_stream_end(&self, who: &Who, connection: &Connection, ended: Result<Result<(), StreamFault>, JoinError>) {
        let (code, reason) = match ended {
            Ok(Ok(())) => return,
            Ok(Err(StreamFault { close: None })) => return,
            Ok(Err(StreamFault { close: Some(close) })) => close,
            Err(error) => {
                tracing::error!(who = %who, %error, "a session failed");
                (close_code::INTERNAL, "the session failed; open another".to_owned())
            }
        };
        tracing::warn!(who = %who, address = %connection.remote_address(), code, reason, "connection closed");
        connection.close(VarInt::from_u32(code), reason.as_bytes());
    }
}

impl StreamFault {
    /// The connection is closed with this.
    pub(super) fn new(code: u32, reason: String) -> StreamFault {
        StreamFault { close: Some((code, reason)) }
    }

    /// The other side is gone; there is nothing to say.
    pub(super) fn gone() -> StreamFault {
        StreamFault { close: None }
    }
}

impl From<ReadError> for StreamFault {
    fn from(error: ReadError) -> StreamFault {
        if error.is_offence() {
            StreamFault::new(close_code::MALFORMED, error.to_string())
        } else {
            StreamFault::gone()
        }
    }
}

impl Who {
    /// The node, if it is one.
    fn node(&self) -> Option<NodeId> {
        match self {
            Who::Node(node) | Who::Outsider(node) => Some(*node),
            Who::Client(_) => None,
        }
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Who::Node(node) => write!(f, "{node}"),
            Who::Outsider(node) => write!(f, "{node}, no member"),
            Who::Client(Role::Client(name)) => write!(f, "client {name}"),
            Who::Client(Role::Admin(name)) => write!(f, "admin {name}"),
            Who::Client(Role::Node(node)) => write!(f, "client {node}"),
        }
    }
}
