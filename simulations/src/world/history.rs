//! What clients asked and what they were told: the evidence of the checkers.

use std::time::Duration;

use starling::ids::{ConnectionId, NodeId, RequestId};
use starling::message::client::{Command, Outcome, Request, Response};
use starling::time::Timestamp;

/// Number of an operation in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpNumber(pub usize);

/// One request of a client.
#[derive(Clone, Debug)]
pub struct Op {
    /// The node that was asked (by its number in the world).
    pub node: usize,
    /// On which connection.
    pub connection: ConnectionId,
    /// What.
    pub request: Request,
    /// When.
    pub invoked_at: Timestamp,
    /// How long the client waits.
    pub deadline: Duration,
    /// What came, and when.
    pub answer: Option<(Timestamp, Response)>,
    /// The connection broke before an answer came.
    pub broken_at: Option<Timestamp>,
    /// The node did not run when it was asked: nothing was sent.
    pub is_refused: bool,
}

/// What a client knows about its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It was acknowledged.
    Applied,
    /// It was certainly not applied.
    NotApplied,
    /// It may have been, or may still be.
    Unknown,
}

impl Op {
    /// What the client knows now.
    pub fn known(&self) -> Known {
        match &self.answer {
            _ if self.is_refused => Known::NotApplied,
            Some((_, Response::Failed(error))) => match error.outcome {
                Outcome::NotApplied => Known::NotApplied,
                Outcome::Unknown => Known::Unknown,
            },
            Some(_) => Known::Applied,
            None => Known::Unknown,
        }
    }

    /// When the client stopped waiting: its answer, or the end of its connection.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.answer.as_ref().map(|(at, _)| *at).or(self.broken_at)
    }
}

/// All operations of a world, in the order in which they were invoked.
#[derive(Debug, Default)]
pub struct History {
    ops: Vec<Op>,
    /// The first operation that was asked once everything was at rest.
    pub rest_from: Option<OpNumber>,
    /// Answers that should not have come: a second one, or one that nobody had asked for.
    pub stray_answers: Vec<String>,
}

impl History {
    /// Adds an operation.
    pub fn invoke(&mut self, op: Op) -> OpNumber {
        self.ops.push(op);
        OpNumber(self.ops.len() - 1)
    }

    /// Everything is at rest: what is asked from now on shows what has come of all that was asked before.
    pub fn begin_rest(&mut self) {
        self.rest_from = Some(OpNumber(self.ops.len()));
    }

    /// The request id under which an operation is sent.
    pub fn request_id(number: OpNumber) -> RequestId {
        RequestId(number.0 as u64)
    }

    /// Takes an answer of a node.
    pub fn answer(&mut self, node: usize, connection: ConnectionId, id: RequestId, at: Timestamp, response: Response) {
        let stray = match usize::try_from(id.0).ok().and_then(|place| self.ops.get_mut(place)) {
            None => Some("nobody had asked".to_owned()),
            Some(op) if op.node != node || op.connection != connection => Some("somebody else had asked".to_owned()),
            Some(op) if op.broken_at.is_some() => Some("the connection had ended with an earlier start".to_owned()),
            Some(op) => match op.answer.replace((at, response.clone())) {
                None => None,
                Some(first) => {
                    let text = format!("it was answered before, with {first:?}");
                    op.answer = Some(first);
                    Some(text)
                }
            },
        };
        if let Some(reason) = stray {
            self.stray_answers.push(format!("node {node} answered {id:?} with {response:?}, but {reason}"));
        }
    }

    /// Every open operation of a node's clients ends without an answer.
    pub fn break_connections(&mut self, node: usize, at: Timestamp) {
        // Open operations are recent: deadlines are short.
        for op in self.ops.iter_mut().rev().take(100_000) {
            if op.node == node && op.ended_at().is_none() && !op.is_refused {
                op.broken_at = Some(at);
            }
        }
    }

    /// What must be true of it in a cluster of so many nodes that was restored from backups, none of which is older than
    /// `at`: what was told later may be lost. Nodes are numbered anew.
    pub fn kept_until(&self, at: Timestamp, nodes: usize) -> History {
        let ops = self.ops.iter().cloned().map(|mut op| {
            op.node %= nodes;
            // What a context had seen stays a fact: a put that was sent with it may have come into the backups.
            let is_look = op.request.command == Command::Siblings && op.answer.is_some();
            if op.answer.as_ref().is_none_or(|(told, _)| *told >= at) && !op.is_refused && !is_look {
                op.answer = None;
                op.broken_at = Some(op.broken_at.unwrap_or(at).min(at).max(op.invoked_at));
            }
            if let Some((_, Response::Written(reply))) = &mut op.answer {
                for ack in &mut reply.acks {
                    ack.node = NodeId((ack.node.0 - 1) % nodes as u64 + 1);
                }
            }
            op
        });
        History { ops: ops.collect(), ..History::default() }
    }

    /// One operation.
    pub fn op(&self, number: OpNumber) -> &Op {
        self.ops.get(number.0).expect("operation numbers come from this history")
    }

    /// All of them.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use starling::message::client::{ObservedReply, Options, Visible, WriteReply};

    use super::*;
    use crate::workload::key;

    /// What a client asked in the second before it was told this.
    fn told(at: u64, command: Command, answer: Response) -> Op {
        Op {
            node: 0,
            connection: ConnectionId(1),
            request: Request { key: key("siblings/1"), command, options: Options::default() },
            invoked_at: Timestamp(at - 1),
            deadline: Duration::from_secs(2),
            answer: Some((Timestamp(at), answer)),
            broken_at: None,
            is_refused: false,
        }
    }

    #[test]
    fn what_was_told_after_the_first_backup_may_be_lost_but_what_a_context_had_seen_is_known() {
        let context = Bytes::from_static(b"context");
        let (value, partial, token) = (Visible::Nothing, false, None);
        let look = Response::Observed(ObservedReply { value: value.clone(), context: context.clone(), partial, token });
        let reply = WriteReply { value, acks: Vec::new(), removed: 0, partial, token: None };
        let put = |value: &'static [u8]| Command::PutSibling {
            value: Bytes::from_static(value),
            context: Some(context.clone()),
        };
        let mut history = History::default();
        history.invoke(told(5, put(b"before"), Response::Written(reply.clone())));
        history.invoke(told(15, Command::Siblings, look.clone()));
        history.invoke(told(20, put(b"after"), Response::Written(reply)));
        let kept = history.kept_until(Timestamp(10), 3);
        let known: Vec<Known> = kept.ops().iter().map(Op::known).collect();
        // The second put may be in a backup all the same, and then it has replaced what its context had seen.
        assert_eq!(known, [Known::Applied, Known::Applied, Known::Unknown]);
        assert_eq!(kept.op(OpNumber(1)).answer, Some((Timestamp(15), look)));
    }
}
