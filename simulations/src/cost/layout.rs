//! What liveness and the spreading of a layout cost, by the number of nodes: the machines of the core that do it, in virtual time.
//!
//! Each node is what a shard has of it: the real [`Liveness`], the number of its layout, and the rules by which it asks for a newer
//! one. No data, no disk: so a thousand nodes run in seconds. Messages take half a millisecond to a whole one; sizes are those of
//! real frames.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use starling::causality::Epoch;
use starling::config::ShardConfig;
use starling::ids::{ClusterId, NodeId, PartitionId};
use starling::membership::liveness::Liveness;
use starling::membership::{Committed, Layout, LayoutEpoch, Member};
use starling::message::codec;
use starling::message::peer::{Addressed, Frame, LayoutMessage, PeerMessage, Ping};
use starling::ring::RingView;
use starling::time::{Hlc, Timestamp, WallTime};

/// Nodes of the clusters that are measured.
pub const NODES: [u64; 8] = [5, 10, 33, 50, 100, 200, 500, 1_000];

/// So many nodes are told at once of what was decided, as in `council/spread.rs`.
const TOLD_AT_ONCE: usize = 32;

/// What it cost in a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Of so many nodes.
    pub nodes: u64,
    /// Gossip while nothing happens. Unit: messages sent per node and second.
    pub messages: f64,
    /// The same. Unit: bytes sent per node and second.
    pub bytes: f64,
    /// From the death of a node until every other one suspects it.
    pub death: Duration,
    /// From the decision on a layout until every node has it.
    pub layout: Duration,
    /// Size of the layout as it is sent. Unit: bytes.
    pub layout_bytes: usize,
    /// Sent for that. Unit: bytes per node.
    pub spread_bytes: f64,
    /// Memory of a node's view of the ring at 16 partitions per node, up to 16384. Unit: bytes.
    pub ring_bytes: usize,
}

/// Measures clusters of these sizes.
pub fn layout(nodes: &[u64]) -> Vec<Spread> {
    nodes.iter().map(|nodes| measure(*nodes)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    Ping,
    Pong,
    Doubt(usize),
    Pull,
    Push,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The timer of a node.
    Tick(usize),
    /// A message arrives, of a node that had this layout when it spoke.
    Arrives { to: usize, from: usize, layout: u64, message: Message },
}

struct Node {
    liveness: Liveness,
    layout: u64,
    is_dead: bool,
    /// When it asked each peer for its layout last.
    pulled: BTreeMap<usize, Timestamp>,
}

struct Cluster {
    now: Timestamp,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    sent: u64,
    chance: ChaCha8Rng,
    config: ShardConfig,
    messages: u64,
    bytes: u64,
    sizes: BTreeMap<&'static str, u64>,
    suspected: BTreeMap<usize, Timestamp>,
    adopted: BTreeMap<usize, Timestamp>,
    victim: Option<usize>,
}

fn id(node: usize) -> NodeId {
    NodeId(node as u64 + 1)
}

fn place(node: NodeId) -> usize {
    node.0 as usize - 1
}

/// A layout of so many members, and its view.
fn founded(nodes: u64) -> Layout {
    let member = |id: u64| Member::new(NodeId(id), format!("n{id}"), format!("10.0.{}.{}:7000", id / 256, id % 256));
    let mut layout = Layout::founding(ClusterId([7; 16]), "cost", (1..=nodes).map(member).collect());
    layout.partitions = (16 * nodes).next_power_of_two().clamp(256, 16_384) as u16;
    layout.seal().expect("the layout is sound")
}

fn frame_of(message: PeerMessage) -> u64 {
    let layout = LayoutEpoch { number: 9, content: u64::MAX, parent: u64::MAX };
    let clock = Hlc { wall: 1 << 50, logical: 3 };
    let messages = vec![Addressed { partition: PartitionId(0), layout: 9, message }];
    let mut bytes = Vec::new();
    codec::encode(&Frame { layout, epoch: Epoch(u64::MAX), clock, messages }, &mut bytes).expect("within its bound");
    bytes.len() as u64
}

impl Cluster {
    fn new(nodes: u64, layout: &Layout) -> Cluster {
        let ping = || Ping { wall: WallTime(1 << 50) };
        let about = |message| PeerMessage::Layout(Box::new(message));
        let sizes = BTreeMap::from([
            ("ping", frame_of(PeerMessage::Ping(ping()))),
            ("pong", frame_of(PeerMessage::Pong(ping()))),
            ("doubt", frame_of(about(LayoutMessage::Doubt(NodeId(nodes))))),
            ("pull", frame_of(about(LayoutMessage::Pull { have: 9 }))),
            ("push", frame_of(about(LayoutMessage::Push(Committed::first(layout.clone()))))),
        ]);
        let mut cluster = Cluster {
            now: Timestamp(0),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            sent: 0,
            chance: ChaCha8Rng::seed_from_u64(nodes),
            config: ShardConfig::default(),
            messages: 0,
            bytes: 0,
            sizes,
            suspected: BTreeMap::new(),
            adopted: BTreeMap::new(),
            victim: None,
        };
        let members = || (0..nodes as usize).map(id);
        for node in 0..nodes as usize {
            let mut liveness = Liveness::new(id(node), members());
            members().for_each(|peer| {
                liveness.on_answer(peer, Timestamp(0));
            });
            cluster.nodes.push(Node { liveness, layout: 1, is_dead: false, pulled: BTreeMap::new() });
            let shift = Duration::from_micros(cluster.chance.random_range(0..125_000));
            cluster.at(cluster.now.after(shift), Event::Tick(node));
        }
        cluster
    }

    fn at(&mut self, when: Timestamp, event: Event) {
        self.sent += 1;
        self.queue.push(Reverse((when, self.sent, event)));
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        let size = match message {
            Message::Ping => "ping",
            Message::Pong => "pong",
            Message::Doubt(_) => "doubt",
            Message::Pull => "pull",
            Message::Push => "push",
        };
        self.messages += 1;
        self.bytes += self.sizes.get(size).copied().unwrap_or(0);
        let delay = Duration::from_micros(self.chance.random_range(500..1_000));
        let layout = self.nodes[from].layout;
        self.at(self.now.after(delay), Event::Arrives { to, from, layout, message });
    }

    fn run(&mut self, span: Duration, is_done: impl Fn(&Cluster) -> bool) {
        let end = self.now.after(span);
        while let Some(Reverse((when, ..))) = self.queue.peek().copied() {
            if when > end || is_done(self) {
                break;
            }
            let Some(Reverse((when, _, event))) = self.queue.pop() else { break };
            self.now = when;
            match event {
                Event::Tick(node) => self.tick(node),
                Event::Arrives { to, from, layout, message } => self.arrive(to, from, layout, message),
            }
        }
    }

    fn tick(&mut self, node: usize) {
        if self.nodes[node].is_dead {
            return;
        }
        let (now, config) = (self.now, self.config.clone());
        self.at(now.after(config.ping_interval / 2), Event::Tick(node));
        let liveness = &mut self.nodes[node].liveness;
        let asked = liveness.to_ping(now, config.ping_interval);
        let suspects = liveness.suspect(now, config.suspect_after);
        let told: Vec<(NodeId, Vec<NodeId>)> = suspects.iter().map(|it| (*it, liveness.confidants())).collect();
        for peer in asked {
            self.send(node, place(peer), Message::Ping);
        }
        for (suspect, confidants) in told {
            if self.victim == Some(place(suspect)) {
                self.suspected.insert(node, now);
            }
            for confidant in confidants {
                self.send(node, place(confidant), Message::Doubt(place(suspect)));
            }
        }
    }

    fn arrive(&mut self, to: usize, from: usize, layout: u64, message: Message) {
        let now = self.now;
        if self.nodes[to].is_dead {
            return;
        }
        let node = &mut self.nodes[to];
        node.liveness.on_heard(id(from));
        if layout > node.layout && message != Message::Push {
            let is_due = node.pulled.get(&from).is_none_or(|at| now.since(*at) >= self.config.ping_interval);
            if is_due {
                node.pulled.insert(from, now);
                self.send(to, from, Message::Pull);
            }
        }
        let node = &mut self.nodes[to];
        match message {
            Message::Ping => {
                node.liveness.on_clock(
                    id(from),
                    WallTime(now.0),
                    starling::time::Now { mono: now, wall: WallTime(now.0) },
                );
                self.send(to, from, Message::Pong);
            }
            Message::Pong => {
                node.liveness.on_answer(id(from), now);
            }
            Message::Doubt(doubted) => node.liveness.doubt(id(doubted)),
            Message::Pull => self.send(to, from, Message::Push),
            Message::Push => self.adopt(to, layout),
        }
    }

    fn adopt(&mut self, node: usize, layout: u64) {
        if layout > self.nodes[node].layout {
            self.nodes[node].layout = layout;
            self.adopted.insert(node, self.now);
        }
    }
}

fn measure(nodes: u64) -> Spread {
    let layout = founded(nodes);
    let mut cluster = Cluster::new(nodes, &layout);
    // Everyone knows everyone, and the first seconds are not looked at.
    cluster.run(Duration::from_secs(2), |_| false);
    (cluster.messages, cluster.bytes) = (0, 0);
    cluster.run(Duration::from_secs(4), |_| false);
    let per_second = |sum: u64| sum as f64 / nodes as f64 / 4.0;
    let (messages, bytes) = (per_second(cluster.messages), per_second(cluster.bytes));

    let began = cluster.now;
    cluster.bytes = 0;
    cluster.adopt(0, 2);
    for told in 1..cluster.nodes.len().min(TOLD_AT_ONCE + 1) {
        cluster.send(0, told, Message::Push);
    }
    cluster.run(Duration::from_secs(60), |cluster| cluster.adopted.len() == cluster.nodes.len());
    let spread = cluster.now.since(began);
    let gossip = bytes * spread.as_secs_f64();
    let spread_bytes = cluster.bytes as f64 / nodes as f64 - gossip;

    let victim = cluster.nodes.len() - 1;
    let began = cluster.now;
    cluster.nodes[victim].is_dead = true;
    cluster.victim = Some(victim);
    cluster.run(Duration::from_secs(60), |cluster| cluster.suspected.len() + 1 == cluster.nodes.len());
    let layout_bytes = cluster.sizes.get("push").copied().unwrap_or(0) as usize;
    let ring = RingView::new(layout).expect("the layout is sound");
    Spread {
        nodes,
        messages,
        bytes,
        death: cluster.now.since(began),
        layout: spread,
        layout_bytes,
        spread_bytes: spread_bytes.max(0.0),
        ring_bytes: super::placement::held(&ring),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_known_to_all_within_three_seconds_and_a_layout_within_two_also_among_many() {
        let measured = layout(&[5, 100]);
        for one in &measured {
            assert!(one.death < Duration::from_secs(3) && one.layout < Duration::from_secs(2), "{one:?}");
        }
        assert!(measured[1].bytes < measured[0].bytes * 20.0, "gossip does not grow with the cluster: {measured:?}");
    }
}
