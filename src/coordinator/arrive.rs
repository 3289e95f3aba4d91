//! How requests come to the coordinator: from clients of this node, from other nodes, and in the order of their connection.

use super::begin::{locate, may_coordinate};
use super::forward::ForwardOp;
use super::{Coordinator, Op, Origin};
use crate::causality::Epoch;
use crate::ids::{ConnectionId, NodeId, RequestId};
use crate::message::client::{Command, Reason, Request, Response};
use crate::message::peer::{Forward, Wanted};
use crate::replica::Standing;
use crate::shard::{Asker, Env, Local, Outbox, Start, Task, TaskBody, TimerKey, not_applied, unknown};
use crate::storage::RowKey;

impl Coordinator {
    /// A client of this node asks.
    pub fn on_client(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        standing: Standing,
        client: (ConnectionId, RequestId),
        request: Request,
    ) {
        let (connection, request_id) = client;
        match request.command {
            Command::Locate => return out.reply(connection, request_id, locate(env, &request.key)),
            Command::Inspect => {
                let asker = Asker::Client { connection, request_id };
                let body = TaskBody::Read { asker, beside: Wanted::Sessions };
                return out.tell(Local::Task(Task { row: RowKey::main(&request.key), body }));
            }
            _ => {}
        }
        if let Err(error) = self.check(env, &request) {
            return out.reply(connection, request_id, Response::Failed(error));
        }
        let deadline = env.deadline(request.options.deadline_ms);
        match self.order.admit(Start { connection, request_id, request, deadline }) {
            Some(start) => self.on_start(env, out, standing, start),
            None => out.set_timer(TimerKey::Waiting(connection, request_id), deadline),
        }
    }

    /// A command waited in its connection's order until its deadline.
    pub fn on_waited(&mut self, out: &mut Outbox, connection: ConnectionId, request_id: RequestId) {
        if self.order.give_up(connection, request_id).is_some() {
            let reason = Reason::DeadlineExceeded { answered: 0, needed: 1 };
            out.reply(connection, request_id, Response::Failed(not_applied(reason)));
        }
    }

    /// A peer asks this node to coordinate. It is not forwarded again.
    pub fn on_forward(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        standing: Standing,
        from: (NodeId, Epoch),
        forward: Forward,
    ) {
        let (node, epoch) = from;
        let from = Origin::Peer { node, epoch, op: forward.op };
        let partition = env.ring.partition_of(&forward.request.key);
        if forward.target != env.epoch {
            let lost = unknown(Reason::CoordinatorLost { node: env.me });
            return from.answer(out, partition, Response::Failed(lost));
        }
        if !self.replay.admit(node, epoch, forward.op) {
            // The first copy is answered; a second answer could contradict it.
            return;
        }
        let refusal = match standing {
            Standing::Owner | Standing::Fallback => self.check(env, &forward.request).err(),
            Standing::Newborn | Standing::Joining => Some(not_applied(Reason::NotEstablished)),
            Standing::Leaving | Standing::Outside => {
                Some(not_applied(Reason::StaleLayout { have: env.ring.epoch().number }))
            }
        };
        if let Some(error) = refusal {
            return from.answer(out, partition, Response::Failed(error));
        }
        let deadline = env.deadline(Some(forward.remaining_ms));
        let op = self.next_op();
        self.coordinate(env, out, op, from, forward.request, deadline);
    }

    /// A client's command may start.
    pub fn on_start(&mut self, env: &Env<'_>, out: &mut Outbox, standing: Standing, start: Start) {
        let Start { connection, request_id, request, deadline } = start;
        let origin = Origin::Client { connection, request_id };
        let op = self.next_op();
        self.lanes.insert(op, (connection, request.key.clone()));
        let partition = env.ring.partition_of(&request.key);
        if !request.command.is_write() || may_coordinate(env, partition, standing) {
            return self.coordinate(env, out, op, origin, request, deadline);
        }
        match ForwardOp::start(env, out, op, origin, request, partition, deadline) {
            Some(forward) => {
                self.ops.insert(op, Op::Forward(forward));
                out.set_timer(TimerKey::OpDeadline(op), deadline);
            }
            None => {
                let reason = match standing {
                    Standing::Newborn | Standing::Joining => Reason::NotEstablished,
                    Standing::Owner | Standing::Fallback | Standing::Leaving | Standing::Outside => {
                        Reason::TooFewReachable { needed: 1, reachable: 0, strict: false }
                    }
                };
                self.finish(out, op, partition, vec![(origin, Response::Failed(not_applied(reason)))]);
            }
        }
    }
}
