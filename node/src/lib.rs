//! A Starling node: shards of the core, one RocksDB and one QUIC door in a process.
//!
//! ```text
//! client ─QUIC→ transport ─→ runtime::Router ─mailboxes→ shard threads ─→ transport ─QUIC→ peers
//!                                                          │     ↑ Durable
//!                                              write turns │     │
//!                                                          ▼     │
//!                                          storage::RocksStore ← sync thread, jobs
//! ```
//!
//! ```text
//! command_line  config      what was asked, and the settings in force
//! founding  issuing  bundle   making a cluster's files, one more member's, and reading a member's
//! backup                    copies of a running node, and a new cluster made of them
//! runtime                   threads around the shards; `runtime::node` starts and stops everything
//! transport     storage     the network, the disk
//! status  metrics  logging  exit   how the node is, what it says, why it ended
//! ```
//!
//! The core (`starling`) decides everything about the protocol; this crate only moves its inputs and effects between
//! sockets, threads and the disk, and stops the process when the disk fails. `main.rs` is the command line around it.

pub mod backup;
pub mod bundle;
pub mod command_line;
pub mod config;
pub mod exit;
pub mod founding;
pub mod issuing;
pub mod logging;
pub mod metrics;
pub mod runtime;
pub mod status;
pub mod storage;
pub mod transport;
