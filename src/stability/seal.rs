//! When a tick may be sealed: rule R6.
//!
//! ```text
//! owner      clock past the end of t, and its bound ──→ sealed = t: clients' events of ticks ≤ t are refused ──durable──→ announced
//! fallback   the same ──→ refusing t ──a survey begun after that finds no row of ticks ≤ t──→ sealed = t ──durable──→ announced
//! ```
//!
//! Clocks decide only when ([`Env::sealable`]). Nothing is sealed while a node of the accept set does not answer: the partition could not be
//! settled anyway, and what is refused would be missed.

use crate::causality::Tick;
use crate::ids::PartitionId;
use crate::mutation::{self, Mutation};
use crate::shard::Env;
use crate::value::Row;

/// Whether all that the seal waits for can be reached from here.
pub fn is_worthwhile(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.accept_set(partition).iter().all(|node| env.liveness.is_reachable(*node))
}

/// Whether a fallback that holds this row may not yet seal the tick.
pub fn holds_back(row: &Row, tick: Tick) -> bool {
    !mutation::is_off(Mutation::SealWithHints) && row.actors().any(|(actor, _)| actor.expires <= tick)
}
