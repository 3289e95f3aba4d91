//! What nodes and clients say to each other: shapes, and what seals those that clients keep.
//!
//! ```text
//! client/     client ⇄ node     Hello, then Call → Answer
//! peer/       shard  ⇄ shard    Frame of messages, each addressed to a partition
//! contexts.rs what a second step sends back: sealed, for one key
//! token.rs    what a session has seen: sealed
//! codec.rs    bytes             length │ version │ msgpack with named fields; limits before memory is taken
//! envelope.rs a stream      messages out of bytes as they arrive, in memory that grows with them
//! weight.rs   estimates         what frames are filled and queues bounded by, before anything is encoded
//! ```

pub mod client;
pub mod codec;
pub mod contexts;
pub mod envelope;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod golden_tests;
pub mod peer;
pub mod token;
pub mod weight;
