//! What liveness and the spreading of a layout cost, by the number of nodes: up to a thousand, each the whole real core.
//!
//! Every node is one of the virtual world, with so few partitions that next to nothing is stored, compared or moved: what is left
//! is who is there, the council's votes, phases and rounds, and how each layout reaches everybody. Per size:
//!
//! ```text
//! found ─→ idle for 4 s: gossip ─→ one joins: each layout known to all when? steady when? ─→ one dies: suspected by all when?
//! ```
//!
//! Simulated time is bounded per step. Real time: some seconds for a hundred nodes, minutes for a thousand.

use std::time::Duration;

use starling::causality::Epoch;
use starling::ids::{ClusterId, NodeId, PartitionId};
use starling::membership::{Change, Committed, Layout, Member};
use starling::message::codec;
use starling::message::peer::{Addressed, Frame, LayoutMessage, PeerMessage};
use starling::ring::RingView;
use starling::time::Hlc;

use crate::world::World;
use crate::world::network::NetworkOptions;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

/// Nodes of the clusters that are measured.
pub const NODES: [usize; 8] = [5, 10, 33, 50, 100, 200, 500, 1_000];

/// Of the whole cluster: so few that a node of a large one owns one or none.
const PARTITIONS: u16 = 256;

/// Longest simulated time of one step.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long nothing happens while gossip is measured.
const IDLE: Duration = Duration::from_secs(4);

/// What it cost in a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Of so many nodes.
    pub nodes: usize,
    /// Gossip while nothing happens. Unit: frames sent per node and second.
    pub frames: f64,
    /// The same. Unit: bytes sent per node and second.
    pub bytes: f64,
    /// From the death of a node until every other one suspects it; `None`: not in time.
    pub death: Option<Duration>,
    /// From the first node that takes a layout up until the last one does: the slowest of the layouts of one join.
    pub layout: Option<Duration>,
    /// From the operator's call until the one that joined has its share, and everybody acts by the steady layout.
    pub joined: Option<Duration>,
    /// Size of a layout with plain addresses as it is sent. Unit: bytes.
    pub layout_bytes: usize,
    /// Sent about layouts while one joined. Unit: bytes per node.
    pub spread_bytes: f64,
    /// Memory of a node's view of the ring at 16 partitions per node, up to 16384. Unit: bytes.
    pub ring_bytes: usize,
}

/// Measures a cluster of so many nodes.
pub fn layout(nodes: usize) -> Spread {
    let mut options = WorldOptions { nodes, spares: 1, partitions: PARTITIONS, ..WorldOptions::calm(1) };
    // Nobody is told that a process has ended: its silence must be noticed.
    options.network = NetworkOptions { notice_after: None, ..NetworkOptions::CALM };
    let mut world = World::new(options).unwrap_or_else(|error| panic!("a cluster of {nodes} nodes: {error}"));
    // Everybody has found everybody, and all partitions are founded.
    world.run_for(Duration::from_secs(6));
    let per_second = |sum: u64| sum as f64 / nodes as f64 / IDLE.as_secs_f64();
    let (traffic, frames) = (world.traffic, world.network.counters.sent);
    world.run_for(IDLE);
    let idle = world.traffic.since(&traffic);
    let (frames, bytes) = (world.network.counters.sent - frames, idle.liveness + idle.layout);

    let (traffic, began, first) = (world.traffic, world.now(), world.layouts().len());
    let join = Change::Join(world.options.member(nodes));
    world.change_through(0, vec![join], false);
    let joined = wait(&mut world, |world| {
        let last = world.layouts().last();
        world.layouts().len() > first
            && last.is_some_and(|it| it.ring.layout().phase.is_steady() && it.everywhere_at.is_some())
    });
    let spread_bytes = world.traffic.since(&traffic).layout as f64 / nodes as f64;
    let known = world.layouts().iter().skip(first).map(|it| Some(it.everywhere_at?.since(it.at)));
    let layout = known.max().flatten().filter(|_| joined.is_some());
    let joined = joined.map(|_| world.now().since(began));

    let (began, before) = (world.now(), suspicions(&world));
    world.crash(nodes - 1, Damage::None);
    // The others, and the one that has joined.
    let death = wait(&mut world, |world| suspicions(world) - before >= nodes as u64);
    let (layout_bytes, ring_bytes) = sizes(nodes);
    Spread {
        nodes,
        frames: per_second(frames),
        bytes: per_second(bytes),
        death: death.map(|_| world.now().since(began)),
        layout,
        joined,
        layout_bytes,
        spread_bytes,
        ring_bytes,
    }
}

fn suspicions(world: &World) -> u64 {
    world.facts.count("peer suspected")
}

/// Until something holds; `None`: not in time.
fn wait(world: &mut World, holds: impl Fn(&World) -> bool) -> Option<()> {
    let give_up = world.after(PATIENCE);
    while !holds(world) {
        if world.now() >= give_up {
            return None;
        }
        world.run_for(Duration::from_millis(20));
    }
    Some(())
}

/// A layout of so many members with the partitions that they would have, as it is sent and as it is held. Unit: bytes.
fn sizes(nodes: usize) -> (usize, usize) {
    let member = |id: u64| {
        let address = format!("10.0.{}.{}:7000", id / 256, id % 256);
        Member::new(NodeId(id), format!("n{id}"), address)
    };
    let mut layout = Layout::founding(ClusterId([7; 16]), "cost", (1..=nodes as u64).map(member).collect());
    layout.partitions = (16 * nodes).next_power_of_two().clamp(256, 16_384) as u16;
    let layout = layout.seal().expect("the layout is sound");
    let message = PeerMessage::Layout(Box::new(LayoutMessage::Push(Committed::first(layout.clone()))));
    let messages = vec![Addressed { partition: PartitionId(0), layout: 1, message }];
    let clock = Hlc { wall: 1 << 50, logical: 0 };
    let mut bytes = Vec::new();
    codec::encode(&Frame { layout: layout.epoch, epoch: Epoch(u64::MAX), clock, messages }, &mut bytes)
        .expect("a layout is within its bound");
    (bytes.len(), super::placement::held(&RingView::new(layout).expect("the layout is sound")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Above the size up to which everybody pings everybody.
    #[test]
    fn a_death_is_known_to_all_within_three_seconds_a_layout_within_one_and_gossip_does_not_grow_with_the_cluster() {
        let [small, large] = [50, 100].map(layout);
        for one in [&small, &large] {
            assert!(one.death.is_some_and(|took| took < Duration::from_secs(3)), "{one:?}");
            assert!(one.layout.is_some_and(|took| took < Duration::from_secs(1)), "{one:?}");
            assert!(one.joined.is_some(), "{one:?}");
        }
        assert!(large.bytes < 1.5 * small.bytes && large.frames < 1.5 * small.frames, "{small:?}, {large:?}");
    }
}
