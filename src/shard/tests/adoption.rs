//! Taking up another layout: what a node is to each partition from then on, and what it forgets with what it was.

use super::moves::{Move, only_writes};
use super::*;
use crate::causality::Tick;
use crate::replica::{PartitionMemory, Role};

/// What a node is to a partition in each phase, by the lists of before and of after the change.
fn expected(
    node: NodeId,
    phase: usize,
    before: &RingView,
    after: &RingView,
    partition: PartitionId,
) -> (Role, Standing) {
    let (was, is) = (before.readers(partition).contains(&node), after.readers(partition).contains(&node));
    let stands_in = before.accepts(partition, node) || after.accepts(partition, node);
    match (was, is, phase) {
        (true, true, _) => (Role::Owner, Standing::Owner),
        (false, true, _) => (Role::Owner, Standing::Newborn),
        (true, false, 0 | 1) => (Role::Owner, Standing::Owner),
        (true, false, 2) => (Role::Owner, Standing::Leaving),
        (true, false, _) if after.accepts(partition, node) => (Role::Fallback, Standing::Newborn),
        (true, false, _) => (Role::None, Standing::Outside),
        (false, false, 2) if stands_in && !after.accepts(partition, node) => (Role::Fallback, Standing::Outside),
        (false, false, 0..=2) if stands_in && before.accepts(partition, node) => (Role::Fallback, Standing::Fallback),
        (false, false, 0..=2) if stands_in => (Role::Fallback, Standing::Newborn),
        (false, false, 3) if after.accepts(partition, node) && before.accepts(partition, node) => {
            (Role::Fallback, Standing::Fallback)
        }
        (false, false, 3) if after.accepts(partition, node) => (Role::Fallback, Standing::Newborn),
        (false, false, _) => (Role::None, Standing::Outside),
    }
}

#[test]
fn in_every_phase_each_node_stands_to_each_partition_as_the_lists_of_before_and_after_say() {
    let bus = Bus::with(6, ShardConfig::default());
    let change = Move::of(&bus);
    let (before, after) = (&bus.ring, &change.phases[3]);
    let mut met = BTreeSet::new();
    for partition in before.partitions() {
        for node in bus.everyone() {
            let role = Role::of(before, node, partition);
            let mut memory = PartitionMemory { is_established: true, sealed: Tick(9), ..PartitionMemory::default() };
            memory = memory.in_role(role, 1).unwrap_or(memory);
            assert!(memory.is_established, "under the founding layout the role is only noted");
            for (phase, view) in change.phases.iter().enumerate() {
                let role = Role::of(view, node, partition);
                memory = memory.in_role(role, view.epoch().number).unwrap_or(memory);
                let standing = Standing::by(view, node, partition, &memory, true);
                let expected = expected(node, phase, before, after, partition);
                assert_eq!((memory.role, standing), expected, "{node}, {partition}, phase {phase}");
                met.insert(format!("{standing:?}"));
                if standing == Standing::Newborn && role == Role::Owner {
                    let knows = PartitionMemory { knows_seal: true, ..memory };
                    let is_joining = Standing::by(view, node, partition, &knows, true) == Standing::Joining;
                    assert_eq!(is_joining, phase == 0, "once the owners to come are read, one without data is newborn");
                }
            }
        }
    }
    let all = ["Fallback", "Leaving", "Newborn", "Outside", "Owner"].map(str::to_owned);
    assert_eq!(met, BTreeSet::from(all), "every standing was met");
}

/// A stand-in knows the seal; an owner to come has no data. Both are "established" only for what they were.
fn is_who_becomes_an_owner_newborn() -> bool {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let (joiner, partition) = (change.joiner, change.partition);
    written(&bus.increment(change.stayers[0], &change.key, 7));
    bus.run(Duration::from_secs(6));
    assert_eq!(bus.standing(joiner, partition), Standing::Fallback);
    bus.adopt(bus.everyone(), change.moving());
    bus.standing(joiner, partition) == Standing::Newborn
}

#[test]
fn a_stand_in_that_becomes_an_owner_does_not_pass_for_one_with_the_data() {
    assert!(is_who_becomes_an_owner_newborn());
}

#[test]
fn who_was_away_while_the_layout_changed_starts_in_the_role_that_it_has_now() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let (joiner, partition) = (change.joiner, change.partition);
    bus.run(Duration::from_secs(6));
    let node = bus.nodes.remove(&joiner).unwrap();
    bus.adopt(bus.everyone().into_iter().chain([joiner]), change.moving());
    bus.start(joiner, node.store.clone());
    assert_eq!(bus.standing(joiner, partition), Standing::Newborn);
    bus.turn(joiner);
    bus.start(joiner, node.store);
    let memory = bus.nodes[&joiner].shard.turn.memory(partition);
    assert_eq!((memory.role, memory.role_since), (Role::Owner, change.moving().epoch().number));
    assert!(!memory.is_established, "it is remembered");
}

#[test]
fn what_an_owner_had_settled_says_nothing_once_it_is_one_again() {
    let owner = PartitionMemory {
        is_established: true,
        role: Role::Owner,
        sealed: Tick(9),
        frozen: Tick(8),
        compacted: Tick(7),
        folded: Tick(6),
        is_unswept: true,
        synced: 4,
        ..PartitionMemory::default()
    };
    let outside = owner.in_role(Role::None, 5).unwrap();
    assert!(!outside.is_established && outside.has_strays, "it has not handed over what it had: {outside:?}");
    let again = outside.in_role(Role::Owner, 6).unwrap();
    let expected = PartitionMemory { role: Role::Owner, role_since: 6, ..PartitionMemory::default() };
    assert_eq!(again, expected, "its rows may be older than what the others have forgotten since");
    let cleared = PartitionMemory { is_cleared: true, ..owner };
    assert!(!cleared.in_role(Role::Fallback, 5).unwrap().has_strays);
    let fallback =
        PartitionMemory { role: Role::Fallback, is_established: true, sealed: Tick(9), ..Default::default() };
    assert_eq!(fallback.in_role(Role::Owner, 5).unwrap().sealed, Tick(9), "its hints are older than that nowhere");
}

#[test]
fn a_layout_is_taken_up_once_and_an_older_one_never() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let [moving, switched, ..] = &change.phases;
    let node = change.stayers[0];
    bus.adopt([node], switched);
    bus.adopt([node], moving);
    bus.adopt([node], switched);
    bus.run(Duration::from_millis(100));
    let adopted = bus.nodes[&node].observations.iter().filter_map(|seen| match seen {
        Observation::LayoutAdopted { number } => Some(*number),
        _ => None,
    });
    assert_eq!(adopted.collect::<Vec<_>>(), [switched.epoch().number]);
    assert_eq!(bus.nodes[&node].shard.site.ring.epoch(), switched.epoch());
}

#[test]
fn a_member_that_is_none_any_more_is_neither_asked_nor_waited_for() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    bus.run(Duration::from_secs(1));
    for phase in &change.phases {
        bus.adopt(bus.everyone(), phase);
        bus.nodes.get_mut(&change.joiner).unwrap().shard.turn.establish(change.partition);
    }
    bus.nodes.remove(&change.leaver);
    bus.run(Duration::from_secs(3));
    for node in bus.everyone() {
        let status = bus.nodes[&node].shard.status(bus.now);
        assert!(status.peers.iter().all(|peer| peer.node != change.leaver && peer.is_reachable), "{status:?}");
    }
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_stand_in_would_pass_for_an_owner() {
    use crate::mutation::Mutation;
    assert!(goes_wrong_without(Mutation::RoleKeepsEstablished, is_who_becomes_an_owner_newborn));
}
