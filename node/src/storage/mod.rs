//! RocksDB as the store of the core.
