//! Deciding on layouts, spreading them, and how far a change is ([`crate::council`]).
//!
//! ```text
//! spreading   Pull → Push                      a peer speaks under a larger number
//! deciding    Ask → Reply                      single-decree Paxos, `layout/paxos.rs`
//! a change    MoveQuery → MoveAnswer           one per shard of every member; Pause
//! joining     Announce                         of a node that is in no layout yet
//! liveness    Doubt                            ask that one yourself: it does not answer me
//! recovery    RecoverQuery → RecoverAnswer     what is left, when a majority is not
//! ```
//!
//! All of it goes to partition 0, whose shard keeps the layout, but for what every shard is to hear: `MoveQuery` and `Pause` go
//! to the partition with the shard's number, `Doubt` to any partition of the shard that doubts.

use serde::{Deserialize, Serialize};

use crate::causality::Epoch;
use crate::ids::{NodeId, PartitionId};
use crate::membership::layout::paxos::{Ask, Ballot, Reply};
use crate::membership::{Committed, Layout, Member};
use crate::time::WallTime;

/// What the keepers of the layout say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayoutMessage {
    /// Send me your layout, if its number is larger than this.
    Pull {
        /// Number of the sender's.
        have: u64,
    },
    /// This was decided.
    Push(Committed),
    /// Promise, or accept.
    Ask(Ask<Layout>),
    /// Promised, accepted or neither. The ballot names the start that asked.
    Reply(Reply<Layout>),
    /// How far is the change with your shard of this number?
    MoveQuery(MoveQuery),
    /// So far.
    MoveAnswer(MoveAnswer),
    /// An operator halts the moving of data, or lets it go on.
    Pause(Paused),
    /// A node with a certificate of the cluster, in no layout yet, says what it would be.
    Announce(Member),
    /// This peer does not answer the sender: ask it. Never believed, only looked into.
    Doubt(NodeId),
    /// Are you there, and what do you know?
    RecoverQuery(RecoverQuery),
    /// I am.
    RecoverAnswer(RecoverAnswer),
}

/// Asks one shard how far the present change is with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveQuery {
    /// Of the asker.
    pub round: u64,
    /// Whether data shall be moved now, as the asker was told.
    pub paused: Paused,
}

/// An operator's word on the moving of data. The newest counts; it is forgotten with a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Halt.
    pub is_paused: bool,
    /// When it was said.
    pub at: WallTime,
}

impl Paused {
    /// The newer of two words; of one moment, the one that halts.
    pub fn newer(self, other: Paused) -> Paused {
        std::cmp::max_by_key(self, other, |paused| (paused.at, paused.is_paused))
    }
}

/// Answer to [`MoveQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveAnswer {
    /// Of the asker.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
    /// Which shard answers.
    pub shard: u16,
    /// How many the node has: the asker goes on with the others.
    pub shards: u16,
    /// Number of the layout by which the shard acts.
    pub adopted: u64,
    /// How far it is.
    pub state: MoveState,
}

/// How far a change is: of a shard, or summed over the shards of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoveState {
    /// Partitions that move to or from this node.
    pub moved: u32,
    /// Partitions that it is to be through with in this phase: while moving those that it will own, also if it owns them
    /// already, while closing those that it owns no longer.
    pub asked: u32,
    /// Partitions of which it is an owner to come, and does not yet have all that those of before have.
    pub unsynced: u32,
    /// Partitions of which it is an owner no longer, and that it still holds.
    pub uncleared: u32,
    /// Rows that are not its to keep and wait for owners to take them: hints, and what earlier layouts left.
    pub stray_rows: u64,
    /// The first partitions that wait, at most [`crate::limits::MOVES_SHOWN_MAX`].
    pub waiting: Vec<PartitionMove>,
    /// Rows taken over or handed over since the change began, as far as this start knows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// About so many rows are still to come, by what the owners of before say they have; `None`: not known.
    pub rows_to_come: Option<u64>,
    /// About so many bytes, if the rows to come are as long as those that came; `None`: not known.
    pub bytes_to_come: Option<u64>,
    /// Rows handed over since the change began, as far as this start knows.
    pub rows_given: u64,
    /// Their bytes.
    pub bytes_given: u64,
    /// From whom rows were taken over: the [`crate::limits::MOVE_PEERS_SHOWN_MAX`] with the most bytes.
    pub taken_from: Vec<Passed>,
    /// To whom rows were handed over; as many.
    pub given_to: Vec<Passed>,
}

/// What went between a node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The peer.
    pub node: NodeId,
    /// Rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A partition that is not through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMove {
    /// Which.
    pub partition: PartitionId,
    /// What it waits for.
    pub step: MoveStep,
    /// With whom rows are exchanged now.
    #[serde(default)]
    pub peer: Option<NodeId>,
    /// Rows that came or went so far.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of about so many rows, if an owner of before has told.
    #[serde(default)]
    pub rows_of: Option<u64>,
    /// An owner that does not take what it lacks, for its disk is below its reserve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<NodeId>,
}

/// Where a partition is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveStep {
    /// Nothing has begun: others have their turn, or moving is paused.
    Queued,
    /// The owner to come asks up to which tick the partition is sealed.
    Sealing,
    /// It takes over what these owners have.
    Loading {
        /// Owners of before that it is through with.
        done: u8,
        /// All of them.
        of: u8,
    },
    /// The owner of before hands over what the others may lack.
    Clearing,
    /// This node does not answer, or has not adopted the layout.
    WaitsFor(NodeId),
    /// The disk is below its reserve.
    WaitsForDisk,
}

impl MoveState {
    /// Nothing is left to do before the owners to come may be read.
    pub fn is_synced(&self) -> bool {
        self.unsynced == 0
    }

    /// Nothing is left that others must take.
    pub fn is_cleared(&self) -> bool {
        self.uncleared == 0 && self.stray_rows == 0
    }

    /// Adds what another shard of the node says.
    pub fn add(&mut self, other: &MoveState) {
        self.moved = self.moved.saturating_add(other.moved);
        self.asked = self.asked.saturating_add(other.asked);
        self.unsynced = self.unsynced.saturating_add(other.unsynced);
        self.uncleared = self.uncleared.saturating_add(other.uncleared);
        self.stray_rows = self.stray_rows.saturating_add(other.stray_rows);
        let room = crate::limits::MOVES_SHOWN_MAX.saturating_sub(self.waiting.len());
        self.waiting.extend(other.waiting.iter().take(room));
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (some, other) => Some(some.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        self.rows_to_come = sum(self.rows_to_come, other.rows_to_come);
        self.bytes_to_come = sum(self.bytes_to_come, other.bytes_to_come);
        self.rows_given = self.rows_given.saturating_add(other.rows_given);
        self.bytes_given = self.bytes_given.saturating_add(other.bytes_given);
        Passed::add(&mut self.taken_from, &other.taken_from);
        Passed::add(&mut self.given_to, &other.given_to);
    }
}

impl Passed {
    /// Adds what another shard says, peer by peer; those with the most bytes stay.
    fn add(own: &mut Vec<Passed>, others: &[Passed]) {
        for other in others {
            match own.iter_mut().find(|passed| passed.node == other.node) {
                Some(passed) => {
                    passed.rows = passed.rows.saturating_add(other.rows);
                    passed.bytes = passed.bytes.saturating_add(other.bytes);
                }
                None => own.push(*other),
            }
        }
        Passed::bound(own);
    }

    /// The most bytes first, and no more than are shown.
    pub fn bound(passed: &mut Vec<Passed>) {
        passed.sort_by_key(|passed| (std::cmp::Reverse(passed.bytes), passed.node));
        passed.truncate(crate::limits::MOVE_PEERS_SHOWN_MAX);
    }
}

/// Asks a survivor what it knows, before a layout is made without a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverQuery {
    /// Of the asker.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
    /// The receiver shall vote no more until it has another layout.
    pub closes: bool,
    /// Number of the asker's layout: a newer one is sent along.
    pub have: u64,
}

/// Answer to [`RecoverQuery`]. It leaves when what it promises is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverAnswer {
    /// Of the asker.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
    /// The sender's layout, if it is newer than the asker's.
    pub newer: Option<Committed>,
    /// It had left that number to a recovery already, or has lost what it voted: no majority can rest on it.
    #[serde(default)]
    pub is_closed: bool,
    /// What it has promised of the number after it before it was asked; another layout of that number may have been decided.
    pub promised: Option<Ballot>,
}

impl LayoutMessage {
    /// Whether a node that is no member, or is fenced, may say it.
    pub fn may_come_from_outside(&self) -> bool {
        matches!(self, LayoutMessage::Pull { .. } | LayoutMessage::Push(_) | LayoutMessage::Announce(_))
    }

    /// Of an answer: the start of the receiver that asked.
    pub fn asked_by(&self) -> Option<Epoch> {
        match self {
            LayoutMessage::Reply(
                Reply::Promise { ballot, .. }
                | Reply::Accepted { ballot }
                | Reply::Refused { ballot, .. }
                | Reply::Closed { ballot }
                | Reply::OtherNumber { ballot, .. },
            ) => Some(ballot.start),
            LayoutMessage::MoveAnswer(answer) => Some(answer.epoch),
            LayoutMessage::RecoverAnswer(answer) => Some(answer.epoch),
            LayoutMessage::Pull { .. }
            | LayoutMessage::Push(_)
            | LayoutMessage::Ask(_)
            | LayoutMessage::MoveQuery(_)
            | LayoutMessage::Pause(_)
            | LayoutMessage::Announce(_)
            | LayoutMessage::Doubt(_)
            | LayoutMessage::RecoverQuery(_) => None,
        }
    }
}
