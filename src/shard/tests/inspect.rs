//! What one replica says of a key when it alone is asked.

use super::types::{change, session, step};
use super::*;
use crate::ids::CollectionKind;
use crate::message::client::{CollectionCommand, ConflictKind, ElementChange, ReplicaView};

fn inspect(bus: &mut Bus, at: NodeId, key: &str) -> ReplicaView {
    match bus.ask(at, key, Command::Inspect) {
        Response::Inspected(view) => view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn owners_whose_elements_differ_have_different_hashes_though_their_main_rows_are_equal() {
    for (kind, element) in [
        (CollectionKind::Set, ElementChange::Add),
        (CollectionKind::Map, ElementChange::Put("x".into())),
        (CollectionKind::SortedSet, ElementChange::Score(1.5_f64.to_bits())),
    ] {
        let mut bus = Bus::new(3);
        let all = Options { w: Some(3), ..Options::default() };
        bus.send(NodeId(1), "k", change(kind, &[("base", element.clone())]), all);
        bus.run(Duration::from_secs(1));
        let equal = inspect(&mut bus, NodeId(1), "k");
        assert_eq!(equal.compared_elements, 1);
        assert_eq!(inspect(&mut bus, NodeId(2), "k").state_hash, equal.state_hash);
        bus.cut.insert(NodeId(3));
        bus.run(Duration::from_secs(2));
        bus.ask(NodeId(1), "k", change(kind, &[("lonely", element)]));
        let (here, there) = (inspect(&mut bus, NodeId(1), "k"), inspect(&mut bus, NodeId(3), "k"));
        assert_eq!((here.compared_elements, there.compared_elements), (2, 1), "{kind:?}");
        assert_ne!(here.state_hash, there.state_hash, "{kind:?}");
        bus.cut.clear();
        bus.run(Duration::from_secs(10));
        let hashes: BTreeSet<_> = (1..=3).map(|node| inspect(&mut bus, NodeId(node), "k").state_hash).collect();
        assert_eq!(hashes.len(), 1, "{kind:?}");
    }
}

#[test]
fn sessions_and_elements_are_both_in_the_hash() {
    let mut bus = Bus::new(3);
    let actor = session(&bus, 6, 1);
    bus.ask(NodeId(1), "k", step(actor, 1, 5));
    let before = inspect(&mut bus, NodeId(1), "k");
    assert_eq!((before.counter.as_str(), before.compared_elements), ("5", 0));
    bus.ask(NodeId(1), "k", step(actor, 2, 6));
    let after = inspect(&mut bus, NodeId(2), "k");
    assert_eq!(after.counter, "6");
    assert_ne!(before.state_hash, after.state_hash);
}

#[test]
fn a_conflict_is_counted_once_and_listed_until_a_delete_covers_it() {
    let mut bus = Bus::new(3);
    let alone = || Options { r: Some(1), w: Some(1), ..Options::default() };
    bus.cut.insert(NodeId(3));
    bus.run(Duration::from_secs(2));
    bus.send(NodeId(1), "k", change(CollectionKind::Set, &[("a", ElementChange::Add)]), alone());
    bus.send(NodeId(3), "k", Command::Put { value: "text".into() }, alone());
    bus.run(Duration::from_secs(1));
    let status = |bus: &Bus, node| {
        let status = bus.nodes[&NodeId(node)].shard.status(bus.now);
        let listed: Vec<_> = status.conflicting.into_iter().map(|one| one.key.to_string()).collect();
        (status.conflicts, listed)
    };
    assert_eq!(status(&bus, 1), (0, vec![]));
    bus.cut.clear();
    bus.run(Duration::from_secs(10));
    for node in 1..=3 {
        assert_eq!(status(&bus, node), (1, vec!["k".to_owned()]), "node {node}");
    }
    written(&bus.ask(NodeId(2), "k", Command::Delete));
    bus.run(Duration::from_secs(2));
    for node in 1..=3 {
        assert_eq!(status(&bus, node), (1, vec![]), "node {node}");
    }
}

#[test]
fn increments_that_a_text_in_a_field_did_not_see_are_counted_listed_and_told_with_the_field() {
    let mut bus = Bus::new(3);
    let alone = || Options { r: Some(1), w: Some(1), ..Options::default() };
    let field = |change| super::types::change(CollectionKind::Map, &[("f", change)]);
    bus.cut.insert(NodeId(3));
    bus.run(Duration::from_secs(2));
    bus.send(NodeId(1), "m", field(ElementChange::Put("text".into())), alone());
    bus.send(NodeId(3), "m", field(ElementChange::Increment(3)), alone());
    bus.run(Duration::from_secs(1));
    let status = |bus: &Bus, node| {
        let status = bus.nodes[&NodeId(node)].shard.status(bus.now);
        let listed: Vec<_> = status.conflicting.into_iter().map(|one| (one.key.to_string(), one.field)).collect();
        (status.conflicts, listed)
    };
    let told = |bus: &mut Bus, command| match bus.ask(NodeId(2), "m", command) {
        Response::Page(page) => (page.elements, page.conflicts),
        other => panic!("{other:?}"),
    };
    let commands = || {
        let read = CollectionCommand::Read { elements: vec!["f".into()] };
        let commands = [read, CollectionCommand::Page { after: None, count: 9 }];
        commands.map(|command| Command::Collection { kind: CollectionKind::Map, command })
    };
    bus.cut.clear();
    bus.run(Duration::from_secs(10));
    for node in 1..=3 {
        assert_eq!(status(&bus, node), (1, vec![("m".to_owned(), Some("f".into()))]), "node {node}");
    }
    let text = vec![("f".into(), Visible::Text("text".into()))];
    for command in commands() {
        assert_eq!(told(&mut bus, command), (text.clone(), vec!["f".into()]));
    }
    written(&bus.ask(NodeId(2), "m", field(ElementChange::Put("text".into()))));
    bus.run(Duration::from_secs(2));
    for node in 1..=3 {
        assert_eq!(status(&bus, node), (1, vec![]), "node {node}");
    }
    for command in commands() {
        assert_eq!(told(&mut bus, command), (text.clone(), vec![]));
    }
}

/// Node 3 is cut off, and comes back when both sides have written.
fn apart(bus: &mut Bus, here: Vec<(&str, Command)>, there: Vec<(&str, Command)>) {
    bus.cut.insert(NodeId(3));
    bus.run(Duration::from_secs(2));
    for (node, writes) in [(NodeId(1), here), (NodeId(3), there)] {
        for (key, command) in writes {
            let id = bus.send(node, key, command, Options { r: Some(1), w: Some(1), ..Options::default() });
            bus.run(Duration::from_millis(500));
            written(&bus.replies.remove(&id).expect("answered"));
        }
    }
    bus.cut.clear();
    bus.run(Duration::from_secs(30));
}

/// The keys and fields in which some owner says that increments were missed.
fn missed(bus: &Bus) -> BTreeSet<String> {
    let all = bus.nodes.values().flat_map(|node| node.shard.status(bus.now).conflicting);
    let missed = all.filter(|one| one.kind == ConflictKind::Missed);
    missed.map(|one| format!("{}{}", one.key, one.field.map_or("", |_| "/f"))).collect()
}

#[test]
fn a_put_or_delete_that_missed_increments_of_the_other_side_is_counted_and_listed_until_one_covers_them() {
    let mut bus = Bus::new(3);
    let put = |text: &'static str| Command::Put { value: text.into() };
    let field = |what| change(CollectionKind::Map, &[("f", what)]);
    for key in ["gone", "gone-session"] {
        written(&bus.ask(NodeId(1), key, put("v")));
        written(&bus.ask(NodeId(1), key, Command::Delete));
    }
    let actor = session(&bus, 6, 1);
    let here = vec![
        ("put", put("100")),
        ("put-session", put("100")),
        ("gone", put("v")),
        ("gone", Command::Delete),
        ("gone-session", put("v")),
        ("gone-session", Command::Delete),
        ("map", field(ElementChange::Put("5".into()))),
        ("plain", put("7")),
    ];
    let there = vec![
        ("put", Command::Increment { by: 7 }),
        ("put-session", step(actor, 1, 7)),
        ("gone", Command::Increment { by: 4 }),
        ("gone-session", step(actor, 1, 4)),
        ("map", field(ElementChange::Increment(1))),
        ("counter", Command::Increment { by: 1 }),
    ];
    apart(&mut bus, here, there);
    assert_eq!(bus.value(NodeId(2), "put"), number(107));
    assert_eq!(bus.value(NodeId(2), "gone-session"), number(4));
    let all = ["put", "put-session", "gone", "gone-session", "map/f"];
    assert_eq!(missed(&bus), all.map(str::to_owned).into());
    let counted: u64 = bus.nodes.values().map(|node| node.shard.status(bus.now).conflicts).sum();
    assert!(counted >= all.len() as u64, "{counted}");
    for key in ["put", "put-session"] {
        written(&bus.ask(NodeId(2), key, put("1")));
    }
    for key in ["gone", "gone-session"] {
        written(&bus.ask(NodeId(2), key, Command::Delete));
    }
    written(&bus.ask(NodeId(2), "map", field(ElementChange::Remove)));
    bus.run(Duration::from_secs(5));
    assert_eq!(missed(&bus), BTreeSet::new());
}

/// A node that was away hears of all of it at once, in any order.
#[test]
fn increments_that_came_after_a_put_or_that_it_covered_are_no_conflict() {
    let mut bus = Bus::new(3);
    let put = || Command::Put { value: "100".into() };
    let (early, late) = (session(&bus, 6, 1), session(&bus, 6, 2));
    let all = Options { w: Some(3), ..Options::default() };
    for command in [Command::Increment { by: 1 }, step(early, 1, 5)] {
        bus.send(NodeId(3), "k", command, all.clone());
        bus.run(Duration::from_millis(500));
    }
    bus.cut.insert(NodeId(3));
    bus.run(Duration::from_secs(2));
    for command in [put(), Command::Increment { by: 2 }, step(late, 1, 3), step(early, 2, 6)] {
        written(&bus.ask(NodeId(1), "k", command));
    }
    bus.cut.clear();
    bus.run(Duration::from_secs(30));
    written(&bus.ask(NodeId(3), "k", Command::Increment { by: 1 }));
    bus.run(Duration::from_secs(15));
    assert_eq!(bus.value(NodeId(3), "k"), number(107));
    for (id, node) in &bus.nodes {
        assert_eq!(node.shard.status(bus.now).conflicts, 0, "{id}");
    }
}

#[test]
fn who_deletes_a_collection_is_told_who_holds_the_removals() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "s", change(CollectionKind::Set, &[("a", ElementChange::Add), ("b", ElementChange::Add)]));
    let reply = bus.ask(NodeId(1), "s", Command::Delete);
    assert!(written(&reply).acks.len() >= 2, "{reply:?}");
    assert_eq!(bus.value(NodeId(2), "s"), Visible::Nothing);
}
