//! Values: what is stored for a key, and how two replicas of it become one.
//!
//! ```text
//! Row = string × siblings × flag × sketch × expiry × presence × score × every field that this program does not know
//!         │         (a product: merge is pointwise, whatever two sides of a split did)
//!         ├── touched     per type the largest stamp                largest bytes
//!         ├── register    last writer wins                          latest stamp
//!         └── counter     entries per actor, baselines per actor    largest event per actor
//!                         their sums, once actors have expired      floor
//!
//! main row ── Beside: what stands in rows of its own, added up in the local header, never replicated
//!               ├── session rows   one client session's entry and baseline     so an increment decodes none of the others
//!               └── element rows   member (presence) · field (string) · scored (score)
//! ```
//!
//! Every part is a join-semilattice, so rows may be merged in any order, any number of times, whole or as deltas, and
//! every replica that saw the same writes shows the same value and has the same bytes.
//!
//! | file | |
//! |---|---|
//! | `row`, `encoding`, `unknown`, `field` | the product, its bytes, and fields that merge by kind alone |
//! | `show`, `visible`, `kind` | which type a key shows, and the conflicts of a split |
//! | `writing`, `session` | the writes of every type, each with its delta |
//! | `compaction`, `settled`, `beside` | what is added up and forgotten once it is proved to be known everywhere |
//! | `giving_up` | what a row gives up that has slept through the forgetting of others |
//! | `register`, `counter`, `string`, `dotted`, `sketch`, `expiry`, `score`, `others` | the types |
//! | `per_actor`, `sum`, `wire` | what the types are made of |
//! | `seen`, `inspect`, `error` | what a session has seen, what `compare` shows, what can be wrong |
//! | `laws`, `history`, `fuzz_tests` (tests) | the laws, histories beside models, random input |
//!
//! The replica and the coordinator call [`Row`] and answer with the [`Visible`] that it shows. Here is no I/O and no clock: dots and
//! stamps are handed in by `replica/mint.rs`. A merge of a delta costs one binary search per entry of the delta;
//! encoding and decoding are one pass each.
//!
//! Source: Shapiro et al., "Conflict-free Replicated Data Types" (2011); Almeida et al., "Delta State Replicated Data
//! Types" (2018); the reset by baselines and the sums of expired actors are our own (see [`counter`]).

mod beside;
mod compaction;
pub mod counter;
mod digest;
mod dotted;
mod encoding;
mod error;
mod expiry;
mod field;
#[cfg(test)]
pub(crate) mod fuzz_tests;
mod giving_up;
#[cfg(test)]
pub(crate) mod golden_tests;
#[cfg(test)]
mod history;
#[cfg(test)]
mod history_tests;
mod inspect;
mod kind;
#[cfg(test)]
pub(crate) mod laws;
mod missed;
mod others;
mod per_actor;
pub mod register;
mod row;
mod score;
mod seen;
mod session;
mod settled;
mod show;
mod side_baselines;
mod sketch;
mod string;
mod sum;
mod unknown;
mod visible;
mod wire;
mod writing;

pub use beside::{Beside, ElementCount, SessionSum};
pub use compaction::Closed;
pub use counter::Totals;
pub use error::{DecodeError, ValueError};
pub use field::MergeKind;
pub use kind::ValueType;
pub use missed::Missed;
pub use row::Row;
pub use score::Score;
pub use seen::{Answered, Seen};
pub use settled::Sum;
pub use visible::Visible;
