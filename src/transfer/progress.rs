//! How far the present change is with one shard: what the next phase waits for, and what people are shown.
//!
//! ```text
//! came         what ended exchanges brought, and what those under way have brought so far
//! to come      rows that the teachers say they have (their trees count them) − rows that came; where no teacher has
//!              spoken yet, the mean of the others; bytes: as long as those that came
//! ```
//!
//! Called once a second, when somebody drives a change or looks. Costs one pass over the shard's partitions.

use std::collections::BTreeMap;

use super::{Incoming, Transfer};
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::message::peer::{MoveState, MoveStep, PartitionMove, Passed};
use crate::replica::Standing;
use crate::shard::{Env, Running, Turn};

/// Rows that went from one node to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// How many.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Came {
    /// And these.
    pub fn add(&mut self, more: Came) {
        self.rows = self.rows.saturating_add(more.rows);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// What is to come, as far as teachers have told.
#[derive(Debug, Default)]
struct ToCome {
    /// Partitions of which a teacher has told, and their rows.
    told: (u64, u64),
    /// Of these, rows that have not come.
    left: u64,
    /// Partitions of which none has.
    untold: u64,
}

impl ToCome {
    fn rows(&self) -> Option<u64> {
        let (partitions, rows) = self.told;
        match self.untold {
            0 => Some(self.left),
            untold => Some(self.left.saturating_add(rows.checked_div(partitions)?.saturating_mul(untold))),
        }
    }
}

impl Transfer {
    /// How far this shard is with the layout that it acts by, with the exchanges that move data now. What it says is durable
    /// once the memory of its partitions is.
    pub fn state(&self, env: &Env<'_>, turn: &Turn, running: &[Running]) -> MoveState {
        let mut state = MoveState::default();
        let mut shown = Vec::new();
        let mut to_come = ToCome::default();
        for (partition, _) in turn.memories() {
            let comes_or_goes = |nodes: &[NodeId]| nodes.contains(&env.me);
            let (before, to_be) = (env.ring.owners_before(partition), env.ring.owners_to_come(partition));
            let is_leaver = comes_or_goes(env.ring.leavers(partition));
            state.moved += u32::from(comes_or_goes(before) != comes_or_goes(to_be) || is_leaver);
            let is_to_own =
                env.ring.is_moved(partition) && env.ring.layout().phase.reads_before() && comes_or_goes(to_be);
            state.asked += u32::from(is_to_own || is_leaver);
            if Incoming::is_unsynced(env, turn, partition) {
                state.unsynced += 1;
                let incoming = self.incoming_move(env, turn, partition, running);
                if !comes_or_goes(before) {
                    self.expect(&mut to_come, &incoming);
                }
                shown.push(incoming);
            }
        }
        for (partition, leaving) in self.outgoing.leaving() {
            match leaving.is_owned() {
                true => state.uncleared += 1,
                // What is not looked at yet may be something.
                false => state.stray_rows += leaving.rows_left.max(1),
            }
            let silent = env.ring.owners(partition).iter().find(|node| !env.liveness.is_reachable(**node));
            let step = match silent {
                Some(node) if leaving.waits_for(*node) => MoveStep::WaitsFor(*node),
                _ if self.is_paused => MoveStep::Queued,
                _ => MoveStep::Clearing,
            };
            let now = running.iter().find(|running| running.partition == partition);
            let (rows, bytes) = now.map_or((0, 0), |running| (running.rows, running.bytes));
            let (rows, bytes) = (leaving.gave.rows + rows, leaving.gave.bytes + bytes);
            let peer = now.map(|running| running.peer);
            let full = leaving.full.first().copied();
            shown.push(PartitionMove { partition, step, peer, rows, bytes, rows_of: None, full });
        }
        self.sum_up(&mut state, env, running);
        if state.unsynced > 0 {
            state.rows_to_come = to_come.rows();
            let bytes = |rows: u64| state.bytes.saturating_mul(rows).checked_div(state.rows);
            state.bytes_to_come = state.rows_to_come.and_then(|rows| if rows == 0 { Some(0) } else { bytes(rows) });
        }
        shown.sort_by_key(|shown| (rank(shown), shown.partition));
        shown.truncate(limits::MOVES_SHOWN_MAX);
        state.waiting = shown;
        state
    }

    /// What is to come of a partition.
    fn expect(&self, to_come: &mut ToCome, incoming: &PartitionMove) {
        let (partitions, rows) = &mut to_come.told;
        match incoming.rows_of {
            Some(of) => {
                *partitions += 1;
                *rows = rows.saturating_add(of);
                // Who was loaded by one teacher takes from the others only what that one lacked.
                let left = if self.incoming.has_first(incoming.partition) { 0 } else { of - incoming.rows.min(of) };
                to_come.left = to_come.left.saturating_add(left);
            }
            None => to_come.untold += 1,
        }
    }

    /// What came and went, by peer and in sum.
    fn sum_up(&self, state: &mut MoveState, env: &Env<'_>, running: &[Running]) {
        let mut came: BTreeMap<NodeId, Came> = self.incoming.came.clone();
        let mut gave: BTreeMap<NodeId, Came> = self.outgoing.gave.clone();
        for running in running {
            let owns = env.ring.is_owner(running.partition, env.me);
            let of_peer = if owns { &mut came } else { &mut gave };
            of_peer.entry(running.peer).or_default().add(Came { rows: running.rows, bytes: running.bytes });
        }
        let sum = |of: &BTreeMap<NodeId, Came>| {
            of.values().fold(Came::default(), |mut sum, came| {
                sum.add(*came);
                sum
            })
        };
        let shown = |of: BTreeMap<NodeId, Came>| {
            let of = of.into_iter().filter(|(_, came)| came.rows > 0);
            let mut shown = of.map(|(node, Came { rows, bytes })| Passed { node, rows, bytes }).collect();
            Passed::bound(&mut shown);
            shown
        };
        Came { rows: state.rows, bytes: state.bytes } = sum(&came);
        Came { rows: state.rows_given, bytes: state.bytes_given } = sum(&gave);
        (state.taken_from, state.given_to) = (shown(came), shown(gave));
    }

    fn incoming_move(&self, env: &Env<'_>, turn: &Turn, partition: PartitionId, running: &[Running]) -> PartitionMove {
        let load = self.incoming.load(partition);
        let now = running.iter().find(|running| running.partition == partition);
        let mut came = load.map_or(Came::default(), |load| load.came);
        came.add(now.map_or(Came::default(), |now| Came { rows: now.rows, bytes: now.bytes }));
        let rows_of = now.and_then(|now| now.rows_there).max(load.and_then(|load| load.rows_there));
        let teachers = || Incoming::teachers(env, partition);
        let lacks = |node: &NodeId| self.incoming.lacks(env, turn, partition, *node);
        let count = |nodes: usize| u8::try_from(nodes).unwrap_or(u8::MAX);
        let is_loading = Standing::is_loading(env, turn, partition);
        let silent = teachers().filter(lacks).find(|node| !env.liveness.is_reachable(*node));
        let done = teachers().filter(|node| !lacks(node)).count();
        let step = match silent {
            // The others come first.
            Some(node) if teachers().filter(lacks).all(|node| !env.liveness.is_reachable(node)) => {
                MoveStep::WaitsFor(node)
            }
            _ if env.is_below_reserve => MoveStep::WaitsForDisk,
            _ if is_loading && !turn.memory(partition).knows_seal => MoveStep::Sealing,
            _ if self.is_paused || done == 0 && now.is_none() && came.rows == 0 => MoveStep::Queued,
            _ => MoveStep::Loading { done: count(done), of: count(teachers().count()) },
        };
        let peer = now.map(|running| running.peer);
        let full = (step == MoveStep::WaitsForDisk).then_some(env.me);
        PartitionMove { partition, step, peer, rows: came.rows, bytes: came.bytes, rows_of, full }
    }
}

/// What is under way is shown first, then what waits for something, then what waits its turn.
fn rank(shown: &PartitionMove) -> u8 {
    match shown.step {
        _ if shown.peer.is_some() => 0,
        MoveStep::WaitsFor(_) | MoveStep::WaitsForDisk => 1,
        _ if shown.full.is_some() => 1,
        MoveStep::Loading { .. } | MoveStep::Clearing => 2,
        MoveStep::Sealing => 3,
        MoveStep::Queued => 4,
    }
}
