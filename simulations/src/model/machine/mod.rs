//! The machine: owners, a fallback, clients and a network, and every step that can happen to them, one at a time.
//!
//! ```text
//! values    what it moves about, as a trait        step     what can happen
//! world     the state of everything                apply    what it does, and when it is possible, with
//! rules     the rules, each with a switch              writing      what clients write
//!                                                      travelling   what travels, and what is taken of it
//!                                                      settling     seals, reports, compaction, folding
//!                                                      losing       copies of directories, and lost memory
//!                                                  check    what must be true of every state
//!                                                  search   random histories, every interleaving, shrinking
//! ```
//!
//! The network is a set that only grows: any message may arrive at any later time, any number of times, or never. Called
//! by `cli/model.rs` and by the tests. A state costs some 0.1 to 1 ms, nearly all of it the check.

#![allow(clippy::indexing_slicing, reason = "every index is a node, a key or a session of the instance at hand")]

mod apply;
mod check;
mod losing;
pub mod rules;
pub mod search;
mod settling;
pub mod step;
mod travelling;
pub mod values;
pub mod world;
mod writing;
