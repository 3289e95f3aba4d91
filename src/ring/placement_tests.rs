//! Placement: the golden vectors of version 1, and its bounds (shares, zones, moves) over many layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::ids::{ClusterId, NodeId};

/// Members with these (weight, zone), with ids from 1.
fn members(of: &[(u32, &str)]) -> Vec<Member> {
    let member = |(number, (weight, zone)): (u64, &(u32, &str))| Member {
        weight: *weight,
        zone: (*zone).to_owned(),
        ..Member::new(NodeId(number), format!("m{number}"), format!("host{number}:7000"))
    };
    (1..).zip(of).map(member).collect()
}

fn layout(replicas: u8, partitions: u16, fallbacks: Fallbacks, members: Vec<Member>) -> Layout {
    let mut layout = Layout::founding(ClusterId([7; 16]), "test", members);
    layout.placement = 1;
    layout.replicas = replicas;
    layout.read_quorum = 1;
    layout.write_quorum = 1;
    layout.partitions = partitions;
    layout.fallbacks = fallbacks;
    layout.seal().unwrap()
}

fn equal(nodes: usize, replicas: u8, partitions: u16) -> Layout {
    layout(replicas, partitions, Fallbacks::Next(2), members(&vec![(1, ""); nodes]))
}

fn place(layout: &Layout) -> Vec<PreferenceList> {
    super::place(layout, &layout.members, layout.fallbacks, None)
}

/// Partitions owned, by node; after checking what holds for every placement.
fn loads(layout: &Layout) -> BTreeMap<NodeId, u64> {
    let lists = place(layout);
    assert_eq!(lists.len(), usize::from(layout.partitions));
    let carriers: Vec<&Member> = layout.members.iter().filter(|member| member.weight > 0).collect();
    let others = carriers.len() - usize::from(layout.replicas);
    let fallbacks = match layout.fallbacks {
        Fallbacks::Next(count) => others.min(usize::from(count)),
        Fallbacks::All => others,
    };
    let mut loads: BTreeMap<NodeId, u64> = carriers.iter().map(|member| (member.id, 0)).collect();
    for list in &lists {
        assert_eq!(list.owners().len(), usize::from(layout.replicas));
        assert_eq!(list.fallbacks().len(), fallbacks);
        let distinct: BTreeSet<NodeId> = list.accept_set().iter().copied().collect();
        assert_eq!(distinct.len(), list.accept_set().len(), "a node stands twice in {list:?}");
        for owner in list.owners() {
            *loads.get_mut(owner).expect("an owner is a member of weight > 0") += 1;
        }
    }
    loads
}

/// The most partitions that a node of this share may own.
fn bound(partitions: u16, replicas: u8, weight: u64, weights: u64) -> u64 {
    let parts = u64::from(partitions) * u64::from(replicas) * weight;
    parts.div_ceil(weights).max(parts * 11 / (weights * 10))
}

#[test]
fn the_placement_of_version_1_never_changes() {
    let golden = include_str!("placement/golden_v1.txt");
    let small = layout(3, 16, Fallbacks::Next(1), members(&[(1, ""), (1, ""), (1, ""), (1, ""), (1, "")]));
    let mut shown = String::from("5 equal nodes, N = 3, Q = 16, F = 1\n");
    for (partition, list) in place(&small).iter().enumerate() {
        writeln!(shown, "p{partition}: {:?} {:?}", list.owners(), list.fallbacks()).unwrap();
    }
    let zoned: Vec<(u32, &str)> = (0..40).map(|node| (1 + node % 3, ["a", "b", "c", "d"][node as usize % 4])).collect();
    let large = layout(3, 1024, Fallbacks::All, members(&zoned));
    let mut bytes = Vec::new();
    for node in place(&large).iter().flat_map(PreferenceList::accept_set) {
        bytes.extend_from_slice(&node.0.to_be_bytes());
    }
    writeln!(shown, "40 nodes of weights 1 to 3 in 4 zones, N = 3, Q = 1024, F = all: {:016x}", xxh3_64(&bytes))
        .unwrap();
    assert_eq!(shown, golden, "nodes of two versions would disagree about owners; a new walk needs a new version");
}

#[test]
fn no_node_carries_more_than_its_fair_share_and_a_tenth() {
    let small = (3..=10).map(|nodes| (nodes, 256));
    let large = (5..=50).map(|nodes| (nodes, 1024));
    for (nodes, partitions) in small.chain(large) {
        let bound = bound(partitions, 3, 1, nodes);
        let most = loads(&equal(nodes as usize, 3, partitions)).into_values().max().unwrap();
        assert!(most <= bound, "{nodes} nodes, {partitions} partitions: {most}, at most {bound}");
    }
}

#[test]
fn the_bound_holds_where_a_tenth_is_less_than_one_partition() {
    for nodes in 3..=48 {
        for partitions in [1, 2, 16, 64] {
            let bound = bound(partitions, 3, 1, nodes);
            let most = loads(&equal(nodes as usize, 3, partitions)).into_values().max().unwrap();
            assert!(most <= bound, "{nodes} nodes, {partitions} partitions: {most}, at most {bound}");
        }
    }
}

#[test]
fn weights_are_shares() {
    let layout =
        layout(3, 1024, Fallbacks::Next(2), members(&[(1, ""), (2, ""), (4, ""), (1, ""), (3, ""), (5, ""), (0, "")]));
    let loads = loads(&layout);
    assert!(!loads.contains_key(&NodeId(7)), "weight 0 carries nothing");
    for member in layout.members.iter().filter(|member| member.weight > 0) {
        let most = bound(1024, 3, u64::from(member.weight), 16);
        let load = loads[&member.id];
        assert!(load <= most && load * 10 >= most * 6, "weight {}: {load}, at most {most}", member.weight);
    }
}

#[test]
fn a_weight_beyond_everything_carries_every_partition_once() {
    let loads = loads(&layout(2, 64, Fallbacks::Next(2), members(&[(90, ""), (1, ""), (1, "")])));
    assert_eq!(loads[&NodeId(1)], 64);
    assert!(loads[&NodeId(2)] <= 35 && loads[&NodeId(3)] <= 35, "{loads:?}");
}

/// Per partition, how many owners stand in each zone that has any; largest first.
fn spread(layout: &Layout) -> BTreeSet<Vec<usize>> {
    let zone_of = |node: &NodeId| layout.member(*node).unwrap().zone.clone();
    let counts = |list: PreferenceList| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        list.owners().iter().for_each(|owner| *counts.entry(zone_of(owner)).or_default() += 1);
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    };
    place(layout).into_iter().map(counts).collect()
}

#[test]
fn owners_stand_in_distinct_zones_while_there_are_enough() {
    let three = layout(3, 256, Fallbacks::Next(2), members(&[(1, "a"), (1, "a"), (1, "b"), (1, "b"), (1, "c")]));
    assert_eq!(spread(&three), BTreeSet::from([vec![1, 1, 1]]));
    let alone = loads(&three);
    assert_eq!(alone[&NodeId(5)], 256, "the only node of its zone owns everything");
    assert!(alone.values().take(4).all(|load| *load <= 141), "{alone:?}");

    let many: Vec<(u32, &str)> = (0..30).map(|node| (1, ["a", "b", "c", "d", "e"][node % 5])).collect();
    let many = layout(3, 1024, Fallbacks::Next(2), members(&many));
    assert_eq!(spread(&many), BTreeSet::from([vec![1, 1, 1]]));
    assert!(loads(&many).into_values().max().unwrap() <= bound(1024, 3, 1, 30));
}

#[test]
fn with_few_zones_every_zone_is_used_before_one_is_used_twice() {
    let two = layout(3, 256, Fallbacks::Next(2), members(&[(1, "a"), (1, "a"), (1, "b"), (1, "b"), (1, "b")]));
    assert_eq!(spread(&two), BTreeSet::from([vec![2, 1]]));
    assert!(loads(&two).into_values().max().unwrap() <= bound(256, 3, 1, 5), "{:?}", loads(&two));
    let four =
        layout(4, 256, Fallbacks::Next(2), members(&[(1, "a"), (1, "a"), (1, "b"), (1, "b"), (1, "c"), (1, "c")]));
    assert_eq!(spread(&four), BTreeSet::from([vec![2, 1, 1]]));
    assert!(loads(&four).into_values().max().unwrap() <= bound(256, 4, 1, 6));
    let small = layout(4, 256, Fallbacks::Next(0), members(&[(1, "a"), (1, "b"), (1, "b"), (1, "b")]));
    assert_eq!(spread(&small), BTreeSet::from([vec![3, 1]]), "a zone that has no more nodes gives all it has");
}

/// Replicas that a joining node makes others give up, in units of the least possible.
fn moved_by_join(nodes: usize, partitions: u16) -> f64 {
    let (before, after) = (place(&equal(nodes, 3, partitions)), place(&equal(nodes + 1, 3, partitions)));
    let owners = |list: &PreferenceList| list.owners().iter().copied().collect::<BTreeSet<NodeId>>();
    let moved: usize = before.iter().zip(&after).map(|(old, new)| owners(new).difference(&owners(old)).count()).sum();
    let least = f64::from(partitions) * 3.0 / (nodes + 1) as f64;
    moved as f64 / least
}

#[test]
fn a_joining_node_moves_little_more_than_its_own_share() {
    for nodes in 3..=20 {
        for partitions in [256, 1024] {
            let moved = moved_by_join(nodes, partitions);
            assert!(moved <= 1.3, "{nodes} nodes, {partitions} partitions: {moved:.2} times the least possible");
        }
    }
}

#[test]
fn the_smallest_clusters_are_placed() {
    assert_eq!(loads(&equal(1, 1, 16)), BTreeMap::from([(NodeId(1), 16)]));
    assert!(loads(&equal(3, 3, 16)).into_values().all(|load| load == 16), "N = all members");
    assert_eq!(loads(&equal(4, 3, 1)).into_values().sum::<u64>(), 3, "fewer fallbacks than asked for");
    let all = layout(2, 16, Fallbacks::All, members(&[(1, ""), (1, ""), (1, ""), (0, ""), (1, "")]));
    assert!(loads(&all).into_values().all(|load| load == 8));
}

#[test]
fn the_largest_layouts_are_placed_within_the_bound() {
    let most = loads(&equal(1000, 3, 16_384)).into_values().max().unwrap();
    assert!(most <= bound(16_384, 3, 1, 1000), "{most}");
}

#[test]
fn every_layout_is_placed_within_its_capacities_and_zones() {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut below = |bound: u32| rng.next_u32() % bound;
    for _ in 0..60 {
        let (nodes, kinds, heaviest) = (1 + below(24), 1 + below(6), 1 + below(12));
        let of: Vec<(u32, &str)> =
            (0..nodes).map(|_| (1 + below(heaviest), ["", "a", "b", "c", "d", "e"][below(kinds) as usize])).collect();
        let replicas = 1 + below(nodes.min(6)) as u8;
        let layout = layout(replicas, 1 << below(9), Fallbacks::Next(below(4) as u8), members(&of));
        let carriers: Vec<&Member> = layout.members.iter().collect();
        let zones = share::zones(&carriers, usize::from(replicas));
        let capacities = share::capacities(&layout, &carriers, &zones);
        for (load, capacity) in loads(&layout).into_values().zip(capacities) {
            assert!(load <= capacity, "{load} above {capacity} in {layout:?}");
        }
        for list in place(&layout) {
            for zone in &zones {
                let owners =
                    zone.carriers.iter().filter(|carrier| list.owners().contains(&carriers[**carrier].id)).count();
                assert!(
                    (zone.least..=zone.most).contains(&owners),
                    "{owners} owners of {list:?} in {zone:?} of {layout:?}"
                );
            }
        }
    }
}
