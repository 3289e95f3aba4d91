//! What is to be exchanged with whom, and how an exchange ended.

use std::collections::VecDeque;

use super::exchanged::Began;
use crate::ids::{NodeId, PartitionId};
use crate::message::peer::Marks;
use crate::shard::Env;
use crate::storage::{Range, keyspace};

/// Which way rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Both: each takes what it lacks.
    Both,
    /// To this node, which has its data from nobody else, or is behind: what the other side has forgotten is given up here.
    TakeOver,
    /// To this node, which was loaded from another owner before: nothing is given up.
    Take,
    /// To the other side. This node is no owner any more, and takes nothing.
    Give,
}

impl Aim {
    /// Whether the own rows are sent.
    pub(super) fn pushes(self) -> bool {
        matches!(self, Aim::Both | Aim::Give)
    }
}

/// How the rows of a range are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Some together, by their sum; where that differs, by their hashes.
    Sums,
    /// Each by its hash.
    Hashes,
}

impl By {
    /// Where all of a partition is compared, most is equal, unless this node is only just being loaded.
    fn of(aim: Aim) -> By {
        match aim {
            Aim::Both | Aim::Give => By::Sums,
            Aim::Take | Aim::TakeOver => By::Hashes,
        }
    }
}

/// What is to be exchanged, with whom.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The other side.
    pub peer: NodeId,
    /// The partition.
    pub partition: PartitionId,
    /// Which way rows go.
    pub aim: Aim,
    /// Ranges of the partition, at least one; all else is known to be equal since `began`.
    pub ranges: VecDeque<Range>,
    /// How they are compared at first.
    pub by: By,
    /// When the comparison began.
    pub began: Began,
    /// What the other side said of itself meanwhile, first and last.
    pub marks: Option<(Marks, Marks)>,
    /// All that it said was said under the own layout.
    pub is_current: bool,
}

impl Plan {
    /// All of a partition.
    pub fn whole(env: &Env<'_>, peer: NodeId, partition: PartitionId, aim: Aim) -> Plan {
        let ranges = [keyspace::partition_range(partition, env.ring.layout().partitions)].into();
        let (by, began) = (By::of(aim), Began::now(env, peer, aim.pushes()));
        Plan { peer, partition, aim, ranges, by, began, marks: None, is_current: true }
    }

    /// It was not carried out.
    pub(super) fn fail(self) -> Outcome {
        let Plan { peer, partition, aim, began, marks, .. } = self;
        let (is_complete, has_taken, is_current, is_full) = (false, false, false, false);
        let (received, sent, bytes, rows_there) = (0, 0, 0, None);
        Outcome {
            partition,
            peer,
            aim,
            is_complete,
            has_taken,
            is_full,
            is_current,
            began,
            marks,
            received,
            sent,
            bytes,
            rows_there,
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The partition.
    pub partition: PartitionId,
    /// The other side.
    pub peer: NodeId,
    /// Which way rows went.
    pub aim: Aim,
    /// All that was to go one way or both is durable there. What an owner refuses as frozen counts as taken if it is given.
    pub is_complete: bool,
    /// All that the other side had is durable here, whatever it took.
    pub has_taken: bool,
    /// The other side had no room for what was to go there.
    pub is_full: bool,
    /// Both sides began it under the layout that this node acts by.
    pub is_current: bool,
    /// When it began.
    pub began: Began,
    /// What the other side said of itself in its first answer and in its last.
    pub marks: Option<(Marks, Marks)>,
    /// Rows that came.
    pub received: u64,
    /// Rows that went.
    pub sent: u64,
    /// The bytes of both.
    pub bytes: u64,
    /// About how many rows of the partition the other side has, if it told.
    pub rows_there: Option<u64>,
}
