//! Settings: what the whole cluster shares stands in the layout ([`crate::membership::Layout`]); what one node may
//! choose for itself stands here. Each knob says its unit, its default and what it trades.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sealed::SealKey;

/// What an acknowledgement of this node means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The write is in the operating system's hands: it survives a killed process, not a power cut.
    Wal,
    /// The write was synced to disk: it survives a power cut. The default.
    #[default]
    Fsync,
}

/// What a node that is no member yet would be as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What people are to call it.
    pub name: String,
    /// `host:port` of its QUIC door.
    pub address: String,
    /// Empty: a zone of its own.
    pub zone: String,
    /// Share of the data; 1 is normal.
    pub weight: u32,
}

/// The knobs of one shard. `Default` is tuned for a LAN with round trips below a millisecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// What this node's acknowledgements mean.
    pub durability: Durability,
    /// Quorums of owners only, for every request. Fewer writes are possible during a split; reads are less stale.
    pub strict: bool,
    /// A request that brings no deadline gets this one. Default 2 s.
    pub request_deadline: Duration,
    /// No quorum after this long: the coordinator asks the next nodes of the accept set too. Default 100 ms.
    /// Shorter keeps latency low when a node is slow and costs messages.
    pub widen_after: Duration,
    /// A peer that answered nothing for this long is pinged. Default 250 ms.
    pub ping_interval: Duration,
    /// A peer that answered nothing for this long is suspected: not asked while others can be. Default 1 s.
    pub suspect_after: Duration,
    /// Each partition is compared with each co-owner this often. Default 30 s. Zero switches the timer off.
    pub exchange_interval: Duration,
    /// Whether partitions are compared at all (at start, reconnect and on the timer). Off only in experiments.
    pub exchange: bool,
    /// Whether a read sends owners what it found them to lack. Off only in experiments.
    pub read_repair: bool,
    /// Such repairs that this node sends at most, one per owner and read; reads beyond it repair nothing. Default 64 per second.
    pub read_repairs_per_second: u32,
    /// Bytes of rows in them, per shard. Default 4 MiB per second. Zero: no limit.
    pub read_repair_bytes_per_second: u64,
    /// Whether owners keep trees of what they hold, and compare these first. Off only in experiments.
    pub trees: bool,
    /// Each tree is built anew this often, which finds rows that were lost without a trace. Default 24 h. Zero: never.
    pub tree_rebuild_interval: Duration,
    /// So many bytes of rows an exchange may read and give, per shard. Default 16 MiB per second, a quarter while clients are
    /// busy. Zero: no limit. More repairs sooner and takes the disk from clients. An owner that has lost its data, and who
    /// gives it the other owners', are held up only while clients are busy, and then by the whole of it.
    pub repair_bytes_per_second: u64,
    /// So many whole rows exchanges may take and give, per shard. Default 20,000 per second, a quarter while clients are busy.
    /// Zero: no limit.
    pub repair_rows_per_second: u32,
    /// Whether hints and debts are delivered. Off only in experiments.
    pub handoff: bool,
    /// Dialogues of an exchange under way at once. Default 4.
    pub exchanges_max: usize,
    /// Client requests under way at once; a further one is answered `Busy`. Default 8192.
    pub ops_max: usize,
    /// Entries of the ledger of unacknowledged owners; above it the oldest become debts at once. Default 8192.
    pub ledger_entries_max: usize,
    /// Rows owed to one owner. A fallback refuses hints beyond it; an owner leaves the rest to the exchange and says
    /// so. Default 1,000,000.
    pub debts_per_owner_max: u64,
    /// Memory that a shard's decoded rows may take from turn to turn, about. Default 128 MiB. More memory, fewer reads.
    pub row_cache_bytes: usize,
    /// Requests parked behind rows that are being read from disk; a further one is answered `Busy`. Default 8192.
    pub parked_max: usize,
    /// Pause before a refused or lost delivery to an owner is tried again; doubles up to 32 times this. Default 200 ms.
    pub delivery_backoff: Duration,
    /// Length of an actor's tick. Default 10 s. The same in the whole cluster.
    pub tick: Duration,
    /// Lease of a node's actors, in ticks: they roll over to a new id after one to two leases. Default 360 (an hour).
    pub actor_lease_ticks: u32,
    /// Seals contexts and tokens; the same on every member of the cluster. A node takes it from its bundle; the default, all
    /// zero, is for experiments.
    pub seal_key: SealKey,
    /// What a node that is in no layout yet says of itself to those who are, so that it may be let join. `None`: nothing.
    pub candidate: Option<Candidate>,
    /// Whether expired actors are compacted and what was deleted is forgotten. Off only in experiments: rows then grow.
    pub stability: bool,
    /// Each partition with something to settle is asked about this often. Default 5 s. Shorter settles sooner and costs
    /// messages: one question per such partition and node of its accept set.
    pub stability_interval: Duration,
    /// A clock this far ahead of the median of its peers mints no register stamps. Default 10 s.
    pub clock_ahead_max: Duration,
}

impl Default for ShardConfig {
    fn default() -> Self {
        ShardConfig {
            durability: Durability::Fsync,
            strict: false,
            request_deadline: Duration::from_secs(2),
            widen_after: Duration::from_millis(100),
            ping_interval: Duration::from_millis(250),
            suspect_after: Duration::from_secs(1),
            exchange_interval: Duration::from_secs(30),
            exchange: true,
            read_repair: true,
            read_repairs_per_second: 64,
            read_repair_bytes_per_second: 4 << 20,
            trees: true,
            tree_rebuild_interval: Duration::from_secs(24 * 3600),
            repair_bytes_per_second: 16 << 20,
            repair_rows_per_second: 20_000,
            handoff: true,
            exchanges_max: 4,
            ops_max: 8192,
            ledger_entries_max: 8192,
            debts_per_owner_max: 1_000_000,
            row_cache_bytes: 128 << 20,
            parked_max: 8192,
            delivery_backoff: Duration::from_millis(200),
            tick: Duration::from_secs(10),
            actor_lease_ticks: 360,
            seal_key: SealKey([0; 32]),
            candidate: None,
            stability: true,
            stability_interval: Duration::from_secs(5),
            clock_ahead_max: Duration::from_secs(10),
        }
    }
}

/// Two settings that cannot stand together, or one that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct ConfigError {
    /// Name of the setting, or of the two that conflict.
    pub setting: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl ShardConfig {
    /// Refuses settings that could not work, naming them.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |setting, reason: String| Err(ConfigError { setting, reason });
        if self.suspect_after < self.ping_interval * 2 {
            return wrong(
                "suspect_after and ping_interval",
                format!(
                    "{:?} leaves no room for two pings of {:?}; use at least {:?}",
                    self.suspect_after,
                    self.ping_interval,
                    self.ping_interval * 2
                ),
            );
        }
        if self.ping_interval.is_zero() {
            return wrong("ping_interval", "must be longer than zero".into());
        }
        if self.widen_after.is_zero() {
            return wrong("widen_after", "must be longer than zero".into());
        }
        if self.request_deadline.is_zero() {
            return wrong("request_deadline", "must be longer than zero".into());
        }
        if self.tick.is_zero() || self.actor_lease_ticks == 0 {
            return wrong("tick and actor_lease_ticks", "both must be larger than zero".into());
        }
        if self.stability_interval.is_zero() {
            return wrong("stability_interval", "must be longer than zero".into());
        }
        if self.ops_max == 0 || self.ledger_entries_max == 0 || self.parked_max == 0 || self.exchanges_max == 0 {
            return wrong(
                "ops_max, ledger_entries_max, parked_max and exchanges_max",
                "each must be at least 1".into(),
            );
        }
        Ok(())
    }
}
