//! What one replica says of a key when it alone is asked.

use super::types::{change, session, step};
use super::*;
use crate::ids::CollectionKind;
use crate::message::client::{CollectionCommand, ElementChange, ReplicaView};

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

#[test]
fn who_deletes_a_collection_is_told_who_holds_the_removals() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "s", change(CollectionKind::Set, &[("a", ElementChange::Add), ("b", ElementChange::Add)]));
    let reply = bus.ask(NodeId(1), "s", Command::Delete);
    assert!(written(&reply).acks.len() >= 2, "{reply:?}");
    assert_eq!(bus.value(NodeId(2), "s"), Visible::Nothing);
}
