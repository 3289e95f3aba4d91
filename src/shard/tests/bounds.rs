//! What is too much is refused at the door, or answered with what to do: never a frame that no connection takes. The bus
//! checks each frame.

use bytes::Bytes;

use super::*;
use crate::causality::{ActorId, Epoch, Tenure, Tick};
use crate::ids::CollectionKind;
use crate::message::client::{CollectionCommand, ElementChange, ElementWrite, Outcome, SessionWrite, Upkeep};

fn step(bus: &Bus, number: u64) -> Command {
    let expires = Tick(Tick::at(bus.now.wall, bus.config.tick).0 + 6);
    let actor = ActorId { expires, epoch: Epoch(number), tenure: Tenure::SESSION };
    Command::IncrementAs(SessionWrite { actor, event: 1, p: 1, n: 0 })
}

fn write(kind: CollectionKind, elements: impl IntoIterator<Item = Bytes>, change: &ElementChange) -> Command {
    let write = |element| ElementWrite { element, change: change.clone() };
    let changes = elements.into_iter().map(write).collect();
    Command::Collection { kind, command: CollectionCommand::Write { changes } }
}

fn read(elements: impl IntoIterator<Item = Bytes>) -> Command {
    let command = CollectionCommand::Read { elements: elements.into_iter().collect() };
    Command::Collection { kind: CollectionKind::Map, command }
}

fn names(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Bytes> {
    numbers.map(|number| Bytes::from(format!("{number:03}")))
}

fn not_applied(response: Response) -> Reason {
    match response {
        Response::Failed(error) => {
            assert_eq!(error.outcome, Outcome::NotApplied);
            error.reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_keys_of_session_rows_count_for_their_bound_so_that_all_of_them_can_be_covered() {
    let mut bus = Bus::new(3);
    let key = "k".repeat(60_000);
    let mut taken = 0;
    let refusal = loop {
        let command = step(&bus, taken);
        let id = bus.send(NodeId(1), &key, command, Options::default());
        bus.run(Duration::from_millis(20));
        match bus.replies.remove(&id) {
            Some(Response::Written(_)) => taken += 1,
            Some(refusal) => break refusal,
            None => panic!("not answered"),
        }
        assert!(taken < 200, "{taken} rows of 60,000 bytes");
    };
    assert_eq!(not_applied(refusal), Reason::TooManySessions);
    assert!(taken >= 10, "{taken}");
    assert_eq!(bus.value(NodeId(2), &key), number(taken as i64));
    written(&bus.ask(NodeId(2), &key, Command::Put { value: "7".into() }));
    assert_eq!(bus.value(NodeId(3), &key), number(7));
    let Response::Observed(observed) = bus.ask(NodeId(3), &key, Command::Observe) else { panic!() };
    written(&bus.ask(NodeId(1), &key, Command::Overwrite { context: observed.context, to: None }));
}

#[test]
fn elements_that_would_not_travel_together_with_their_keys_are_refused_before_anything_is_done() {
    let mut bus = Bus::new(3);
    let key = "k".repeat(60_000);
    let commands = [write(CollectionKind::Set, names(0..512), &ElementChange::Add), read(names(0..512))];
    for command in commands {
        let reason = not_applied(bus.ask(NodeId(1), &key, command));
        assert!(matches!(reason, Reason::CommandTooLarge { bytes, .. } if bytes > 512 * 60_000), "{reason:?}");
    }
    written(&bus.ask(NodeId(2), &key, write(CollectionKind::Set, names(0..20), &ElementChange::Add)));
    written(&bus.ask(NodeId(2), &key, Command::Delete));
    assert_eq!(bus.value(NodeId(3), &key), Visible::Nothing);
}

#[test]
fn fields_that_do_not_fit_into_one_answer_are_asked_for_in_parts() {
    let mut bus = Bus::new(3);
    let large = ElementChange::Put(Bytes::from(vec![b'x'; 1_000_000]));
    let refused = bus.ask(NodeId(1), "m", write(CollectionKind::Map, names(0..9), &large));
    assert!(matches!(not_applied(refused), Reason::CommandTooLarge { .. }));
    written(&bus.ask(NodeId(1), "m", write(CollectionKind::Map, names(0..6), &large)));
    written(&bus.ask(NodeId(2), "m", write(CollectionKind::Map, names(6..12), &large)));
    let reason = not_applied(bus.ask(NodeId(3), "m", read(names(0..12))));
    assert!(
        matches!(&reason, Reason::QuorumFailed { last_refusal, .. } if last_refusal.contains("fewer")),
        "{reason:?}"
    );
    let doubled = read(names(0..6).chain(names(0..6)));
    assert!(matches!(not_applied(bus.ask(NodeId(3), "m", doubled)), Reason::QuorumFailed { .. }));
    match bus.ask(NodeId(3), "m", read(names(0..6))) {
        Response::Page(page) => assert_eq!(page.elements.len(), 6),
        other => panic!("{other:?}"),
    }
    // What observes them needs them in one answer, too.
    let refused = bus.ask(NodeId(3), "m", write(CollectionKind::Map, names(0..12), &ElementChange::Remove));
    assert!(matches!(not_applied(refused), Reason::QuorumFailed { .. }));
    written(&bus.ask(NodeId(3), "m", Command::Delete));
    assert_eq!(bus.value(NodeId(1), "m"), Visible::Nothing);
}

#[test]
fn upkeep_is_not_for_clients() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "s", write(CollectionKind::Set, names(0..3), &ElementChange::Add));
    let kind = CollectionKind::Set;
    let elements: Vec<Bytes> = names(0..3).collect();
    for upkeep in [Upkeep::Sweep, Upkeep::List { kind, after: None }, Upkeep::Remove { kind, elements }] {
        for node in 1..=3 {
            let reason = not_applied(bus.ask(NodeId(node), "s", Command::Upkeep(upkeep.clone())));
            assert!(matches!(reason, Reason::Forbidden(_)), "{upkeep:?}: {reason:?}");
        }
    }
    assert_eq!(bus.value(NodeId(2), "s"), Visible::Collection { kind, size: 3 });
    let nothing = bus.ask(NodeId(1), "sketch", Command::AddToSketch { items: Vec::new() });
    assert!(matches!(not_applied(nothing), Reason::Malformed(_)));
}

#[test]
fn a_session_that_cannot_write_changes_nothing_of_a_key_that_has_expired() {
    let mut bus = Bus::new(3);
    bus.ask(NodeId(1), "k", Command::Put { value: "old".into() });
    bus.ask(NodeId(1), "k", Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 500_000)) });
    bus.cut.extend([NodeId(2), NodeId(3)]);
    bus.run(Duration::from_millis(600));
    bus.cut.clear();
    bus.run(Duration::from_millis(100));
    let before = bus.stored(NodeId(1), "k").unwrap().header.version;
    let expires = Tick(u32::MAX);
    let actor = ActorId { expires, epoch: Epoch(1), tenure: Tenure::SESSION };
    let id = bus.send(
        NodeId(1),
        "k",
        Command::IncrementAs(SessionWrite { actor, event: 1, p: 1, n: 0 }),
        Options { r: Some(1), ..Options::default() },
    );
    bus.run(Duration::from_millis(40));
    assert!(matches!(not_applied(bus.replies.remove(&id).unwrap()), Reason::LeaseTooLong { .. }));
    assert_eq!(bus.stored(NodeId(1), "k").unwrap().header.version, before);
}

#[test]
fn many_answers_with_many_sessions_are_not_all_held_in_memory_at_once() {
    let mut bus = Bus::new(3);
    let key = "k".repeat(60_000);
    for number in 0..16 {
        let command = step(&bus, number);
        written(&bus.ask(NodeId(1), &key, command));
    }
    let asked: Vec<u64> = (0..90).map(|_| bus.send(NodeId(1), &key, Command::Inspect, Options::default())).collect();
    bus.run(Duration::from_millis(400));
    let (shown, refused): (Vec<Response>, Vec<Response>) = asked
        .iter()
        .map(|id| bus.replies.remove(id).expect("answered"))
        .partition(|response| matches!(response, Response::Inspected(_)));
    assert!(shown.len() >= 40 && refused.len() >= 5, "{} of {}", shown.len(), asked.len());
    for response in refused {
        assert!(matches!(not_applied(response), Reason::StorageFailed { detail, .. } if detail == "busy"));
    }
    assert!(matches!(bus.ask(NodeId(1), &key, Command::Inspect), Response::Inspected(_)), "nothing is held for ever");
}
