//! The actor: the name of a memory, not of a machine.
//!
//! Every start of a node takes a new random epoch, every loss of a row advances the tenure, and every actor expires
//! at a tick that its own name tells. So a wiped disk, a restored backup and a cloned directory never continue the
//! numbers of their past.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{WallTime, micros};

/// A slot of time at which actors expire. Unit: ticks since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Tick(pub u32);

/// Random number of one start of one node: the memory that this start has, and no other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// How often a partition's rows were forgotten (deleted with their header) by this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Tenure(pub u32);

impl Tenure {
    /// The tenure of a client's session, which no node reaches: it is no memory of a row.
    pub const SESSION: Tenure = Tenure(u32::MAX);
}

/// An actor: 16 bytes, the same on disk and on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorId {
    /// Nothing is minted under this actor at or after this tick.
    pub expires: Tick,
    /// The start that minted under it.
    pub epoch: Epoch,
    /// The tenure of the row's partition when the row took this actor.
    pub tenure: Tenure,
}

impl Tick {
    /// The tick that a wall time lies in.
    pub fn at(wall: WallTime, tick: Duration) -> Tick {
        Tick(u32::try_from(wall.0 / micros(tick).max(1)).unwrap_or(u32::MAX))
    }

    /// The expiry of an actor that starts now: the end of the lease after the present one, so that all actors that
    /// start within one lease expire together, one to two leases from now.
    pub fn lease_end(self, lease_ticks: u32) -> Tick {
        let lease = lease_ticks.max(1);
        Tick((self.0 / lease).saturating_add(2).saturating_mul(lease))
    }
}

impl ActorId {
    /// Length of an actor in bytes.
    pub const BYTES: usize = 16;

    /// Whether it is a client's session; else a node minted under it.
    pub fn is_session(self) -> bool {
        self.tenure == Tenure::SESSION
    }

    /// Big-endian, so that the order of the bytes is the order of the actors.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (expires, rest) = bytes.split_at_mut(4);
        let (epoch, tenure) = rest.split_at_mut(8);
        expires.copy_from_slice(&self.expires.0.to_be_bytes());
        epoch.copy_from_slice(&self.epoch.0.to_be_bytes());
        tenure.copy_from_slice(&self.tenure.0.to_be_bytes());
        bytes
    }

    /// The reverse of [`ActorId::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> ActorId {
        let number = u128::from_be_bytes(bytes);
        ActorId {
            expires: Tick((number >> 96) as u32),
            epoch: Epoch((number >> 32) as u64),
            tenure: Tenure(number as u32),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}.{}", self.epoch, self.expires.0, self.tenure.0)
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_keep_the_order() {
        let small = ActorId { expires: Tick(7), epoch: Epoch(u64::MAX), tenure: Tenure(3) };
        let large = ActorId { expires: Tick(8), epoch: Epoch(0), tenure: Tenure(0) };
        assert_eq!(ActorId::from_bytes(small.to_bytes()), small);
        assert!(small < large && small.to_bytes() < large.to_bytes());
    }

    #[test]
    fn actors_of_one_lease_expire_together() {
        assert_eq!(Tick(100).lease_end(10), Tick(120));
        assert_eq!(Tick(109).lease_end(10), Tick(120));
        assert_eq!(Tick(110).lease_end(10), Tick(130));
    }
}
