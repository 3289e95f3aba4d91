//! One forward: a write on its way to a node that may coordinate it. A forward has one hop.
//!
//! ```text
//! forwarded ──Forwarded──→ answered
//!     ├─ certainly not sent, or refused before anything was done ──→ the next candidate, else "not applied"
//!     ├─ coordinator lost, and the request may be repeated ──→ the next candidate; what fails from then on is "unknown"
//!     └─ coordinator lost, or deadline ──→ "unknown": it may have been applied, and a second send could count twice
//! ```
//!
//! What may be repeated, [`crate::message::client::Command::is_idempotent`] says: a session's increment, the second step of
//! a reset.

use super::origin::Origin;
use crate::ids::{NodeId, OpId, PartitionId};
use crate::message::client::{Outcome, Reason, Request, RequestError, Response};
use crate::message::peer::{Forward, PeerMessage};
use crate::shard::{Env, Outbox, unknown};
use crate::time::Timestamp;

/// A request that another node coordinates.
#[derive(Debug)]
pub(super) struct ForwardOp {
    pub origin: Origin,
    pub partition: PartitionId,
    pub request: Request,
    pub deadline: Timestamp,
    pub target: NodeId,
    tried: Vec<NodeId>,
    /// A coordinator was lost that may have carried it out.
    may_be_applied: bool,
}

impl ForwardOp {
    /// Sends the request to the first candidate; `None` if there is none.
    pub fn start(
        env: &Env<'_>,
        out: &mut Outbox,
        op: OpId,
        origin: Origin,
        request: Request,
        partition: PartitionId,
        deadline: Timestamp,
    ) -> Option<ForwardOp> {
        let mut forward = ForwardOp {
            origin,
            partition,
            request,
            deadline,
            target: env.me,
            tried: Vec::new(),
            may_be_applied: false,
        };
        forward.send_to_next(env, out, op).then_some(forward)
    }

    /// The target did certainly nothing. True if there is another one.
    pub fn send_to_next(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> bool {
        let candidates = env.ring.accept_set(self.partition).iter().copied();
        let next = candidates
            .filter(|node| *node != env.me && env.liveness.is_reachable(*node))
            .find(|node| !self.tried.contains(node));
        let Some(target) = next else { return false };
        // A reachable peer has answered, so its start is known.
        let Some(start) = env.liveness.epoch_of(target) else { return false };
        self.target = target;
        self.tried.push(target);
        let remaining_ms = env.remaining_ms(self.deadline);
        let forward = Forward { op, target: start, request: self.request.clone(), remaining_ms };
        out.send(target, self.partition, PeerMessage::Forward(forward));
        true
    }

    /// Whether the target refused in a way that another candidate may not: it has not taken over its data, or sees
    /// another layout, or is full, and nothing was applied. Or it knows nothing of what its earlier start did, and the
    /// request may be repeated.
    pub fn may_try_another(&mut self, response: &Response) -> bool {
        match response {
            Response::Failed(RequestError { outcome: Outcome::Unknown, reason: Reason::CoordinatorLost { .. } }) => {
                self.may_repeat()
            }
            Response::Failed(error) => {
                error.outcome == Outcome::NotApplied
                    && matches!(
                        error.reason,
                        Reason::NotEstablished
                            | Reason::StaleLayout { .. }
                            | Reason::Busy { .. }
                            | Reason::DiskReserve { .. }
                            | Reason::StorageFailed { .. }
                            | Reason::ClockAhead { .. }
                            | Reason::TwoClaimants { .. }
                    )
            }
            Response::Value(_)
            | Response::Written(_)
            | Response::Observed(_)
            | Response::Page(_)
            | Response::Inspected(_)
            | Response::Located(_) => false,
        }
    }

    /// The target may have carried it out, and will not say. True if the request may be sent to another all the same.
    pub fn may_repeat(&mut self) -> bool {
        let is_idempotent = self.request.command.is_idempotent();
        self.may_be_applied |= is_idempotent;
        is_idempotent
    }

    /// An answer as it is, unless it says more than is known: a refusal of the last target does not speak for those that
    /// were lost before it.
    pub fn answer(&self, response: Response) -> Response {
        match response {
            Response::Failed(mut error) if self.may_be_applied => {
                error.outcome = Outcome::Unknown;
                Response::Failed(error)
            }
            response => response,
        }
    }

    /// The target is lost after the request may have reached it.
    pub fn lost(&self) -> Response {
        Response::Failed(unknown(Reason::CoordinatorLost { node: self.target }))
    }

    /// No answer in time.
    pub fn expire(&self) -> Response {
        Response::Failed(unknown(Reason::DeadlineExceeded { answered: 0, needed: 1 }))
    }
}
