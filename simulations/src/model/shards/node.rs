//! A node: one shard of the core on a directory, and what a driver keeps for it.
//!
//! ```text
//! turn ──batch──→ store (what the process sees) ──Sync──→ disk (what a power cut leaves)
//!                  └── unsynced batches, oldest first ──┘
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use starling::causality::Epoch;
use starling::config::ShardConfig;
use starling::ids::{NodeId, Ticket};
use starling::replica::begin_start;
use starling::ring::RingView;
use starling::shard::{Job, JobResult, Shard, ShardScope};
use starling::storage::memory::{MemoryFaults, MemoryStore};
use starling::storage::{Batch, Store};
use starling::time::{Now, Timestamp, WallTime};

/// Wall time when a history begins. Unit: microseconds since the Unix epoch.
const BEGINNING: u64 = 1_700_000_000_000_000;

/// What a clock without fault shows.
pub fn wall(now: Timestamp) -> WallTime {
    WallTime(BEGINNING + now.0)
}

/// A node, whether its process runs or not.
#[derive(Debug)]
pub struct Node {
    /// The member.
    pub id: NodeId,
    /// The layout that it has taken up, which outlives its directory: others would tell it.
    pub ring: Arc<RingView>,
    /// The directory as the process sees it.
    pub store: MemoryStore,
    /// The directory as a power cut would leave it.
    pub disk: MemoryStore,
    /// What is in the one and not yet in the other, oldest first.
    pub unsynced: VecDeque<(Ticket, Batch)>,
    /// The process, while it runs.
    pub shard: Option<Shard>,
    /// Reads off the shard's thread, oldest first, and what they read if they have.
    pub jobs: VecDeque<(Job, Option<JobResult>)>,
    /// The present start, or the last one.
    pub epoch: Option<Epoch>,
    /// How often its directory was lost.
    pub wipes: u32,
    /// Monotonic time when the history began.
    mono_base: u64,
    /// How far its wall clock is off. Unit: microseconds.
    pub off: i64,
}

impl Node {
    /// A node that has never run.
    pub fn new(id: NodeId, ring: Arc<RingView>, seed: u64) -> Node {
        Node {
            id,
            ring,
            store: MemoryStore::new(seed),
            disk: MemoryStore::new(seed),
            unsynced: VecDeque::new(),
            shard: None,
            jobs: VecDeque::new(),
            epoch: None,
            wipes: 0,
            mono_base: 0,
            off: 0,
        }
    }

    /// What its clocks show.
    pub fn clock(&self, now: Timestamp) -> Now {
        let wall = wall(now).0.saturating_add_signed(self.off);
        Now { mono: Timestamp(now.0 + self.mono_base), wall: WallTime(wall) }
    }

    /// When its next timer fires.
    pub fn deadline(&self) -> Option<Timestamp> {
        let deadline = self.shard.as_ref()?.next_deadline()?;
        Some(Timestamp(deadline.0.saturating_sub(self.mono_base)))
    }

    /// Starts its process on what the disk has.
    pub fn start(&mut self, config: ShardConfig, entropy: [u64; 3], now: Timestamp, not_in_memory_per_mille: u16) {
        let [epoch, base, seed] = entropy;
        self.mono_base = base % 1_000_000_000;
        let clock = self.clock(now);
        let identity = match begin_start(&self.disk, self.ring.layout(), self.id, epoch) {
            Ok(identity) => identity,
            Err(error) => panic!("{} cannot start: {error}", self.id),
        };
        self.epoch = Some(identity.epoch);
        self.store = self.disk.copy(seed);
        let scope = ShardScope { index: 0, count: 1 };
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        match Shard::open(config, identity, scope, self.ring.clone(), store, seed, clock) {
            Ok(shard) => self.shard = Some(shard),
            Err(error) => panic!("{} cannot open its shard: {error}", self.id),
        }
        self.store.set_faults(MemoryFaults { not_in_memory_per_mille, ..MemoryFaults::default() });
    }

    /// Its process ends; of what was not synced the oldest `kept` batches are on disk.
    pub fn stop(&mut self, kept: usize) {
        self.shard = None;
        self.jobs.clear();
        for (_, batch) in self.unsynced.drain(..).take(kept) {
            write(&self.disk, &batch);
        }
    }

    /// Its directory is lost.
    pub fn wipe(&mut self, seed: u64) {
        self.stop(0);
        self.disk = MemoryStore::new(seed);
        self.store = MemoryStore::new(seed);
        self.wipes += 1;
    }

    /// A turn has written.
    pub fn wrote(&mut self, ticket: Ticket, batch: Batch) {
        write(&self.store, &batch);
        self.unsynced.push_back((ticket, batch));
    }

    /// The disk has all but the newest `lag` batches: the newest ticket of these.
    pub fn sync(&mut self, lag: usize) -> Option<Ticket> {
        let count = self.unsynced.len().saturating_sub(lag);
        let mut last = None;
        for (ticket, batch) in self.unsynced.drain(..count) {
            write(&self.disk, &batch);
            last = Some(ticket);
        }
        last
    }
}

/// Writes durably; what stands in memory cannot fail.
fn write(store: &MemoryStore, batch: &Batch) {
    if let Err(error) = store.write(batch).and_then(|()| store.sync()) {
        panic!("a store in memory failed: {error}");
    }
}
