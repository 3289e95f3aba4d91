//! Comparisons by trees: what they cost, and that they find what differs.

use bytes::Bytes;

use super::*;
use crate::antientropy::tree;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::storage::Batch;
use crate::time::Hlc;

pub(super) const NODES: [NodeId; 2] = [NodeId(1), NodeId(2)];

/// Nothing but comparisons, and none before they are switched on.
fn config() -> ShardConfig {
    ShardConfig { exchange: false, stability: false, handoff: false, ..ShardConfig::default() }
}

pub(super) fn row(number: u32) -> RowKey {
    RowKey::main(&Key::new(format!("key/{number}")).unwrap())
}

pub(super) fn stored(events: u64) -> Bytes {
    let actor = ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) };
    let mut stored = StoredRow::default();
    for event in 1..=events {
        stored.row.increment(Dot { actor, event }, Hlc { wall: event, logical: 0 }, 1, &Beside::NONE).unwrap();
    }
    stored.encode()
}

/// Two owners of so many rows, in which the first one is ahead in every `unequal` of them; comparisons are still off.
pub(super) fn owners(rows: u32, unequal: &[u32]) -> Bus {
    let mut bus = Bus::with(2, config());
    for id in NODES {
        let store = bus.nodes.remove(&id).unwrap().store;
        let mut batch = Batch::default();
        let mut all: Vec<(RowKey, u64)> = (0..rows)
            .map(|number| (row(number), number))
            .map(|(row, number)| {
                let is_ahead = id == NODES[0] && unequal.contains(&number);
                (row, if is_ahead { 2 } else { 1 })
            })
            .collect();
        all.sort();
        for (row, events) in all {
            batch.put(Space::Rows, row.as_bytes().clone(), stored(events));
        }
        store.write(&batch).unwrap();
        bus.start(id, store);
    }
    bus.run(Duration::from_secs(3));
    for id in NODES {
        assert_eq!(bus.status(id).trees_waiting, 0, "every tree is whole");
    }
    bus.compared = Compared::default();
    bus
}

pub(super) fn compare(bus: &mut Bus) -> Compared {
    for id in NODES {
        bus.nodes.get_mut(&id).unwrap().shard.site.config.exchange = true;
    }
    bus.run(Duration::from_secs(4));
    bus.compared
}

#[test]
fn equal_owners_compare_with_one_message_each_way_however_many_rows_they_have() {
    let mut costs = BTreeSet::new();
    for rows in [1_000, 20_000] {
        let mut bus = owners(rows, &[]);
        let partitions = usize::from(bus.ring.layout().partitions);
        let compared = compare(&mut bus);
        assert_eq!(compared.messages, 2 * partitions);
        assert_eq!(bus.status(NODES[0]).exchanges, partitions as u64, "each comparison is complete");
        costs.insert(compared.bytes);
    }
    assert_eq!(costs.len(), 1, "{costs:?}");
}

#[test]
fn a_few_differences_cost_as_many_sums_as_the_tree_is_deep_and_not_the_rows() {
    let unequal: Vec<u32> = (0..10).map(|number| number * 97).collect();
    let bytes: Vec<usize> = [1_000, 20_000]
        .map(|rows| {
            let mut bus = owners(rows, &unequal);
            let compared = compare(&mut bus);
            for number in &unequal {
                let there = bus.nodes[&NODES[1]].store.fetch(Space::Rows, row(*number).as_bytes()).unwrap();
                assert_eq!(StoredRow::state_bytes(&there.unwrap()), StoredRow::state_bytes(&stored(2)), "{number}");
            }
            let status = bus.status(NODES[0]);
            assert_eq!(status.exchanged_rows, 2 * unequal.len() as u64, "only what differs travels, both ways");
            assert!((1..=10).contains(&status.tree_differences), "{}", status.tree_differences);
            compared.bytes
        })
        .into();
    // Three steps of sixteen sums down, once more the leaves, and an exchange of one leaf; per row it would be 80 bytes.
    assert!(bytes.iter().all(|bytes| *bytes < unequal.len() * 5_000), "{bytes:?}");
    assert!(bytes[1] < bytes[0] * 3 / 2, "{bytes:?}");
}

/// An exchange of the last leaf once asked for a range that ended beyond the partition, and was refused each time.
#[test]
fn what_differs_in_the_last_leaf_of_a_partition_is_exchanged_too() {
    let partitions = owners(0, &[]).ring.layout().partitions;
    let is_in_last_leaf = |number: &u32| {
        let row = row(*number);
        let tree = tree::MerkleTree::new(row.partition(partitions), partitions);
        let mut last = tree::Node::ROOT;
        while let Some(child) = tree.children(last, u8::MAX).last() {
            last = child;
        }
        *row.as_bytes() >= tree.ranges([last])[0].start
    };
    let number = (0..100_000).find(is_in_last_leaf).expect("one of many rows stands there");
    let mut bus = owners(number + 1, &[number]);
    compare(&mut bus);
    let there = bus.nodes[&NODES[1]].store.fetch(Space::Rows, row(number).as_bytes()).unwrap();
    assert_eq!(StoredRow::state_bytes(&there.unwrap()), StoredRow::state_bytes(&stored(2)));
}

/// Every tree says what a look through the rows says.
pub(super) fn are_trees_right(bus: &Bus) {
    let partitions = bus.ring.layout().partitions;
    let all = Range { start: Bytes::new(), end: None };
    for node in bus.nodes.values() {
        for (partition, kept) in node.shard.trees().iter() {
            let mut scanned = tree::MerkleTree::new(partition, partitions);
            for (key, value) in node.store.scan(Space::Rows, &all, EVERYTHING).unwrap().entries {
                if RowKey::parse(key.clone()).unwrap().partition(partitions) == partition {
                    scanned.replace(&key, None, tree::contribution(&key, &value));
                }
            }
            assert!(kept.means(&scanned), "the tree of {partition} is not what its rows are");
        }
        assert_eq!(node.shard.trees().waiting(), 0);
    }
}

#[test]
fn a_tree_is_kept_up_through_writes_deletions_and_restarts() {
    let mut bus = Bus::with(3, ShardConfig { row_cache_bytes: 1, ..ShardConfig::default() });
    for number in 0..40 {
        written(&bus.increment(NodeId(1 + number % 3), &format!("k{}", number % 12), 1));
        if number % 5 == 4 {
            bus.ask(NodeId(1), &format!("k{}", number % 7), Command::Delete);
        }
    }
    are_trees_right(&bus);
    assert!(bus.nodes[&NodeId(1)].shard.trees().bytes() > 0);
    let store = bus.nodes.remove(&NodeId(2)).unwrap().store;
    bus.increment(NodeId(1), "k3", 1);
    bus.start(NodeId(2), store);
    // Trees are being built while rows change.
    bus.increment(NodeId(2), "k3", 1);
    bus.run(Duration::from_secs(3));
    are_trees_right(&bus);
}

/// A node stops, in good order or not, and starts again; how often the new start has looked through a partition within a few
/// seconds, and whether its trees are right then.
fn looks_after(stops: impl Fn(&mut Bus, NodeId)) -> u64 {
    let mut bus = owners(400, &[]);
    // Something that the last turn still has to write.
    let id = bus.send(NODES[1], "key/3", Command::Increment { by: 1 }, Options::default());
    stops(&mut bus, NODES[1]);
    bus.replies.remove(&id);
    let store = bus.nodes.remove(&NODES[1]).unwrap().store;
    bus.settle();
    bus.start(NODES[1], store.clone());
    let before = store.counters().scans;
    bus.run(Duration::from_secs(3));
    let looks = store.counters().scans - before;
    are_trees_right(&bus);
    looks
}

/// The driver's part in a stop.
fn stop(bus: &mut Bus, id: NodeId) {
    bus.settle();
    let now = bus.now;
    bus.nodes.get_mut(&id).unwrap().shard.handle(now, Input::Stopping);
    bus.turn(id);
}

#[test]
fn a_start_after_a_stop_in_good_order_looks_through_nothing_and_one_after_a_crash_through_everything() {
    let partitions = 8;
    assert_eq!(looks_after(stop), 0);
    assert_eq!(looks_after(|bus, _| bus.settle()), partitions, "a crash");
    let written_after = |bus: &mut Bus, id| {
        stop(bus, id);
        bus.increment(id, "key/7", 1);
    };
    assert_eq!(looks_after(written_after), partitions, "what was written after the stop is in no tree");
    let twice = |bus: &mut Bus, id| {
        stop(bus, id);
        let store = bus.nodes.remove(&id).unwrap().store;
        bus.start(id, store);
        bus.increment(id, "key/7", 1);
    };
    assert_eq!(looks_after(twice), partitions, "a crash of the start that had taken them over");
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_trees_are_trusted_that_are_not_true() {
    use crate::mutation::Mutation;
    let story = a_start_after_a_stop_in_good_order_looks_through_nothing_and_one_after_a_crash_through_everything;
    assert!(fails_without(Mutation::TreeTrustedAfterCrash, "is not what its rows are", story));
}

#[test]
fn a_tree_that_is_not_whole_is_not_asked_and_all_rows_are_compared() {
    let mut bus = owners(50, &[7]);
    let count = bus.ring.layout().partitions;
    let all = bus.ring.partitions().collect::<Vec<_>>();
    bus.nodes.get_mut(&NODES[1]).unwrap().shard.turn.trees = crate::antientropy::Trees::new(count);
    bus.nodes.get_mut(&NODES[1]).unwrap().shard.turn.trees.set_partitions(&all.into_iter().collect());
    bus.nodes.get_mut(&NODES[1]).unwrap().shard.site.config.trees = false;
    compare(&mut bus);
    let there = bus.nodes[&NODES[1]].store.fetch(Space::Rows, row(7).as_bytes()).unwrap().unwrap();
    assert_eq!(StoredRow::state_bytes(&there), StoredRow::state_bytes(&stored(2)));
    assert_eq!(bus.status(NODES[0]).tree_differences, 0);
}

#[test]
fn rows_that_vanish_beneath_a_shard_are_found_by_the_next_look_and_brought_back() {
    let mut bus = owners(200, &[]);
    let lost = row(5);
    // Half of the nodes have it loaded, and one more that is changed later.
    for key in ["key/5", "key/6"] {
        bus.ask(NODES[1], key, Command::Inspect);
    }
    let mut batch = Batch::default();
    batch.delete(Space::Rows, lost.as_bytes().clone());
    bus.nodes[&NODES[1]].store.write(&batch).unwrap();
    compare(&mut bus);
    let fetch = |bus: &Bus| bus.nodes[&NODES[1]].store.fetch(Space::Rows, lost.as_bytes()).unwrap();
    assert_eq!(fetch(&bus), None, "the sums that are kept still speak of it");
    bus.now.mono = bus.now.mono.after(bus.config.tree_rebuild_interval);
    bus.run(Duration::from_secs(40));
    let found = |observation: &&Observation| matches!(observation, Observation::TreeBuilt { differs: true, .. });
    assert_eq!(bus.nodes[&NODES[1]].observations.iter().filter(found).count(), 1);
    assert_eq!(bus.nodes[&NODES[0]].observations.iter().filter(found).count(), 0);
    assert!(fetch(&bus).is_some(), "it came back from the other owner, although it was loaded");
    are_trees_right(&bus);
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_what_vanished_stays_away_while_it_is_loaded() {
    use crate::mutation::Mutation;
    let story = rows_that_vanish_beneath_a_shard_are_found_by_the_next_look_and_brought_back;
    assert!(fails_without(
        Mutation::LostRowsCached,
        "it came back from the other owner, although it was loaded",
        story
    ));
}

/// An owner without data takes it over as fast as it comes, while what is compared waits for its turn.
#[test]
fn who_has_lost_its_data_gets_it_back_without_a_pause_and_before_anything_is_compared() {
    let mut bus = owners(3_000, &[]);
    for id in NODES {
        let config = &mut bus.nodes.get_mut(&id).unwrap().shard.site.config;
        (config.repair_rows_per_second, config.repair_bytes_per_second) = (10, 1_000);
    }
    (bus.config.repair_rows_per_second, bus.config.repair_bytes_per_second) = (10, 1_000);
    bus.config.exchange = true;
    bus.start(NODES[0], Arc::new(MemoryStore::new(9)));
    bus.run(Duration::from_secs(20));
    assert_eq!(bus.status(NODES[0]).newborn_partitions, 0);
    assert_eq!(bus.nodes[&NODES[0]].store.len(Space::Rows), 3_000);
}

#[test]
fn after_a_restart_owners_compare_by_trees_as_soon_as_they_have_them_and_row_by_row_only_what_is_known_to_lack() {
    let mut bus = owners(4_000, &[]);
    bus.config.exchange = true;
    bus.nodes.get_mut(&NODES[1]).unwrap().shard.site.config.exchange = true;
    let partitions = usize::from(bus.ring.layout().partitions);
    let marked = PartitionId(3);
    let now = bus.now.mono;
    bus.nodes.get_mut(&NODES[0]).unwrap().shard.turn.mark_for_repair(marked, NODES[1], now);
    bus.settle();
    let store = bus.nodes.remove(&NODES[0]).unwrap().store;
    bus.compared = Compared::default();
    bus.start(NODES[0], store);
    bus.run(Duration::from_secs(6));
    assert_eq!(bus.status(NODES[0]).exchanges, partitions as u64, "every pair was compared");
    assert_eq!(bus.status(NODES[0]).needs_repair_partitions, 0);
    let of_one = bus.compared.messages - 2 * (partitions - 1);
    assert!((2..=6).contains(&of_one), "{of_one} messages for the partition that is marked");
}

#[test]
fn rows_are_exchanged_no_faster_than_their_pace_and_all_of_them_arrive() {
    let unequal: Vec<u32> = (0..400).collect();
    let arrived = |rows_per_second: u32, bytes_per_second: u64| {
        let mut bus = owners(400, &unequal);
        for id in NODES {
            let config = &mut bus.nodes.get_mut(&id).unwrap().shard.site.config;
            (config.repair_rows_per_second, config.repair_bytes_per_second) = (rows_per_second, bytes_per_second);
        }
        let began = bus.now.mono;
        compare(&mut bus);
        while bus.status(NODES[0]).exchanged_rows < 2 * unequal.len() as u64 {
            bus.run(Duration::from_secs(1));
            assert!(bus.now.mono.since(began) < Duration::from_secs(120), "it must come to its end");
        }
        bus.now.mono.since(began)
    };
    assert!(arrived(0, 0) <= Duration::from_secs(5));
    // 800 rows here and 800 there, 40 of them each second, but for the burst and the last page.
    assert!(arrived(40, 0) >= Duration::from_secs(14));
    assert!(arrived(0, 4_096) >= Duration::from_secs(14));
}
