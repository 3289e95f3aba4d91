//! The shape of a world: its cluster, its network, its disks and its clocks.

use std::time::Duration;

use starling::config::ShardConfig;
use starling::ids::{ClusterId, NodeId};
use starling::membership::{Fallbacks, Layout, LayoutError, Member};
use starling::sealed::SealKey;
use starling::storage::memory::MemoryFaults;

use super::network::NetworkOptions;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// All chance of the world comes from it.
    pub seed: u64,
    /// The cluster's id.
    pub cluster: ClusterId,
    /// Members with which the cluster is founded.
    pub nodes: usize,
    /// Nodes that are there beside them and may join. See [`super::membership`].
    pub spares: usize,
    /// A place more: a second machine with the bundle of this node. See [`super::twin`].
    pub twin_of: Option<usize>,
    /// Shards of each node.
    pub shards: usize,
    /// Zones in which the nodes stand by turns; 0: each in one of its own.
    pub zones: usize,
    /// Q.
    pub partitions: u16,
    /// N.
    pub replicas: u8,
    /// R and W; `None`: majorities of N.
    pub quorums: Option<(u8, u8)>,
    /// F.
    pub fallbacks: Fallbacks,
    /// Knobs of every shard.
    pub config: ShardConfig,
    /// What every link does.
    pub network: NetworkOptions,
    /// Shortest and longest time of a sync.
    pub sync: (Duration, Duration),
    /// Faults of every disk.
    pub disk: MemoryFaults,
    /// Wall clocks are off by up to this.
    pub skew_max: Duration,
    /// Print every event.
    pub prints: bool,
}

impl WorldOptions {
    /// Five nodes on a quiet LAN with good disks and clocks: N = 3, F = 2, Q = 64.
    pub fn calm(seed: u64) -> WorldOptions {
        WorldOptions {
            seed,
            cluster: ClusterId([7; 16]),
            nodes: 5,
            spares: 0,
            twin_of: None,
            shards: 1,
            zones: 0,
            partitions: 64,
            replicas: 3,
            quorums: None,
            fallbacks: Fallbacks::Next(2),
            config: ShardConfig { exchange_interval: Duration::from_secs(10), ..ShardConfig::default() },
            network: NetworkOptions::CALM,
            sync: (Duration::from_micros(100), Duration::from_micros(600)),
            disk: MemoryFaults::default(),
            skew_max: Duration::ZERO,
            prints: false,
        }
    }

    /// The key for contexts and tokens of the world's cluster.
    pub fn seal_key(&self) -> SealKey {
        let mut key = [7; 32];
        if let Some(first) = key.first_chunk_mut() {
            *first = self.seed.to_be_bytes();
        }
        SealKey(key)
    }

    /// Nodes that are members or may become some.
    pub fn places(&self) -> usize {
        self.nodes + self.spares
    }

    /// The member id of a node of the world.
    pub fn id(node: usize) -> NodeId {
        NodeId(node as u64 + 1)
    }

    /// The member that a node is, or would be.
    pub fn member(&self, node: usize) -> Member {
        let member = Member::new(WorldOptions::id(node), format!("n{}", node + 1), format!("node-{}:1", node + 1));
        Member { zone: node.checked_rem(self.zones).map_or_else(String::new, WorldOptions::zone), ..member }
    }

    /// The name of a zone.
    pub fn zone(number: usize) -> String {
        format!("z{}", number + 1)
    }

    /// The founding layout.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        let members = (0..self.nodes).map(|node| self.member(node)).collect();
        let mut layout = Layout::founding(self.cluster, "world", members);
        layout.replicas = self.replicas;
        let majority = self.replicas / 2 + 1;
        (layout.read_quorum, layout.write_quorum) = self.quorums.unwrap_or((majority, majority));
        layout.partitions = self.partitions;
        layout.fallbacks = self.fallbacks;
        layout.seal()
    }
}
