//! How stale a read may be, and that it says so.

use super::*;

fn stale_ms(bus: &mut Bus, at: NodeId, r: u8) -> Option<u64> {
    let id = bus.send(at, "k", Command::Get, Options { r: Some(r), ..Options::default() });
    bus.run(Duration::from_millis(400));
    match bus.replies.remove(&id) {
        Some(Response::Value(reply)) => reply.stale_ms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_of_every_owner_lacks_nothing_that_an_owner_holds() {
    let mut bus = Bus::new(5);
    bus.increment(NodeId(1), "k", 1);
    assert_eq!(stale_ms(&mut bus, NodeId(2), 3), Some(0));
    let bound = stale_ms(&mut bus, NodeId(2), 2).unwrap();
    assert!(bound > 0 && bound < 10_000, "they exchanged when they started: {bound}");
}

/// Every node by turns is the one that is apart: whoever began the exchanges, both sides know of them.
#[test]
fn the_bound_grows_during_a_split_and_is_small_again_after_an_exchange() {
    for apart in 0..3 {
        let mut bus = Bus::new(5);
        let (owners, _) = bus.list("k");
        let (alone, here) = (owners[apart], owners[(apart + 1) % 3]);
        bus.increment(here, "k", 1);
        bus.cut = BTreeSet::from([alone]);
        bus.run(Duration::from_secs(2));
        let first = stale_ms(&mut bus, here, 2).unwrap();
        bus.run(Duration::from_secs(60));
        let second = stale_ms(&mut bus, here, 2).unwrap();
        assert!((first + 60_000..first + 65_000).contains(&second), "owner {apart}: {first} {second}");
        bus.cut.clear();
        bus.run(Duration::from_secs(4));
        bus.cut = BTreeSet::from([alone]);
        bus.run(Duration::from_secs(2));
        let third = stale_ms(&mut bus, here, 2).unwrap();
        assert!(third < 12_000, "owner {apart}: {third}");
    }
}

/// The bound is a promise: what the owner apart held before it is in the answer.
#[test]
fn a_write_that_a_read_lacks_is_younger_than_the_bound() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    let alone = owners[2];
    bus.cut = bus.nodes.keys().copied().filter(|node| *node != alone).collect();
    bus.run(Duration::from_secs(2));
    let id = bus.send(alone, "k", Command::Increment { by: 1 }, Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_millis(100));
    written(&bus.replies[&id]);
    let wrote_at = bus.now.mono;
    bus.run(Duration::from_secs(30));
    bus.cut = BTreeSet::from([alone]);
    bus.run(Duration::from_secs(2));
    assert_eq!(bus.value(owners[0], "k"), Visible::Nothing);
    let age = bus.now.mono.since(wrote_at).as_millis() as u64;
    assert!(stale_ms(&mut bus, owners[0], 2).unwrap() >= age);
}

#[test]
fn nothing_is_known_before_the_first_exchange_of_a_start() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    bus.increment(owners[0], "k", 1);
    bus.cut = BTreeSet::from([owners[2]]);
    bus.run(Duration::from_secs(2));
    for owner in [owners[0], owners[1]] {
        let store = bus.nodes[&owner].store.clone();
        bus.start(owner, store);
    }
    bus.run(Duration::from_secs(2));
    assert_eq!(stale_ms(&mut bus, owners[0], 2), None);
}
