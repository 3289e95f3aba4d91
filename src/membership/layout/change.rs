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

use super::{Fenced, Layout, LayoutEpoch, LayoutError, Member, PartitionRun, Phase};
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

/// What of a member a change is about; of each kind there is one per member, and nothing else beside its going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Weight,
    Zone,
    Address,
    Goes,
}

/// The next layout, as far as the changes have been read.
pub(super) struct Draft<'a> {
    present: &'a Layout,
    pub(super) members: Vec<Member>,
    /// Declared lost by this plan.
    pub(super) lost: BTreeSet<NodeId>,
    changed: BTreeSet<(NodeId, Kind)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(present: &'a Layout) -> Draft<'a> {
        Draft { present, members: present.members.clone(), lost: BTreeSet::new(), changed: BTreeSet::new() }
    }

    fn change(&mut self, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::Fence(node) => return self.fence(*node),
            Change::ZoneLost(zone) => return self.lose_zone(zone),
            _ if !self.present.phase.is_steady() => {
                return Err(ChangeError::NotSteady { phase: self.present.phase });
            }
            _ => {}
        }
        match change {
            Change::Join(member) => self.join(Member { place: None, ..member.clone() }),
            Change::Leave(node) => {
                self.member(*node, Kind::Goes)?.leaving = true;
                Ok(())
            }
            Change::Weight { node, weight } => {
                self.member(*node, Kind::Weight)?.weight = *weight;
                Ok(())
            }
            Change::Zone { node, zone } => {
                self.member(*node, Kind::Zone)?.zone.clone_from(zone);
                Ok(())
            }
            Change::Address { node, address } => {
                self.check_address(address)?;
                self.member(*node, Kind::Address)?.address.clone_from(address);
                Ok(())
            }
            Change::Replace { old, new, is_dead } => {
                if *is_dead && !self.present.is_fenced(*old) {
                    self.fence(*old)?;
                } else {
                    self.member(*old, Kind::Goes)?.leaving = true;
                }
                let replaced = self.present.member(*old).ok_or(ChangeError::UnknownMember { node: *old })?;
                let (weight, zone) = (replaced.weight, replaced.zone.clone());
                self.join(Member { weight, zone, place: Some(replaced.place()), ..new.clone() })
            }
            Change::Fence(_) | Change::ZoneLost(_) => Ok(()),
        }
    }

    fn join(&mut self, member: Member) -> Result<(), ChangeError> {
        if self.members.iter().any(|other| other.id == member.id) || self.present.is_fenced(member.id) {
            return Err(ChangeError::IdTaken { node: member.id });
        }
        if !naming::is_name(&member.name) {
            return Err(ChangeError::Name { name: member.name });
        }
        if self.members.iter().any(|other| other.name == member.name) {
            return Err(ChangeError::NameTaken { name: member.name });
        }
        self.check_address(&member.address)?;
        let position = self.members.partition_point(|other| other.id < member.id);
        self.members.insert(position, Member { leaving: false, ..member });
        Ok(())
    }

    /// Declares a member lost. It leaves, unless what is to come is read already: then its place stays and is empty.
    fn fence(&mut self, node: NodeId) -> Result<(), ChangeError> {
        if self.present.is_fenced(node) {
            return Err(ChangeError::UnknownMember { node });
        }
        let goes = matches!(self.present.phase, Phase::Steady | Phase::Moving);
        let is_leaving = self.present.member(node).is_some_and(|member| member.leaving);
        if !is_leaving {
            let member = self.member(node, Kind::Goes)?;
            member.leaving = goes;
        } else if self.lost.contains(&node) {
            return Err(ChangeError::Contradiction { node });
        }
        self.lost.insert(node);
        Ok(())
    }

    /// Members that were declared lost before give their places up, if those who are left are enough for all replicas. Whether
    /// one does.
    pub(super) fn empty_places(&mut self) -> bool {
        let is_lost = |member: &Member| member.carries() && self.present.is_fenced(member.id);
        let left = carriers(&self.members).filter(|member| !is_lost(member)).count();
        let may = left >= usize::from(self.present.replicas);
        let mut any = false;
        for member in self.members.iter_mut().filter(|member| may && is_lost(member)) {
            (member.leaving, any) = (true, true);
        }
        any
    }

    fn lose_zone(&mut self, zone: &str) -> Result<(), ChangeError> {
        let is_lost = |member: &&Member| !zone.is_empty() && member.zone == zone && !self.present.is_fenced(member.id);
        let nodes: Vec<NodeId> = self.present.members.iter().filter(is_lost).map(|member| member.id).collect();
        if nodes.is_empty() {
            return Err(ChangeError::UnknownZone { zone: zone.to_owned() });
        }
        nodes.into_iter().try_for_each(|node| self.fence(node))
    }

    /// A member of the present layout that stays, to be changed in one way.
    fn member(&mut self, node: NodeId, kind: Kind) -> Result<&mut Member, ChangeError> {
        let stays = self.present.member(node).is_some_and(|member| !member.leaving);
        let clashes = match kind {
            Kind::Goes => self.changed.iter().any(|(other, _)| *other == node),
            _ => [kind, Kind::Goes].into_iter().any(|kind| self.changed.contains(&(node, kind))),
        };
        if stays && clashes {
            return Err(ChangeError::Contradiction { node });
        }
        self.changed.insert((node, kind));
        let found = self.members.iter_mut().find(|member| stays && member.id == node);
        found.ok_or(ChangeError::UnknownMember { node })
    }

    fn check_address(&self, address: &str) -> Result<(), ChangeError> {
        if !naming::is_address(address) {
            return Err(ChangeError::Address { address: address.to_owned() });
        }
        if self.members.iter().any(|member| member.address == address) {
            return Err(ChangeError::AddressTaken { address: address.to_owned() });
        }
        Ok(())
    }

    fn check_carriers(&self) -> Result<(), ChangeError> {
        let stays = |member: &&Member| !member.leaving;
        if self.members.iter().filter(stays).all(|member| member.weight == 0) {
            return Err(ChangeError::ZeroWeight);
        }
        let (carriers, replicas) = (carriers(&self.members).count(), self.present.replicas);
        if carriers < usize::from(replicas) {
            return Err(ChangeError::TooFewForReplicas { carriers, replicas });
        }
        Ok(())
    }

    pub(super) fn into_layout(self, ring: &RingView, lost_partitions: Vec<PartitionId>) -> Result<Layout, ChangeError> {
        let present = self.present;
        if self.members == present.members && self.lost.is_empty() {
            return Err(ChangeError::Nothing);
        }
        // What the placement is computed from.
        let is_placed_alike = carriers(&self.members)
            .map(|member| (member.id, member.place(), member.weight, &member.zone))
            .eq(carriers(&present.members).map(|member| (member.id, member.place(), member.weight, &member.zone)));
        let mut next = match present.phase {
            Phase::Steady if is_placed_alike => {
                let mut next = present.successor();
                next.members = self.members;
                next.members.retain(|member| !member.leaving);
                next
            }
            Phase::Steady => present.moving_to(self.members),
            Phase::Moving if !is_placed_alike => present.moving_to(self.members),
            Phase::Moving | Phase::Switched | Phase::Closing => {
                let mut next = present.successor();
                next.members = self.members;
                next
            }
        };
        if next.phase == Phase::Moving && !is_placed_alike && next.placement >= 2 {
            next.owners = Some(Box::new(ring.owners_after(&next)));
        }
        add_fenced(&mut next, self.lost, &PartitionRun::of(lost_partitions));
        replace_voters(&mut next);
        Ok(next.seal()?)
    }
}

fn carriers(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| member.carries())
}

/// Of more than the bound, those are forgotten that were fenced longest ago and are no members: nobody who is no member is
/// let in, so nothing rests on it.
fn add_fenced(layout: &mut Layout, lost: BTreeSet<NodeId>, declared_lost: &[PartitionRun]) {
    let since = layout.epoch.number;
    layout.fenced.extend(lost.into_iter().map(|node| Fenced { node, since, declared_lost: declared_lost.to_vec() }));
    let is_gone = |fenced: &Fenced| layout.members.iter().all(|member| member.id != fenced.node);
    while layout.fenced.len() > limits::MEMBERS_MAX {
        let gone = layout.fenced.iter().enumerate().filter(|(_, fenced)| is_gone(fenced));
        let Some(oldest) = gone.min_by_key(|(_, fenced)| fenced.since).map(|(position, _)| position) else { break };
        layout.fenced.remove(oldest);
    }
    layout.fenced.sort_by_key(|fenced| fenced.node);
}

/// Voters that go are replaced by members that stay, the first by id.
fn replace_voters(layout: &mut Layout) {
    let wanted = layout.voters.len();
    let fenced = &layout.fenced;
    let stays = |member: &&Member| !member.leaving && fenced.iter().all(|fenced| fenced.node != member.id);
    let able: Vec<NodeId> = layout.members.iter().filter(stays).map(|member| member.id).collect();
    layout.voters.retain(|voter| able.contains(voter));
    for node in able {
        if layout.voters.len() < wanted && !layout.voters.contains(&node) {
            layout.voters.push(node);
        }
    }
    layout.voters.sort_unstable();
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
