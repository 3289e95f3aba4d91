//! Three nodes of one shard each on a bus without delays.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use starling::config::ShardConfig;
use starling::ids::{ClusterId, ConnectionId, Key, NodeId, RequestId, Ticket};
use starling::limits;
use starling::membership::{Layout, Member};
use starling::message::client::{Command, Options, Request, Response};
use starling::message::codec;
use starling::message::peer::Frame;
use starling::replica::begin_start;
use starling::ring::RingView;
use starling::shard::{Effect, Input, SealedTurn, Shard, ShardScope};
use starling::storage::Store;
use starling::storage::memory::MemoryStore;
use starling::time::{Now, Timestamp, WallTime};

use super::trees::{self, Seen};

/// How many nodes; all of them own every key.
pub const NODES: usize = 3;

/// A cluster whose messages arrive at once and whose syncs take no time.
#[derive(Debug)]
pub struct Bus {
    nodes: Vec<Node>,
    now: Now,
    requests: u64,
    answered: u64,
    /// The last node hears nobody, and nobody hears it.
    is_away: bool,
    seen: Seen,
    /// The first request that was not done, told.
    failure: Option<String>,
}

#[derive(Debug)]
struct Node {
    shard: Shard,
    store: MemoryStore,
    inbox: VecDeque<Input>,
}

impl Bus {
    /// A founded cluster of 256 partitions.
    pub fn new() -> Bus {
        Bus::with(ShardConfig::default(), 256)
    }

    /// A founded cluster.
    pub fn with(config: ShardConfig, partitions: u16) -> Bus {
        let member = |id: u64| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"));
        let mut layout = Layout::founding(ClusterId([7; 16]), "cost", (1..=NODES as u64).map(member).collect());
        layout.partitions = partitions;
        let ring = Arc::new(RingView::new(layout.seal().expect("the layout is sound")).expect("the layout is sound"));
        let now = Now { mono: Timestamp(1), wall: WallTime(1_700_000_000_000_000) };
        let open = |id: u64| {
            let store = MemoryStore::new(id);
            let identity = begin_start(&store, ring.layout(), NodeId(id), 1000 + id).expect("an empty store opens");
            let scope = ShardScope { index: 0, count: 1 };
            let on = Arc::new(store.clone());
            let shard = Shard::open(config.clone(), identity, scope, ring.clone(), on, id, now);
            Node { shard: shard.expect("an empty store opens"), store, inbox: VecDeque::new() }
        };
        let nodes = (1..=NODES as u64).map(open).collect();
        let mut bus =
            Bus { nodes, now, requests: 0, answered: 0, is_away: false, seen: Seen::default(), failure: None };
        bus.wait(Duration::from_secs(6));
        bus
    }

    /// Lets time pass.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now.mono.after(span);
        while self.now.mono < end {
            self.pass(Duration::from_millis(20));
            self.settle();
        }
    }

    /// Cuts the last node off, or lets it return. No request is given to it meanwhile.
    pub fn set_away(&mut self, is_away: bool) {
        self.is_away = is_away;
    }

    /// Messages of comparisons that arrived so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Sends the commands, to one node after the other, and runs until all are answered. Panics at one that is not done:
    /// what was measured would be something else.
    pub fn run(&mut self, commands: impl IntoIterator<Item = (Key, Command)>) {
        self.pass(Duration::from_millis(1));
        for (key, command) in commands {
            self.requests += 1;
            let request = Request { key, command, options: Options::default() };
            let node = self.requests as usize % if self.is_away { trees::AWAY } else { NODES };
            // A connection of its own for each: requests of one connection on one key would wait for each other.
            let input = Input::Client {
                connection: ConnectionId(self.requests),
                request_id: RequestId(self.requests),
                request,
            };
            self.nodes[node].inbox.push_back(input);
        }
        self.settle();
        if let Some(failure) = &self.failure {
            panic!("a request was not done: {failure}");
        }
        assert_eq!(self.answered, self.requests, "every request is answered");
    }

    fn pass(&mut self, span: Duration) {
        self.now.mono = self.now.mono.after(span);
        self.now.wall.0 += span.as_micros() as u64;
    }

    fn settle(&mut self) {
        let mut is_moving = true;
        while is_moving {
            is_moving = false;
            for node in 0..NODES {
                is_moving |= self.turn(node);
            }
        }
    }

    fn turn(&mut self, node: usize) -> bool {
        let now = self.now;
        let Node { shard, store, inbox } = &mut self.nodes[node];
        for _ in 0..limits::INPUTS_PER_TURN_MAX {
            if shard.turn_is_full() {
                break;
            }
            let Some(input) = inbox.pop_front() else { break };
            shard.handle(now, input);
        }
        shard.tick(now);
        let SealedTurn { batch, ticket, effects } = shard.seal(now);
        if !batch.is_empty() {
            store.write(&batch).expect("memory is written");
            store.sync().expect("memory is synced");
            inbox.push_front(Input::Durable(Ticket(ticket.0)));
        }
        let is_moving = !effects.is_empty() || !inbox.is_empty();
        for effect in effects {
            self.perform(node, effect);
        }
        is_moving
    }

    fn perform(&mut self, node: usize, effect: Effect) {
        let from = NodeId(node as u64 + 1);
        match effect {
            Effect::Reply { response, .. } => {
                self.answered += 1;
                if let Response::Failed(error) = response {
                    self.failure.get_or_insert_with(|| error.to_string());
                }
            }
            Effect::Send { to, frame } | Effect::SendBack { to, frame, .. } => {
                let mut bytes = Vec::new();
                codec::encode(&frame, &mut bytes).expect("a frame is within its bound");
                let frame: Frame =
                    codec::decode(&bytes[codec::LENGTH_BYTES..]).expect("what was encoded can be decoded");
                let to = to.0 as usize - 1;
                if self.is_away && (node == trees::AWAY || to == trees::AWAY) {
                    return;
                }
                let (count, bytes) = (frame.messages.len().max(1), bytes.len());
                for addressed in &frame.messages {
                    self.seen.note(&addressed.message, bytes / count);
                }
                self.nodes[to].inbox.push_back(Input::Peer { from, frame });
            }
            Effect::StartJob(job) => {
                let result = job.run(&self.nodes[node].store);
                self.nodes[node].inbox.push_back(Input::JobDone(result));
            }
            Effect::Observe(_) | Effect::NodeReply { .. } | Effect::Adopt(_) | Effect::Restart { .. } => {}
        }
    }
}

impl Default for Bus {
    fn default() -> Self {
        Bus::new()
    }
}
