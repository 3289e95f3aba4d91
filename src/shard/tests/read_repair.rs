//! What a read finds to be missing at an owner is sent there after the answer, and to nobody else.

use super::*;
use crate::causality::{ActorId, Epoch, Tenure, Tick};
use crate::ids::CollectionKind;
use crate::message::client::{CollectionCommand, ElementChange, ElementWrite, ReadRepairStatus, SessionWrite};

const KEY: &str = "k";

/// Nothing but reads repairs.
fn only_reads() -> ShardConfig {
    ShardConfig { handoff: false, exchange: false, ..ShardConfig::default() }
}

fn all_owners() -> Options {
    Options { r: Some(3), ..Options::default() }
}

impl Bus {
    fn read(&mut self, at: NodeId, key: &str, options: Options) -> Response {
        let id = self.send(at, key, Command::Get, options);
        self.run(Duration::from_millis(400));
        self.replies.remove(&id).expect("answered")
    }

    /// What one node does and its third owner does not hear of.
    fn miss(&mut self, owners: &[NodeId], key: &str, command: Command) {
        self.cut.insert(owners[2]);
        self.run(Duration::from_secs(3));
        written(&self.ask(owners[0], key, command));
        self.cut.clear();
        self.run(Duration::from_secs(1));
    }

    fn repairs(&self, at: NodeId) -> ReadRepairStatus {
        self.status(at).read_repairs
    }

    fn hash(&mut self, at: NodeId, key: &str) -> String {
        match self.ask(at, key, Command::Inspect) {
            Response::Inspected(view) => view.state_hash,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_read_sends_an_owner_the_row_that_it_lacks_and_the_part_of_one_that_it_lacks() {
    let mut bus = Bus::with(3, only_reads());
    let (owners, _) = bus.list(KEY);
    bus.miss(&owners, KEY, Command::Increment { by: 5 });
    assert!(bus.stored(owners[2], KEY).is_none());
    bus.read(owners[2], KEY, Options::default());
    assert_eq!(bus.repairs(owners[2]), ReadRepairStatus { missing: 1, taken: 1, ..Default::default() });
    bus.miss(&owners, KEY, Command::Increment { by: 7 });
    bus.read(owners[0], KEY, all_owners());
    assert_eq!(bus.repairs(owners[0]), ReadRepairStatus { outdated: 1, ..Default::default() });
    assert_eq!(bus.repairs(owners[2]).taken, 2);
    let rows: Vec<_> = owners.iter().map(|node| bus.stored(*node, KEY).unwrap().row).collect();
    assert_eq!(rows[0], rows[2]);
    bus.read(owners[0], KEY, all_owners());
    assert_eq!(bus.repairs(owners[0]).outdated, 1, "equal owners are sent nothing");
    assert_eq!(bus.nodes[&owners[2]].observations.iter().filter(|fact| is_repair(fact)).count(), 2);
}

fn is_repair(fact: &Observation) -> bool {
    matches!(fact, Observation::Repaired { .. })
}

#[test]
fn the_answer_leaves_before_what_it_found_is_sent() {
    let mut bus = Bus::with(3, only_reads());
    let (owners, _) = bus.list(KEY);
    bus.miss(&owners, KEY, Command::Increment { by: 5 });
    // The third owner can show what it lacks, and can make nothing durable.
    bus.never_syncs.insert(owners[2]);
    match bus.read(owners[0], KEY, all_owners()) {
        Response::Value(reply) => assert_eq!(reply.value, number(5)),
        other => panic!("{other:?}"),
    }
    assert_eq!(bus.repairs(owners[0]).missing, 1);
}

#[test]
fn what_a_session_did_is_repaired_in_its_own_row_and_an_element_in_its() {
    let mut bus = Bus::with(3, only_reads());
    let (owners, _) = bus.list(KEY);
    let tick = Tick::at(bus.now.wall, bus.config.tick);
    let session = ActorId { expires: Tick(tick.0 + 30), epoch: Epoch(9), tenure: Tenure::SESSION };
    let step = |event, p| Command::IncrementAs(SessionWrite { actor: session, event, p, n: 0 });
    written(&bus.ask(owners[0], KEY, step(1, 3)));
    bus.miss(&owners, KEY, step(2, 7));
    bus.read(owners[0], KEY, all_owners());
    assert_eq!(bus.hash(owners[0], KEY), bus.hash(owners[2], KEY));
    let id = bus.send(owners[2], KEY, Command::Get, Options { r: Some(1), ..Options::default() });
    bus.run(Duration::from_millis(400));
    match bus.replies.remove(&id) {
        Some(Response::Value(reply)) => assert_eq!(reply.value, number(7), "nothing is counted twice"),
        other => panic!("{other:?}"),
    }

    let element = bytes::Bytes::from_static(b"member");
    let changes = vec![ElementWrite { element: element.clone(), change: ElementChange::Add }];
    let collection = |command| Command::Collection { kind: CollectionKind::Set, command };
    bus.miss(&owners, "set", collection(CollectionCommand::Write { changes }));
    let page = collection(CollectionCommand::Page { after: None, count: 10 });
    let id = bus.send(owners[0], "set", page, all_owners());
    bus.run(Duration::from_millis(400));
    assert!(matches!(bus.replies.remove(&id), Some(Response::Page(_))));
    assert_eq!(bus.hash(owners[0], "set"), bus.hash(owners[2], "set"));
}

#[test]
fn owners_that_have_settled_differently_far_are_left_to_the_exchange() {
    let mut bus = Bus::with(3, only_reads());
    let (owners, _) = bus.list(KEY);
    bus.miss(&owners, KEY, Command::Increment { by: 5 });
    let partition = bus.ring.partition_of(&Key::new(KEY.to_owned()).unwrap());
    bus.nodes.get_mut(&owners[0]).unwrap().shard.turn.change_memory(partition, |memory| {
        (memory.sealed, memory.frozen, memory.compacted) = (Tick(1), Tick(1), Tick(1));
    });
    bus.read(owners[0], KEY, all_owners());
    assert_eq!(bus.repairs(owners[0]), ReadRepairStatus { left_out: 3, ..Default::default() });
    assert!(bus.stored(owners[2], KEY).is_none());
}

#[test]
fn no_more_is_sent_within_a_second_than_allowed_and_nothing_when_it_is_switched_off() {
    for (per_second, read_repair) in [(1, true), (64, false)] {
        let config = ShardConfig { read_repair, read_repairs_per_second: per_second, ..only_reads() };
        let mut bus = Bus::with(3, config);
        let (owners, _) = bus.list(KEY);
        let partition_of = |bus: &Bus, key: &str| bus.ring.partition_of(&Key::new(key.to_owned()).unwrap());
        let other = (0..).map(|number| format!("k{number}"));
        let other = other.into_iter().find(|key| partition_of(&bus, key) == partition_of(&bus, KEY)).unwrap();
        bus.miss(&owners, KEY, Command::Increment { by: 5 });
        bus.miss(&owners, &other, Command::Increment { by: 5 });
        for key in [KEY, &other] {
            bus.read(owners[0], key, all_owners());
        }
        let expected = match read_repair {
            true => ReadRepairStatus { missing: 1, left_out: 1, ..Default::default() },
            false => ReadRepairStatus::default(),
        };
        assert_eq!(bus.repairs(owners[0]), expected);
        bus.run(Duration::from_secs(1));
        bus.read(owners[0], &other, all_owners());
        assert_eq!(bus.stored(owners[2], &other).is_some(), read_repair, "in the next second there is room");
    }
}

#[test]
fn an_owner_that_does_not_take_a_row_is_not_sent_it_with_every_read() {
    let mut bus = Bus::with(3, only_reads());
    let (owners, _) = bus.list(KEY);
    bus.miss(&owners, KEY, Command::Increment { by: 5 });
    bus.nodes.get_mut(&owners[2]).unwrap().shard.handle(bus.now, Input::DiskReserve { is_below: true });
    for _ in 0..5 {
        bus.read(owners[0], KEY, all_owners());
    }
    let ReadRepairStatus { missing, not_taken, taken, left_out, .. } = bus.repairs(owners[0]);
    assert_eq!((missing, not_taken, taken, left_out), (1, 4, 0, 0));
    bus.nodes.get_mut(&owners[2]).unwrap().shard.handle(bus.now, Input::DiskReserve { is_below: false });
    bus.run(Duration::from_secs(4));
    bus.read(owners[0], KEY, all_owners());
    assert_eq!((bus.repairs(owners[0]).missing, bus.repairs(owners[2]).taken), (2, 1), "some seconds later it is");
}

#[test]
fn repairs_are_bounded_in_bytes_and_a_row_that_is_too_large_is_left_to_the_exchange() {
    let mut bus = Bus::with(3, ShardConfig { read_repair_bytes_per_second: 1_000, ..only_reads() });
    let partition_of = |bus: &Bus, key: &str| bus.ring.partition_of(&Key::new(key.to_owned()).unwrap());
    let same =
        (0..).map(|number| format!("k{number}")).filter(|key| partition_of(&bus, key) == partition_of(&bus, KEY));
    let keys: Vec<String> = same.take(3).collect();
    let (owners, _) = bus.list(KEY);
    let put = |bytes: usize| Command::Put { value: vec![7; bytes].into() };
    bus.miss(&owners, &keys[0], put(10_000));
    bus.miss(&owners, &keys[1], put(100));
    bus.miss(&owners, &keys[2], put(limits::PAGE_BYTES_MAX));
    // A peer that was lost three times is believed late.
    bus.run(Duration::from_secs(6));
    for key in &keys {
        let reply = bus.read(owners[0], key, all_owners());
        assert!(matches!(&reply, Response::Value(_)), "{key}: {:.300}", format!("{reply:?}"));
    }
    let ReadRepairStatus { missing, left_out, .. } = bus.repairs(owners[0]);
    assert_eq!((missing, left_out), (1, 2), "the first has used up what may be sent for ten seconds");
    bus.run(Duration::from_secs(11));
    for key in &keys[1..] {
        bus.read(owners[0], key, all_owners());
        bus.run(Duration::from_secs(1));
    }
    assert!(bus.stored(owners[2], &keys[1]).is_some() && bus.stored(owners[2], &keys[2]).is_none());
    assert_eq!(bus.repairs(owners[0]).left_out, 3);
}

/// A fallback has nothing of the key, and says so to a reader. Whether it has nothing of it afterwards: a row there without a
/// mark would be owed to nobody, and stay for ever.
fn has_the_fallback_nothing() -> bool {
    let mut bus = Bus::with(5, only_reads());
    let (owners, fallbacks) = bus.list(KEY);
    written(&bus.increment(owners[0], KEY, 5));
    bus.cut.insert(owners[2]);
    bus.run(Duration::from_secs(3));
    let reply = bus.read(owners[0], KEY, all_owners());
    assert!(matches!(&reply, Response::Value(reply) if reply.answered.contains(&fallbacks[0])), "{reply:?}");
    fallbacks.iter().all(|node| bus.stored(*node, KEY).is_none())
}

#[test]
fn a_fallback_is_sent_nothing_whatever_it_lacks() {
    assert!(has_the_fallback_nothing());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_fallback_keeps_what_it_owes_nobody() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::RepairToFallback));
    let is_well = has_the_fallback_nothing();
    switch_off(None);
    assert!(!is_well);
}
