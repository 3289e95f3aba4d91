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
//! The receiver takes it as a late message, which changes nothing that is frozen. Nobody answers, so a receiver may have refused
//! it: a row is sent to the same owner again only after [`REPEATED_AFTER`]. Bounded by `read_repairs_per_second`, by
//! `read_repair_bytes_per_second` and by a page of bytes each; nothing is compared while none may be sent. What is left out is
//! the exchange's. Called by the coordinator. Source: Dynamo 2007 §5.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

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
    rows: Vec<(RowKey, Bytes, Why)>,
    /// Rows for which there is no room.
    left_out: u64,
}

/// What has been sent, and how much may still be sent in this second.
#[derive(Debug, Default)]
pub(super) struct ReadRepairs {
    status: ReadRepairStatus,
    /// Millionths of repairs that may be sent at once, as of `filled_at`.
    allowance: u64,
    /// Millionths of bytes that were sent and are not made up for yet.
    bytes_missing: u64,
    filled_at: Option<Timestamp>,
    /// To whom which rows were sent a moment ago.
    recent: BTreeMap<(NodeId, u128), Timestamp>,
    /// The same, oldest first.
    by_time: VecDeque<(Timestamp, NodeId, u128)>,
}

/// One repair, or one byte.
const WHOLE: u64 = 1_000_000;

/// An owner is not sent the same row again for so long.
pub(super) const REPEATED_AFTER: Duration = Duration::from_secs(3);

/// Rows that are remembered for that; of more, the oldest are forgotten.
const RECENT_MAX: usize = 4_096;

impl ReadRepairs {
    /// For `starling status`.
    pub fn status(&self) -> ReadRepairStatus {
        self.status
    }

    /// Looks for what owners lack. A write of the key that is under way here is about to change what they showed.
    pub fn look(&mut self, env: &Env<'_>, quorum: &QuorumRead, is_written: impl FnOnce() -> bool) -> Found {
        let views = compared(env, quorum);
        let Some(((_, first), others)) = views.split_first() else { return Found::Nothing };
        if others.iter().all(|(_, view)| view.main == first.main && view.rows == first.rows) {
            return Found::Nothing;
        }
        if is_written() || !self.has_room(env) {
            self.status.left_out += 1;
            return Found::Nothing;
        }
        compare(env, quorum, views)
    }

    /// Sends what was found.
    pub fn send(&mut self, env: &Env<'_>, out: &mut Outbox, partition: PartitionId, found: Found) {
        let stale = match found {
            Found::Nothing => return,
            Found::Unlike(owners) => {
                self.status.left_out += owners;
                return;
            }
            Found::Stale(stale) => stale,
        };
        self.forget(env);
        for Stale { node, rows, left_out } in stale {
            self.status.left_out += left_out;
            let (mut fresh, mut bytes) = (Vec::with_capacity(rows.len()), 0);
            for (row, state, why) in rows {
                let name = (node, xxhash_rust::xxh3::xxh3_128(row.as_bytes()));
                if self.recent.contains_key(&name) {
                    self.status.not_taken += 1;
                    continue;
                }
                bytes += row.as_bytes().len() + state.len();
                fresh.push((row, state, why, name));
            }
            if fresh.is_empty() {
                continue;
            }
            if !self.has_room(env) {
                self.status.left_out += 1;
                continue;
            }
            self.allowance -= WHOLE;
            self.bytes_missing = self.bytes_missing.saturating_add((bytes as u64).saturating_mul(WHOLE));
            let mut sent = Vec::with_capacity(fresh.len());
            for (row, state, why, name) in fresh {
                match why {
                    Why::Missing => self.status.missing += 1,
                    Why::Outdated => self.status.outdated += 1,
                }
                self.recent.insert(name, env.now.mono);
                self.by_time.push_back((env.now.mono, name.0, name.1));
                sent.push((row, state));
            }
            out.send(node, partition, PeerMessage::Repair(Repair { rows: sent }));
        }
    }

    /// Forgets what was sent long enough ago, or is too much to remember.
    fn forget(&mut self, env: &Env<'_>) {
        while let Some((at, node, row)) = self.by_time.front().copied() {
            if self.by_time.len() <= RECENT_MAX && env.now.mono.since(at) < REPEATED_AFTER {
                return;
            }
            self.by_time.pop_front();
            if self.recent.get(&(node, row)) == Some(&at) {
                self.recent.remove(&(node, row));
            }
        }
    }

    /// Whether one more may be sent now.
    fn has_room(&mut self, env: &Env<'_>) -> bool {
        let per_second = u64::from(env.config.read_repairs_per_second);
        let bytes_per_second = env.config.read_repair_bytes_per_second;
        let passed = self.filled_at.map_or(0, |at| env.now.mono.since(at).as_micros() as u64);
        let full = per_second * WHOLE;
        let came = passed.saturating_mul(per_second);
        self.allowance = if self.filled_at.is_none() { full } else { self.allowance.saturating_add(came).min(full) };
        let made_up = if bytes_per_second == 0 { u64::MAX } else { passed.saturating_mul(bytes_per_second) };
        self.bytes_missing = self.bytes_missing.saturating_sub(made_up);
        self.filled_at = Some(env.now.mono);
        // A page over it is let through: it is made up for before the next one.
        self.allowance >= WHOLE && self.bytes_missing == 0
    }
}

/// What the owners showed.
fn compared<'a>(env: &Env<'_>, quorum: &'a QuorumRead) -> Vec<(NodeId, &'a View)> {
    let owners = quorum.candidates.readers(env);
    let is_compared = |node: &NodeId| owners.contains(node) || mutation::is_off(Mutation::RepairToFallback);
    quorum.views().filter(|(node, _)| is_compared(node)).collect()
}

/// Compares what owners showed, who differ.
fn compare(env: &Env<'_>, quorum: &QuorumRead, views: Vec<(NodeId, &View)>) -> Found {
    let Some(((_, first), others)) = views.split_first() else { return Found::Nothing };
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
        let mut stale = Stale { node: *node, rows: Vec::new(), left_out: 0 };
        let mut bytes = 0;
        stale.note(&mut bytes, &quorum.row, level.lacks(env, &view.main, &main, &view.beside), &main);
        for (row, whole) in &beside {
            let nothing = Row::default();
            let own = rows.get(row).unwrap_or(&nothing);
            stale.note(&mut bytes, row, level.lacks(env, own, whole, &Beside::NONE), whole);
        }
        (!stale.rows.is_empty() || stale.left_out > 0).then_some(stale)
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
        let Some(why) = why else { return };
        let state = whole.encode();
        let size = row.as_bytes().len() + state.len();
        if *bytes + size > limits::PAGE_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        *bytes += size;
        self.rows.push((row.clone(), state, why));
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
