//! What comes too late for what is settled: events, hints, writes, and owners that have nothing yet.

use super::*;

/// An increment whose messages to the other owners are caught on their way. Its coordinator then loses it.
fn caught(bus: &mut Bus, at: NodeId, key: &str) -> Vec<(NodeId, NodeId, Frame)> {
    bus.syncs = false;
    bus.send(at, key, Command::Increment { by: 1 }, Options::default());
    bus.turn(at);
    let caught = std::mem::take(&mut bus.frames).into_iter().collect();
    bus.syncs = true;
    bus.nodes[&at].store.crash(crate::storage::memory::Survivors::First(0));
    bus.restart(at);
    caught
}

#[test]
fn a_late_write_that_nobody_holds_changes_nothing_once_its_tick_is_frozen() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(2), "k", 5));
    let late = caught(&mut bus, NodeId(1), "k");
    assert!(!late.is_empty());
    bus.run(SETTLED);
    assert!(bus.compacted(NodeId(2), "k") > Tick(0));
    bus.frames.extend(late);
    bus.run(SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.value(NodeId(node), "k"), number(5), "node {node}: a copy at one of them would be a rift");
    }
}

/// A session goes on after its tick was settled: whether what it was told is what became of it.
fn is_a_late_event_honest() -> bool {
    let mut bus = Bus::with(3, config());
    let session = bus.session(1);
    let other = bus.session(2);
    written(&bus.increment_as(NodeId(1), "k", session, 1, 7));
    written(&bus.increment_as(NodeId(3), "k", other, 1, 100));
    bus.run(SETTLED);
    let late = bus.increment_as(NodeId(2), "k", session, 2, 9);
    let is_written = matches!(late, Response::Written(_));
    bus.run(SETTLED);
    let expected = number(if is_written { 109 } else { 107 });
    (1..=3).all(|node| bus.value(NodeId(node), "k") == expected)
}

/// A fallback stands in while all owners are away, and gives its hint back long after the tick: whether it counts.
fn does_a_late_hint_count() -> bool {
    let mut bus = Bus::with(5, config());
    let (owners, fallbacks) = bus.list("k");
    bus.config.handoff = false;
    bus.restart(fallbacks[0]);
    bus.run(Duration::from_secs(2));
    bus.cut = owners.iter().chain(&fallbacks[1..]).copied().collect();
    bus.run(Duration::from_secs(2));
    let id = bus.send(fallbacks[0], "k", Command::Increment { by: 7 }, Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&id]);
    bus.cut.clear();
    // So that there is something to settle on the owners' side.
    bus.run(Duration::from_secs(1));
    written(&bus.increment(owners[0], "k", 1));
    bus.run(SETTLED);
    bus.config.handoff = true;
    bus.restart(fallbacks[0]);
    bus.run(SETTLED);
    owners.iter().all(|owner| bus.value(*owner, "k") == number(8))
}

/// A write arrives late, at a tick that is frozen there: whether the row stays as it was.
fn does_a_frozen_row_stay() -> bool {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(2), "k", 5));
    let late = caught(&mut bus, NodeId(1), "k");
    bus.run(Duration::from_secs(1));
    let partition = bus.partition("k");
    let before = bus.stored(NodeId(2), "k").unwrap().row;
    let expires = before.actors().map(|(actor, _)| actor.expires).max().unwrap();
    bus.nodes.get_mut(&NodeId(2)).unwrap().shard.turn.change_memory(partition, |memory| {
        memory.sealed = expires;
        memory.frozen = expires;
    });
    bus.frames.extend(late.into_iter().filter(|(_, to, _)| *to == NodeId(2)));
    bus.settle();
    bus.stored(NodeId(2), "k").unwrap().row == before
}

/// An owner without its data, and without anybody to learn from: whether it takes no part.
fn does_a_newborn_keep_still() -> bool {
    let mut bus = Bus::with(3, ShardConfig { exchange: false, ..config() });
    written(&bus.increment(NodeId(1), "k", 5));
    bus.wipe(NodeId(2));
    // It hears the questions, and none of its own is answered.
    for _ in 0..200 {
        bus.run(Duration::from_millis(20));
        bus.frames.retain(|(_, to, _)| *to != NodeId(2));
        let memory = bus.nodes[&NodeId(2)].shard.turn.memory(bus.partition("k"));
        if !memory.is_established && memory.sealed > Tick(0) {
            return false;
        }
    }
    true
}

#[test]
fn late_events_late_hints_late_writes_and_newborns_change_nothing_that_is_settled() {
    assert!(is_a_late_event_honest());
    assert!(does_a_late_hint_count());
    assert!(does_a_frozen_row_stay());
    assert!(does_a_newborn_keep_still());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_each_of_them_goes_wrong() {
    use crate::mutation::Mutation;
    let stories: [(Mutation, fn() -> bool); 4] = [
        (Mutation::SealIgnored, is_a_late_event_honest),
        (Mutation::SealWithHints, does_a_late_hint_count),
        (Mutation::FreezeBeforeAllSealed, does_a_late_hint_count),
        (Mutation::FreezeIgnored, does_a_frozen_row_stay),
    ];
    for (protection, story) in stories {
        assert!(goes_wrong_without(protection, story), "{protection:?}");
    }
}
