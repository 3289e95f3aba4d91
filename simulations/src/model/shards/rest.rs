//! The end of a history: faults stop, what is under way arrives or is lost, and the cluster comes to rest.
//!
//! At rest nothing is owed, nothing is open, all owners of a row have the same bytes, no node holds what is not its own,
//! and everything that has expired is settled: no session has a row. That must come within a bound.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use starling::replica::StoredRow;
use starling::storage::{RowKey, RowKind, Space};

use super::cluster::Cluster;
use super::instance::Instance;
use super::rows;
use super::step::{Step, Talk};

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// A change that is under way is through within this.
const CHANGES_WITHIN: Duration = Duration::from_secs(40);

impl Cluster {
    /// Ends all faults and waits. `arrives`: what is under way arrives; else it is lost.
    pub fn come_to_rest(&mut self, arrives: bool) {
        if !arrives {
            self.lose_all();
        }
        for node in 0..self.nodes.len() as u8 {
            self.apply(Step::Clock { node, off: 0 });
            self.apply(Step::Start { node });
        }
        self.end_delays();
        let give_up = self.now.after(self.rests_within());
        loop {
            self.flow(u8::MAX, LOOK, Talk::Nothing);
            let unrest = self.go_on_with_change().map_or_else(|| self.unrest(), |change| vec![change]);
            if unrest.is_empty() || self.found.is_some() {
                return;
            }
            if self.now >= give_up {
                return self
                    .wrong("rest", format!("not at rest within {:?}: {}", self.rests_within(), unrest.join("; ")));
            }
        }
    }

    /// How long after the last fault everything is settled: the longest lease, clocks, and some rounds and exchanges.
    fn rests_within(&self) -> Duration {
        let config = self.instance.config();
        config.tick * (config.actor_lease_ticks * 4 + 4)
            + config.clock_ahead_max * 2
            + config.stability_interval * 20
            + config.exchange_interval * 3
            + if self.instance.changes { CHANGES_WITHIN } else { Duration::ZERO }
    }

    /// What keeps the cluster from being at rest.
    fn unrest(&self) -> Vec<String> {
        let mut found: Vec<String> = (0..self.nodes.len()).flat_map(|node| self.unrest_of(node)).collect();
        if !found.is_empty() {
            return found;
        }
        let partitions = self.ring.layout().partitions;
        let mut rows: BTreeMap<RowKey, BTreeMap<usize, Bytes>> = BTreeMap::new();
        for (node, it) in self.nodes.iter().enumerate() {
            for (key, value) in rows::all(&it.store, Space::Rows) {
                match (RowKey::parse(key), StoredRow::state_bytes(&value)) {
                    (Ok(row), Ok(state)) => {
                        rows.entry(row).or_default().insert(node, state);
                    }
                    (row, state) => found.push(format!("n{} stores what cannot be read: {row:?} {state:?}", node + 1)),
                }
            }
        }
        for (row, states) in rows {
            let owners = self.ring.owners(row.partition(partitions));
            let is_owner = |node: &usize| owners.contains(&Instance::id(*node));
            let name = format!("{:?} row of {}", row.kind(), row.key());
            if let Some(node) = states.keys().find(|node| !is_owner(node)) {
                found.push(format!("n{} holds the {name}, which is not its own", node + 1));
            }
            let mut different = states.values().collect::<Vec<_>>();
            different.dedup();
            if different.len() > 1 || states.keys().filter(|node| is_owner(node)).count() < owners.len() {
                let holders: Vec<String> = states.keys().map(|node| format!("n{}", node + 1)).collect();
                found.push(format!("the {name} is at {} in {} forms", holders.join(", "), different.len()));
            }
            if row.kind() == RowKind::Session {
                found.push(format!("the {name} is still there"));
            }
        }
        found
    }

    fn unrest_of(&self, node: usize) -> Vec<String> {
        let mut found = Vec::new();
        let Some(it) = self.nodes.get(node) else { return found };
        let Some(shard) = &it.shard else { return vec![format!("n{} does not run", node + 1)] };
        let status = shard.status(it.clock(self.now));
        let mut say = |text: String| found.push(format!("n{} {text}", node + 1));
        let owed = rows::all(&it.store, Space::Debts).len();
        if owed > 0 {
            say(format!("owes {owed} rows"));
        }
        if status.open_ops + status.ledger_entries > 0 {
            say(format!("has {} requests and {} entries of its ledger open", status.open_ops, status.ledger_entries));
        }
        if status.newborn_partitions > 0 {
            say(format!("is newborn in {} partitions", status.newborn_partitions));
        }
        for peer in status.peers.iter().filter(|peer| !peer.is_reachable) {
            say(format!("suspects {}", peer.node));
        }
        for settling in &status.settling {
            say(format!(
                "has settled {} only to {:?} of {:?} (sealed {:?}, frozen {:?}, folded {:?}) and waits for {:?}",
                settling.partition,
                settling.compacted,
                settling.newest,
                settling.sealed,
                settling.frozen,
                settling.folded,
                settling.waiting
            ));
        }
        found
    }
}
