//! What is owed is paid: soon, and whatever becomes of what is owed to others.

use super::moves::{Move, only_writes};
use super::*;
use crate::storage::Batch;

#[test]
fn a_debt_that_arises_after_a_delivery_waits_for_no_back_off() {
    let mut bus = Bus::with(3, ShardConfig { delivery_backoff: Duration::from_secs(60), ..only_writes() });
    bus.loses = |message| matches!(message, PeerMessage::Replicate(_));
    for round in 1..=3 {
        let id = bus.send(NodeId(1), "k", Command::Increment { by: 1 }, Options { w: Some(1), ..Options::default() });
        bus.run(Duration::from_secs(6));
        written(&bus.replies[&id]);
        assert_eq!(bus.debts(), 0, "round {round}");
        assert!((1..=3).all(|node| bus.shows(NodeId(node), "k") == Some(number(round))), "round {round}");
    }
    assert!(bus.nodes[&NodeId(1)].observations.iter().any(|seen| matches!(seen, Observation::DebtRecorded { .. })));
}

#[test]
fn a_row_that_cannot_be_read_keeps_no_other_debt_from_going_to_the_owners_to_come() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let writer = change.stayers[0];
    let mut owners = [change.leaver, change.stayers[1]];
    owners.sort_unstable();
    let mut keys = (0..10_000).map(|number| format!("k{number}")).filter(|key| bus.partition(key) == change.partition);
    let keys = [keys.next().unwrap(), keys.next().unwrap()];
    bus.loses = |message| matches!(message, PeerMessage::Deliver(_));
    for (owner, key) in owners.iter().zip(&keys) {
        bus.cut = BTreeSet::from([*owner]);
        bus.run(Duration::from_secs(3));
        written(&bus.increment(writer, key, 1));
        bus.run(Duration::from_secs(5));
    }
    let owed = |bus: &Bus, owner| bus.nodes[&writer].shard.turn.owed_to(owner);
    assert_eq!(owners.map(|owner| owed(&bus, owner)), [1, 1]);
    let unreadable = RowKey::main(&Key::new(keys[0].clone()).unwrap());
    let mut batch = Batch::default();
    batch.put(Space::Rows, unreadable.as_bytes().clone(), bytes::Bytes::from_static(&[250]));
    bus.nodes[&writer].store.write(&batch).unwrap();
    bus.nodes[&writer].store.sync().unwrap();
    bus.restart(writer);
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(2));
    assert_eq!(owed(&bus, change.joiner), 1, "the other key is owed to it");
    let waits: Vec<NodeId> = bus.nodes[&writer].shard.retargets.owners().collect();
    assert_eq!(waits, [owners[0]], "the one that cannot be read is tried again");
}
