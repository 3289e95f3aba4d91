//! What goes wrong between nodes and with disks, and must not become wrong answers or silence.

use super::*;
use crate::message::peer::Forward;

#[test]
fn a_forward_that_arrives_twice_is_counted_once() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    let outside = (1..=5).map(NodeId).find(|node| !owners.contains(node)).unwrap();
    let id = bus.send(outside, "k", Command::Increment { by: 1 }, Options::default());
    bus.turn(outside);
    let copies: Vec<_> = bus.frames.iter().cloned().collect();
    bus.run(Duration::from_millis(100));
    bus.frames.extend(copies);
    bus.run(Duration::from_millis(100));
    assert!(matches!(bus.replies[&id], Response::Written(_)));
    assert_eq!(bus.value(owners[0], "k"), number(1));
}

#[test]
fn a_command_that_waits_for_an_earlier_one_keeps_its_own_deadline() {
    let mut bus = Bus::new(3);
    bus.syncs = false;
    let slow = bus.send(NodeId(1), "k", Command::Increment { by: 1 }, Options::default());
    bus.settle();
    let waiting: Vec<u64> = [Command::Put { value: "1".into() }, Command::Get]
        .map(|command| {
            let options = Options { deadline_ms: Some(100), ..Options::default() };
            bus.send(NodeId(1), "k", command, options)
        })
        .into();
    bus.run(Duration::from_millis(200));
    assert!(!bus.replies.contains_key(&slow));
    for id in waiting {
        assert!(matches!(refused(bus.replies[&id].clone()), Reason::DeadlineExceeded { .. }));
    }
}

#[test]
fn a_late_forward_of_an_earlier_start_does_not_shut_the_present_one_out() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    let outside = (1..=5).map(NodeId).find(|node| !owners.contains(node)).unwrap();
    bus.send(outside, "k", Command::Increment { by: 1 }, Options::default());
    bus.turn(outside);
    let late: Vec<_> = bus.frames.drain(..).collect();
    let store = bus.nodes[&outside].store.clone();
    bus.start(outside, store);
    bus.run(Duration::from_secs(2));
    written(&bus.increment(outside, "k", 1));
    bus.frames.extend(late);
    bus.run(Duration::from_millis(100));
    written(&bus.increment(outside, "k", 1));
    assert_eq!(bus.value(owners[0], "k"), number(3));
}

/// A node that can no longer read its copy of the first of these keys, and has lost the others.
fn with_one_rotten_row(bus: &mut Bus, node: NodeId, keys: &[String]) {
    let row = |key: &String| RowKey::main(&Key::new(key.clone()).unwrap()).as_bytes().clone();
    let mut batch = Batch::default();
    batch.put(Space::Rows, row(&keys[0]), bytes::Bytes::from_static(b"rot"));
    for key in &keys[1..] {
        batch.delete(Space::Rows, row(key));
    }
    let store = bus.nodes[&node].store.clone();
    store.write(&batch).unwrap();
    store.sync().unwrap();
    bus.start(node, store);
}

/// Keys of one slot, in the order in which their rows stand on disk.
fn keys_of_one_slot() -> Vec<String> {
    let mut keys: Vec<String> = (0..6).map(|number| format!("{{t}}{number}")).collect();
    keys.sort_by_key(|key| RowKey::main(&Key::new(key.clone()).unwrap()));
    keys
}

/// More than one page holds.
fn large() -> Command {
    Command::Put { value: vec![b'v'; crate::limits::PAGE_BYTES_MAX].into() }
}

#[test]
fn a_row_that_an_owner_cannot_take_does_not_hold_back_what_is_owed_behind_it() {
    let mut bus = Bus::new(3);
    let keys = keys_of_one_slot();
    bus.cut = BTreeSet::from([NodeId(3)]);
    bus.run(Duration::from_secs(2));
    written(&bus.ask(NodeId(1), &keys[0], large()));
    for key in &keys[1..] {
        written(&bus.increment(NodeId(1), key, 1));
    }
    assert_eq!(bus.debts(), keys.len());
    with_one_rotten_row(&mut bus, NodeId(3), &keys);
    bus.cut.clear();
    bus.run(Duration::from_secs(5));
    assert_eq!(bus.debts(), 1, "only the rotten row is still owed");
}

#[test]
fn a_row_that_cannot_be_merged_does_not_end_the_comparison_of_those_behind_it() {
    // The node with the smaller id begins the exchange.
    for rotten in [NodeId(1), NodeId(3)] {
        let mut bus = Bus::new(3);
        let keys = keys_of_one_slot();
        written(&bus.ask(NodeId(2), &keys[0], large()));
        for key in &keys[1..] {
            written(&bus.increment(NodeId(2), key, 1));
        }
        with_one_rotten_row(&mut bus, rotten, &keys);
        bus.run(ShardConfig::default().exchange_interval + Duration::from_secs(2));
        for key in &keys[1..] {
            assert_eq!(
                bus.stored(rotten, key).expect("found again").row.visible(&Beside::NONE, WallTime(0)),
                number(1)
            );
        }
    }
}

#[test]
fn a_strict_write_counts_no_acknowledgement_of_the_fallback_that_coordinates_it() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    let (coordinator, forwarder) = (fallbacks[0], fallbacks[1]);
    let options = Options { strict: true, w: Some(2), ..Options::default() };
    let request = Request { key: Key::new("k").unwrap(), command: Command::Increment { by: 1 }, options };
    let partition = bus.ring.partition_of(&request.key);
    let epoch_of = |bus: &Bus, node: NodeId| bus.nodes[&node].shard.site.identity.epoch;
    let target = epoch_of(&bus, coordinator);
    let forward = Forward { op: OpId(1 << 20), target, request, remaining_ms: 300 };
    let frame = Frame {
        layout: bus.ring.epoch(),
        epoch: epoch_of(&bus, forwarder),
        clock: crate::time::Hlc::default(),
        messages: vec![Addressed { partition, layout: 1, message: PeerMessage::Forward(forward) }],
    };
    bus.nodes.get_mut(&coordinator).unwrap().shard.handle(bus.now, Input::Peer { from: forwarder, frame });
    // The other owners are silent, but nobody has noticed yet.
    let talking = [coordinator, owners[0]];
    let mut answers = Vec::new();
    for _ in 0..40 {
        for node in talking {
            bus.turn(node);
        }
        for (from, to, frame) in std::mem::take(&mut bus.frames) {
            if talking.contains(&to) {
                bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
            } else if to == forwarder {
                answers.extend(frame.messages.into_iter().filter_map(|addressed| match addressed.message {
                    PeerMessage::Forwarded(answer) => Some(answer.response),
                    _ => None,
                }));
            }
        }
        bus.now.mono = bus.now.mono.after(Duration::from_millis(20));
    }
    assert_eq!(answers.len(), 1);
    assert!(matches!(refused(answers.remove(0)), Reason::DeadlineExceeded { answered: 1, needed: 2 }));
}

/// A node that reads every row from a disk that does not answer. Drops the jobs, and counts them.
fn turns_on_a_hanging_disk(bus: &mut Bus, node: NodeId, span: Duration) -> usize {
    let faults = crate::storage::memory::MemoryFaults { not_in_memory_per_mille: 1000, ..Default::default() };
    bus.nodes[&node].store.set_faults(faults);
    let mut fetches = 0;
    let end = bus.now.mono.after(span);
    loop {
        let shard = &mut bus.nodes.get_mut(&node).unwrap().shard;
        shard.tick(bus.now);
        for effect in shard.seal(bus.now).effects {
            match effect {
                Effect::Reply { request_id, response, .. } => {
                    bus.replies.insert(request_id.0, response);
                }
                Effect::StartJob(Job::Fetch { .. }) => fetches += 1,
                _ => {}
            }
        }
        if bus.now.mono >= end {
            return fetches;
        }
        bus.now.mono = bus.now.mono.after(Duration::from_millis(20));
    }
}

#[test]
fn a_write_whose_row_the_disk_does_not_give_is_answered_at_its_deadline() {
    let mut bus = Bus::new(3);
    turns_on_a_hanging_disk(&mut bus, NodeId(1), Duration::ZERO);
    let options = Options { deadline_ms: Some(100), ..Options::default() };
    let id = bus.send(NodeId(1), "cold", Command::Increment { by: 1 }, options);
    turns_on_a_hanging_disk(&mut bus, NodeId(1), Duration::from_millis(200));
    let answer = bus.replies.remove(&id).expect("answered");
    assert!(matches!(&answer, Response::Failed(error) if error.outcome == crate::message::client::Outcome::NotApplied));
    let row = RowKey::main(&Key::new("cold").unwrap());
    let late = Input::JobDone(JobResult::Fetched { row, outcome: Ok(None) });
    bus.nodes.get_mut(&NodeId(1)).unwrap().shard.handle(bus.now, late);
    bus.run(Duration::from_millis(100));
    assert_eq!(bus.stored(NodeId(1), "cold"), None, "the late row is not minted on");
    assert!(!bus.replies.contains_key(&id), "answered once");
}

#[test]
fn a_request_that_is_refused_because_too_many_wait_for_the_disk_starts_no_fetch() {
    let mut bus = Bus::new(3);
    let parked_max = 2;
    bus.nodes.get_mut(&NodeId(1)).unwrap().shard.site.config.parked_max = parked_max;
    turns_on_a_hanging_disk(&mut bus, NodeId(1), Duration::ZERO);
    for key in 0..10 {
        bus.send(NodeId(1), &format!("cold{key}"), Command::Increment { by: 1 }, Options::default());
    }
    assert_eq!(turns_on_a_hanging_disk(&mut bus, NodeId(1), Duration::ZERO), parked_max);
}
