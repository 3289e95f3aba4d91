//! Instances: how large a cluster of shards is explored, what clients do in it, and what may go wrong.

use std::sync::Arc;
use std::time::Duration;

use starling::config::ShardConfig;
use starling::ids::{ClusterId, NodeId};
use starling::membership::{Fallbacks, Layout, LayoutError, Member};
use starling::ring::RingView;
use starling::sealed::SealKey;

/// What is explored.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What it is called on the command line and in reports.
    pub name: &'static str,
    /// Members. Three own each partition.
    pub nodes: usize,
    /// Members that stand in for the owners of a partition.
    pub fallbacks: u8,
    /// Q.
    pub partitions: u16,
    /// What the keys are used for, one entry for each key.
    pub keys: &'static [Topic],
    /// Client sessions at a time.
    pub sessions: u8,
    /// What may go wrong beside the network.
    pub faults: Faults,
    /// W.
    pub write_quorum: u8,
    /// The members change: the last one carries nothing at first.
    pub changes: bool,
    /// Of 1000 reads within a turn, how many must wait for the disk.
    pub not_in_memory_per_mille: u16,
    /// Drawn steps of a history.
    pub length: usize,
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Sessions and nodes count on it.
    Counter,
    /// The same, and it is reset, set, deleted, and made to expire.
    String,
    /// Members are added and removed.
    Set,
    /// Fields are put, counted on and removed.
    Map,
    /// Members are given scores, and removed.
    SortedSet,
    /// Values are put beside each other.
    Siblings,
    /// A flag is raised and lowered.
    Flag,
}

/// What may go wrong beside the network, which may always lose, repeat, delay and reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Processes die and are started again, without or with the loss of what was not synced.
    pub crashes: bool,
    /// One node of a history may lose its directory, any number of times: W = 2 promises no more.
    pub wipes: bool,
    /// Wall clocks differ, and jump within the bound.
    pub clocks: bool,
}

impl Faults {
    /// Everything.
    pub const ALL: Faults = Faults { crashes: true, wipes: true, clocks: true };
}

/// N.
pub const OWNERS: usize = 3;

/// R, and W unless an instance says otherwise.
pub const QUORUM: u8 = 2;

/// How far a wall clock may be off, either way. Unit: microseconds.
pub const SKEW_MAX: i64 = 400_000;

/// The worlds of `starling-sim model shards`.
pub fn all() -> Vec<Instance> {
    vec![counting(), resetting(), collecting(), moving(), changing(), changing_alone()]
}

/// Four nodes, one partition: three owners and a fallback. Everything happens to a few rows.
pub fn counting() -> Instance {
    Instance {
        name: "three owners and a fallback, counters",
        nodes: 4,
        fallbacks: 1,
        partitions: 1,
        keys: &[Topic::Counter, Topic::Counter],
        sessions: 3,
        faults: Faults::ALL,
        write_quorum: QUORUM,
        changes: false,
        not_in_memory_per_mille: 60,
        length: 260,
    }
}

/// The same with resets, puts, deletes and deadlines.
pub fn resetting() -> Instance {
    Instance { name: "three owners and a fallback, strings", keys: &[Topic::String, Topic::String], ..counting() }
}

/// The same with all types whose parts stand under dots.
pub fn collecting() -> Instance {
    Instance {
        name: "three owners and a fallback, collections",
        keys: &[Topic::Set, Topic::Map, Topic::SortedSet, Topic::Siblings, Topic::Flag],
        ..counting()
    }
}

/// Six nodes, two partitions with other owners: who owns one stands in for the other, or has nothing to do with it.
pub fn moving() -> Instance {
    Instance {
        name: "six nodes, two partitions, all types",
        nodes: 6,
        fallbacks: 2,
        partitions: 2,
        keys: &[Topic::Counter, Topic::String, Topic::String, Topic::Set, Topic::Map, Topic::Siblings],
        length: 320,
        ..counting()
    }
}

/// Three owners, a fallback, and one who carries nothing: it comes, and one of the others goes, again and again.
pub fn changing() -> Instance {
    Instance {
        name: "owners come and go",
        nodes: 5,
        keys: &[Topic::Counter, Topic::String, Topic::Set],
        changes: true,
        length: 420,
        ..counting()
    }
}

/// The same where one node's word is enough for a write: what it alone has must be handed over. No directory is lost then.
pub fn changing_alone() -> Instance {
    let faults = Faults { wipes: false, ..Faults::ALL };
    Instance { name: "owners come and go, W = 1", write_quorum: 1, faults, ..changing() }
}

impl Instance {
    /// The member id of a node.
    pub fn id(node: usize) -> NodeId {
        NodeId(node as u64 + 1)
    }

    /// Who owns what.
    pub fn ring(&self) -> Result<Arc<RingView>, LayoutError> {
        let member =
            |node: usize| Member::new(Instance::id(node), format!("n{}", node + 1), format!("n{}:1", node + 1));
        let mut layout = Layout::founding(ClusterId([9; 16]), "shards", (0..self.nodes).map(member).collect());
        layout.partitions = self.partitions;
        layout.fallbacks = Fallbacks::Next(self.fallbacks);
        layout.read_quorum = QUORUM;
        layout.write_quorum = self.write_quorum;
        if self.changes
            && let Some(last) = layout.members.last_mut()
        {
            last.weight = 0;
        }
        Ok(Arc::new(RingView::new(layout.seal()?)?))
    }

    /// Knobs of every shard. Ticks of a second and leases of three: actors expire within a history. Few timers, so that
    /// most steps are about data.
    pub fn config(&self) -> ShardConfig {
        ShardConfig {
            tick: Duration::from_secs(1),
            actor_lease_ticks: 3,
            clock_ahead_max: Duration::from_secs(1),
            stability_interval: Duration::from_millis(600),
            ping_interval: Duration::from_millis(800),
            suspect_after: Duration::from_millis(1_700),
            exchange_interval: Duration::from_secs(6),
            widen_after: Duration::from_millis(150),
            request_deadline: Duration::from_secs(2),
            row_cache_bytes: 1,
            // What is shown and taken is the same with trees in front, and there are fewer steps without.
            trees: false,
            seal_key: SealKey([5; 32]),
            ..ShardConfig::default()
        }
    }
}
