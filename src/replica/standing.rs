//! How a node stands to a partition: what it may take, show and mint.
//!
//! ```text
//!                                  takes fresh writes   takes exchanged rows   mints, shows, counts
//! owner    Owner                   yes                  yes                    yes
//!          Newborn                 no                   yes, as it asked       no
//!          Joining (owner to come) yes                  yes, as it asked       no
//! before   Leaving                 no                   no                     no: it hands over
//! other    Fallback                for owners           no                     yes
//!          Outside                 no                   no                     no
//! ```
//!
//! A pure function of the view and of what is remembered; asked anew for every message.

use super::PartitionMemory;
use crate::ids::{NodeId, PartitionId};
use crate::ring::RingView;
use crate::shard::{Env, Turn};

/// How this node stands to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It belongs to this node, and this node has its data.
    Owner,
    /// It belongs to this node, which has not taken over its data yet; or the node may stand in, but does not know yet
    /// how far the partition is sealed. It accepts and shows nothing.
    Newborn,
    /// It is to belong to this node, which is being loaded and knows how far the partition is sealed: it takes what is written,
    /// and neither mints nor shows.
    Joining,
    /// It belonged to this node, which hands over what it still has and takes nothing fresh.
    Leaving,
    /// This node may stand in.
    Fallback,
    /// It has nothing to do with it; or it stood in before, and takes no more hints.
    Outside,
}

impl Standing {
    /// How the own node stands to a partition.
    pub fn of(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> Standing {
        Standing::by(env.ring, env.me, partition, &turn.memory(partition), env.config.stability)
    }

    /// Whether this node is an owner to come that owners of before must load first.
    pub fn is_loading(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> bool {
        let is_to_come = env.ring.owners_to_come(partition).contains(&env.me);
        is_to_come && !env.ring.readers(partition).contains(&env.me) && !turn.memory(partition).is_established
    }

    /// The same of any node that remembers this; `settles`: partitions are settled in this cluster, so a stand-in must know how
    /// far they are.
    pub fn by(
        ring: &RingView,
        node: NodeId,
        partition: PartitionId,
        memory: &PartitionMemory,
        settles: bool,
    ) -> Standing {
        if ring.is_owner(partition, node) {
            let is_to_come = ring.joiners(partition).any(|joiner| joiner == node);
            match (memory.is_established, is_to_come && memory.knows_seal) {
                (true, _) => Standing::Owner,
                (false, true) => Standing::Joining,
                (false, false) => Standing::Newborn,
            }
        } else if ring.leavers(partition).contains(&node) {
            Standing::Leaving
        } else if ring.write_sets(partition).iter().any(|set| set.accept_set().contains(&node)) {
            if memory.is_established || !settles { Standing::Fallback } else { Standing::Newborn }
        } else {
            Standing::Outside
        }
    }
}
