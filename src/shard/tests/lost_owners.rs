//! Owners that are declared lost: whoever is left goes on, and what nobody is left of is founded anew.

use super::council::is_committed;
use super::*;
use crate::membership::{Change, Fallbacks, Phase};
use crate::message::client::ClusterCall;

const SURVIVORS: [NodeId; 2] = [NodeId(1), NodeId(2)];
const LOST: [NodeId; 3] = [NodeId(3), NodeId(4), NodeId(5)];

/// Five nodes, everybody stands in for everybody.
fn five(replicas: u8) -> Bus {
    let members = (1..=5).map(|id| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"))).collect();
    let mut layout = Layout::founding(ClusterId([7; 16]), "test", members);
    layout.partitions = 16;
    layout.fallbacks = Fallbacks::All;
    layout.replicas = replicas;
    (layout.read_quorum, layout.write_quorum) = (1, 1);
    Bus::founded(layout, ShardConfig::default())
}

/// A key of which these are all owners.
fn key_of(bus: &Bus, owners: &[NodeId]) -> String {
    let owns_all = |key: &String| bus.list(key).0.iter().all(|owner| owners.contains(owner));
    (0..10_000).map(|number| format!("k{number}")).find(owns_all).expect("some key")
}

/// Three of the five are lost for ever; the two that are left are told to go on alone.
fn recover(bus: &mut Bus) {
    bus.cut.extend(LOST);
    bus.run(Duration::from_secs(3));
    let id = bus.call(1, ClusterCall::Recover { survivors: SURVIVORS.to_vec(), cluster: "test".into() });
    bus.run(Duration::from_secs(7));
    let answer = bus.cluster_answers.remove(&id).unwrap();
    assert!(is_committed(&answer, 2), "{answer:?}");
}

fn phase(bus: &Bus) -> Phase {
    bus.nodes[&NodeId(1)].shard.site.ring.layout().phase
}

fn do_survivors_found_what_nobody_is_left_of() -> bool {
    let mut bus = five(2);
    let (lost, half) = (key_of(&bus, &LOST), "any".to_owned());
    written(&bus.increment(NodeId(3), &lost, 1_000));
    bus.cut.extend(LOST);
    bus.run(Duration::from_secs(3));
    // They stand in for the lost ones: what they take is a hint, and is not lost.
    written(&bus.increment(NodeId(1), &lost, 5));
    written(&bus.increment(NodeId(2), &lost, 2));
    written(&bus.increment(NodeId(2), &half, 3));
    recover(&mut bus);
    bus.run(Duration::from_secs(20));
    if phase(&bus) != Phase::Steady {
        return false;
    }
    for partition in bus.ring.partitions() {
        for node in SURVIVORS {
            let shard = &bus.nodes[&node].shard;
            let standing = Standing::of(&shard.site.env(bus.now), &shard.turn, partition);
            assert_eq!(standing, Standing::Owner, "{node} {partition}");
        }
    }
    let owed = |node: NodeId| bus.nodes[&node].shard.turn.owed_owners().count();
    assert_eq!(SURVIVORS.map(owed), [0, 0], "nobody is owed what nobody can take");
    for node in SURVIVORS {
        let both = Options { r: Some(2), strict: true, ..Options::default() };
        for (key, value) in [(&lost, 7), (&half, 3)] {
            let id = bus.send(node, key, Command::Get, both.clone());
            bus.run(Duration::from_millis(400));
            let Response::Value(reply) = &bus.replies[&id] else { panic!("{:?}", bus.replies[&id]) };
            assert_eq!(reply.value, number(value), "{key} at {node}");
        }
    }
    let strict = Options { w: Some(2), strict: true, ..Options::default() };
    let id = bus.send(NodeId(2), &lost, Command::Increment { by: 1 }, strict);
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&id]);
    // A start finds nothing that is still to be founded or moved.
    for node in SURVIVORS {
        bus.restart(node);
    }
    bus.run(Duration::from_secs(3));
    bus.value(NodeId(1), &lost) == number(8)
}

#[test]
fn what_nobody_is_left_of_is_founded_by_the_survivors_with_the_hints_that_they_hold() {
    assert!(do_survivors_found_what_nobody_is_left_of());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_change_waits_for_those_who_are_lost() {
    use crate::mutation::Mutation;
    assert!(goes_wrong_without(Mutation::LostPlacementCounts, do_survivors_found_what_nobody_is_left_of));
}

#[test]
fn fewer_survivors_than_replicas_serve_what_they_have_until_enough_have_joined() {
    let mut bus = five(3);
    let lost = key_of(&bus, &LOST);
    let kept = (0..10_000).map(|number| format!("k{number}")).find(|key| bus.list(key).0.contains(&NodeId(1))).unwrap();
    written(&bus.increment(NodeId(3), &lost, 1_000));
    written(&bus.increment(NodeId(1), &kept, 5));
    bus.run(Duration::from_secs(2));
    // One that stands in for the lost ones, and for nobody in particular once they are declared lost.
    bus.cut.extend(LOST);
    bus.run(Duration::from_secs(3));
    written(&bus.increment(NodeId(1), &lost, 5));
    recover(&mut bus);
    bus.run(Duration::from_secs(5));
    assert_eq!(phase(&bus), Phase::Steady, "two cannot hold three replicas, so nothing moves");
    let layout = bus.nodes[&NodeId(1)].shard.site.ring.layout().clone();
    assert_eq!((layout.fenced.len(), layout.members.len(), layout.voters()), (3, 5, SURVIVORS.to_vec()));
    let names = layout.fenced.iter().map(|fenced| !fenced.declared_lost.is_empty());
    assert_eq!(names.collect::<Vec<_>>(), [true, false, false], "the first of them names what is lost");
    assert_eq!(bus.value(NodeId(2), &kept), number(5));
    written(&bus.increment(NodeId(2), &kept, 1));
    assert_eq!(bus.value(NodeId(2), &lost), number(5), "whoever stands in is read");
    // Nobody could be owed what is written to it now.
    for node in SURVIVORS {
        assert_eq!(refused(bus.increment(node, &lost, 1)), Reason::NoOwner);
    }

    bus.start_candidate(9, "late");
    bus.run(Duration::from_secs(2));
    let ClusterAnswer::Candidates(known) = bus.admin(1, ClusterCall::Candidates) else { panic!() };
    let member = crate::message::client::cluster::candidate_named(&known, "late").unwrap();
    assert!(is_committed(&bus.commit(1, [Change::Join(member)]), 3));
    bus.run(Duration::from_secs(25));
    let ring = bus.nodes[&NodeId(1)].shard.site.ring.clone();
    assert_eq!(ring.layout().phase, Phase::Steady, "{:?}", bus.progress(1));
    assert_eq!(ring.layout().members.len(), 3, "the places of the lost are given up");
    assert!(ring.partitions().all(|partition| ring.owners(partition).len() == 3));
    assert_eq!(bus.value(NodeId(9), &kept), number(6));
    let strict = Options { w: Some(3), strict: true, ..Options::default() };
    let id = bus.send(NodeId(9), &lost, Command::Increment { by: 4 }, strict);
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&id]);
    assert_eq!(
        bus.value(NodeId(2), &lost),
        number(9),
        "the hint is there; what only the lost had is gone, and said to be"
    );
}
