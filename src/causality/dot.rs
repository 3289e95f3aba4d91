//! The dot: the name of one write.

use serde::{Deserialize, Serialize};

use super::ActorId;

/// Event number `event` of `actor` on one row. Unique for ever: no two writes of a row share a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who minted it.
    pub actor: ActorId,
    /// Counts from 1 for each actor and row.
    pub event: u64,
}
