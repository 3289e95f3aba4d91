//! What becomes of requests when a node is gone, or when a frame to it never left: they go on with the others.

use super::{Coordinator, Op};
use crate::ids::{NodeId, OpId};
use crate::message::client::{Reason, Response};
use crate::message::peer::{Frame, PeerMessage};
use crate::shard::{Env, Outbox, not_applied};

impl Coordinator {
    /// A peer is suspected or its connection is gone: nobody waits for it any longer.
    pub fn on_lost(&mut self, env: &Env<'_>, out: &mut Outbox, node: NodeId) {
        let ops: Vec<OpId> = self.ops.keys().copied().collect();
        for op in ops {
            self.lose(env, out, op, node);
        }
    }

    /// A frame never left: what was in it may be tried elsewhere.
    pub fn on_not_sent(&mut self, env: &Env<'_>, out: &mut Outbox, node: NodeId, frame: &Frame) {
        for addressed in &frame.messages {
            match &addressed.message {
                PeerMessage::Forward(forward) => {
                    let op = forward.op;
                    let Some(Op::Forward(waiting)) = self.ops.get_mut(&op) else { continue };
                    if waiting.target != node || waiting.send_to_next(env, out, op) {
                        continue;
                    }
                    let reason = Reason::TooFewReachable { needed: 1, reachable: 0, strict: false };
                    let response = waiting.answer(Response::Failed(not_applied(reason)));
                    let (origin, partition) = (waiting.origin, waiting.partition);
                    self.finish(out, op, partition, vec![(origin, response)]);
                }
                PeerMessage::Replicate(replicate) => self.lose(env, out, replicate.op, node),
                PeerMessage::Read(read) => self.lose(env, out, read.op, node),
                // Nothing that a request waits for.
                _ => {}
            }
        }
    }

    fn lose(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, node: NodeId) {
        match self.ops.get_mut(&op) {
            Some(Op::Read(read)) => {
                read.quorum.on_lost(node);
                self.advance_read(env, out, op);
            }
            Some(Op::Write(write)) => {
                let progress = write.on_lost(env, out, op, node);
                self.follow(env, out, op, progress);
            }
            Some(Op::Forward(forward)) if forward.target == node => {
                if forward.may_repeat() && forward.send_to_next(env, out, op) {
                    return;
                }
                let (origin, partition, response) = (forward.origin, forward.partition, forward.lost());
                self.finish(out, op, partition, vec![(origin, response)]);
            }
            Some(Op::Forward(_) | Op::Clear(_)) | None => {}
        }
    }
}
