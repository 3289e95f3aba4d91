//! Parts of a seed's trouble that can be left out, to find out which of them matter.

use super::Shape;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Frames that arrive twice, or again much later.
    Repeats,
    /// Frames that vanish by chance.
    Loss,
    /// Connections that break, and queues that are full, although all is well.
    Resets,
    /// Cuts of the network.
    Splits,
    /// Processes that end and start again.
    Crashes,
    /// The one fragile disk.
    Damage,
    /// Nodes that stand still, slow disks, lossy links.
    Slowness,
    /// Clocks that are off, and jump.
    Clocks,
    /// Disks that are full, or fail.
    Disks,
    /// Rows that have left memory.
    ColdRows,
    /// More than one shard per node.
    Shards,
    /// Settings that are small, so that their bounds are met.
    Bounds,
    /// Members that come and go.
    Members,
    /// Another N than 3, quorums that are no majorities, zones, and requests that ask for several of them.
    Placement,
    /// What operators do beside letting members come and go.
    Operator,
}

/// Parts that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without(u16);

impl Without {
    /// Nothing is left out.
    pub const NOTHING: Without = Without(0);

    /// These parts are left out.
    pub fn of(parts: &[Part]) -> Without {
        parts.iter().fold(Without::default(), |without, part| without.and(*part))
    }

    /// This part too.
    pub fn and(self, part: Part) -> Without {
        Without(self.0 | 1 << part as u16)
    }

    /// Whether a part is left out.
    pub fn has(self, part: Part) -> bool {
        self.0 & 1 << part as u16 != 0
    }

    /// Takes the parts out of a shape. What is drawn for the rest stays the same.
    pub fn apply(self, shape: &mut Shape) {
        use clap::ValueEnum;
        for part in Part::value_variants().iter().filter(|part| self.has(**part)) {
            take_out(*part, shape);
        }
    }
}

fn take_out(part: Part, shape: &mut Shape) {
    let world = &mut shape.world;
    match part {
        Part::Repeats => {
            world.network.duplicate_per_mille = 0;
            world.network.replay_per_mille = 0;
        }
        Part::Loss => world.network.loss_per_mille = 0,
        Part::Resets => {
            world.network.reset_per_mille = 0;
            world.network.queue_full_per_mille = 0;
        }
        Part::Splits => shape.faults.splits = false,
        Part::Crashes => shape.faults.crashes = false,
        Part::Damage => shape.faults.damage = false,
        Part::Slowness => shape.faults.slowness = false,
        Part::Clocks => {
            shape.faults.clocks = false;
            world.skew_max = std::time::Duration::ZERO;
        }
        Part::Disks => shape.faults.disks = false,
        Part::ColdRows => {
            world.disk.not_in_memory_per_mille = 0;
            world.config.row_cache_bytes = starling::config::ShardConfig::default().row_cache_bytes;
        }
        Part::Members => {
            shape.faults.members = false;
            world.spares = 0;
        }
        Part::Placement => {
            world.replicas = 3;
            world.quorums = None;
            world.zones = 0;
        }
        Part::Operator => shape.faults.operator = false,
        Part::Shards => world.shards = 1,
        Part::Bounds => {
            let usual = starling::config::ShardConfig::default();
            let config = &mut world.config;
            config.exchanges_max = usual.exchanges_max;
            config.ops_max = usual.ops_max;
            config.ledger_entries_max = usual.ledger_entries_max;
            config.debts_per_owner_max = usual.debts_per_owner_max;
            config.parked_max = usual.parked_max;
            config.actor_lease_ticks = usual.actor_lease_ticks;
        }
    }
}
