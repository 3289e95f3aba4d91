//! A node whose disk is full: what it does not take is kept for it, and nothing is said to be equal meanwhile.

use super::*;

#[test]
fn what_a_full_disk_does_not_take_is_kept_for_it_and_comes_when_there_is_room() {
    let mut bus = Bus::with(3, ShardConfig { exchange_interval: Duration::from_secs(4), ..ShardConfig::default() });
    let full = NodeId(3);
    let set = |bus: &mut Bus, is_below| {
        bus.nodes.get_mut(&full).unwrap().shard.handle(bus.now, Input::DiskReserve { is_below });
    };
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    for key in &keys[..10] {
        written(&bus.increment(NodeId(1), key, 1));
    }
    set(&mut bus, true);
    for key in &keys {
        written(&bus.increment(NodeId(1), key, 10));
    }
    bus.run(Duration::from_secs(20));
    let lacks = |bus: &Bus| keys.iter().filter(|key| bus.stored(full, key) != bus.stored(NodeId(1), key)).count();
    let state = |bus: &Bus, node, key: &str| bus.stored(node, key).map(|stored| stored.row);
    let behind = |bus: &Bus| keys.iter().filter(|key| state(bus, full, key) != state(bus, NodeId(1), key)).count();
    assert!(lacks(&bus) >= 1);
    assert_eq!(behind(&bus), keys.len(), "it takes nothing, by delivery or by exchange");
    assert!(bus.debts() >= keys.len(), "all of it is owed");
    let partitions = u32::from(bus.ring.layout().partitions);
    assert!(bus.status(NodeId(1)).equal_partitions < partitions);
    // It loses what it is owed to the exchange, too: nobody owes it now.
    set(&mut bus, false);
    bus.run(Duration::from_secs(20));
    assert_eq!((behind(&bus), bus.debts()), (0, 0));
    assert_eq!(bus.status(NodeId(1)).equal_partitions, partitions);
}

#[test]
fn an_exchange_of_which_a_full_disk_takes_nothing_is_not_complete_and_is_tried_again() {
    let mut bus = super::trees::owners(200, &(0..40).collect::<Vec<_>>());
    let [ahead, behind] = super::trees::NODES;
    bus.checks_proofs = true;
    for partition in bus.ring.partitions().collect::<Vec<_>>() {
        let now = bus.now.mono;
        bus.nodes.get_mut(&ahead).unwrap().shard.turn.mark_for_repair(partition, behind, now);
    }
    bus.nodes.get_mut(&behind).unwrap().shard.handle(bus.now, Input::DiskReserve { is_below: true });
    super::trees::compare(&mut bus);
    bus.run(Duration::from_secs(10));
    assert!(bus.status(ahead).needs_repair_partitions > 0, "what was not taken is not repaired");
    bus.nodes.get_mut(&behind).unwrap().shard.handle(bus.now, Input::DiskReserve { is_below: false });
    bus.run(Duration::from_secs(40));
    assert_eq!(bus.status(ahead).needs_repair_partitions, 0);
    for number in 0..40 {
        let row = super::trees::row(number);
        let there = bus.nodes[&behind].store.fetch(Space::Rows, row.as_bytes()).unwrap().unwrap();
        assert_eq!(StoredRow::state_bytes(&there), StoredRow::state_bytes(&super::trees::stored(2)), "{number}");
    }
}
