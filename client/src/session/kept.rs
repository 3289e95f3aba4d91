//! A session that outlives its process: written down, and synced, before anything is sent.
//!
//! ```text
//! DIR/session-0.lock   held by the process that uses the slot (released by the system when it dies)
//! DIR/session-0.json   names, totals per key, events under way; replaced as a whole
//! DIR/session-1.…      used when slot 0 is held: programs may run at the same time
//! ```
//!
//! A process that dies between sending an event and reading its answer leaves the event in its slot. Whoever takes the
//! directory next sends it again, unchanged, and learns what became of it. A file of another boot of the machine (or of
//! another machine) only has its events asked for: nothing new is added under its names, so a restored copy of the
//! directory cannot use a number twice. Costs one sync before an increment and one after it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use starling::causality::ActorId;
use starling::ids::{Key, NodeId};
use starling::message::client::{Options, SessionWrite, WriteReply};
use starling::time::WallTime;
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

use super::lease::Lease;
use super::state::{Kept, Named, SessionState, Totals};
use super::{ClusterClock, Session, SessionConfig, Terms};
use crate::caller::Caller;
use crate::error::Error;

/// Sessions of one directory that may be in use at the same time.
const SLOTS: usize = 64;

/// Largest file that is read. Unit: bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Keys under one name: the file is written anew for each increment, so it stays small.
const KEYS_MAX: usize = 1024;

/// How often a full directory is looked at again.
const SLOT_PAUSE: Duration = Duration::from_millis(20);

/// Version of the file.
const VERSION: u32 = 1;

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
        let until = Instant::now() + patience;
        let (own, first) = loop {
            if let Some(found) = take_free(directory)? {
                break found;
            }
            if Instant::now() >= until {
                return Err(KeptError::InUse { directory: directory.to_owned() });
            }
            tokio::time::sleep(SLOT_PAUSE).await;
        };
        let mut resumed = Vec::new();
        let session = resume(caller, directory, own, first, lease, &mut resumed)?;
        // Slots beyond the own one, if processes that ran at the same time left something in them.
        let mut others = Vec::new();
        for slot in (own + 1)..SLOTS {
            let path = slot_path(directory, slot, "json");
            if !path.exists() {
                break;
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
    let config = SessionConfig { lease, keys_max: KEYS_MAX, ..SessionConfig::default() };
    let path = slot_path(directory, slot, "json");
    let cluster = caller.engine.ring.layout().cluster.to_string();
    let bytes = read(&path)?;
    let (clock, kept) = match &bytes {
        Some(bytes) => {
            let form = Form::read(bytes, &cluster, caller.pinned);
            form.map_err(|reason| KeptError::Malformed { path: path.clone(), reason })?
        }
        None => (ClusterClock::from_ahead(0), Vec::new()),
    };
    let file = KeptFile { path, cluster, _lock: lock, written: Arc::new(Mutex::new(bytes.unwrap_or_default())) };
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
        tokio::spawn(super::deliver(Arc::downgrade(&session.shared), send));
    }
    Ok(session)
}

impl KeptFile {
    /// Writes what `content` gives, unless it is what the file holds.
    pub(super) async fn save(&self, content: impl FnOnce() -> (i64, Vec<Kept<Terms>>)) -> Result<(), KeptError> {
        let mut written = self.written.clone().lock_owned().await;
        // Taken while holding the file, so that an older state never replaces a newer one.
        let (ahead_us, kept) = content();
        let bytes = Form::write(&self.cluster, ahead_us, &kept);
        if bytes == *written {
            return Ok(());
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

/// Names this boot of this machine; empty where the system does not tell.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// The file. Numbers that may exceed 64 bits, and bytes, stand in it as text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    cluster: String,
    boot: String,
    /// The cluster's clock minus that of this machine.
    clock_ahead_us: i64,
    names: Vec<NameForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameForm {
    actor: String,
    fresh_until_us: u64,
    ends_us: u64,
    is_current: bool,
    keys: Vec<KeyForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    key: String,
    event: u64,
    p: String,
    n: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<EventForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventForm {
    event: u64,
    p: String,
    n: String,
    w: Option<u8>,
    strict: bool,
}

impl Form {
    fn write(cluster: &str, clock_ahead_us: i64, kept: &[Kept<Terms>]) -> Vec<u8> {
        let names = kept.iter().map(NameForm::of).collect();
        let form = Form { version: VERSION, cluster: cluster.to_owned(), boot: boot(), clock_ahead_us, names };
        // Strings and numbers alone: it cannot fail.
        serde_json::to_vec_pretty(&form).unwrap_or_default()
    }

    fn read(bytes: &[u8], cluster: &str, pinned: Option<NodeId>) -> Result<(ClusterClock, Vec<Kept<Terms>>), String> {
        let form: Form = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if form.version != VERSION {
            return Err(format!("it has version {}, this program writes {VERSION}", form.version));
        }
        if form.cluster != cluster {
            return Err(format!("it belongs to cluster {}", form.cluster));
        }
        let is_same_boot = !form.boot.is_empty() && form.boot == boot();
        let names = form.names.into_iter().map(|name| name.kept(is_same_boot, pinned)).collect::<Result<_, _>>()?;
        Ok((ClusterClock::from_ahead(form.clock_ahead_us), names))
    }
}

impl NameForm {
    fn of(kept: &Kept<Terms>) -> NameForm {
        let key_form = |(key, totals): (&Key, &Totals)| {
            let under_way = kept.under_way.iter().find(|(of, _, _)| of == key);
            KeyForm {
                key: hex(key.as_bytes()),
                event: totals.event,
                p: totals.p.to_string(),
                n: totals.n.to_string(),
                under_way: under_way.map(|(_, write, terms)| EventForm {
                    event: write.event,
                    p: write.p.to_string(),
                    n: write.n.to_string(),
                    w: terms.options.w,
                    strict: terms.options.strict,
                }),
            }
        };
        let lease = kept.named.lease;
        NameForm {
            actor: hex(&lease.actor.to_bytes()),
            fresh_until_us: lease.fresh_until.0,
            ends_us: lease.ends.0,
            is_current: kept.is_current,
            keys: kept.named.keys.iter().map(key_form).collect(),
        }
    }

    fn kept(self, is_same_boot: bool, pinned: Option<NodeId>) -> Result<Kept<Terms>, String> {
        let actor = unhex(&self.actor)?;
        let actor = <[u8; ActorId::BYTES]>::try_from(actor).map_err(|_| "an actor has 16 bytes".to_owned())?;
        let actor = ActorId::from_bytes(actor);
        let lease = Lease { actor, fresh_until: WallTime(self.fresh_until_us), ends: WallTime(self.ends_us) };
        let mut kept = Kept {
            named: Named { lease, keys: Default::default() },
            is_current: self.is_current && is_same_boot,
            under_way: Vec::new(),
        };
        for form in self.keys {
            let key = Key::new(unhex(&form.key)?).map_err(|error| error.to_string())?;
            let totals = Totals { event: form.event, p: number(&form.p)?, n: number(&form.n)? };
            if let Some(event) = form.under_way {
                let write = SessionWrite { actor, event: event.event, p: number(&event.p)?, n: number(&event.n)? };
                if write.event != totals.event || write.p < totals.p || write.n < totals.n {
                    return Err("an event does not fit the totals before it".into());
                }
                let options = Options { w: event.w, strict: event.strict, ..Options::default() };
                kept.under_way.push((key.clone(), write, Terms { pinned, options }));
            }
            kept.named.keys.insert(key, totals);
        }
        Ok(kept)
    }
}

fn number(text: &str) -> Result<u128, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{:?} is not hexadecimal", text.chars().take(40).collect::<String>());
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(wrong());
    }
    let byte = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or_else(wrong);
    (0..text.len()).step_by(2).map(byte).collect()
}
