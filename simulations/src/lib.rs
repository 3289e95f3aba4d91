//! Starling under faults.
//!
//! The protocol core is driven here by a seeded virtual world instead of sockets and disks: the same code, every fault
//! on purpose, every run repeatable from its seed. The same plans run on real node processes in drills.
//!
//! Called by the program `starling-sim` and by the integration tests. One world is single-threaded and draws all
//! chance from one seed, so two runs of a seed leave the same trace hash; several worlds may run on several threads.

pub mod checker;
pub mod cli;
pub mod cost;
pub mod drill;
pub mod faults;
pub mod model;
#[cfg(feature = "mutations")]
pub mod mutants;
mod panics;
pub mod plan;
pub mod rehearsal;
pub mod report;
pub mod scenario;
pub mod swarm;
pub mod workload;
pub mod world;
