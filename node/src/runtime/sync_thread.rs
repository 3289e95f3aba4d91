//! The sync thread: one sync of the disk at a time, covering every turn that any shard wrote before it began.
//!
//! ```text
//! shard writes turn 7 ─note(7)─→ newest[shard] ─┐ taken together
//! shard writes turn 8 ─note(8)─→                ├─→ store.sync() ─→ mailbox.durable(8)
//!                                               └─ turns written meanwhile wait for the next sync
//! ```
//!
//! That is the whole of group commit: the slower the disk, the more turns share a sync. Under durability `wal` shards
//! tell themselves and never come here. A failed sync stops the process: what waits is never acknowledged.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use starling::ids::Ticket;
use starling::storage::{Store, StoreError};

use super::counters::Counters;
use super::mailbox::Mailbox;
use crate::status::SyncGauge;

/// Written turns that no sync covers yet.
#[derive(Default)]
pub struct Syncs {
    written: Mutex<Written>,
    wake: Condvar,
}

#[derive(Default)]
struct Written {
    /// By shard: the newest ticket that was written and is not covered.
    newest: Vec<Option<Ticket>>,
    is_stopping: bool,
}

impl Syncs {
    /// For this many shards.
    pub fn new(shards: usize) -> Syncs {
        let written = Written { newest: vec![None; shards], is_stopping: false };
        Syncs { written: Mutex::new(written), wake: Condvar::new() }
    }

    /// A shard wrote a turn: `Store::write` has returned.
    pub fn note(&self, shard: usize, ticket: Ticket) {
        let mut written = self.lock();
        let was_idle = written.newest.iter().all(Option::is_none);
        if let Some(newest) = written.newest.get_mut(shard) {
            *newest = (*newest).max(Some(ticket));
        }
        drop(written);
        if was_idle {
            self.wake.notify_one();
        }
    }

    /// Ends [`Syncs::run`] after a last sync of what was written.
    pub fn stop(&self) {
        self.lock().is_stopping = true;
        self.wake.notify_one();
    }

    /// The thread's body. Returns after [`Syncs::stop`], or with the error of a sync that failed.
    pub fn run(
        &self,
        store: &dyn Store,
        mailboxes: &[Arc<Mailbox>],
        gauge: &SyncGauge,
        counters: &Counters,
    ) -> Result<(), StoreError> {
        loop {
            let (tickets, is_last) = self.take();
            if tickets.iter().any(Option::is_some) {
                let started = Instant::now();
                store.sync()?;
                gauge.note(started.elapsed());
                counters.syncs.add(1);
            }
            for (mailbox, ticket) in mailboxes.iter().zip(tickets) {
                if let Some(ticket) = ticket {
                    mailbox.durable(ticket);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Waits for written turns. The tickets are taken *before* the sync begins, so the sync covers them.
    fn take(&self) -> (Vec<Option<Ticket>>, bool) {
        let mut written = self.lock();
        while !written.is_stopping && written.newest.iter().all(Option::is_none) {
            written = self.wake.wait(written).unwrap_or_else(PoisonError::into_inner);
        }
        let nothing = vec![None; written.newest.len()];
        (std::mem::replace(&mut written.newest, nothing), written.is_stopping)
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
