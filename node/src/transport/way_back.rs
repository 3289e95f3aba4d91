//! Ways back: frames for one start of a member, on a connection which that start itself opened.
//!
//! ```text
//! Transport::send_back ─→ WaysBack: member, start ─→ a few frames wait ─→ writer of the stream ──QUIC──→ its dialler
//!                          └── no such start, or too many wait: dropped
//! ```
//!
//! Peers dial the address of the layout. If two processes run as one member, only one of them is there; the other can
//! be spoken to only where it dialled itself. So can a node that is in no layout, or not yet. The core sends so little this
//! way, and only then, that loss is harmless and a handful of places is enough. A stream is known as a way back to the
//! start that its last frame named.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::SendStream;
use starling::causality::Epoch;
use starling::ids::NodeId;
use starling::message::codec;
use starling::message::peer::Frame;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::queue::{NotSent, WhyNotSent};

/// Streams that are kept as ways back to one member: two lanes of two connections each of two processes.
const WAYS_PER_MEMBER_MAX: usize = 8;

/// Frames that wait for one stream.
const WAITING_MAX: usize = 16;

/// All ways back of a node.
#[derive(Debug, Default)]
pub(super) struct WaysBack {
    ways: Mutex<BTreeMap<NodeId, Vec<Way>>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Way {
    id: u64,
    start: Epoch,
    frames: mpsc::Sender<Frame>,
}

/// One stream as a way back; closed when dropped.
#[derive(Debug)]
pub(super) struct WayBack {
    ways: Arc<WaysBack>,
    node: NodeId,
    id: u64,
    start: Option<Epoch>,
    frames: mpsc::Sender<Frame>,
}

impl WaysBack {
    /// Sends to whichever start of a node opened the newest stream. Gives the frame back if there is none, or if too much
    /// waits for it.
    pub(super) fn send_to_any(&self, to: NodeId, frame: Frame) -> Result<(), NotSent> {
        let ways = self.lock();
        let Some(newest) = ways.get(&to).and_then(|ways| ways.last()) else {
            return Err(NotSent { frame, why: WhyNotSent::Unreachable });
        };
        newest.frames.try_send(frame).map_err(|error| match error {
            TrySendError::Full(frame) => NotSent { frame, why: WhyNotSent::QueueFull },
            TrySendError::Closed(frame) => NotSent { frame, why: WhyNotSent::Unreachable },
        })
    }

    /// Sends to a start of a member, on its newest stream. Dropped if there is none, or if too much waits for it.
    pub(super) fn send(&self, to: NodeId, start: Epoch, frame: Frame) {
        let ways = self.lock();
        let newest = ways.get(&to).and_then(|ways| ways.iter().rev().find(|way| way.start == start));
        if let Some(way) = newest
            && let Err(error) = way.frames.try_send(frame)
        {
            tracing::debug!(peer = %to, %start, %error, "nothing can be sent back");
        }
    }

    /// A stream that a member opened, and what is to be written to it.
    pub(super) fn open(self: &Arc<WaysBack>, node: NodeId) -> (WayBack, mpsc::Receiver<Frame>) {
        let (frames, waiting) = mpsc::channel(WAITING_MAX);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (WayBack { ways: Arc::clone(self), node, id, start: None, frames }, waiting)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Vec<Way>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WayBack {
    /// A frame came on the stream: it is the way back to this start.
    pub(super) fn leads_to(&mut self, start: Epoch) {
        if self.start.replace(start) == Some(start) {
            return;
        }
        let mut ways = self.ways.lock();
        let ways = ways.entry(self.node).or_default();
        ways.retain(|way| way.id != self.id);
        if ways.len() >= WAYS_PER_MEMBER_MAX {
            ways.remove(0);
        }
        ways.push(Way { id: self.id, start, frames: self.frames.clone() });
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        let mut ways = self.ways.lock();
        if let Some(of_member) = ways.get_mut(&self.node) {
            of_member.retain(|way| way.id != self.id);
            if of_member.is_empty() {
                ways.remove(&self.node);
            }
        }
    }
}

/// Writes what is to go back on a stream. Never ends by itself: whoever reads the stream ends it.
pub(super) async fn write(mut stream: SendStream, mut waiting: mpsc::Receiver<Frame>) -> Infallible {
    while let Some(frame) = waiting.recv().await {
        let mut bytes = Vec::new();
        if let Err(error) = codec::encode(&frame, &mut bytes) {
            tracing::error!(%error, "a frame cannot be sent back and is dropped");
            continue;
        }
        if stream.write_all(&bytes).await.is_err() {
            // The other side reads nothing here; it may still send.
            break;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, number};
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn drained(waiting: &mut mpsc::Receiver<Frame>) -> Vec<u64> {
        std::iter::from_fn(|| waiting.try_recv().ok()).map(|frame| number(&frame)).collect()
    }

    #[test]
    fn each_start_of_a_member_is_reached_on_its_own_stream() {
        let ways = Arc::new(WaysBack::default());
        let (mut old, mut to_old) = ways.open(PEER);
        let (mut new, mut to_new) = ways.open(PEER);
        ways.send(PEER, Epoch(1), frame(0));
        old.leads_to(Epoch(1));
        new.leads_to(Epoch(2));
        ways.send(PEER, Epoch(1), frame(1));
        ways.send(PEER, Epoch(2), frame(2));
        ways.send(PEER, Epoch(3), frame(3));
        ways.send(NodeId(3), Epoch(1), frame(4));
        assert_eq!((drained(&mut to_old), drained(&mut to_new)), (vec![1], vec![2]));
        drop(old);
        ways.send(PEER, Epoch(1), frame(5));
        assert_eq!((drained(&mut to_old), drained(&mut to_new)), (vec![], vec![]));
        drop(new);
        assert!(ways.lock().is_empty(), "nothing is kept of a member without streams");
    }

    #[test]
    fn neither_frames_nor_streams_pile_up() {
        let ways = Arc::new(WaysBack::default());
        let mut streams: Vec<_> = (0..100).map(|_| ways.open(PEER)).collect();
        for (way, _) in &mut streams {
            way.leads_to(Epoch(1));
        }
        assert_eq!(ways.lock()[&PEER].len(), WAYS_PER_MEMBER_MAX);
        for count in 0..100 {
            ways.send(PEER, Epoch(1), frame(count));
        }
        let kept = drained(&mut streams.last_mut().unwrap().1);
        assert_eq!(kept, (0..WAITING_MAX as u64).collect::<Vec<_>>());
    }
}
