//! What sending a call a second time does, and whether a refused one may go to another node.
//!
//! Asked by [`Caller`](crate::caller::Caller) for each call; pure.

use starling::message::client::{CallBody, NodeCall, Outcome, Reason, RequestError};

/// What a repetition of a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// There is nothing to change.
    Reads,
    /// Nothing more than the first one: a session's event, an overwrite with its context.
    Repeats,
    /// It may count twice.
    Doubles,
}

impl Repetition {
    /// Of this call.
    pub(crate) fn of(body: &CallBody) -> Repetition {
        match body {
            CallBody::Key(request) if !request.command.is_write() => Repetition::Reads,
            CallBody::Key(request) if request.command.is_idempotent() => Repetition::Repeats,
            CallBody::Key(_) => Repetition::Doubles,
            CallBody::Node(NodeCall::Cluster(call)) if !call.is_read_only() => Repetition::Doubles,
            // Setting the same faults twice is the same as once.
            CallBody::Node(_) => Repetition::Reads,
        }
    }

    /// Whether another node may do better, and asking it cannot change anything twice.
    pub(crate) fn moves_on(self, error: &RequestError) -> bool {
        match (self, error.outcome, &error.reason) {
            (Repetition::Doubles, Outcome::Unknown, _) => return false,
            // No node knows more about an expired session than another one.
            (Repetition::Repeats, Outcome::Unknown, reason) => return *reason != Reason::SessionExpired,
            (Repetition::Reads, _, _) | (_, Outcome::NotApplied, _) => {}
        }
        match error.reason {
            Reason::TooFewReachable { .. }
            | Reason::TooFewZones { .. }
            | Reason::NoOwner
            | Reason::NotEstablished
            | Reason::Settling { .. }
            | Reason::StaleLayout { .. }
            | Reason::CoordinatorLost { .. }
            | Reason::DiskReserve { .. }
            | Reason::ClockAhead { .. }
            | Reason::StorageFailed { .. }
            | Reason::TwoClaimants { .. }
            | Reason::Stale
            | Reason::Stopping => true,
            // More of these would only add load, or end the same way.
            Reason::DeadlineExceeded { .. }
            | Reason::QuorumFailed { .. }
            | Reason::ImpossibleQuorum { .. }
            | Reason::NotANumber
            | Reason::Overflow
            | Reason::ValueTooLarge { .. }
            | Reason::Busy { .. }
            | Reason::WrongType { .. }
            | Reason::TooManySiblings { .. }
            | Reason::SiblingsTooLarge { .. }
            | Reason::NotFinite
            | Reason::TooMany { .. }
            | Reason::Malformed(_)
            | Reason::ForeignToken { .. }
            | Reason::NotFollowed
            | Reason::SessionExpired
            | Reason::ContextSettled
            | Reason::Unsettled
            | Reason::LeaseTooLong { .. }
            | Reason::SessionReused { .. }
            | Reason::TooManySessions
            | Reason::CommandTooLarge { .. }
            | Reason::AnswerTooLarge { .. }
            | Reason::NewerRow { .. }
            | Reason::Backup(_)
            | Reason::Forbidden(_) => false,
        }
    }
}
