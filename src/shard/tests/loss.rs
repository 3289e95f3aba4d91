//! Directories that are replaced by earlier copies of themselves: what is proved by it, and what becomes of the data.

use super::stability::{SETTLED, config};
use super::*;
use crate::causality::Tick;
use crate::ids::CollectionKind;
use crate::message::client::{CollectionCommand, ElementChange, ElementWrite};
use crate::storage::RowKind;

impl Bus {
    /// A copy of a node's directory as it is now.
    fn copied(&self, at: NodeId) -> Arc<MemoryStore> {
        Arc::new(self.nodes[&at].store.copy(at.0))
    }

    /// The node's directory is replaced by a copy, and the node starts on it.
    fn replace(&mut self, at: NodeId, copy: &Arc<MemoryStore>) {
        self.start(at, copy.clone());
    }

    fn observed(&self, at: NodeId, is_it: impl Fn(&Observation) -> bool) -> usize {
        self.nodes[&at].observations.iter().filter(|fact| is_it(fact)).count()
    }

    fn losses(&self, at: NodeId) -> usize {
        self.observed(at, |fact| matches!(fact, Observation::MemoryLost { .. }))
    }

    fn change_set(&mut self, at: NodeId, key: &str, element: &'static str, change: ElementChange) {
        let changes = vec![ElementWrite { element: element.into(), change }];
        let command = CollectionCommand::Write { changes };
        written(&self.ask(at, key, Command::Collection { kind: CollectionKind::Set, command }));
    }
}

const TEXT: &str = "text";
const SET: &str = "set";
const COUNT: &str = "count";

/// Everything is written, copied at node 3, deleted and forgotten; then node 3 starts on the copy. Before it has heard
/// anybody it takes an increment alone.
fn risen() -> Bus {
    let mut bus = Bus::with(3, config());
    let put = Command::Put { value: "old".into() };
    written(&bus.ask(NodeId(1), TEXT, put));
    bus.change_set(NodeId(1), SET, "old", ElementChange::Add);
    written(&bus.increment(NodeId(2), COUNT, 5));
    bus.run(SETTLED);
    let copy = bus.copied(NodeId(3));
    for key in [TEXT, SET, COUNT] {
        written(&bus.ask(NodeId(1), key, Command::Delete));
    }
    bus.run(2 * SETTLED);
    for node in 1..=3 {
        // But for the set itself, which had a member once.
        let rest = bus
            .row_keys(NodeId(node))
            .into_iter()
            .filter(|row| row.kind() != RowKind::Main || row.key().to_string() != SET);
        assert_eq!(rest.count(), 0, "node {node} has forgotten");
    }
    bus.cut = BTreeSet::from([NodeId(3)]);
    bus.replace(NodeId(3), &copy);
    bus.run(Duration::from_millis(200));
    let alone = Options { w: Some(1), ..Options::default() };
    let id = bus.send(NodeId(3), COUNT, Command::Increment { by: 7 }, alone);
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&id]);
    bus.cut.clear();
    bus.run(SETTLED);
    bus
}

fn stays_deleted(bus: &mut Bus) -> bool {
    (1..=3).all(|node| {
        let at = NodeId(node);
        bus.value(at, TEXT) == Visible::Nothing
            && bus.value(at, SET) == Visible::Nothing
            && bus.value(at, COUNT) == number(7)
            && bus.stored(at, COUNT).is_some_and(|stored| stored.row.counter_sum_text(&Beside::NONE) == "7")
    })
}

#[test]
fn an_old_copy_of_an_owner_brings_back_nothing_that_was_forgotten_and_keeps_what_it_took_since() {
    let mut bus = risen();
    assert!(stays_deleted(&mut bus));
    assert!(bus.losses(NodeId(3)) > 0, "and says so");
    assert!(bus.observed(NodeId(3), |fact| matches!(fact, Observation::GivenUp { .. })) > 0);
    assert_eq!(bus.losses(NodeId(1)) + bus.losses(NodeId(2)), 0);
    assert!(bus.status(NodeId(3)).amnesia_alarms > 0);
    assert_eq!(bus.status(NodeId(3)).newborn_partitions, 0);
    bus.run(2 * SETTLED);
    assert!((1..=3).all(|node| bus.stored(NodeId(node), TEXT).is_none()));
    assert_eq!(bus.status(NodeId(1)).settling_partitions, 0, "and settling goes on");
}

#[test]
fn a_copy_that_is_still_in_step_goes_on() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), COUNT, 5));
    bus.run(SETTLED);
    let copy = bus.copied(NodeId(3));
    written(&bus.increment(NodeId(1), COUNT, 1));
    written(&bus.increment(NodeId(3), COUNT, 1));
    bus.replace(NodeId(3), &copy);
    bus.run(2 * SETTLED);
    assert_eq!((bus.losses(NodeId(3)), bus.status(NodeId(3)).amnesia_alarms), (0, 0));
    for node in 1..=3 {
        assert_eq!(bus.value(NodeId(node), COUNT), number(7));
    }
}

#[test]
fn when_every_owner_is_replaced_by_a_copy_of_another_age_what_is_young_survives_wherever_it_is() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), COUNT, 5));
    let mut copies = vec![(NodeId(1), bus.copied(NodeId(1)))];
    bus.run(SETTLED);
    copies.push((NodeId(2), bus.copied(NodeId(2))));
    written(&bus.increment(NodeId(2), COUNT, 10));
    bus.run(SETTLED);
    written(&bus.increment(NodeId(3), COUNT, 100));
    copies.push((NodeId(3), bus.copied(NodeId(3))));
    bus.run(SETTLED);
    for (node, copy) in &copies {
        bus.replace(*node, copy);
    }
    let newborn = |bus: &Bus, node: u64| bus.status(NodeId(node)).newborn_partitions;
    bus.run(Duration::from_secs(10));
    for node in 1..=3 {
        assert_eq!(bus.value(NodeId(node), COUNT), number(115));
        assert_eq!(newborn(&bus, node), 0);
    }
    assert_eq!(bus.losses(NodeId(3)), 0, "who is furthest teaches");
}

/// A fallback takes a hint, delivers it, and seals its tick. All of it is deleted and forgotten; then the fallback starts
/// on a copy from before the delivery.
fn hint_risen() -> (Bus, NodeId) {
    let mut bus = Bus::with(5, config());
    let (owners, fallbacks) = bus.list(TEXT);
    let fallback = fallbacks[0];
    bus.cut = owners.iter().chain(&fallbacks[1..]).copied().collect();
    bus.run(Duration::from_secs(2));
    let alone = Options { w: Some(1), ..Options::default() };
    let id = bus.send(fallback, TEXT, Command::Put { value: "old".into() }, alone);
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&id]);
    let copy = bus.copied(fallback);
    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    assert_eq!(bus.value(owners[0], TEXT), Visible::Text("old".into()));
    written(&bus.ask(owners[0], TEXT, Command::Delete));
    bus.run(3 * SETTLED);
    assert!(bus.nodes.keys().all(|node| bus.stored(*node, TEXT).is_none()), "it is forgotten");
    bus.replace(fallback, &copy);
    (bus, fallback)
}

#[test]
fn an_old_hint_of_what_was_forgotten_is_dropped_and_said_to_be_lost() {
    let (mut bus, fallback) = hint_risen();
    assert!(bus.stored(fallback, TEXT).is_some());
    bus.run(2 * SETTLED);
    assert!(bus.losses(fallback) > 0);
    assert!(bus.observed(fallback, |fact| matches!(fact, Observation::HintLost { .. })) > 0);
    assert_eq!((bus.stored(fallback, TEXT), bus.debts()), (None, 0));
    let (owners, _) = bus.list(TEXT);
    assert_eq!(bus.value(owners[0], TEXT), Visible::Nothing);
    // It seals again, so that the partition settles.
    written(&bus.increment(owners[0], TEXT, 3));
    bus.run(2 * SETTLED);
    assert_eq!(bus.actors(owners[0], TEXT), 0);
    assert_eq!(bus.value(owners[1], TEXT), number(3));
}

#[test]
fn marks_that_no_directory_can_have_prove_nothing() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), COUNT, 5));
    bus.run(SETTLED);
    let (partition, now) = (bus.partition(COUNT), bus.now);
    let ever = Tick(u32::MAX);
    let of = |[sealed, frozen, compacted, folded]: [Tick; 4]| crate::message::peer::Marks {
        incarnation: Default::default(),
        sealed,
        frozen,
        compacted,
        folded,
    };
    let shard = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
    let memory = shard.turn.memory(partition);
    let next = Tick(memory.sealed.0 + 1);
    for marks in [of([ever; 4]), of([memory.sealed, memory.sealed, next, next]), of([next, next, ever, ever])] {
        shard.on_marks(now, partition, NodeId(2), marks);
        assert_eq!(shard.turn.memory(partition), memory, "{marks:?}");
    }
}

/// A fallback says that it has sealed, is wiped, learns anew what is sealed, and takes a hint of the tick that its earlier
/// directory had sealed; then the word of that arrives at an owner that had just started. Whether the hint counts.
fn does_a_hint_after_a_late_word_count() -> bool {
    let mut bus = Bus::with(5, config());
    let (owners, fallbacks) = bus.list(TEXT);
    let fallback = fallbacks[0];
    let partition = bus.partition(TEXT);
    let session = bus.session(1);
    // Something to settle, once the session's tick is over.
    written(&bus.increment_as(owners[0], TEXT, session, 1, 1));
    bus.restart(owners[0]);
    bus.run(Duration::from_millis(100));
    let round = {
        let Node { shard, .. } = bus.nodes.get_mut(&owners[0]).unwrap();
        let Shard { site, turn, stability, .. } = shard;
        stability.ask_again(&site.env(bus.now), turn, partition, fallback);
        stability.round_of(partition)
    };
    // The earlier directory's word, which is delayed.
    let late = {
        let Node { shard, .. } = &bus.nodes[&fallback];
        let state = crate::message::peer::StabilityState {
            standing: crate::message::peer::StabilityStanding::Fallback,
            lifetimes: crate::message::peer::Lifetimes {
                tick_us: crate::time::micros(bus.config.tick),
                lease_ticks: bus.config.actor_lease_ticks,
            },
            marks: crate::message::peer::Marks {
                incarnation: shard.site.identity.incarnation,
                sealed: session.expires,
                ..Default::default()
            },
            tags: Vec::new(),
            report: None,
            baseline_report: None,
        };
        let epoch = bus.nodes[&owners[0]].shard.site.identity.epoch;
        let answer = crate::message::peer::StabilityAnswer { round, epoch, state };
        let message = PeerMessage::StabilityAnswer(Box::new(answer));
        Frame {
            layout: bus.ring.epoch(),
            epoch: shard.site.identity.epoch,
            clock: Default::default(),
            messages: vec![Addressed { partition, layout: 1, message }],
        }
    };
    bus.wipe(fallback);
    // Its own question is the first that the owner hears of it.
    bus.frames.clear();
    while bus.frames.is_empty() {
        bus.now.mono = bus.now.mono.after(Duration::from_millis(20));
        bus.turn(fallback);
        bus.frames.retain(|(from, to, _)| (*from, *to) == (fallback, owners[0]));
    }
    while let Some((from, to, frame)) = bus.frames.pop_front() {
        bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
    }
    let owner = bus.nodes.get_mut(&owners[0]).unwrap();
    owner.shard.handle(bus.now, Input::Peer { from: fallback, frame: late });
    !owner.shard.stability.has_said(partition, fallback)
}

#[test]
fn the_late_word_of_an_earlier_start_does_not_count() {
    assert!(does_a_hint_after_a_late_word_count());
}

/// An owner that has lost the memory of its seals is alone, and is sent once more what a session did long ago. Whether it
/// refuses.
fn does_a_lost_seal_still_hold() -> bool {
    let mut bus = Bus::with(3, config());
    let session = bus.session(1);
    let copy = bus.copied(NodeId(3));
    written(&bus.increment_as(NodeId(1), COUNT, session, 1, 7));
    bus.run(SETTLED);
    bus.cut = BTreeSet::from([NodeId(3)]);
    bus.replace(NodeId(3), &copy);
    bus.run(Duration::from_millis(200));
    let write = crate::message::client::SessionWrite { actor: session, event: 2, p: 9, n: 0 };
    let alone = Options { w: Some(1), ..Options::default() };
    let id = bus.send(NodeId(3), COUNT, Command::IncrementAs(write), alone);
    bus.run(Duration::from_secs(1));
    match &bus.replies[&id] {
        Response::Failed(error) => error.reason == Reason::SessionExpired,
        _ => false,
    }
}

#[test]
fn a_session_that_is_over_is_refused_also_by_who_has_forgotten_that_it_sealed() {
    assert!(does_a_lost_seal_still_hold());
}

/// What an owner sent before a delete, as a debt, a push or an answer, arrives when the delete is forgotten. Whether nothing
/// comes back.
fn does_what_was_sent_before_the_fold_stay_away() -> bool {
    let mut bus = Bus::with(3, config());
    let (node, peer) = (NodeId(1), NodeId(2));
    written(&bus.ask(node, TEXT, Command::Put { value: "old".into() }));
    bus.change_set(node, SET, "old", ElementChange::Add);
    bus.run(SETTLED);
    let marks = |bus: &Bus, key: &str| {
        let shard = &bus.nodes[&peer].shard;
        crate::replica::marks::marks(&shard.site.env(bus.now), &shard.turn, bus.partition(key))
    };
    let member = RowKey::main(&Key::new(SET).unwrap()).element(CollectionKind::Set, b"old");
    let sent: Vec<_> = [(TEXT, RowKey::main(&Key::new(TEXT).unwrap())), (SET, member)]
        .into_iter()
        .map(|(key, row)| {
            let bytes = bus.nodes[&peer].store.fetch(Space::Rows, row.as_bytes()).unwrap().expect("a row");
            let state = StoredRow::decode(&bytes).unwrap().row.encode();
            (key, row, state, marks(&bus, key))
        })
        .collect();
    for key in [TEXT, SET] {
        written(&bus.ask(node, key, Command::Delete));
    }
    bus.run(2 * SETTLED);
    for (key, row, state, marks) in sent {
        let (op, version) = (OpId(900), crate::ids::RowVersion(1));
        assert!(bus.nodes[&node].shard.turn.memory(bus.partition(key)).folded > marks.folded);
        let rows = vec![(row.clone(), state.clone())];
        bus.hear(
            node,
            peer,
            key,
            PeerMessage::ExchangePush(crate::message::peer::ExchangePush { op, step: 1, rows, marks }),
        );
        let rows = vec![OwedRow { row, version, state }];
        let marks = Some(marks);
        bus.hear(node, peer, key, PeerMessage::Deliver(crate::message::peer::Deliver { op, rows, marks }));
    }
    bus.run(Duration::from_secs(8));
    (1..=3).all(|at| [TEXT, SET].iter().all(|key| bus.value(NodeId(at), key) == Visible::Nothing))
}

#[test]
fn what_was_sent_before_a_delete_was_forgotten_brings_nothing_back() {
    assert!(does_what_was_sent_before_the_fold_stay_away());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_each_of_them_goes_wrong() {
    use crate::mutation::Mutation;
    let rises = || stays_deleted(&mut risen());
    let stories: [(Mutation, fn() -> bool); 5] = [
        (Mutation::LossIgnored, rises),
        (Mutation::ForgottenKept, rises),
        (Mutation::StartsShareRounds, does_a_hint_after_a_late_word_count),
        (Mutation::ExpiredTaken, does_a_lost_seal_still_hold),
        (Mutation::OlderFoldVouched, does_what_was_sent_before_the_fold_stay_away),
    ];
    for (protection, story) in stories {
        assert!(goes_wrong_without(protection, story), "{protection:?}");
    }
}
