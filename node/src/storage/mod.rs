//! RocksDB as the store of the core.
//!
//! [`RocksStore`] keeps the contract of [`starling::storage::Store`] (its suite runs in the tests of `rocks`); [`Tuning`]
//! holds the few numbers that an operator may want to move, and `tuning` says why RocksDB is set as it is. The main
//! program opens one store per process; shard threads, the sync thread and the jobs share it.

pub mod heal;
mod rocks;
mod tuning;

pub use rocks::{OpenStoreError, RocksStore};
pub use tuning::Tuning;
