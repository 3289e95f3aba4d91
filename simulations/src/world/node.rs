//! A node of the world: one process around the shards of the core, as the driver of a real node runs them.
//!
//! ```text
//!            ┌ answers  ┐
//! mailboxes ─┼ peers    ├─→ handle × n ─→ tick ─→ seal ─→ write ─→ effects ─→ (sync under way) ─→ Durable
//!            └ clients  ┘                            ╳ crash     ╳ crash  ╳ crash            ╳ crash
//! ```
//!
//! The store outlives the process; the process and all that waited in it do not outlive a crash.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use starling::ids::{NodeId, Ticket};
use starling::message::peer::Frame;
use starling::replica::Identity;
use starling::ring::RingView;
use starling::shard::Input;
use starling::shard::Shard;
use starling::storage::memory::{BatchNumber, MemoryStore};
use starling::time::Timestamp;

use super::clock::NodeClock;

/// Requests of peers that may wait in front of one shard; further frames are dropped, as a node drops them.
pub(super) const PEER_MAILBOX_MAX: usize = 4096;

/// Requests of clients that may wait in front of one shard; a further one is answered `Busy`.
pub(super) const CLIENT_MAILBOX_MAX: usize = 1024;

/// Where in a step a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// After a turn was sealed, before its batch was written.
    BeforeWrite,
    /// After the batch was written, before any effect.
    AfterWrite,
    /// After some of the effects.
    AmidEffects,
    /// After a sync reached the disk, before the shard learns of it.
    AfterSync,
}

/// What a crash does to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The process was killed: all that was written stays.
    None,
    /// A power cut: any part of what was not synced is lost.
    UnsyncedTail,
    /// A power cut that loses all that was not synced.
    AllUnsynced,
    /// The disk had lied: so many synced batches are lost too.
    SyncedTail(usize),
    /// A new, empty disk.
    Wiped,
    /// The directory is replaced by the copy that was taken earlier, if there is one.
    Restored,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its member id.
    pub id: NodeId,
    /// Its disk.
    pub store: MemoryStore,
    /// The layout that it has taken up, and remembers.
    pub ring: Arc<RingView>,
    /// It runs although no layout names it yet.
    pub is_candidate: bool,
    /// Its clocks.
    pub clock: NodeClock,
    /// Nobody starts it again before all is made well: its machine is lost.
    pub is_away: bool,
    /// How often it was started.
    pub life: u32,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// It stands still until then.
    pub paused_until: Option<Timestamp>,
    /// The next turn or sync dies there.
    pub armed: Option<(CrashPoint, Damage)>,
    /// A copy of the directory from some time ago.
    pub copy: Option<MemoryStore>,
    /// Syncs take so many times as long.
    pub sync_factor: u32,
    /// The longest sync that it has begun.
    pub longest_sync: Duration,
    /// When its disk last lost something that was synced, or all.
    pub damaged_at: Option<Timestamp>,
    /// When it stood still: from, until.
    pub pauses: Vec<(Timestamp, Timestamp)>,
}

impl Node {
    /// Whether the process runs (it may stand still).
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    /// The name of this start.
    pub identity: Identity,
    /// Its shards.
    pub shards: Vec<ShardSlot>,
    /// A sync is under way.
    pub is_syncing: bool,
}

/// A shard with what waits for it.
#[derive(Debug)]
pub struct ShardSlot {
    /// The core.
    pub shard: Shard,
    pub(super) answers: VecDeque<Input>,
    pub(super) peers: VecDeque<Input>,
    pub(super) clients: VecDeque<Input>,
    /// Newest ticket whose batch was written.
    pub(super) written: Ticket,
    /// Newest ticket that was reported durable.
    pub(super) durable: Ticket,
    /// When the next turn is scheduled.
    pub(super) turn_at: Option<Timestamp>,
    /// The thread is at work until then.
    pub(super) busy_until: Timestamp,
}

impl ShardSlot {
    pub(super) fn new(shard: Shard) -> ShardSlot {
        ShardSlot {
            shard,
            answers: VecDeque::new(),
            peers: VecDeque::new(),
            clients: VecDeque::new(),
            written: Ticket::default(),
            durable: Ticket::default(),
            turn_at: None,
            busy_until: Timestamp::default(),
        }
    }

    /// The next input, in the order in which a driver drains.
    pub(super) fn next_input(&mut self) -> Option<Input> {
        self.answers.pop_front().or_else(|| self.peers.pop_front()).or_else(|| self.clients.pop_front())
    }

    pub(super) fn has_input(&self) -> bool {
        !(self.answers.is_empty() && self.peers.is_empty() && self.clients.is_empty())
    }

    /// Puts a peer's frame where it belongs: the answers apart from the requests, which are dropped when their mailbox
    /// is full.
    pub(super) fn on_frame(&mut self, from: NodeId, frame: Frame) {
        let (answers, requests) = frame.apart();
        self.answers.extend(answers.map(|frame| Input::Peer { from, frame }));
        if self.peers.len() < PEER_MAILBOX_MAX {
            self.peers.extend(requests.map(|frame| Input::Peer { from, frame }));
        }
    }
}

/// A sync under way: what it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Per shard, the newest ticket written when it began.
    pub tickets: Vec<Ticket>,
    /// The newest batch when it began.
    pub batch: BatchNumber,
    /// The disk is reached at its end (else at its beginning).
    pub is_at_end: bool,
}

/// Virtual time that a turn with so many inputs takes.
pub(super) fn turn_time(inputs: usize) -> Duration {
    Duration::from_micros(20 + 8 * inputs as u64)
}
