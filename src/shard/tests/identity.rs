//! A dot is never minted twice: what a start may continue, and what it must not.

use super::*;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::ids::{OpId, RowVersion};
use crate::message::peer::{Part, Replicate};
use crate::time::Hlc;
use crate::value::{Beside, Row};

/// The actor that a node's copy of a key would continue.
fn minting(bus: &Bus, at: NodeId, key: &str) -> crate::replica::Minting {
    bus.stored(at, key).and_then(|stored| stored.header.minting).expect("minted here")
}

/// A delta that claims `event` of `actor`, as a peer could hand it back.
fn claim(actor: ActorId, event: u64) -> Row {
    Row::default().increment(Dot { actor, event }, Hlc { wall: 1, logical: 0 }, 1, &Beside::NONE).unwrap()
}

fn hand_back(bus: &mut Bus, to: NodeId, key: &str, delta: &Row) {
    let row = RowKey::main(&Key::new(key.to_owned()).unwrap());
    let partition = row.partition(8);
    let message = PeerMessage::Replicate(Replicate {
        op: OpId(1),
        parts: vec![Part { row, version: RowVersion(1), delta: delta.encode() }],
        owed: Vec::new(),
        only_removes: false,
    });
    let frame = Frame {
        layout: bus.ring.epoch(),
        epoch: Epoch(5),
        clock: Hlc::default(),
        messages: vec![Addressed { partition, layout: 1, message }],
    };
    let from = bus.list(key).0.into_iter().find(|owner| *owner != to).unwrap();
    bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
    bus.settle();
}

fn alarms(bus: &Bus, at: NodeId) -> u64 {
    bus.nodes[&at].shard.status(bus.now).amnesia_alarms
}

#[test]
fn a_start_continues_its_own_actor_and_a_restart_never_does() {
    let mut bus = Bus::new(3);
    bus.increment(NodeId(1), "k", 1);
    let first = minting(&bus, NodeId(1), "k");
    bus.increment(NodeId(1), "k", 1);
    let second = minting(&bus, NodeId(1), "k");
    assert_eq!((second.actor, second.event), (first.actor, first.event + 1));

    let store = bus.nodes[&NodeId(1)].store.clone();
    bus.start(NodeId(1), store);
    bus.run(Duration::from_secs(2));
    bus.increment(NodeId(1), "k", 1);
    let third = minting(&bus, NodeId(1), "k");
    assert_ne!(third.actor.epoch, first.actor.epoch);
    assert_eq!(third.event, 1);
    assert_eq!(bus.value(NodeId(2), "k"), number(3));
}

#[test]
fn an_actor_that_reached_its_tick_is_not_continued() {
    let mut bus = Bus::new(3);
    bus.increment(NodeId(1), "k", 1);
    let first = minting(&bus, NodeId(1), "k");
    let lease = ShardConfig::default().actor_lease_ticks;
    assert!(first.actor.expires.0 > Tick::at(bus.now.wall, ShardConfig::default().tick).0 + lease);
    bus.now.wall.0 += 2 * u64::from(lease) * 10_000_000;
    bus.increment(NodeId(1), "k", 1);
    let second = minting(&bus, NodeId(1), "k");
    assert!(second.actor.expires > first.actor.expires);
    assert_eq!(second.actor.epoch, first.actor.epoch);
    assert_eq!(bus.value(NodeId(2), "k"), number(2));
    assert_eq!(alarms(&bus, NodeId(1)), 0, "an older actor of the own start is remembered by its tick");
}

#[test]
fn a_clock_beyond_the_last_tick_lets_no_dot_be_minted_again() {
    let mut bus = Bus::new(3);
    bus.now.wall.0 = u64::MAX / 2;
    for expected in 1..=3 {
        bus.increment(NodeId(1), "k", 1);
        assert_eq!(minting(&bus, NodeId(1), "k").event, expected);
    }
    assert_eq!(bus.value(NodeId(2), "k"), number(3));
}

#[test]
fn an_own_entry_that_nobody_here_remembers_burns_the_tenure() {
    let mut bus = Bus::new(3);
    bus.increment(NodeId(1), "k", 1);
    let before = minting(&bus, NodeId(1), "k");
    hand_back(&mut bus, NodeId(1), "k", &claim(before.actor, before.event));
    assert_eq!(alarms(&bus, NodeId(1)), 0, "what is remembered is no alarm");

    hand_back(&mut bus, NodeId(1), "k", &claim(before.actor, before.event + 3));
    assert_eq!(alarms(&bus, NodeId(1)), 1);
    bus.increment(NodeId(1), "k", 1);
    let after = minting(&bus, NodeId(1), "k");
    assert_eq!(after.actor.tenure, Tenure(before.actor.tenure.0 + 1));
    assert_eq!(after.event, 1, "the forgotten events are never minted again");
}

#[test]
fn an_own_entry_in_a_row_without_a_header_burns_the_tenure_too() {
    let mut bus = Bus::new(3);
    bus.increment(NodeId(1), "k", 1);
    let actor = minting(&bus, NodeId(1), "k").actor;
    hand_back(&mut bus, NodeId(1), "other", &claim(actor, 9));
    assert_eq!(alarms(&bus, NodeId(1)), 1);
    bus.increment(NodeId(1), "other", 1);
    assert_eq!(minting(&bus, NodeId(1), "other").actor.tenure, Tenure(1));
}

#[test]
fn a_directory_of_another_member_or_cluster_is_refused_unchanged() {
    let bus = Bus::new(3);
    let store = &bus.nodes[&NodeId(1)].store;
    let layout = bus.ring.layout();
    let refused = begin_start(store.as_ref(), layout, NodeId(2), 7);
    assert_eq!(refused, Err(crate::replica::OpenError::OtherMember { found: NodeId(1), expected: NodeId(2) }));
    let mut foreign = Layout::clone(layout);
    foreign.cluster = ClusterId([8; 16]);
    let foreign = foreign.seal().unwrap();
    assert!(matches!(
        begin_start(store.as_ref(), &foreign, NodeId(1), 7),
        Err(crate::replica::OpenError::OtherCluster { .. })
    ));
    assert_eq!(begin_start(store.as_ref(), layout, NodeId(1), 7).unwrap().start, 2);
}
