//! Layouts: decided by a majority, spread to all, led through their phases, refused where two cannot both be.

mod phases;
mod recovery;

use super::*;
use crate::config::Candidate;
use crate::council::stored_layout;
use crate::membership::layout::paxos::{Ask, Ballot};
use crate::membership::{Change, ChangeError, Committed, Phase};
use crate::message::client::{ClusterCall, ClusterError, MoveWait, PlanView, Progress};
use crate::message::peer::{LayoutMessage, RecoverQuery};
use crate::replica::begin_candidate;

impl Bus {
    pub(super) fn call(&mut self, at: u64, call: ClusterCall) -> u64 {
        self.next_request += 1;
        let request_id = RequestId(self.next_request);
        let now = self.now_at(NodeId(at));
        let input = Input::Admin { connection: ConnectionId(1), request_id, call };
        self.nodes.get_mut(&NodeId(at)).unwrap().shard.handle(now, input);
        self.next_request
    }

    pub(super) fn admin(&mut self, at: u64, call: ClusterCall) -> ClusterAnswer {
        let id = self.call(at, call);
        self.run(Duration::from_secs(1));
        self.cluster_answers.remove(&id).expect("answered")
    }

    pub(super) fn stage(&mut self, at: u64, change: Change) -> PlanView {
        match self.admin(at, ClusterCall::Stage { change, accepts_loss: false }) {
            ClusterAnswer::Plan(Some(view)) => *view,
            other => panic!("{other:?}"),
        }
    }

    fn commit_of(view: &PlanView) -> ClusterCall {
        ClusterCall::Commit { base: view.present.epoch, content: view.next.as_ref().unwrap().epoch.content }
    }

    pub(super) fn commit(&mut self, at: u64, changes: impl IntoIterator<Item = Change>) -> ClusterAnswer {
        let view = changes.into_iter().map(|change| self.stage(at, change)).last().unwrap();
        self.admin(at, Bus::commit_of(&view))
    }

    pub(super) fn progress(&mut self, at: u64) -> Progress {
        match self.admin(at, ClusterCall::Progress) {
            ClusterAnswer::Progress(progress) => *progress,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.nodes.values().map(|node| node.shard.site.ring.epoch().number).collect()
    }

    /// A node that no layout names yet, and that asks to be let in.
    pub(super) fn start_candidate(&mut self, node: u64, name: &str) {
        let (id, store) = (NodeId(node), Arc::new(MemoryStore::new(node)));
        let identity = begin_candidate(store.as_ref(), self.ring.layout().cluster, id, 77 + node).unwrap();
        let (name, address) = (name.to_owned(), format!("{name}:1"));
        let candidate = Candidate { name, address, zone: String::new(), weight: 1 };
        let config = ShardConfig { candidate: Some(candidate), ..self.config.clone() };
        let scope = ShardScope { index: 0, count: 1 };
        let shard = Shard::open(config, identity, scope, self.ring.clone(), store.clone(), node, self.now).unwrap();
        let (observations, restarts) = (Vec::new(), Vec::new());
        self.nodes.insert(id, Node { shard, store, written: None, observations, restarts, proofs: 0 });
    }

    /// Of two shards that this node has from now on, the first one is there.
    pub(super) fn halve(&mut self, node: NodeId) {
        self.entropy += 1;
        let store = self.nodes[&node].store.clone();
        let identity = crate::replica::begin_start(store.as_ref(), self.ring.layout(), node, self.entropy).unwrap();
        let scope = ShardScope { index: 0, count: 2 };
        let shard = Shard::open(self.config.clone(), identity, scope, self.ring.clone(), store, 4, self.now).unwrap();
        self.nodes.get_mut(&node).unwrap().shard = shard;
    }

    fn push(&mut self, to: u64, from: u64, committed: &Committed) {
        self.hear(NodeId(to), NodeId(from), "any", layout(LayoutMessage::Push(committed.clone())));
    }
}

fn layout(message: LayoutMessage) -> PeerMessage {
    PeerMessage::Layout(Box::new(message))
}

fn moved(node: u64, address: &str) -> Change {
    Change::Address { node: NodeId(node), address: address.into() }
}

fn error(answer: ClusterAnswer) -> ClusterError {
    match answer {
        ClusterAnswer::Refused(error) => error,
        other => panic!("{other:?}"),
    }
}

pub(super) fn is_committed(answer: &ClusterAnswer, number: u64) -> bool {
    matches!(answer, ClusterAnswer::Committed(epoch) if epoch.number == number)
}

#[test]
fn a_committed_plan_reaches_every_node_and_every_disk() {
    let mut bus = Bus::new(5);
    assert!(is_committed(&bus.commit(3, [moved(1, "a:1"), moved(2, "b:1")]), 2));
    bus.run(Duration::from_secs(1));
    assert_eq!(bus.numbers(), [2; 5]);
    for node in bus.nodes.values() {
        let stored = stored_layout(node.store.as_ref()).unwrap().unwrap();
        assert_eq!((&stored, stored.member(NodeId(2)).unwrap().address.as_str()), (&**bus.ring.layout(), "b:1"));
    }
    assert_eq!(bus.admin(3, ClusterCall::Plan), ClusterAnswer::Plan(None), "it is carried out");
}

#[test]
fn a_node_that_was_away_takes_up_the_newest_of_several_layouts() {
    let mut bus = Bus::new(5);
    bus.cut.insert(NodeId(5));
    for number in 2..5 {
        assert!(is_committed(&bus.commit(1, [moved(1, &format!("a:{number}"))]), number));
    }
    assert_eq!(bus.numbers(), [4, 4, 4, 4, 1]);
    bus.cut.clear();
    bus.run(Duration::from_secs(2));
    assert_eq!(bus.numbers(), [4; 5]);
}

#[test]
fn a_newer_layout_that_was_heard_of_is_asked_for_until_it_has_come() {
    let mut bus = Bus::new(3);
    bus.cut.insert(NodeId(3));
    assert!(is_committed(&bus.commit(1, [moved(1, "a:1")]), 2));
    // It hears one word that was said under the new layout, and nothing ever after.
    let speaker = &bus.nodes[&NodeId(1)].shard.site;
    let (layout, epoch) = (speaker.ring.epoch(), speaker.identity.epoch);
    let frame = Frame { layout, epoch, clock: Default::default(), messages: Vec::new() };
    let now = bus.now;
    bus.nodes.get_mut(&NodeId(3)).unwrap().shard.handle(now, Input::Peer { from: NodeId(1), frame });
    let asked = |bus: &mut Bus| {
        let mut asked = 0;
        for _ in 0..100 {
            bus.turn(NodeId(3));
            let told = bus.frames.drain(..).flat_map(|(_, _, frame)| frame.messages);
            let is_pull = |message: PeerMessage| matches!(message, PeerMessage::Layout(message) if matches!(*message, LayoutMessage::Pull { have: 1 }));
            asked += told.filter(|told| is_pull(told.message.clone())).count();
            bus.now.mono = bus.now.mono.after(Duration::from_millis(20));
            bus.now.wall.0 += 20_000;
        }
        asked
    };
    let count = asked(&mut bus);
    assert!((6..=9).contains(&count), "in two seconds once per ping interval, not {count} times");
    bus.cut.clear();
    bus.run(Duration::from_secs(1));
    assert_eq!(bus.numbers(), [2; 3]);
    assert_eq!(asked(&mut bus), 0, "it has come");
}

#[test]
fn without_a_majority_nothing_is_decided_and_the_caller_is_told_so() {
    let mut bus = Bus::new(5);
    let view = bus.stage(1, moved(1, "a:1"));
    bus.cut.extend([3, 4, 5].map(NodeId));
    let id = bus.call(1, Bus::commit_of(&view));
    bus.run(Duration::from_secs(20));
    let refused = error(bus.cluster_answers.remove(&id).unwrap());
    assert_eq!(refused, ClusterError::NoMajority { answered: 2, voters: 5 });
    assert_eq!(bus.numbers(), [1; 5]);
    bus.cut.clear();
    bus.run(Duration::from_secs(1));
    assert!(is_committed(&bus.admin(1, Bus::commit_of(&view)), 2), "the plan was kept");
}

#[test]
fn of_two_operators_that_commit_on_one_base_one_is_told_that_the_other_won() {
    let mut bus = Bus::new(5);
    let views = [1, 5].map(|at| bus.stage(at, moved(at, "a:1")));
    let ids = [0, 1].map(|who: usize| bus.call([1, 5][who], Bus::commit_of(&views[who])));
    bus.run(Duration::from_secs(15));
    let answers = ids.map(|id| bus.cluster_answers.remove(&id).unwrap());
    let won = answers.iter().filter(|answer| is_committed(answer, 2)).count();
    let lost = answers.iter().filter(|answer| matches!(answer, ClusterAnswer::Refused(ClusterError::Lost { .. })));
    assert_eq!((won, lost.count()), (1, 1), "{answers:?}");
    assert_eq!(bus.numbers(), [2; 5]);
    let loser = if is_committed(&answers[0], 2) { 5 } else { 1 };
    let stale = bus.admin(loser, ClusterCall::Commit { base: views[0].present.epoch, content: 7 });
    assert!(matches!(error(stale), ClusterError::Change(ChangeError::PlanIsStale { .. })));
}

#[test]
fn a_commit_whose_proposer_died_is_finished_by_others_and_answered_when_it_is_repeated() {
    let mut bus = Bus::new(5);
    let view = bus.stage(5, moved(1, "a:1"));
    let next = view.next.clone().unwrap();
    bus.cut.insert(NodeId(5));
    // Two voters have promised and accepted, and the proposer is gone.
    let ballot = Ballot { round: 1, node: NodeId(5), start: bus.nodes[&NodeId(5)].shard.site.identity.epoch };
    for value in [None, Some(next)] {
        for voter in [2, 3, 4] {
            let ask = Ask { number: 2, ballot, value: value.clone() };
            let epoch = ballot.start;
            let messages =
                vec![Addressed { partition: PartitionId(0), layout: 1, message: layout(LayoutMessage::Ask(ask)) }];
            let frame = Frame { layout: view.present.epoch, epoch, clock: Default::default(), messages };
            let now = bus.now;
            bus.nodes.get_mut(&NodeId(voter)).unwrap().shard.handle(now, Input::Peer { from: NodeId(5), frame });
        }
        bus.settle();
    }
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.numbers(), [2, 2, 2, 2, 1]);
    bus.cut.clear();
    let again = bus.admin(5, Bus::commit_of(&view));
    assert!(is_committed(&again, 2), "{again:?}");
    assert_eq!(bus.numbers(), [2; 5]);
}

#[test]
fn a_vote_survives_the_restart_of_the_voter() {
    let mut bus = Bus::new(3);
    let view = bus.stage(1, moved(1, "a:1"));
    let next = view.next.unwrap();
    let promised =
        |bus: &Bus, at: u64| bus.nodes[&NodeId(at)].store.fetch(Space::Meta, &crate::storage::keyspace::acceptor_key());
    let ballot = Ballot { round: 9, node: NodeId(3), start: bus.nodes[&NodeId(3)].shard.site.identity.epoch };
    bus.hear(NodeId(2), NodeId(3), "x", layout(LayoutMessage::Ask(Ask { number: 2, ballot, value: None })));
    bus.hear(NodeId(2), NodeId(3), "x", layout(LayoutMessage::Ask(Ask { number: 2, ballot, value: Some(next) })));
    let before = promised(&bus, 2).unwrap().expect("written down");
    let store = bus.nodes.remove(&NodeId(2)).unwrap().store;
    bus.start(NodeId(2), store);
    assert_eq!(promised(&bus, 2).unwrap(), Some(before));
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.numbers(), [2; 3], "and what stood in it was finished");
}

/// Whether a voter that promised something remembers it after a restart.
fn is_promise_kept() -> bool {
    let mut bus = Bus::new(3);
    let start = bus.nodes[&NodeId(3)].shard.site.identity.epoch;
    let ask = |round| Ask { number: 2, ballot: Ballot { round, node: NodeId(3), start }, value: None };
    bus.hear(NodeId(2), NodeId(3), "x", layout(LayoutMessage::Ask(ask(9))));
    let store = bus.nodes.remove(&NodeId(2)).unwrap().store;
    bus.start(NodeId(2), store);
    let key = crate::storage::keyspace::acceptor_key();
    bus.hear(NodeId(2), NodeId(3), "x", layout(LayoutMessage::Ask(ask(8))));
    let kept = bus.nodes[&NodeId(2)].store.fetch(Space::Meta, &key).unwrap();
    bus.hear(NodeId(2), NodeId(3), "x", layout(LayoutMessage::Ask(ask(10))));
    kept.is_some() && kept != bus.nodes[&NodeId(2)].store.fetch(Space::Meta, &key).unwrap()
}

#[test]
fn a_promise_is_kept_through_a_restart() {
    assert!(is_promise_kept());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_promise_is_forgotten() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::PromiseNotDurable));
    let is_kept = is_promise_kept();
    switch_off(None);
    assert!(!is_kept);
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_two_halves_decide_differently() {
    use crate::mutation::{Mutation, switch_off};
    for is_off in [false, true] {
        let mut bus = Bus::new(4);
        let views = [1, 4].map(|at| bus.stage(at, moved(at, "a:1")));
        switch_off(is_off.then_some(Mutation::LayoutByMinority));
        let mut contents = BTreeSet::new();
        for (half, (at, view)) in [[3, 4], [1, 2]].into_iter().zip([1, 4].into_iter().zip(&views)) {
            bus.cut = half.map(NodeId).into();
            bus.run(Duration::from_secs(2));
            bus.call(at, Bus::commit_of(view));
            bus.run(Duration::from_secs(15));
            let layout = bus.nodes[&NodeId(at)].shard.site.ring.epoch();
            contents.extend((layout.number == 2).then_some(layout.content));
        }
        switch_off(None);
        assert_eq!(contents.len(), if is_off { 2 } else { 0 });
    }
}

#[test]
fn a_member_that_was_declared_lost_is_not_heard() {
    let mut bus = Bus::new(5);
    bus.cut.insert(NodeId(5));
    bus.run(Duration::from_secs(2));
    let answer = bus.commit(1, [Change::Fence(NodeId(5))]);
    assert!(is_committed(&answer, 2), "{answer:?}");
    assert!(hears_fenced(&mut bus) == 0);
    bus.cut.clear();
    bus.run(Duration::from_secs(2));
    assert!(bus.nodes[&NodeId(5)].shard.site.ring.is_fenced(NodeId(5)), "it learns of it");
}

/// Answers that member 1 gives to a ping of member 5.
fn hears_fenced(bus: &mut Bus) -> usize {
    let epoch = bus.nodes[&NodeId(5)].shard.site.identity.epoch;
    let message = PeerMessage::Ping(Ping { wall: WallTime(1) });
    let messages = vec![Addressed { partition: PartitionId(0), layout: 1, message }];
    let frame =
        Frame { layout: bus.nodes[&NodeId(5)].shard.site.ring.epoch(), epoch, clock: Default::default(), messages };
    let now = bus.now;
    let shard = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
    shard.handle(now, Input::Peer { from: NodeId(5), frame });
    let SealedTurn { effects, .. } = shard.seal(now);
    let is_pong = |effect: &Effect| match effect {
        Effect::Send { frame, .. } => frame.messages.iter().any(|it| matches!(it.message, PeerMessage::Pong(_))),
        _ => false,
    };
    effects.iter().filter(|effect| is_pong(effect)).count()
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_lost_member_speaks_on() {
    use crate::mutation::{Mutation, switch_off};
    let mut bus = Bus::new(5);
    bus.cut.insert(NodeId(5));
    bus.run(Duration::from_secs(2));
    bus.commit(1, [Change::Fence(NodeId(5))]);
    switch_off(Some(Mutation::FencedSpeaks));
    let answers = hears_fenced(&mut bus);
    switch_off(None);
    assert_eq!(answers, 1);
}

#[test]
fn of_two_layouts_of_one_number_neither_is_taken_over_the_other() {
    let mut bus = Bus::new(3);
    let first = Committed::first(crate::membership::Layout::clone(bus.ring.layout()));
    let child = |name: &str| {
        let mut layout = first.layout.clone();
        layout.epoch = crate::membership::LayoutEpoch { number: 2, content: 0, parent: first.layout.epoch.content };
        layout.name = name.into();
        first.followed_by(layout.seal().unwrap())
    };
    bus.cut.insert(NodeId(3));
    bus.push(1, 2, &child("one"));
    assert_eq!(bus.numbers(), [2, 2, 1]);
    bus.push(3, 2, &child("other"));
    assert_eq!(bus.numbers(), [2, 2, 2]);
    bus.cut.clear();
    bus.run(Duration::from_secs(2));
    let names = bus.nodes.values().map(|node| node.shard.site.ring.layout().name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["one", "one", "other"]);
    for at in [1, 3] {
        assert!(bus.status(NodeId(at)).rival_layout.is_some());
        let change = moved(1, "a:1");
        let refused = bus.admin(at, ClusterCall::Stage { change, accepts_loss: false });
        assert!(matches!(error(refused), ClusterError::Rival(_)));
    }
    let alarms = |node: &Node| node.observations.iter().any(|it| matches!(it, Observation::RivalLayout { .. }));
    assert!(bus.nodes.values().all(alarms));
}
