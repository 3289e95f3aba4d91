//! Sessions that read what they wrote and never less than they were shown, through whichever node.

use bytes::Bytes;

use super::*;
use crate::causality::{ActorId, Epoch, Tenure, Tick};
use crate::ids::CollectionKind;
use crate::message::client::{
    CollectionCommand, ElementChange, ElementWrite, Observe, Outcome, RequestError, SessionWrite,
};
use crate::sealed::{SealKey, Sealed};

/// A client that keeps its token.
struct Session {
    token: Bytes,
}

impl Session {
    fn new() -> Session {
        Session { token: Bytes::new() }
    }

    fn options(&self) -> Options {
        Options { token: Some(self.token.clone()), ..Options::default() }
    }

    fn ask_with(&mut self, bus: &mut Bus, to: NodeId, key: &str, command: Command, options: Options) -> Response {
        let id = bus.send(to, key, command, options);
        bus.run(Duration::from_millis(2500));
        let response = bus.replies.remove(&id).expect("answered");
        let token = match &response {
            Response::Value(reply) => reply.token.clone(),
            Response::Written(reply) => reply.token.clone(),
            Response::Observed(reply) => reply.token.clone(),
            Response::Page(reply) => reply.token.clone(),
            other => {
                assert!(matches!(other, Response::Failed(_)), "{other:?}");
                return response;
            }
        };
        self.token = token.expect("a token for a token");
        response
    }

    fn ask(&mut self, bus: &mut Bus, to: NodeId, key: &str, command: Command) -> Response {
        let options = self.options();
        self.ask_with(bus, to, key, command, options)
    }

    fn value(&mut self, bus: &mut Bus, at: NodeId, key: &str) -> Visible {
        match self.ask(bus, at, key, Command::Get) {
            Response::Value(reply) => reply.value,
            other => panic!("{other:?}"),
        }
    }
}

/// Only these see each other; the others are apart, and everybody has noticed.
fn only(bus: &mut Bus, together: &[NodeId]) {
    bus.cut = bus.nodes.keys().copied().filter(|node| !together.contains(node)).collect();
    bus.run(Duration::from_secs(2));
}

fn one() -> Options {
    Options { r: Some(1), w: Some(1), ..Options::default() }
}

#[test]
fn a_session_on_the_other_side_of_a_split_is_told_that_its_write_is_not_there() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    bus.increment(owners[0], "k", 1);
    only(&mut bus, &[owners[0]]);
    let mut session = Session::new();
    let options = Options { token: Some(Bytes::new()), ..one() };
    written(&session.ask_with(&mut bus, owners[0], "k", Command::Increment { by: 5 }, options));
    assert_eq!(session.value_at_one(&mut bus, owners[0], "k"), number(6));

    let others: Vec<NodeId> = bus.nodes.keys().copied().filter(|node| *node != owners[0]).collect();
    only(&mut bus, &others);
    assert_eq!(bus.value(owners[1], "k"), number(1), "without a token");
    let before = session.token.clone();
    let response = session.ask(&mut bus, owners[1], "k", Command::Get);
    let Response::Failed(RequestError { outcome, reason }) = response else { panic!("{response:?}") };
    assert_eq!((outcome, reason), (Outcome::NotApplied, Reason::Stale));
    assert_eq!(session.token, before);
    let reset = session.ask(&mut bus, owners[1], "k", Command::Delete);
    assert_eq!(refused(reset), Reason::Stale, "nothing is covered that was not seen");
    written(&session.ask(&mut bus, owners[1], "k", Command::Increment { by: 1 }));

    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    for node in [owners[2], others[3], owners[0]] {
        assert_eq!(session.value(&mut bus, node, "k"), number(7));
    }
}

impl Session {
    fn value_at_one(&mut self, bus: &mut Bus, at: NodeId, key: &str) -> Visible {
        let options = Options { token: Some(self.token.clone()), ..one() };
        match self.ask_with(bus, at, key, Command::Get, options) {
            Response::Value(reply) => reply.value,
            other => panic!("{other:?}"),
        }
    }
}

/// R = 1: the quorum of a read has nothing in common with that of the write, and only the token finds it.
#[test]
fn a_read_of_one_replica_asks_further_ones_until_it_shows_what_the_session_wrote() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    bus.increment(owners[0], "k", 1);
    // The third owner misses the write, and nothing repairs it before the read.
    only(&mut bus, &[owners[0], owners[1]]);
    let mut session = Session::new();
    written(&session.ask(&mut bus, owners[0], "k", Command::Put { value: "mine".into() }));
    bus.cut.clear();
    let options = one();
    let id = bus.send(owners[2], "k", Command::Get, options);
    bus.settle();
    match bus.replies.remove(&id) {
        Some(Response::Value(reply)) => assert_eq!(reply.value, number(1), "without a token"),
        other => panic!("{other:?}"),
    }
    let mut asked = session.options();
    asked.r = Some(1);
    let id = bus.send(owners[2], "k", Command::Get, asked);
    bus.run(Duration::from_secs(2));
    match bus.replies.remove(&id) {
        Some(Response::Value(reply)) => assert_eq!(reply.value, Visible::Text("mine".into())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_waits_until_the_node_that_has_the_write_is_back() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    only(&mut bus, &[owners[0]]);
    let mut session = Session::new();
    let options = Options { token: Some(Bytes::new()), ..one() };
    written(&session.ask_with(&mut bus, owners[0], "k", Command::Increment { by: 5 }, options));
    let others: Vec<NodeId> = bus.nodes.keys().copied().filter(|node| *node != owners[0]).collect();
    only(&mut bus, &others);
    let options = Options { deadline_ms: Some(20_000), ..session.options() };
    let id = bus.send(owners[1], "k", Command::Get, options);
    bus.run(Duration::from_secs(5));
    assert!(!bus.replies.contains_key(&id), "it waits");
    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    match bus.replies.remove(&id) {
        Some(Response::Value(reply)) => assert_eq!(reply.value, number(5)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_never_sees_less_than_it_was_shown() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    only(&mut bus, &[owners[0]]);
    let id = bus.send(owners[0], "k", Command::Increment { by: 3 }, one());
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&id]);
    let mut session = Session::new();
    assert_eq!(session.value_at_one(&mut bus, owners[0], "k"), number(3), "another's write");
    let others: Vec<NodeId> = bus.nodes.keys().copied().filter(|node| *node != owners[0]).collect();
    only(&mut bus, &others);
    assert_eq!(refused(session.ask(&mut bus, owners[1], "k", Command::Get)), Reason::Stale);
    assert_eq!(Session::new().value(&mut bus, owners[1], "k"), Visible::Nothing, "who saw nothing is not stale");
}

#[test]
fn increments_of_sessions_elements_and_siblings_are_followed_too() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    let (set_owners, _) = bus.list("set");
    let tick = Tick::at(bus.now.wall, ShardConfig::default().tick);
    let actor = ActorId { expires: Tick(tick.0 + 6), epoch: Epoch(77), tenure: Tenure::SESSION };
    let add = SessionWrite { actor, event: 1, p: 4, n: 0 };
    let write = |change| CollectionCommand::Write { changes: vec![ElementWrite { element: "m".into(), change }] };
    let set = |command| Command::Collection { kind: CollectionKind::Set, command };
    let read = || set(CollectionCommand::Read { elements: vec!["m".into()] });
    let mut session = Session::new();
    only(&mut bus, &[owners[0]]);
    let options = Options { token: Some(session.token.clone()), ..one() };
    written(&session.ask_with(&mut bus, owners[0], "k", Command::IncrementAs(add), options));
    only(&mut bus, &[set_owners[0]]);
    let options = Options { token: Some(session.token.clone()), ..one() };
    written(&session.ask_with(&mut bus, set_owners[0], "set", set(write(ElementChange::Add)), options));
    let others: Vec<NodeId> =
        bus.nodes.keys().copied().filter(|node| *node != owners[0] && *node != set_owners[0]).collect();
    only(&mut bus, &others);
    assert_eq!(refused(session.ask(&mut bus, others[0], "k", Command::Get)), Reason::Stale);
    assert_eq!(refused(session.ask(&mut bus, others[0], "set", read())), Reason::Stale);
    let unfollowed = || [CollectionCommand::Page { after: None, count: 10 }, CollectionCommand::Size].map(set);
    for command in unfollowed() {
        assert_eq!(refused(session.ask(&mut bus, others[0], "set", command)), Reason::NotFollowed);
    }
    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    // Also where all is there: nobody can know it.
    for command in unfollowed().into_iter().chain([Command::Get]) {
        assert_eq!(refused(session.ask(&mut bus, others[1], "set", command.clone())), Reason::NotFollowed);
        assert!(!matches!(bus.ask(others[1], "set", command), Response::Failed(_)), "without a token");
    }
    assert_eq!(session.value(&mut bus, others[0], "k"), number(4));
    match session.ask(&mut bus, others[1], "set", read()) {
        Response::Page(reply) => assert_eq!(reply.elements.len(), 1),
        other => panic!("{other:?}"),
    }
    written(&session.ask(&mut bus, others[0], "set", Command::Delete));
    match session.ask(&mut bus, others[1], "set", read()) {
        Response::Page(reply) => assert!(reply.elements.is_empty(), "{reply:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_is_forged_cut_or_of_another_cluster_is_refused_and_nothing_is_done() {
    let mut bus = Bus::new(3);
    let mut session = Session::new();
    written(&session.ask(&mut bus, NodeId(1), "k", Command::Increment { by: 1 }));
    let good = session.token.clone();
    let mut forged = good.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let foreign = SealKey([9; 32]).seal(Sealed::SessionToken, b"");
    for bad in [forged.into(), good.slice(..good.len() - 1), foreign, "x".into()] {
        for command in [Command::Increment { by: 1 }, Command::Get, Command::Delete] {
            for node in 1..=3 {
                let options = Options { token: Some(bad.clone()), ..Options::default() };
                let id = bus.send(NodeId(node), "k", command.clone(), options);
                bus.run(Duration::from_millis(100));
                let Some(Response::Failed(error)) = bus.replies.remove(&id) else { panic!("answered") };
                assert_eq!(error.outcome, Outcome::NotApplied);
                assert_eq!(error.reason, Reason::ForeignToken { what: "token".into() });
            }
        }
    }
    assert_eq!(session.value(&mut bus, NodeId(2), "k"), number(1));
}

#[test]
fn a_fast_covering_write_looks_at_its_own_row_only_token_or_not() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("k");
    only(&mut bus, &[owners[0]]);
    let mut session = Session::new();
    let options = Options { token: Some(Bytes::new()), ..one() };
    written(&session.ask_with(&mut bus, owners[0], "k", Command::Increment { by: 5 }, options));
    let others: Vec<NodeId> = bus.nodes.keys().copied().filter(|node| *node != owners[0]).collect();
    only(&mut bus, &others);
    let options = Options { observe: Observe::Local, ..session.options() };
    written(&session.ask_with(&mut bus, owners[1], "k", Command::Put { value: "7".into() }, options));
    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    assert_eq!(session.value(&mut bus, owners[0], "k"), number(12), "the increment that it did not see survives");
}

/// The forward reaches a coordinator that dies before it answers.
#[test]
fn a_request_that_may_be_repeated_goes_to_the_next_coordinator_when_the_first_is_lost() {
    let tick = |bus: &Bus| Tick::at(bus.now.wall, ShardConfig::default().tick).0;
    for is_session in [true, false] {
        let mut bus = Bus::new(5);
        let (owners, fallbacks) = bus.list("k");
        let outside = fallbacks[0];
        let actor = ActorId { expires: Tick(tick(&bus) + 6), epoch: Epoch(5), tenure: Tenure::SESSION };
        let command = if is_session {
            Command::IncrementAs(SessionWrite { actor, event: 1, p: 3, n: 0 })
        } else {
            Command::Increment { by: 3 }
        };
        let options = Options { deadline_ms: Some(10_000), ..Options::default() };
        let id = bus.send(outside, "k", command, options);
        bus.turn(outside);
        let target = bus
            .frames
            .iter()
            .find(|(_, _, frame)| frame.messages.iter().any(|m| matches!(m.message, PeerMessage::Forward(_))))
            .map(|(_, to, _)| *to)
            .expect("forwarded");
        assert!(owners.contains(&target));
        bus.cut = BTreeSet::from([target]);
        // It takes the request in, and nobody hears of it.
        let frames: Vec<_> = bus.frames.drain(..).collect();
        for (from, to, frame) in frames {
            bus.nodes.get_mut(&to).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
        }
        bus.run(Duration::from_secs(3));
        let response = bus.replies.remove(&id).expect("answered");
        if is_session {
            written(&response);
        } else {
            let Response::Failed(error) = response else { panic!("{response:?}") };
            assert_eq!(error.outcome, Outcome::Unknown);
            assert_eq!(error.reason, Reason::CoordinatorLost { node: target });
        }
        bus.cut.clear();
        bus.run(Duration::from_secs(4));
        assert_eq!(bus.value(outside, "k"), number(3), "once, whoever carried it out");
    }
}

#[test]
fn a_deadline_that_a_session_set_is_followed_where_it_reads_elements() {
    let mut bus = Bus::new(5);
    let (owners, _) = bus.list("set");
    let set = |command| Command::Collection { kind: CollectionKind::Set, command };
    let changes = |change| vec![ElementWrite { element: "m".into(), change }];
    let read = || set(CollectionCommand::Read { elements: vec!["m".into()] });
    let mut session = Session::new();
    written(&session.ask(
        &mut bus,
        owners[0],
        "set",
        set(CollectionCommand::Write { changes: changes(ElementChange::Add) }),
    ));
    only(&mut bus, &[owners[0]]);
    let soon = Command::Expire { deadline: Some(WallTime(bus.now.wall.0 + 1_000_000)) };
    let options = Options { token: Some(session.token.clone()), ..one() };
    written(&session.ask_with(&mut bus, owners[0], "set", soon, options));
    let others: Vec<NodeId> = bus.nodes.keys().copied().filter(|node| *node != owners[0]).collect();
    only(&mut bus, &others);
    match bus.ask(owners[1], "set", read()) {
        Response::Page(page) => assert_eq!(page.elements.len(), 1, "the others have not heard of the deadline"),
        other => panic!("{other:?}"),
    }
    assert_eq!(refused(session.ask(&mut bus, owners[1], "set", read())), Reason::Stale);
    bus.cut.clear();
    bus.run(Duration::from_secs(4));
    let mut reader = Session::new();
    for session in [&mut session, &mut reader] {
        match session.ask(&mut bus, owners[1], "set", read()) {
            Response::Page(page) => assert!(page.elements.is_empty(), "{page:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_write_that_finds_nothing_to_do_brings_what_it_saw() {
    let mut bus = Bus::new(5);
    let remove = ElementWrite { element: "m".into(), change: ElementChange::Remove };
    let command = CollectionCommand::Write { changes: vec![remove] };
    let mut session = Session::new();
    let command = Command::Collection { kind: CollectionKind::Set, command };
    written(&session.ask(&mut bus, NodeId(1), "s", command));
    written(&session.ask(&mut bus, NodeId(2), "s", Command::Expire { deadline: None }));
    written(&session.ask(&mut bus, NodeId(2), "s", Command::Delete));
}
