//! Exit codes of `starling-node`, and the one way to stop at once.

use std::fmt;

use crate::logging;

/// Why the process ended. The numbers are part of the interface and stand in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As asked: nothing that was acknowledged is lost.
    Clean = 0,
    /// The command line is wrong.
    Usage = 2,
    /// A setting is wrong; the message names it, where it came from and why.
    Config = 3,
    /// The bundle (layout, certificates, key) is missing, unreadable or not this member's; or `init-cluster` failed.
    Bundle = 4,
    /// The data directory belongs to another member or cluster, is in use, or cannot be opened.
    Data = 5,
    /// The address cannot be listened on.
    Listen = 6,
    /// A write or sync failed while running: nothing unwritten was acknowledged.
    Storage = 7,
    /// A thread of the node failed: a bug. Nothing unwritten was acknowledged.
    Internal = 8,
    /// Stopped by a second signal, before the first one's work was done.
    Forced = 9,
    /// A restore was refused, or failed: nothing was made, and the backups are as they were.
    Restore = 10,
    /// This member was declared lost: it may not speak again under its id.
    Fenced = 11,
    /// This member has left the cluster.
    Left = 12,
}

impl Exit {
    /// For `--help`.
    pub const TABLE: &str = "\
Exit codes:
  0  stopped as asked; nothing that was acknowledged is lost
  2  wrong command line
  3  a setting is wrong (the message names it, its source and the reason)
  4  the bundle is missing, unreadable or not this member's; init-cluster failed
  5  the data directory belongs to another member or cluster, is in use, or cannot be opened
  6  the address cannot be listened on
  7  a write or sync of the disk failed while running
  8  a thread of the node failed (a bug)
  9  stopped by a second signal
  10 restore: refused or failed; nothing was made, and the backups are as they were
  11 this member was declared lost; it comes back only as a new member, with an empty directory
  12 this member has handed over what it had and left the cluster";
}

/// Stops the process at once, with a message. Nothing is written, synced or released any more; everything acknowledged
/// is in the store already. Used where going on would be wrong: a failed disk, a shard that broke.
pub fn stop_now(exit: Exit, why: impl fmt::Display) -> ! {
    tracing::error!(exit_code = exit as i32, "stopping at once: {why}");
    logging::remark(format_args!("starling-node: stopping at once: {why}\n"));
    std::process::exit(exit as i32)
}

/// Runs the body of a thread that the node cannot live without: a panic in it stops the process.
pub fn guarded<T>(name: &str, body: impl FnOnce() -> T) -> T {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(panic) => {
            let what = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into());
            stop_now(Exit::Internal, format_args!("thread {name} failed: {what}; this is a bug, please report it"))
        }
    }
}
