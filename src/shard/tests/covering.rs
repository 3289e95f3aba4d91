//! Writes that cover what stands: what they must have seen, what goes with it, and when they are refused.

use bytes::Bytes;

use super::types::{change, list, observe, session, step};
use super::*;
use crate::ids::CollectionKind;
use crate::message::client::{ElementChange, Observe, Outcome};

const SET: CollectionKind = CollectionKind::Set;

fn expire(bus: &mut Bus, key: &str, after: Duration) {
    let deadline = WallTime(bus.now.wall.0 + after.as_micros() as u64);
    written(&bus.ask(NodeId(2), key, Command::Expire { deadline: Some(deadline) }));
}

fn put(text: &'static str) -> Command {
    Command::Put { value: Bytes::from_static(text.as_bytes()) }
}

/// The elements of a set are removed before the key is, so that nothing is shown any more when the key's turn comes.
#[test]
fn a_delete_takes_the_deadline_with_it_although_nothing_is_shown_any_more() {
    let mut bus = Bus::new(5);
    written(&bus.ask(NodeId(1), "set", change(SET, &[("old", ElementChange::Add)])));
    written(&bus.ask(NodeId(1), "count", Command::Increment { by: 5 }));
    written(&bus.ask(NodeId(1), "flag", Command::SetFlag { on: true }));
    for key in ["set", "count", "flag"] {
        expire(&mut bus, key, Duration::from_secs(20));
    }
    let (_, context) = observe(&mut bus, NodeId(1), "count", Command::Observe);
    written(&bus.ask(NodeId(1), "count", Command::Overwrite { context, to: None }));
    written(&bus.ask(NodeId(1), "flag", Command::SetFlag { on: false }));
    for key in ["set", "count", "flag"] {
        written(&bus.ask(NodeId(3), key, Command::Delete));
    }
    written(&bus.ask(NodeId(4), "set", change(SET, &[("new", ElementChange::Add)])));
    written(&bus.ask(NodeId(4), "count", Command::Increment { by: 3 }));
    written(&bus.ask(NodeId(4), "flag", Command::SetFlag { on: true }));
    bus.run(Duration::from_secs(30));
    assert_eq!(list(&mut bus, NodeId(5), "set", SET, 10), [("new".to_owned(), Visible::Member)]);
    assert_eq!(bus.value(NodeId(5), "count"), number(3));
    assert_eq!(bus.value(NodeId(5), "flag"), Visible::Flag);
}

/// A key that has nothing left, and still a deadline: whatever is written then stays.
#[test]
fn what_is_written_to_a_key_that_was_emptied_before_its_deadline_outlives_it() {
    let mut bus = Bus::new(5);
    let add = |member: &str| change(SET, &[(member, ElementChange::Add)]);
    let remove = || change(SET, &[("old", ElementChange::Remove)]);
    let actor = session(&bus, 6, 1);
    let begun: [(&str, Command); 6] = [
        ("set", add("old")),
        ("flag", Command::SetFlag { on: true }),
        ("count", Command::Increment { by: 5 }),
        ("session", step(actor, 1, 5)),
        ("siblings", Command::SetFlag { on: true }),
        ("kept", add("old")),
    ];
    for (key, command) in begun {
        written(&bus.ask(NodeId(1), key, command));
        expire(&mut bus, key, Duration::from_secs(20));
    }
    for (key, command) in
        [("set", remove()), ("flag", Command::SetFlag { on: false }), ("siblings", Command::SetFlag { on: false })]
    {
        written(&bus.ask(NodeId(2), key, command));
    }
    for key in ["count", "session"] {
        let (_, context) = observe(&mut bus, NodeId(2), key, Command::Observe);
        written(&bus.ask(NodeId(2), key, Command::Overwrite { context, to: None }));
    }
    // It was taken away with the rest, and is sent again: nothing begins.
    written(&bus.ask(NodeId(3), "session", step(actor, 1, 5)));
    let deadline = |bus: &Bus, key: &str| {
        let (owners, _) = bus.list(key);
        owners.iter().filter_map(|owner| bus.stored(*owner, key)?.row.deadline()).count()
    };
    assert_eq!(deadline(&bus, "session"), 3);
    let anew: [(&str, Command); 6] = [
        ("set", add("new")),
        ("flag", Command::SetFlag { on: true }),
        ("count", Command::Increment { by: 3 }),
        ("session", step(actor, 2, 8)),
        ("siblings", Command::PutSibling { value: "new".into(), context: None }),
        ("kept", add("new")),
    ];
    for (key, command) in anew {
        written(&bus.ask(NodeId(4), key, command));
    }
    bus.run(Duration::from_secs(30));
    assert_eq!(list(&mut bus, NodeId(5), "set", SET, 10), [("new".to_owned(), Visible::Member)]);
    assert_eq!(bus.value(NodeId(5), "flag"), Visible::Flag);
    assert_eq!(bus.value(NodeId(5), "count"), number(3));
    assert_eq!(bus.value(NodeId(5), "session"), number(3));
    assert_eq!(bus.value(NodeId(5), "siblings"), Visible::Siblings(vec!["new".into()]));
    assert_eq!(bus.value(NodeId(5), "kept"), Visible::Nothing, "it was not empty when it was added to");
}

#[test]
fn a_number_that_is_set_stays_although_the_one_before_it_would_have_expired() {
    let mut bus = Bus::new(5);
    written(&bus.ask(NodeId(1), "k", Command::Increment { by: 5 }));
    expire(&mut bus, "k", Duration::from_secs(5));
    let (_, context) = observe(&mut bus, NodeId(1), "k", Command::Observe);
    written(&bus.ask(NodeId(2), "k", Command::Overwrite { context, to: Some(7) }));
    bus.run(Duration::from_secs(10));
    assert_eq!(bus.value(NodeId(3), "k"), number(7));
}

/// No split is needed for a node to have missed a write: one slow link is enough.
#[test]
fn a_put_is_refused_where_only_its_quorum_shows_another_type() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    bus.cut.insert(owners[2]);
    written(&bus.ask(owners[0], "k", change(SET, &[("member", ElementChange::Add)])));
    bus.cut.clear();
    let id = bus.send(owners[2], "k", put("text"), Options::default());
    bus.settle();
    let answer = bus.replies.remove(&id).expect("answered before anybody has told the owner of the set");
    assert!(matches!(refused(answer), Reason::WrongType { .. }));
    bus.run(Duration::from_secs(5));
    assert_eq!(list(&mut bus, owners[2], "k", SET, 10), [("member".to_owned(), Visible::Member)]);
}

#[test]
fn a_reset_of_a_part_of_a_counter_is_refused_where_no_owner_answers() {
    let mut bus = Bus::new(6);
    bus.increment(NodeId(1), "k", 5);
    let (owners, fallbacks) = bus.list("k");
    bus.cut.extend(owners);
    bus.run(Duration::from_secs(3));
    assert_eq!(written(&bus.increment(fallbacks[0], "k", 1)).value, number(1));
    assert_eq!(refused(bus.ask(fallbacks[0], "k", Command::Observe)), Reason::NoOwner);
    bus.cut.clear();
    bus.run(Duration::from_secs(5));
    assert_eq!(bus.value(NodeId(1), "k"), number(6));
}

#[test]
fn a_counted_field_is_neither_put_nor_removed_nor_deleted_where_no_owner_answers() {
    let mut bus = Bus::new(6);
    let map = |name: &str, what| change(CollectionKind::Map, &[(name, what)]);
    written(&bus.ask(NodeId(1), "k", map("f", ElementChange::Increment(5))));
    let (owners, fallbacks) = bus.list("k");
    bus.cut.extend(owners);
    bus.run(Duration::from_secs(3));
    let at = fallbacks[0];
    written(&bus.ask(at, "k", map("f", ElementChange::Increment(1))));
    for observe in [Observe::Quorum, Observe::Local] {
        for command in [map("f", ElementChange::Remove), map("f", ElementChange::Put("3".into())), Command::Delete] {
            let id = bus.send(at, "k", command.clone(), Options { observe, ..Options::default() });
            bus.run(Duration::from_millis(400));
            let answer = bus.replies.remove(&id).expect("answered");
            assert_eq!(refused(answer), Reason::NoOwner, "{command:?} {observe:?}");
        }
    }
    // What no counter is in goes on.
    written(&bus.ask(at, "k", map("text", ElementChange::Put("a".into()))));
    written(&bus.ask(at, "k", map("text", ElementChange::Put("b".into()))));
    written(&bus.ask(at, "k", map("text", ElementChange::Remove)));
    bus.cut.clear();
    bus.run(Duration::from_secs(5));
    assert_eq!(list(&mut bus, NodeId(1), "k", CollectionKind::Map, 9), [("f".to_owned(), number(6))]);
}

#[test]
fn below_the_disk_reserve_nothing_is_added_and_everything_can_be_taken_away() {
    let mut bus = Bus::new(5);
    written(&bus.ask(NodeId(1), "text", put("t")));
    written(&bus.ask(NodeId(1), "count", Command::Increment { by: 5 }));
    written(&bus.ask(NodeId(1), "set", change(SET, &[("a", ElementChange::Add), ("b", ElementChange::Add)])));
    written(&bus.ask(NodeId(1), "flag", Command::SetFlag { on: true }));
    for node in bus.nodes.values_mut() {
        node.shard.handle(bus.now, Input::DiskReserve { is_below: true });
    }
    for command in [put("u"), Command::Increment { by: 1 }] {
        match bus.ask(NodeId(2), "count", command) {
            Response::Failed(error) => assert_eq!(error.outcome, Outcome::NotApplied, "{error:?}"),
            other => panic!("{other:?}"),
        }
    }
    written(&bus.ask(NodeId(2), "set", change(SET, &[("a", ElementChange::Remove)])));
    written(&bus.ask(NodeId(2), "set", Command::Delete));
    written(&bus.ask(NodeId(2), "text", Command::Delete));
    written(&bus.ask(NodeId(2), "flag", Command::SetFlag { on: false }));
    let (_, context) = observe(&mut bus, NodeId(2), "count", Command::Observe);
    written(&bus.ask(NodeId(2), "count", Command::Overwrite { context, to: None }));
    for key in ["text", "count", "set", "flag"] {
        assert_eq!(bus.value(NodeId(3), key), Visible::Nothing, "{key}");
    }
}

#[test]
fn a_node_whose_clock_is_ahead_of_all_others_stamps_nothing_and_still_counts() {
    let mut bus = Bus::new(5);
    let ahead = NodeId(1);
    bus.ahead.insert(ahead, 3_600_000_000);
    bus.run(Duration::from_secs(3));
    let at = bus.list("k").0.into_iter().find(|owner| *owner != ahead).unwrap();
    let key = (0..).map(|number| format!("{number}")).find(|key| bus.list(key).0[0] == ahead).unwrap();
    assert!(matches!(refused(bus.ask(ahead, &key, put("late"))), Reason::ClockAhead { .. }));
    written(&bus.ask(ahead, &key, Command::Increment { by: 2 }));
    assert!(bus.nodes[&ahead].observations.iter().any(|fact| matches!(fact, Observation::ClockAhead { .. })));
    written(&bus.ask(at, "k", put("in time")));
    bus.ahead.clear();
    bus.run(Duration::from_secs(3));
    written(&bus.ask(ahead, &key, Command::Delete));
    written(&bus.ask(ahead, &key, put("in time")));
    assert_eq!(bus.value(at, &key), Visible::Text("in time".into()));
}
