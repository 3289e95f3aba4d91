//! Layouts where votes are lost: recoveries without a majority, and voters whose disk was wiped.

use super::*;

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

/// Two of four vote no more, and nobody is lost: once no recovery could be made but one that fences somebody who is well.
#[test]
fn where_too_many_vote_no_more_and_all_are_back_a_recovery_with_all_of_them_opens_the_votes_again() {
    let mut bus = Bus::new(4);
    bus.run(Duration::from_secs(2));
    for (node, from) in [(1, 2), (2, 1)] {
        let epoch = bus.nodes[&NodeId(from)].shard.site.identity.epoch;
        let query = RecoverQuery { round: 7, epoch, closes: true, have: 1 };
        bus.hear(NodeId(node), NodeId(from), "any", layout(LayoutMessage::RecoverQuery(query)));
    }
    let view = bus.stage(3, moved(3, "c:1"));
    let id = bus.call(3, Bus::commit_of(&view));
    bus.run(Duration::from_secs(25));
    let refused = error(bus.cluster_answers.remove(&id).unwrap());
    assert_eq!(refused, ClusterError::NoMajority { answered: 2, voters: 4 });
    let members = view.present.members.clone();
    let survivors = members.iter().map(|member| member.id).collect();
    let id = bus.call(3, ClusterCall::Recover { survivors, cluster: "test".into() });
    bus.run(Duration::from_secs(7));
    let answer = bus.cluster_answers.remove(&id).unwrap();
    assert!(matches!(answer, ClusterAnswer::Committed(_)), "{answer:?}");
    bus.run(Duration::from_secs(2));
    let layout = bus.nodes[&NodeId(4)].shard.site.ring.layout().clone();
    assert_eq!((&layout.members, layout.fenced.len()), (&members, 0), "nothing has changed");
    let answer = bus.commit(1, [moved(1, "a:1")]);
    assert!(is_committed(&answer, layout.epoch.number + 1), "{answer:?}");
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
