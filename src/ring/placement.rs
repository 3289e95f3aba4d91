//! Placement: which nodes own which partition, and which stand in.
//!
//! ```text
//! members × weight ─→ virtual nodes ┐
//! partitions ────────→ starts       ┴→ one ring order (`walk`, the sole user of `hashring`)
//! zones, weights ────→ fair shares and capacities (`share`)
//! each partition walks from its start: owners under the capacities (`assign`), then the next F nodes stand in
//! ```
//!
//! Called once per placement of a layout (a change of the members has two), never by a request: about a millisecond for 5 members and 256 partitions, well under a second
//! for 1,000 members and 16,384 partitions (seconds with F = all). Memory: about 100 bytes per virtual node while it runs.
//!
//! Promises, for every valid layout:
//! - every partition has N distinct owners, then F distinct others (fewer if there are no more), all of weight > 0;
//! - its owners stand in N distinct zones; with fewer zones than N every zone is used before one is used twice;
//! - **bounded load**: no node owns more than its fair share × 1.10, rounded down, or its fair share rounded up where
//!   that is more (with few partitions 10 % is less than one). The fair share is what weights give within what zones
//!   allow: two zones of two nodes and one of a single node give that node all partitions at N = 3, and no placement
//!   that keeps zones apart could give it less;
//! - the same layout gives the same placement on every machine and in every program: golden vectors pin each version;
//! - who takes over another's place owns exactly what that one owned: members stand on the ring, and in every order of
//!   choice, by their places;
//! - a change of the members moves little more than it must. Version 2 (`level`) moves what somebody gains, and nothing else:
//!   one that joins takes the whole part of its fair share, at any size (tested; `starling-sim cost placement` measures it,
//!   with time, memory and spread). Version 1, of older clusters, computes every placement anew: 1.3 × up to 20 members, but
//!   1.6 × with 200 and 1.4 × with 1,000, because full nodes push others about.
//!
//! Source: Dynamo 2007 §6.2, strategy 3; Mirrokni et al., "Consistent Hashing with Bounded Loads" (2016).

mod assign;
mod level;
mod share;
mod walk;

use assign::Assignment;
pub(super) use share::PARTS as FAIR_PARTS;
use walk::{Seen, Walk};

use std::collections::BTreeMap;

use super::PreferenceList;
use crate::ids::{NodeId, PartitionId};
use crate::membership::{Fallbacks, Layout, Member, OwnerTable};

/// The preference list of every partition, by partition number: N and Q of a valid layout, with these of its members and
/// this F.
pub(super) fn place(
    layout: &Layout,
    members: &[Member],
    fallbacks: Fallbacks,
    owners: Option<&OwnerTable>,
) -> Vec<PreferenceList> {
    let carriers = carriers(members);
    let walk = Walk::new(&carriers, layout.partitions);
    let mut seen = Seen::new(carriers.len());
    let owners = match owners {
        Some(table) => by_table(layout, &carriers, table),
        None => by_walk(layout, &carriers, &walk, &mut seen),
    };
    let fallbacks = match fallbacks {
        Fallbacks::Next(count) => usize::from(count),
        Fallbacks::All => carriers.len(),
    };
    let id_of = |carrier: &usize| carriers.get(*carrier).map(|member| member.id);
    let list_of = |(partition, mut owners): (PartitionId, Vec<usize>)| {
        if layout.placement >= 2 {
            // Who is asked first is the walk's to say: the work of coordinating is spread by it.
            let count = owners.len();
            owners = walk.from(partition, &mut seen).filter(|it| owners.contains(it)).take(count).collect();
        }
        let others = walk.from(partition, &mut seen).filter(|carrier| !owners.contains(carrier)).take(fallbacks);
        let others: Vec<usize> = others.collect();
        PreferenceList::new(owners.iter().filter_map(id_of).collect(), others.iter().filter_map(id_of).collect())
    };
    (0..layout.partitions).map(PartitionId).zip(owners).map(list_of).collect()
}

/// Version 1, and version 2 of a cluster that has not changed: evened out.
fn by_walk(layout: &Layout, carriers: &[&Member], walk: &Walk, seen: &mut Seen) -> Vec<Vec<usize>> {
    let mut assignment = Assignment::new(layout, carriers);
    for partition in (0..layout.partitions).map(PartitionId) {
        assignment.assign(partition, walk, seen);
    }
    if layout.placement >= 2 {
        level::even_out(layout, carriers, &mut assignment);
    }
    assignment.into_owners()
}

/// As it stands in the layout.
fn by_table(layout: &Layout, carriers: &[&Member], table: &OwnerTable) -> Vec<Vec<usize>> {
    let by_id: BTreeMap<NodeId, usize> = (0..).zip(carriers).map(|(carrier, member)| (member.id, carrier)).collect();
    let owners = |partition| table.owners(partition, layout.replicas).filter_map(|node| by_id.get(&node).copied());
    (0..layout.partitions).map(|partition| owners(PartitionId(partition)).collect()).collect()
}

/// The table of owners of a layout of version 2 after a change from these members and owners.
pub(super) fn rebalance(
    layout: &Layout,
    before: &[Member],
    present: impl Fn(PartitionId) -> Vec<NodeId>,
) -> OwnerTable {
    let carriers = carriers(&layout.members);
    let owners = level::rebalanced(layout, before, present, &carriers);
    OwnerTable::new(carriers.iter().map(|member| member.id).collect(), &owners)
}

/// The fair share of each member that carries anything: what its weight gives it within what zones allow. Unit: parts of
/// [`FAIR_PARTS`] to a partition.
pub(super) fn fair_shares(layout: &Layout, members: &[Member]) -> BTreeMap<NodeId, u64> {
    let carriers = carriers(members);
    let shares = share::fair(layout, &carriers, &share::zones(&carriers, usize::from(layout.replicas)));
    carriers.iter().map(|member| member.id).zip(shares).collect()
}

/// Who carries partitions, in the order of their places.
fn carriers(members: &[Member]) -> Vec<&Member> {
    let mut carriers: Vec<&Member> = members.iter().filter(|member| member.carries()).collect();
    carriers.sort_by_key(|member| member.place());
    carriers
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
