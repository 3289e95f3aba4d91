//! What was deleted, reset or has expired is forgotten, and nothing with it that counts.

use super::*;
use crate::membership::Fallbacks;

#[test]
fn a_counter_that_was_deleted_before_it_settled_is_forgotten_too() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), "k", 5));
    written(&bus.increment(NodeId(2), "k", 6));
    written(&bus.ask(NodeId(3), "k", Command::Delete));
    bus.run(2 * SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.row_keys(NodeId(node)), [], "node {node}");
    }
}

/// Who is the whole accept set gets no answers: once it waited for one, and never settled anything.
#[test]
fn an_owner_for_whom_nobody_stands_in_forgets_too() {
    for members in [1, 3] {
        let members = (1..=members).map(|id| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"))).collect();
        let mut layout = Layout::founding(ClusterId([7; 16]), "test", members);
        layout.partitions = 8;
        layout.replicas = 1;
        (layout.read_quorum, layout.write_quorum) = (1, 1);
        layout.fallbacks = Fallbacks::Next(0);
        let mut bus = Bus::founded(layout, config());
        let owner = bus.list("k").0[0];
        let actor = bus.session(77);
        written(&bus.increment_as(owner, "k", actor, 1, 5));
        written(&bus.increment(owner, "deleted", 6));
        written(&bus.ask(owner, "deleted", Command::Delete));
        bus.run(2 * SETTLED);
        let left: Vec<RowKey> = bus.nodes.keys().flat_map(|node| bus.row_keys(*node)).collect();
        assert_eq!(
            left,
            [RowKey::main(&Key::new("k").unwrap())],
            "the session's row is summed up, the deleted key gone"
        );
        let Response::Value(reply) = bus.ask(owner, "k", Command::Get) else { panic!("it must be served") };
        assert_eq!(reply.value, number(5));
    }
}

#[test]
fn of_what_was_deleted_or_has_expired_no_owner_keeps_anything_whatever_it_was() {
    let mut bus = Bus::with(3, config());
    let add = |kind, change: ElementChange| {
        let changes = vec![ElementWrite { element: "x".into(), change }];
        Command::Collection { kind, command: CollectionCommand::Write { changes } }
    };
    let writes = [
        Command::Increment { by: 5 },
        Command::Put { value: "text".into() },
        Command::PutSibling { value: "one".into(), context: None },
        Command::SetFlag { on: true },
        Command::AddToSketch { items: vec!["x".into()] },
        add(CollectionKind::Set, ElementChange::Add),
        add(CollectionKind::Map, ElementChange::Increment(5)),
        add(CollectionKind::Map, ElementChange::Put("text".into())),
        add(CollectionKind::SortedSet, ElementChange::Score(1.0_f64.to_bits())),
    ];
    for (number, write) in writes.iter().enumerate() {
        written(&bus.ask(NodeId(1), &format!("old {number}"), write.clone()));
    }
    bus.run(SETTLED);
    for (number, write) in writes.iter().enumerate() {
        written(&bus.ask(NodeId(1), &format!("young {number}"), write.clone()));
        written(&bus.ask(NodeId(1), &format!("expiring {number}"), write.clone()));
        let soon = Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 500_000)) };
        written(&bus.ask(NodeId(2), &format!("expiring {number}"), soon));
        for age in ["old", "young"] {
            written(&bus.ask(NodeId(2), &format!("{age} {number}"), Command::Delete));
        }
    }
    bus.run(3 * SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.row_keys(NodeId(node)), [], "node {node}");
    }
}

#[test]
fn a_delete_through_an_owner_that_lacks_frozen_increments_never_leaves_them_out_and_says_that_it_is_done() {
    let mut bus = Bus::with(3, ShardConfig { exchange: false, handoff: false, ..config() });
    let (owners, _) = bus.list("k");
    bus.cut.insert(owners[2]);
    bus.run(Duration::from_secs(2));
    written(&bus.increment(owners[0], "k", 5));
    bus.cut.clear();
    bus.run(SETTLED);
    let memory = bus.nodes[&owners[2]].shard.turn.memory(bus.partition("k"));
    assert!(memory.frozen > memory.compacted, "the owners differ: {memory:?}");
    assert_eq!(bus.stored(owners[2], "k"), None);
    let reply = bus.ask(owners[2], "k", Command::Delete);
    let value = bus.value(owners[0], "k");
    match reply {
        Response::Written(_) => assert_eq!(value, Visible::Nothing),
        reply => assert_eq!((refused(reply), value), (Reason::Settling { node: owners[2] }, number(5))),
    }
}

#[test]
fn a_sum_taken_over_from_an_owner_that_was_then_lost_is_settled_by_the_others() {
    let mut bus = Bus::with(3, config());
    let session = bus.session(1);
    written(&bus.increment_as(NodeId(1), "k", session, 1, 7));
    bus.run(Duration::from_millis(400));
    // Node 3 has settled alone and shown its sum to the others; they still have the session's row beside it. Then it loses
    // its directory.
    let main = RowKey::main(&Key::new("k").unwrap());
    for node in [NodeId(1), NodeId(2)] {
        let mut stored = bus.stored(node, "k").expect("a main row");
        assert!(stored.header.beside.settle(&mut stored.row, session.expires));
        let mut batch = Batch::default();
        batch.put(Space::Rows, main.as_bytes().clone(), stored.encode());
        bus.nodes[&node].store.write(&batch).unwrap();
        assert!(bus.row_keys(node).contains(&main.session(session)));
        bus.restart(node);
    }
    bus.wipe(NodeId(3));
    bus.run(2 * SETTLED);
    for node in 1..=3 {
        assert!(bus.compacted(NodeId(node), "k") >= session.expires, "node {node}");
        assert_eq!(bus.row_keys(NodeId(node)), std::slice::from_ref(&main), "node {node}");
        assert_eq!(bus.value(NodeId(node), "k"), number(7), "node {node}");
    }
}

#[test]
fn a_report_is_void_when_what_a_row_need_not_have_remembered_counts_again() {
    let mut bus = Bus::with(3, config());
    let row = RowKey::main(&Key::new("k").unwrap());
    let partition = bus.partition("k");
    let dot =
        |expires, event| Dot { actor: ActorId { expires: Tick(expires), epoch: Epoch(1), tenure: Tenure(0) }, event };
    let at = |wall| Hlc { wall, logical: 0 };
    // A counter that was reset and has settled: a survey passes it as if it were gone, and a sweep has not come by yet.
    let mut stored = StoredRow::default();
    stored.row.increment(dot(3, 1), at(1), 5, &crate::value::Beside::NONE).unwrap();
    stored.row.reset(dot(3, 2), at(2), &stored.row.clone());
    stored.row.compact(Tick(3));
    let mut batch = Batch::default();
    batch.put(Space::Rows, row.as_bytes().clone(), stored.encode());
    let node = bus.nodes.get_mut(&NodeId(1)).unwrap();
    node.store.write(&batch).unwrap();
    let turn = &mut node.shard.turn;
    turn.change_memory(partition, |memory| (memory.compacted, memory.folded) = (Tick(20), Tick(20)));
    turn.settle_loaded(partition);
    turn.footing_mut().watch(partition, Watch::new(OpId(1), Tick(25), Tick(20), Tick(20), &config()));
    assert_eq!(turn.load(&row), Access::Ready);
    let held = turn.held(&row, partition);
    turn.row_mut(&row).row.increment(dot(30, 1), at(3), 1, &crate::value::Beside::NONE).unwrap();
    turn.note_change(&row, partition, held);
    assert_eq!(turn.footing().watch_of(partition).unwrap().entries, None, "its sums count again");
}
