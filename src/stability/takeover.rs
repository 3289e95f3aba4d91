//! Taking over: a newborn owner, and one that was behind, take their ticks from the owner that they learned from.

use super::*;

impl Stability {
    /// Whether this node must begin an exchange with that owner, whoever else would, and only take.
    pub fn is_catching_up(&self, partition: PartitionId, node: NodeId) -> bool {
        self.catching_up.contains(&(partition, node))
    }

    /// An exchange that this node began is complete. `first` and `last` are what the other side said of itself in its
    /// first answer and in its last. A newborn owner takes over its ticks, and so does one that was behind: what it was
    /// settled as far as at the beginning, all rows that came are settled as far as too.
    pub fn on_exchanged(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        with: (PartitionId, NodeId),
        first: Marks,
        last: Marks,
    ) {
        let (partition, _) = with;
        self.catching_up.remove(&with);
        let memory = turn.memory(partition);
        if first.compacted <= memory.compacted && first.folded <= memory.folded && memory.is_established {
            return;
        }
        if memory.is_established && !may_settle(env, partition) {
            // It settles when nobody counts in two placements any more.
            return;
        }
        if loss::is_proved(&memory, &first) && memory.is_established {
            // Its own rows may hold what the other has forgotten: they must be taken over as a newborn's.
            return;
        }
        self.take_over(turn, partition, Marks { sealed: last.sealed, frozen: last.frozen, ..first });
    }

    /// An owner to come has everything: it is settled as far as its first teacher, and refuses what any of them refused.
    pub fn take_over(&mut self, turn: &mut Turn, partition: PartitionId, ticks: Marks) {
        turn.change_memory(partition, |memory| {
            memory.compacted = memory.compacted.max(ticks.compacted);
            memory.folded = memory.folded.max(ticks.folded);
            memory.frozen = memory.frozen.max(ticks.frozen).max(memory.compacted);
            memory.sealed = memory.sealed.max(ticks.sealed).max(memory.frozen);
            memory.is_unswept = true;
        });
        let compacted = turn.memory(partition).compacted;
        turn.footing_mut().unwatch(partition);
        turn.footing_mut().settle(partition, compacted);
        turn.settle_loaded(partition);
        self.parts.entry(partition).or_default().void();
    }
}
