//! How far this shard's peers are behind, for `starling status`: what each has not confirmed, and what only an exchange can bring it.
//!
//! Looks through the ledger, the sums of debts, and the last exchange of every own partition with each co-owner. Decides nothing.

use std::collections::BTreeMap;

use super::Shard;
use crate::ids::{NodeId, PartitionId};
use crate::message::client::{PartitionRepair, PeerLag, PeerStatus};
use crate::time::Now;

impl Shard {
    /// How this shard sees its peers.
    pub(super) fn peers(&self, now: Now) -> Vec<PeerStatus> {
        let in_ledger = self.ledger.unconfirmed();
        let compared = self.compared(now);
        let lag = |node: NodeId| {
            let waiting = in_ledger.get(&node);
            let waits_ms = waiting.map(|(_, first)| now.mono.since(*first).as_millis() as u64);
            let owed_ms = self.turn.owed_since(node).map(|since| now.wall.0.saturating_sub(since.0) / 1000);
            let (compared_ms_ago, uncompared_partitions) = compared.get(&node).copied().unwrap_or_default();
            PeerLag {
                operations: waiting.map_or(0, |(writes, _)| *writes) + self.turn.owed_to(node),
                oldest_ms: waits_ms.max(owed_ms),
                compared_ms_ago,
                uncompared_partitions,
            }
        };
        let is_contested = |node| self.site.claims.is_contested(node);
        self.site.liveness.status(now.mono, |node| self.turn.owed_to(node), is_contested, lag)
    }

    /// By co-owner: how long ago the oldest of the last exchanges with it began, over the partitions that both own, and how many of
    /// these were not compared yet.
    fn compared(&self, now: Now) -> BTreeMap<NodeId, (Option<u64>, u32)> {
        let (site, me) = (&self.site, self.site.identity.node);
        let mut compared: BTreeMap<NodeId, (Option<u64>, u32)> = BTreeMap::new();
        for (partition, _) in self.turn.memories().filter(|(partition, _)| site.ring.is_owner(*partition, me)) {
            let ages = site.exchanged.ages(partition, now.mono);
            for owner in site.ring.owners(partition).iter().filter(|owner| **owner != me) {
                let (oldest_ms, uncompared) = compared.entry(*owner).or_default();
                match ages.iter().find(|(peer, _)| peer == owner) {
                    Some((_, age)) => *oldest_ms = (*oldest_ms).max(Some(*age)),
                    None => *uncompared += 1,
                }
            }
        }
        compared
    }

    /// Own partitions of which co-owners may lack something that no debt tells of.
    pub(super) fn needing_repair(&self) -> impl Iterator<Item = PartitionRepair> + '_ {
        let (ring, me) = (&self.site.ring, self.site.identity.node);
        let marks = self.turn.repair_marks().filter(move |(partition, _)| ring.is_owner(*partition, me));
        let still = move |(partition, owners): (PartitionId, Vec<NodeId>)| {
            let owners = owners.into_iter().filter(|owner| ring.is_owner(partition, *owner)).collect();
            PartitionRepair { partition, owners }
        };
        marks.map(still).filter(|one| !one.owners.is_empty())
    }
}
