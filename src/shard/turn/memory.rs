//! What is remembered of a partition, as the turn changes it: told from the batch on that carries it.

use super::Turn;
use crate::causality::{Tenure, Tick};
use crate::ids::{PartitionId, Ticket};
use crate::mutation::{self, Mutation};
use crate::replica::PartitionMemory;

impl Turn {
    /// Events of clients' sessions that expire at this tick or before are refused in the partition.
    pub fn refused(&self, partition: PartitionId) -> Tick {
        if mutation::is_off(Mutation::SealIgnored) { Tick(0) } else { self.memory(partition).refused() }
    }

    /// All actors that expire at this tick or before are settled in the partition.
    pub fn compacted(&self, partition: PartitionId) -> Tick {
        self.memory(partition).compacted
    }

    /// What is remembered of a partition.
    pub fn memory(&self, partition: PartitionId) -> PartitionMemory {
        self.partitions.get(partition)
    }

    /// What must be durable before anybody may be told what is remembered of a partition.
    pub fn memory_ticket(&self) -> Ticket {
        if self.memory_changes.is_empty() { self.memory_sealed } else { self.out.open_ticket() }
    }

    /// What is remembered of every partition of the shard.
    pub fn memories(&self) -> impl Iterator<Item = (PartitionId, PartitionMemory)> + '_ {
        self.partitions.iter()
    }

    /// Moves a partition to its next tenure, and tells it.
    pub fn advance_tenure(&mut self, partition: PartitionId) -> Tenure {
        let memory = self.memory(partition);
        let tenure = Tenure(memory.tenure.0.saturating_add(1));
        self.remember(partition, PartitionMemory { tenure, ..memory });
        tenure
    }

    /// This owner has taken over the partition's data.
    pub fn establish(&mut self, partition: PartitionId) {
        let memory = self.memory(partition);
        self.remember(partition, PartitionMemory { is_established: true, ..memory });
    }

    /// An owner to come has learned how far a partition is sealed and frozen by an established owner: from now on it takes what is
    /// written.
    pub fn learn_seal(&mut self, partition: PartitionId, sealed: Tick, frozen: Tick) {
        self.change_memory(partition, |memory| {
            memory.sealed = memory.sealed.max(sealed);
            memory.frozen = memory.frozen.max(frozen);
            memory.knows_seal = true;
        });
    }

    /// Under the layout of this number an owner has exchanged all with every owner of before.
    pub fn mark_synced(&mut self, partition: PartitionId, layout: u64) {
        self.change_memory(partition, |memory| memory.synced = memory.synced.max(layout));
    }

    /// Nothing is left here of the time as an owner: all of it was handed over and deleted. The ticks are forgotten with it.
    pub fn mark_cleared(&mut self, partition: PartitionId) {
        self.change_memory(partition, |memory| {
            let PartitionMemory { tenure, role, role_since, synced, .. } = *memory;
            *memory = PartitionMemory { tenure, role, role_since, synced, is_cleared: true, ..Default::default() };
        });
    }

    /// Changes what is remembered of a partition.
    pub fn change_memory(&mut self, partition: PartitionId, change: impl FnOnce(&mut PartitionMemory)) {
        let mut memory = self.memory(partition);
        change(&mut memory);
        self.remember(partition, memory);
    }

    /// Refuses events up to a tick from now on, without telling anybody: only in memory.
    pub fn refuse(&mut self, partition: PartitionId, tick: Tick) {
        let memory = self.memory(partition);
        self.partitions.set(partition, PartitionMemory { refusing: memory.refusing.max(tick), ..memory });
    }

    /// There is something to settle of this tick.
    pub fn note_tick(&mut self, partition: PartitionId, tick: Tick) {
        self.footing.note(partition, tick);
        let memory = self.partitions.get(partition);
        if tick > memory.newest {
            self.remember(partition, PartitionMemory { newest: tick, ..memory });
        }
    }

    fn remember(&mut self, partition: PartitionId, memory: PartitionMemory) {
        let (key, value) = self.partitions.set(partition, memory);
        self.memory_changes.insert(key, value);
    }
}
