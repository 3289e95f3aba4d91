//! Moving data between owners while the members change: loading those who come, clearing those who go.
//!
//! ```text
//! Moving    incoming.rs  owner to come: asks one owner of before for the seal ──→ takes what is written from now on
//!                                       exchanges with every owner of before, one after the other ──→ established, synced
//!                        who stays:     the exchange that runs anyway, with every owner of before ──→ synced
//! Closing   outgoing.rs  owner of before: exchanges with every owner, only giving ──all have everything──→ drops its rows ──→ cleared
//! always                 the same for what an earlier layout has left here
//! ```
//!
//! **Why with every owner of before.** A write may be acknowledged with W = 1, or by any two of three: one teacher may be the one
//! that lacks it. **Why an exchange that both sides began under the present layout.** What an owner acknowledged for an older
//! coordinator stands there before it took the layout up; what comes later is counted among the owners to come too. **Why an
//! exchange is proof enough for clearing.** Who hands over takes nothing any more, so what all owners have taken once is all.
//!
//! Rows travel by the exchange of [`crate::antientropy`], so what is there already does not travel again, and an exchange
//! that was cut off goes on from what it brought. How fast is for [`crate::antientropy::Pace`] to say. Called by the shard.
//! Bounded: [`crate::limits::TRANSFERS_MAX`] partitions are loaded at once, here and by one teacher; one look through the rows at a time.
//! Memory: one entry per partition that moves. Source: Riak KV's handoff and ScyllaDB's bootstrap and decommission, for the
//! order of phases; the proof obligations are those of `simulations/src/model/shards`.

mod incoming;
mod outgoing;
mod progress;

pub use incoming::{Incoming, Lesson, Loaded};
pub use outgoing::{Looked, Outgoing};
pub use progress::Came;

/// What a shard knows of the moves that it takes part in.
#[derive(Debug, Default)]
pub struct Transfer {
    /// What it takes over.
    pub incoming: Incoming,
    /// What it hands over.
    pub outgoing: Outgoing,
    /// An operator has halted the moving of data.
    pub is_paused: bool,
}
