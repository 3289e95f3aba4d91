//! What co-owners compare and give each other ([`crate::antientropy`]).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Marks, Refusal};
use crate::causality::Epoch;
use crate::ids::OpId;
use crate::storage::RowKey;
use crate::time::WallTime;

/// Asks whether the receiver is newborn in the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewbornQuery {
    /// Round of the asker.
    pub round: u64,
}

/// Answer to [`NewbornQuery`]; the frame's epoch says of which start it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewbornAnswer {
    /// Round of the asker.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
    /// The answering owner does not hold the partition's data yet.
    pub is_newborn: bool,
}

/// One page of a plain exchange: the initiator's rows of a range, each by its hash, or some together by their sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeOffer {
    /// The initiator's dialogue.
    pub op: OpId,
    /// Numbers the questions of the dialogue, from 1. 0: a program that does not number them.
    #[serde(default)]
    pub step: u32,
    /// First key of the range, as it stands on disk.
    pub start: Bytes,
    /// End of the range (excluded).
    pub end: Bytes,
    /// The initiator's rows in the range with the hash of their state.
    pub hashes: Vec<(RowKey, u128)>,
    /// In their place: the range in parts, one behind the other, and what the rows of each add up to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<PartSum>,
    /// The initiator is an owner that has lost what it had, or never had it, and takes it over.
    #[serde(default)]
    pub takes_over: bool,
    /// The initiator's directory, and how far the partition is settled there.
    pub marks: Marks,
    /// The initiator only gives, for it is no owner any more: it is shown nothing.
    #[serde(default)]
    pub gives: bool,
}

/// What the rows of a part of a range add up to, in the form in which they would travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSum {
    /// End of the part (excluded): where the next one begins.
    pub end: Bytes,
    /// Rows.
    pub rows: u32,
    /// Σ mod 2^128 of a hash of (row key, state) over them.
    pub hash: u128,
}

/// Answer to [`ExchangeOffer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeAnswer {
    /// The initiator's dialogue.
    pub op: OpId,
    /// The start of the initiator.
    pub epoch: Epoch,
    /// Which question is answered. 0: a program that does not number them.
    #[serde(default)]
    pub step: u32,
    /// What was found, or why the exchange cannot go on.
    pub outcome: Result<ExchangeFindings, Refusal>,
}

/// What a responder found in a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeFindings {
    /// The findings cover the range up to here (excluded); the initiator goes on from here.
    pub covered: Bytes,
    /// Whole rows that the initiator lacks or has otherwise.
    pub rows: Vec<(RowKey, Bytes)>,
    /// Rows that the responder lacks or has otherwise.
    pub wanted: Vec<RowKey>,
    /// To an offer by sums: which of the parts that are covered add up to something else, in their order; no rows then. `None`:
    /// hashes were compared, or the responder knows of no sums and has compared nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differing: Option<Vec<u16>>,
    /// The responder has rows in the range that it cannot read: it has shown less than it holds.
    #[serde(default)]
    pub leaves_out: bool,
    /// While the partition moves: about how many rows the responder has of it, by its tree. `None`: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_here: Option<u64>,
    /// The responder's directory, and how far the partition is settled there.
    pub marks: Marks,
}

/// Rows that the responder wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangePush {
    /// The initiator's dialogue.
    pub op: OpId,
    /// The number of the page whose findings wanted them. 0: a program that does not number them.
    #[serde(default)]
    pub step: u32,
    /// Whole rows.
    pub rows: Vec<(RowKey, Bytes)>,
    /// The initiator's directory, and how far the partition is settled there.
    pub marks: Marks,
}

/// Answer to [`ExchangePush`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangePushed {
    /// The initiator's dialogue.
    pub op: OpId,
    /// The start of the initiator.
    pub epoch: Epoch,
    /// Which question is answered. 0: a program that does not number them.
    #[serde(default)]
    pub step: u32,
    /// All of them are durable, or some were refused.
    pub outcome: Result<(), Refusal>,
}

/// An exchange with the receiver is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeDone {
    /// The start of the receiver that it was with.
    pub to: Epoch,
    /// What the receiver's clock showed before it began.
    pub since: WallTime,
    /// Rows that it moved, either way; 0: the two were equal. `None`: a program that does not tell.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Number of the layout under which both sides began it; 0: they did not, or a program that does not tell.
    #[serde(default)]
    pub layout: u64,
}
