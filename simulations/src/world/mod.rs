//! The virtual world: nodes of the real core, and a network, disks and clocks that fail on purpose.
//!
//! ```text
//!  script (scenario, swarm, plan)          World                       Node × n
//!  ─ request, crash, cut, jump … ──→  event queue, virtual time ──→  Shard + MemoryStore
//!  ←─ history, facts, stored rows ──  network: delay, lose, repeat ←─ frames as bytes
//! ```
//!
//! A script moves time ([`World::run_until`]) and acts between two moments; everything else happens by events. A world
//! is single-threaded, reads no clock and draws all chance from its seed ([`chance`]), so a run is a function of the
//! seed and the script, and [`trace`] hashes it. Costs: about ten microseconds of real time per frame.
//!
//! Promises to behave as a driver must (the order of write, effects and sync), and never to corrupt what arrives.

pub mod chance;
pub mod clock;
pub mod facts;
pub mod history;
pub mod membership;
pub mod network;
pub mod node;
pub mod operator;
pub mod options;
pub mod queue;
pub mod trace;
pub mod traffic;
pub mod twin;

mod control;
mod driver;
mod oracle;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use starling::ids::ConnectionId;
use starling::membership::{LayoutEpoch, LayoutError};
use starling::message::client::{Outcome, Reason, Request, RequestError, Response};
use starling::ring::RingView;
use starling::shard::{Input, Job, JobResult};
use starling::storage::memory::MemoryStore;
use starling::time::Timestamp;

use chance::{Chance, Use};
use clock::NodeClock;
use facts::Facts;
use history::{History, Op, OpNumber};
use membership::Decided;
use network::Network;
use node::{CLIENT_MAILBOX_MAX, Node, Sync};
use options::WorldOptions;
use queue::EventQueue;
use trace::Trace;
use traffic::Traffic;

pub use oracle::{Difference, StoredRows};

/// What happens at a moment.
#[derive(Debug)]
enum Event {
    /// A shard takes a turn.
    Turn { node: usize, life: u32, shard: usize },
    /// A frame arrives.
    Arrive { from: usize, to: usize, frame: Bytes },
    /// A sender learns that its peer cannot be reached.
    Unreachable { node: usize, life: u32, peer: usize },
    /// A frame comes back: the queue was full.
    QueueFull { node: usize, life: u32, peer: usize, frame: Bytes },
    /// A sync ends.
    Synced { node: usize, life: u32, sync: Sync },
    /// A job reads from the disk.
    JobReads { node: usize, life: u32, shard: usize, job: Job },
    /// A job's result reaches its shard.
    JobEnds { node: usize, life: u32, shard: usize, result: JobResult },
    /// A node's process starts.
    Start { node: usize },
    /// The operator looks whether a change goes on.
    Operate { operation: usize },
}

/// A world.
#[derive(Debug)]
pub struct World {
    /// What it is made of.
    pub options: WorldOptions,
    /// The network; scripts cut and heal it through [`World`]'s own calls.
    pub network: Network,
    /// What clients asked and were told.
    pub history: History,
    /// What the nodes reported.
    pub facts: Facts,
    /// Hash of all that happened.
    pub trace: Trace,
    /// What the nodes sent to each other.
    pub traffic: Traffic,
    layouts: Vec<Decided>,
    rival_layouts: Vec<LayoutEpoch>,
    calls: Vec<operator::Call>,
    operations: Vec<operator::Operation>,
    /// Members that are not declared lost.
    doors: Vec<usize>,
    nodes: Vec<Node>,
    now: Timestamp,
    queue: EventQueue<Event>,
    network_chance: Chance,
    node_chance: Chance,
    entropy: Chance,
    /// The member that has a twin is dialled there.
    has_twin_address: bool,
    /// The most that any wall clock was off so far.
    skew_bound: Duration,
}

impl World {
    /// A world whose nodes have all just been started.
    pub fn new(options: WorldOptions) -> Result<World, LayoutError> {
        World::on(options, Timestamp(0), Vec::new())
    }

    /// A world that begins at a moment, with nodes that have just been started on these directories; those without one
    /// start on new ones.
    pub fn on(options: WorldOptions, at: Timestamp, directories: Vec<MemoryStore>) -> Result<World, LayoutError> {
        let ring = Arc::new(RingView::new(options.layout()?)?);
        let mut entropy = Chance::new(options.seed, Use::Entropy);
        let mut node_chance = Chance::new(options.seed, Use::Nodes);
        let skew = starling::time::micros(options.skew_max);
        let places: Vec<usize> = (0..options.places()).chain(options.twin_of).collect();
        let mut directories = directories.into_iter();
        let nodes: Vec<Node> = places
            .into_iter()
            .map(|node| {
                let seed = entropy.number();
                let off = i64::try_from(node_chance.below(2 * skew + 1)).unwrap_or(0) - skew as i64;
                Node {
                    id: WorldOptions::id(node),
                    store: directories.next().unwrap_or_else(|| MemoryStore::new(seed)),
                    ring: ring.clone(),
                    is_candidate: false,
                    is_away: false,
                    clock: NodeClock::new(off, 0),
                    life: 0,
                    process: None,
                    paused_until: None,
                    armed: None,
                    copy: None,
                    sync_factor: 1,
                    longest_sync: Duration::ZERO,
                    damaged_at: None,
                    pauses: Vec::new(),
                }
            })
            .collect();
        let mut world = World {
            network: Network::new(nodes.len(), options.network),
            history: History::default(),
            facts: Facts::default(),
            trace: Trace::new(options.prints),
            traffic: Traffic::default(),
            layouts: vec![Decided { at, ring, everywhere_at: Some(at) }],
            rival_layouts: Vec::new(),
            calls: Vec::new(),
            operations: Vec::new(),
            doors: (0..options.nodes).collect(),
            nodes,
            now: at,
            queue: EventQueue::default(),
            network_chance: Chance::new(options.seed, Use::Network),
            node_chance,
            entropy,
            has_twin_address: false,
            skew_bound: options.skew_max,
            options,
        };
        for node in 0..world.options.nodes {
            world.start(node);
        }
        Ok(world)
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The nodes that are members or may become some, by number.
    pub fn nodes(&self) -> &[Node] {
        self.nodes.get(..self.options.places()).unwrap_or_default()
    }

    /// The same and, where there is one, the twin of a member.
    pub fn places(&self) -> &[Node] {
        &self.nodes
    }

    /// One node, or the twin of one.
    pub fn node(&self, node: usize) -> &Node {
        self.nodes.get(node).expect("node numbers are below the number of nodes")
    }

    fn node_mut(&mut self, node: usize) -> &mut Node {
        self.nodes.get_mut(node).expect("node numbers are below the number of nodes")
    }

    /// The number of the node with a member id.
    pub fn number_of(&self, id: starling::ids::NodeId) -> usize {
        self.nodes.iter().position(|node| node.id == id).expect("every member id names a node of the world")
    }

    /// Lets the world run up to a moment.
    pub fn run_until(&mut self, until: Timestamp) {
        while let Some((at, event)) = self.queue.pop_until(until) {
            self.now = at;
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    /// Lets the world run for a span.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now.after(span));
    }

    /// A client of a node asks. The answer stands in the history when it has come.
    pub fn request(&mut self, node: usize, connection: u64, request: Request) -> OpNumber {
        let connection = ConnectionId(connection);
        let deadline = match request.options.deadline_ms {
            Some(ms) => Duration::from_millis(u64::from(ms)),
            None => self.options.config.request_deadline,
        };
        let (now, shards) = (self.now, self.options.shards);
        let shard = self.ring().partition_of(&request.key).shard(shards);
        let number = self.history.invoke(Op {
            node,
            connection,
            request: request.clone(),
            invoked_at: now,
            deadline,
            answer: None,
            broken_at: None,
            is_refused: !self.node(node).is_up(),
        });
        let id = History::request_id(number);
        let Some(slot) = self.slot(node, shard) else { return number };
        if slot.clients.len() >= CLIENT_MAILBOX_MAX {
            let reason = Reason::Busy { queue: "the shard's mailbox".into() };
            let response = Response::Failed(RequestError { outcome: Outcome::NotApplied, reason });
            self.history.answer(node, connection, id, now, response);
            return number;
        }
        slot.clients.push_back(Input::Client { connection, request_id: id, request });
        self.schedule_turn(node, shard, now);
        number
    }

    /// What a node tells about itself, per shard; nothing while it is down.
    pub fn status(&self, node: usize) -> Vec<starling::message::client::ShardStatus> {
        let Some(process) = &self.node(node).process else { return Vec::new() };
        let now = self.node(node).clock.now(self.now);
        process.shards.iter().map(|slot| slot.shard.status(now)).collect()
    }

    fn slot(&mut self, node: usize, shard: usize) -> Option<&mut node::ShardSlot> {
        self.node_mut(node).process.as_mut()?.shards.get_mut(shard)
    }

    /// Whether an event of this start still concerns anybody.
    fn lives(&self, node: usize, life: u32) -> bool {
        self.node(node).life == life && self.node(node).is_up()
    }
}
