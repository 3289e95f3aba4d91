//! Spreading a write: which nodes hold it, which are sent it next, and who is told of those that lack it.
//!
//! ```text
//! write sets:  steady  {A}         while the partition's owners change  {A, B}
//! met          W (of so many zones) in each     impossible  if it is in one of them
//! sent to      the first N reachable of each; one more for each that fails; as many as are missing when it is late
//! ```
//!
//! A node that stands in both lists counts in both, and is sent the write once.

use super::candidates::Candidates;
use super::tally::{Tally, Verdict, zones};
use super::write::{Stage, WriteOp};
use crate::config::Durability;
use crate::ids::{NodeId, OpId, RowVersion};
use crate::message::peer::{Part, PeerMessage, Replicate};
use crate::ring::PreferenceList;
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
            let unasked = Candidates::unasked(env, list, tally);
            let need = self.candidates.need(self.w);
            match tally.verdict(need, list, |_, _| true, &unasked, |node| env.ring.zone_of(node)) {
                Verdict::Met => {}
                Verdict::NotYet => verdict = Verdict::NotYet,
                Verdict::Impossible => return Verdict::Impossible,
            }
        }
        verdict
    }

    /// Acknowledgements of the list that has the fewest.
    pub(super) fn counted(&self, env: &Env<'_>, tally: &Tally<Durability>) -> u8 {
        let lists = self.candidates.write_sets(env).iter().map(|set| self.candidates.within(set));
        lists.map(|list| tally.counted(|node, _| list.contains(&node))).min().unwrap_or(0) as u8
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
        let holders: Vec<NodeId> = tally.answers().map(|(node, _)| node).collect();
        self.send_to_next(env, out, op, |set| {
            let list = candidates.within(set);
            let holders: Vec<NodeId> = holders.iter().copied().filter(|node| list.contains(node)).collect();
            let zones = zones(&holders, |node| env.ring.zone_of(node));
            let missing_zones = usize::from(candidates.zones).saturating_sub(zones);
            w.saturating_sub(holders.len()).max(missing_zones)
        });
    }

    /// Sends the delta to one more node of each list in which this one stood.
    pub(super) fn send_in_place_of(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, node: NodeId) {
        let candidates = self.candidates;
        self.send_to_next(env, out, op, |set| usize::from(candidates.within(set).contains(&node)));
    }

    /// Sends the delta to the next reachable candidates, so many of each list. A fallback is told for whom it stands in: the owners that
    /// were not asked or have failed, else those that have not answered yet.
    fn send_to_next(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, count_of: impl Fn(&PreferenceList) -> usize) {
        let Stage::Replicating { fresh, tally } = &mut self.stage else { return };
        let owners = env.ring.owners(self.candidates.partition);
        let mut next = Vec::new();
        for set in self.candidates.write_sets(env) {
            let list = (self.candidates.within(set), set.owners());
            self.candidates.choose(env, list, tally, &mut next, count_of(set));
        }
        if next.is_empty() {
            return;
        }
        for node in &next {
            tally.ask(*node);
        }
        let waiting: Vec<NodeId> = tally.waiting().collect();
        let unanswered = || owners.iter().copied().filter(|owner| !tally.has_answered(*owner));
        let mut owed: Vec<NodeId> = unanswered().filter(|owner| !waiting.contains(owner)).collect();
        if owed.is_empty() {
            owed = unanswered().collect();
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
