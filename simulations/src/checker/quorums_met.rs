//! What an answer says about its quorum is true: so many distinct nodes of the accept set as were asked for, owners where
//! owners were asked for, each called what it is.
//!
//! Whether they really hold the write shows in the sums at the end; here it is the answer itself.

use std::collections::BTreeSet;

use starling::ids::NodeId;
use starling::message::client::{Response, ValueReply, WriteReply};

use super::{Evidence, Violation};
use crate::world::history::{Op, OpNumber};

/// Checks every answer.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let ops = evidence.world.history.ops().iter().enumerate();
    let wrong = ops.filter_map(|(number, op)| {
        let what = match &op.answer {
            Some((_, Response::Written(reply))) => wrong_write(evidence, op, reply),
            Some((_, Response::Value(reply))) => wrong_read(evidence, op, reply),
            _ => None,
        }?;
        let text = format!("{:?} {what}: {:?}", OpNumber(number), op.answer);
        Some(Violation { checker: "quorums_met", text })
    });
    wrong.take(3).collect()
}

fn wrong_write(evidence: &Evidence<'_>, op: &Op, reply: &WriteReply) -> Option<&'static str> {
    // A delete of nothing writes nothing.
    if reply.acks.is_empty() {
        return None;
    }
    let ring = evidence.world.ring();
    let partition = ring.partition_of(&op.request.key);
    let needed = op.request.options.w.unwrap_or(ring.layout().write_quorum);
    let is_strict = op.request.options.strict || evidence.world.options.config.strict;
    let counted = reply.acks.iter().filter(|ack| ack.is_owner || !is_strict);
    let distinct: BTreeSet<NodeId> = counted.map(|ack| ack.node).collect();
    if distinct.len() < usize::from(needed) {
        return Some("was acknowledged by fewer than W nodes");
    }
    if reply.acks.iter().any(|ack| ack.is_owner != ring.is_owner(partition, ack.node)) {
        return Some("calls a fallback an owner, or the reverse");
    }
    if !distinct.iter().all(|node| ring.accepts(partition, *node)) {
        return Some("was acknowledged by a node that may not accept it");
    }
    let promised = evidence.world.options.config.durability;
    reply.acks.iter().any(|ack| ack.durability != promised).then_some("claims another durability than the nodes have")
}

fn wrong_read(evidence: &Evidence<'_>, op: &Op, reply: &ValueReply) -> Option<&'static str> {
    let ring = evidence.world.ring();
    let partition = ring.partition_of(&op.request.key);
    let needed = usize::from(op.request.options.r.unwrap_or(ring.layout().read_quorum));
    let distinct: BTreeSet<NodeId> = reply.answered.iter().copied().collect();
    let owners = distinct.iter().filter(|node| ring.is_owner(partition, **node)).count();
    if !distinct.iter().all(|node| ring.accepts(partition, *node)) {
        return Some("merged a node outside of the accept set");
    }
    if distinct.len() < needed {
        return Some("merged fewer than R nodes");
    }
    if owners < needed && !reply.partial {
        return Some("merged fewer than R owners and does not say so");
    }
    None
}
