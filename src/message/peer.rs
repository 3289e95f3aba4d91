//! The dialogues between shards of different nodes.
//!
//! A shard sends at most a few [`Frame`]s per peer and turn; each message in it is addressed to a partition, so the
//! receiving node can hand it to the right one of its shards. Loss, duplication and reordering are expected.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::client::{Request, Response};
use crate::causality::{Epoch, Tick};
use crate::config::Durability;
use crate::ids::{CollectionKind, Incarnation, NodeId, OpId, PartitionId, RowVersion};
use crate::membership::LayoutEpoch;
use crate::storage::RowKey;
use crate::time::{Hlc, WallTime};
use crate::value::DecodeError;

/// What one shard sends to one peer at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The sender's layout.
    pub layout: LayoutEpoch,
    /// The sender's start. Answers carry it back where they must not outlive it.
    pub epoch: Epoch,
    /// The sender's hybrid logical clock.
    pub clock: Hlc,
    /// At most [`crate::limits::MESSAGES_PER_FRAME_MAX`].
    pub messages: Vec<Addressed>,
}

/// A message and the partition whose shard it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressed {
    /// For routing within the receiving node.
    pub partition: PartitionId,
    /// What is said.
    pub message: PeerMessage,
}

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
}

/// Liveness, with the sender's wall clock for the skew alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The sender's wall clock.
    pub wall: WallTime,
}

/// Asks a start whether it lives, because another start of its member speaks too. See [`crate::membership::claims`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The asker's round.
    pub round: u64,
    /// Another start of the receiver's member that lives, if the asker has proof.
    pub rival: Option<Epoch>,
}

/// Answer to [`Challenge`]; the frame's epoch says of which start it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The asker's round.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
}

/// A client's request on its way to a coordinator. It is never forwarded again, and never coordinated twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The forwarder's dialogue.
    pub op: OpId,
    /// The start of the receiver that is meant. Another one cannot know what became of an earlier copy.
    pub target: Epoch,
    /// What the client asked.
    pub request: Request,
    /// What is left of its deadline. Unit: milliseconds.
    pub remaining_ms: u32,
}

/// The coordinator's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// The forwarder's dialogue.
    pub op: OpId,
    /// The start of the forwarder that asked.
    pub epoch: Epoch,
    /// For the client.
    pub response: Response,
}

/// A fresh write of the sender to one family of rows, taken whole or not at all. It carries no new dots but the
/// sender's own and those of client sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// One for each row that changed; not empty, all of one key.
    pub parts: Vec<Part>,
    /// Only to a fallback: the owners it is to hold the delta for.
    pub owed: Vec<NodeId>,
    /// The command only takes away: taken below the disk reserve, too.
    #[serde(default)]
    pub only_removes: bool,
}

/// What a write changed in one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which row.
    pub row: RowKey,
    /// The coordinator's version of the row that contains the delta.
    pub version: RowVersion,
    /// The delta, encoded as a row.
    pub delta: Bytes,
}

/// Answer to [`Replicate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicated {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The start of the coordinator that sent the delta.
    pub epoch: Epoch,
    /// Which rows, at which version of the coordinator.
    pub rows: Vec<(RowKey, RowVersion)>,
    /// How safely it is held, or why not.
    pub outcome: Result<Durability, Refusal>,
}

/// Why a replica did not take or show something. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The partition is not this node's to hold.
    #[error("not in the accept set")]
    NotAccepted,
    /// An owner that has not taken over its data yet.
    #[error("newborn")]
    Newborn,
    /// Below the disk reserve.
    #[error("disk below its reserve")]
    DiskReserve,
    /// Another live process claims the same member id: an acknowledgement of one would bind the other.
    #[error("two live processes claim this member id")]
    TwoClaimants,
    /// Too much is owed to one owner already.
    #[error("hints are at their bound")]
    HintsFull,
    /// A queue is full.
    #[error("busy")]
    Busy,
    /// It would change what only exchanges may change now, or bring what the partition refuses already.
    #[error("it holds events of ticks that are sealed")]
    Frozen,
    /// Whether the sender's directory is the one that it was is not known here yet, or it is behind in forgetting.
    #[error("the sender's directory is not known here yet")]
    UnknownDirectory,
    /// The row holds data of a newer program.
    #[error("the row holds data of a newer program")]
    NewerRow,
    /// The row could not be read, or what came is malformed.
    #[error("{0}")]
    Failed(String),
}

/// Asks for a replica's rows of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The main row of the key.
    pub row: RowKey,
    /// Which rows beside the main row.
    pub beside: Wanted,
}

/// Which side rows a coordinator wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// None.
    Nothing,
    /// Those of all sessions.
    Sessions,
    /// These elements.
    Elements(Vec<RowKey>),
    /// The elements after one.
    Page {
        /// Of which collection.
        kind: CollectionKind,
        /// `None`: from the first.
        after: Option<Bytes>,
        /// At most this many rows.
        count: u16,
    },
}

/// What a replica has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The main row, encoded (empty: nothing there).
    pub main: Bytes,
    /// What the main row's local header says of the side rows: equal on two replicas that have the same ones.
    pub beside: Bytes,
    /// The side rows that were wanted and are there.
    pub rows: Vec<(RowKey, Bytes)>,
    /// Of a page: everything before this key of a row was shown; `None`: to the end.
    pub until: Option<Bytes>,
    /// All actors that expire at this tick or before are settled here.
    pub settled: Tick,
    /// For each co-owner of which it is known: how long ago the last complete exchange with it began. Unit: milliseconds.
    pub exchanged: Vec<(NodeId, u64)>,
}

/// Answer to [`Read`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAnswer {
    /// The coordinator's dialogue.
    pub op: OpId,
    /// The start of the coordinator that asked.
    pub epoch: Epoch,
    /// The rows, or why not.
    pub outcome: Result<Shown, Refusal>,
}

/// Rows that are owed to the receiver, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliver {
    /// The holder's delivery.
    pub op: OpId,
    /// Whole rows of the addressed partition.
    pub rows: Vec<OwedRow>,
    /// Of an established owner: its directory, and how far the partition is settled there.
    pub marks: Option<Marks>,
}

/// One row that is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedRow {
    /// Which row.
    pub row: RowKey,
    /// The holder's version of what is sent.
    pub version: RowVersion,
    /// The whole state, encoded.
    pub state: Bytes,
}

/// Answer to [`Deliver`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The holder's delivery.
    pub op: OpId,
    /// The start of the holder that sent it.
    pub epoch: Epoch,
    /// What is durable now: marks at or below these versions are struck.
    pub rows: Vec<(RowKey, RowVersion)>,
    /// What was not taken.
    pub refused: Vec<(RowKey, Refusal)>,
    /// The receiver's pace: the next page not before this. Unit: milliseconds.
    pub pause_ms: u32,
}

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

/// One page of a plain exchange: the initiator's rows of a range, by hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeOffer {
    /// The initiator's dialogue.
    pub op: OpId,
    /// First key of the range, as it stands on disk.
    pub start: Bytes,
    /// End of the range (excluded).
    pub end: Bytes,
    /// The initiator's rows in the range with the hash of their state.
    pub hashes: Vec<(RowKey, u128)>,
    /// The initiator's directory, and how far the partition is settled there.
    pub marks: Marks,
}

/// Answer to [`ExchangeOffer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeAnswer {
    /// The initiator's dialogue.
    pub op: OpId,
    /// The start of the initiator.
    pub epoch: Epoch,
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
    /// The responder's directory, and how far the partition is settled there.
    pub marks: Marks,
}

/// Rows that the responder wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangePush {
    /// The initiator's dialogue.
    pub op: OpId,
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
    /// All of them are durable, or some were refused.
    pub outcome: Result<(), Refusal>,
}

/// A directory, and how far a partition is settled in it. What an established owner sends under its present incarnation
/// may change frozen ticks; nothing else may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Which directory.
    pub incarnation: Incarnation,
    /// Clients' events up to here are refused.
    pub sealed: Tick,
    /// Rows of ticks up to here change only by exchange.
    pub frozen: Tick,
    /// Entries up to here are replaced by their sum.
    pub compacted: Tick,
    /// Baselines up to here are replaced by their sum, and tombstones forgotten.
    pub folded: Tick,
}

impl Marks {
    /// Whether each tick is at most the one that it rests on, as in every directory.
    pub fn are_in_order(&self) -> bool {
        self.folded <= self.compacted && self.compacted <= self.frozen && self.frozen <= self.sealed
    }
}

/// Asks a node of the accept set how far the partition is settled with it, and to seal what it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StabilityQuery {
    /// Round of the asker. Only answers to its present one count.
    pub round: u64,
    /// The asker's directory, and how far the partition is settled there. Whatever another directory of this node said
    /// before counts no longer.
    pub marks: Marks,
    /// The asker has something to settle of this tick: seal it, if the clock allows.
    pub wanted: Tick,
    /// The asker has something to settle, and needs the receiver to take part.
    pub is_needed: bool,
}

/// Answer to [`StabilityQuery`]. It leaves when all that it says is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StabilityAnswer {
    /// Round of the asker.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
    /// What it asked for.
    pub state: StabilityState,
}

/// How far a partition is settled on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StabilityState {
    /// How the node stands to the partition.
    pub standing: StabilityStanding,
    /// How long its actors live.
    pub lifetimes: Lifetimes,
    /// Its directory and its ticks.
    pub marks: Marks,
    /// The owners' directories, as the node knows them from answers to its own rounds. Reports count only with these.
    pub tags: Vec<(NodeId, Incarnation)>,
    /// An owner's newest report of entries, in this directory and start.
    pub report: Option<Report>,
    /// An owner's newest report of baselines, in this directory and start.
    pub baseline_report: Option<Report>,
}

/// How long actors live, by a node's settings. What may be forgotten is reckoned from them, so nothing is settled among
/// nodes that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetimes {
    /// Length of a tick. Unit: microseconds.
    pub tick_us: u64,
    /// Ticks that an actor is used for.
    pub lease_ticks: u32,
}

/// How a node stands to a partition, as far as settling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StabilityStanding {
    /// An owner that has the data.
    Owner,
    /// A fallback that knows how far the partition is sealed.
    Fallback,
    /// One of either that must learn that first: it accepts nothing.
    Newborn,
}

/// What an owner durably has of all ticks up to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Up to here.
    pub tick: Tick,
    /// Sum over the rows, modulo 2^128; equal for equal states only.
    pub digest: u128,
}

/// An exchange with the receiver is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeDone {
    /// The start of the receiver that it was with.
    pub to: Epoch,
    /// What the receiver's clock showed before it began.
    pub since: WallTime,
}

impl Delivered {
    /// The first row that the owner refused because it would have changed what is frozen.
    pub fn first_frozen(&self) -> Option<&RowKey> {
        self.refused.iter().find(|(_, refusal)| *refusal == Refusal::Frozen).map(|(row, _)| row)
    }
}

impl Refusal {
    /// Refuses bytes that are no row of this program.
    pub fn of_bytes(error: &DecodeError) -> Refusal {
        if error.is_newer() { Refusal::NewerRow } else { Refusal::Failed(error.to_string()) }
    }

    /// Whether it speaks of this row only: the next one may well be taken.
    pub fn is_of_one_row(&self) -> bool {
        match self {
            Refusal::NewerRow | Refusal::Frozen | Refusal::Failed(_) => true,
            Refusal::UnknownDirectory
            | Refusal::NotAccepted
            | Refusal::Newborn
            | Refusal::DiskReserve
            | Refusal::TwoClaimants
            | Refusal::HintsFull
            | Refusal::Busy => false,
        }
    }
}

impl Frame {
    /// One frame per shard of the receiver that it has messages for, by the number of the shard, of `shards`. What
    /// concerns the whole node goes to each.
    pub fn by_shard(self, shards: usize) -> Vec<(usize, Frame)> {
        if shards <= 1 {
            return vec![(0, self)];
        }
        let mut parts: BTreeMap<usize, Vec<Addressed>> = BTreeMap::new();
        for message in self.messages {
            if matches!(message.message, PeerMessage::Challenge(_)) {
                for shard in 0..shards {
                    parts.entry(shard).or_default().push(message.clone());
                }
            } else {
                parts.entry(message.partition.shard(shards)).or_default().push(message);
            }
        }
        parts.into_iter().map(|(shard, messages)| (shard, Frame { messages, ..self })).collect()
    }

    /// The answers and the requests of a frame, each in their order; `None` where it has none. Drivers hand a shard the
    /// answers first: they end what is under way, and there is room for them by construction.
    pub fn apart(self) -> (Option<Frame>, Option<Frame>) {
        let (answers, requests): (Vec<_>, Vec<_>) =
            self.messages.into_iter().partition(|addressed| addressed.message.is_answer());
        let some = |messages: Vec<Addressed>| (!messages.is_empty()).then_some(Frame { messages, ..self });
        (some(answers), some(requests))
    }
}

impl PeerMessage {
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
            PeerMessage::StabilityQuery(query) => Some(query.marks),
            PeerMessage::StabilityAnswer(answer) => Some(answer.state.marks),
            _ => None,
        }
    }

    /// Whether it answers something that the receiver asked: such a message proves that both directions work, and the
    /// receiver has room for it by construction.
    pub fn is_answer(&self) -> bool {
        match self {
            PeerMessage::Pong(_)
            | PeerMessage::Forwarded(_)
            | PeerMessage::Replicated(_)
            | PeerMessage::ReadAnswer(_)
            | PeerMessage::Delivered(_)
            | PeerMessage::NewbornAnswer(_)
            | PeerMessage::ExchangeAnswer(_)
            | PeerMessage::StabilityAnswer(_)
            | PeerMessage::ExchangePushed(_) => true,
            // A claim answers what came the other way: it says nothing of the connection that this node opened.
            PeerMessage::Ping(_)
            | PeerMessage::Challenge(_)
            | PeerMessage::Claim(_)
            | PeerMessage::Forward(_)
            | PeerMessage::Replicate(_)
            | PeerMessage::Read(_)
            | PeerMessage::Deliver(_)
            | PeerMessage::NewbornQuery(_)
            | PeerMessage::StabilityQuery(_)
            | PeerMessage::ExchangeOffer(_)
            | PeerMessage::ExchangePush(_)
            | PeerMessage::ExchangeDone(_) => false,
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
            PeerMessage::StabilityAnswer(answer) => Some(answer.epoch),
            PeerMessage::Ping(_)
            | PeerMessage::Pong(_)
            | PeerMessage::Challenge(_)
            | PeerMessage::Forward(_)
            | PeerMessage::Replicate(_)
            | PeerMessage::Read(_)
            | PeerMessage::Deliver(_)
            | PeerMessage::NewbornQuery(_)
            | PeerMessage::StabilityQuery(_)
            | PeerMessage::ExchangeOffer(_)
            | PeerMessage::ExchangePush(_)
            | PeerMessage::ExchangeDone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(partition: u16) -> Addressed {
        Addressed { partition: PartitionId(partition), message: PeerMessage::Ping(Ping { wall: WallTime(1) }) }
    }

    fn pong(partition: u16) -> Addressed {
        Addressed { partition: PartitionId(partition), message: PeerMessage::Pong(Ping { wall: WallTime(1) }) }
    }

    fn frame(messages: Vec<Addressed>) -> Frame {
        Frame { layout: LayoutEpoch::default(), epoch: Epoch(7), clock: Hlc::default(), messages }
    }

    #[test]
    fn each_shard_gets_the_messages_of_its_partitions_in_order() {
        let parts = frame(vec![ping(3), ping(1), pong(2), ping(4)]).by_shard(3);
        let expected = [(0, frame(vec![ping(3)])), (1, frame(vec![ping(1), ping(4)])), (2, frame(vec![pong(2)]))];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_challenge_reaches_every_shard() {
        let challenge = PeerMessage::Challenge(Challenge { round: 1, rival: None });
        let challenge = Addressed { partition: PartitionId(1), message: challenge };
        let parts = frame(vec![ping(1), challenge.clone()]).by_shard(2);
        assert_eq!(parts, [(0, frame(vec![challenge.clone()])), (1, frame(vec![ping(1), challenge]))]);
    }

    #[test]
    fn a_single_shard_gets_the_frame_as_it_is() {
        let whole = frame(vec![ping(3), pong(2)]);
        assert_eq!(whole.clone().by_shard(1), [(0, whole)]);
    }

    #[test]
    fn answers_and_requests_come_apart_in_their_order() {
        let (answers, requests) = frame(vec![ping(1), pong(2), ping(3), pong(4)]).apart();
        assert_eq!(answers, Some(frame(vec![pong(2), pong(4)])));
        assert_eq!(requests, Some(frame(vec![ping(1), ping(3)])));
        assert_eq!(frame(vec![pong(1)]).apart(), (Some(frame(vec![pong(1)])), None));
    }
}
