//! What the transport's tasks share: who this node is, its endpoint, and its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quinn::{Connection, Endpoint, VarInt};
use starling::ids::{ClusterId, NodeId};
use tokio::sync::watch;

use super::faults::Faults;
use super::refusal::{Refusal, Refusals, close_code};
use super::roster::{Present, Roster};
use super::settings::Settings;
use super::way_back::WaysBack;

/// One node's door.
#[derive(Debug)]
pub(super) struct Door {
    /// This node.
    pub(super) node: NodeId,
    /// Whose door it is, for good.
    pub(super) cluster: ClusterId,
    /// Who is a member now.
    pub(super) roster: Roster,
    /// Knobs and bounds.
    pub(super) settings: Settings,
    /// Accepts and dials.
    pub(super) endpoint: Endpoint,
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
    /// Connections of nodes that are no members.
    pub(super) outsiders: AtomicUsize,
    /// The newest connections that each node dialled, member or not, in the order in which they came.
    pub(super) senders: Mutex<BTreeMap<NodeId, Vec<Connection>>>,
    /// How the starts of peers are reached that this node did not dial.
    pub(super) ways_back: Arc<WaysBack>,
}

/// Nodes of the cluster's authority that are no members: candidates, and those that do not know yet that they were
/// declared lost. A further one is refused.
const OUTSIDERS_MAX: usize = 64;

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

    /// The present members.
    pub(super) fn present(&self) -> Arc<Present> {
        self.roster.now.get()
    }

    /// Ends the connections of nodes that are something else than they were let in as: they dial again, as what they are.
    pub(super) fn close_changed(&self, before: &Present) {
        let now = self.present();
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        for (node, connections) in senders.iter() {
            let (was, is) = (before.has(*node), now.has(*node));
            let why: &[u8] = match (was, is) {
                (true, false) => b"no member any more",
                (false, true) => b"a member now; dial again",
                _ => continue,
            };
            connections.iter().for_each(|sender| sender.close(VarInt::from_u32(close_code::REPLACED), why));
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

/// One of the bounded number of connections of a kind; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    door: Arc<Door>,
    is_client: bool,
}

impl Slot {
    /// A place for a client, unless all are taken.
    pub(super) fn for_client(door: &Arc<Door>) -> Result<Slot, Refusal> {
        let before = door.clients.fetch_add(1, Ordering::Relaxed);
        let slot = Slot { door: Arc::clone(door), is_client: true };
        if before < door.settings.clients_max { Ok(slot) } else { Err(Refusal::TooManyClients(before)) }
    }

    /// A place for a node that is no member, unless all are taken.
    pub(super) fn for_outsider(door: &Arc<Door>) -> Result<Slot, Refusal> {
        let before = door.outsiders.fetch_add(1, Ordering::Relaxed);
        let slot = Slot { door: Arc::clone(door), is_client: false };
        if before < OUTSIDERS_MAX { Ok(slot) } else { Err(Refusal::TooManyOutsiders(before)) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let taken = if self.is_client { &self.door.clients } else { &self.door.outsiders };
        taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until the node stops, or a link is to end.
pub(super) async fn until_true(signal: &mut watch::Receiver<bool>) {
    // An error means that the door, or the link's place in it, is gone altogether.
    let _ = signal.wait_for(|is_so| *is_so).await;
}
