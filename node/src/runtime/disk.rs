//! The disk: what the rows take of it, and its reserve: below it the shards refuse writes, so that the store can still merge, compact and be repaired.
//!
//! A task of the node looks at the file system once a second and tells the shards when the answer changes. It is below
//! the reserve when fewer bytes are free, and above it again only with a tenth more, so that it does not flap.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use starling::shard::Input;
use tracing::{info, warn};

use super::mailbox::Mailbox;
use crate::storage::RocksStore;

/// How often the free space is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// What was last seen of the file system.
#[derive(Debug, Default)]
pub struct DiskGauge {
    free_bytes: AtomicU64,
    rows_bytes: AtomicU64,
    is_below: AtomicBool,
}

impl DiskGauge {
    /// Free bytes for an ordinary user, at the last look.
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// What the rows take, about, at the last look.
    pub fn rows_bytes(&self) -> u64 {
        self.rows_bytes.load(Ordering::Relaxed)
    }

    /// Whether writes are refused.
    pub fn is_below(&self) -> bool {
        self.is_below.load(Ordering::Relaxed)
    }

    /// Takes a look's result. Returns the new state if it changed.
    pub fn note(&self, free_bytes: u64, reserve_bytes: u64) -> Option<bool> {
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        let was_below = self.is_below();
        let threshold = if was_below { reserve_bytes.saturating_add(reserve_bytes / 10) } else { reserve_bytes };
        let is_below = free_bytes < threshold;
        self.is_below.store(is_below, Ordering::Relaxed);
        (is_below != was_below).then_some(is_below)
    }
}

/// Looks once a second, for ever; at the store as long as it is open.
pub async fn watch(
    data: PathBuf,
    reserve: u64,
    gauge: Arc<DiskGauge>,
    store: Weak<RocksStore>,
    mailboxes: Vec<Arc<Mailbox>>,
) {
    let mut ticks = tokio::time::interval(PAUSE);
    loop {
        ticks.tick().await;
        look(&data, reserve, &gauge, &mailboxes);
        if let Some(store) = store.upgrade() {
            gauge.rows_bytes.store(store.rows_bytes(), Ordering::Relaxed);
        }
    }
}

/// Looks once, and tells every shard if the answer changed.
pub fn look(data: &Path, reserve: u64, gauge: &DiskGauge, mailboxes: &[Arc<Mailbox>]) {
    let free = match free_bytes(data) {
        Ok(free) => free,
        Err(error) => return warn!(directory = %data.display(), %error, "cannot tell the free space"),
    };
    let Some(is_below) = gauge.note(free, reserve) else { return };
    if is_below {
        warn!(free, reserve, "the disk is below its reserve: writes are refused until space is free");
    } else {
        info!(free, reserve, "the disk is above its reserve again: writes are taken");
    }
    for mailbox in mailboxes {
        mailbox.own(Input::DiskReserve { is_below });
    }
}

/// Free bytes for an ordinary user in the file system of a directory.
pub fn free_bytes(directory: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(directory)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_does_not_flap() {
        let gauge = DiskGauge::default();
        assert_eq!(gauge.note(1_000, 1_000), None);
        assert_eq!(gauge.note(999, 1_000), Some(true));
        assert_eq!(gauge.note(1_000, 1_000), None, "a little more is not yet enough");
        assert_eq!(gauge.note(1_099, 1_000), None);
        assert_eq!(gauge.note(1_100, 1_000), Some(false));
        assert_eq!((gauge.free_bytes(), gauge.is_below()), (1_100, false));
    }

    #[test]
    fn no_reserve_is_never_undercut() {
        assert_eq!(DiskGauge::default().note(0, 0), None);
    }

    #[test]
    fn a_directory_has_a_file_system() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(free_bytes(Path::new("/nowhere/at/all")).is_err());
    }
}
