//! Stories of a few shards on a bus without delays. Faults at random are the business of `simulations`.

mod adoption;
mod bounds;
mod clocks;
mod council;
mod covering;
mod damage;
mod deliveries;
mod disk_full;
mod faulty;
mod identity;
mod inspect;
mod lag;
mod loss;
mod lost_owners;
mod moves;
mod newer_fields;
mod proofs;
mod public_bugs;
mod read_repair;
mod schedule;
mod stability;
mod staleness;
mod stories;
mod tokens;
mod transfer;
mod trees;
mod troubles;
mod types;
mod wiped;
mod zones;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::ids::{ClusterId, Key};
use crate::limits;
use crate::membership::{Layout, Member};
use crate::message::client::{ClusterAnswer, Command, Options, Reason, Response, Visible};
use crate::message::weight;
use crate::replica::{StoredRow, begin_start};
use crate::storage::memory::MemoryStore;
use crate::storage::{PageLimit, Range, Space};
use crate::time::WallTime;
use crate::value::Beside;

struct Node {
    shard: Shard,
    store: Arc<MemoryStore>,
    /// Written but not synced.
    written: Option<Ticket>,
    observations: Vec<Observation>,
    /// Why it was to begin anew.
    restarts: Vec<String>,
    /// Comparisons that were complete, and true.
    proofs: usize,
}

struct Bus {
    /// The founding view.
    ring: Arc<RingView>,
    /// Of nodes that have taken up another one.
    rings: BTreeMap<NodeId, Arc<RingView>>,
    nodes: BTreeMap<NodeId, Node>,
    now: Now,
    /// Frames on their way.
    frames: VecDeque<(NodeId, NodeId, Frame)>,
    replies: BTreeMap<u64, Response>,
    /// Nodes whose links are cut.
    cut: BTreeSet<NodeId>,
    /// While false nothing becomes durable.
    syncs: bool,
    /// By how much the wall clocks of nodes are ahead. Unit: microseconds.
    ahead: BTreeMap<NodeId, u64>,
    /// Nodes of which nothing becomes durable.
    never_syncs: BTreeSet<NodeId>,
    next_request: u64,
    entropy: u64,
    config: ShardConfig,
    /// Questions about what can be settled that were sent so far.
    questions: usize,
    /// What comparisons of co-owners took.
    compared: Compared,
    /// Messages that are lost on their way.
    loses: fn(&PeerMessage) -> bool,
    /// Messages that arrive twice: at once, and again with each later one between the same two nodes.
    repeats: fn(&PeerMessage) -> bool,
    repeated: Vec<(NodeId, NodeId, Frame)>,
    /// Whatever a node says to be equal and proved is looked up on the disks at that moment.
    checks_proofs: bool,
    /// To calls about the cluster, by their numbers.
    cluster_answers: BTreeMap<u64, ClusterAnswer>,
    /// Nodes whose view of another layout is never built.
    never_adopts: BTreeSet<NodeId>,
    /// Nodes whose disks stand still for what is read in the background, and what waits there.
    reads_nothing: BTreeSet<NodeId>,
    waiting: Vec<(NodeId, Job)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Compared {
    messages: usize,
    bytes: usize,
}

const EVERYTHING: PageLimit = PageLimit { rows: usize::MAX, bytes: usize::MAX };

/// Whether a story tells that a protection is gone. A panic is none of its words: it fails the test.
#[cfg(feature = "mutations")]
fn goes_wrong_without(protection: crate::mutation::Mutation, story: impl FnOnce() -> bool) -> bool {
    crate::mutation::switch_off(Some(protection));
    let is_well = story();
    crate::mutation::switch_off(None);
    !is_well
}

/// The same of a story that tells by an assertion: only one that says this counts.
#[cfg(feature = "mutations")]
fn fails_without(protection: crate::mutation::Mutation, says: &str, story: fn()) -> bool {
    crate::mutation::switch_off(Some(protection));
    let outcome = std::panic::catch_unwind(story);
    crate::mutation::switch_off(None);
    let Err(panic) = outcome else { return false };
    let said =
        panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|it| it.to_string()));
    let is_meant = said.as_ref().is_some_and(|said| said.contains(says));
    assert!(is_meant, "it must fail because of {says:?}, not of {said:?}");
    true
}

impl Bus {
    fn new(nodes: u64) -> Bus {
        Bus::with(nodes, ShardConfig::default())
    }

    fn with(nodes: u64, config: ShardConfig) -> Bus {
        let members = (1..=nodes).map(|id| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"))).collect();
        Bus::of(members, config)
    }

    fn of(members: Vec<Member>, config: ShardConfig) -> Bus {
        let mut layout = Layout::founding(ClusterId([7; 16]), "test", members);
        layout.partitions = 8;
        Bus::founded(layout, config)
    }

    fn founded(layout: Layout, config: ShardConfig) -> Bus {
        let nodes: Vec<NodeId> = layout.members.iter().map(|member| member.id).collect();
        let ring = Arc::new(RingView::new(layout.seal().unwrap()).unwrap());
        let mut bus = Bus {
            ring,
            rings: BTreeMap::new(),
            nodes: BTreeMap::new(),
            now: Now { mono: Timestamp(1), wall: WallTime(1_700_000_000_000_000) },
            frames: VecDeque::new(),
            replies: BTreeMap::new(),
            cut: BTreeSet::new(),
            syncs: true,
            ahead: BTreeMap::new(),
            never_syncs: BTreeSet::new(),
            next_request: 0,
            entropy: 1000,
            config,
            questions: 0,
            compared: Compared::default(),
            loses: |_| false,
            repeats: |_| false,
            repeated: Vec::new(),
            checks_proofs: false,
            cluster_answers: BTreeMap::new(),
            never_adopts: BTreeSet::new(),
            reads_nothing: BTreeSet::new(),
            waiting: Vec::new(),
        };
        for id in nodes {
            bus.start(id, Arc::new(MemoryStore::new(id.0)));
        }
        bus.run(Duration::from_secs(3));
        bus
    }

    fn start(&mut self, id: NodeId, store: Arc<MemoryStore>) {
        self.entropy += 1;
        let ring = self.ring_of(id).clone();
        let identity = begin_start(store.as_ref(), ring.layout(), id, self.entropy).unwrap();
        let scope = ShardScope { index: 0, count: 1 };
        let shard = Shard::open(self.config.clone(), identity, scope, ring, store.clone(), id.0, self.now).unwrap();
        let (observations, restarts) = (Vec::new(), Vec::new());
        self.nodes.insert(id, Node { shard, store, written: None, observations, restarts, proofs: 0 });
    }

    /// The view that a node acts by, or would.
    fn ring_of(&self, id: NodeId) -> &Arc<RingView> {
        self.rings.get(&id).unwrap_or(&self.ring)
    }

    /// Nodes learn of a layout.
    fn adopt(&mut self, nodes: impl IntoIterator<Item = NodeId>, ring: &Arc<RingView>) {
        for id in nodes {
            self.rings.insert(id, ring.clone());
            let now = self.now_at(id);
            if let Some(node) = self.nodes.get_mut(&id) {
                node.shard.handle(now, Input::RingChanged(ring.clone()));
            }
        }
    }

    fn settle(&mut self) {
        loop {
            let mut progressed = false;
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                progressed |= self.turn(id);
            }
            while let Some((from, to, mut frame)) = self.frames.pop_front() {
                progressed = true;
                frame.messages.retain(|addressed| !(self.loses)(&addressed.message));
                let weight = weight::of_frame(&frame);
                assert!(weight <= limits::FRAME_BYTES_MAX, "{weight} bytes: {:.400}", format!("{frame:?}"));
                let is_question = |message: &&Addressed| matches!(message.message, PeerMessage::StabilityQuery(_));
                self.questions += frame.messages.iter().filter(is_question).count();
                for Addressed { message, .. } in &frame.messages {
                    if matches!(
                        message,
                        PeerMessage::TreeOffer(_)
                            | PeerMessage::TreeAnswer(_)
                            | PeerMessage::ExchangeOffer(_)
                            | PeerMessage::ExchangeAnswer(_)
                            | PeerMessage::ExchangePush(_)
                            | PeerMessage::ExchangePushed(_)
                    ) {
                        self.compared.messages += 1;
                        self.compared.bytes += weight::of_message(message);
                    }
                }
                if self.cut.contains(&from) || self.cut.contains(&to) {
                    continue;
                }
                let now = self.now_at(to);
                let mut again = frame.clone();
                again.messages.retain(|addressed| (self.repeats)(&addressed.message));
                if let Some(node) = self.nodes.get_mut(&to) {
                    node.shard.handle(now, Input::Peer { from, frame });
                    if !again.messages.is_empty() {
                        self.repeated.push((from, to, again));
                        for (_, _, frame) in self.repeated.iter().filter(|(one, two, _)| (*one, *two) == (from, to)) {
                            node.shard.handle(now, Input::Peer { from, frame: frame.clone() });
                        }
                    }
                }
            }
            if !progressed {
                return;
            }
        }
    }

    fn turn(&mut self, id: NodeId) -> bool {
        let now = self.now_at(id);
        let Some(node) = self.nodes.get_mut(&id) else { return false };
        node.shard.tick(now);
        let SealedTurn { batch, ticket, effects } = node.shard.seal(now);
        let mut progressed = !effects.is_empty();
        if !batch.is_empty() {
            node.store.write(&batch).unwrap();
            node.written = Some(ticket);
        }
        for effect in effects {
            match effect {
                Effect::Reply { request_id, response, .. } => {
                    self.replies.insert(request_id.0, response);
                }
                Effect::Send { to, frame } => self.frames.push_back((id, to, frame)),
                // Here a member is one process, which is the start that is meant or has taken its place.
                Effect::SendBack { to, frame, .. } => self.frames.push_back((id, to, frame)),
                Effect::StartJob(job) if self.reads_nothing.contains(&id) => self.waiting.push((id, job)),
                Effect::StartJob(job) => {
                    let result = job.run(node.store.as_ref());
                    node.shard.handle(now, Input::JobDone(result));
                }
                Effect::NodeReply { request_id, answer, .. } => {
                    self.cluster_answers.insert(request_id.0, answer);
                }
                Effect::Adopt(_) if self.never_adopts.contains(&id) => {}
                Effect::Adopt(committed) => {
                    let ring = Arc::new(RingView::new(committed.layout).unwrap());
                    if ring.epoch().number > self.ring.epoch().number {
                        self.ring = ring.clone();
                    }
                    node.shard.handle(now, Input::RingChanged(ring));
                }
                Effect::Restart { why } => node.restarts.push(why),
                Effect::Observe(observation) => node.observations.push(observation),
            }
        }
        if self.checks_proofs {
            self.check_proofs(id);
        }
        let Some(node) = self.nodes.get_mut(&id) else { return progressed };
        if self.syncs
            && !self.never_syncs.contains(&id)
            && let Some(ticket) = node.written.take()
        {
            node.store.sync().unwrap();
            node.shard.handle(now, Input::Durable(ticket));
            progressed = true;
        }
        progressed
    }

    /// Disks that stood still go on.
    fn read_on(&mut self) {
        self.reads_nothing.clear();
        for (id, job) in std::mem::take(&mut self.waiting) {
            let now = self.now_at(id);
            if let Some(node) = self.nodes.get_mut(&id) {
                let result = job.run(node.store.as_ref());
                node.shard.handle(now, Input::JobDone(result));
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now.mono.after(span);
        while self.now.mono < end {
            self.settle();
            self.now.mono = self.now.mono.after(Duration::from_millis(20));
            self.now.wall.0 += 20_000;
        }
        self.settle();
    }

    fn send(&mut self, to: NodeId, key: &str, command: Command, options: Options) -> u64 {
        self.next_request += 1;
        let request = Request { key: Key::new(key.to_owned()).unwrap(), command, options };
        let input = Input::Client { connection: ConnectionId(1), request_id: RequestId(self.next_request), request };
        let now = self.now_at(to);
        self.nodes.get_mut(&to).unwrap().shard.handle(now, input);
        self.next_request
    }

    fn now_at(&self, id: NodeId) -> Now {
        let ahead = self.ahead.get(&id).copied().unwrap_or(0);
        Now { wall: WallTime(self.now.wall.0 + ahead), ..self.now }
    }

    fn ask(&mut self, to: NodeId, key: &str, command: Command) -> Response {
        let id = self.send(to, key, command, Options::default());
        self.run(Duration::from_millis(400));
        self.replies.remove(&id).expect("answered")
    }

    fn increment(&mut self, to: NodeId, key: &str, by: i64) -> Response {
        self.ask(to, key, Command::Increment { by })
    }

    fn value(&mut self, at: NodeId, key: &str) -> Visible {
        match self.ask(at, key, Command::Get) {
            Response::Value(reply) => reply.value,
            other => panic!("{other:?}"),
        }
    }

    /// A message of another node arrives, about the partition of a key.
    fn hear(&mut self, to: NodeId, from: NodeId, key: &str, message: PeerMessage) {
        let partition = self.ring.partition_of(&Key::new(key.to_owned()).unwrap());
        let epoch = self.nodes[&from].shard.site.identity.epoch;
        let messages = vec![Addressed { partition, layout: 1, message }];
        let frame = Frame { layout: self.ring.epoch(), epoch, clock: Default::default(), messages };
        self.nodes.get_mut(&to).unwrap().shard.handle(self.now, Input::Peer { from, frame });
        self.run(Duration::from_millis(100));
    }

    fn list(&self, key: &str) -> (Vec<NodeId>, Vec<NodeId>) {
        let partition = self.ring.partition_of(&Key::new(key.to_owned()).unwrap());
        let list = self.ring.preference_list(partition);
        (list.owners().to_vec(), list.fallbacks().to_vec())
    }

    fn stored(&self, at: NodeId, key: &str) -> Option<StoredRow> {
        let row = RowKey::main(&Key::new(key.to_owned()).unwrap());
        let bytes = self.nodes[&at].store.fetch(Space::Rows, row.as_bytes()).unwrap()?;
        Some(StoredRow::decode(&bytes).unwrap())
    }

    fn debts(&self) -> usize {
        let all = Range { start: bytes::Bytes::new(), end: None };
        self.nodes.values().map(|node| node.store.scan(Space::Debts, &all, EVERYTHING).unwrap().entries.len()).sum()
    }
}

fn number(value: i64) -> Visible {
    Visible::Integer { value, saturated: false }
}

fn written(response: &Response) -> &crate::message::client::WriteReply {
    match response {
        Response::Written(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn refused(response: Response) -> Reason {
    match response {
        Response::Failed(error) => error.reason,
        other => panic!("{other:?}"),
    }
}
