//! What a node counts about itself. Read by the summary line in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::info;

/// How often the counters are logged, if they changed.
const SUMMARY_PAUSE: Duration = Duration::from_secs(60);

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The present number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// All counters, since the start of the process.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Every counter by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Sealed turns with something to write.
    turns_written,
    /// Inputs handled.
    inputs,
    /// Partitions whose expired actors were summed up to a further tick.
    compactions,
    /// Messages refused because they would have changed what is frozen.
    frozen_refused,
    /// Rows that changed here because a read found them to lack something.
    repaired,
    /// Answers given to clients.
    replies,
    /// Frames handed to the transport.
    frames_sent,
    /// Bytes of peers' messages that came, as `message::weight` counts.
    peer_bytes_received,
    /// Messages of peers dropped because the mailbox was full.
    peer_messages_dropped,
    /// Client requests answered `Busy` because the mailbox was full.
    clients_refused,
    /// Syncs of the disk.
    syncs,
    /// Rows read from disk off the shards' threads.
    rows_fetched,
    /// Pages scanned off the shards' threads.
    pages_scanned,
    /// Dots minted.
    minted,
    /// Debts written down.
    debts_recorded,
    /// Debts paid.
    debts_struck,
    /// Hint rows delivered to all their owners and deleted.
    hints_dropped,
    /// Exchanges completed.
    exchanges,
    /// Own entries that came back and that this node does not remember, and partitions that it was further with once.
    amnesia,
    /// Rows of which a part was given up that the other owners had forgotten.
    given_up,
    /// Hints that owners refused because this node had sealed their ticks once.
    hints_lost,
    /// Alarms about two live processes that claim one member id.
    two_claimants,
    /// Conflicts that were met: two types under one key, or a text beside increments that it did not see.
    conflicts,
    /// Rows that could not be read.
    malformed,
}

/// Logs the counters once a minute if they changed, for ever.
pub async fn summarise(counters: Arc<Counters>) {
    let mut ticks = tokio::time::interval(SUMMARY_PAUSE);
    let mut last = counters.all();
    loop {
        ticks.tick().await;
        let all = counters.all();
        if all != last {
            info!(counters = ?all, "summary");
            last = all;
        }
    }
}
