//! A session that outlives its process: written down, and synced, before anything is sent.
//!
//! ```text
//! DIR/session-0.lock   held by the process that uses the slot (released by the system when it dies)
//! DIR/session-0.json   names, totals per key, events under way; replaced as a whole
//! DIR/session-1.…      used when slot 0 is held: programs may run at the same time
//! ```
//!
//! A process that dies between sending an event and reading its answer leaves the event in its slot. Whoever takes the
//! directory next sends it again, unchanged, and learns what became of it. A file of another boot of the machine, of
//! another machine, or of another directory only has its events asked for: nothing new is added under its names, so a copy
//! of the directory cannot use a number twice (see `form`). Costs one sync before an increment and one after it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use starling::ids::Key;
use starling::message::client::WriteReply;
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

use super::clock::ClusterClock;
use super::form::{Form, Home};
use super::names::Kept;
use super::state::SessionState;
use super::{Session, SessionConfig, Terms, delivery};
use crate::caller::Caller;
use crate::error::Error;

/// Sessions of one directory that may be in use at the same time.
const SLOTS: usize = 64;

/// Largest file that is read. Unit: bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Keys under one name: the file is written anew for each increment, so it stays small.
const KEYS_MAX: usize = 1024;

/// Bytes of these keys; twice as many in the file. Unit: bytes.
const KEY_BYTES_MAX: usize = 256 * 1024;

/// How often a full directory is looked at again.
const SLOT_PAUSE: Duration = Duration::from_millis(20);

/// A directory of sessions that cannot be used. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// The file system refused.
    #[error("cannot {what} {}: {cause}; nothing was sent; name another directory, or go without a kept session", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        cause: String,
    },
    /// The file is not a session of this cluster and version.
    #[error(
        "{} is no session file of this program ({reason}); nothing was sent; move it away to begin anew: increments that \
         were under way in it stay unknown",
        .path.display()
    )]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Too much is under way in it.
    #[error(
        "the session in {} would take {bytes} bytes, at most {bytes_max} are kept; nothing was sent, retry when what is \
         under way has ended",
        .path.display()
    )]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What it would take.
        bytes: u64,
        /// What is possible.
        bytes_max: u64,
    },
    /// Every slot is in use.
    #[error("all {SLOTS} sessions in {} are in use by other processes; nothing was sent, retry", .directory.display())]
    InUse {
        /// Where.
        directory: PathBuf,
    },
}

/// An increment of an earlier process that had no answer. It is being sent again.
pub struct Resumed {
    /// The key.
    pub key: Key,
    /// What it adds.
    pub added: u128,
    /// What it subtracts.
    pub subtracted: u128,
    answer: oneshot::Receiver<Result<WriteReply, Error>>,
}

impl Resumed {
    /// Waits until its outcome is known, at most this long.
    pub async fn outcome(self, patience: Duration) -> Result<WriteReply, Error> {
        match tokio::time::timeout(patience, self.answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(Error::InDoubt { cause: "it still has no answer".into() }),
        }
    }
}

/// A slot that this process holds.
pub(super) struct KeptFile {
    path: PathBuf,
    cluster: String,
    home: Home,
    /// Held until the process ends or the session is dropped.
    _lock: File,
    /// What was written last.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Session {
    /// Takes a free slot of the directory, waiting for one at most `patience`, and goes on with the session in it. What
    /// earlier processes left under way, in any free slot, is sent again at once.
    pub(crate) async fn kept_in(
        caller: &Caller,
        directory: &Path,
        lease: Duration,
        patience: Duration,
    ) -> Result<(Session, Vec<Session>, Vec<Resumed>), KeptError> {
        std::fs::create_dir_all(directory).map_err(|error| io("create", directory, &error))?;
        let started = Instant::now();
        let (own, first) = loop {
            if let Some(found) = take_free(directory)? {
                break found;
            }
            if started.elapsed() >= patience {
                return Err(KeptError::InUse { directory: directory.to_owned() });
            }
            tokio::time::sleep(SLOT_PAUSE).await;
        };
        let mut resumed = Vec::new();
        let session = resume(caller, directory, own, first, lease, &mut resumed)?;
        // Slots beyond the own one, if processes that ran at the same time left something in them.
        let mut others = Vec::new();
        for slot in (own + 1)..SLOTS {
            // One that was taken and never written to may stand between others.
            if !slot_path(directory, slot, "json").exists() {
                continue;
            }
            let Some(lock) = try_lock(directory, slot)? else { continue };
            let before = resumed.len();
            let other = resume(caller, directory, slot, lock, lease, &mut resumed)?;
            if resumed.len() > before {
                others.push(other);
            }
        }
        Ok((session, others, resumed))
    }
}

/// The first slot that nobody holds.
fn take_free(directory: &Path) -> Result<Option<(usize, File)>, KeptError> {
    for slot in 0..SLOTS {
        if let Some(lock) = try_lock(directory, slot)? {
            return Ok(Some((slot, lock)));
        }
    }
    Ok(None)
}

fn try_lock(directory: &Path, slot: usize) -> Result<Option<File>, KeptError> {
    let path = slot_path(directory, slot, "lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| io("open", &path, &error))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(io("lock", &path, &error.into())),
    }
}

fn resume(
    caller: &Caller,
    directory: &Path,
    slot: usize,
    lock: File,
    lease: Duration,
    resumed: &mut Vec<Resumed>,
) -> Result<Session, KeptError> {
    let bounds = SessionConfig { keys_max: KEYS_MAX, key_bytes_max: KEY_BYTES_MAX, ..SessionConfig::default() };
    let config = SessionConfig { lease, ..bounds };
    let path = slot_path(directory, slot, "json");
    let home = Home::of(&lock).map_err(|error| io("look at", &slot_path(directory, slot, "lock"), &error))?;
    let cluster = caller.engine.nodes().ring().layout().cluster.to_string();
    let bytes = read(&path)?;
    let (clock, kept) = match &bytes {
        Some(bytes) => {
            let form = Form::read(bytes, &cluster, &home, caller.pinned);
            form.map_err(|reason| KeptError::Malformed { path: path.clone(), reason })?
        }
        None => (ClusterClock::from_ahead(0), Vec::new()),
    };
    let file = KeptFile { path, cluster, home, _lock: lock, written: Arc::new(Mutex::new(bytes.unwrap_or_default())) };
    let (state, sends) = SessionState::restore(config.bounds(), kept);
    let session = Session::with(caller.clone(), config, state, clock, Some(file));
    for (ticket, send) in sends {
        let (sender, answer) = oneshot::channel();
        {
            let mut inner = session.shared.lock();
            let (added, subtracted) = inner.state.amount(send.write.actor, &send.key).unwrap_or_default();
            inner.callers.insert(ticket, sender);
            session.shared.count(&inner);
            resumed.push(Resumed { key: send.key.clone(), added, subtracted, answer });
        }
        tokio::spawn(delivery::deliver(Arc::downgrade(&session.shared), send));
    }
    Ok(session)
}

impl KeptFile {
    /// Writes what `content` gives, unless it is what the file holds.
    pub(super) async fn save(&self, content: impl FnOnce() -> (i64, Vec<Kept<Terms>>)) -> Result<(), KeptError> {
        let mut written = self.written.clone().lock_owned().await;
        // Taken while holding the file, so that an older state never replaces a newer one.
        let (ahead_us, kept) = content();
        let bytes = Form::write(&self.cluster, &self.home, ahead_us, &kept);
        if bytes == *written {
            return Ok(());
        }
        let size = bytes.len() as u64;
        if size > FILE_BYTES_MAX {
            // Nobody could read it back.
            return Err(KeptError::TooLarge { path: self.path.clone(), bytes: size, bytes_max: FILE_BYTES_MAX });
        }
        let path = self.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            replace(&path, &bytes)?;
            *written = bytes;
            Ok(())
        });
        task.await.unwrap_or_else(|error| {
            let cause = error.to_string();
            Err(KeptError::Io { what: "write", path: self.path.clone(), cause })
        })
    }
}

/// Writes a file so that it is there as a whole or as it was, even after a power cut.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeptError> {
    let new = path.with_extension("new");
    let mut file = File::create(&new).map_err(|error| io("create", &new, &error))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| io("write", &new, &error))?;
    std::fs::rename(&new, path).map_err(|error| io("replace", path, &error))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| io("sync", directory, &error))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, KeptError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("open", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| io("read", path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(KeptError::Malformed { path: path.to_owned(), reason });
    }
    Ok(Some(bytes))
}

fn slot_path(directory: &Path, slot: usize, extension: &str) -> PathBuf {
    directory.join(format!("session-{slot}.{extension}"))
}

fn io(what: &'static str, path: &Path, error: &std::io::Error) -> KeptError {
    KeptError::Io { what, path: path.to_owned(), cause: error.to_string() }
}
