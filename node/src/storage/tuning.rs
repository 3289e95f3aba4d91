//! How RocksDB is set, and why.
//!
//! ```text
//! write ─→ WAL (bounded) + memtable ─flush→ L0 ─compaction→ L1 …      one column family per space
//! get   ─→ memtable → block cache: filters, indexes, data             never the disk
//! ```
//!
//! Memory is bounded by the block cache, by three memtables per column family, and by the table readers of
//! [`OPEN_FILES_MAX`] files. Two background threads leave the cores to the shards.

use std::os::raw::c_int;

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options};
use starling::config::Durability;
use starling::storage::Space;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Table files held open. A file beyond it is opened when a fetch needs it.
const OPEN_FILES_MAX: c_int = 512;

/// The numbers that depend on the machine. Unit: bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Memory for blocks, indexes and filters read from disk, shared by all spaces. Default 256 MiB. A larger one answers
    /// more reads inside a turn; a read that misses costs a job.
    pub block_cache_bytes: usize,
    /// Writes of rows gathered in memory before they are flushed to a file. Default 16 MiB. A larger one makes fewer files
    /// and a longer start after a crash.
    pub memtable_bytes: usize,
    /// The log that a start replays at most, about. Default 128 MiB. Beyond it the oldest memtables are flushed.
    pub log_bytes_max: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning { block_cache_bytes: 256 * MIB, memtable_bytes: 16 * MIB, log_bytes_max: 128 * MIB as u64 }
    }
}

/// Options of the database as a whole.
pub(super) fn database(tuning: &Tuning, durability: Durability) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // One writer at a time, in the order of the turns: the parallel memtable only costs.
    options.set_allow_concurrent_memtable_write(false);
    options.set_enable_write_thread_adaptive_yield(false);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_file_opening_threads(1);
    options.set_skip_stats_update_on_db_open(true);
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_max_total_wal_size(tuning.log_bytes_max);
    // A torn or flipped record ends the replay: what a start shows is always a prefix of what was written.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_paranoid_checks(true);
    // Files of flushes and compactions are written back in steps, so that a sync of the log does not wait behind them.
    options.set_bytes_per_sync(MIB as u64);
    if durability == Durability::Wal {
        // Nobody syncs the log: let the system write it back steadily, so that a power cut takes little.
        options.set_wal_bytes_per_sync(MIB as u64);
    }
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(4 * MIB);
    options.set_keep_log_file_num(3);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_max_manifest_file_size(16 * MIB);
    options
}

/// Every column family with its options: one per space, and the default one, which RocksDB insists on and nobody uses.
pub(super) fn column_families(tuning: &Tuning) -> Vec<ColumnFamilyDescriptor> {
    families_of(tuning, Space::ALL)
}

/// Those of some spaces only: an earlier version made directories without the others.
pub(super) fn families_of(tuning: &Tuning, spaces: impl IntoIterator<Item = Space>) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(tuning.block_cache_bytes);
    let mut families: Vec<ColumnFamilyDescriptor> = spaces
        .into_iter()
        .map(|space| ColumnFamilyDescriptor::new(family(space), family_options(space, tuning, &cache)))
        .collect();
    let mut unused = Options::default();
    unused.set_write_buffer_size(64 * KIB);
    families.push(ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, unused));
    families
}

/// The name of a space on disk. Never changes.
pub(super) fn family(space: Space) -> &'static str {
    match space {
        Space::Rows => "rows",
        Space::Debts => "debts",
        Space::Meta => "meta",
        Space::Trees => "trees",
    }
}

fn family_options(space: Space, tuning: &Tuning, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(4 * KIB);
    table.set_format_version(5);
    // The filter answers "not there" from memory for 99 % of absent keys: a first write of a key needs no job. Filters
    // and indexes count towards the cache, and leave it last.
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(64 * MIB as u64);
    options.set_max_bytes_for_level_base(256 * MIB as u64);
    options.set_max_write_buffer_number(3);
    options.set_write_buffer_size(match space {
        Space::Rows => tuning.memtable_bytes,
        // Debts come in bursts, during splits; Meta hardly changes.
        Space::Debts => (tuning.memtable_bytes / 4).max(64 * KIB),
        Space::Meta | Space::Trees => MIB.min(tuning.memtable_bytes),
    });
    options
}
