//! Layouts: decided by a majority, spread to all, led through their phases, refused where two cannot both be.

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

#[test]
fn a_candidate_is_listed_joins_and_learns_of_it() {
    let mut bus = Bus::new(3);
    bus.start_candidate(9, "late");
    bus.run(Duration::from_secs(2));
    let ClusterAnswer::Candidates(known) = bus.admin(2, ClusterCall::Candidates) else { panic!() };
    let member = crate::message::client::cluster::candidate_named(&known, "late").unwrap();
    assert_eq!((member.id, bus.status(NodeId(2)).candidates.len()), (NodeId(9), 1));
    assert!(matches!(
        crate::message::client::cluster::candidate_named(&known, "x"),
        Err(ClusterError::NoCandidate { known, .. }) if known == ["late"]
    ));
    let refused = bus.admin(9, ClusterCall::Revert);
    assert_eq!(error(refused), ClusterError::NotAMember);
    // Whatever else it says is not heard before it is a member.
    assert!(!bus.nodes[&NodeId(1)].shard.hears(NodeId(9), bus.ring.epoch()));
    assert!(is_committed(&bus.commit(2, [Change::Join(member)]), 2));
    bus.run(Duration::from_secs(2));
    assert!(bus.numbers().iter().all(|number| *number >= 2), "{:?}", bus.numbers());
    assert!(bus.status(NodeId(2)).candidates.is_empty());
}

#[test]
fn a_phase_waits_for_every_member_and_says_for_whom_until_it_is_fenced() {
    let mut bus = Bus::new(5);
    bus.cut.insert(NodeId(4));
    bus.run(Duration::from_secs(2));
    assert!(is_committed(&bus.commit(1, [Change::Leave(NodeId(5))]), 2));
    bus.run(Duration::from_secs(30));
    assert_eq!(bus.ring.layout().phase, Phase::Moving);
    let progress = bus.progress(2);
    let silent = progress.members.iter().find(|member| member.node == NodeId(4)).unwrap();
    assert_eq!((progress.driver, silent.wait, silent.adopted), (Some(NodeId(1)), Some(MoveWait::Silent), None));
    let refused = bus.admin(2, ClusterCall::Stage { change: moved(1, "a:1"), accepts_loss: false });
    assert!(matches!(error(refused), ClusterError::Change(ChangeError::NotSteady { .. })));
    assert!(is_committed(&bus.admin(2, ClusterCall::Revert), 3));
    assert_eq!(bus.ring.layout().phase, Phase::Steady);
    let refused = bus.admin(2, ClusterCall::Revert);
    assert!(matches!(error(refused), ClusterError::Revert(_)));
}

/// Six members, of which the last was to leave and the fourth was declared lost, in a change that was taken back.
fn after_a_loss_that_was_taken_back() -> Bus {
    let mut bus = Bus::new(6);
    // The last one does not hear of it, so the change stays where it is.
    bus.cut.extend([4, 6].map(NodeId));
    bus.run(Duration::from_secs(2));
    bus.stage(1, Change::Leave(NodeId(6)));
    assert!(is_committed(&bus.commit(1, [Change::Fence(NodeId(4))]), 2));
    assert!(is_committed(&bus.admin(1, ClusterCall::Revert), 3));
    bus.cut.remove(&NodeId(6));
    bus.run(Duration::from_secs(30));
    bus
}

fn has_all_owners(ring: &RingView) -> bool {
    ring.partitions().all(|partition| ring.owners(partition).len() == usize::from(ring.layout().replicas))
}

#[test]
fn a_change_with_a_loss_is_taken_back_and_the_places_of_the_lost_are_filled() {
    let bus = after_a_loss_that_was_taken_back();
    let layout = bus.ring.layout();
    let members: Vec<u64> = layout.members.iter().map(|member| member.id.0).collect();
    assert_eq!((layout.phase, members), (Phase::Steady, vec![1, 2, 3, 5, 6]), "{:?}", bus.numbers());
    assert!(has_all_owners(&bus.ring));
}

#[test]
fn who_is_lost_while_a_change_ends_is_replaced_by_the_next_one_of_the_members_own_accord() {
    let mut bus = Bus::new(5);
    let view = bus.stage(1, Change::Leave(NodeId(5)));
    let moving = Committed::first(view.present.clone()).followed_by(view.next.unwrap());
    let switched = moving.followed_by(moving.layout.next_phase().unwrap().unwrap());
    bus.never_adopts.insert(NodeId(4));
    bus.push(1, 2, &switched);
    bus.run(Duration::from_secs(2));
    assert!(is_committed(&bus.commit(2, [Change::Fence(NodeId(4))]), 4));
    bus.run(Duration::from_secs(20));
    let layout = bus.ring.layout();
    let members: Vec<u64> = layout.members.iter().map(|member| member.id.0).collect();
    assert_eq!((layout.phase, members), (Phase::Steady, vec![1, 2, 3]), "{:?}", bus.numbers());
    assert!(has_all_owners(&bus.ring));
}

/// How far five members come with a change in which nothing is to be loaded any more, of which one takes nothing up.
#[test]
fn a_phase_waits_for_every_shard_of_a_member() {
    let mut bus = Bus::new(5);
    let half = NodeId(4);
    bus.halve(half);
    bus.run(Duration::from_secs(2));
    assert!(is_committed(&bus.commit(1, [Change::Leave(NodeId(2))]), 2));
    bus.run(Duration::from_secs(10));
    let progress = bus.progress(1);
    let member = progress.members.iter().find(|member| member.node == half).unwrap();
    assert_eq!((progress.phase, member.adopted, member.wait), (Phase::Moving, None, Some(MoveWait::Silent)));
    assert_eq!(bus.nodes[&half].shard.site.ring.epoch().number, 2, "the shard that is there acts by it");
}

/// What a shard that keeps no layout answers when shard 0 of its node asks how far it is.
fn told_by_second_shard(bus: &Bus, node: NodeId, moving: &Arc<RingView>, is_paused: bool) -> (Shard, Vec<PeerMessage>) {
    let now = bus.now;
    let store = Arc::new(MemoryStore::new(77));
    let identity = crate::replica::begin_start(store.as_ref(), bus.ring.layout(), node, 4_242).unwrap();
    let scope = ShardScope { index: 1, count: 2 };
    let epoch = identity.epoch;
    let mut shard = Shard::open(bus.config.clone(), identity, scope, bus.ring.clone(), store.clone(), 4, now).unwrap();
    shard.handle(now, Input::RingChanged(moving.clone()));
    let paused = crate::message::peer::Paused { at: WallTime(5), is_paused };
    let message = layout(LayoutMessage::MoveQuery(crate::message::peer::MoveQuery { round: 9, paused }));
    let messages = vec![Addressed { partition: PartitionId(1), layout: 2, message }];
    let frame = Frame { layout: moving.epoch(), epoch, clock: Default::default(), messages };
    shard.handle(now, Input::Peer { from: node, frame });
    let SealedTurn { batch, ticket, effects } = shard.seal(now);
    let is_said = |effect: &Effect| matches!(effect, Effect::Send { to, .. } if *to == node);
    assert!(!effects.iter().any(is_said), "it has not written down yet what it is to its partitions");
    store.write(&batch).unwrap();
    store.sync().unwrap();
    shard.handle(now, Input::Durable(ticket));
    let SealedTurn { effects, .. } = shard.seal(now);
    let told = effects.into_iter().flat_map(|effect| match effect {
        Effect::Send { to, frame } if to == node => frame.messages,
        _ => Vec::new(),
    });
    (shard, told.map(|told| told.message).collect())
}

#[test]
fn every_shard_of_a_node_takes_a_layout_up_and_tells_shard_0_of_its_own_partitions_how_far_it_is() {
    let members = (1..=5).map(|id| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"))).collect();
    let mut layout = Layout::founding(crate::ids::ClusterId([7; 16]), "test", members);
    layout.partitions = 64;
    let bus = Bus::founded(layout, ShardConfig::default());
    let change = super::moves::Move::of(&bus);
    let moving = change.moving();
    let unsynced_of = |node: NodeId, shard: usize| {
        let is_mine = |partition: &PartitionId| partition.shard(2) == shard;
        let to_come = |partition: &PartitionId| moving.owners_to_come(*partition).contains(&node);
        moving.partitions().filter(is_mine).filter(to_come).count()
    };
    let has_both = |node: &NodeId| (0..2).all(|shard| unsynced_of(*node, shard) > 0);
    let node = bus.everyone().into_iter().find(has_both).expect("a node to which partitions of both shards come");
    let (shard, told) = told_by_second_shard(&bus, node, moving, true);
    let [PeerMessage::Layout(told)] = &told[..] else { panic!("{told:?}") };
    let LayoutMessage::MoveAnswer(answer) = &**told else { panic!("{told:?}") };
    assert_eq!((answer.round, answer.shard, answer.shards, answer.adopted), (9, 1, 2, moving.epoch().number));
    assert_eq!(answer.state.unsynced as usize, unsynced_of(node, 1), "of its own partitions");
    assert!(shard.transfer.is_paused, "what an operator says of moving data comes with the question");
    assert!(!told_by_second_shard(&bus, node, moving, false).0.transfer.is_paused);
}

#[test]
fn however_often_somebody_asks_for_the_progress_a_round_is_given_its_time() {
    let mut bus = Bus::new(5);
    assert!(is_committed(&bus.commit(1, [Change::Leave(NodeId(2))]), 2));
    // Members are slow: what they say of the round comes after the next call.
    let mut rounds = BTreeSet::new();
    for _ in 0..100 {
        bus.call(1, ClusterCall::Progress);
        bus.turn(NodeId(1));
        let told = bus.frames.drain(..).flat_map(|(_, _, frame)| frame.messages);
        rounds.extend(told.filter_map(|told| match told.message {
            PeerMessage::Layout(message) => match *message {
                LayoutMessage::MoveQuery(query) => Some(query.round),
                _ => None,
            },
            _ => None,
        }));
        bus.now.mono = bus.now.mono.after(Duration::from_millis(60));
        bus.now.wall.0 += 60_000;
    }
    assert!((5..=7).contains(&rounds.len()), "in six seconds one each second: {rounds:?}");
}

fn with_one_behind() -> (Bus, Phase) {
    let mut bus = Bus::new(5);
    let view = bus.stage(1, Change::Leave(NodeId(5)));
    let moving = Committed::first(view.present.clone()).followed_by(view.next.unwrap());
    let switched = moving.followed_by(moving.layout.next_phase().unwrap().unwrap());
    bus.never_adopts.insert(NodeId(4));
    bus.push(1, 2, &switched);
    bus.run(Duration::from_secs(4));
    let phase = bus.ring.layout().phase;
    (bus, phase)
}

#[test]
fn a_phase_is_left_only_when_every_member_acts_by_it() {
    let (mut bus, phase) = with_one_behind();
    assert_eq!((phase, bus.numbers()), (Phase::Switched, vec![3, 3, 3, 1, 3]));
    let waits: Vec<_> = bus.progress(2).waits_for().map(|(member, wait)| (member.node, wait)).collect();
    assert_eq!(waits, [(NodeId(4), MoveWait::Adopts)]);
    bus.never_adopts.clear();
    let store = bus.nodes.remove(&NodeId(4)).unwrap().store;
    bus.start(NodeId(4), store);
    bus.run(Duration::from_secs(3));
    assert_ne!(bus.ring.layout().phase, Phase::Switched, "{:?}", bus.numbers());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_member_is_left_two_phases_behind() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::PhaseWithoutBarrier));
    let (_, phase) = with_one_behind();
    switch_off(None);
    assert_ne!(phase, Phase::Switched);
}

#[test]
fn what_an_operator_says_of_moving_data_reaches_every_node() {
    let mut bus = Bus::new(3);
    for is_paused in [true, false] {
        assert_eq!(bus.admin(2, ClusterCall::PauseMoves(is_paused)), ClusterAnswer::Paused(is_paused));
        assert!((1..=3).all(|node| bus.status(NodeId(node)).is_move_paused == is_paused));
    }
    // Every other shard of it is told by the first one.
    bus.halve(NodeId(3));
    let id = bus.call(2, ClusterCall::PauseMoves(true));
    let mut around = 0;
    while (2..=3).map(|node| bus.turn(NodeId(node))).fold(false, |one, other| one | other) {
        for (from, to, frame) in std::mem::take(&mut bus.frames) {
            let is_pause = |told: &&Addressed| matches!(&told.message, PeerMessage::Layout(it) if matches!(**it, LayoutMessage::Pause(_)));
            let pauses: Vec<PartitionId> = frame.messages.iter().filter(is_pause).map(|told| told.partition).collect();
            match (from == to, &pauses[..]) {
                (_, []) => {}
                (true, pauses) => around += pauses.iter().filter(|it| **it == PartitionId(1)).count(),
                (false, pauses) => assert_eq!(pauses, [PartitionId(0)], "once for each member"),
            }
            let now = bus.now;
            if from != to {
                bus.nodes.get_mut(&to).unwrap().shard.handle(now, Input::Peer { from, frame });
            }
        }
    }
    assert_eq!(around, 1);
    assert!(bus.status(NodeId(3)).is_move_paused && bus.cluster_answers.contains_key(&id));
}

#[test]
fn who_asked_for_a_recovery_is_told_when_a_layout_was_decided_meanwhile() {
    let mut bus = Bus::new(5);
    let view = bus.stage(1, moved(1, "a:1"));
    let next = Committed::first(view.present.clone()).followed_by(view.next.unwrap());
    bus.cut.extend([2, 3, 4, 5].map(NodeId));
    let survivors = [1, 2].map(NodeId).to_vec();
    let id = bus.call(1, ClusterCall::Recover { survivors, cluster: "test".into() });
    bus.run(Duration::from_secs(1));
    bus.push(1, 2, &next);
    bus.run(Duration::from_secs(1));
    let refused = error(bus.cluster_answers.remove(&id).expect("answered"));
    assert_eq!(refused, ClusterError::Lost { to: next.layout.epoch });
}

#[test]
fn whoever_commits_is_answered_in_ten_seconds() {
    let mut bus = Bus::new(3);
    let view = bus.stage(1, moved(1, "a:1"));
    bus.cut.extend([2, 3].map(NodeId));
    let id = bus.call(1, Bus::commit_of(&view));
    bus.run(Duration::from_millis(10_100));
    let refused = error(bus.cluster_answers.remove(&id).expect("answered"));
    assert_eq!(refused, ClusterError::NoMajority { answered: 1, voters: 3 });
}

#[test]
fn a_recovery_is_refused_while_a_majority_answers_or_the_loss_is_not_accepted() {
    let mut bus = Bus::new(5);
    let recover = |survivors: &[u64], cluster: &str| ClusterCall::Recover {
        survivors: survivors.iter().copied().map(NodeId).collect(),
        cluster: cluster.into(),
    };
    let refused = error(bus.admin(1, recover(&[1, 2], "tset")));
    assert_eq!(refused, ClusterError::NotAccepted { name: "test".into() });
    let refused = error(bus.admin(1, recover(&[1, 9], "test")));
    assert_eq!(refused, ClusterError::NoSurvivor { node: NodeId(9) });
    let refused = error(bus.admin(1, recover(&[1, 2], "test")));
    assert!(matches!(refused, ClusterError::HasMajority { voters: 5, .. }), "{refused:?}");
    bus.cut.extend([2, 3, 4, 5].map(NodeId));
    let id = bus.call(1, recover(&[1, 2], "test"));
    bus.run(Duration::from_secs(11));
    let refused = error(bus.cluster_answers.remove(&id).unwrap());
    assert_eq!(refused, ClusterError::SurvivorsSilent { silent: vec![NodeId(2)] });
    assert_eq!(bus.numbers(), [1; 5]);
    bus.cut.clear();
    bus.run(Duration::from_secs(3));
    let answer = bus.commit(1, [moved(2, "b:1")]);
    assert!(is_committed(&answer, 2), "a name too many took nobody's vote: {answer:?}");
}

#[test]
fn a_recovery_that_was_given_up_after_the_votes_were_taken_can_be_made_again() {
    let mut bus = Bus::new(5);
    bus.run(Duration::from_secs(2));
    bus.cut.extend([4, 5].map(NodeId));
    for (node, from) in [(1, 2), (2, 1)] {
        let query =
            RecoverQuery { round: 7, epoch: bus.nodes[&NodeId(from)].shard.site.identity.epoch, closes: true, have: 1 };
        bus.hear(NodeId(node), NodeId(from), "any", layout(LayoutMessage::RecoverQuery(query)));
    }
    let view = bus.stage(3, moved(3, "c:1"));
    let id = bus.call(3, Bus::commit_of(&view));
    bus.run(Duration::from_secs(25));
    let refused = error(bus.cluster_answers.remove(&id).unwrap());
    assert_eq!(refused, ClusterError::NoMajority { answered: 1, voters: 5 }, "three are there, one of them votes");
    let survivors = [1, 2, 3].map(NodeId).to_vec();
    let id = bus.call(1, ClusterCall::Recover { survivors, cluster: "test".into() });
    bus.run(Duration::from_secs(6));
    let answer = bus.cluster_answers.remove(&id).unwrap();
    assert!(matches!(answer, ClusterAnswer::Committed(_)), "{answer:?}");
}

/// A layout is decided by 1 and 2; then 1 is away, the disk of 2 is wiped, and 3 asks for another layout of that number. Whether
/// there is but one in the end.
fn is_one_layout_decided_though_a_voter_was_wiped() -> bool {
    let mut bus = Bus::new(3);
    bus.run(Duration::from_secs(2));
    // Its bundle names the first layout.
    bus.rings.insert(NodeId(2), bus.ring.clone());
    bus.cut.insert(NodeId(3));
    assert!(is_committed(&bus.commit(1, [moved(1, "a:1")]), 2));
    bus.cut = BTreeSet::from([NodeId(1)]);
    bus.wipe(NodeId(2));
    bus.run(Duration::from_secs(2));
    let view = bus.stage(3, moved(3, "c:1"));
    let id = bus.call(3, Bus::commit_of(&view));
    bus.run(Duration::from_secs(25));
    !is_committed(&bus.cluster_answers.remove(&id).unwrap(), 2)
}

#[test]
fn a_voter_that_has_lost_its_vote_does_not_vote_again_and_votes_on_what_follows() {
    assert!(is_one_layout_decided_though_a_voter_was_wiped());
    let mut bus = Bus::new(3);
    bus.run(Duration::from_secs(2));
    bus.wipe(NodeId(2));
    bus.run(Duration::from_secs(3));
    for number in 2..=4 {
        assert!(is_committed(&bus.commit(1, [moved(1, &format!("a:{number}"))]), number), "two others vote");
    }
    bus.cut.insert(NodeId(3));
    bus.run(Duration::from_secs(2));
    assert!(is_committed(&bus.commit(1, [moved(1, "a:5")]), 5), "by then it votes");
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_wiped_voter_lets_two_layouts_of_one_number_be_decided() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::ForgottenVoteRepeated));
    let is_one = is_one_layout_decided_though_a_voter_was_wiped();
    switch_off(None);
    assert!(!is_one);
}

#[test]
fn survivors_go_on_without_the_others_which_stay_out_when_they_come_back() {
    let mut bus = Bus::new(7);
    bus.cut.extend([4, 5, 6, 7].map(NodeId));
    bus.run(Duration::from_secs(2));
    let survivors = [1, 2, 3].map(NodeId).to_vec();
    let id = bus.call(2, ClusterCall::Recover { survivors: survivors.clone(), cluster: "test".into() });
    bus.run(Duration::from_secs(7));
    let answer = bus.cluster_answers.remove(&id).unwrap();
    assert!(is_committed(&answer, 2), "{answer:?}");
    let layout = bus.nodes[&NodeId(1)].shard.site.ring.layout().clone();
    let forced = layout.forced.as_ref().map(|forced| forced.survivors.clone());
    assert!(forced == Some(survivors) || layout.epoch.number > 2);
    assert_eq!((layout.voters(), layout.fenced.len()), ([1, 2, 3].map(NodeId).to_vec(), 4));
    assert!(layout.fenced.iter().any(|fenced| !fenced.declared_lost.is_empty()), "what only the lost had is named");
    bus.cut.clear();
    bus.run(Duration::from_secs(3));
    assert!(bus.numbers().iter().all(|number| *number >= 2));
    assert!(bus.nodes[&NodeId(7)].shard.site.ring.is_fenced(NodeId(7)), "they learn of it");
}
