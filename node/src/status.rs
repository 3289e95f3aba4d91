//! How the node is: what the shards tell, taken together with what the process knows.
//!
//! A status call asks every shard through its mailbox and answers when the last one has told; no thread waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use starling::causality::Epoch;
use starling::config::Durability;
use starling::ids::NodeId;
use starling::limits::{CONFLICTS_LISTED_MAX, REPAIRS_SHOWN_MAX, SETTLING_SHOWN_MAX};
use starling::membership::LayoutEpoch;
use starling::message::client::{FaultPlan, NodeStatus, PeerStatus, SessionTerms, ShardStatus};
use starling::time::micros;

use crate::runtime::clock;
use crate::runtime::disk::DiskGauge;
use crate::runtime::mailbox::{Control, Full, Mailbox};

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Who.
    pub node: NodeId,
    /// The epoch of this start.
    pub epoch: Epoch,
    /// How often the data directory was started, this time included.
    pub starts: u32,
    /// What acknowledgements mean.
    pub durability: Durability,
    /// Fault injection is allowed.
    pub drills: bool,
    /// When the process started.
    pub started: Instant,
    /// Length of an actor's tick.
    pub tick: Duration,
    /// So many ticks may a session last.
    pub lease_ticks_max: u32,
}

/// Time of the last sync of the disk; the sync thread writes it.
#[derive(Debug, Default)]
pub struct SyncGauge(AtomicU64);

impl SyncGauge {
    /// Notes how long a sync took.
    pub fn note(&self, took: Duration) {
        self.0.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// Unit: microseconds; 0 before the first sync.
    pub fn last_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that a status is made of, except the shards.
#[derive(Clone)]
pub struct StatusSource {
    /// The process.
    pub facts: Arc<NodeFacts>,
    /// Its file system.
    pub disk: Arc<DiskGauge>,
    /// Its syncs.
    pub syncs: Arc<SyncGauge>,
}

/// A status that still misses shards.
struct Gathering {
    missing: usize,
    shards: ShardStatus,
    done: Option<Box<dyn FnOnce(ShardStatus) + Send>>,
}

impl StatusSource {
    /// Asks every shard and calls `done` on the thread of the one that tells last. `layout`: the one in force. Full: too many such questions wait.
    pub fn ask(
        &self,
        mailboxes: &[Arc<Mailbox>],
        layout: LayoutEpoch,
        faults: FaultPlan,
        done: impl FnOnce(NodeStatus) + Send + 'static,
    ) -> Result<(), Full> {
        let source = self.clone();
        let done: Box<dyn FnOnce(ShardStatus) + Send> =
            Box::new(move |shards| done(source.node(shards, layout, faults)));
        gather(mailboxes, done)
    }

    fn node(&self, shards: ShardStatus, layout: LayoutEpoch, faults: FaultPlan) -> NodeStatus {
        let facts = &self.facts;
        NodeStatus {
            node: facts.node,
            version: env!("CARGO_PKG_VERSION").into(),
            layout,
            epoch: facts.epoch.to_string(),
            starts: facts.starts,
            uptime_s: facts.started.elapsed().as_secs(),
            durability: facts.durability,
            disk_free_bytes: self.disk.free_bytes(),
            is_below_reserve: self.disk.is_below(),
            rows_bytes: self.disk.rows_bytes(),
            drills: facts.drills,
            faults,
            last_sync_us: self.syncs.last_us(),
            sessions: SessionTerms {
                tick_us: micros(facts.tick),
                lease_ticks_max: facts.lease_ticks_max,
                wall: clock::wall(),
            },
            shards,
        }
    }
}

/// Asks every shard how it is and calls `done` with the sum, on the thread of the shard that tells last.
pub fn gather(mailboxes: &[Arc<Mailbox>], done: Box<dyn FnOnce(ShardStatus) + Send>) -> Result<(), Full> {
    let gathering = Gathering { missing: mailboxes.len(), shards: ShardStatus::default(), done: Some(done) };
    let gathering = Arc::new(Mutex::new(gathering));
    for mailbox in mailboxes {
        let gathering = gathering.clone();
        let told = move |status| {
            let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
            merge(&mut gathering.shards, status);
            gathering.missing -= 1;
            if gathering.missing == 0
                && let Some(done) = gathering.done.take()
            {
                done(std::mem::take(&mut gathering.shards));
            }
        };
        mailbox.control(Control::Status(Box::new(told))).map_err(|_| Full)?;
    }
    Ok(())
}

/// Adds one shard's status to the sum. A peer is reachable if any shard reaches it; clocks: the one furthest off.
fn merge(sum: &mut ShardStatus, shard: ShardStatus) {
    for peer in shard.peers {
        match sum.peers.iter_mut().find(|known| known.node == peer.node) {
            Some(known) => merge_peer(known, &peer),
            None => sum.peers.push(peer),
        }
    }
    sum.peers.sort_by_key(|peer| peer.node);
    sum.open_ops += shard.open_ops;
    sum.ledger_entries += shard.ledger_entries;
    sum.owned_partitions += shard.owned_partitions;
    sum.newborn_partitions += shard.newborn_partitions;
    sum.equal_partitions += shard.equal_partitions;
    sum.needs_repair_partitions += shard.needs_repair_partitions;
    sum.needs_repair.extend(shard.needs_repair);
    sum.needs_repair.sort_by_key(|repair| repair.partition);
    sum.needs_repair.truncate(REPAIRS_SHOWN_MAX);
    sum.exchanges += shard.exchanges;
    sum.exchanged_rows += shard.exchanged_rows;
    sum.tree_walks += shard.tree_walks;
    sum.tree_differences += shard.tree_differences;
    sum.trees_waiting += shard.trees_waiting;
    sum.tree_bytes += shard.tree_bytes;
    sum.read_repairs.missing += shard.read_repairs.missing;
    sum.read_repairs.outdated += shard.read_repairs.outdated;
    sum.read_repairs.left_out += shard.read_repairs.left_out;
    sum.read_repairs.taken += shard.read_repairs.taken;
    sum.read_repairs.not_taken += shard.read_repairs.not_taken;
    sum.amnesia_alarms += shard.amnesia_alarms;
    sum.conflicts += shard.conflicts;
    sum.conflicting.extend(shard.conflicting);
    sum.conflicting.sort_by_key(|conflict| conflict.ms_ago);
    sum.conflicting.truncate(CONFLICTS_LISTED_MAX);
    sum.claim_alarms += shard.claim_alarms;
    sum.rival = sum.rival.take().or(shard.rival);
    sum.settling_partitions += shard.settling_partitions;
    sum.settling.extend(shard.settling);
    sum.settling.sort_by_key(|settling| (settling.waiting.is_empty(), settling.partition));
    sum.settling.truncate(SETTLING_SHOWN_MAX);
    sum.candidates.extend(shard.candidates);
    sum.rival_layout = sum.rival_layout.take().or(shard.rival_layout);
    sum.moves.add(&shard.moves);
    sum.is_move_paused |= shard.is_move_paused;
    if shard.clock_ahead_ms.unsigned_abs() > sum.clock_ahead_ms.unsigned_abs() {
        sum.clock_ahead_ms = shard.clock_ahead_ms;
    }
}

fn merge_peer(known: &mut PeerStatus, other: &PeerStatus) {
    known.is_reachable |= other.is_reachable;
    known.is_contested |= other.is_contested;
    known.owed_rows += other.owed_rows;
    known.lag.add(&other.lag);
    known.heard_ms_ago = match (known.heard_ms_ago, other.heard_ms_ago) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    };
}

#[cfg(test)]
pub(crate) mod tests {
    use starling::ids::Key;
    use starling::message::client::{ConflictStatus, PeerLag};

    use super::*;

    /// The status of a node of which nothing but its shards is known.
    pub(crate) fn status(shards: ShardStatus) -> NodeStatus {
        let facts = NodeFacts {
            node: NodeId(1),
            epoch: Epoch(5),
            starts: 1,
            durability: Durability::Fsync,
            drills: false,
            started: Instant::now(),
            tick: Duration::from_secs(10),
            lease_ticks_max: 360,
        };
        let source = StatusSource { facts: Arc::new(facts), disk: Arc::default(), syncs: Arc::default() };
        let layout = LayoutEpoch { number: 1, ..LayoutEpoch::default() };
        source.node(shards, layout, FaultPlan::default())
    }

    fn peer(node: u64, is_reachable: bool, heard_ms_ago: Option<u64>, owed_rows: u64) -> PeerStatus {
        PeerStatus {
            node: NodeId(node),
            is_reachable,
            heard_ms_ago,
            owed_rows,
            is_contested: false,
            lag: lag(owed_rows),
        }
    }

    fn lag(operations: u64) -> PeerLag {
        let oldest_ms = (operations > 0).then_some(operations * 1000);
        PeerLag { operations, oldest_ms, compared_ms_ago: Some(operations), uncompared_partitions: 1 }
    }

    #[test]
    fn a_lag_adds_up_its_writes_and_is_as_old_as_its_oldest() {
        let mut sum = ShardStatus::default();
        for owed in [3, 2] {
            merge(&mut sum, ShardStatus { peers: vec![peer(2, true, None, owed)], ..ShardStatus::default() });
        }
        let expected =
            PeerLag { operations: 5, oldest_ms: Some(3000), compared_ms_ago: Some(3), uncompared_partitions: 2 };
        assert_eq!(sum.peers[0].lag, expected);
    }

    #[test]
    fn shards_add_up_and_a_peer_is_as_near_as_the_nearest_sees_it() {
        let mut sum = ShardStatus::default();
        let first = ShardStatus {
            peers: vec![peer(2, false, None, 3)],
            open_ops: 1,
            clock_ahead_ms: -7,
            ..ShardStatus::default()
        };
        let second = ShardStatus {
            peers: vec![peer(1, true, Some(4), 0), peer(2, true, Some(9), 2)],
            open_ops: 2,
            clock_ahead_ms: 5,
            ..ShardStatus::default()
        };
        merge(&mut sum, first);
        merge(&mut sum, second);
        let lag = sum.peers[1].lag;
        assert_eq!(sum.peers, [peer(1, true, Some(4), 0), PeerStatus { lag, ..peer(2, true, Some(9), 5) }]);
        assert_eq!((sum.open_ops, sum.clock_ahead_ms), (3, -7));
    }

    #[test]
    fn the_newest_conflicts_of_all_shards_are_listed() {
        let conflict = |ms_ago| ConflictStatus {
            key: Key::new(format!("k{ms_ago}")).unwrap(),
            field: None,
            kind: Default::default(),
            ms_ago,
        };
        let shard = |ages: &[u64]| ShardStatus {
            conflicts: ages.len() as u64,
            conflicting: ages.iter().map(|age| conflict(*age)).collect(),
            ..ShardStatus::default()
        };
        let mut sum = ShardStatus::default();
        merge(&mut sum, shard(&[5, 9]));
        merge(&mut sum, shard(&[7]));
        assert_eq!((sum.conflicts, sum.conflicting), (3, [5, 7, 9].map(conflict).to_vec()));
    }

    #[test]
    fn the_last_shard_that_tells_completes_the_status() {
        let mailboxes = [Arc::new(Mailbox::default()), Arc::new(Mailbox::default())];
        let (sender, receiver) = std::sync::mpsc::channel();
        gather(&mailboxes, Box::new(move |sum| sender.send(sum.open_ops).unwrap())).unwrap();
        for (index, mailbox) in mailboxes.iter().enumerate() {
            assert!(receiver.try_recv().is_err(), "shard {index} has not told yet");
            let mut chunk = crate::runtime::mailbox::Chunk::default();
            mailbox.receive(&mut chunk, Some(Duration::ZERO));
            let Some(Control::Status(tell)) = chunk.controls.pop() else { panic!("no question") };
            tell(ShardStatus { open_ops: 5, ..ShardStatus::default() });
        }
        assert_eq!(receiver.try_recv(), Ok(10));
    }
}
