//! Taking a backup while the node runs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::backup::check_name;
use starling::message::client::{BackupRefusal, BackupTaken};
use starling::time::micros;
use tracing::{info, warn};

use super::manifest::{FileEntry, Manifest};
use super::{DATA, MANIFEST, PARTIAL};
use crate::runtime::clock;
use crate::runtime::disk::DiskGauge;
use crate::runtime::present::PresentRing;
use crate::storage::RocksStore;

/// Takes the backups of a node, one at a time. Cheap to clone.
#[derive(Clone)]
pub struct Backups {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    /// The node's threads hold it; once they have ended there is nothing to copy.
    store: Weak<RocksStore>,
    node: NodeId,
    ring: Arc<PresentRing>,
    tick: Duration,
    lease_ticks: u32,
    disk: Arc<DiskGauge>,
    /// The one that is being taken.
    under_way: Mutex<Option<String>>,
}

/// How fast the files of a backup are read for their checksums.
const READ_BYTES_PER_SECOND: u64 = 128 << 20;

/// What happens when a backup is there, or is not.
type Done = Box<dyn FnOnce(Result<BackupTaken, BackupRefusal>) + Send>;

impl Backups {
    /// Backups of this store, into this directory, which is made with the first of them. `disk` watches the store's file
    /// system.
    pub fn new(
        directory: PathBuf,
        store: &Arc<RocksStore>,
        (node, ring): (NodeId, Arc<PresentRing>),
        (tick, lease_ticks): (Duration, u32),
        disk: Arc<DiskGauge>,
    ) -> Backups {
        let (under_way, store) = (Mutex::new(None), Arc::downgrade(store));
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        remove_partials(&directory);
        Backups { shared: Arc::new(Shared { directory, store, node, ring, tick, lease_ticks, disk, under_way }) }
    }

    /// Begins a backup on a thread of its own; `done` is called there, or here if it is refused at once.
    pub fn begin(&self, name: String, done: Done) {
        if let Err(refusal) = self.admit(&name) {
            return done(Err(refusal));
        }
        let shared = self.shared.clone();
        let done = Arc::new(Mutex::new(Some(done)));
        let (tell, work_name) = (done.clone(), name.clone());
        let work = move || {
            // Whatever becomes of this one, the next may be taken, and whoever asked is answered.
            let taking = std::panic::AssertUnwindSafe(|| shared.take(&work_name));
            let outcome = std::panic::catch_unwind(taking).unwrap_or_else(|_| {
                Err(BackupRefusal::Failed { detail: "a bug in this program; please report it".into() })
            });
            match &outcome {
                Ok(taken) => info!(name = %work_name, place = %taken.place, bytes = taken.bytes, "backup taken"),
                Err(refusal) => warn!(name = %work_name, "{refusal}"),
            }
            shared.end();
            call(&tell, outcome);
        };
        if let Err(error) = std::thread::Builder::new().name("backup".into()).spawn(work) {
            self.shared.end();
            call(&done, Err(BackupRefusal::Failed { detail: error.to_string() }));
        }
    }

    fn admit(&self, name: &str) -> Result<(), BackupRefusal> {
        check_name(name)?;
        let mut under_way = self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = &*under_way {
            return Err(BackupRefusal::UnderWay { name: name.clone() });
        }
        if self.shared.disk.is_below() {
            let detail = format!("{} bytes are free, the node's reserve is more", self.shared.disk.free_bytes());
            return Err(BackupRefusal::NoSpace { detail });
        }
        *under_way = Some(name.to_owned());
        Ok(())
    }
}

/// Removes what backups have left that a stop of the node cut short: their links hold space for ever.
fn remove_partials(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_partial = name.to_string_lossy().strip_suffix(PARTIAL).is_some_and(|name| check_name(name).is_ok());
        if is_partial {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => info!(place = %entry.path().display(), "removed a backup that was cut short"),
                Err(error) => {
                    warn!(place = %entry.path().display(), "a backup was cut short and cannot be removed: {error}")
                }
            }
        }
    }
}

fn call(done: &Mutex<Option<Done>>, outcome: Result<BackupTaken, BackupRefusal>) {
    if let Some(done) = done.lock().unwrap_or_else(PoisonError::into_inner).take() {
        done(outcome);
    }
}

impl Shared {
    fn end(&self) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn take(&self, name: &str) -> Result<BackupTaken, BackupRefusal> {
        let began = Instant::now();
        let place = self.directory.join(name);
        if place.symlink_metadata().is_ok() {
            return self.there_already(&place);
        }
        let partial = self.directory.join(format!("{name}{PARTIAL}"));
        let result = self.write(&place, &partial);
        if result.is_err() {
            // What could not be finished is of no use; that it could not be removed either would hide the first error.
            let _removed = fs::remove_dir_all(&partial).is_ok();
        }
        let files = result.map_err(|error| refusal(&error))?;
        Ok(BackupTaken {
            place: place.display().to_string(),
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.bytes).sum(),
            took_ms: began.elapsed().as_millis() as u64,
            already_ms_ago: None,
        })
    }

    /// A whole backup of this node under the name that is asked for is what was asked for: of an earlier request, whose answer was
    /// lost perhaps. Anything else is not touched.
    fn there_already(&self, place: &Path) -> Result<BackupTaken, BackupRefusal> {
        let name_taken = || BackupRefusal::NameTaken { place: place.display().to_string() };
        let manifest = Manifest::read(place).map_err(|_| name_taken())?;
        let is_own = manifest.node == self.node && manifest.layout.cluster == self.ring.get().layout().cluster;
        if !is_own {
            return Err(name_taken());
        }
        let age = clock::wall().0.saturating_sub(manifest.taken_at_us);
        Ok(BackupTaken {
            place: place.display().to_string(),
            files: manifest.files.len() as u64,
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
            took_ms: 0,
            already_ms_ago: Some(age / 1000),
        })
    }

    fn write(&self, place: &Path, partial: &Path) -> io::Result<Vec<FileEntry>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        // Left by a backup that a stop of the node cut short.
        match fs::remove_dir_all(partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        DirBuilder::new().mode(0o700).create(partial)?;
        let taken_at_us = clock::wall().0;
        let data = partial.join(DATA);
        let store = self.store.upgrade().ok_or_else(|| io::Error::other("the node is stopping"))?;
        store.checkpoint(&data).map_err(|error| io::Error::other(error.to_string()))?;
        drop(store);
        let mut files = Vec::new();
        for entry in fs::read_dir(&data)? {
            let entry = entry?;
            if self.disk.is_below() {
                return Err(io::Error::new(ErrorKind::StorageFull, "the disk fell below the node's reserve meanwhile"));
            }
            File::open(entry.path())?.sync_all()?;
            // The node serves meanwhile: reading its files must not take the disk from it.
            files.push(FileEntry::paced(&data, &entry.file_name().to_string_lossy(), READ_BYTES_PER_SECOND)?);
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        File::open(&data)?.sync_all()?;
        let manifest = Manifest {
            version: Manifest::VERSION,
            node: self.node,
            taken_at_us,
            tick_us: micros(self.tick),
            lease_ticks: self.lease_ticks,
            files_count: files.len() as u64,
            layout: Layout::clone(self.ring.get().layout()),
            files,
        };
        let text = toml::to_string(&manifest).map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial.join(MANIFEST))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        File::open(partial)?.sync_all()?;
        fs::rename(partial, place)?;
        File::open(&self.directory)?.sync_all()?;
        Ok(manifest.files)
    }
}

fn refusal(error: &io::Error) -> BackupRefusal {
    let detail = error.to_string();
    let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    // RocksDB tells what the system said only as text.
    if is_full || detail.contains("No space left") {
        return BackupRefusal::NoSpace { detail };
    }
    BackupRefusal::Failed { detail }
}

#[cfg(test)]
#[path = "take_tests.rs"]
mod tests;
