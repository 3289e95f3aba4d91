//! A change that was decided goes through its phases: who is waited for, what is told, what follows of its own accord.

use super::*;

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
