//! The next layout while the changes of a plan are read into it, one after the other.

use std::collections::BTreeSet;

use super::change::{Change, ChangeError};
use super::{Fenced, Layout, Member, PartitionRun, Phase};
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::membership::naming;
use crate::ring::RingView;

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

    pub(super) fn change(&mut self, change: &Change) -> Result<(), ChangeError> {
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

    pub(super) fn check_carriers(&self) -> Result<(), ChangeError> {
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
        add_fenced(&mut next, self.lost, PartitionRun::of(lost_partitions));
        replace_voters(&mut next);
        Ok(next.seal()?)
    }
}

fn carriers(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| member.carries())
}

/// The first of those that are lost together names the partitions that are lost with them: for each of them once more, the record of
/// a cluster of many members and partitions would be larger than a frame.
///
/// Of more than the bound, those are forgotten that were fenced longest ago and are no members: nobody who is no member is
/// let in, so nothing rests on it.
fn add_fenced(layout: &mut Layout, lost: BTreeSet<NodeId>, mut declared_lost: Vec<PartitionRun>) {
    let since = layout.epoch.number;
    let fenced = lost.into_iter().map(|node| Fenced { node, since, declared_lost: std::mem::take(&mut declared_lost) });
    layout.fenced.extend(fenced);
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
mod tests {
    use super::*;
    use crate::ids::PartitionId;
    use crate::membership::layout::{Committed, samples::founded};
    use crate::message::codec;
    use crate::message::peer::{Addressed, Frame, LayoutMessage, PeerMessage};

    #[test]
    fn the_loss_of_most_of_a_large_cluster_makes_a_record_far_below_a_frame() {
        let mut layout = founded(limits::MEMBERS_MAX as u64, limits::SLOTS);
        layout.epoch.number = 2;
        // As many runs as there can be.
        let lost_partitions = (0..layout.partitions).step_by(2).map(PartitionId);
        let runs = PartitionRun::of(lost_partitions);
        assert_eq!(runs.len(), usize::from(limits::SLOTS) / 2);
        add_fenced(&mut layout, (300..900).map(NodeId).collect(), runs.clone());
        let layout = layout.seal().unwrap();
        assert_eq!(layout.fenced.len(), 600);
        let named: Vec<NodeId> =
            layout.fenced.iter().filter(|fenced| !fenced.declared_lost.is_empty()).map(|fenced| fenced.node).collect();
        assert_eq!((named, &layout.fenced[0].declared_lost), (vec![NodeId(300)], &runs), "by the first of them");
        let lineage = (0..limits::LINEAGE_MAX as u64).map(|number| (number, u64::MAX)).collect();
        let epoch = layout.epoch;
        let push = LayoutMessage::Push(Committed { layout, lineage });
        let message = PeerMessage::Layout(Box::new(push));
        let messages = vec![Addressed { partition: PartitionId(0), layout: 1, message }];
        let mut bytes = Vec::new();
        let frame = Frame { layout: epoch, epoch: crate::causality::Epoch(1), clock: Default::default(), messages };
        codec::encode(&frame, &mut bytes).unwrap();
        assert!(bytes.len() * 16 < limits::FRAME_BYTES_MAX, "{} bytes", bytes.len());
    }
}
