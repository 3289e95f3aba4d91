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
