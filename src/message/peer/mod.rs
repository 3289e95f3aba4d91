//! The dialogues between shards of different nodes.
//!
//! A shard sends at most a few [`Frame`]s per peer and turn; each message in it is addressed to a partition, so the
//! receiving node can hand it to the right one of its shards. Loss, duplication and reordering are expected.
//!
//! ```text
//! frame      what travels at a time        forward    a request on its way to a coordinator
//! liveness   who is there                  replicate  fresh writes
//! refusal    why something was not taken   read       rows of one key
//! deliver    rows that are owed            exchange   what co-owners compare
//! layout     who is to be a member, and how far a change is
//! settling   how far a partition is        tree       sums that co-owners compare before rows
//!            settled                       repair     what a read found to be missing
//! ```

mod deliver;
mod exchange;
mod forward;
mod frame;
mod layout;
mod liveness;
mod read;
mod refusal;
mod repair;
mod replicate;
mod settling;
mod tree;

use serde::{Deserialize, Serialize};

pub use deliver::{Deliver, Delivered, OwedRow};
pub use exchange::{
    ExchangeAnswer, ExchangeDone, ExchangeFindings, ExchangeOffer, ExchangePush, ExchangePushed, NewbornAnswer,
    NewbornQuery, PartSum,
};
pub use forward::{Forward, Forwarded};
pub use frame::{Addressed, Frame};
pub use layout::{
    LayoutMessage, MoveAnswer, MoveQuery, MoveState, MoveStep, PartitionMove, Passed, Paused, RecoverAnswer,
    RecoverQuery,
};
pub use liveness::{Challenge, Claim, Ping};
pub use read::{Read, ReadAnswer, Shown, Wanted};
pub use refusal::Refusal;
pub use repair::Repair;
pub use replicate::{Part, Replicate, Replicated};
pub use settling::{Lifetimes, Marks, Report, StabilityAnswer, StabilityQuery, StabilityStanding, StabilityState};
pub use tree::{TreeAnswer, TreeFindings, TreeNode, TreeOffer};

use crate::causality::Epoch;

/// What one shard says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// Are you there? Any answer to another question says it as well.
    Ping(Ping),
    /// I am.
    Pong(Ping),
    /// Are you still this start of your member? Sent on the connection that the start opened.
    Challenge(Challenge),
    /// I am.
    Claim(Claim),
    /// Coordinate this for me.
    Forward(Forward),
    /// What came of it.
    Forwarded(Forwarded),
    /// Merge this fresh delta.
    Replicate(Replicate),
    /// Durably merged, or refused.
    Replicated(Replicated),
    /// Show me your row.
    Read(Read),
    /// The row.
    ReadAnswer(ReadAnswer),
    /// Merge these rows: they are owed to you.
    Deliver(Deliver),
    /// Durably merged, or refused.
    Delivered(Delivered),
    /// Are you newborn in this partition?
    NewbornQuery(NewbornQuery),
    /// Whether I am.
    NewbornAnswer(NewbornAnswer),
    /// What I have in a range; show me what differs.
    ExchangeOffer(ExchangeOffer),
    /// Rows that differ, and those that I want.
    ExchangeAnswer(ExchangeAnswer),
    /// The rows that you wanted.
    ExchangePush(ExchangePush),
    /// They are durable here.
    ExchangePushed(ExchangePushed),
    /// The exchange is complete: you have all that I had.
    ExchangeDone(ExchangeDone),
    /// How far is the partition settled with you?
    StabilityQuery(StabilityQuery),
    /// This far.
    StabilityAnswer(Box<StabilityAnswer>),
    /// Merge these rows: you lack something of them.
    Repair(Repair),
    /// What my rows of these ranges add up to; which of yours do not?
    TreeOffer(TreeOffer),
    /// These.
    TreeAnswer(TreeAnswer),
    /// About the layout.
    Layout(Box<LayoutMessage>),
}

impl PeerMessage {
    /// Whether a node that is no member, or is fenced, may say it. All else of it is dropped.
    pub fn may_come_from_outside(&self) -> bool {
        matches!(self, PeerMessage::Layout(message) if message.may_come_from_outside())
    }

    /// Takes the next message in, if both say the same thing of more rows. Gives it back if not.
    pub fn absorb(&mut self, next: PeerMessage) -> Option<PeerMessage> {
        match (self, next) {
            (PeerMessage::Delivered(first), PeerMessage::Delivered(second))
                if first.op == second.op && first.epoch == second.epoch =>
            {
                first.rows.extend(second.rows);
                first.refused.extend(second.refused);
                first.pause_ms = first.pause_ms.max(second.pause_ms);
                None
            }
            (_, next) => Some(next),
        }
    }

    /// How far the partition is settled with the sender, if it says so.
    pub fn marks(&self) -> Option<Marks> {
        match self {
            PeerMessage::Deliver(deliver) => deliver.marks,
            PeerMessage::ExchangeOffer(offer) => Some(offer.marks),
            PeerMessage::ExchangeAnswer(answer) => answer.outcome.as_ref().ok().map(|findings| findings.marks),
            PeerMessage::ExchangePush(push) => Some(push.marks),
            PeerMessage::TreeOffer(offer) => Some(offer.marks),
            PeerMessage::TreeAnswer(answer) => answer.outcome.as_ref().ok().map(|findings| findings.marks),
            PeerMessage::StabilityQuery(query) => Some(query.marks),
            PeerMessage::StabilityAnswer(answer) => Some(answer.state.marks),
            _ => None,
        }
    }

    /// Whether it answers something that the receiver asked: such a message proves that both directions work, and the
    /// receiver has room for it by construction.
    pub fn is_answer(&self) -> bool {
        match self {
            PeerMessage::Pong(_) => true,
            // A claim answers what came the other way: it says nothing of the connection that this node opened.
            PeerMessage::Claim(_) => false,
            message => message.asked_by().is_some(),
        }
    }

    /// Of an answer: the start of the receiver that asked. A later start knows nothing of the question.
    pub fn asked_by(&self) -> Option<Epoch> {
        match self {
            PeerMessage::Claim(answer) => Some(answer.epoch),
            PeerMessage::Forwarded(answer) => Some(answer.epoch),
            PeerMessage::Replicated(answer) => Some(answer.epoch),
            PeerMessage::ReadAnswer(answer) => Some(answer.epoch),
            PeerMessage::Delivered(answer) => Some(answer.epoch),
            PeerMessage::NewbornAnswer(answer) => Some(answer.epoch),
            PeerMessage::ExchangeAnswer(answer) => Some(answer.epoch),
            PeerMessage::ExchangePushed(answer) => Some(answer.epoch),
            PeerMessage::TreeAnswer(answer) => Some(answer.epoch),
            PeerMessage::StabilityAnswer(answer) => Some(answer.epoch),
            PeerMessage::Layout(message) => message.asked_by(),
            PeerMessage::Ping(_)
            | PeerMessage::Pong(_)
            | PeerMessage::Challenge(_)
            | PeerMessage::Forward(_)
            | PeerMessage::Replicate(_)
            | PeerMessage::Read(_)
            | PeerMessage::Deliver(_)
            | PeerMessage::NewbornQuery(_)
            | PeerMessage::StabilityQuery(_)
            | PeerMessage::TreeOffer(_)
            | PeerMessage::ExchangeOffer(_)
            | PeerMessage::ExchangePush(_)
            | PeerMessage::ExchangeDone(_)
            | PeerMessage::Repair(_) => None,
        }
    }
}
