//! When a tick may be sealed: rule R6.
//!
//! ```text
//! owner      clock past the end of t, and its bound ──→ sealed = t: clients' events of ticks ≤ t are refused ──durable──→ announced
//! fallback   the same ──→ refusing t ──a survey begun after that finds no row of ticks ≤ t──→ sealed = t ──durable──→ announced
//! ```
//!
//! Clocks decide only when. Nothing is sealed while a node of the accept set does not answer: the partition could not be
//! settled anyway, and what is refused would be missed.

use crate::causality::Tick;
use crate::ids::PartitionId;
use crate::mutation::{self, Mutation};
use crate::shard::Env;
use crate::time::{WallTime, micros};
use crate::value::Row;

/// The largest tick that the clocks allow to seal: its end lies further back than they may differ, by the own clock and by
/// the peers'. One clock that jumps ahead for a moment would else seal the future, for ever.
pub fn sealable(env: &Env<'_>) -> Tick {
    let peers = env.liveness.wall_of_peers(env.now.mono).filter(|_| !mutation::is_off(Mutation::SealByOwnClock));
    let wall = peers.map_or(env.now.wall, |peers| peers.min(env.now.wall));
    let past = WallTime(wall.0.saturating_sub(micros(env.config.clock_ahead_max)));
    Tick(Tick::at(past, env.config.tick).0.saturating_sub(1))
}

/// Whether all that the seal waits for can be reached from here.
pub fn is_worthwhile(env: &Env<'_>, partition: PartitionId) -> bool {
    env.ring.accept_set(partition).iter().all(|node| env.liveness.is_reachable(*node))
}

/// Whether a fallback that holds this row may not yet seal the tick.
pub fn holds_back(row: &Row, tick: Tick) -> bool {
    !mutation::is_off(Mutation::SealWithHints) && row.actors().any(|(actor, _)| actor.expires <= tick)
}
