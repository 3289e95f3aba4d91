//! How far the present change is with one shard: what the next phase waits for, and what people are shown.

use super::{Incoming, Transfer};
use crate::ids::{NodeId, PartitionId};
use crate::limits;
use crate::message::peer::{MoveState, MoveStep, PartitionMove};
use crate::replica::Standing;
use crate::shard::{Env, Turn};

impl Transfer {
    /// How far this shard is with the layout that it acts by. What it says is durable once the memory of its partitions is.
    pub fn state(&self, env: &Env<'_>, turn: &Turn) -> MoveState {
        let mut state = MoveState::default();
        for (partition, _) in turn.memories() {
            let comes_or_goes = |nodes: &[NodeId]| nodes.contains(&env.me);
            let (before, to_come) = (env.ring.owners_before(partition), env.ring.owners_to_come(partition));
            let is_leaver = comes_or_goes(env.ring.leavers(partition));
            state.moved += u32::from(comes_or_goes(before) != comes_or_goes(to_come) || is_leaver);
            if Incoming::is_unsynced(env, turn, partition) {
                state.unsynced += 1;
                self.show(&mut state, self.incoming_move(env, turn, partition));
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
            self.show(&mut state, PartitionMove { partition, step, rows: leaving.rows, bytes: leaving.bytes });
            state.rows += leaving.rows;
            state.bytes += leaving.bytes;
        }
        for load in self.incoming.loads() {
            state.rows += load.rows;
            state.bytes += load.bytes;
        }
        state
    }

    fn show(&self, state: &mut MoveState, shown: PartitionMove) {
        if state.waiting.len() < limits::MOVES_SHOWN_MAX {
            state.waiting.push(shown);
        }
    }

    fn incoming_move(&self, env: &Env<'_>, turn: &Turn, partition: PartitionId) -> PartitionMove {
        let load = self.incoming.load(partition);
        let (rows, bytes) = load.map_or((0, 0), |load| (load.rows, load.bytes));
        let teachers = || Incoming::teachers(env, partition);
        let lacks = |node: &NodeId| self.incoming.lacks(env, turn, partition, *node);
        let count = |nodes: usize| u8::try_from(nodes).unwrap_or(u8::MAX);
        let is_loading = Standing::is_loading(env, turn, partition);
        let silent = teachers().filter(lacks).find(|node| !env.liveness.is_reachable(*node));
        let done = teachers().filter(|node| !lacks(node)).count();
        let step = match silent {
            _ if is_loading && env.is_below_reserve => MoveStep::WaitsForDisk,
            _ if is_loading && !turn.memory(partition).knows_seal => MoveStep::Sealing,
            // The others come first.
            Some(node) if teachers().filter(lacks).all(|node| !env.liveness.is_reachable(node)) => {
                MoveStep::WaitsFor(node)
            }
            _ if self.is_paused || done == 0 && rows == 0 => MoveStep::Queued,
            _ => MoveStep::Loading { done: count(done), of: count(teachers().count()) },
        };
        PartitionMove { partition, step, rows, bytes }
    }
}
