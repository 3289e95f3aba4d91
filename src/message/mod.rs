//! What nodes and clients say to each other. Shapes only, no behaviour.
//!
//! ```text
//! client.rs   client ⇄ node     Hello, then Call → Answer
//! peer.rs     shard  ⇄ shard    Frame of messages, each addressed to a partition
//! codec.rs    bytes             length │ version │ msgpack with named fields; limits before memory is taken
//! envelope.rs a stream      messages out of bytes as they arrive, in memory that grows with them
//! weight.rs   estimates         what frames are filled and queues bounded by, before anything is encoded
//! ```

pub mod client;
pub mod codec;
pub mod contexts;
pub mod envelope;
pub mod peer;
pub mod token;
pub mod weight;
