//! The role of a directory in a partition, as it was when its memory of the partition was written last.
//!
//! What a directory remembers means something only together with the role: `is_established` says of an owner that it has the
//! data, of a stand-in that it knows the seal. So a change of the role, which another layout brings, and the forgetting of what
//! held for the earlier one are one write, made before anything else is done under that layout.

use super::PartitionMemory;
use crate::causality::Tick;
use crate::ids::{NodeId, PartitionId};
use crate::mutation::{self, Mutation};
use crate::ring::RingView;

/// What a directory was to a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing; or the memory is of a program that did not note it, under the founding layout.
    #[default]
    None,
    /// It stood in.
    Fallback,
    /// It was an owner, or one of before that hands over.
    Owner,
}

impl Role {
    /// The role that a view gives to a node.
    pub fn of(ring: &RingView, node: NodeId, partition: PartitionId) -> Role {
        if ring.is_owner(partition, node) || ring.leavers(partition).contains(&node) {
            Role::Owner
        } else if ring.accepts(partition, node) {
            Role::Fallback
        } else {
            Role::None
        }
    }
}

impl PartitionMemory {
    /// What is remembered in this role since the layout of that number; `None` if the role is the same.
    pub fn in_role(self, role: Role, number: u64) -> Option<PartitionMemory> {
        if self.role == role {
            return None;
        }
        // Under the founding layout nobody has had another role before.
        let is_first_note = self.role == Role::None && number <= 1;
        let mut memory = PartitionMemory { role, role_since: number, ..self };
        if is_first_note || mutation::is_off(Mutation::RoleKeepsEstablished) {
            return Some(memory);
        }
        memory.is_established = false;
        memory.knows_seal = false;
        memory.has_strays |= self.role == Role::Owner && !self.is_cleared;
        memory.is_cleared = false;
        if role == Role::Owner {
            // A newborn takes its teachers' ticks; until then nothing that comes may count as settled.
            let sealed = if self.role == Role::Fallback { self.sealed } else { Tick(0) };
            memory = PartitionMemory { sealed, frozen: Tick(0), compacted: Tick(0), folded: Tick(0), ..memory };
            memory.has_strays = false;
            memory.synced = 0;
            memory.is_unswept = false;
        }
        Some(memory)
    }
}
