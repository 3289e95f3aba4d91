//! Placement version 2: evened out when a cluster is founded, and changed by as little as possible ever after.
//!
//! ```text
//! founding   the walk (version 1) ──→ from the heaviest to the lightest, until all have their fair share
//! a change   the owners of now ──→ who goes is left out, who takes another's place stands in for it
//!              ──→ what lacks an owner goes to the lightest
//!              ──→ who gains a share takes from the heaviest until it has it; who loses one gives to the lightest
//! ```
//!
//! The walk alone computes every placement anew, and where loads are bounded each node that is full pushes others about: joining
//! one of a thousand moves 1.4 times the least possible. Here a change starts from the present owners, which therefore stand in
//! the layout ([`OwnerTable`]), and nothing moves but what somebody gains. A pure function of the present owners, the members
//! before and after, and the counts of the layout: every machine computes the same.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::assign::Assignment;
use super::share;
use crate::ids::{NodeId, PartitionId};
use crate::membership::{Layout, Member};

/// Who gains and who gives, by carrier. Unit: partitions.
struct Levels {
    /// Gains up to here; not above what it has: gains nothing.
    wanted: Vec<u64>,
    /// Gives down to here.
    most: Vec<u64>,
    fair: Vec<u64>,
}

/// Evens a placement out that was walked: everyone has the whole part of its fair share, or one partition more, as far as zones
/// allow.
pub(super) fn even_out(layout: &Layout, carriers: &[&Member], assignment: &mut Assignment) {
    let fair = share::fair(layout, carriers, &share::zones(carriers, usize::from(layout.replicas)));
    let whole = |share: &u64| share / share::PARTS;
    let above = |share: &u64| share.div_ceil(share::PARTS);
    let levels = Levels { wanted: fair.iter().map(whole).collect(), most: fair.iter().map(above).collect(), fair };
    level(carriers, assignment, &levels);
}

/// The owners of every partition after a change of the members, from those of now.
pub(super) fn rebalanced(
    layout: &Layout,
    before: &[Member],
    present: impl Fn(PartitionId) -> Vec<NodeId>,
    carriers: &[&Member],
) -> Vec<Vec<usize>> {
    let by_id: BTreeMap<NodeId, usize> = (0..).zip(carriers).map(|(carrier, member)| (member.id, carrier)).collect();
    let by_place: BTreeMap<NodeId, usize> =
        (0..).zip(carriers).map(|(carrier, member)| (member.place(), carrier)).collect();
    let place_before: BTreeMap<NodeId, NodeId> = before.iter().map(|member| (member.id, member.place())).collect();
    let heir = |node: &NodeId| by_id.get(node).or_else(|| by_place.get(place_before.get(node)?)).copied();
    let mut assignment = Assignment::new(layout, carriers);
    for partition in (0..layout.partitions).map(PartitionId) {
        for carrier in present(partition).iter().filter_map(heir) {
            assignment.keep(partition, carrier);
        }
    }
    let levels = levels(layout, before, carriers);
    for partition in (0..layout.partitions).map(PartitionId) {
        while assignment.lacks_owner(partition) {
            let rank = |carrier: &usize| {
                let is_poor = assignment.load(*carrier) < levels.wanted(*carrier);
                (!is_poor, levels.ratio(&assignment, *carrier), hash(carriers, *carrier, partition))
            };
            let able = (0..carriers.len()).filter(|carrier| assignment.may_take(partition, *carrier, None));
            match able.min_by_key(rank) {
                Some(carrier) => assignment.keep(partition, carrier),
                None => assignment.assign_somehow(partition),
            }
        }
    }
    level(carriers, &mut assignment, &levels);
    assignment.into_owners()
}

/// Whose share grows takes it, whose share shrinks by more than others' joining takes from all gives it up; everyone else
/// stays as long as the bound of the load allows.
fn levels(layout: &Layout, before: &[Member], carriers: &[&Member]) -> Levels {
    let replicas = usize::from(layout.replicas);
    let fair = share::fair(layout, carriers, &share::zones(carriers, replicas));
    let old = super::carriers(before);
    let shares_before = share::fair(layout, &old, &share::zones(&old, replicas));
    let of_before: BTreeMap<NodeId, (u64, u32)> =
        old.iter().zip(shares_before).map(|(member, share)| (member.place(), (share, member.weight))).collect();
    let capacities = share::capacities(layout, carriers, &share::zones(carriers, replicas));
    let mut levels = Levels { wanted: Vec::new(), most: Vec::new(), fair: fair.clone() };
    for ((member, fair), capacity) in carriers.iter().zip(fair).zip(capacities) {
        let (share_before, weight_before) = of_before.get(&member.place()).copied().unwrap_or((0, 0));
        let gains = member.weight > weight_before;
        let loses = member.weight < weight_before && fair < share_before;
        levels.wanted.push(if gains { fair / share::PARTS } else { 0 });
        levels.most.push(if loses { fair.div_ceil(share::PARTS) } else { capacity });
    }
    levels
}

impl Levels {
    /// How full a carrier is, in units of its fair share.
    fn ratio(&self, assignment: &Assignment, carrier: usize) -> u128 {
        let fair = self.fair.get(carrier).copied().unwrap_or(0).max(1);
        (u128::from(assignment.load(carrier)) << 64) / u128::from(fair)
    }

    fn wanted(&self, carrier: usize) -> u64 {
        self.wanted.get(carrier).copied().unwrap_or(0)
    }

    fn most(&self, carrier: usize) -> u64 {
        self.most.get(carrier).copied().unwrap_or(u64::MAX)
    }

    /// Nothing would be gained: the one that gives is no fuller than the other one will be.
    fn is_even(&self, assignment: &Assignment, from: usize, to: usize) -> bool {
        let fair = |carrier: usize| u128::from(self.fair.get(carrier).copied().unwrap_or(0).max(1));
        u128::from(assignment.load(to) + 1) * fair(from) > u128::from(assignment.load(from)) * fair(to)
    }
}

/// Moves one partition after the other: to who wants, from the heaviest; then from who has too much, to the lightest. Nobody
/// that gives comes to want by it, and nobody that takes comes to have too much, so it ends.
fn level(carriers: &[&Member], assignment: &mut Assignment, levels: &Levels) {
    let all = || 0..carriers.len();
    let mut held = assignment.held();
    let mut ratios: Vec<u128> = all().map(|carrier| levels.ratio(assignment, carrier)).collect();
    let mut is_stuck = vec![false; carriers.len()];
    loop {
        let rank = |carrier: &usize| (ratios.get(*carrier).copied().unwrap_or(0), *carrier);
        let is_free = |carrier: &usize| is_stuck.get(*carrier) == Some(&false);
        let poor = all().filter(is_free).filter(|it| assignment.load(*it) < levels.wanted(*it)).min_by_key(rank);
        let rich = || all().filter(is_free).filter(|it| assignment.load(*it) > levels.most(*it)).max_by_key(rank);
        let Some(subject) = poor.or_else(rich) else { return };
        let mut others: Vec<usize> = match poor.is_some() {
            true => all().filter(|from| assignment.load(*from) > levels.wanted(*from)).collect(),
            false => all().filter(|to| assignment.load(*to) < levels.most(*to)).collect(),
        };
        others.retain(|other| *other != subject);
        let mut moved = None;
        while moved.is_none() {
            let best = match poor.is_some() {
                true => others.iter().copied().max_by_key(rank),
                false => others.iter().copied().min_by_key(rank),
            };
            let Some(other) = best else { break };
            others.retain(|it| *it != other);
            let (from, to) = if poor.is_some() { (other, subject) } else { (subject, other) };
            if poor.is_some() && levels.is_even(assignment, from, to) {
                continue;
            }
            let fits = |number: &&usize| assignment.may_take(PartitionId(**number as u16), to, Some(from));
            let owned = held.get(from).into_iter().flatten();
            let chosen = owned.filter(fits).min_by_key(|number| hash(carriers, to, PartitionId(**number as u16)));
            moved = chosen.map(|number| (*number, from, to));
        }
        let Some((number, from, to)) = moved else {
            // Zones allow no more.
            is_stuck.get_mut(subject).into_iter().for_each(|stuck| *stuck = true);
            continue;
        };
        assignment.replace(PartitionId(number as u16), from, to);
        held.get_mut(from).into_iter().for_each(|held| held.retain(|other| *other != number));
        held.get_mut(to).into_iter().for_each(|held| held.push(number));
        for carrier in [from, to] {
            let ratio = levels.ratio(assignment, carrier);
            ratios.get_mut(carrier).into_iter().for_each(|slot| *slot = ratio);
        }
    }
}

/// In which order a carrier takes partitions.
fn hash(carriers: &[&Member], carrier: usize, partition: PartitionId) -> u64 {
    let place = carriers.get(carrier).map_or(0, |member| member.place().0);
    let mut bytes = place.to_be_bytes().to_vec();
    bytes.extend_from_slice(&partition.0.to_be_bytes());
    xxh3_64(&bytes)
}

#[cfg(test)]
#[path = "level_tests.rs"]
mod tests;
