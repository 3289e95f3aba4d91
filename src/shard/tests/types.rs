//! What clients see of each type, through any node.

use bytes::Bytes;

use super::*;
use crate::causality::{ActorId, Epoch, Tenure, Tick};
use crate::ids::CollectionKind;
use crate::message::client::{CollectionCommand, ElementChange, ElementWrite, SessionWrite};

const TICK: Duration = Duration::from_secs(10);

pub(super) fn session(bus: &Bus, lease_ticks: u32, epoch: u64) -> ActorId {
    let expires = Tick(Tick::at(bus.now.wall, TICK).0 + lease_ticks);
    ActorId { expires, epoch: Epoch(epoch), tenure: Tenure::SESSION }
}

pub(super) fn step(actor: ActorId, event: u64, p: u128) -> Command {
    Command::IncrementAs(SessionWrite { actor, event, p, n: 0 })
}

pub(super) fn observe(bus: &mut Bus, at: NodeId, key: &str, command: Command) -> (Visible, Bytes) {
    match bus.ask(at, key, command) {
        Response::Observed(reply) => (reply.value, reply.context),
        other => panic!("{other:?}"),
    }
}

pub(super) fn change(kind: CollectionKind, changes: &[(&str, ElementChange)]) -> Command {
    let write = |(element, change): &(&str, ElementChange)| ElementWrite {
        element: Bytes::from(element.to_string()),
        change: change.clone(),
    };
    Command::Collection { kind, command: CollectionCommand::Write { changes: changes.iter().map(write).collect() } }
}

pub(super) fn list(bus: &mut Bus, at: NodeId, key: &str, kind: CollectionKind, count: u16) -> Vec<(String, Visible)> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let command = Command::Collection { kind, command: CollectionCommand::Page { after, count } };
        match bus.ask(at, key, command) {
            Response::Page(page) => {
                let text = |element: &Bytes| String::from_utf8(element.to_vec()).unwrap();
                all.extend(page.elements.iter().map(|(element, value)| (text(element), value.clone())));
                if page.next.is_none() {
                    return all;
                }
                after = page.next;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_sessions_increment_counts_once_however_often_and_through_whomever_it_is_sent() {
    let mut bus = Bus::new(5);
    let actor = session(&bus, 6, 77);
    for node in 1..=5 {
        assert_eq!(written(&bus.ask(NodeId(node), "likes", step(actor, 1, 4))).value, number(4));
    }
    assert_eq!(written(&bus.ask(NodeId(2), "likes", step(actor, 2, 9))).value, number(9));
    assert_eq!(written(&bus.ask(NodeId(3), "likes", step(actor, 1, 4))).value, number(9), "an old copy comes late");
    bus.increment(NodeId(4), "likes", 1);
    for node in 1..=5 {
        assert_eq!(bus.value(NodeId(node), "likes"), number(10));
    }
    assert_eq!(bus.debts(), 0);
}

#[test]
fn a_session_that_contradicts_itself_is_refused() {
    let mut bus = Bus::new(3);
    let actor = session(&bus, 6, 1);
    bus.ask(NodeId(1), "k", step(actor, 2, 5));
    assert_eq!(refused(bus.ask(NodeId(2), "k", step(actor, 2, 6))), Reason::SessionReused { event: 2 });
    assert_eq!(refused(bus.ask(NodeId(2), "k", step(actor, 3, 4))), Reason::SessionReused { event: 3 });
    let far = session(&bus, 1_000_000, 2);
    assert!(matches!(refused(bus.ask(NodeId(1), "k", step(far, 1, 1))), Reason::LeaseTooLong { .. }));
    let node = ActorId { tenure: Tenure(3), ..actor };
    assert!(matches!(refused(bus.ask(NodeId(1), "k", step(node, 1, 1))), Reason::Malformed(_)));
    assert_eq!(refused(bus.ask(NodeId(1), "k", step(session(&bus, 5, 9), 1, u128::MAX))), Reason::Overflow);
    assert_eq!(bus.value(NodeId(3), "k"), number(5));
}

#[test]
fn two_replicas_with_different_sessions_show_the_merge() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    let (first, second) = (session(&bus, 6, 1), session(&bus, 6, 2));
    bus.cut.insert(owners[0]);
    bus.run(Duration::from_secs(2));
    written(&bus.ask(owners[1], "k", step(first, 1, 10)));
    bus.cut.clear();
    // The reconnected owner is asked before anybody has told it.
    let id = bus.send(owners[0], "k", step(second, 1, 1), Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_millis(200));
    assert!(matches!(bus.replies[&id], Response::Written(_)));
    assert_eq!(bus.value(owners[2], "k"), number(11));
    bus.run(Duration::from_secs(3));
    for owner in owners {
        let row = bus.stored(owner, "k").unwrap();
        assert_eq!(row.row.visible(&row.header.beside, WallTime(0)), number(11));
    }
}

#[test]
fn a_reset_in_two_steps_covers_what_it_saw_and_can_be_sent_again() {
    let mut bus = Bus::new(5);
    let actor = session(&bus, 6, 5);
    bus.increment(NodeId(1), "k", 3);
    bus.ask(NodeId(2), "k", step(actor, 1, 4));
    let (value, context) = observe(&mut bus, NodeId(3), "k", Command::Observe);
    assert_eq!(value, number(7));
    bus.ask(NodeId(2), "k", step(actor, 2, 6));
    bus.increment(NodeId(5), "k", 1);
    for node in [1, 4, 4] {
        let reply = bus.ask(NodeId(node), "k", Command::Overwrite { context: context.clone(), to: None });
        assert_eq!(written(&reply).value, number(3), "what the context had not seen survives, once");
    }
    let (_, context) = observe(&mut bus, NodeId(1), "k", Command::Observe);
    for node in [2, 3] {
        bus.ask(NodeId(node), "k", Command::Overwrite { context: context.clone(), to: Some(100) });
    }
    bus.increment(NodeId(1), "k", 1);
    assert_eq!(bus.value(NodeId(5), "k"), number(101));
    let mut forged = context.to_vec();
    forged[30] ^= 1;
    let reply = bus.ask(NodeId(1), "k", Command::Overwrite { context: forged.into(), to: None });
    assert!(matches!(refused(reply), Reason::ForeignToken { .. }));
    let reply = bus.ask(NodeId(1), "another", Command::Overwrite { context, to: None });
    assert!(matches!(refused(reply), Reason::ForeignToken { .. }));
}

#[test]
fn a_put_covers_what_sessions_did() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "k", step(session(&bus, 6, 5), 1, 4));
    bus.ask(NodeId(2), "k", Command::Put { value: "10".into() });
    assert_eq!(bus.value(NodeId(3), "k"), number(10));
    bus.ask(NodeId(2), "k", Command::Delete);
    assert_eq!(bus.value(NodeId(3), "k"), Visible::Nothing);
}

#[test]
fn siblings_stay_until_a_put_that_has_seen_them() {
    let mut bus = Bus::new(5);
    let put = |value: &str, context| Command::PutSibling { value: Bytes::from(value.to_owned()), context };
    bus.ask(NodeId(1), "cart", put("milk", None));
    bus.ask(NodeId(2), "cart", put("bread", None));
    let (value, context) = observe(&mut bus, NodeId(3), "cart", Command::Siblings);
    assert!(matches!(&value, Visible::Siblings(values) if values.len() == 2), "{value:?}");
    bus.ask(NodeId(4), "cart", put("eggs", None));
    bus.ask(NodeId(5), "cart", put("milk and bread", Some(context)));
    let (value, _) = observe(&mut bus, NodeId(1), "cart", Command::Siblings);
    let Visible::Siblings(mut values) = value else { panic!("{value:?}") };
    values.sort();
    assert_eq!(values, [Bytes::from("eggs"), Bytes::from("milk and bread")]);
    assert!(matches!(refused(bus.increment(NodeId(1), "cart", 1)), Reason::WrongType { .. }));
    bus.ask(NodeId(2), "cart", Command::Delete);
    assert_eq!(bus.value(NodeId(3), "cart"), Visible::Nothing);
    written(&bus.increment(NodeId(1), "cart", 1));
}

#[test]
fn a_flag_is_raised_and_lowered_and_a_sketch_counts() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "on", Command::SetFlag { on: true });
    assert_eq!(bus.value(NodeId(2), "on"), Visible::Flag);
    bus.ask(NodeId(3), "on", Command::SetFlag { on: false });
    assert_eq!(bus.value(NodeId(1), "on"), Visible::Nothing);
    for node in 1..=3 {
        let items = (0..50).map(|item| Bytes::from(format!("visitor {}", node * 25 + item))).collect();
        bus.ask(NodeId(node), "visitors", Command::AddToSketch { items });
    }
    let Visible::Estimate(count) = bus.value(NodeId(2), "visitors") else { panic!() };
    assert!((97..=103).contains(&count), "100 distinct visitors, estimated as {count}");
}

#[test]
fn a_set_holds_what_was_added_and_not_removed_and_is_read_in_pages() {
    let mut bus = Bus::new(5);
    for first in 0..4 {
        let names: Vec<String> = (0..10).map(|n| format!("m{:02}", first * 10 + n)).collect();
        let changes: Vec<(&str, ElementChange)> =
            names.iter().map(|name| (name.as_str(), ElementChange::Add)).collect();
        written(&bus.ask(NodeId(first + 1), "s", change(CollectionKind::Set, &changes)));
    }
    bus.ask(
        NodeId(5),
        "s",
        change(CollectionKind::Set, &[("m07", ElementChange::Remove), ("new", ElementChange::Add)]),
    );
    let members = list(&mut bus, NodeId(2), "s", CollectionKind::Set, 7);
    assert_eq!(members.len(), 40);
    assert!(members.is_sorted_by(|a, b| a.0 < b.0) && !members.iter().any(|(name, _)| name == "m07"));
    assert_eq!(bus.value(NodeId(3), "s"), Visible::Collection { kind: CollectionKind::Set, size: 40 });
    let elements = vec![Bytes::from("m07"), Bytes::from("m08"), Bytes::from("nobody")];
    let read = Command::Collection { kind: CollectionKind::Set, command: CollectionCommand::Read { elements } };
    match bus.ask(NodeId(1), "s", read) {
        Response::Page(page) => assert_eq!(page.elements, [(Bytes::from("m08"), Visible::Member)]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(refused(bus.ask(NodeId(1), "s", Command::Siblings)), Reason::WrongType { .. }));
    let twice = change(CollectionKind::Set, &[("a", ElementChange::Add), ("a", ElementChange::Add)]);
    assert!(matches!(refused(bus.ask(NodeId(1), "s", twice)), Reason::Malformed(_)));
}

#[test]
fn fields_of_a_map_are_registers_and_counters() {
    let mut bus = Bus::new(3);
    let map = |changes: &[(&str, ElementChange)]| change(CollectionKind::Map, changes);
    bus.ask(
        NodeId(1),
        "m",
        map(&[("name", ElementChange::Put("ada".into())), ("visits", ElementChange::Increment(2))]),
    );
    bus.ask(NodeId(2), "m", map(&[("visits", ElementChange::Increment(3)), ("age", ElementChange::Put("36".into()))]));
    bus.ask(NodeId(3), "m", map(&[("age", ElementChange::Increment(1))]));
    assert_eq!(refused(bus.ask(NodeId(3), "m", map(&[("name", ElementChange::Increment(1))]))), Reason::NotANumber);
    let expected =
        [("age", number(37)), ("name", Visible::Text("ada".into())), ("visits", number(5))].map(|(n, v)| (n.into(), v));
    assert_eq!(list(&mut bus, NodeId(2), "m", CollectionKind::Map, 10), expected);
    bus.ask(NodeId(1), "m", map(&[("name", ElementChange::Remove)]));
    assert_eq!(list(&mut bus, NodeId(3), "m", CollectionKind::Map, 10).len(), 2);
}

#[test]
fn scores_are_set_added_to_and_must_be_finite() {
    let mut bus = Bus::new(3);
    let sorted = |changes: &[(&str, ElementChange)]| change(CollectionKind::SortedSet, changes);
    let bits = f64::to_bits;
    bus.ask(
        NodeId(1),
        "z",
        sorted(&[("ann", ElementChange::Score(bits(1.5))), ("bob", ElementChange::Score(bits(2.0)))]),
    );
    bus.ask(NodeId(2), "z", sorted(&[("ann", ElementChange::AddToScore(bits(2.25)))]));
    let scores: Vec<(String, f64)> = list(&mut bus, NodeId(3), "z", CollectionKind::SortedSet, 10)
        .into_iter()
        .map(|(name, value)| match value {
            Visible::Score(score) => (name, score.value()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(scores, [("ann".to_owned(), 3.75), ("bob".to_owned(), 2.0)]);
    for bad in [f64::NAN, f64::INFINITY] {
        assert_eq!(
            refused(bus.ask(NodeId(1), "z", sorted(&[("ann", ElementChange::Score(bits(bad)))]))),
            Reason::NotFinite
        );
    }
    bus.ask(NodeId(1), "z", sorted(&[("bob", ElementChange::Remove)]));
    assert_eq!(list(&mut bus, NodeId(2), "z", CollectionKind::SortedSet, 10).len(), 1);
}

#[test]
fn a_delete_takes_away_every_element_of_a_large_set() {
    let mut bus = Bus::new(3);
    for first in 0..3 {
        let names: Vec<String> = (0..400).map(|n| format!("member {}", first * 400 + n)).collect();
        let changes: Vec<(&str, ElementChange)> =
            names.iter().map(|name| (name.as_str(), ElementChange::Add)).collect();
        written(&bus.ask(NodeId(first + 1), "s", change(CollectionKind::Set, &changes)));
    }
    written(&bus.ask(NodeId(2), "s", Command::Delete));
    assert_eq!(bus.value(NodeId(3), "s"), Visible::Nothing);
    assert!(list(&mut bus, NodeId(1), "s", CollectionKind::Set, 100).is_empty());
    written(&bus.ask(NodeId(2), "s", change(CollectionKind::Set, &[("again", ElementChange::Add)])));
    assert_eq!(list(&mut bus, NodeId(1), "s", CollectionKind::Set, 100).len(), 1);
}

#[test]
fn an_expired_key_is_hidden_swept_and_begins_anew_at_the_next_write() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "k", step(session(&bus, 6, 5), 1, 4));
    let deadline = WallTime(bus.now.wall.0 + 2_000_000);
    bus.ask(NodeId(2), "k", Command::Expire { deadline: Some(deadline) });
    assert_eq!(bus.value(NodeId(3), "k"), number(4));
    bus.run(Duration::from_secs(2));
    assert_eq!(bus.value(NodeId(3), "k"), Visible::Nothing);
    assert_eq!(written(&bus.increment(NodeId(2), "k", 1)).value, number(1));
    assert_eq!(bus.value(NodeId(3), "k"), number(1), "the deadline went with what it was set on");
    let deadline = WallTime(bus.now.wall.0 + 1_000_000);
    bus.ask(NodeId(2), "k", Command::Expire { deadline: Some(deadline) });
    bus.run(Duration::from_secs(3));
    let (owners, _) = bus.list("k");
    for owner in owners {
        let stored = bus.stored(owner, "k").unwrap();
        assert!(!stored.row.has_anything(&stored.header.beside), "swept");
    }
    bus.ask(NodeId(2), "k", Command::Put { value: "x".into() });
    bus.ask(NodeId(2), "k", Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 1_000_000)) });
    bus.ask(NodeId(1), "k", Command::Expire { deadline: None });
    bus.run(Duration::from_secs(3));
    assert_eq!(bus.value(NodeId(3), "k"), Visible::Text("x".into()));
}

#[test]
fn a_write_to_an_expired_set_empties_it_first() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "s", change(CollectionKind::Set, &[("old", ElementChange::Add)]));
    bus.ask(NodeId(1), "s", Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 1_000_000)) });
    bus.run(Duration::from_secs(2));
    assert!(list(&mut bus, NodeId(2), "s", CollectionKind::Set, 10).is_empty());
    written(&bus.ask(NodeId(3), "s", change(CollectionKind::Set, &[("new", ElementChange::Add)])));
    assert_eq!(list(&mut bus, NodeId(2), "s", CollectionKind::Set, 10), [("new".to_owned(), Visible::Member)]);
}

#[test]
fn a_hint_of_sessions_and_elements_leaves_nothing_behind_when_it_was_delivered() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    let holder = fallbacks[0];
    bus.cut.insert(owners[0]);
    bus.run(Duration::from_secs(2));
    bus.increment(owners[1], "k", 1);
    bus.ask(owners[1], "k", step(session(&bus, 6, 1), 1, 10));
    bus.ask(owners[2], "k", step(session(&bus, 6, 2), 1, 100));
    let rows = |bus: &Bus| {
        let all = Range { start: Bytes::new(), end: None };
        let row = RowKey::main(&Key::new("k").unwrap());
        let page = bus.nodes[&holder].store.scan(Space::Rows, &all, EVERYTHING).unwrap();
        page.entries.into_iter().filter(|(key, _)| RowKey::parse(key.clone()).unwrap().main_row() == row).count()
    };
    assert_eq!(rows(&bus), 3, "the main row and two sessions are held for the owner that is away");
    bus.cut.clear();
    bus.run(Duration::from_secs(5));
    assert_eq!((rows(&bus), bus.debts()), (0, 0));
    let stored = bus.stored(owners[0], "k").unwrap();
    assert_eq!(stored.row.visible(&stored.header.beside, WallTime(0)), number(111));
}

#[test]
fn a_context_is_sent_back_to_an_owner_that_has_none_of_its_sessions_in_memory() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    bus.cut.insert(owners[0]);
    bus.run(Duration::from_secs(2));
    bus.ask(owners[1], "k", step(session(&bus, 6, 1), 1, 10));
    let (_, context) = observe(&mut bus, owners[1], "k", Command::Observe);
    bus.cut.clear();
    let alone = Options { w: Some(1), ..Options::default() };
    let id = bus.send(owners[0], "k", Command::Overwrite { context, to: None }, alone);
    bus.run(Duration::from_millis(400));
    assert!(matches!(bus.replies[&id], Response::Written(_)));
    bus.run(Duration::from_secs(3));
    assert_eq!(bus.value(owners[2], "k"), Visible::Nothing);
}

#[test]
fn what_has_expired_does_not_come_back_by_a_later_deadline_or_a_put() {
    let mut bus = Bus::new(3);
    let soon = |bus: &Bus| Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 500_000)) };
    bus.ask(NodeId(1), "on", Command::SetFlag { on: true });
    let command = soon(&bus);
    bus.ask(NodeId(1), "on", command);
    // Nobody sweeps while nobody can be asked.
    bus.cut.extend([NodeId(2), NodeId(3)]);
    bus.run(Duration::from_secs(1));
    bus.cut.clear();
    bus.run(Duration::from_millis(600));
    bus.ask(NodeId(2), "on", Command::Expire { deadline: None });
    assert_eq!(bus.value(NodeId(3), "on"), Visible::Nothing);
    bus.ask(NodeId(2), "on", Command::Put { value: "5".into() });
    assert_eq!(bus.value(NodeId(3), "on"), number(5));
    let (_, context) = observe(&mut bus, NodeId(1), "on", Command::Observe);
    bus.ask(NodeId(1), "on", Command::Overwrite { context, to: None });
    assert_eq!(bus.value(NodeId(3), "on"), Visible::Nothing, "the flag went with its deadline");
}

#[test]
fn a_put_by_a_fallback_that_does_not_know_the_deadline_stays() {
    let mut bus = Bus::new(5);
    let (owners, fallbacks) = bus.list("k");
    bus.ask(owners[0], "k", Command::Put { value: "old".into() });
    bus.ask(owners[0], "k", Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 500_000)) });
    bus.cut = owners.iter().copied().collect();
    bus.run(Duration::from_secs(2));
    written(&bus.ask(fallbacks[0], "k", Command::Put { value: "new".into() }));
    bus.cut.clear();
    bus.run(Duration::from_secs(5));
    for owner in owners {
        assert_eq!(bus.value(owner, "k"), Visible::Text("new".into()));
    }
}

#[test]
fn a_number_is_set_on_an_expired_key_in_two_steps() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "k", step(session(&bus, 6, 5), 1, 4));
    bus.ask(NodeId(2), "k", Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 500_000)) });
    bus.run(Duration::from_secs(2));
    let (value, context) = observe(&mut bus, NodeId(3), "k", Command::Observe);
    assert_eq!(value, Visible::Nothing);
    for node in [1, 2, 2] {
        written(&bus.ask(NodeId(node), "k", Command::Overwrite { context: context.clone(), to: Some(10) }));
        assert_eq!(bus.value(NodeId(3), "k"), number(10));
    }
}

#[test]
fn a_put_over_another_type_is_refused_and_siblings_are_bounded_in_bytes() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "on", Command::SetFlag { on: true });
    let reply = bus.ask(NodeId(2), "on", Command::Put { value: "x".into() });
    assert!(matches!(refused(reply), Reason::WrongType { .. }));
    let large = Bytes::from(vec![b'x'; crate::limits::VALUE_BYTES_MAX]);
    for _ in 0..4 {
        written(&bus.ask(NodeId(1), "s", Command::PutSibling { value: large.clone(), context: None }));
    }
    let reply = bus.ask(NodeId(1), "s", Command::PutSibling { value: large, context: None });
    let (bytes, bytes_max) = (5 * 1024 * 1024, 4 * 1024 * 1024);
    assert_eq!(refused(reply), Reason::SiblingsTooLarge { bytes, bytes_max });
    assert!(matches!(bus.value(NodeId(2), "s"), Visible::Siblings(values) if values.len() == 4));
    let actor = session(&bus, 6, 1);
    let wraps = Command::IncrementAs(SessionWrite { actor, event: 1, p: u128::MAX, n: u128::MAX });
    assert_eq!(refused(bus.ask(NodeId(1), "n", wraps)), Reason::Overflow);
}
