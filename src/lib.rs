//! Starling.
pub mod antientropy;
pub mod causality;
pub mod config;
pub mod coordinator;
pub mod hints;
pub mod ids;
pub mod limits;
pub mod membership;
pub mod message;
pub mod mutation;
pub mod replica;
pub mod ring;
pub mod shard;
pub mod storage;
pub mod time;
pub mod value;
