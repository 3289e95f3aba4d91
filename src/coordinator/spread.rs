//! Spreading a write: which nodes hold it, which are sent it next, and who is told of those that lack it.
//!
//! ```text
//! write sets:  steady  {A}         while the partition's owners change  {A, B}
//! met          W (of so many zones) in each     impossible  if it is in one of them
//! sent to      the first N reachable of each; one more for each that fails; as many as are missing when it is late
//! ```
//!
//! A node that stands in both lists counts in both, and is sent the write once.
//!
//! **Stand-ins count only in place of owners that have not acknowledged**, at most as many as those. A stand-in is told all of
//! them, hands its row to each, and drops it when all have it: once they have acknowledged here, it may hold nothing. The
//! coordinator's own copy is none of those: it is on its way to its disk, and owed by nobody.

use super::candidates::Candidates;
use super::tally::{Tally, Verdict, zones};
use super::write::{Stage, WriteOp};
use crate::config::Durability;
use crate::ids::{NodeId, OpId, RowVersion};
use crate::message::peer::{Part, PeerMessage, Replicate};
use crate::mutation::{self, Mutation};
use crate::ring::{PreferenceList, ZoneIndex};
use crate::shard::{Env, Local, Missing, Outbox};
use crate::storage::RowKey;
use crate::value::Row;

impl WriteOp {
    /// The quorum of every list: met if each is, impossible if one is. Only candidates count: a fallback that coordinates a
    /// strict write is none.
    pub(super) fn verdict(&self, env: &Env<'_>, tally: &Tally<Durability>) -> Verdict {
        let mut verdict = Verdict::Met;
        for set in self.candidates.write_sets(env) {
            let list = self.candidates.within(set);
            let counting = self.counting(env, set, tally);
            let unasked = Candidates::unasked(env, list, tally);
            let need = self.candidates.need(self.w);
            let counts = |node, _: &Durability| counting.contains(&node);
            match tally.verdict(need, list, counts, &unasked, |node| env.ring.zone_of(node)) {
                Verdict::Met => {}
                Verdict::NotYet => verdict = Verdict::NotYet,
                Verdict::Impossible => return Verdict::Impossible,
            }
        }
        verdict
    }

    /// Acknowledgements of the list that has the fewest.
    pub(super) fn counted(&self, env: &Env<'_>, tally: &Tally<Durability>) -> u8 {
        let sets = self.candidates.write_sets(env).iter();
        sets.map(|set| self.counting(env, set, tally).len()).min().unwrap_or(0) as u8
    }

    /// Who holds the write for one of the lists.
    pub(super) fn counting(&self, env: &Env<'_>, set: &PreferenceList, tally: &Tally<Durability>) -> Vec<NodeId> {
        let list = self.candidates.within(set);
        let answered: Vec<NodeId> = tally.answers().map(|(node, _)| node).filter(|node| list.contains(node)).collect();
        holding(env.me, set.owners(), &answered, |node| env.ring.zone_of(node))
    }

    /// Tells the ledger which owners have not acknowledged. A fallback's row owes them by its own marks already.
    pub(super) fn hand_over(&self, env: &Env<'_>, out: &mut Outbox) {
        let Stage::Replicating { fresh, tally } = &self.stage else { return };
        let owners = env.ring.owners(self.candidates.partition);
        if !owners.contains(&env.me) {
            return;
        }
        let missing: Vec<NodeId> =
            owners.iter().copied().filter(|owner| *owner != env.me && !tally.has_answered(*owner)).collect();
        if missing.is_empty() {
            return;
        }
        for (row, (version, _)) in &fresh.parts {
            let missing = Missing { row: row.clone(), version: *version, owners: missing.clone() };
            out.tell(Local::Missing(missing));
        }
    }

    /// Sends the delta to the first nodes of each list, as many as it has owners; the own one holds it already.
    pub(super) fn send_to_first(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        let candidates = self.candidates;
        self.send_to_next(env, out, op, |set| {
            set.owners().len().saturating_sub(usize::from(candidates.within(set).contains(&env.me)))
        });
    }

    /// Sends the delta to as many further nodes of each list as acknowledgements are missing.
    pub(super) fn send_to_missing(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        let Stage::Replicating { tally, .. } = &self.stage else { return };
        let (candidates, w) = (self.candidates, self.w);
        let missing = |set: &PreferenceList| {
            let holders = self.counting(env, set, tally);
            let zones = zones(&holders, |node| env.ring.zone_of(node));
            let missing_zones = usize::from(candidates.zones).saturating_sub(zones);
            w.saturating_sub(holders.len()).max(missing_zones)
        };
        let missing: Vec<usize> = candidates.write_sets(env).iter().map(missing).collect();
        let mut missing = missing.into_iter();
        self.send_to_next(env, out, op, |_| missing.next().unwrap_or(0));
    }

    /// Sends the delta to one more node of each list in which this one stood.
    pub(super) fn send_in_place_of(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, node: NodeId) {
        let candidates = self.candidates;
        self.send_to_next(env, out, op, |set| usize::from(candidates.within(set).contains(&node)));
    }

    /// Sends the delta to the next reachable candidates, so many of each list. A fallback is told for whom it stands in: all owners
    /// that have not acknowledged yet, for it counts until they all have.
    fn send_to_next(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        op: OpId,
        mut count_of: impl FnMut(&PreferenceList) -> usize,
    ) {
        let Stage::Replicating { fresh, tally } = &mut self.stage else { return };
        let owners = env.ring.owners(self.candidates.partition);
        let mut next = Vec::new();
        for set in self.candidates.write_sets(env) {
            let list = (self.candidates.within(set), set.owners());
            self.candidates.choose(env, list, tally, &mut next, count_of(set));
        }
        let lacks_it = |owner: &NodeId| *owner != env.me && !tally.has_answered(*owner);
        let owed: Vec<NodeId> = owners.iter().copied().filter(lacks_it).collect();
        // Where nobody is to be stood in for, a stand-in could not count.
        next.retain(|node| owners.contains(node) || !owed.is_empty());
        if next.is_empty() {
            return;
        }
        for node in &next {
            tally.ask(*node);
        }
        let part = |(row, (version, delta)): (&RowKey, &(RowVersion, Row))| Part {
            row: row.clone(),
            version: *version,
            delta: delta.encode(),
        };
        let parts: Vec<Part> = fresh.parts.iter().map(part).collect();
        for node in next {
            let replicate = Replicate {
                op,
                parts: parts.clone(),
                owed: if owners.contains(&node) { Vec::new() } else { owed.clone() },
                only_removes: self.command.only_removes(),
            };
            out.send(node, self.candidates.partition, PeerMessage::Replicate(replicate));
        }
    }
}

/// Of those that acknowledged a write that `me` coordinates: the owners, and as many stand-ins as there are owners that have
/// not; of several stand-ins first those in zones of their own.
fn holding(
    me: NodeId,
    owners: &[NodeId],
    answered: &[NodeId],
    zone_of: impl Fn(NodeId) -> Option<ZoneIndex>,
) -> Vec<NodeId> {
    let (mut holding, mut stand_ins): (Vec<NodeId>, Vec<NodeId>) =
        answered.iter().partition(|node| owners.contains(node));
    let lacking = owners.iter().filter(|owner| **owner != me && !answered.contains(owner)).count();
    let room = if mutation::is_off(Mutation::StandInsCountTwice) { stand_ins.len() } else { lacking };
    let end = holding.len() + room.min(stand_ins.len());
    while holding.len() < end {
        let is_new = |node: &NodeId| holding.iter().all(|held| zone_of(*held) != zone_of(*node));
        let next = stand_ins.iter().position(is_new).unwrap_or(0);
        holding.push(stand_ins.remove(next));
    }
    holding
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owners 1 (the coordinator), 2 and 4; zones 0 (nodes 0, 1), 1 (2, 3), 2 (4, 5).
    fn held_by(answered: &[u64]) -> Vec<u64> {
        let nodes = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        let zone_of = |node: NodeId| Some(ZoneIndex((node.0 / 2) as u16));
        holding(NodeId(1), &nodes(&[1, 2, 4]), &nodes(answered), zone_of).iter().map(|node| node.0).collect()
    }

    #[test]
    fn a_stand_in_counts_only_in_place_of_an_owner_that_has_not_acknowledged() {
        assert_eq!(held_by(&[1, 3]), [1, 3]);
        assert_eq!(held_by(&[3, 5]), [3, 5], "for 2 and 4");
        assert_eq!(held_by(&[2, 3]), [2, 3], "for 4");
        assert_eq!(held_by(&[2, 3, 5]), [2, 5], "one of them, in a zone of its own");
        // Node 3 may have handed its row to 2 and 4 and dropped it, while 1 has not synced its own.
        assert_eq!(held_by(&[2, 4, 3]), [2, 4]);
    }

    #[cfg(feature = "mutations")]
    #[test]
    fn a_stand_in_counts_beside_all_owners_without_its_protection() {
        mutation::switch_off(Some(Mutation::StandInsCountTwice));
        assert_eq!(held_by(&[2, 4, 3]), [2, 4, 3]);
        mutation::switch_off(None);
    }
}
