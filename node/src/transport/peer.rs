//! One task per peer: it dials, says HELLO, writes what waits in the peer's queue, and dials again when that ends.
//!
//! ```text
//!  start ──→ dialling (queue open for a grace) ──→ connected ──lost──→ waiting ⇄ dialling
//!                 └── grace over: queue shut ─────────┘ queue open   └─ queue shut, frames come back at once ─┘
//! ```
//!
//! Each node dials its own connection to each peer and sends on it, over two streams: small frames, and bulk frames of
//! lower priority. What comes back on them is only what the peer has for this very start (`way_back.rs`). Frames that wait are encoded together and written at once. Of the frames that were given to QUIC
//! when a connection is lost nobody knows whether they arrived; all others come back as not sent. The link ends when the
//! peer is no member any more, or has another address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{ConnectError, Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt, WriteError};
use rand::RngExt;
use starling::ids::{ClusterId, NodeId};
use starling::membership::principal::{Principal, Role, server_name};
use starling::message::client::Hello;
use starling::message::codec::{self, CodecError};
use starling::message::peer::Frame;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::door;
use super::faults::Faults;
use super::frames::{EnvelopeReader, ReadError};
use super::inbound::Inbound;
use super::queue::{Lane, SendQueue};
use super::receive;
use super::refusal::{Refusal, close_code};
use super::roster::Now;
use super::settings::Settings;
use super::tls;

/// A HELLO is small, and before it nobody gets more memory. Unit: bytes.
pub(super) const HELLO_BYTES_MAX: usize = 16 * 1024;

/// Below the small lane's 0.
const BULK_PRIORITY: i32 = -1;

/// The link to one peer.
pub(super) struct PeerLink<I> {
    /// Who.
    pub(super) peer: NodeId,
    /// `host:port`, resolved anew for every dial.
    pub(super) address: String,
    /// Whose members they are.
    pub(super) cluster: ClusterId,
    /// Says what this node says of itself.
    pub(super) now: Arc<Now>,
    /// Dials.
    pub(super) endpoint: Endpoint,
    /// What waits for the peer.
    pub(super) queue: Arc<SendQueue>,
    /// Knobs.
    pub(super) settings: Settings,
    /// Learns what was not sent.
    pub(super) inbound: I,
    /// Drills.
    pub(super) faults: Arc<Faults>,
    /// Turns true when the node stops.
    pub(super) closing: watch::Receiver<bool>,
    /// Turns true when the peer is none any more, or has moved.
    pub(super) ends: watch::Receiver<bool>,
}

/// Why a dial did not end in a connection.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("{address} does not resolve: {reason}")]
    Resolve { address: String, reason: String },
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error("no answer within {0:?}; it is not running, or UDP does not get through")]
    TooSlow(Duration),
    #[error("the answering side is refused: {0}")]
    Refused(#[from] Refusal),
    #[error("HELLO: {0}")]
    Hello(#[from] CodecError),
    #[error("{0}")]
    Write(#[from] WriteError),
}

/// A connection on which the peer accepted this node.
struct Connected {
    connection: Connection,
    small: LaneWriter,
    bulk: LaneWriter,
    /// What comes back on the streams of the lanes.
    backs: [EnvelopeReader<RecvStream>; 2],
}

impl<I: Inbound> PeerLink<I> {
    /// Runs until the node stops.
    pub(super) async fn run(mut self) {
        let (mut closing, mut ends) = (self.closing.clone(), self.ends.clone());
        tokio::select! {
            () = self.dial_and_drive() => {}
            () = door::until_true(&mut closing) => {}
            () = door::until_true(&mut ends) => {}
        }
        self.give_back(Vec::new());
    }

    async fn dial_and_drive(&mut self) {
        let mut backoff = Backoff::new(self.settings.redial_min, self.settings.redial_max);
        let mut grace_ends = Some(Instant::now() + self.settings.first_dial_grace);
        let mut last_failure = String::new();
        for attempt in 0_usize.. {
            match self.dial(attempt, &mut grace_ends).await {
                Ok(connected) => {
                    tracing::info!(peer = %self.peer, address = %connected.connection.remote_address(), "connected");
                    last_failure.clear();
                    backoff.reset();
                    grace_ends = None;
                    self.queue.open();
                    let (reason, not_sent) = self.drive(connected).await;
                    tracing::warn!(peer = %self.peer, %reason, "connection lost");
                    self.give_back(not_sent);
                }
                Err(failure) => {
                    let failure = failure.to_string();
                    if failure != last_failure {
                        tracing::warn!(peer = %self.peer, address = self.address, reason = failure, "cannot be reached");
                        last_failure = failure;
                    }
                }
            }
            self.unless_grace_ends(&mut grace_ends, tokio::time::sleep(backoff.next())).await;
        }
    }

    /// Waits for a future; if the grace of the first dial ends meanwhile, what waits for the peer goes back.
    async fn unless_grace_ends<F: Future>(&self, grace_ends: &mut Option<Instant>, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        if let Some(end) = *grace_ends {
            tokio::select! {
                output = &mut future => return output,
                () = tokio::time::sleep_until(end) => {
                    *grace_ends = None;
                    self.give_back(Vec::new());
                }
            }
        }
        future.await
    }

    /// Shuts the queue and gives back what waited in it, behind `not_sent`. Told once per connection.
    fn give_back(&self, mut not_sent: Vec<Frame>) {
        if let Some(waiting) = self.queue.shut() {
            not_sent.extend(waiting);
            self.inbound.peer_unreachable(self.peer, not_sent);
        }
    }

    async fn dial(&self, attempt: usize, grace_ends: &mut Option<Instant>) -> Result<Connected, DialError> {
        let patience = self.settings.dial_timeout;
        let dial = timeout(patience, self.connect(attempt));
        self.unless_grace_ends(grace_ends, dial).await.map_err(|_| DialError::TooSlow(patience))?
    }

    async fn connect(&self, attempt: usize) -> Result<Connected, DialError> {
        let address = self.resolve(attempt).await?;
        let connection = self.endpoint.connect(address, &server_name(self.cluster, self.peer))?.await?;
        let refuse = |refusal: Refusal| {
            connection.close(refusal.close_code(), refusal.to_string().as_bytes());
            DialError::from(refusal)
        };
        let expected = Principal { cluster: self.cluster, role: Role::Node(self.peer) };
        let proven = tls::principal_of(&connection).map_err(refuse)?;
        if proven != expected {
            return Err(refuse(match proven.role {
                Role::Node(node) => Refusal::OtherMember { certificate: node, hello: Some(self.peer) },
                Role::Client(_) | Role::Admin(_) => Refusal::ClientAsNode(self.peer),
            }));
        }
        let (small, back_of_small) = self.open_lane(&connection, Lane::Small).await?.map_err(refuse)?;
        let (bulk, back_of_bulk) = self.open_lane(&connection, Lane::Bulk).await?.map_err(refuse)?;
        Ok(Connected { connection, small, bulk, backs: [back_of_small, back_of_bulk] })
    }

    /// One of the addresses that the peer's name has now: another one with each attempt.
    async fn resolve(&self, attempt: usize) -> Result<SocketAddr, DialError> {
        let unresolved = |reason: String| DialError::Resolve { address: self.address.clone(), reason };
        let found =
            tokio::net::lookup_host(self.address.as_str()).await.map_err(|error| unresolved(error.to_string()))?;
        let is_v6 = self.endpoint.local_addr().is_ok_and(|local| local.is_ipv6());
        let usable: Vec<SocketAddr> = found.filter(|address| is_v6 || address.is_ipv4()).collect();
        let index = attempt.checked_rem(usable.len()).unwrap_or(0);
        usable
            .get(index)
            .copied()
            .ok_or_else(|| unresolved("no address of the family that this node listens on".into()))
    }

    /// Opens a stream and exchanges HELLOs on it. The outer error is the network's, the inner one a refusal.
    async fn open_lane(&self, connection: &Connection, lane: Lane) -> Result<Result<OpenLane, Refusal>, DialError> {
        let (mut send, receive) = connection.open_bi().await?;
        if lane == Lane::Bulk {
            send.set_priority(BULK_PRIORITY).map_err(WriteError::from)?;
        }
        let mut hello = Vec::new();
        codec::encode(&self.now.hello(), &mut hello)?;
        send.write_all(&hello).await?;
        match self.read_hello(receive).await {
            Ok(back) => Ok(Ok((LaneWriter::new(send, lane), back))),
            // The connection's own reason says more than the torn stream's.
            Err(refusal) => match connection.close_reason() {
                Some(reason) => Err(DialError::Connection(reason)),
                None => Ok(Err(refusal)),
            },
        }
    }

    async fn read_hello(&self, receive: RecvStream) -> Result<EnvelopeReader<RecvStream>, Refusal> {
        let mut reader = EnvelopeReader::new(receive, HELLO_BYTES_MAX, self.settings.dial_timeout);
        let theirs: Hello = reader.next().await?.ok_or(ReadError::Torn)?;
        if theirs.cluster != self.cluster {
            return Err(Refusal::OtherCluster { theirs: theirs.cluster, ours: self.cluster });
        }
        if theirs.node != Some(self.peer) {
            return Err(Refusal::OtherMember { certificate: self.peer, hello: theirs.node });
        }
        if let Some(theirs) = theirs.layout
            && theirs != self.now.get().layout.epoch
        {
            self.inbound.layout_heard(self.peer, theirs);
        }
        // What comes back to a node that is no member may be a whole layout.
        reader.allow(starling::limits::FRAME_BYTES_MAX);
        Ok(reader)
    }

    /// Writes until the connection is lost. Gives the reason and the frames that QUIC did not take whole.
    async fn drive(&self, connected: Connected) -> (String, Vec<Frame>) {
        let Connected { connection, mut small, mut bulk, backs: [back_of_small, back_of_bulk] } = connected;
        let reason = tokio::select! {
            reason = connection.closed() => reason.to_string(),
            reason = small.run(&self.queue) => reason.to_string(),
            reason = bulk.run(&self.queue) => reason.to_string(),
            reason = self.hear_back(back_of_small) => reason.to_string(),
            reason = self.hear_back(back_of_bulk) => reason.to_string(),
        };
        // A stream that fails alone leaves nothing to keep the connection for.
        connection.close(VarInt::from_u32(close_code::REPLACED), b"a stream failed; dialling anew");
        let mut not_sent = small.unsent();
        not_sent.extend(bulk.unsent());
        (reason, not_sent)
    }

    /// Takes what comes back. Ends only if that is no frame; a peer that says nothing more may still listen.
    async fn hear_back(&self, back: EnvelopeReader<RecvStream>) -> ReadError {
        match receive::run(back, self.peer, self.inbound.clone(), Arc::clone(&self.faults), |_| {}).await {
            Err(error) if error.is_offence() => error,
            Ok(()) | Err(_) => std::future::pending().await,
        }
    }
}

/// A lane, and what comes back on its stream.
type OpenLane = (LaneWriter, EnvelopeReader<RecvStream>);

/// Writes one lane of the queue to its stream.
struct LaneWriter {
    stream: SendStream,
    lane: Lane,
    /// The frames of the batch under way, each with the end of its bytes in the batch.
    frames: Vec<(Frame, usize)>,
    /// What QUIC has not taken yet of the batch.
    rest: Bytes,
    batch_bytes: usize,
}

impl LaneWriter {
    fn new(stream: SendStream, lane: Lane) -> LaneWriter {
        LaneWriter { stream, lane, frames: Vec::new(), rest: Bytes::new(), batch_bytes: 0 }
    }

    /// Runs until the stream fails. May be cancelled: [`LaneWriter::unsent`] then knows what was not taken.
    async fn run(&mut self, queue: &SendQueue) -> WriteError {
        loop {
            if self.rest.is_empty() {
                self.frames.clear();
                let batch = queue.batch(self.lane).await;
                self.encode(batch);
            }
            while !self.rest.is_empty() {
                if let Err(error) = self.stream.write_chunks(std::slice::from_mut(&mut self.rest)).await {
                    return error;
                }
            }
        }
    }

    fn encode(&mut self, batch: Vec<Frame>) {
        let mut bytes = Vec::new();
        for frame in batch {
            match codec::encode(&frame, &mut bytes) {
                Ok(()) => self.frames.push((frame, bytes.len())),
                // The core fills frames far below the bound, so this is a single message beyond it: lost, as on a bad network.
                Err(error) => tracing::error!(%error, "a frame cannot be sent and is dropped"),
            }
        }
        self.batch_bytes = bytes.len();
        self.rest = Bytes::from(bytes);
    }

    /// Frames of which at least the last byte was not taken: they cannot have arrived.
    fn unsent(self) -> Vec<Frame> {
        let taken = self.batch_bytes - self.rest.len();
        self.frames.into_iter().filter(|(_, end)| *end > taken).map(|(frame, _)| frame).collect()
    }
}

/// Growing pauses between dials, with jitter so that nodes do not dial in step.
struct Backoff {
    min: Duration,
    max: Duration,
    current: Duration,
}

impl Backoff {
    fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, current: min }
    }

    fn reset(&mut self) {
        self.current = self.min;
    }

    /// Between half the current pause and all of it; the next one is twice as long, up to the maximum.
    fn next(&mut self) -> Duration {
        let pause = self.current.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.current = (self.current * 2).min(self.max);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_maximum_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        for ceiling in [50, 100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next().as_millis();
            assert!((ceiling / 2..=ceiling).contains(&pause), "{pause} ms of {ceiling}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(50));
    }
}
