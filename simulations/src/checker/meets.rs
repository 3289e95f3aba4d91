//! Whether a read must have met a write: some owner that it merged held the write for certain.
//!
//! An owner holds what it acknowledged, as long as its disk is well. One that came to own the partition by a change of the
//! members holds, from the moment at which it is read, all that any owner had acknowledged before that change began.

use starling::ids::{NodeId, PartitionId};
use starling::membership::Phase;
use starling::message::client::WriteReply;
use starling::ring::RingView;
use starling::time::Timestamp;

use super::Evidence;
use crate::world::history::Op;

impl<'a> Evidence<'a> {
    /// The layouts that may have been in force while a request was worked on.
    pub fn rings_of(&self, op: &Op) -> impl Iterator<Item = &'a RingView> + use<'a> {
        let until = op.ended_at().unwrap_or(op.invoked_at.after(op.deadline));
        self.world.rings_between(op.invoked_at, until)
    }

    /// Whether every R readers of a key, by each layout that can have been in force while `reader` was under way, include
    /// one that held for certain what a write of the same key had acknowledged. The write: from when on a disk must have
    /// been well, when the answer came, and what it said.
    pub fn must_meet(&self, write: (Timestamp, Timestamp, &WriteReply), reader: &Op, r: Option<u8>) -> bool {
        let (since, acked_at, reply) = write;
        if acked_at >= reader.invoked_at {
            return false;
        }
        let partition = self.world.ring().partition_of(&reader.request.key);
        let has_kept = |node: NodeId| self.keeps_since(node, since);
        let has_acked = |node: NodeId| reply.acks.iter().any(|ack| ack.is_owner && ack.node == node);
        let is_kept = reply.acks.iter().any(|ack| ack.is_owner && has_kept(ack.node));
        self.rings_of(reader).all(|ring| {
            let readers = ring.readers(partition);
            let holds = |node: &&NodeId| {
                has_kept(**node) && (has_acked(**node) || is_kept && self.took_over(ring, partition, **node, acked_at))
            };
            let r = usize::from(r.unwrap_or(ring.layout().read_quorum));
            readers.iter().filter(holds).count() + r > readers.len()
        })
    }

    /// Whether a node that is read by this layout holds what owners had acknowledged at a moment, because a change that began
    /// later has gone so far that its new owners are read.
    fn took_over(&self, ring: &RingView, partition: PartitionId, node: NodeId, at: Timestamp) -> bool {
        let committed = self.world.layouts();
        let began_later = |number: u64| committed.iter().any(|it| it.ring.epoch().number == number && it.at > at);
        committed.iter().map(|it| &it.ring).filter(|it| it.epoch().number <= ring.epoch().number).any(|it| {
            let since = it.layout().before.as_ref().map(|before| before.since);
            it.layout().phase == Phase::Switched
                && it.is_moved(partition)
                && it.readers(partition).contains(&node)
                && since.is_some_and(began_later)
        })
    }
}
