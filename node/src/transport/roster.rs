//! Who is a member now: whom this node dials, who is let in as what, and what it says of itself first.
//!
//! ```text
//! layout ─→ Roster::set ─→ comes: a queue and a link      goes, is fenced, or moves: its link ends, frames come back
//!                       └→ Present: looked up by every send, every HELLO, every handshake
//! ```
//!
//! A layout is taken up whole: who looks meanwhile sees the one before or the one after. Looking costs a read lock and
//! a count of references; nothing is held while waiting.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::Hello;
use tokio::sync::watch;

use super::queue::SendQueue;
use super::settings::Settings;

/// Begins links. Called within [`Roster::set`], from any thread.
pub(super) trait Dials: Send + Sync {
    /// Begins a link that lasts until `ends` turns true.
    fn dial(&self, way: Way);
}

/// A link that is to begin.
pub(super) struct Way {
    /// To whom.
    pub(super) peer: NodeId,
    /// `host:port`.
    pub(super) address: String,
    /// What waits for the peer.
    pub(super) queue: Arc<SendQueue>,
    /// Turns true when the peer is none any more, or has moved.
    pub(super) ends: watch::Receiver<bool>,
}

/// The members of the present layout, as the transport sees them.
pub(super) struct Present {
    /// The layout.
    pub(super) layout: Arc<Layout>,
    /// What this node says first.
    pub(super) hello: Hello,
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Clone)]
struct Peer {
    address: String,
    queue: Arc<SendQueue>,
    ends: Arc<watch::Sender<bool>>,
}

/// The lookup. One per node; shared.
pub(super) struct Now {
    node: NodeId,
    present: RwLock<Arc<Present>>,
}

/// Takes up layouts.
pub(super) struct Roster {
    /// The lookup.
    pub(super) now: Arc<Now>,
    queue_frames_max: usize,
    queue_bytes_max: usize,
    dials: Box<dyn Dials>,
    /// One layout at a time.
    changing: Mutex<()>,
}

impl Now {
    /// A node without peers yet. The layout's members are dialled with the first [`Roster::set`].
    pub(super) fn new(node: NodeId, layout: Arc<Layout>) -> Now {
        let present = Present { hello: hello(node, &layout), layout, peers: BTreeMap::new() };
        Now { node, present: RwLock::new(Arc::new(present)) }
    }

    /// The present members.
    pub(super) fn get(&self) -> Arc<Present> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What this node says first.
    pub(super) fn hello(&self) -> Hello {
        self.get().hello.clone()
    }
}

impl Present {
    /// Whether a node may speak as a member.
    pub(super) fn has(&self, node: NodeId) -> bool {
        is_member(&self.layout, node)
    }

    /// Where frames to a member wait.
    pub(super) fn queue(&self, peer: NodeId) -> Option<&Arc<SendQueue>> {
        self.peers.get(&peer).map(|peer| &peer.queue)
    }
}

impl Roster {
    /// A roster over this lookup, whose links are begun so.
    pub(super) fn new(now: Arc<Now>, settings: &Settings, dials: Box<dyn Dials>) -> Roster {
        let (queue_frames_max, queue_bytes_max) = (settings.queue_frames_max, settings.queue_bytes_max);
        Roster { now, queue_frames_max, queue_bytes_max, dials, changing: Mutex::new(()) }
    }

    /// Takes up a layout. Those who have come are dialled, links to those who have gone end; a member that has moved is
    /// dialled anew.
    pub(super) fn set(&self, layout: Arc<Layout>) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.now.get();
        let (mut peers, mut ways) = (BTreeMap::new(), Vec::new());
        let is_peer = |node| node != self.now.node && is_member(&layout, node);
        for member in layout.members.iter().filter(|member| is_peer(member.id)) {
            let known = before.peers.get(&member.id).filter(|peer| peer.address == member.address);
            let peer = known.cloned().unwrap_or_else(|| {
                let queue = Arc::new(SendQueue::new(self.queue_frames_max, self.queue_bytes_max));
                let (end, ends) = watch::channel(false);
                let (address, peer) = (member.address.clone(), member.id);
                ways.push(Way { peer, address: address.clone(), queue: Arc::clone(&queue), ends });
                Peer { address, queue, ends: Arc::new(end) }
            });
            peers.insert(member.id, peer);
        }
        let present = Arc::new(Present { hello: hello(self.now.node, &layout), layout, peers });
        *self.now.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&present);
        ways.into_iter().for_each(|way| self.dials.dial(way));
        for (node, peer) in &before.peers {
            if present.peers.get(node).is_none_or(|now| !Arc::ptr_eq(&now.ends, &peer.ends)) {
                peer.ends.send_replace(true);
            }
        }
    }
}

fn is_member(layout: &Layout, node: NodeId) -> bool {
    layout.member(node).is_some() && !layout.is_fenced(node)
}

fn hello(node: NodeId, layout: &Layout) -> Hello {
    Hello {
        cluster: layout.cluster,
        node: Some(node),
        layout: Some(layout.epoch),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = self.now.get();
        write!(f, "Roster({} of layout {})", self.now.node, present.layout.epoch.number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, layout, member};
    use super::*;

    /// Writes down the links that were begun.
    #[derive(Clone, Default)]
    struct Book(Arc<Mutex<Vec<Way>>>);

    impl Dials for Book {
        fn dial(&self, way: Way) {
            self.0.lock().unwrap().push(way);
        }
    }

    impl Book {
        fn take(&self) -> Vec<Way> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    fn roster() -> (Roster, Book) {
        let book = Book::default();
        let now = Arc::new(Now::new(NodeId(1), Arc::new(layout(3))));
        let roster = Roster::new(now, &Settings::new(([127, 0, 0, 1], 0).into()), Box::new(book.clone()));
        roster.set(Arc::new(layout(3)));
        (roster, book)
    }

    fn peers(ways: &[Way]) -> Vec<NodeId> {
        ways.iter().map(|way| way.peer).collect()
    }

    #[test]
    fn who_comes_is_dialled_and_who_stays_keeps_its_link() {
        let (roster, book) = roster();
        let first = book.take();
        assert_eq!(peers(&first), [NodeId(2), NodeId(3)]);
        let mut next = layout(4);
        next.epoch.number = 2;
        roster.set(Arc::new(next));
        assert_eq!(peers(&book.take()), [NodeId(4)]);
        assert!(first.iter().all(|way| !*way.ends.borrow()));
        let present = roster.now.get();
        assert_eq!(present.hello.layout.map(|epoch| epoch.number), Some(2));
        assert!(present.queue(NodeId(1)).is_none() && present.queue(NodeId(4)).is_some());
    }

    #[test]
    fn who_goes_is_fenced_or_moves_loses_its_link() {
        let (roster, book) = roster();
        let first = book.take();
        let mut next = layout(3);
        next.members[1] = member(2, "127.0.0.1:99".into());
        next.fenced =
            vec![starling::membership::layout::Fenced { node: NodeId(3), since: 1, declared_lost: Vec::new() }];
        roster.set(Arc::new(next));
        let moved = book.take();
        assert_eq!((peers(&moved), moved[0].address.as_str()), (vec![NodeId(2)], "127.0.0.1:99"));
        assert!(first.iter().all(|way| *way.ends.borrow()));
        let present = roster.now.get();
        assert!(present.has(NodeId(2)) && !present.has(NodeId(3)), "fenced");
        // Nobody can be sent to any more whose link has ended, and the new way is open.
        assert!(roster.now.get().queue(NodeId(3)).is_none());
        assert!(roster.now.get().queue(NodeId(2)).unwrap().push(frame(1), None).is_ok());
    }
}
