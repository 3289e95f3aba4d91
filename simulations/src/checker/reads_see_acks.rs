//! A read shows what its own replicas had acknowledged, and nothing that nobody asked for.
//!
//! An owner that acknowledged an increment durably before a read began, and whose row the read merged, must have shown
//! it: rows only grow. So the value lies between the sum of those increments and the sum of all that were asked; of a
//! session it shows one total, no older than that. Only for keys that were never put, deleted or reset. An owner whose disk was damaged in between proves nothing.

use std::collections::BTreeMap;

use starling::causality::ActorId;
use starling::ids::Key;
use starling::message::client::{Command, Response, ValueReply};
use starling::ring::RingView;

use super::{Evidence, Violation, shown, written};
use crate::world::history::{Known, Op, OpNumber};

/// Checks every read of every counter.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for key in evidence.by_key.keys() {
        let is_counter = evidence.ops(key).all(|(_, op)| {
            matches!(op.request.command, Command::Increment { .. } | Command::IncrementAs(_))
                || !op.request.command.is_write()
        });
        if is_counter {
            found.extend(check_key(evidence, key));
        }
    }
    found
}

/// What a read may show of a session: one of its totals, from the event on that it must show.
#[derive(Default)]
struct Session {
    seen: u64,
    totals: BTreeMap<u64, i128>,
}

fn check_key(evidence: &Evidence<'_>, key: &Key) -> Option<Violation> {
    evidence.ops(key).find_map(|(number, op)| match (&op.request.command, &op.answer) {
        (Command::Get, Some((at, Response::Value(reply)))) => {
            let Some(value) = shown::number(&reply.value) else {
                return Some(wrong(number, key, format!("shows {:?}, which is no number", reply.value)));
            };
            let (mut least, mut most) = (0, 0);
            let mut sessions: BTreeMap<ActorId, Session> = BTreeMap::new();
            for (_, write) in evidence.ops(key).filter(|(_, write)| write.invoked_at <= *at) {
                let is_seen = must_be_seen(evidence, write, op, reply);
                let may_be = is_seen || write.known() != Known::NotApplied;
                match write.request.command {
                    Command::Increment { by } if may_be => {
                        let by = i128::from(by);
                        least += if is_seen { by } else { by.min(0) };
                        most += if is_seen { by } else { by.max(0) };
                    }
                    Command::IncrementAs(step) if may_be => {
                        let total =
                            i128::try_from(step.p).unwrap_or(i128::MAX) - i128::try_from(step.n).unwrap_or(i128::MAX);
                        let session = sessions.entry(step.actor).or_default();
                        session.totals.insert(step.event, total);
                        if is_seen {
                            session.seen = session.seen.max(step.event);
                        }
                    }
                    _ => {}
                }
            }
            for session in sessions.values() {
                let nothing = (session.seen == 0).then_some(0);
                let possible = || session.totals.range(session.seen..).map(|(_, total)| *total).chain(nothing);
                least += possible().min().unwrap_or(0);
                most += possible().max().unwrap_or(0);
            }
            evidence.judges("reads_see_acks");
            let is_good = (least..=most).contains(&value);
            (!is_good).then(|| wrong(number, key, format!("shows {value}, possible are {least} to {most}: {reply:?}")))
        }
        _ => None,
    })
}

/// Whether one that answered had acknowledged the write as an owner, and is one still: who has handed over may answer again
/// as a stand-in, which holds nothing but hints.
fn must_be_seen(evidence: &Evidence<'_>, write: &Op, read: &Op, reply: &ValueReply) -> bool {
    let Some((acked_at, acks)) = written(write) else { return false };
    let is_read = |ring: &RingView, node| ring.readers(ring.partition_of(&read.request.key)).contains(&node);
    let is_owner = |node| evidence.rings_of(read).all(|ring| is_read(ring, node));
    let holds = |node| evidence.keeps_since(node, write.invoked_at) && is_owner(node);
    acked_at < read.invoked_at
        && acks.acks.iter().any(|ack| ack.is_owner && reply.answered.contains(&ack.node) && holds(ack.node))
}

fn wrong(number: OpNumber, key: &Key, text: String) -> Violation {
    Violation { checker: "reads_see_acks", text: format!("the read {number:?} of {key} {text}") }
}
