//! A directory that is damaged: what cannot be read is never absent, and the node begins anew when that loses nothing.

use super::*;
use crate::storage::keyspace;

/// Three owners, the row of a key, and a node where it rots.
fn rotten(loaded: bool) -> (Bus, NodeId) {
    let mut bus = Bus::with(3, ShardConfig { row_cache_bytes: 1, ..ShardConfig::default() });
    written(&bus.increment(NodeId(1), "k", 5));
    bus.run(Duration::from_secs(2));
    let node = NodeId(2);
    let row = RowKey::main(&Key::new("k").unwrap());
    let range = Range { start: row.as_bytes().clone(), end: Some(keyspace::after(row.as_bytes())) };
    let faults = crate::storage::memory::MemoryFaults {
        not_in_memory_per_mille: if loaded { 0 } else { 1000 },
        ..Default::default()
    };
    bus.nodes[&node].store.set_faults(faults);
    assert_eq!(bus.nodes[&node].store.rot(Space::Rows, &range, 1), 1);
    (bus, node)
}

/// Asks the rotten node for what its own replica has, and others through it.
fn ask(bus: &mut Bus, node: NodeId) {
    let inspected = bus.ask(node, "k", Command::Inspect);
    assert!(matches!(inspected, Response::Failed(_)), "its own copy is not shown as absent: {inspected:?}");
    assert_eq!(bus.value(node, "k"), number(5), "others have it");
}

#[test]
fn what_cannot_be_read_is_not_absent_and_the_node_begins_anew_once() {
    for loaded in [false, true] {
        let (mut bus, node) = rotten(loaded);
        ask(&mut bus, node);
        bus.run(Duration::from_secs(3));
        let it = &bus.nodes[&node];
        assert_eq!(it.restarts.len(), 1, "{:?}", it.restarts);
        let told = it.observations.iter().filter(|fact| matches!(fact, Observation::Damaged { .. })).count();
        assert_eq!(told, 1);
        assert!(bus.nodes.iter().all(|(other, it)| *other == node || it.restarts.is_empty()));
    }
}

#[test]
fn a_failure_that_may_pass_is_no_damage() {
    let mut bus = Bus::new(3);
    written(&bus.increment(NodeId(1), "k", 5));
    for node in bus.nodes.values() {
        let faults = crate::storage::memory::MemoryFaults { failed_reads_per_mille: 300, ..Default::default() };
        node.store.set_faults(faults);
    }
    bus.run(Duration::from_secs(40));
    assert!(bus.nodes.values().all(|node| node.restarts.is_empty()));
}

#[test]
fn a_damaged_directory_is_kept_while_another_owner_is_away_or_has_lost_its_own() {
    let (mut bus, node) = rotten(false);
    bus.cut.insert(NodeId(3));
    bus.run(Duration::from_secs(3));
    let inspected = bus.ask(node, "k", Command::Inspect);
    assert!(matches!(inspected, Response::Failed(_)), "{inspected:?}");
    bus.run(Duration::from_secs(5));
    assert!(bus.nodes[&node].restarts.is_empty(), "another owner is away");
    // It comes back empty, and learns from nobody yet: what it needs may be in the rotten directory.
    bus.nodes.remove(&NodeId(3));
    bus.start(NodeId(3), Arc::new(MemoryStore::new(33)));
    let offers: fn(&PeerMessage) -> bool = |message| matches!(message, PeerMessage::ExchangeOffer(_));
    bus.loses = offers;
    bus.cut.clear();
    bus.run(Duration::from_secs(8));
    assert!(bus.nodes[&node].restarts.is_empty(), "another owner is newborn");
    bus.loses = |_| false;
    bus.run(Duration::from_secs(20));
    assert_eq!(bus.nodes[&node].restarts.len(), 1);
}

/// A node with two shards, of which the one with a damaged row is there; an owner that shares partitions of the other one with it.
fn damaged_half() -> (Bus, NodeId, NodeId) {
    let members = (1..=5).map(|id| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"))).collect();
    let mut layout = Layout::founding(ClusterId([7; 16]), "test", members);
    layout.partitions = 8;
    layout.replicas = 2;
    (layout.read_quorum, layout.write_quorum) = (1, 1);
    let mut bus = Bus::founded(layout, ShardConfig { row_cache_bytes: 1, ..ShardConfig::default() });
    let share = |one: NodeId, other: NodeId, shard: usize| {
        let of_shard = bus.ring.partitions().filter(|partition| partition.shard(2) == shard);
        of_shard.filter(|it| [one, other].iter().all(|node| bus.ring.is_owner(*it, *node))).count()
    };
    let pairs = bus.everyone().into_iter().flat_map(|one| bus.everyone().into_iter().map(move |other| (one, other)));
    let mut pairs = pairs.filter(|(one, other)| one != other);
    let is_apart = |(one, other): &(NodeId, NodeId)| share(*one, *other, 0) == 0 && share(*one, *other, 1) > 0;
    let (node, other) = pairs.find(is_apart).expect("two that share partitions of one shard alone");
    let is_of_first = |key: &String| bus.list(key).0.contains(&node) && bus.partition(key).shard(2) == 0;
    let key = (0..10_000).map(|number| format!("k{number}")).find(is_of_first).expect("a key of the first shard");
    written(&bus.increment(node, &key, 5));
    bus.run(Duration::from_secs(2));
    bus.halve(node);
    bus.run(Duration::from_secs(2));
    let row = RowKey::main(&Key::new(key.clone()).unwrap());
    let range = Range { start: row.as_bytes().clone(), end: Some(keyspace::after(row.as_bytes())) };
    assert_eq!(bus.nodes[&node].store.rot(Space::Rows, &range, 1), 1);
    bus.cut.insert(other);
    bus.run(Duration::from_secs(3));
    let inspected = bus.ask(node, &key, Command::Inspect);
    assert!(matches!(inspected, Response::Failed(_)), "{inspected:?}");
    (bus, node, other)
}

#[test]
fn a_damaged_directory_is_kept_while_an_owner_of_partitions_of_another_shard_is_away() {
    let (mut bus, node, other) = damaged_half();
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.nodes[&node].restarts, Vec::<String>::new(), "it is the directory of all shards");
    bus.cut.remove(&other);
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.nodes[&node].restarts.len(), 1);
}

#[test]
fn a_damaged_directory_is_kept_while_a_newborn_asks_another_shard_of_the_node() {
    let (mut bus, node, other) = damaged_half();
    bus.cut.remove(&other);
    // It has lost everything. The shard that it shares partitions with is the other one.
    let query = PeerMessage::NewbornQuery(crate::message::peer::NewbornQuery { round: 1 });
    let partition = PartitionId(1);
    for _ in 0..16 {
        let messages = vec![Addressed { partition, layout: 1, message: query.clone() }];
        let shard = &bus.nodes[&node].shard;
        let frame =
            Frame { layout: bus.ring.epoch(), epoch: shard.site.identity.epoch, clock: Default::default(), messages };
        let now = bus.now;
        bus.nodes.get_mut(&node).unwrap().shard.handle(now, Input::Peer { from: node, frame });
        bus.run(Duration::from_millis(500));
    }
    assert_eq!(bus.nodes[&node].restarts, Vec::<String>::new(), "another owner is newborn");
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.nodes[&node].restarts.len(), 1);
}

#[test]
fn what_a_newborn_asks_one_shard_all_shards_of_the_node_hear_of() {
    let mut bus = Bus::new(3);
    let node = NodeId(2);
    bus.halve(node);
    bus.run(Duration::from_secs(2));
    let query = crate::message::peer::NewbornQuery { round: 1 };
    bus.frames.clear();
    for (from, expected) in [(NodeId(1), 1), (node, 0)] {
        let messages =
            vec![Addressed { partition: PartitionId(0), layout: 1, message: PeerMessage::NewbornQuery(query) }];
        let epoch = bus.nodes[&from].shard.site.identity.epoch;
        let frame = Frame { layout: bus.ring.epoch(), epoch, clock: Default::default(), messages };
        let now = bus.now;
        bus.nodes.get_mut(&node).unwrap().shard.handle(now, Input::Peer { from, frame });
        bus.turn(node);
        let around = bus.frames.drain(..).filter(|(from, to, _)| from == to).flat_map(|(_, _, frame)| frame.messages);
        let passed_on = around.filter(|told| told.partition == PartitionId(1)).map(|told| told.message);
        let passed_on: Vec<PeerMessage> = passed_on.collect();
        assert_eq!(passed_on, vec![PeerMessage::NewbornQuery(query); expected], "asked by {from}");
    }
}
