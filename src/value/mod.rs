//! Values: what is stored for a key, and how two replicas of it become one.
//!
//! ```text
//! Row = string × every field that this program does not know        (a product: merge is pointwise)
//!         │
//!         ├── touched     largest stamp                             largest bytes
//!         ├── register    last writer wins                          latest stamp
//!         └── counter     entries per actor, baselines per actor    largest event per actor
//! ```
//!
//! Every part is a join-semilattice, so rows may be merged in any order, any number of times, whole or as deltas, and
//! every replica that saw the same writes shows the same value and has the same bytes.
//!
//! The replica and the coordinator call [`Row`] and answer with the [`Visible`] that it shows. Here is no I/O and no clock: dots and
//! stamps are handed in by `replica/mint.rs`. A merge of a delta costs one binary search per entry of the delta;
//! encoding and decoding are one pass each.
//!
//! Source: Shapiro et al., "Conflict-free Replicated Data Types" (2011); Almeida et al., "Delta State Replicated Data
//! Types" (2018); the reset by baselines is our own (see [`counter`]).

mod beside;
mod compaction;
pub mod counter;
mod dotted;
mod encoding;
mod error;
mod expiry;
mod field;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod history;
#[cfg(test)]
mod history_tests;
mod kind;
#[cfg(test)]
pub(crate) mod laws;
mod others;
mod per_actor;
mod record;
pub mod register;
mod score;
mod seen;
mod session;
mod settled;
mod show;
mod sketch;
mod string;
mod sum;
mod unknown;
mod visible;
mod wire;
mod writing;

pub use beside::{Beside, ElementCount, SessionSum};
pub use counter::Totals;
pub use error::{DecodeError, ValueError};
pub use field::MergeKind;
pub use kind::ValueType;
pub use record::Row;
pub use score::Score;
pub use seen::{Answered, Seen};
pub use settled::Sum;
pub use visible::Visible;
