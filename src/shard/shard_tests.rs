//! Stories of a few shards on a bus without delays. Faults at random are the business of `simulations`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::ids::{ClusterId, Key};
use crate::membership::{Layout, Member};
use crate::message::client::{Command, Options, Reason, Response, Visible};
use crate::replica::{StoredRow, begin_start};
use crate::storage::memory::MemoryStore;
use crate::storage::{PageLimit, Range, Space};
use crate::time::WallTime;

struct Node {
    shard: Shard,
    store: Arc<MemoryStore>,
    /// Written but not synced.
    written: Option<Ticket>,
    observations: Vec<Observation>,
}

struct Bus {
    ring: Arc<RingView>,
    nodes: BTreeMap<NodeId, Node>,
    now: Now,
    /// Frames on their way.
    frames: VecDeque<(NodeId, NodeId, Frame)>,
    replies: BTreeMap<u64, Response>,
    /// Nodes whose links are cut.
    cut: BTreeSet<NodeId>,
    /// While false nothing becomes durable.
    syncs: bool,
    next_request: u64,
    entropy: u64,
}

const EVERYTHING: PageLimit = PageLimit { rows: usize::MAX, bytes: usize::MAX };

impl Bus {
    fn new(nodes: u64) -> Bus {
        let members = (1..=nodes)
            .map(|id| Member {
                id: NodeId(id),
                name: format!("n{id}"),
                address: format!("n{id}:1"),
                weight: 1,
                zone: String::new(),
            })
            .collect();
        let mut layout = Layout::founding(ClusterId([7; 16]), "test", members);
        layout.partitions = 8;
        let ring = Arc::new(RingView::new(layout.seal().unwrap()).unwrap());
        let mut bus = Bus {
            ring,
            nodes: BTreeMap::new(),
            now: Now { mono: Timestamp(1), wall: WallTime(1_700_000_000_000_000) },
            frames: VecDeque::new(),
            replies: BTreeMap::new(),
            cut: BTreeSet::new(),
            syncs: true,
            next_request: 0,
            entropy: 1000,
        };
        for id in 1..=nodes {
            bus.start(NodeId(id), Arc::new(MemoryStore::new(id)));
        }
        bus.run(Duration::from_secs(3));
        bus
    }

    fn start(&mut self, id: NodeId, store: Arc<MemoryStore>) {
        self.entropy += 1;
        let identity = begin_start(store.as_ref(), self.ring.layout(), id, self.entropy).unwrap();
        let scope = ShardScope { index: 0, count: 1 };
        let shard =
            Shard::open(ShardConfig::default(), identity, scope, self.ring.clone(), store.clone(), id.0, self.now)
                .unwrap();
        self.nodes.insert(id, Node { shard, store, written: None, observations: Vec::new() });
    }

    fn settle(&mut self) {
        loop {
            let mut progressed = false;
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                progressed |= self.turn(id);
            }
            while let Some((from, to, frame)) = self.frames.pop_front() {
                progressed = true;
                if self.cut.contains(&from) || self.cut.contains(&to) {
                    continue;
                }
                if let Some(node) = self.nodes.get_mut(&to) {
                    node.shard.handle(self.now, Input::Peer { from, frame });
                }
            }
            if !progressed {
                return;
            }
        }
    }

    fn turn(&mut self, id: NodeId) -> bool {
        let Some(node) = self.nodes.get_mut(&id) else { return false };
        node.shard.tick(self.now);
        let SealedTurn { batch, ticket, effects } = node.shard.seal(self.now);
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
                Effect::StartJob(job) => {
                    let result = job.run(node.store.as_ref());
                    node.shard.handle(self.now, Input::JobDone(result));
                }
                Effect::Observe(observation) => node.observations.push(observation),
            }
        }
        if self.syncs
            && let Some(ticket) = node.written.take()
        {
            node.store.sync().unwrap();
            node.shard.handle(self.now, Input::Durable(ticket));
            progressed = true;
        }
        progressed
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
        self.nodes.get_mut(&to).unwrap().shard.handle(self.now, input);
        self.next_request
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

#[test]
fn an_increment_through_any_node_reaches_every_owner() {
    let mut bus = Bus::new(5);
    for node in 1..=5 {
        let reply = bus.increment(NodeId(node), "likes", 1);
        assert!(written(&reply).acks.len() >= 2, "{reply:?}");
    }
    let (owners, _) = bus.list("likes");
    for owner in owners {
        assert_eq!(bus.stored(owner, "likes").unwrap().row.visible(), number(5));
    }
    assert_eq!(bus.value(NodeId(2), "likes"), number(5));
    assert_eq!(bus.debts(), 0);
}

#[test]
fn increments_of_a_key_in_one_turn_become_one_delta() {
    let mut bus = Bus::new(3);
    let (owners, _) = bus.list("hot");
    let ids: Vec<u64> =
        (0..100).map(|_| bus.send(owners[0], "hot", Command::Increment { by: 1 }, Options::default())).collect();
    let SealedTurn { batch, ticket, effects } = bus.nodes.get_mut(&owners[0]).unwrap().shard.seal(bus.now);
    let deltas = effects.iter().filter_map(|effect| match effect {
        Effect::Send { frame, .. } => {
            Some(frame.messages.iter().filter(|m| matches!(m.message, PeerMessage::Replicate(_))).count())
        }
        _ => None,
    });
    assert_eq!(deltas.collect::<Vec<_>>(), [1, 1], "one delta to each of the two other owners");
    let node = bus.nodes.get_mut(&owners[0]).unwrap();
    node.store.write(&batch).unwrap();
    node.written = Some(ticket);
    for effect in effects {
        if let Effect::Send { to, frame } = effect {
            bus.frames.push_back((owners[0], to, frame));
        }
    }
    bus.run(Duration::from_millis(100));
    assert!(ids.iter().all(|id| matches!(bus.replies[id], Response::Written(_))));
    assert_eq!(bus.value(owners[1], "hot"), number(100));
}

#[test]
fn nothing_is_acknowledged_before_it_is_synced() {
    let mut bus = Bus::new(3);
    bus.syncs = false;
    let id = bus.send(NodeId(1), "k", Command::Increment { by: 1 }, Options::default());
    bus.run(Duration::from_millis(500));
    assert!(!bus.replies.contains_key(&id));
    bus.syncs = true;
    bus.run(Duration::from_millis(100));
    assert!(matches!(bus.replies[&id], Response::Written(_)));
}

#[test]
fn a_fallback_holds_a_hint_and_gives_it_back() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    bus.cut = BTreeSet::from([owners[1], owners[2]]);
    bus.run(Duration::from_secs(2));
    let reply = bus.increment(owners[0], "k", 7);
    let acks = written(&reply).acks.clone();
    assert!(acks.iter().any(|ack| !ack.is_owner && fallbacks.contains(&ack.node)), "{acks:?}");
    let hint = bus.stored(fallbacks[0], "k").expect("a hint row");
    let owed: Vec<NodeId> = hint.header.debts.iter().map(|debt| debt.owner).collect();
    assert!(owed.contains(&owners[1]) && owed.contains(&owners[2]));

    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    assert_eq!(bus.stored(fallbacks[0], "k"), None, "delivered to every owner, then deleted");
    for owner in owners {
        assert_eq!(bus.stored(owner, "k").unwrap().row.visible(), number(7));
    }
    assert_eq!(bus.debts(), 0);
}

#[test]
fn a_fallback_that_stands_in_twice_does_not_mint_a_dot_again() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    let mut expected = 0;
    for round in 0..2 {
        bus.cut = owners.iter().copied().collect();
        bus.run(Duration::from_secs(2));
        for _ in 0..3 {
            let id =
                bus.send(fallbacks[0], "k", Command::Increment { by: 1 }, Options { w: Some(1), ..Options::default() });
            bus.run(Duration::from_millis(400));
            assert!(matches!(bus.replies[&id], Response::Written(_)), "{:?}", bus.replies[&id]);
            expected += 1;
        }
        bus.cut.clear();
        bus.run(Duration::from_secs(4));
        assert_eq!(bus.stored(fallbacks[0], "k"), None, "round {round}");
        for owner in &owners {
            assert_eq!(bus.stored(*owner, "k").unwrap().row.visible(), number(expected), "round {round}");
        }
    }
}

#[test]
fn a_wiped_owner_is_newborn_until_it_has_learned_everything_from_a_co_owner() {
    let mut bus = Bus::new(3);
    for key in 0..40 {
        bus.increment(NodeId(1), &format!("k{key}"), key);
    }
    bus.start(NodeId(2), Arc::new(MemoryStore::new(99)));
    assert_eq!(bus.nodes[&NodeId(2)].shard.status(bus.now).newborn_partitions, 8);
    bus.run(Duration::from_secs(3));
    assert_eq!(bus.nodes[&NodeId(2)].shard.status(bus.now).newborn_partitions, 0);
    for key in 0..40 {
        let key = format!("k{key}");
        assert_eq!(
            bus.stored(NodeId(2), &key).unwrap().row.encode(),
            bus.stored(NodeId(1), &key).unwrap().row.encode()
        );
    }
    let founded = |node: &Node| {
        node.observations.iter().any(|seen| matches!(seen, Observation::Established { is_founding: true, .. }))
    };
    assert!(!founded(&bus.nodes[&NodeId(2)]), "it learned; it did not found");
}

#[test]
fn a_delete_covers_what_was_acknowledged_on_another_node() {
    let mut bus = Bus::new(5);
    bus.increment(NodeId(1), "k", 5);
    written(&bus.ask(NodeId(4), "k", Command::Delete));
    assert_eq!(bus.value(NodeId(2), "k"), Visible::Nothing);
    bus.increment(NodeId(3), "k", 2);
    assert_eq!(bus.value(NodeId(5), "k"), number(2));
    written(&bus.ask(NodeId(1), "k", Command::Put { value: "10".into() }));
    bus.increment(NodeId(2), "k", 1);
    assert_eq!(bus.value(NodeId(3), "k"), number(11));
    written(&bus.ask(NodeId(2), "k", Command::Put { value: "text".into() }));
    assert_eq!(refused(bus.increment(NodeId(3), "k", 1)), Reason::NotANumber);
    assert_eq!(bus.value(NodeId(3), "k"), Visible::Text("text".into()));
}

#[test]
fn a_strict_write_is_refused_before_anything_is_minted_when_owners_are_missing() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    bus.cut = BTreeSet::from([owners[1], owners[2]]);
    bus.run(Duration::from_secs(2));
    let id = bus.send(owners[0], "k", Command::Increment { by: 1 }, Options { strict: true, ..Options::default() });
    bus.run(Duration::from_millis(100));
    let reason = refused(bus.replies.remove(&id).unwrap());
    assert_eq!(reason, Reason::TooFewReachable { needed: 2, reachable: 1, strict: true });
    assert_eq!(bus.stored(owners[0], "k"), None);
}

#[test]
fn a_lost_third_message_is_closed_without_any_debt_when_the_coordinator_restarts() {
    let mut bus = Bus::new(3);
    bus.cut = BTreeSet::from([NodeId(3)]);
    // W is met by the two that see each other; then the coordinator forgets its ledger by dying.
    written(&bus.increment(NodeId(1), "k", 3));
    let store = bus.nodes[&NodeId(1)].store.clone();
    bus.nodes.remove(&NodeId(1));
    bus.cut.clear();
    bus.start(NodeId(1), store);
    bus.run(Duration::from_secs(3));
    assert_eq!(bus.stored(NodeId(3), "k").unwrap().row.visible(), number(3));
}

#[test]
fn an_overflow_and_an_impossible_quorum_are_refused_and_change_nothing() {
    let mut bus = Bus::new(3);
    written(&bus.increment(NodeId(1), "k", i64::MAX));
    assert_eq!(refused(bus.increment(NodeId(2), "k", 1)), Reason::Overflow);
    assert_eq!(bus.value(NodeId(3), "k"), number(i64::MAX));
    let id = bus.send(NodeId(1), "k", Command::Get, Options { r: Some(4), ..Options::default() });
    bus.run(Duration::from_millis(50));
    assert_eq!(refused(bus.replies.remove(&id).unwrap()), Reason::ImpossibleQuorum { asked: 4, replicas: 3 });
}
