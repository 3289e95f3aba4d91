//! Which layouts can be: checked before one is hashed, and again on every one that comes from a file or a peer.
//!
//! Only what would break the code or the promises of the placement is refused here; what an operator should not do has
//! refusals of its own ([`super::ChangeError`]).

use std::collections::BTreeSet;

use super::{Before, Layout, LayoutError, Member, Phase};
use crate::ids::NodeId;
use crate::limits;
use crate::membership::naming;

type Checked = Result<(), LayoutError>;

fn refuse(text: String) -> Checked {
    Err(LayoutError(text))
}

impl Layout {
    pub(super) fn check(&self) -> Checked {
        check_members(&self.members, self.replicas)?;
        if !self.partitions.is_power_of_two() || self.partitions > limits::SLOTS {
            return refuse(format!("{} partitions, a power of two up to {} is needed", self.partitions, limits::SLOTS));
        }
        for (what, quorum) in [("read", self.read_quorum), ("write", self.write_quorum)] {
            if quorum == 0 || quorum > self.replicas {
                return refuse(format!("a {what} quorum of {quorum}, 1 to {} are possible", self.replicas));
            }
        }
        if self.placement == 0 || self.placement > Layout::PLACEMENT {
            return refuse(format!(
                "placement version {}, this program knows 1 to {}",
                self.placement,
                Layout::PLACEMENT
            ));
        }
        self.check_phase()?;
        self.check_owners()?;
        self.check_fenced()?;
        self.check_voters()
    }

    fn check_phase(&self) -> Checked {
        match (self.phase, self.before.as_deref()) {
            (Phase::Steady, None) => match self.members.iter().find(|member| member.leaving) {
                Some(member) => refuse(format!("member {} is leaving although no change is under way", member.id)),
                None => Ok(()),
            },
            (Phase::Steady, Some(_)) => refuse("it is steady, and yet moves away from another placement".into()),
            (phase, None) => refuse(format!("it is {phase}, and does not say which placement it moves away from")),
            (_, Some(before)) => self.check_before(before),
        }
    }

    fn check_owners(&self) -> Checked {
        let before = self.before.as_ref().and_then(|before| Some((before.owners.as_ref()?, &before.members)));
        for (owners, members) in self.owners.as_ref().map(|owners| (owners, &self.members)).into_iter().chain(before) {
            if self.placement < 2 {
                return refuse("it has a table of owners, which its version of the placement does not know".into());
            }
            owners.check(self, members)?;
        }
        Ok(())
    }

    fn check_before(&self, before: &Before) -> Checked {
        check_members(&before.members, self.replicas)?;
        if before.since == 0 || before.since > self.epoch.number {
            return refuse(format!("its change began with layout {}, this is {}", before.since, self.epoch.number));
        }
        for member in &before.members {
            if member.leaving {
                return refuse(format!("member {} was leaving before the change began", member.id));
            }
            if self.member(member.id).is_none() {
                return refuse(format!("member {} is gone before the change is through", member.id));
            }
        }
        Ok(())
    }

    fn check_fenced(&self) -> Checked {
        if self.fenced.len() > limits::MEMBERS_MAX {
            return refuse(format!("{} are fenced, at most {} can be", self.fenced.len(), limits::MEMBERS_MAX));
        }
        check_order("fenced", self.fenced.iter().map(|fenced| fenced.node))?;
        for fenced in &self.fenced {
            if fenced.since > self.epoch.number {
                return refuse(format!("{} is fenced by a layout that is still to come", fenced.node));
            }
            let mut from = 0;
            for run in &fenced.declared_lost {
                if run.first.0 < from || run.last < run.first || run.last.0 >= self.partitions {
                    return refuse(format!("the partitions that were lost with {} are no runs of its", fenced.node));
                }
                from = run.last.0 + 1;
            }
        }
        Ok(())
    }

    fn check_voters(&self) -> Checked {
        if self.voters.len() > limits::VOTERS_MAX {
            return refuse(format!("{} voters, at most {} are possible", self.voters.len(), limits::VOTERS_MAX));
        }
        check_order("voter", self.voters.iter().copied())?;
        let is_voter = |node: NodeId| self.member(node).is_some_and(|member| !member.leaving) && !self.is_fenced(node);
        match self.voters.iter().find(|node| !is_voter(**node)) {
            Some(node) => refuse(format!("voter {node} is no member that stays")),
            None if self.voters().is_empty() => refuse("nobody is left who could decide on the next layout".into()),
            None => Ok(()),
        }
    }
}

/// The members of one placement.
fn check_members(members: &[Member], replicas: u8) -> Checked {
    if members.is_empty() || members.len() > limits::MEMBERS_MAX {
        return refuse(format!("{} members, 1 to {} are possible", members.len(), limits::MEMBERS_MAX));
    }
    check_order("member", members.iter().map(|member| member.id))?;
    let (mut names, mut addresses, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for member in members {
        if member.name.is_empty() || member.address.is_empty() {
            return refuse(format!("member {} lacks a name or an address", member.id));
        }
        let is_long = |text: &str, most| text.len() > most;
        if is_long(&member.name, naming::NAME_BYTES_MAX)
            || is_long(&member.zone, naming::NAME_BYTES_MAX)
            || is_long(&member.address, naming::ADDRESS_BYTES_MAX)
        {
            return refuse(format!(
                "member {} has a name or a zone longer than {} bytes, or an address longer than {}",
                member.id,
                naming::NAME_BYTES_MAX,
                naming::ADDRESS_BYTES_MAX
            ));
        }
        if !names.insert(&member.name) {
            return refuse(format!("two members are called {:?}", member.name));
        }
        if !addresses.insert(&member.address) {
            return refuse(format!("two members have the address {}", member.address));
        }
        if member.carries() && !places.insert(member.place()) {
            return refuse(format!("two members stand in the place of {}", member.place()));
        }
    }
    if members.iter().all(|member| member.weight == 0) {
        return refuse("every member has weight 0; give at least one a weight of 1".into());
    }
    let weights: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
    if weights > limits::WEIGHT_SUM_MAX {
        return refuse(format!(
            "the weights add up to {weights}, at most {} is possible; use smaller ones in the same proportion",
            limits::WEIGHT_SUM_MAX
        ));
    }
    let carriers = members.iter().filter(|member| member.carries()).count();
    if replicas == 0 || usize::from(replicas) > carriers {
        return refuse(format!(
            "{replicas} replicas, {carriers} members can carry one (those of weight 0 cannot); ask for fewer, at least 1, or add members"
        ));
    }
    Ok(())
}

fn check_order(what: &str, nodes: impl Iterator<Item = NodeId>) -> Checked {
    let mut last = None;
    for node in nodes {
        if let Some(last) = last
            && node <= last
        {
            return refuse(format!("{what} ids {last} and {node} are not in growing order"));
        }
        last = Some(node);
    }
    Ok(())
}
