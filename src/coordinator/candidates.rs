//! Whom a coordinator may ask, in which order.
//!
//! A read asks one list: the readers, then those who stand in for them. A write needs its quorum in each of its lists: one,
//! or two while the partition's owners change (of before and to come). A node that stands in both counts in both.

use std::collections::BTreeSet;

use super::tally::{Need, Tally};
use crate::ids::{NodeId, PartitionId};
use crate::mutation::{self, Mutation};
use crate::ring::{PreferenceList, ZoneIndex};
use crate::shard::Env;

/// The nodes that may answer a request: owners and stand-ins, or the owners alone if the request is strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidates {
    pub partition: PartitionId,
    pub strict: bool,
    /// The answers that count must come from so many zones; 0 and 1 ask for nothing.
    pub zones: u8,
}

impl Candidates {
    /// The list of the placement that is read.
    fn read_list<'a>(&self, env: &Env<'a>) -> &'a PreferenceList {
        match env.ring.write_sets(self.partition) {
            [_, to_come] if mutation::is_off(Mutation::JoinerCountsAsReader) => to_come,
            _ => env.ring.preference_list(self.partition),
        }
    }

    /// The owners whose views make a read whole.
    pub fn readers<'a>(&self, env: &Env<'a>) -> &'a [NodeId] {
        self.read_list(env).owners()
    }

    /// Whom a read may ask, in order of preference, reachable or not.
    pub fn readable<'a>(&self, env: &Env<'a>) -> &'a [NodeId] {
        self.within(self.read_list(env))
    }

    /// The lists in each of which a write needs its quorum.
    pub fn write_sets<'a>(&self, env: &Env<'a>) -> &'a [PreferenceList] {
        let sets = env.ring.write_sets(self.partition);
        match sets {
            [_, to_come] if mutation::is_off(Mutation::QuorumInNewOnly) => std::slice::from_ref(to_come),
            _ => sets,
        }
    }

    /// Those of a list who count.
    pub fn within<'a>(&self, set: &'a PreferenceList) -> &'a [NodeId] {
        if self.strict { set.owners() } else { set.accept_set() }
    }

    /// What a quorum of so many nodes must be.
    pub fn need(&self, nodes: usize) -> Need {
        Need { nodes, zones: usize::from(self.zones) }
    }

    /// Those of a list that are reachable and were not asked.
    pub fn unasked<A>(env: &Env<'_>, list: &[NodeId], tally: &Tally<A>) -> Vec<NodeId> {
        let is_open = |node: &NodeId| env.liveness.is_reachable(*node) && !tally.has_asked(*node);
        list.iter().copied().filter(is_open).collect()
    }

    /// Adds the next ones of a list until so many of it are chosen. In order of preference, the own node first among its
    /// kind, for it costs no message; but before that, while the zones are too few, whoever is in another zone.
    pub fn choose<A>(
        &self,
        env: &Env<'_>,
        (list, owners): (&[NodeId], &[NodeId]),
        tally: &Tally<A>,
        chosen: &mut Vec<NodeId>,
        count: usize,
    ) {
        let mut open = Candidates::unasked(env, list, tally);
        let mut missing = count.saturating_sub(open.iter().filter(|node| chosen.contains(node)).count());
        open.retain(|node| !chosen.contains(node));
        open.sort_by_key(|node| (!owners.contains(node), *node != env.me));
        let zone = |node: &NodeId| env.ring.zone_of(*node);
        let hopeful = tally.hopeful().chain(chosen.iter().copied()).filter(|node| list.contains(node));
        let mut zones: BTreeSet<ZoneIndex> = hopeful.filter_map(|node| zone(&node)).collect();
        while missing > 0 && !open.is_empty() {
            let wants_another = zones.len() < usize::from(self.zones);
            let is_another = |node: &NodeId| wants_another && zone(node).is_some_and(|zone| !zones.contains(&zone));
            let node = open.remove(open.iter().position(is_another).unwrap_or(0));
            zones.extend(zone(&node));
            chosen.push(node);
            missing -= 1;
        }
    }
}
