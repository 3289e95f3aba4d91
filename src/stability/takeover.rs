//! Taking over: a newborn owner, and one that was behind, take their ticks from the owner that they learned from.

use super::*;

impl Stability {
    /// Whether this node must begin an exchange with that owner, whoever else would, and only take.
    pub fn is_catching_up(&self, partition: PartitionId, node: NodeId) -> bool {
        self.catching_up.contains(&(partition, node))
    }

    /// An owner is ahead of this one while the partition moves: what it rests on was decided before, so it is caught up with, or the
    /// two could not exchange what is frozen before the change ends, and the change not end before they have.
    pub fn follow_while_moving(
        &mut self,
        env: &Env<'_>,
        turn: &Turn,
        (partition, peer): (PartitionId, NodeId),
        theirs: Marks,
    ) -> Option<Hurry> {
        let memory = turn.memory(partition);
        let are_owners = [env.me, peer].into_iter().all(|node| env.ring.is_owner(partition, node));
        let is_ahead = theirs.compacted > memory.compacted || theirs.folded > memory.folded;
        let is_asked = env.config.stability && memory.is_established && !env.ring.may_settle(partition);
        if !is_asked || !are_owners || !is_ahead || !theirs.are_in_order() || loss::is_proved(&memory, &theirs) {
            return None;
        }
        self.catching_up.insert((partition, peer)).then_some(Hurry { partition, node: peer })
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
        let was_catching_up = self.catching_up.remove(&with);
        let memory = turn.memory(partition);
        if first.compacted <= memory.compacted && first.folded <= memory.folded && memory.is_established {
            return;
        }
        if memory.is_established && !may_settle(env, partition) && !was_catching_up {
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
