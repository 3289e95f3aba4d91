//! What a client sees, and what becomes of its writes.

use super::*;
use crate::message::client::Observe;

#[test]
fn an_increment_through_any_node_reaches_every_owner() {
    let mut bus = Bus::new(5);
    for node in 1..=5 {
        let reply = bus.increment(NodeId(node), "likes", 1);
        assert!(written(&reply).acks.len() >= 2, "{reply:?}");
    }
    let (owners, _) = bus.list("likes");
    for owner in owners {
        assert_eq!(bus.stored(owner, "likes").unwrap().row.visible(&Beside::NONE, WallTime(0)), number(5));
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
        assert_eq!(bus.stored(owner, "k").unwrap().row.visible(&Beside::NONE, WallTime(0)), number(7));
    }
    assert_eq!(bus.debts(), 0);
}

/// The coordinator's disk hangs, and its connections to owners break: it asks others to stand in for them. But these owners have
/// taken the write, and the stand-ins hand them their rows, before any of them is heard to acknowledge it. One owner may be
/// silent all the time. How many directories have the write when the client is told; the coordinator's goes on at last.
fn on_disk_when_told(w: u8, silent: Option<usize>) -> usize {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    let (coordinator, others) = (owners[0], &owners[1..]);
    let silent = silent.map(|place| others[place]);
    bus.never_syncs = BTreeSet::from([coordinator]);
    let id = bus.send(coordinator, "k", Command::Increment { by: 7 }, Options { w: Some(w), ..Options::default() });
    let mut late = Vec::new();
    for step in 0..80 {
        for node in bus.nodes.keys().copied().collect::<Vec<_>>() {
            bus.turn(node);
        }
        if step == 2 {
            for node in others.iter().filter(|node| Some(**node) != silent) {
                let lost = Input::PeerUnreachable { node: *node, not_sent: Vec::new() };
                bus.nodes.get_mut(&coordinator).unwrap().shard.handle(bus.now, lost);
            }
        }
        if step == 50 {
            bus.frames.append(&mut late.drain(..).collect());
        }
        if step == 70 {
            bus.never_syncs.clear();
        }
        for (from, to, frame) in std::mem::take(&mut bus.frames) {
            let acknowledges =
                frame.messages.iter().any(|addressed| matches!(addressed.message, PeerMessage::Replicated(_)));
            if Some(from) == silent || Some(to) == silent {
                continue;
            }
            if acknowledges && step < 50 {
                late.push((from, to, frame));
            } else {
                bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
            }
        }
        if let Some(reply) = bus.replies.get(&id) {
            assert!(written(reply).acks.len() >= usize::from(w));
            let has_synced = |node: &NodeId| !bus.never_syncs.contains(node);
            return bus.nodes.keys().filter(|node| has_synced(node) && bus.stored(**node, "k").is_some()).count();
        }
        bus.now.mono = bus.now.mono.after(Duration::from_millis(20));
    }
    panic!("no answer");
}

#[test]
fn a_stand_in_that_has_handed_its_row_over_is_not_counted_beside_the_owners_that_have_it() {
    assert_eq!(on_disk_when_told(3, None), 3, "with the coordinator's own");
    // A stand-in for one owner keeps its row for the silent one, too, for which it counts.
    assert!(on_disk_when_told(2, Some(1)) >= 2);
}

#[cfg(feature = "mutations")]
#[test]
fn a_stand_in_is_counted_with_nothing_on_its_disk_without_its_protection() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::StandInsCountTwice));
    let on_disk = on_disk_when_told(3, None);
    switch_off(None);
    assert_eq!(on_disk, 2, "the client was told of three");
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
            assert_eq!(
                bus.stored(*owner, "k").unwrap().row.visible(&Beside::NONE, WallTime(0)),
                number(expected),
                "round {round}"
            );
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
    assert_eq!(bus.stored(NodeId(3), "k").unwrap().row.visible(&Beside::NONE, WallTime(0)), number(3));
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

#[test]
fn a_turn_of_large_values_is_full_before_it_is_too_large() {
    let mut bus = Bus::new(3);
    for key in ["a", "b"] {
        let options = Options { observe: crate::message::client::Observe::Local, ..Options::default() };
        bus.send(NodeId(1), key, Command::Put { value: vec![0; 600_000].into() }, options);
    }
    assert!(bus.nodes[&NodeId(1)].shard.turn_is_full());
}

#[test]
fn a_fallback_without_owners_covers_no_live_counter_whatever_was_to_be_observed() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    bus.cut = owners.into_iter().collect();
    bus.run(Duration::from_secs(2));
    written(&bus.increment(fallbacks[0], "k", 1));
    for observe in [Observe::Quorum, Observe::Local] {
        for command in [Command::Delete, Command::Put { value: "7".into() }] {
            let id = bus.send(fallbacks[0], "k", command, Options { observe, ..Options::default() });
            bus.run(Duration::from_millis(400));
            assert_eq!(refused(bus.replies.remove(&id).unwrap()), Reason::NoOwner, "{observe:?}");
        }
    }
}

#[test]
fn a_partial_write_says_so_also_when_it_joins_another_of_its_turn() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    bus.cut = BTreeSet::from([owners[1], owners[2]]);
    bus.run(Duration::from_secs(2));
    let node = owners[0];
    let put = bus.send(node, "k", Command::Put { value: "7".into() }, Options::default());
    // Everything up to the answer that ends the observation, which is then handled together with an increment.
    let mut add = None;
    while add.is_none() {
        bus.turn(node);
        let frames = std::mem::take(&mut bus.frames);
        for (from, to, frame) in frames {
            if to == node && frame.messages.iter().any(|m| matches!(m.message, PeerMessage::ReadAnswer(_))) {
                bus.next_request += 1;
                let request = Request {
                    key: Key::new("k").unwrap(),
                    command: Command::Increment { by: 1 },
                    options: Options::default(),
                };
                let input =
                    Input::Client { connection: ConnectionId(2), request_id: RequestId(bus.next_request), request };
                add = Some(bus.next_request);
                bus.nodes.get_mut(&node).unwrap().shard.handle(bus.now, input);
            }
            if !bus.cut.contains(&to) {
                bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
            }
        }
        for other in bus.nodes.keys().copied().filter(|other| *other != node).collect::<Vec<_>>() {
            bus.turn(other);
        }
    }
    bus.run(Duration::from_millis(400));
    assert!(written(&bus.replies[&put]).partial);
    assert!(!written(&bus.replies[&add.unwrap()]).partial);
    assert_eq!(written(&bus.replies[&put]).acks, written(&bus.replies[&add.unwrap()]).acks, "they went as one");
}

#[test]
fn a_delete_that_saw_nothing_on_its_side_still_beats_an_older_put_on_the_other() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    let others: BTreeSet<NodeId> = (1..=5).map(NodeId).filter(|node| *node != owners[0]).collect();
    bus.cut = BTreeSet::from([owners[0]]);
    bus.run(Duration::from_secs(2));
    written(&bus.ask(owners[1], "k", Command::Put { value: "old".into() }));
    bus.cut = others;
    bus.run(Duration::from_secs(2));
    let id = bus.send(owners[0], "k", Command::Delete, Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_millis(400));
    let reply = written(&bus.replies[&id]).clone();
    assert!(reply.partial && !reply.acks.is_empty(), "{reply:?}");
    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    assert_eq!(bus.value(owners[2], "k"), Visible::Nothing);
}
