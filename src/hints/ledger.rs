//! The ledger: owners that have not acknowledged writes that were answered already.
//!
//! Most entries are struck within a round trip, so they cost memory only. At the deadline, on suspicion of the owner,
//! or when the ledger is full, an entry becomes a debt on disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{NodeId, RowVersion};
use crate::message::peer::Replicated;
use crate::shard::{Env, Local, Missing, Outbox, Task, TaskBody, TimerKey};
use crate::storage::RowKey;
use crate::time::{Now, Timestamp, WallTime};

/// By row: which owners have not acknowledged which versions.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<RowKey, Entry>,
    by_deadline: BTreeSet<(Timestamp, RowKey)>,
}

#[derive(Debug)]
struct Entry {
    deadline: Timestamp,
    /// When the first of them was answered, by either clock.
    since: Now,
    missing: BTreeMap<NodeId, BTreeSet<RowVersion>>,
}

impl Ledger {
    /// Rows with an owner missing.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every write that was answered has reached every owner, or is a debt.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// By owner: how many writes it has not acknowledged, and when the first of their rows was answered.
    pub fn unconfirmed(&self) -> BTreeMap<NodeId, (u64, Timestamp)> {
        let mut unconfirmed = BTreeMap::new();
        for entry in self.entries.values() {
            for (owner, versions) in &entry.missing {
                let (writes, oldest) = unconfirmed.entry(*owner).or_insert((0, entry.since.mono));
                *writes += versions.len() as u64;
                *oldest = (*oldest).min(entry.since.mono);
            }
        }
        unconfirmed
    }

    /// A write was answered without these owners.
    pub fn on_missing(&mut self, env: &Env<'_>, out: &mut Outbox, missing: Missing) {
        let Missing { row, version, owners } = missing;
        let (waiting, lost): (Vec<_>, Vec<_>) = owners.into_iter().partition(|owner| env.liveness.is_reachable(*owner));
        if !lost.is_empty() {
            owe(out, row.clone(), lost, version, env.now.wall);
        }
        if waiting.is_empty() {
            return;
        }
        if self.entries.len() >= env.config.ledger_entries_max {
            self.settle_oldest(out);
        }
        let deadline = env.now.mono.after(env.config.request_deadline);
        let entry = || Entry { deadline, since: env.now, missing: BTreeMap::new() };
        let entry = self.entries.entry(row.clone()).or_insert_with(entry);
        for owner in waiting {
            entry.missing.entry(owner).or_default().insert(version);
        }
        self.by_deadline.insert((entry.deadline, row));
        self.set_timer(out);
    }

    /// An acknowledgement or a refusal that no open write waits for.
    pub fn on_replicated(&mut self, out: &mut Outbox, from: NodeId, answer: &Replicated) {
        for (row, version) in &answer.rows {
            self.on_row(out, from, row, *version, answer.outcome.is_err());
        }
        self.set_timer(out);
    }

    fn on_row(&mut self, out: &mut Outbox, from: NodeId, row: &RowKey, version: RowVersion, is_refused: bool) {
        let Some(entry) = self.entries.get_mut(row) else { return };
        let Some(versions) = entry.missing.get_mut(&from) else { return };
        if !versions.remove(&version) {
            return;
        }
        if versions.is_empty() {
            entry.missing.remove(&from);
        }
        if is_refused {
            owe(out, row.clone(), vec![from], version, entry.since.wall);
        }
        if entry.missing.is_empty() {
            let deadline = entry.deadline;
            self.entries.remove(row);
            self.by_deadline.remove(&(deadline, row.clone()));
        }
    }

    /// A peer is suspected: what it has not acknowledged becomes a debt now.
    pub fn on_lost(&mut self, out: &mut Outbox, node: NodeId) {
        let mut emptied = Vec::new();
        for (row, entry) in &mut self.entries {
            if let Some(version) = entry.missing.remove(&node).and_then(|versions| versions.last().copied()) {
                owe(out, row.clone(), vec![node], version, entry.since.wall);
                if entry.missing.is_empty() {
                    emptied.push((entry.deadline, row.clone()));
                }
            }
        }
        for (deadline, row) in emptied {
            self.entries.remove(&row);
            self.by_deadline.remove(&(deadline, row));
        }
        self.set_timer(out);
    }

    /// The oldest entries are due.
    pub fn on_timer(&mut self, env: &Env<'_>, out: &mut Outbox) {
        while self.by_deadline.first().is_some_and(|(deadline, _)| *deadline <= env.now.mono) {
            self.settle_oldest(out);
        }
        self.set_timer(out);
    }

    fn settle_oldest(&mut self, out: &mut Outbox) {
        let Some((_, row)) = self.by_deadline.pop_first() else { return };
        let Some(entry) = self.entries.remove(&row) else { return };
        for (owner, versions) in entry.missing {
            if let Some(version) = versions.last() {
                owe(out, row.clone(), vec![owner], *version, entry.since.wall);
            }
        }
    }

    fn set_timer(&self, out: &mut Outbox) {
        match self.by_deadline.first() {
            Some((deadline, _)) => out.set_timer(TimerKey::Ledger, *deadline),
            None => out.cancel_timer(&TimerKey::Ledger),
        }
    }
}

/// Writes the debt down, on the row.
fn owe(out: &mut Outbox, row: RowKey, owners: Vec<NodeId>, version: RowVersion, since: WallTime) {
    out.tell(Local::Task(Task { row, body: TaskBody::Owe { owners, version, since } }));
}
