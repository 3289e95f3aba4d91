//! What an answer says about its quorum is true: so many distinct nodes of the accept set as were asked for, owners where
//! owners were asked for, each called what it is, and from so many zones as the request named.
//!
//! While the members change, W nodes of each list to which writes go, and only readers and those who stand in for them are
//! read. An answer is judged by the layouts that may have been in force while it was worked on: one must have asked for it.
//!
//! Whether they really hold the write shows in the sums at the end; here it is the answer itself.

use std::collections::BTreeSet;

use starling::ids::NodeId;
use starling::message::client::{Response, ValueReply, WriteReply};
use starling::ring::{PreferenceList, RingView};

use super::{Evidence, Violation};
use crate::world::history::{Op, OpNumber};

/// Checks every answer.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let ops = evidence.world.history.ops().iter().enumerate();
    let wrong = ops.filter_map(|(number, op)| {
        let what = match &op.answer {
            Some((_, Response::Written(reply))) => {
                judges(evidence, op);
                wrong_write(evidence, op, reply)
            }
            Some((_, Response::Value(reply))) => {
                judges(evidence, op);
                wrong_read(evidence, op, reply)
            }
            _ => None,
        }?;
        let text = format!("{:?} {what}: {:?}", OpNumber(number), op.answer);
        Some(Violation { checker: "quorums_met", text })
    });
    wrong.take(3).collect()
}

fn judges(evidence: &Evidence<'_>, op: &Op) {
    evidence.judges("quorums_met");
    if op.request.options.zones.is_some() {
        evidence.judges("quorums_met: zones");
    }
}

/// Whether these stand in as many zones as the request asked for.
fn are_of_zones<'a>(ring: &RingView, op: &Op, nodes: impl Iterator<Item = &'a NodeId>) -> bool {
    let zones: BTreeSet<_> = nodes.filter_map(|node| ring.zone_of(*node)).collect();
    zones.len() >= usize::from(op.request.options.zones.unwrap_or(0))
}

fn wrong_write(evidence: &Evidence<'_>, op: &Op, reply: &WriteReply) -> Option<&'static str> {
    // A delete of nothing writes nothing.
    if reply.acks.is_empty() {
        return (reply.removed > 0).then_some("removed elements, and says that nobody holds that");
    }
    let is_strict = op.request.options.strict || evidence.world.options.config.strict;
    let by_each = evidence.rings_of(op).map(|ring| wrong_acks(ring, op, reply, is_strict));
    if let Some(wrong) = wrong_by_all(by_each) {
        return Some(wrong);
    }
    let promised = evidence.world.options.config.durability;
    reply.acks.iter().any(|ack| ack.durability != promised).then_some("claims another durability than the nodes have")
}

/// Acknowledgements that are not what a layout asks for.
fn wrong_acks(ring: &RingView, op: &Op, reply: &WriteReply, is_strict: bool) -> Option<&'static str> {
    let partition = ring.partition_of(&op.request.key);
    let needed = usize::from(op.request.options.w.unwrap_or(ring.layout().write_quorum));
    let counted = reply.acks.iter().filter(|ack| ack.is_owner || !is_strict);
    let distinct: BTreeSet<NodeId> = counted.map(|ack| ack.node).collect();
    let counts_in = |set: &PreferenceList, node: &NodeId| match is_strict {
        true => set.owners().contains(node),
        false => set.accept_set().contains(node),
    };
    let is_met = |set: &PreferenceList| distinct.iter().filter(|node| counts_in(set, node)).count() >= needed;
    if !ring.write_sets(partition).iter().all(is_met) {
        return Some("was acknowledged by fewer than W nodes");
    }
    let spreads = |set: &PreferenceList| are_of_zones(ring, op, distinct.iter().filter(|node| counts_in(set, node)));
    if !ring.write_sets(partition).iter().all(spreads) {
        return Some("was acknowledged in fewer zones than were asked for");
    }
    if reply.acks.iter().any(|ack| ack.is_owner != ring.is_owner(partition, ack.node)) {
        return Some("calls a fallback an owner, or the reverse");
    }
    let accept = |node: &NodeId| ring.accepts(partition, *node);
    (!distinct.iter().all(accept)).then_some("was acknowledged by a node that may not accept it")
}

/// What is wrong by every layout that may have been in force: the last one's words.
fn wrong_by_all<'a>(by_each: impl Iterator<Item = Option<&'a str>>) -> Option<&'a str> {
    by_each.reduce(|one, other| one.and(other)).flatten()
}

fn wrong_read(evidence: &Evidence<'_>, op: &Op, reply: &ValueReply) -> Option<&'static str> {
    wrong_by_all(evidence.rings_of(op).map(|ring| wrong_answers(ring, op, reply)))
}

/// A merge that is not what a layout asks for.
fn wrong_answers(ring: &RingView, op: &Op, reply: &ValueReply) -> Option<&'static str> {
    let partition = ring.partition_of(&op.request.key);
    let needed = usize::from(op.request.options.r.unwrap_or(ring.layout().read_quorum));
    let distinct: BTreeSet<NodeId> = reply.answered.iter().copied().collect();
    let readers = distinct.iter().filter(|node| ring.readers(partition).contains(node)).count();
    if !distinct.iter().all(|node| ring.read_set(partition).contains(node)) {
        return Some("merged a node that is not to be read");
    }
    if distinct.len() < needed {
        return Some("merged fewer than R nodes");
    }
    if !are_of_zones(ring, op, distinct.iter()) {
        return Some("merged answers of fewer zones than were asked for");
    }
    (readers < needed && !reply.partial).then_some("merged fewer than R owners and does not say so")
}
