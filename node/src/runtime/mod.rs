//! The runtime: threads around the shards of the core.
//!
//! ```text
//! transport ─→ router ─→ mailbox ─→ shard_thread ─→ Store::write
//!                          ↑ ↑         │  │  └─ effects ─→ transport · connections · observer
//!                          │ │         │  └─ jobs ─┐
//!                          │ └─ JobDone ───────────┘
//!                          └─ Durable ← sync_thread ← note(ticket)
//! ```
//!
//! Shards, jobs and syncs run on plain threads, because they wait for the disk; the transport runs on tokio. They meet
//! in queues that never block the sender. `adopter` takes up layouts that were decided. `disk` watches the free space, `observer` and `counters` what happens.

pub mod adopter;
pub mod clock;
pub mod connections;
pub mod counters;
pub mod disk;
pub mod jobs;
mod links;
pub mod mailbox;
pub mod node;
pub mod observer;
pub mod present;
pub mod restart;
pub mod router;
pub mod shard_thread;
mod start_error;
pub mod sync_thread;
mod threads;

pub use router::{PeerLinks, Router};
