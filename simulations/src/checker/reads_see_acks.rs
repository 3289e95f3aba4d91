//! A read shows what its own replicas had acknowledged, and nothing that nobody asked for.
//!
//! An owner that acknowledged an increment durably before a read began, and whose row the read merged, must have shown
//! it: rows only grow. So the value lies between the sum of those increments and the sum of all that were asked. Only
//! for keys that were never put or deleted. An owner whose disk was damaged in between proves nothing.

use starling::ids::Key;
use starling::message::client::{Command, Response, ValueReply, Visible};

use super::{Evidence, Violation, written};
use crate::world::history::{Known, Op, OpNumber};

/// Checks every read of every counter.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for key in evidence.by_key.keys() {
        let is_counter =
            evidence.ops(key).all(|(_, op)| matches!(op.request.command, Command::Increment { .. } | Command::Get));
        if is_counter {
            found.extend(check_key(evidence, key));
        }
    }
    found
}

fn check_key(evidence: &Evidence<'_>, key: &Key) -> Option<Violation> {
    evidence.ops(key).find_map(|(number, op)| match (&op.request.command, &op.answer) {
        (Command::Get, Some((at, Response::Value(reply)))) => {
            let value = match reply.value {
                Visible::Nothing => 0,
                Visible::Integer { value, .. } => i128::from(value),
                Visible::Text(_) => return Some(wrong(number, key, "shows a text that nobody put".into())),
            };
            let (mut least, mut most) = (0, 0);
            for (_, write) in evidence.ops(key).filter(|(_, write)| write.invoked_at <= *at) {
                let Command::Increment { by } = write.request.command else { continue };
                let by = i128::from(by);
                if must_be_seen(evidence, write, op, reply) {
                    least += by;
                    most += by;
                } else if write.known() != Known::NotApplied {
                    least += by.min(0);
                    most += by.max(0);
                }
            }
            let is_good = (least..=most).contains(&value);
            (!is_good).then(|| wrong(number, key, format!("shows {value}, possible are {least} to {most}: {reply:?}")))
        }
        _ => None,
    })
}

fn must_be_seen(evidence: &Evidence<'_>, write: &Op, read: &Op, reply: &ValueReply) -> bool {
    let Some((acked_at, acks)) = written(write) else { return false };
    let holds = |node: starling::ids::NodeId| {
        let damaged_at = evidence.world.node(evidence.world.number_of(node)).damaged_at;
        damaged_at.is_none_or(|damaged| damaged < write.invoked_at)
    };
    acked_at < read.invoked_at
        && acks.acks.iter().any(|ack| ack.is_owner && reply.answered.contains(&ack.node) && holds(ack.node))
}

fn wrong(number: OpNumber, key: &Key, text: String) -> Violation {
    Violation { checker: "reads_see_acks", text: format!("the read {number:?} of {key} {text}") }
}
