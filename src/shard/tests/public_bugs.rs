//! Bugs of other stores, step by step as their reports tell them, where this one must end otherwise.
//!
//! All are one bug in several coats: a name that mints goes on minting although it has forgotten what it minted, or a
//! state is applied as if it were an update. The names of the nodes (A, B, C) and the numbers are those of the reports.

use super::*;
use crate::message::client::{Observe, Outcome};
use crate::storage::memory::Survivors;

const ONE: Options = Options {
    w: Some(1),
    r: None,
    strict: false,
    deadline_ms: None,
    observe: Observe::Local,
    token: None,
    zones: None,
};

/// The node's copy of a key is gone, and all else is there; the process starts again.
fn lose_row(bus: &mut Bus, node: NodeId, key: &str) {
    let row = RowKey::main(&Key::new(key.to_owned()).unwrap());
    let mut batch = Batch::default();
    batch.delete(Space::Rows, row.as_bytes().clone());
    let store = bus.nodes[&node].store.clone();
    store.write(&batch).unwrap();
    store.sync().unwrap();
    bus.start(node, store);
}

/// An increment that one acknowledgement is enough for.
fn add(bus: &mut Bus, at: NodeId, key: &str, by: i64) {
    let id = bus.send(at, key, Command::Increment { by }, ONE);
    bus.run(Duration::from_millis(300));
    written(&bus.replies[&id]);
}

fn stored_value(bus: &Bus, at: NodeId, key: &str) -> Visible {
    bus.stored(at, key).map_or(Visible::Nothing, |stored| stored.row.visible(&stored.header.beside, bus.now.wall))
}

/// Nodes that met an own entry that they do not remember: the last line of defence.
fn alarms(bus: &Bus) -> u64 {
    bus.nodes.values().map(|node| node.shard.status(bus.now).amnesia_alarms).sum()
}

/// Long enough for every timer that repairs.
fn repair(bus: &mut Bus) {
    bus.run(ShardConfig::default().exchange_interval + Duration::from_secs(3));
}

/// Riak, basho/riak_kv issue 679 (2013) and pull requests 1070 and 1094: a coordinating vnode loses the data of a key
/// "due to corruption or user error" but keeps its vnode id. Its next put is a `not_found` locally, so it takes its
/// first event again, `[{A, 1}]`; the other replicas have `[{A, 3}]`, take the put for something they have seen, and
/// read repair then removes it for good.
#[test]
fn riak_679_a_coordinator_that_lost_a_key_does_not_mint_its_first_event_again() {
    let mut bus = Bus::new(3);
    let [a, b, c] = [1, 2, 3].map(NodeId);
    for by in [1, 10, 100] {
        written(&bus.increment(a, "k", by));
    }
    lose_row(&mut bus, a, "k");
    bus.run(Duration::from_millis(100));
    // At once, before anything was compared or repaired.
    add(&mut bus, a, "k", 1_000);
    for replica in [b, c] {
        assert_eq!(stored_value(&bus, replica, "k"), number(1_111), "{replica} took the new event");
    }
    repair(&mut bus);
    for replica in [a, b, c] {
        assert_eq!(stored_value(&bus, replica, "k"), number(1_111));
    }
    assert_eq!(alarms(&bus), 0, "A never went on under the name that forgot");
}

/// Riak, the same issue: it began "by treating errors on local read as `notfound`". A row that cannot be read must stop
/// the write at this replica, with nothing minted and nothing overwritten.
#[test]
fn riak_679_a_row_that_cannot_be_read_is_not_taken_for_absent() {
    let mut bus = Bus::new(3);
    let [a, b, c] = [1, 2, 3].map(NodeId);
    written(&bus.increment(a, "k", 3));
    let row = RowKey::main(&Key::new("k").unwrap());
    let mut batch = Batch::default();
    batch.put(Space::Rows, row.as_bytes().clone(), bytes::Bytes::from_static(b"corrupt"));
    let store = bus.nodes[&a].store.clone();
    store.write(&batch).unwrap();
    store.sync().unwrap();
    bus.start(a, store.clone());
    bus.run(Duration::from_secs(2));
    let expected = match bus.increment(a, "k", 10) {
        // Another replica may do it instead.
        Response::Written(_) => number(13),
        Response::Failed(error) => {
            assert_eq!(error.outcome, Outcome::NotApplied);
            number(3)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(bus.value(b, "k"), expected);
    assert_eq!(bus.value(c, "k"), expected);
    let left = store.fetch(Space::Rows, row.as_bytes()).unwrap().unwrap();
    assert_eq!(left, "corrupt", "the evidence stays where it was");
}

/// Riak, pull request 1643 (2017), the cases that were still open four years later: a vnode has forgotten events of its
/// own under a name that it goes on using, and learns of it by a write that it does *not* coordinate. It stored the
/// incoming `{A, 3}` as its own past, and its next put repeated an event. What comes back must end that name.
#[test]
fn riak_1643_what_a_write_of_somebody_else_brings_back_is_never_continued() {
    let mut bus = Bus::new(3);
    let [a, b, c] = [1, 2, 3].map(NodeId);
    written(&bus.increment(a, "k", 1));
    // A snapshot of the running machine: its memory, so the same epoch, and its disk.
    let identity = bus.nodes[&a].shard.site.identity;
    let snapshot = Arc::new(bus.nodes[&a].store.copy(9));
    for by in [10, 100] {
        written(&bus.increment(a, "k", by));
    }
    let scope = ShardScope { index: 0, count: 1 };
    let shard =
        Shard::open(ShardConfig::default(), identity, scope, bus.ring.clone(), snapshot.clone(), 1, bus.now).unwrap();
    bus.nodes.insert(
        a,
        Node { shard, store: snapshot, written: None, observations: Vec::new(), proofs: 0, restarts: Vec::new() },
    );
    bus.run(Duration::from_millis(100));
    assert_eq!(stored_value(&bus, a, "k"), number(1), "it has forgotten two events");
    // B deletes what it sees, and the delete carries the entries that it covers, {A, 3} among them.
    let id = bus.send(b, "k", Command::Delete, Options::default());
    bus.run(Duration::from_millis(300));
    written(&bus.replies[&id]);
    assert_eq!(alarms(&bus), 1);
    for by in [1_000, 10_000] {
        written(&bus.increment(a, "k", by));
    }
    repair(&mut bus);
    for replica in [a, b, c] {
        assert_eq!(stored_value(&bus, replica, "k"), number(11_000));
    }
}

/// Riak, the "doomstone" of pull request 1094: a key is deleted; the tombstone is held by two primaries and a fallback,
/// which goes away; the third primary learns of it; the key is written anew; the fallback comes back and hands its
/// tombstone off, and it "subsumes the new key".
#[test]
fn riak_1094_a_tombstone_that_is_handed_off_late_does_not_delete_the_key_that_was_made_anew() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    let away = owners[2];
    written(&bus.increment(owners[0], "k", 1));
    bus.cut = BTreeSet::from([away]);
    bus.run(Duration::from_secs(2));
    let options = Options { w: Some(3), ..Options::default() };
    let id = bus.send(owners[0], "k", Command::Delete, options);
    bus.run(Duration::from_millis(400));
    let acks = written(&bus.replies[&id]).acks.clone();
    let fallback = acks.iter().find(|ack| !ack.is_owner).expect("a fallback holds the tombstone").node;
    assert!(fallbacks.contains(&fallback));
    bus.cut = BTreeSet::from([fallback]);
    bus.run(Duration::from_secs(2));
    repair(&mut bus);
    assert_eq!(stored_value(&bus, away, "k"), Visible::Nothing, "the third primary has learned of the delete");
    written(&bus.increment(owners[0], "k", 7));
    assert!(bus.stored(fallback, "k").is_some(), "the tombstone is still to be handed off");
    bus.cut.clear();
    repair(&mut bus);
    assert!(bus.stored(fallback, "k").is_none(), "it was handed off");
    for owner in owners {
        assert_eq!(stored_value(&bus, owner, "k"), number(7));
    }
}

/// ScyllaDB issue 2169 (2017, open), with its numbers: two nodes, RF = 2. A leads `(A, 1, 20)` and `(A, 2, 40)`, B has
/// both; A crashes before its commit log is flushed, reboots and leads `(A, 1, 5)`. Either both are compared before A
/// passes its old clock (`compared` = true), and what A counted since is dropped; or after it, and the 40 is replaced.
fn scylla_2169(compared_early: bool) {
    let mut bus = Bus::new(2);
    let [a, b] = [1, 2].map(NodeId);
    bus.never_syncs = BTreeSet::from([a]);
    for _ in 0..2 {
        let id = bus.send(a, "k", Command::Increment { by: 20 }, ONE);
        bus.run(Duration::from_millis(100));
        let acks = &written(&bus.replies[&id]).acks;
        assert!(acks.iter().all(|ack| ack.node == b), "only B has it on disk: {acks:?}");
    }
    let store = bus.nodes[&a].store.clone();
    bus.nodes.remove(&a);
    store.crash(Survivors::First(0));
    bus.never_syncs.clear();
    bus.start(a, store);
    bus.cut = BTreeSet::from([b]);
    bus.run(Duration::from_secs(2));
    assert_eq!(stored_value(&bus, a, "k"), Visible::Nothing, "the tail of the log is lost");
    let led_before = if compared_early { 1 } else { 3 };
    for led in 0..3 {
        if led == led_before {
            bus.cut.clear();
            repair(&mut bus);
        }
        add(&mut bus, a, "k", 5);
    }
    bus.cut.clear();
    repair(&mut bus);
    for node in [a, b] {
        assert_eq!(stored_value(&bus, node, "k"), number(55));
    }
    assert_eq!(alarms(&bus), 0, "A never went on under the name that forgot");
}

#[test]
fn scylla_2169_increments_between_a_reboot_and_the_repair_do_not_disappear() {
    scylla_2169(true);
}

#[test]
fn scylla_2169_what_was_counted_before_the_crash_is_not_replaced_by_a_clock_that_has_caught_up() {
    scylla_2169(false);
}

/// ScyllaDB issue 27306 (2025, open): A and B are replicas, A counts once and B has not heard of it; the counter
/// migrates from A to C, and then from B to A, so that A is a replica again, without its own past, and counts
/// `(A, 1, 1)` again, which C has already: 1 instead of 2. Here a fallback is the replica that leaves and returns:
/// it counts, its row moves to the owners and is deleted, and it stands in again.
#[test]
fn scylla_27306_a_replica_that_left_and_returns_does_not_count_under_its_old_name() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    let a = fallbacks[0];
    for round in 1..=3 {
        bus.cut = (1..=5).map(NodeId).filter(|node| *node != a).collect();
        bus.run(Duration::from_secs(2));
        assert_eq!(bus.stored(a, "k"), None, "it has nothing of its own past");
        add(&mut bus, a, "k", 1);
        bus.cut.clear();
        bus.run(Duration::from_secs(4));
        assert_eq!(bus.stored(a, "k"), None, "the row has moved");
        for owner in &owners {
            assert_eq!(stored_value(&bus, *owner, "k"), number(round));
        }
    }
}

/// The same with an owner: its disk is replaced by an empty one while an increment of its own is known to C only.
#[test]
fn scylla_27306_an_owner_that_returns_empty_does_not_count_under_its_old_name() {
    let mut bus = Bus::new(3);
    let [a, b, c] = [1, 2, 3].map(NodeId);
    bus.cut = BTreeSet::from([b]);
    add(&mut bus, a, "k", 1);
    assert_eq!((stored_value(&bus, b, "k"), stored_value(&bus, c, "k")), (Visible::Nothing, number(1)));
    bus.nodes.remove(&a);
    bus.start(a, Arc::new(MemoryStore::new(77)));
    bus.cut.clear();
    bus.run(Duration::from_secs(3));
    add(&mut bus, a, "k", 1);
    repair(&mut bus);
    for node in [a, b, c] {
        assert_eq!(stored_value(&bus, node, "k"), number(2));
    }
    assert_eq!(alarms(&bus), 0, "A never went on under the name that forgot");
}

/// ScyllaDB issue 5833 (2020): a hint of a counter is its total state. When its target was no longer in the cluster, the
/// hint went to all present replicas, through the path of client writes, which took the state for an increment: the
/// counter grew by its own value at every retry. Here every delivery is sent to every owner, again and again.
#[test]
fn scylla_5833_a_hint_that_goes_to_other_replicas_than_it_was_meant_for_adds_nothing() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    written(&bus.increment(owners[0], "k", 1_000));
    bus.cut = BTreeSet::from([owners[2]]);
    bus.run(Duration::from_secs(2));
    let options = Options { w: Some(3), ..Options::default() };
    let id = bus.send(owners[0], "k", Command::Increment { by: 7 }, options);
    bus.run(Duration::from_millis(400));
    let holder = written(&bus.replies[&id]).acks.iter().find(|ack| !ack.is_owner).expect("a hint is held").node;
    assert!(fallbacks.contains(&holder));
    bus.cut.clear();
    let mut hints = Vec::new();
    let end = bus.now.mono.after(Duration::from_secs(4));
    while bus.now.mono < end {
        let nodes: Vec<NodeId> = bus.nodes.keys().copied().collect();
        for node in nodes {
            bus.turn(node);
        }
        for (from, to, frame) in std::mem::take(&mut bus.frames) {
            let is_hint = frame.messages.iter().any(|addressed| matches!(addressed.message, PeerMessage::Deliver(_)));
            if from == holder && is_hint {
                hints.push(frame.clone());
            }
            bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
        }
        bus.now.mono = bus.now.mono.after(Duration::from_millis(20));
        bus.now.wall.0 += 20_000;
    }
    assert!(!hints.is_empty(), "the hint was delivered");
    for _ in 0..5 {
        for (owner, hint) in owners.iter().flat_map(|owner| hints.iter().map(move |hint| (*owner, hint.clone()))) {
            bus.frames.push_back((holder, owner, hint));
        }
        bus.run(Duration::from_millis(100));
    }
    repair(&mut bus);
    for owner in owners {
        assert_eq!(stored_value(&bus, owner, "k"), number(1_007));
    }
    assert_eq!(bus.debts(), 0);
}
