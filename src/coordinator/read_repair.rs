//! Read repair: what a read found to be missing at an owner is sent there, after the answer.
//!
//! ```text
//! R replicas showed their rows ─→ answered ─→ owners among them compared, row by row ─→ Repair to each that lacks something
//! ```
//!
//! To owners only, and from what owners showed: what a fallback has is owed by its marks already. By physical row: what a
//! session did stands in its own row, and would be counted twice in the main one. An owner lacks a row if merging the others' copy
//! would change its own, by the very rules of its merge; so a state that two owners only write down differently is no reason. Owners
//! that have settled differently far are not compared: one's sum stands for the other's entries.
//!
//! The receiver takes it as a late message, which changes nothing that is frozen. Nobody answers. Bounded by `read_repairs_per_second`
//! and a page of bytes; what is left out is the exchange's. Called by the coordinator. Source: Dynamo 2007 §5.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::quorum_read::{QuorumRead, View};
use crate::causality::Tick;
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::message::client::ReadRepairStatus;
use crate::message::peer::{PeerMessage, Repair};
use crate::mutation::{self, Mutation};
use crate::shard::{Env, Outbox};
use crate::storage::RowKey;
use crate::time::Timestamp;
use crate::value::{Beside, Row};

/// What a comparison of owners found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// None lacks what another one showed, or fewer than two owners answered.
    Nothing,
    /// They have settled differently far, and show different rows: so many owners.
    Unlike(u64),
    /// These lack something.
    Stale(Vec<Stale>),
}

/// An owner and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    node: NodeId,
    rows: Vec<(RowKey, Bytes)>,
    missing: u64,
    outdated: u64,
}

/// What has been sent, and how much may still be sent in this second.
#[derive(Debug, Default)]
pub(super) struct ReadRepairs {
    status: ReadRepairStatus,
    /// Millionths of repairs that may be sent at once, as of `filled_at`.
    allowance: u64,
    filled_at: Option<Timestamp>,
}

/// One repair.
const WHOLE: u64 = 1_000_000;

impl ReadRepairs {
    /// For `starling status`.
    pub fn status(&self) -> ReadRepairStatus {
        self.status
    }

    /// Sends what was found, unless a write of the key is under way here: it is about to change what was compared.
    pub fn send(&mut self, env: &Env<'_>, out: &mut Outbox, partition: PartitionId, found: Found, is_written: bool) {
        let stale = match found {
            Found::Nothing => return,
            Found::Unlike(owners) => {
                self.status.left_out += owners;
                return;
            }
            Found::Stale(stale) => stale,
        };
        for Stale { node, rows, missing, outdated } in stale {
            if is_written || !self.may_send(env) {
                self.status.left_out += 1;
                continue;
            }
            self.status.missing += missing;
            self.status.outdated += outdated;
            out.send(node, partition, PeerMessage::Repair(Repair { rows }));
        }
    }

    fn may_send(&mut self, env: &Env<'_>) -> bool {
        let per_second = u64::from(env.config.read_repairs_per_second);
        let full = per_second * WHOLE;
        let refill = |at: Timestamp| (env.now.mono.since(at).as_micros() as u64).saturating_mul(per_second);
        self.allowance = self.filled_at.map_or(full, |at| self.allowance.saturating_add(refill(at)).min(full));
        self.filled_at = Some(env.now.mono);
        let is_allowed = self.allowance >= WHOLE;
        if is_allowed {
            self.allowance -= WHOLE;
        }
        is_allowed
    }
}

/// Compares what owners showed.
pub(super) fn compare(env: &Env<'_>, quorum: &QuorumRead) -> Found {
    let owners = quorum.candidates.readers(env);
    let is_compared = |node: &NodeId| owners.contains(node) || mutation::is_off(Mutation::RepairToFallback);
    let views: Vec<(NodeId, &View)> = quorum.views().filter(|(node, _)| is_compared(node)).collect();
    let Some(((_, first), others)) = views.split_first() else { return Found::Nothing };
    if others.iter().all(|(_, view)| view.main == first.main && view.rows == first.rows) {
        return Found::Nothing;
    }
    let level = Level { compacted: first.settled, folded: first.folded };
    if others.iter().any(|(_, view)| (view.settled, view.folded) != (level.compacted, level.folded)) {
        return Found::Unlike(views.len() as u64);
    }
    let until = views.iter().filter_map(|(_, view)| view.until.clone()).min();
    let shown: Vec<(NodeId, &View, BTreeMap<RowKey, Row>)> =
        views.into_iter().map(|(node, view)| (node, view, level.side_rows(view, until.as_ref()))).collect();
    let mut main = Row::default();
    let mut beside: BTreeMap<RowKey, Row> = BTreeMap::new();
    for (_, view, rows) in &shown {
        main.merge(&view.main);
        for (row, state) in rows {
            beside.entry(row.clone()).or_default().merge(state);
        }
    }
    let stale = shown.iter().filter_map(|(node, view, rows)| {
        let mut stale = Stale { node: *node, rows: Vec::new(), missing: 0, outdated: 0 };
        let mut bytes = 0;
        stale.note(&mut bytes, &quorum.row, level.lacks(env, &view.main, &main, &view.beside), &main);
        for (row, whole) in &beside {
            let nothing = Row::default();
            let own = rows.get(row).unwrap_or(&nothing);
            stale.note(&mut bytes, row, level.lacks(env, own, whole, &Beside::NONE), whole);
        }
        (!stale.rows.is_empty()).then_some(stale)
    });
    let stale: Vec<Stale> = stale.collect();
    if stale.is_empty() { Found::Nothing } else { Found::Stale(stale) }
}

/// Why an owner is sent a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Missing,
    Outdated,
}

impl Stale {
    /// A row that is lacked, while there is room for it.
    fn note(&mut self, bytes: &mut usize, row: &RowKey, why: Option<Why>, whole: &Row) {
        let Some(why) = why.filter(|_| *bytes < limits::PAGE_BYTES_MAX) else { return };
        let state = whole.encode();
        *bytes += row.as_bytes().len() + state.len();
        self.rows.push((row.clone(), state));
        match why {
            Why::Missing => self.missing += 1,
            Why::Outdated => self.outdated += 1,
        }
    }
}

/// How far those that are compared have settled.
#[derive(Clone, Copy, Debug)]
struct Level {
    compacted: Tick,
    folded: Tick,
}

impl Level {
    /// The side rows that every owner has shown up to, in one form: on disk they may stand unsettled.
    fn side_rows(self, view: &View, until: Option<&Bytes>) -> BTreeMap<RowKey, Row> {
        let is_within = |row: &RowKey| until.is_none_or(|until| row.as_bytes() < until);
        let settled = |(row, state): (&RowKey, &Row)| {
            let mut state = state.clone();
            if self.compacted > Tick(0) {
                state.compact(self.compacted);
                state.fold_baselines(self.folded);
            }
            (row.clone(), state)
        };
        view.rows.iter().filter(|(row, _)| is_within(row)).map(settled).collect()
    }

    /// Whether the owner of `own` would change it by merging `whole`; as `replica/apply.rs` merges.
    fn lacks(self, env: &Env<'_>, own: &Row, whole: &Row, beside: &Beside) -> Option<Why> {
        if own == whole {
            return None;
        }
        let mut incoming = whole.clone();
        incoming.ignore_settled(own, own.settled_tick().max(self.compacted), self.folded);
        incoming.ignore_retired(own, self.folded, env.config.tick, env.config.actor_lease_ticks, beside);
        if !own.clone().merge(&incoming) {
            return None;
        }
        Some(if own.is_empty() { Why::Missing } else { Why::Outdated })
    }
}
