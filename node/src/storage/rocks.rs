//! The core's [`Store`] on RocksDB: one database per data directory, one column family per space.
//!
//! - `get` reads with the tier "block cache": memtables and cached blocks, never a file. What cannot be told from there
//!   comes back as [`Lookup::NotInMemory`]; most absent keys can, by their filters.
//! - `write` is one write batch with the log on and no sync: atomic over all spaces, and in the system's hands when it
//!   returns, so it survives a killed process.
//! - `sync` is one fsync of the log, for all batches before it. After a failed write or sync nothing succeeds any more:
//!   the pages that failed may be gone although the next fsync says yes.
//! - Checksums are verified on every read of a file. A failed one is an error, never an absent row; so is a file that is gone.
//!   Both are told apart from what may pass: the node then begins anew without this directory (`heal`).
//!
//! Costs, measured with rows of 100 bytes on a busy machine: `get` 0.5 µs from a memtable, 1.7 µs from a cached block,
//! 0.7 µs for an absent key, 1.6 µs to learn that a row is not in memory, plus one copy of the value; `write` 7 µs for a
//! batch of one, below 1 µs per row for a batch of a hundred; a page of 512 rows 0.25 ms; `sync` whatever the disk takes.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, ErrorKind, ReadOptions, ReadTier, WriteBatch, WriteOptions};
use starling::config::Durability;
use starling::storage::{Batch, Change, Lookup, Page, PageLimit, Range, Space, Store, StoreError, StoreErrorKind};

use super::tuning::{self, Tuning};

/// What a change costs in a write batch beside its key and value. Unit: bytes.
const CHANGE_OVERHEAD_BYTES: usize = 16;

/// A data directory that cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// Another process holds it.
    #[error("the data directory {} is in use: is another node running on it? ({detail})", dir.display())]
    InUse {
        /// Which directory.
        dir: PathBuf,
        /// What RocksDB says.
        detail: String,
    },
    /// It holds something that this version does not know.
    #[error(
        "the data directory {} was not written by this version of Starling; use the version that wrote it, or an empty \
         directory ({detail})",
        dir.display()
    )]
    Unknown {
        /// Which directory.
        dir: PathBuf,
        /// What RocksDB says.
        detail: String,
    },
    /// Its files are damaged.
    #[error(
        "the data directory {} is damaged; move it away and start with an empty one, then the other owners bring the \
         data back ({detail})",
        dir.display()
    )]
    Damaged {
        /// Which directory.
        dir: PathBuf,
        /// What RocksDB says.
        detail: String,
    },
    /// The system refused: rights, space, a path that is no directory.
    #[error("the data directory {} cannot be opened: {detail}", dir.display())]
    Io {
        /// Which directory.
        dir: PathBuf,
        /// What the system says.
        detail: String,
    },
}

/// A node's store on disk. Dropping it closes the directory and waits for what RocksDB does in the background.
pub struct RocksStore {
    db: DB,
    /// Memory only.
    cached: ReadOptions,
    /// Memory, then disk.
    whole: ReadOptions,
    unsynced: WriteOptions,
    /// The first failed write or sync.
    failure: OnceLock<StoreError>,
}

impl RocksStore {
    /// Opens a data directory, or makes it (readable by its owner only), with the default [`Tuning`].
    pub fn open(dir: &Path, durability: Durability) -> Result<RocksStore, OpenStoreError> {
        RocksStore::open_tuned(dir, durability, &Tuning::default())
    }

    /// Opens a data directory, or makes it. Replays the log of the last run.
    pub fn open_tuned(dir: &Path, durability: Durability, tuning: &Tuning) -> Result<RocksStore, OpenStoreError> {
        make_directory(dir).map_err(|error| OpenStoreError::Io { dir: dir.to_owned(), detail: error.to_string() })?;
        let families = tuning::column_families(tuning);
        let db = DB::open_cf_descriptors(&tuning::database(tuning, durability), dir, families)
            .map_err(|error| open_error(dir, error))?;
        Ok(RocksStore::of(db))
    }

    /// Opens a directory that nobody writes to, such as a backup's, without changing it: every write fails.
    pub fn open_read_only(dir: &Path) -> Result<RocksStore, OpenStoreError> {
        let tuning = Tuning::default();
        let mut options = tuning::database(&tuning, Durability::Fsync);
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        // An earlier version made directories without some spaces.
        let there = DB::list_cf(&options, dir).map_err(|error| open_error(dir, error))?;
        let spaces = Space::ALL.into_iter().filter(|space| there.iter().any(|name| name == tuning::family(*space)));
        let db = DB::open_cf_descriptors_read_only(&options, dir, tuning::families_of(&tuning, spaces), false)
            .map_err(|error| open_error(dir, error))?;
        Ok(RocksStore::of(db))
    }

    /// Writes all that this store shows now into a new directory, as a directory that can be opened. What is written
    /// meanwhile may be in it or not, but always as a prefix. Files that never change are shared where the file system can.
    pub fn checkpoint(&self, dir: &Path) -> Result<(), StoreError> {
        let failed = |error: rocksdb::Error| StoreError::io(format!("{} could not be written: {error}", dir.display()));
        Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(dir)).map_err(failed)
    }

    /// What the rows take, about: the files in use, and memory that is still to be written to one. What was replaced or deleted
    /// counts until it is compacted away; the estimate of live data leaves out whole levels while little is on disk.
    pub fn rows_bytes(&self) -> u64 {
        let property = |name: &str| self.db.property_int_value_cf(self.family(Space::Rows).ok()?, name).ok().flatten();
        let parts = ["rocksdb.live-sst-files-size", "rocksdb.cur-size-all-mem-tables"].map(property);
        parts.into_iter().flatten().sum()
    }

    fn of(db: DB) -> RocksStore {
        let mut cached = ReadOptions::default();
        cached.set_read_tier(ReadTier::BlockCache);
        let mut unsynced = WriteOptions::default();
        unsynced.set_sync(false);
        RocksStore { db, cached, whole: ReadOptions::default(), unsynced, failure: OnceLock::new() }
    }

    fn family(&self, space: Space) -> Result<&ColumnFamily, StoreError> {
        let lacking = || StoreError::io(format!("this directory has no {}", tuning::family(space)));
        self.db.cf_handle(tuning::family(space)).ok_or_else(lacking)
    }

    fn working(&self) -> Result<(), StoreError> {
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    fn failed(&self, what: &str, error: rocksdb::Error) -> StoreError {
        let detail = format!("{what}: {error}; what it covers may be lost, the node must stop and start again");
        self.failure.get_or_init(|| StoreError { kind: kind_of(&error), detail }).clone()
    }
}

impl Store for RocksStore {
    fn get(&self, space: Space, key: &[u8]) -> Lookup {
        let family = match self.family(space) {
            Ok(family) => family,
            Err(error) => return Lookup::Failed(error),
        };
        match self.db.get_pinned_cf_opt(family, key, &self.cached) {
            Ok(Some(value)) => Lookup::Found(Bytes::copy_from_slice(&value)),
            Ok(None) => Lookup::Absent,
            Err(error) if error.kind() == ErrorKind::Incomplete => Lookup::NotInMemory,
            Err(error) => Lookup::Failed(read_error(space, error)),
        }
    }

    fn fetch(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.db.get_pinned_cf_opt(self.family(space)?, key, &self.whole) {
            Ok(value) => Ok(value.map(|value| Bytes::copy_from_slice(&value))),
            Err(error) => Err(read_error(space, error)),
        }
    }

    fn scan(&self, space: Space, range: &Range, limit: PageLimit) -> Result<Page, StoreError> {
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Ok(Page { entries: Vec::new(), is_last: true });
        }
        let mut options = ReadOptions::default();
        if let Some(end) = &range.end {
            options.set_iterate_upper_bound(end.as_ref());
        }
        // A scan of everything must not push the hot rows out of the cache.
        options.fill_cache(false);
        // The iterator reads from the snapshot of its making.
        let mut rows = self.db.raw_iterator_cf_opt(self.family(space)?, options);
        let mut page = Page::default();
        let mut bytes = 0;
        rows.seek(&range.start);
        while let Some((key, value)) = rows.item() {
            if !page.entries.is_empty() && (page.entries.len() >= limit.rows || bytes >= limit.bytes) {
                return Ok(page);
            }
            bytes += key.len() + value.len();
            page.entries.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            rows.next();
        }
        // An iterator also ends at an error: only its status tells the end of the range from a page that failed.
        rows.status().map_err(|error| read_error(space, error))?;
        page.is_last = true;
        Ok(page)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.working()?;
        let size = |(_, key, change): &(Space, Bytes, Change)| match change {
            Change::Put(value) => key.len() + value.len() + CHANGE_OVERHEAD_BYTES,
            Change::Delete => key.len() + CHANGE_OVERHEAD_BYTES,
        };
        let mut writes = WriteBatch::with_capacity_bytes(batch.changes.iter().map(size).sum());
        for (space, key, change) in &batch.changes {
            match change {
                Change::Put(value) => writes.put_cf(self.family(*space)?, key, value),
                Change::Delete => writes.delete_cf(self.family(*space)?, key),
            }
        }
        self.db.write_opt(writes, &self.unsynced).map_err(|error| self.failed("a batch could not be written", error))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.working()?;
        self.db.flush_wal(true).map_err(|error| self.failed("the log could not be synced", error))
    }
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksStore").field("dir", &self.db.path()).field("failure", &self.failure.get()).finish()
    }
}

/// Makes the directory, and its name durable in the one above: else a power cut could take the whole of it away after
/// writes were acknowledged.
fn make_directory(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()
}

fn read_error(space: Space, error: rocksdb::Error) -> StoreError {
    let detail = format!("{} could not be read: {error}; nothing was changed", tuning::family(space));
    StoreError { kind: kind_of(&error), detail }
}

/// A checksum that does not fit, and a table file that is gone, stay so: what stood there is lost here.
fn kind_of(error: &rocksdb::Error) -> StoreErrorKind {
    let is_gone = || error.kind() == ErrorKind::IOError && error.as_ref().contains("No such file or directory");
    if error.kind() == ErrorKind::Corruption || is_gone() { StoreErrorKind::Corrupt } else { StoreErrorKind::Io }
}

fn open_error(dir: &Path, error: rocksdb::Error) -> OpenStoreError {
    let (dir, kind, detail) = (dir.to_owned(), error.kind(), error.into_string());
    match kind {
        // "While lock file: …/LOCK: Resource temporarily unavailable", or of this process "lock hold by current process".
        ErrorKind::IOError if detail.contains("While lock file") || detail.contains("lock hold by current process") => {
            OpenStoreError::InUse { dir, detail }
        }
        ErrorKind::InvalidArgument | ErrorKind::NotSupported => OpenStoreError::Unknown { dir, detail },
        ErrorKind::Corruption => OpenStoreError::Damaged { dir, detail },
        _ => OpenStoreError::Io { dir, detail },
    }
}

#[cfg(test)]
#[path = "rocks_tests.rs"]
mod tests;
