//! Marks: which directory speaks, and how far a partition is settled in it. They stand in all that may change what is
//! frozen, so that the receiver can tell an exchange with a known directory from everything else.

use crate::ids::{NodeId, PartitionId};
use crate::message::peer::Marks;
use crate::mutation::{self, Mutation};
use crate::shard::{Env, Turn};

/// The own directory, and how far a partition is settled in it.
pub fn marks(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> Marks {
    let memory = turn.memory(partition);
    Marks {
        incarnation: env.incarnation,
        sealed: memory.sealed,
        frozen: memory.frozen,
        compacted: memory.compacted,
        folded: memory.folded,
    }
}

/// R7: whether what a co-owner sends under these marks may change frozen ticks: its directory is the one that is known
/// here, from its answer to an own round.
pub fn is_known(env: &Env<'_>, turn: &Turn, node: NodeId, marks: &Marks) -> bool {
    !env.config.stability || turn.footing().incarnation_of(node) == Some(marks.incarnation)
}

/// Whether the sender of these marks had forgotten as much as this node: only then may what it sends change frozen ticks,
/// for else it may bring back what is forgotten here.
pub fn is_level(turn: &Turn, partition: PartitionId, marks: &Marks) -> bool {
    marks.folded >= turn.memory(partition).folded || mutation::is_off(Mutation::OlderFoldVouched)
}
