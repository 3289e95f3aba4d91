//! Why a request failed, and what became of the data.

use serde::{Deserialize, Serialize};

use super::BackupRefusal;
use crate::ids::NodeId;

/// A request that was not answered with success. [`Outcome`] says what happened to the data; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{outcome}: {reason}{}", advice(*outcome, reason))]
pub struct RequestError {
    /// What happened to the data.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
}

impl RequestError {
    /// What to do where the data may have changed and the reason does not say it; begins with a semicolon.
    pub fn advice(&self) -> &'static str {
        advice(self.outcome, &self.reason)
    }
}

fn advice(outcome: Outcome, reason: &Reason) -> &'static str {
    match (outcome, reason) {
        (
            Outcome::Unknown,
            Reason::DeadlineExceeded { .. } | Reason::QuorumFailed { .. } | Reason::CoordinatorLost { .. },
        ) => "; read the value before you send it again",
        _ => "",
    }
}

/// What a failed request did to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Outcome {
    /// Nothing changed, and nothing will.
    #[error("not applied")]
    NotApplied,
    /// It may have been applied, or may still be. An increment that is sent again may count twice.
    #[error("unknown")]
    Unknown,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    /// Too few nodes of the accept set are reachable from the coordinator.
    #[error("{needed} {} needed, {reachable} reachable; retry when the network has healed{}",
        if *strict { "owners" } else { "nodes" }, if *strict { ", or without --strict" } else { ", or with a smaller quorum" })]
    TooFewReachable {
        /// R or W.
        needed: u8,
        /// Candidates that are not suspected.
        reachable: u8,
        /// Only owners counted.
        strict: bool,
    },
    /// The quorum did not answer in time.
    #[error("{answered} of {needed} answers before the deadline")]
    DeadlineExceeded {
        /// Answers that came.
        answered: u8,
        /// Answers needed.
        needed: u8,
    },
    /// Every candidate refused or failed before the quorum was complete.
    #[error("{answered} of {needed} answers, and no candidate is left ({last_refusal})")]
    QuorumFailed {
        /// Answers that came.
        answered: u8,
        /// Answers needed.
        needed: u8,
        /// What the last refusing node said.
        last_refusal: String,
    },
    /// R or W is zero or more than N.
    #[error("a quorum of {asked} was asked for; 1 to {replicas} are possible")]
    ImpossibleQuorum {
        /// What was asked for.
        asked: u8,
        /// N.
        replicas: u8,
    },
    /// An increment of something that is not a number.
    #[error("the value is not an integer; put a number first, or delete the key")]
    NotANumber,
    /// The sum would leave the signed 64-bit range.
    #[error("the result would not fit a signed 64-bit integer; the value stays as it was")]
    Overflow,
    /// The key shows another type.
    #[error(
        "the key holds another type ({held}); use the commands of that type, or delete the key first, or use another"
    )]
    WrongType {
        /// What it shows.
        held: String,
    },
    /// NaN, infinite, or beyond the range of a score.
    #[error("a score must be a finite number")]
    NotFinite,
    /// Too many elements or items.
    #[error("{count} {what}, at most {count_max} are allowed")]
    TooMany {
        /// Of what.
        what: String,
        /// What was sent, or would be.
        count: u64,
        /// What is possible.
        count_max: u64,
    },
    /// Too many values would stand side by side.
    #[error(
        "there would be {count} siblings, and at most {count_max} are allowed; put one value with the context of all of them \
         (`get --siblings` shows it)"
    )]
    TooManySiblings {
        /// How many there would be.
        count: u64,
        /// What is possible.
        count_max: u64,
    },
    /// Values that would stand side by side are too long together.
    #[error(
        "the siblings would have {bytes} bytes together, and at most {bytes_max} are allowed; put one value with the context \
         of all of them (`get --siblings` shows it)"
    )]
    SiblingsTooLarge {
        /// How long they would be.
        bytes: u64,
        /// What is possible.
        bytes_max: u64,
    },
    /// A change that does not fit the kind of collection, or an element that stands twice in a command.
    #[error("malformed command: {0}")]
    Malformed(String),
    /// A context or token that this cluster did not make, or that was cut.
    #[error("the {what} is not one of this cluster, or was changed on its way; begin anew without it")]
    ForeignToken {
        /// Context or token.
        what: String,
    },
    /// The tick of the session has passed.
    #[error(
        "the session has expired: this increment counts only if an earlier send of it was acknowledged; never send it in \
         a new session"
    )]
    SessionExpired,
    /// What a context has seen was settled meanwhile.
    #[error(
        "the context is too old: the write was carried out only if an earlier send of it was acknowledged; read the value, \
         and observe again if it is not as it should be"
    )]
    ContextSettled,
    /// Fallbacks would have to hold a write that takes away, or repeats, what is older than what they may take.
    #[error(
        "too many owners of the key are away, and what this write would take away, or stand beside, is not yet settled among \
         them; retry when they are back (writes that only add go on)"
    )]
    Unsettled,
    /// The session ends later than leases may.
    #[error("the session would end {ticks} ticks from now, at most {ticks_max} are allowed; open a shorter one")]
    LeaseTooLong {
        /// Asked for.
        ticks: u64,
        /// Possible.
        ticks_max: u64,
    },
    /// One event of a session with two payloads, or totals that shrink.
    #[error("event {event} of this session was used for another increment; use a new session")]
    SessionReused {
        /// Which.
        event: u64,
    },
    /// The key's rows of sessions have reached their bound.
    #[error("too many sessions write this key; retry when some have ended, or increment without a session")]
    TooManySessions,
    /// No replica shows what the token has seen.
    #[error("stale: no reachable replica shows all that this token has seen; retry, or read without the token")]
    Stale,
    /// A token goes with what cannot be held against it.
    #[error(
        "a token follows elements of a collection that are named, not its pages, its size, or `get` of it: read elements by \
         name, or without the token"
    )]
    NotFollowed,
    /// Another live process uses this node's member id.
    #[error(
        "two live processes claim to be node {node}, so neither takes writes; end the one that runs on a copy (`starling \
         status` shows both starts), or write through another node meanwhile"
    )]
    TwoClaimants {
        /// Whose.
        node: NodeId,
    },
    /// The value is too long.
    #[error("the value has {bytes} bytes, at most {bytes_max} are allowed")]
    ValueTooLarge {
        /// What was sent.
        bytes: u64,
        /// What is possible.
        bytes_max: u64,
    },
    /// The command carries, or would write, more than travels in one message.
    #[error(
        "the command takes {bytes} bytes, its key counted once for each row, and at most {bytes_max} are allowed; send it in \
         parts"
    )]
    CommandTooLarge {
        /// What it takes.
        bytes: u64,
        /// What is possible.
        bytes_max: u64,
    },
    /// What was asked for does not fit into one message.
    #[error(
        "the answer would have {bytes} bytes, and at most {bytes_max} fit; ask for fewer elements, or of fewer replicas"
    )]
    AnswerTooLarge {
        /// What it would take.
        bytes: u64,
        /// What is possible.
        bytes_max: u64,
    },
    /// A queue is full.
    #[error("the node is busy ({queue} is full); retry after a pause")]
    Busy {
        /// Which one.
        queue: String,
    },
    /// A covering operation that no owner could see, on a live counter; or all owners were declared lost, and none has come yet.
    #[error(
        "no owner is reachable, and what is seen here may be incomplete; retry when an owner is back, or when others have taken \
         over what lost ones owned"
    )]
    NoOwner,
    /// The nodes that could coordinate have not yet taken over the partition's data.
    #[error("the partition is being taken over by its owners; retry in a moment")]
    NotEstablished,
    /// What is to be covered was frozen before it came to the coordinator, which must not take it from a client's write.
    #[error("node {node} has yet to learn what it should remove; retry in a moment, or through another node")]
    Settling {
        /// The coordinator.
        node: NodeId,
    },
    /// Coordinator and forwarder disagree on who owns the key.
    #[error("the layout changed (this node is at epoch {have}); fetch it and retry")]
    StaleLayout {
        /// Number of the answering node's layout epoch.
        have: u64,
    },
    /// The coordinator that the request was forwarded to went away.
    #[error("node {node} was lost while it coordinated the request")]
    CoordinatorLost {
        /// Who.
        node: NodeId,
    },
    /// The disk is nearly full.
    #[error("the disk of node {node} is below its reserve; free space or retry on another node")]
    DiskReserve {
        /// Whose.
        node: NodeId,
    },
    /// The clock runs ahead.
    #[error("the clock of node {node} is {ahead_ms} ms ahead of its peers; correct it (increments still work)")]
    ClockAhead {
        /// Whose.
        node: NodeId,
        /// By how much.
        ahead_ms: u64,
    },
    /// The local store could not read.
    #[error("node {node} cannot read the row ({detail}); other replicas may")]
    StorageFailed {
        /// Whose store.
        node: NodeId,
        /// What it said.
        detail: String,
    },
    /// The row came from a newer program and cannot be changed by this one.
    #[error("the row holds data of a newer program; upgrade node {node}")]
    NewerRow {
        /// Who is too old.
        node: NodeId,
    },
    /// The call is not for this certificate, or this node was not started for it.
    #[error("refused: {0}")]
    Forbidden(String),
    /// The node is stopping.
    #[error("the node is stopping; use another")]
    Stopping,
    /// No backup was taken.
    #[error(transparent)]
    Backup(#[from] BackupRefusal),
    /// The reachable nodes that may answer are in too few zones.
    #[error(
        "nodes of {needed} zones needed, of {reachable} reachable; retry when the others are back, or ask for fewer zones"
    )]
    TooFewZones {
        /// What was asked for.
        needed: u8,
        /// Zones of candidates that are not suspected.
        reachable: u8,
    },
}

impl Reason {
    /// A word that programs can tell reasons apart by; it does not change when the text does.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::TooFewReachable { .. } => "too_few_reachable",
            Reason::DeadlineExceeded { .. } => "deadline_exceeded",
            Reason::QuorumFailed { .. } => "quorum_failed",
            Reason::ImpossibleQuorum { .. } => "impossible_quorum",
            Reason::NotANumber => "not_a_number",
            Reason::Overflow => "overflow",
            Reason::WrongType { .. } => "wrong_type",
            Reason::NotFinite => "not_finite",
            Reason::TooMany { .. } => "too_many",
            Reason::TooManySiblings { .. } => "too_many_siblings",
            Reason::SiblingsTooLarge { .. } => "siblings_too_large",
            Reason::Malformed(_) => "malformed",
            Reason::ForeignToken { .. } => "foreign_token",
            Reason::SessionExpired => "session_expired",
            Reason::ContextSettled => "context_settled",
            Reason::Unsettled => "unsettled",
            Reason::LeaseTooLong { .. } => "lease_too_long",
            Reason::SessionReused { .. } => "session_reused",
            Reason::TooManySessions => "too_many_sessions",
            Reason::Stale => "stale",
            Reason::NotFollowed => "not_followed",
            Reason::TwoClaimants { .. } => "two_claimants",
            Reason::ValueTooLarge { .. } => "value_too_large",
            Reason::CommandTooLarge { .. } => "command_too_large",
            Reason::AnswerTooLarge { .. } => "answer_too_large",
            Reason::Busy { .. } => "busy",
            Reason::NoOwner => "no_owner",
            Reason::NotEstablished => "not_established",
            Reason::Settling { .. } => "settling",
            Reason::StaleLayout { .. } => "stale_layout",
            Reason::CoordinatorLost { .. } => "coordinator_lost",
            Reason::DiskReserve { .. } => "disk_reserve",
            Reason::ClockAhead { .. } => "clock_ahead",
            Reason::StorageFailed { .. } => "storage_failed",
            Reason::NewerRow { .. } => "newer_row",
            Reason::Forbidden(_) => "forbidden",
            Reason::Stopping => "stopping",
            Reason::Backup(refusal) => refusal.code(),
            Reason::TooFewZones { .. } => "too_few_zones",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_in_doubt_is_to_be_read_before_it_is_sent_again() {
        let reason = Reason::QuorumFailed { answered: 1, needed: 2, last_refusal: "busy".into() };
        let text = |outcome| RequestError { outcome, reason: reason.clone() }.to_string();
        assert!(text(Outcome::Unknown).ends_with("(busy); read the value before you send it again"));
        assert!(text(Outcome::NotApplied).ends_with("(busy)"));
        // It says by itself what to do.
        let over = RequestError { outcome: Outcome::Unknown, reason: Reason::SessionExpired };
        assert!(!over.to_string().contains("read the value"));
    }
}
