//! Why a replica did not take or show something.

use serde::{Deserialize, Serialize};

use crate::value::DecodeError;

/// Why a replica did not take or show something. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The partition is not this node's to hold.
    #[error("not in the accept set")]
    NotAccepted,
    /// An owner that has not taken over its data yet.
    #[error("newborn")]
    Newborn,
    /// Below the disk reserve.
    #[error("disk below its reserve")]
    DiskReserve,
    /// Another live process claims the same member id: an acknowledgement of one would bind the other.
    #[error("two live processes claim this member id")]
    TwoClaimants,
    /// Too much is owed to one owner already.
    #[error("hints are at their bound")]
    HintsFull,
    /// A queue is full.
    #[error("busy")]
    Busy,
    /// It would change what only exchanges may change now, or bring what the partition refuses already.
    #[error("it holds events of ticks that are sealed")]
    Frozen,
    /// Whether the sender's directory is the one that it was is not known here yet, or it is behind in forgetting.
    #[error("the sender's directory is not known here yet")]
    UnknownDirectory,
    /// The row holds data of a newer program.
    #[error("the row holds data of a newer program")]
    NewerRow,
    /// It was said under a layout that counts too few nodes for this partition.
    #[error("the layout has changed (the receiver is at number {have})")]
    StaleLayout {
        /// Number of the receiver's layout.
        have: u64,
    },
    /// The row could not be read, or what came is malformed.
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    /// Refuses bytes that are no row of this program.
    pub fn of_bytes(error: &DecodeError) -> Refusal {
        if error.is_newer() { Refusal::NewerRow } else { Refusal::Failed(error.to_string()) }
    }

    /// Whether it speaks of this row only: the next one may well be taken.
    pub fn is_of_one_row(&self) -> bool {
        match self {
            Refusal::NewerRow | Refusal::Frozen | Refusal::Failed(_) => true,
            Refusal::UnknownDirectory
            | Refusal::NotAccepted
            | Refusal::Newborn
            | Refusal::DiskReserve
            | Refusal::TwoClaimants
            | Refusal::HintsFull
            | Refusal::StaleLayout { .. }
            | Refusal::Busy => false,
        }
    }
}
