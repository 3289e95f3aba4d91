//! Who knew what: actors, dots, version vectors.
//!
//! ```text
//! ActorId = expiry tick | epoch | tenure      one memory, never one machine
//! Dot     = ActorId + event                   one write; never minted twice
//! VersionVector                               per actor the largest event seen
//! Context = floor + VersionVector             every dot of actors that expired by the floor, too
//! ```
//!
//! `value` builds its lattices on these; `replica/mint.rs` is the only place that makes a new dot.
//! Source: Preguiça et al., "Dotted Version Vectors" (2010); `ActorId` answers Riak issue 679 (an actor that forgets).

mod actor;
mod context;
mod dot;
mod version_vector;

pub use actor::{ActorId, Epoch, Tenure, Tick};
pub use context::Context;
pub use dot::Dot;
pub use version_vector::VersionVector;
