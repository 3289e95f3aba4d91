//! What the whole protocol costs by the size of the cluster: how long it takes to agree, and what its nodes say to each other
//! meanwhile.
//!
//! Every node is one of the virtual world: the real core, all partitions, frames through the codec. Per size:
//!
//! ```text
//! found ─→ idle for one interval of exchange ─→ one node is cut off, writes ─→ heal: equal when? ─→ one joins: learned, through when?
//! ```
//!
//! Simulated time is bounded per step, so real time is too: about a minute for a hundred nodes.

use std::time::{Duration, Instant};

use starling::ids::Key;
use starling::membership::Change;
use starling::message::client::{Command, Options, Request};

use crate::world::World;
use crate::world::network::Cut;
use crate::world::options::WorldOptions;
use crate::world::traffic::Traffic;

/// Longest simulated time of one step.
const PATIENCE: Duration = Duration::from_secs(180);

/// Keys that are written while a node is cut off.
const KEYS: usize = 400;

/// What a cluster of one size did.
#[derive(Clone, Debug)]
pub struct Grown {
    /// Members.
    pub nodes: usize,
    /// Until every partition was founded.
    pub founded: Option<Duration>,
    /// Sent by each node in a second at rest, when nobody asks anything. Unit: bytes.
    pub idle: Rates,
    /// From the heal of a cut until all owners of all rows were equal.
    pub equal: Option<Duration>,
    /// From the first member that took a layout up to the last one.
    pub learned: Option<Duration>,
    /// From the commit until the node that joined had taken over its share, and the layout was steady.
    pub joined: Option<Duration>,
    /// Sent by each node in a second while one joined. Unit: bytes.
    pub joining: Rates,
    /// Memory of the trees of the node that has the most. Unit: bytes.
    pub tree_bytes: u64,
    /// Memory of a node's view of the ring, at the end. Unit: bytes.
    pub ring_bytes: usize,
    /// Real time of the run.
    pub took: Duration,
}

/// Bytes per node and second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Who is there.
    pub liveness: f64,
    /// Who is to be a member.
    pub layout: f64,
    /// Comparing and repairing.
    pub repair: f64,
    /// Settling.
    pub settling: f64,
    /// All.
    pub sum: f64,
}

impl Rates {
    fn of(traffic: Traffic, nodes: usize, span: Duration) -> Rates {
        let rate = |bytes: u64| bytes as f64 / nodes as f64 / span.as_secs_f64().max(1e-6);
        Rates {
            liveness: rate(traffic.liveness),
            layout: rate(traffic.layout),
            repair: rate(traffic.repair),
            settling: rate(traffic.settling),
            sum: rate(traffic.sum()),
        }
    }
}

/// Runs clusters of these sizes, of so many partitions each, one after the other.
pub fn grow(sizes: &[usize], partitions: u16) -> Vec<Grown> {
    sizes.iter().map(|nodes| of_size(*nodes, partitions)).collect()
}

fn of_size(nodes: usize, partitions: u16) -> Grown {
    let began = Instant::now();
    let options = WorldOptions {
        nodes,
        spares: 1,
        partitions,
        config: starling::config::ShardConfig::default(),
        ..WorldOptions::calm(1)
    };
    let idle_for = options.config.exchange_interval;
    let mut world = World::new(options).unwrap_or_else(|error| panic!("a cluster of {nodes} nodes: {error}"));
    let founded = wait(&mut world, |world| {
        (0..nodes).all(|node| world.status(node).iter().all(|status| status.newborn_partitions == 0))
    });
    // The first comparisons of all pairs, one interval long, are no rest yet.
    world.run_for(idle_for);
    let before = world.traffic;
    world.run_for(idle_for);
    let idle = Rates::of(world.traffic.since(&before), nodes, idle_for);
    world.isolate(nodes - 1, Cut::Loses);
    world.run_for(Duration::from_secs(3));
    for number in 0..KEYS {
        let key = Key::new(format!("growth/{number}")).expect("a short key");
        let request = Request { key, command: Command::Increment { by: 1 }, options: Options::default() };
        world.request(number % (nodes - 1), 0, request);
        world.run_for(Duration::from_millis(5));
    }
    world.run_for(Duration::from_secs(2));
    world.heal_all();
    let equal = wait(&mut world, |world| world.unrest(1).is_empty());
    let (before, at) = (world.traffic, world.now());
    let join = Change::Join(world.options.member(nodes));
    let moving = world.layouts().len();
    let operation = world.change_through(0, vec![join], false);
    let committed = wait(&mut world, |world| world.operations().get(operation).is_some_and(|it| it.outcome.is_some()));
    let took_up = world.now();
    wait(&mut world, |world| world.layouts().get(moving).is_some_and(|it| it.everywhere_at.is_some()));
    let spread = |it: &crate::world::membership::Decided| Some(it.everywhere_at?.since(it.at));
    let learned = world.layouts().get(moving).and_then(spread);
    let joined = wait(&mut world, |world| world.layouts().len() > moving && world.ring().layout().phase.is_steady());
    let joined = joined.filter(|_| committed.is_some()).map(|_| world.now().since(took_up));
    let joining = Rates::of(world.traffic.since(&before), nodes + 1, world.now().since(at));
    let trees = |node: usize| world.status(node).iter().map(|status| status.tree_bytes).sum();
    Grown {
        nodes,
        founded,
        idle,
        equal,
        learned,
        joined,
        joining,
        tree_bytes: (0..nodes).map(trees).max().unwrap_or(0),
        ring_bytes: super::placement::held(world.ring()),
        took: began.elapsed(),
    }
}

/// Until something holds; `None`: not within [`PATIENCE`].
fn wait(world: &mut World, holds: impl Fn(&World) -> bool) -> Option<Duration> {
    let began = world.now();
    while !holds(world) {
        if world.now().since(began) >= PATIENCE {
            return None;
        }
        world.run_for(Duration::from_millis(100));
    }
    Some(world.now().since(began))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clusters_found_agree_and_let_join_within_bounds() {
        let [small, larger] = grow(&[5, 8], 64).try_into().unwrap();
        for one in [&small, &larger] {
            assert!(one.founded.is_some_and(|took| took < Duration::from_secs(10)), "{one:?}");
            assert!(one.equal.is_some_and(|took| took < Duration::from_secs(90)), "{one:?}");
            assert!(one.learned.is_some() && one.joined.is_some(), "{one:?}");
            assert!(
                one.tree_bytes > 0 && one.ring_bytes > 0 && one.idle.repair > 0.0 && one.idle.liveness > 0.0,
                "{one:?}"
            );
        }
        assert!(larger.idle.liveness > small.idle.liveness, "each pings more peers");
    }
}
