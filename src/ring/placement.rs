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
//! - the same layout gives the same placement on every machine and in every version: golden vectors pin it, under
//!   [`Layout::PLACEMENT`];
//! - who takes over another's place owns exactly what that one owned: members stand on the ring, and in every order of
//!   choice, by their places;
//! - a change of the members moves little more than it must: one that joins 3 to 20 others at most 1.3 × the least
//!   possible (tested). In larger clusters bounded loads push more about: 1.6 × with 200 members, 1.4 × with 1,000
//!   (`starling-sim cost placement` measures it, with time, memory and spread).
//!
//! Source: Dynamo 2007 §6.2, strategy 3; Mirrokni et al., "Consistent Hashing with Bounded Loads" (2016).

mod assign;
mod share;
mod walk;

use assign::Assignment;
pub(super) use share::PARTS as FAIR_PARTS;
use walk::{Seen, Walk};

use std::collections::BTreeMap;

use super::PreferenceList;
use crate::ids::{NodeId, PartitionId};
use crate::membership::{Fallbacks, Layout, Member};

/// The preference list of every partition, by partition number: N and Q of a valid layout, with these of its members and
/// this F.
pub(super) fn place(layout: &Layout, members: &[Member], fallbacks: Fallbacks) -> Vec<PreferenceList> {
    let carriers = carriers(members);
    let walk = Walk::new(&carriers, layout.partitions);
    let mut seen = Seen::new(carriers.len());
    let mut assignment = Assignment::new(layout, &carriers);
    for partition in (0..layout.partitions).map(PartitionId) {
        assignment.assign(partition, &walk, &mut seen);
    }
    let fallbacks = match fallbacks {
        Fallbacks::Next(count) => usize::from(count),
        Fallbacks::All => carriers.len(),
    };
    let id_of = |carrier: &usize| carriers.get(*carrier).map(|member| member.id);
    let list_of = |(partition, owners): (PartitionId, Vec<usize>)| {
        let others = walk.from(partition, &mut seen).filter(|carrier| !owners.contains(carrier)).take(fallbacks);
        let others: Vec<usize> = others.collect();
        PreferenceList::new(owners.iter().filter_map(id_of).collect(), others.iter().filter_map(id_of).collect())
    };
    (0..layout.partitions).map(PartitionId).zip(assignment.into_owners()).map(list_of).collect()
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
