//! What an operator asks for: changes, staged as a plan, applied to the present layout or refused with the reason.
//!
//! ```text
//! Plan{base, changes} ──apply(present)──→ Ok(the next layout: Moving, or Steady if no partition can move by it)
//!                                     └─→ Err(ChangeError): nothing was changed; what to do instead
//! ```
//!
//! A pure function: it stores and sends nothing. It takes a [`RingView`] because a refusal may depend on who owns what.
//! `starling cluster plan` previews with it; [`crate::council`] has the result decided.
//!
//! One change of owners at a time: further plans wait until the layout is steady. The exception is declaring a member
//! lost, for a dead member holds up the change that is under way. While it moves, what is to come is planned without the
//! lost one; later, when what is to come is read already, its place stays and is empty, until the change is through
//! (`losses.rs`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::{Layout, LayoutEpoch, LayoutError, Member, Phase};
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::membership::naming;
use crate::ring::RingView;

/// One thing that is to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A new member, under an id that no member ever had.
    Join(Member),
    /// A member goes, after it has handed over what it has.
    Leave(NodeId),
    /// Another share of the data; 0 drains the member, and it stays.
    Weight {
        /// Whose.
        node: NodeId,
        /// 1 is normal.
        weight: u32,
    },
    /// Another zone.
    Zone {
        /// Whose.
        node: NodeId,
        /// Empty: a zone of its own.
        zone: String,
    },
    /// Another address, of the same directory and certificate.
    Address {
        /// Whose.
        node: NodeId,
        /// `host:port`.
        address: String,
    },
    /// A new member takes the place, the weight and the zone of another one, which leaves. Exactly that one's partitions
    /// move.
    Replace {
        /// Who leaves.
        old: NodeId,
        /// Who comes. Its weight, zone and place are set by this.
        new: Member,
        /// The old one is declared lost; else it hands over.
        is_dead: bool,
    },
    /// The member is declared lost: it may never speak again under its id.
    Fence(NodeId),
    /// Every member of the zone is declared lost.
    ZoneLost(String),
}

/// Changes that are made together, from one layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The layout that the operator saw. The plan fits no other.
    pub base: LayoutEpoch,
    /// In any order; at most one of a kind per member.
    pub changes: Vec<Change>,
    /// Members may be declared lost although partitions lose their last owner, or a quorum, by it.
    pub accepts_loss: bool,
}

/// A plan that is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ChangeError {
    /// Another change is under way.
    #[error("the layout is {phase}: one change at a time; wait until it is steady, or take it back while it is moving")]
    NotSteady {
        /// How far that change is.
        phase: Phase,
    },
    /// The layout has changed since the plan was made.
    #[error("the plan was made for layout {}, the present one is {}; look at it and plan again", .base.number, .now.number)]
    PlanIsStale {
        /// What it was made for.
        base: LayoutEpoch,
        /// What is in force.
        now: LayoutEpoch,
    },
    /// It changes nothing.
    #[error("the plan changes nothing")]
    Nothing,
    /// Longer than any plan needs to be.
    #[error("{changes} changes in one plan, at most {} are possible", limits::MEMBERS_MAX)]
    TooManyChanges {
        /// How many.
        changes: usize,
    },
    /// Two of its changes do not go together.
    #[error("two of the changes of {node} do not go together; name one")]
    Contradiction {
        /// Whose.
        node: NodeId,
    },
    /// There is no such member, or it is leaving.
    #[error("{node} is no member that stays")]
    UnknownMember {
        /// Who was named.
        node: NodeId,
    },
    /// No member stands in this zone.
    #[error("no member stands in a zone {zone:?}")]
    UnknownZone {
        /// What was named.
        zone: String,
    },
    /// A member has, or had, this id.
    #[error("{node} is a member already, or was declared lost: ids are never given twice; issue a new one")]
    IdTaken {
        /// Which.
        node: NodeId,
    },
    /// Another member is called so.
    #[error("a member is called {name:?} already; leaving ones keep their names until they are gone")]
    NameTaken {
        /// What was named.
        name: String,
    },
    /// Another member has this address.
    #[error("a member has the address {address} already; leaving ones keep theirs until they are gone")]
    AddressTaken {
        /// What was named.
        address: String,
    },
    /// Not fit for a name.
    #[error("{name:?} is no name: letters, digits, - and _, at most {} of them", naming::NAME_BYTES_MAX)]
    Name {
        /// What was named.
        name: String,
    },
    /// Not fit for an address.
    #[error("{address:?} is no address: host:port, an IPv6 host in brackets")]
    Address {
        /// What was named.
        address: String,
    },
    /// Nobody would carry anything.
    #[error("every member would have weight 0, so nobody would hold the data; give at least one a weight")]
    ZeroWeight,
    /// Fewer members would carry data than there are replicas.
    #[error("{carriers} members would carry data, {replicas} replicas need as many; let another one join, or replace")]
    TooFewForReplicas {
        /// How many would carry.
        carriers: usize,
        /// N.
        replicas: u8,
    },
    /// Partitions would lose the last owner that is not declared lost.
    #[error(
        "{} partitions (the first is {}) would lose their last owner: what only the lost members had is gone then; \
         say that you accept the loss, or bring one of them back",
        .partitions.len(),
        .partitions.first().map_or(0, |partition| partition.0)
    )]
    LastHolder {
        /// Which, in growing order; never empty.
        partitions: Vec<PartitionId>,
    },
    /// Too few nodes would be left to read or write a partition with the quorums of the layout.
    #[error(
        "of partition {partition} {left} nodes would be left, R or W is {quorum}: it could not be used until others have \
         taken over; say that you accept it, or bring one of the lost members back"
    )]
    WouldBreakQuorum {
        /// One of them.
        partition: PartitionId,
        /// Owners and fallbacks that are not declared lost.
        left: usize,
        /// The larger of R and W.
        quorum: u8,
    },
    /// The result is no layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl Plan {
    /// The layout that follows the present one by this plan: the first of the change's phases, or a steady one if no
    /// partition can move by it.
    pub fn apply(&self, ring: &RingView) -> Result<Layout, ChangeError> {
        let present = ring.layout();
        if self.base != present.epoch {
            return Err(ChangeError::PlanIsStale { base: self.base, now: present.epoch });
        }
        if self.changes.is_empty() {
            return Err(ChangeError::Nothing);
        }
        if self.changes.len() > limits::MEMBERS_MAX {
            return Err(ChangeError::TooManyChanges { changes: self.changes.len() });
        }
        let mut draft = Draft::new(present);
        for change in &self.changes {
            draft.change(change)?;
        }
        if matches!(present.phase, Phase::Steady | Phase::Moving) {
            draft.empty_places();
        }
        draft.check_carriers()?;
        let lost = self.lost_partitions(ring, &draft.lost)?;
        draft.into_layout(ring, lost)
    }

    /// Partitions whose last owner is declared lost by this plan. An error unless that is accepted.
    fn lost_partitions(&self, ring: &RingView, lost: &BTreeSet<NodeId>) -> Result<Vec<PartitionId>, ChangeError> {
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        let partitions = lost_partitions(ring, lost);
        if self.accepts_loss {
            return Ok(partitions);
        }
        if !partitions.is_empty() {
            return Err(ChangeError::LastHolder { partitions });
        }
        let quorum = ring.layout().read_quorum.max(ring.layout().write_quorum);
        for partition in ring.partitions() {
            for set in ring.write_sets(partition) {
                let left = set.accept_set().iter().filter(|node| !lost.contains(node)).count();
                if left < usize::from(quorum) {
                    return Err(ChangeError::WouldBreakQuorum { partition, left, quorum });
                }
            }
        }
        Ok(partitions)
    }
}

/// Partitions of which these are all that is left.
pub(super) fn lost_partitions(ring: &RingView, lost: &BTreeSet<NodeId>) -> Vec<PartitionId> {
    let is_lost = |partition: &PartitionId| {
        let holders = ring.readers(*partition);
        !holders.is_empty() && holders.iter().all(|holder| lost.contains(holder))
    };
    ring.partitions().filter(is_lost).collect()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
