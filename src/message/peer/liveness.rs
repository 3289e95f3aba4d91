//! Who is there, and which start of a member is the one that lives ([`crate::membership`]).

use serde::{Deserialize, Serialize};

use crate::causality::Epoch;
use crate::time::WallTime;

/// Liveness, with the sender's wall clock for the skew alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The sender's wall clock.
    pub wall: WallTime,
}

/// Asks a start whether it lives, because another start of its member speaks too. See [`crate::membership::claims`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The asker's round.
    pub round: u64,
    /// Another start of the receiver's member that lives, if the asker has proof.
    pub rival: Option<Epoch>,
}

/// Answer to [`Challenge`]; the frame's epoch says of which start it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The asker's round.
    pub round: u64,
    /// The start of the asker.
    pub epoch: Epoch,
}
