//! The phases of a change of the members, and how one layout follows another.
//!
//! ```text
//! Steady(A) ──commit──→ Moving ──→ Switched ──→ Closing ──→ Steady(B)
//!     ↑                    │
//!     └────── revert ──────┘
//! ```
//!
//! A is the placement before the change, B the one after it; O and N are a partition's owners in A and in B.
//!
//! | phase | W is counted in | read from | who is owed every row | settles what moves |
//! |---|---|---|---|---|
//! | Steady | A | O | O | yes |
//! | Moving | A and B | O | O and N | no |
//! | Switched | A and B | N | O and N | no |
//! | Closing | B | N | N | yes, all of A and B asked |
//!
//! Nodes learn of a phase one after the other, so two neighbouring phases must get on with each other: whatever a quorum
//! of writers of one took, every quorum of readers of the other meets. That is proved over random placements in
//! `ring/change_tests.rs`. It does not hold two phases apart; so the next phase may be committed only when every member
//! that is not fenced has adopted the present one.
//!
//! Pure functions of one layout. [`crate::ring::RingView`] answers by the phase; [`crate::council`] leads through them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fallbacks, Layout, LayoutError, Member, OwnerTable};
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::time::WallTime;

/// How far a change of the members is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// No change is under way.
    #[default]
    Steady,
    /// The owners to come are loaded; those of before are read.
    Moving,
    /// The owners to come are read; those of before still take every write.
    Switched,
    /// Those who own no longer hand over what they still have.
    Closing,
}

/// The placement that a change moves away from. N, Q and the version of the placement cannot change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Number of the layout that began to write to both placements as they are now.
    pub since: u64,
    /// F before the change.
    pub fallbacks: Fallbacks,
    /// The members before the change, in the order of their ids.
    pub members: Vec<Member>,
    /// The owners before the change, where the members alone do not give them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Box<OwnerTable>>,
}

/// A member that was declared lost: it may never speak again under its id. Placements are computed as if it were there,
/// for else every other partition could move; but it is left out of every list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// Who.
    pub node: NodeId,
    /// Number of the layout that fenced it.
    pub since: u64,
    /// Partitions of which no owner was left, so that what only they had is gone: of all that were lost together, named by the first of
    /// them. Earlier programs named them by each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared_lost: Vec<PartitionRun>,
}

/// Neighbouring partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRun {
    /// The first.
    pub first: PartitionId,
    /// The last; may be the first.
    pub last: PartitionId,
}

/// A layout that was made without a majority of the voters, by an operator who took the loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forced {
    /// Who was left and was asked.
    pub survivors: Vec<NodeId>,
    /// Who was given up.
    pub fenced: Vec<NodeId>,
    /// When.
    pub at: WallTime,
}

/// Why a change cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RevertError {
    /// There is nothing to take back.
    #[error("no change is under way; nothing was changed")]
    NotMoving,
    /// The owners to come are read already; what was written may stand with them only.
    #[error("the change is {phase} and can no longer be taken back; stage the opposite change when it is through")]
    TooLate {
        /// How far it is.
        phase: Phase,
    },
    /// The change does nothing but what lost members make necessary.
    #[error(
        "the change gives others what lost members owned, and that a member is lost cannot be taken back; let the change go \
         on, and let the member join again under a new id"
    )]
    OnlyLosses,
    /// The result is no layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// All owners of before are lost: what was written since stands with those to come alone.
    #[error(
        "of partition {partition} nobody is left who owned it before the change, and those to come hold what is written; let the \
         change go on, and stage the opposite one when it is through"
    )]
    NobodyLeft {
        /// One of them.
        partition: crate::ids::PartitionId,
    },
}

impl Phase {
    /// No change is under way.
    pub fn is_steady(&self) -> bool {
        *self == Phase::Steady
    }

    /// W is counted in the placement of before and in the one to come.
    pub fn writes_to_both(self) -> bool {
        matches!(self, Phase::Moving | Phase::Switched)
    }

    /// The placement of before is read.
    pub fn reads_before(self) -> bool {
        self == Phase::Moving
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Steady => "steady",
            Phase::Moving => "moving",
            Phase::Switched => "switched",
            Phase::Closing => "closing",
        })
    }
}

impl PartitionRun {
    /// Partitions in growing order as runs.
    pub fn of(partitions: impl IntoIterator<Item = PartitionId>) -> Vec<PartitionRun> {
        let mut runs: Vec<PartitionRun> = Vec::new();
        for partition in partitions {
            match runs.last_mut() {
                Some(run) if run.last.0.checked_add(1) == Some(partition.0) => run.last = partition,
                _ => runs.push(PartitionRun { first: partition, last: partition }),
            }
        }
        runs
    }
}

impl Layout {
    /// Whether this member was declared lost.
    pub fn is_fenced(&self, node: NodeId) -> bool {
        self.fenced.iter().any(|fenced| fenced.node == node)
    }

    /// Who decides on the next layout: those it names; if it names none, the first [`limits::VOTERS_MAX`] members by id that
    /// neither leave nor are fenced.
    pub fn voters(&self) -> Vec<NodeId> {
        if !self.voters.is_empty() {
            return self.voters.clone();
        }
        let stays = |member: &&Member| !member.leaving && !self.is_fenced(member.id);
        self.members.iter().filter(stays).map(|member| member.id).take(limits::VOTERS_MAX).collect()
    }

    /// The layout that begins a change from the present placement to these members, the leaving ones among them. The present
    /// layout must be steady, or moving: then what was to come is planned anew. To be sealed.
    pub(super) fn moving_to(&self, members: Vec<Member>) -> Layout {
        let mut next = self.successor();
        let (fallbacks, since) = (self.fallbacks, next.epoch.number);
        next.before = Some(match next.before.take() {
            Some(before) => Box::new(Before { since, ..*before }),
            None => {
                let (members, owners) = (self.members.clone(), self.owners.clone());
                Box::new(Before { since, fallbacks, members, owners })
            }
        });
        next.members = members;
        next.phase = Phase::Moving;
        next
    }

    /// The layout of the next phase of the change that is under way; `None` if there is none. At the end the leaving members
    /// are gone.
    pub fn next_phase(&self) -> Result<Option<Layout>, LayoutError> {
        let mut next = self.successor();
        next.phase = match self.phase {
            Phase::Steady => return Ok(None),
            Phase::Moving => Phase::Switched,
            Phase::Switched => Phase::Closing,
            Phase::Closing => {
                next.members.retain(|member| !member.leaving);
                next.before = None;
                Phase::Steady
            }
        };
        next.seal().map(Some)
    }

    /// The layout at the end of the change that is under way: itself when it is steady.
    pub fn outcome(&self) -> Result<Layout, LayoutError> {
        let mut layout = self.clone();
        while let Some(next) = layout.next_phase()? {
            layout = next;
        }
        Ok(layout)
    }

    /// The change taken back: the placement of before, under a number of its own. Safe while the change is moving, because
    /// until then every write has counted its W among the owners of before, and nobody else was read. Places of members that
    /// were declared lost are empty then; `losses.rs` has others fill them.
    pub fn reverted(&self) -> Result<Layout, RevertError> {
        let before = match (self.phase, &self.before) {
            (Phase::Moving, Some(before)) => before,
            (Phase::Steady, _) | (_, None) => return Err(RevertError::NotMoving),
            (phase, Some(_)) => return Err(RevertError::TooLate { phase }),
        };
        let mut next = self.successor();
        next.phase = Phase::Steady;
        next.members = before.members.clone();
        next.fallbacks = before.fallbacks;
        next.owners.clone_from(&before.owners);
        next.before = None;
        next.voters.retain(|voter| before.members.iter().any(|member| member.id == *voter));
        Ok(next.seal()?)
    }

    /// The same layout under the next number. To be changed and sealed.
    pub(super) fn successor(&self) -> Layout {
        let mut next = self.clone();
        next.epoch.number = self.epoch.number.saturating_add(1);
        next.epoch.parent = self.epoch.content;
        next.epoch.content = 0;
        next.forced = None;
        next
    }
}
