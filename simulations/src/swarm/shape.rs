//! The shape of a seed: its cluster, its network, its disks and its faults, drawn so that every knob is turned in some
//! seeds and left alone in others.

use std::fmt;
use std::time::Duration;

use starling::config::{Durability, ShardConfig};
use starling::ids::ClusterId;
use starling::membership::Fallbacks;
use starling::storage::memory::MemoryFaults;

use super::SwarmOptions;
use crate::faults::atlas::FaultMix;
use crate::workload::Topics;
use crate::world::chance::{Chance, Use};
use crate::world::network::{Delays, NetworkOptions};
use crate::world::options::WorldOptions;

/// The kinds of trouble that seeds draw from: members that come and go, what else operators do, another N than 3, zones, cuts, processes that end, the one fragile disk, nodes
/// that stand still, clocks that jump, disks that are full or fail, frames that are lost, that come twice, links that break, clocks
/// that are off from the start, rows that have left memory, more than one shard.
pub const TROUBLES: [&str; 16] = [
    "members",
    "operator",
    "another N",
    "zones",
    "splits",
    "crashes",
    "damage",
    "slowness",
    "clocks",
    "disks",
    "loss",
    "repeats",
    "resets",
    "skew",
    "cold rows",
    "shards",
];

/// What a seed is made of.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The world.
    pub world: WorldOptions,
    /// Its faults.
    pub faults: FaultMix,
    /// What its keys are about.
    pub topics: Topics,
}

impl Shape {
    /// The shape of a seed.
    pub fn draw(seed: u64, options: SwarmOptions) -> Shape {
        let mut chance = Chance::new(seed, Use::Options);
        let nodes = *chance.pick(&[5, 5, 5, 5, 5, 3, 4, 6, 7]).unwrap_or(&5);
        let fallbacks = match chance.below(5) {
            0 => Fallbacks::Next(0),
            1 => Fallbacks::Next(1),
            2 => Fallbacks::All,
            _ => Fallbacks::Next(2),
        };
        let world = WorldOptions {
            seed,
            cluster: ClusterId([7; 16]),
            twin_of: None,
            nodes,
            spares: 0,
            shards: if chance.happens(200) { 2 } else { 1 },
            zones: 0,
            partitions: *chance.pick(&[8, 8, 16, 32]).unwrap_or(&8),
            replicas: 3,
            quorums: None,
            fallbacks,
            config: config(&mut chance),
            network: network(&mut chance),
            sync: sync(&mut chance),
            disk: MemoryFaults {
                not_in_memory_per_mille: *chance.pick(&[0, 20, 300]).unwrap_or(&0),
                ..MemoryFaults::default()
            },
            skew_max: Duration::from_millis(*chance.pick(&[0, 50, 2_000]).unwrap_or(&0)),
            prints: options.prints,
        };
        let faults = FaultMix::draw(&mut chance);
        let topics = options.topics.unwrap_or_else(|| Topics::draw(&mut chance, Topics::SERVED));
        let mut shape = Shape { world, faults, topics };
        if chance.happens(500) {
            shape.faults.members = true;
            shape.world.spares = chance.between(1, 3) as usize;
            shape.faults.operator = Chance::new(seed, Use::Operator).happens(500);
        }
        place(&mut shape.world);
        shape
    }

    /// Whether nothing goes wrong: all nodes are there all the time, and no message is lost.
    pub fn is_quiet(&self) -> bool {
        let NetworkOptions { loss_per_mille, queue_full_per_mille, reset_per_mille, .. } = self.world.network;
        self.faults.is_quiet() && loss_per_mille + queue_full_per_mille + reset_per_mille == 0
    }

    /// The kinds of trouble that are drawn from, by name.
    pub fn troubles(&self) -> Vec<&'static str> {
        let (faults, network, world) = (&self.faults, &self.world.network, &self.world);
        let is_on = [
            faults.members,
            faults.operator,
            world.replicas != 3,
            world.zones > 0,
            faults.splits,
            faults.crashes,
            faults.damage,
            faults.slowness,
            faults.clocks,
            faults.disks,
            network.loss_per_mille > 0,
            network.duplicate_per_mille + network.replay_per_mille > 0,
            network.reset_per_mille + network.queue_full_per_mille > 0,
            !world.skew_max.is_zero(),
            world.disk.not_in_memory_per_mille > 0,
            world.shards > 1,
        ];
        TROUBLES.into_iter().zip(is_on).filter(|(_, is_on)| *is_on).map(|(kind, _)| kind).collect()
    }

    /// How long the cluster may take to come to rest once everything is well: deliveries back off up to 32 times the
    /// first pause, nodes may still stand still, and whatever nobody remembers waits for the timer of the exchange. A change
    /// of the members that is under way goes through its phases first.
    pub fn settles_within(&self) -> Duration {
        let change = if self.faults.members { Duration::from_secs(120) } else { Duration::ZERO };
        Duration::from_secs(60) + self.world.config.exchange_interval * 3 + change
    }
}

/// N, R, W and the zones. Drawn from a stream of their own: all else is the same without them.
fn place(world: &mut WorldOptions) {
    let mut chance = Chance::new(world.seed, Use::Placement);
    let replicas = *chance.pick(&[3, 3, 3, 3, 3, 1, 2, 2, 4, 5]).unwrap_or(&3);
    world.replicas = u8::try_from(world.nodes).unwrap_or(replicas).min(replicas);
    let n = u64::from(world.replicas);
    if chance.happens(300) {
        let r = chance.between(1, n) as u8;
        // Mostly every read meets every write.
        let least = if chance.happens(700) { n + 1 - u64::from(r) } else { 1 };
        world.quorums = Some((r, chance.between(least, n) as u8));
    }
    if chance.happens(400) {
        world.zones = chance.between(2, 4) as usize;
    }
}

fn config(chance: &mut Chance) -> ShardConfig {
    let millis = |chance: &mut Chance, low, high| chance.span(Duration::from_millis(low), Duration::from_millis(high));
    let usual = ShardConfig::default();
    let ping_interval = millis(chance, 100, 400);
    ShardConfig {
        durability: if chance.happens(150) { Durability::Wal } else { Durability::Fsync },
        request_deadline: millis(chance, 500, 3_000),
        widen_after: millis(chance, 20, 300),
        ping_interval,
        suspect_after: ping_interval * 2 + millis(chance, 0, 1_500),
        exchange_interval: millis(chance, 5_000, 20_000),
        exchanges_max: if chance.happens(300) { 1 } else { usual.exchanges_max },
        ops_max: if chance.happens(100) { 8 } else { usual.ops_max },
        ledger_entries_max: if chance.happens(250) { chance.between(1, 16) as usize } else { usual.ledger_entries_max },
        debts_per_owner_max: if chance.happens(150) { chance.between(1, 40) } else { usual.debts_per_owner_max },
        parked_max: if chance.happens(100) { 4 } else { usual.parked_max },
        // None are kept from turn to turn: every turn reads anew, and may have to wait for the disk.
        row_cache_bytes: *chance.pick(&[0, 0, 8 << 10, usual.row_cache_bytes]).unwrap_or(&0),
        tick: Duration::from_secs(1),
        stability_interval: millis(chance, 200, 3_000),
        clock_ahead_max: if chance.happens(500) { Duration::from_secs(2) } else { usual.clock_ahead_max },
        // Leases from a few seconds on: actors roll over within a run.
        actor_lease_ticks: if chance.happens(400) { chance.between(2, 30) as u32 } else { usual.actor_lease_ticks },
        ..usual
    }
}

fn network(chance: &mut Chance) -> NetworkOptions {
    let some = |chance: &mut Chance, share, most| if chance.happens(share) { chance.below(most) as u16 } else { 0 };
    NetworkOptions {
        delays: *chance
            .pick(&[Delays::Lan, Delays::Lan, Delays::Lan, Delays::Wan, Delays::HeavyTail])
            .unwrap_or(&Delays::Lan),
        loss_per_mille: some(chance, 400, 60),
        duplicate_per_mille: some(chance, 400, 150),
        replay_per_mille: some(chance, 300, 60),
        queue_full_per_mille: some(chance, 200, 20),
        reset_per_mille: some(chance, 200, 4),
        notice_after: chance.happens(750).then(|| chance.span(Duration::from_millis(5), Duration::from_millis(1_500))),
    }
}

fn sync(chance: &mut Chance) -> (Duration, Duration) {
    match chance.below(3) {
        0 => (Duration::from_millis(1), Duration::from_millis(25)),
        _ => (Duration::from_micros(100), Duration::from_micros(600)),
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (world, config) = (&self.world, &self.world.config);
        write!(
            f,
            "{} nodes and {} spares × {} shards, N {}, R and W {:?}, {} zones, Q {}, F {:?}, {:?}, {:?}, lease {} s, exchange every {:?}, {:?}, \
             not in memory {}‰, skew {:?}, topics {}, faults {:?}",
            world.nodes,
            world.spares,
            world.shards,
            world.replicas,
            world.quorums,
            world.zones,
            world.partitions,
            world.fallbacks,
            config.durability,
            world.network,
            config.actor_lease_ticks,
            config.exchange_interval,
            world.sync,
            world.disk.not_in_memory_per_mille,
            world.skew_max,
            self.topics,
            self.faults
        )
    }
}
