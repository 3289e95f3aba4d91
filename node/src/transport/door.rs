//! What the transport's tasks share: who this node is, its endpoint, and its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quinn::{Connection, Endpoint, VarInt};
use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::Hello;
use tokio::sync::watch;

use super::faults::Faults;
use super::queue::SendQueue;
use super::refusal::{Refusal, Refusals, close_code};
use super::settings::Settings;
use super::way_back::WaysBack;

/// One node's door.
#[derive(Debug)]
pub(super) struct Door {
    /// This node.
    pub(super) node: NodeId,
    /// The committed layout.
    pub(super) layout: Arc<Layout>,
    /// What this node says first.
    pub(super) hello: Hello,
    /// Knobs and bounds.
    pub(super) settings: Settings,
    /// Accepts and dials.
    pub(super) endpoint: Endpoint,
    /// Where frames wait, by peer.
    pub(super) queues: BTreeMap<NodeId, Arc<SendQueue>>,
    /// Drills.
    pub(super) faults: Arc<Faults>,
    /// Who was not let in.
    pub(super) refusals: Refusals,
    /// Turns true when the node stops.
    pub(super) closing: watch::Sender<bool>,
    /// Number of the next client session.
    pub(super) next_connection: AtomicU64,
    /// Client connections.
    pub(super) clients: AtomicUsize,
    /// The newest connections that each peer dialled, in the order in which they came.
    pub(super) senders: Mutex<BTreeMap<NodeId, Vec<Connection>>>,
    /// How the starts of peers are reached that this node did not dial.
    pub(super) ways_back: Arc<WaysBack>,
}

/// A peer sends on one connection at a time. An older one is mostly a leftover of a process or a path that died without a
/// word, and ends by itself; but it may belong to a second process of the same member, and the core can tell the two apart
/// only while both are heard. More than two are leftovers.
const SENDERS_PER_PEER_MAX: usize = 2;

impl Door {
    /// A peer opened a connection; the oldest beyond the bound is closed.
    pub(super) fn add_sender(&self, node: NodeId, connection: &Connection) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = senders.entry(node).or_default();
        of_peer.push(connection.clone());
        if of_peer.len() > SENDERS_PER_PEER_MAX {
            let oldest = of_peer.remove(0);
            oldest.close(VarInt::from_u32(close_code::REPLACED), b"the same member opened newer connections");
        }
    }

    /// The connection ended.
    pub(super) fn forget_sender(&self, node: NodeId, connection: &Connection) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_peer) = senders.get_mut(&node) {
            of_peer.retain(|sender| sender.stable_id() != connection.stable_id());
        }
    }
}

/// One of the bounded number of client connections; given back when dropped.
#[derive(Debug)]
pub(super) struct ClientSlot {
    door: Arc<Door>,
}

impl ClientSlot {
    /// A slot, unless all are taken.
    pub(super) fn take(door: &Arc<Door>) -> Result<ClientSlot, Refusal> {
        let slot = ClientSlot { door: Arc::clone(door) };
        let before = door.clients.fetch_add(1, Ordering::Relaxed);
        if before < door.settings.clients_max { Ok(slot) } else { Err(Refusal::TooManyClients(before)) }
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        self.door.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until the node stops.
pub(super) async fn until_closing(closing: &mut watch::Receiver<bool>) {
    // An error means that the door is gone altogether.
    let _ = closing.wait_for(|is_closing| *is_closing).await;
}
