//! Loss of memory: the proof that the own directory was further once than it remembers.
//!
//! Everything that others settle rests on what this node told them, and it told nothing that was not durable here:
//!
//! ```text
//! a co-owner has compacted t   ──→ this owner had frozen t, and reported it
//! a co-owner has folded t      ──→ this owner had compacted t, and reported it
//! an owner has frozen t        ──→ this fallback, or owner, had sealed t
//! ```
//!
//! Who finds less in its own directory has a proof that it was replaced by an earlier copy, or that the disk lost what it
//! had synced. A copy that is still in step proves nothing, and does no harm: what it lacks its peers still have, and
//! nothing that it holds was forgotten.
//!
//! ```text
//! owner      newborn again: neither shows nor accepts; takes everything over from one established co-owner, and gives up
//!            what that one has forgotten (`value::giving_up`); what is younger than that it keeps, with its debts
//! fallback   refuses what it had sealed; what it holds of that, and an owner refuses as frozen, is dropped, and said to be lost
//! ```
//!
//! A client's session whose tick the clocks allow to seal is refused whether it is sealed here or not, so the copy takes
//! nothing by itself that others have settled.
//!
//! Of two that remember unequally much only one is behind the other, so when all owners were replaced by copies of different
//! ages the one that is furthest stays established, and teaches. Nothing of later ticks is given up then either.
//!
//! Called by the shard with the marks of every message that has them. Costs a comparison.

use super::*;

/// Whether the owner's memory must have been further once, for a co-owner to have settled so far.
pub(super) fn is_proved(memory: &PartitionMemory, theirs: &Marks) -> bool {
    let is_behind = theirs.compacted > memory.frozen || theirs.folded > memory.compacted;
    is_behind && !mutation::is_off(Mutation::LossIgnored)
}

impl Stability {
    /// An owner told how far the partition is settled there. True if that proves that this owner has lost its memory: it
    /// is newborn from now on, and must take its data over.
    pub fn on_marks(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        partition: PartitionId,
        peer: NodeId,
        theirs: Marks,
    ) -> bool {
        let memory = turn.memory(partition);
        let is_asked = env.config.stability && memory.is_established && env.ring.accepts(partition, env.me);
        // Nobody settles the future: a faulty member must not make this one doubt itself.
        let latest =
            Tick::at(WallTime(env.now.wall.0.saturating_add(micros(env.config.clock_ahead_max))), env.config.tick);
        let is_sound = theirs.are_in_order() && theirs.frozen <= latest;
        if !is_asked || !is_sound || !env.ring.is_owner(partition, peer) || peer == env.me {
            return false;
        }
        if !env.ring.is_owner(partition, env.me) {
            if theirs.frozen > memory.sealed && !mutation::is_off(Mutation::LossIgnored) {
                self.fall_behind(env, turn, partition, (peer, theirs));
            }
            return false;
        }
        if theirs.frozen > memory.sealed {
            // Whatever became of the memory of it, this owner had sealed that too.
            turn.change_memory(partition, |memory| memory.sealed = theirs.frozen);
        }
        if !is_proved(&memory, &theirs) {
            return false;
        }
        let own = marks::marks(env, turn, partition);
        turn.change_memory(partition, |memory| memory.is_established = false);
        turn.footing_mut().unwatch(partition);
        self.catching_up.retain(|(other, _)| *other != partition);
        if let Some(part) = self.parts.get_mut(&partition) {
            part.void();
            part.end_round();
        }
        self.losses += 1;
        turn.out.observe(Observation::MemoryLost { partition, peer, theirs, own });
        turn.out.set_timer(TimerKey::Newborn, env.now.mono);
        true
    }

    /// A fallback had sealed what it does not remember. It seals that once more when it holds nothing of it.
    fn fall_behind(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId, of: (NodeId, Marks)) {
        let (peer, theirs) = of;
        if self.behind.get(&partition).is_some_and(|tick| *tick >= theirs.frozen) {
            return;
        }
        if self.behind.insert(partition, theirs.frozen).is_none() {
            self.losses += 1;
            let own = marks::marks(env, turn, partition);
            turn.out.observe(Observation::MemoryLost { partition, peer, theirs, own });
        }
        turn.refuse(partition, theirs.frozen);
        self.scans.wish(partition, Purpose::Seal(theirs.frozen));
    }

    /// How far this fallback had sealed, if it has lost the memory of that.
    pub fn had_sealed(&self, partition: PartitionId) -> Option<Tick> {
        self.behind.get(&partition).copied()
    }

    /// How many partitions were found to have lost their memory, since the start.
    pub fn losses(&self) -> u64 {
        self.losses
    }
}
