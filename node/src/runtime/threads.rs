//! The threads of a node: each is guarded, so that a panic stops the process instead of leaving it half alive, and a store
//! that fails stops it before anything is acknowledged that it does not keep.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use starling::shard::Shard;
use starling::storage::Store;

use super::adopter::{Adopter, Told};
use super::counters::Counters;
use super::mailbox::Mailbox;
use super::restart;
use super::shard_thread::ShardThread;
use super::sync_thread::Syncs;
use crate::exit::{self, Exit};
use crate::status::SyncGauge;

pub(super) fn start_adopter(adopter: &Arc<Adopter>, told: Told) -> std::io::Result<JoinHandle<()>> {
    let adopter = adopter.clone();
    std::thread::Builder::new().name("layout".into()).spawn(move || {
        exit::guarded("layout", || adopter.run(&told));
    })
}

/// `heals`: the data directory, if other members can bring back what is damaged in it.
pub(super) fn start_shard(
    index: usize,
    thread: ShardThread<Shard>,
    heals: Option<PathBuf>,
) -> std::io::Result<JoinHandle<()>> {
    let name = format!("shard-{index}");
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        if let Err(error) = exit::guarded(&name, || thread.run()) {
            if let Some(data) = heals.filter(|_| error.is_corrupt()) {
                restart::begin_anew(&data, &error.to_string());
            }
            exit::stop_now(Exit::Storage, format_args!("{name}: {error}; what was not written was not acknowledged"));
        }
    })
}

pub(super) fn start_syncs(
    syncs: &Arc<Syncs>,
    store: &Arc<dyn Store>,
    mailboxes: &[Arc<Mailbox>],
    gauge: &Arc<SyncGauge>,
    counters: &Arc<Counters>,
) -> std::io::Result<JoinHandle<()>> {
    let (syncs, store, gauge, counters) = (syncs.clone(), store.clone(), gauge.clone(), counters.clone());
    let mailboxes = mailboxes.to_vec();
    std::thread::Builder::new().name("sync".into()).spawn(move || {
        let done = exit::guarded("sync", || syncs.run(store.as_ref(), &mailboxes, &gauge, &counters));
        if let Err(error) = done {
            exit::stop_now(Exit::Storage, format_args!("sync: {error}; what was not synced was not acknowledged"));
        }
    })
}

pub(super) fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        // A panic in it would have stopped the process: every body is guarded.
        let _ended_well = thread.join().is_ok();
    }
}
