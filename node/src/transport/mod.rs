//! QUIC between nodes and to clients: one door per node, mutual TLS, and nothing else.
//!
//! ```text
//! shard thread ─ Transport::send ─→ queue.rs ─→ peer.rs ──QUIC──→ acceptor.rs ─→ receive.rs ─→ Inbound::peer_frame
//!               full or cut: the frame comes back                     │
//!                                                client ──QUIC──→ session.rs ─→ Inbound::client_call
//!                                                       ←──────── Answers ←──────── router
//! ```
//!
//! The runtime starts it, sends from any thread without waiting, and is told what arrives through [`inbound::Inbound`].
//!
//! - Each node dials its own connection to each peer and only sends on it (`peer.rs`): two framed streams, small and
//!   bulk. A frame costs an encoding and a share of a write; nothing is written per frame.
//!   Beside it only what is for one start of a member goes the other way, on the connection that this start opened
//!   (`way_back.rs`).
//! - Whoever connects has a certificate of the cluster's authority, and says in its HELLO what its certificate says
//!   (`tls.rs`, `acceptor.rs`). Everybody else is refused, counted and logged ([`refusal`]). A node that is in no layout, or
//!   was declared lost, is heard only where it asks for the layout or offers itself (`outsiders.rs`).
//! - Queues and links come and go with the layout that is in force ([`Transport::set_layout`], `roster.rs`).
//! - Frames between two nodes arrive in order per lane, or not at all; loss is told once per connection, with the frames
//!   that certainly did not arrive. A silent peer is noticed by QUIC only after the idle timeout: the core's pings are
//!   faster.
//! - Every queue, connection, envelope and wait is bounded ([`settings`]).

mod acceptor;
pub mod certificates;
mod door;
mod faults;
mod frames;
pub mod inbound;
mod outsiders;
mod peer;
mod queue;
mod quic;
mod receive;
pub mod refusal;
mod roster;
mod session;
pub mod settings;
#[cfg(test)]
mod testing;
pub mod tls;
mod way_back;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use faults::{DELAY_MS_MAX, FAULTS_MAX, FaultError};
pub use queue::{NotSent, WhyNotSent};
use quinn::{Endpoint, VarInt};
use starling::causality::Epoch;
use starling::ids::{ClusterId, NodeId};
use starling::membership::Layout;
use starling::message::client::FaultPlan;
use starling::message::peer::Frame;
use starling::ring::RingView;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use acceptor::Acceptor;
use door::Door;
use faults::{Faults, Verdict, Way};
use inbound::Inbound;
use peer::PeerLink;
use refusal::{Refusals, close_code};
use roster::{Dials, Now, Roster};
use settings::Settings;
use tls::{Credentials, CredentialsError};
use way_back::WaysBack;

/// A certificate that runs out within this time is warned about at start.
const WARN_BEFORE_EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);

/// The door of a node. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Transport {
    door: Arc<Door>,
    /// Ends when the last task did.
    all_ended: Arc<tokio::sync::Mutex<mpsc::Receiver<()>>>,
}

/// Why the transport did not start. Nothing runs.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Another process has the port.
    #[error("UDP port {address} is in use; is the node running already? Choose another port, or end the other process")]
    PortInUse {
        /// The wanted address.
        address: SocketAddr,
    },
    /// The address cannot be bound for another reason.
    #[error("UDP address {address} cannot be bound: {source}")]
    Bind {
        /// The wanted address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The socket does not work.
    #[error("the UDP socket: {0}")]
    Socket(io::Error),
    /// The bundle's certificates.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The certificate is not valid now.
    #[error("cert.pem cannot be used: {0}")]
    Certificate(#[from] certificates::CertificateError),
    /// Certificate and layout are of different clusters.
    #[error("cert.pem is of cluster {certificate}, the layout of {layout}; the bundle is mixed up")]
    OtherCluster {
        /// In the certificate.
        certificate: ClusterId,
        /// In the layout.
        layout: ClusterId,
    },
    /// A setting that cannot work.
    #[error("{setting}: {reason}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Transport {
    /// Opens the door and dials every peer of the layout. Must be called within a tokio runtime. What arrives from now on
    /// goes to `inbound`.
    pub fn start<I: Inbound>(
        settings: Settings,
        credentials: &Credentials,
        ring: &RingView,
        inbound: I,
    ) -> Result<Transport, TransportError> {
        let socket = quic::bind(settings.listen)?;
        Transport::start_on(socket, settings, credentials, ring, inbound)
    }

    fn start_on<I: Inbound>(
        socket: UdpSocket,
        settings: Settings,
        credentials: &Credentials,
        ring: &RingView,
        inbound: I,
    ) -> Result<Transport, TransportError> {
        settings.validate()?;
        let layout = Arc::clone(ring.layout());
        let tls = tls::read(credentials)?;
        let node = tls.node;
        if tls.principal.cluster != layout.cluster {
            return Err(TransportError::OtherCluster { certificate: tls.principal.cluster, layout: layout.cluster });
        }
        if certificates::runs_out_within(&credentials.ca_pem, &tls.certificate, WARN_BEFORE_EXPIRY)? {
            tracing::warn!("this node's certificate runs out within {WARN_BEFORE_EXPIRY:?}; issue another");
        }
        let endpoint = quic::open(socket, tls.server, tls.client, &credentials.key_pem, &settings)?;
        let faults = Arc::new(Faults::new(node, settings.drills));
        let (closing, is_closing) = watch::channel(false);
        let (alive, all_ended) = mpsc::channel(1);
        let now = Arc::new(Now::new(node, Arc::clone(&layout)));
        let dialling = Dialling {
            cluster: layout.cluster,
            now: Arc::clone(&now),
            endpoint: endpoint.clone(),
            settings: settings.clone(),
            inbound: inbound.clone(),
            faults: Arc::clone(&faults),
            closing: is_closing,
            alive: alive.downgrade(),
            runtime: Handle::current(),
        };
        let door = Arc::new(Door {
            node,
            cluster: layout.cluster,
            roster: Roster::new(now, &settings, Box::new(dialling)),
            faults,
            settings,
            endpoint,
            refusals: Refusals::default(),
            closing,
            next_connection: AtomicU64::new(1),
            clients: AtomicUsize::new(0),
            outsiders: AtomicUsize::new(0),
            senders: Mutex::default(),
            ways_back: Arc::new(WaysBack::default()),
        });
        door.roster.set(layout);
        tokio::spawn(Acceptor { door: Arc::clone(&door), inbound, _alive: alive }.run());
        Ok(Transport { door, all_ended: Arc::new(tokio::sync::Mutex::new(all_ended)) })
    }

    /// The member that the certificate names: this node.
    pub fn node(&self) -> NodeId {
        self.door.node
    }

    /// Where the door is.
    pub fn local_address(&self) -> Result<SocketAddr, TransportError> {
        self.door.endpoint.local_addr().map_err(TransportError::Socket)
    }

    /// Takes up a layout, from any thread: dials those who have come, ends the links to those who have gone or were
    /// declared lost, and the connections of those who are something else now than they were let in as.
    pub fn set_layout(&self, layout: &Arc<Layout>) {
        let before = self.door.present();
        self.door.roster.set(Arc::clone(layout));
        self.door.close_changed(&before);
    }

    /// Queues a frame for a peer, from any thread, without waiting. The error gives back what certainly does not leave;
    /// what was taken may still come back through [`Inbound::peer_unreachable`]. A node that is no member of the layout can
    /// be sent to only on a connection that it opened itself, and never much.
    pub fn send(&self, to: NodeId, frame: Frame) -> Result<(), NotSent> {
        let verdict = self.door.faults.judge(to, Way::Out);
        let present = self.door.present();
        let Some(queue) = present.queue(to) else {
            return if verdict == Verdict::Drop { Ok(()) } else { self.door.ways_back.send_to_any(to, frame) };
        };
        match verdict {
            Verdict::Drop => Ok(()),
            Verdict::Pass => queue.push(frame, None),
            Verdict::Delay(delay) => queue.push(frame, Some(Instant::now() + delay)),
        }
    }

    /// Sends a frame to one start of a peer on a connection that this start opened, from any thread, without waiting;
    /// nobody learns whether it arrived. Injected faults may lose it; they do not delay it.
    pub fn send_back(&self, to: NodeId, start: Epoch, frame: Frame) {
        match self.door.faults.judge(to, Way::Out) {
            Verdict::Drop => {}
            Verdict::Pass | Verdict::Delay(_) => self.door.ways_back.send(to, start, frame),
        }
    }

    /// Replaces the injected faults, as [`starling::message::client::NodeCall::SetFaults`] does.
    pub fn set_faults(&self, plan: &FaultPlan) -> Result<(), FaultError> {
        self.door.faults.set(plan, &self.door.present().layout, Instant::now())
    }

    /// The injected faults in force, with the time that is left of them.
    pub fn faults(&self) -> FaultPlan {
        self.door.faults.in_force(Instant::now())
    }

    /// Whether admins may inject faults.
    pub fn drills(&self) -> bool {
        self.door.settings.drills
    }

    /// Who was not let in since the start.
    pub fn refusals(&self) -> &Refusals {
        &self.door.refusals
    }

    /// Closes the door: no new connections and calls, answers under way go out (for `close_grace` at most), then every
    /// connection ends with a word. Frames that wait for peers come back.
    pub async fn close(&self) {
        self.door.closing.send_replace(true);
        let grace = self.door.settings.close_grace;
        let mut all_ended = self.all_ended.lock().await;
        // Nothing is ever sent through it: it ends with its last sender.
        let _ = timeout(grace + Duration::from_secs(1), all_ended.recv()).await;
        let stopping = VarInt::from_u32(close_code::STOPPING);
        self.door.endpoint.close(stopping, b"the node is stopping; use another");
        let _ = timeout(Duration::from_secs(1), self.door.endpoint.wait_idle()).await;
    }
}

/// Begins links of a door.
struct Dialling<I> {
    cluster: ClusterId,
    now: Arc<Now>,
    endpoint: Endpoint,
    settings: Settings,
    inbound: I,
    faults: Arc<Faults>,
    closing: watch::Receiver<bool>,
    /// Gone once the door is closing: no link begins then.
    alive: mpsc::WeakSender<()>,
    runtime: Handle,
}

impl<I: Inbound> Dials for Dialling<I> {
    fn dial(&self, way: roster::Way) {
        let Some(alive) = self.alive.upgrade() else { return };
        let link = PeerLink {
            peer: way.peer,
            address: way.address,
            cluster: self.cluster,
            now: Arc::clone(&self.now),
            endpoint: self.endpoint.clone(),
            queue: way.queue,
            settings: self.settings.clone(),
            inbound: self.inbound.clone(),
            faults: Arc::clone(&self.faults),
            closing: self.closing.clone(),
            ends: way.ends,
        };
        self.runtime.spawn(async move {
            link.run().await;
            drop(alive);
        });
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
