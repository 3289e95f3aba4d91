//! What a comparison of co-owners proves, when its frames are repeated, lost, or come from where nobody asked.
//!
//! "Equal" and "proved" count for the bound of staleness, the share of equal partitions, and a durable mark that is taken
//! away: so each of them is looked up on the disks of both nodes at the moment at which it is said.

use super::trees::{NODES, compare, owners, row, stored};
use super::*;
use crate::message::peer::{TreeAnswer, TreeFindings};

impl Bus {
    /// What a node has said in this turn to be equal is equal. To be asked where nothing is written meanwhile.
    pub(super) fn check_proofs(&mut self, id: NodeId) {
        let observations = std::mem::take(&mut self.nodes.get_mut(&id).unwrap().observations);
        for observation in &observations {
            let (partition, peer, is_both_ways) = match observation {
                Observation::ExchangeDone { partition, peer, received: 0, sent: 0 } => (*partition, *peer, true),
                Observation::RepairProved { owner, partition } => (*partition, *owner, false),
                _ => continue,
            };
            let here = self.states(id, partition);
            let there = self.states(peer, partition);
            for (row, state) in &here {
                assert_eq!(there.get(row), Some(state), "{peer} is said to have all that {id} has: {observation:?}");
            }
            assert!(!is_both_ways || here.len() == there.len(), "{id} is said to have all that {peer} has");
        }
        let node = self.nodes.get_mut(&id).unwrap();
        node.proofs += observations.iter().filter(|one| matches!(one, Observation::ExchangeDone { .. })).count();
        node.observations
            .extend(observations.into_iter().filter(|one| !matches!(one, Observation::ExchangeDone { .. })));
    }

    fn states(&self, id: NodeId, partition: PartitionId) -> BTreeMap<bytes::Bytes, bytes::Bytes> {
        let range = crate::storage::keyspace::partition_range(partition, self.ring.layout().partitions);
        let page = self.nodes[&id].store.scan(Space::Rows, &range, EVERYTHING).unwrap();
        page.entries.into_iter().map(|(row, stored)| (row, StoredRow::state_bytes(&stored).unwrap())).collect()
    }

    fn proofs(&self, id: NodeId) -> usize {
        self.nodes[&id].proofs
    }
}

fn is_answer(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::TreeAnswer(_) | PeerMessage::ExchangeAnswer(_) | PeerMessage::ExchangePushed(_))
}

/// What is said of rows, and not of sums.
fn is_answer_about_rows(message: &PeerMessage) -> bool {
    match message {
        PeerMessage::ExchangeAnswer(answer) => answer.outcome.as_ref().is_ok_and(|found| found.differing.is_none()),
        PeerMessage::ExchangePushed(_) => true,
        _ => false,
    }
}

/// Behind the first page, which is asked about by sums and then by hashes.
fn is_late_push(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::ExchangePush(push) if push.step > 2)
}

/// Every answer comes twice, and those of earlier questions again with each later one. Rows differ here and there.
fn do_repeated_answers_prove_nothing() {
    let unequal: Vec<u32> = (0..8).map(|number| number * 53).collect();
    let mut bus = owners(600, &unequal);
    (bus.repeats, bus.checks_proofs) = (is_answer, true);
    for id in NODES {
        for partition in bus.ring.partitions().collect::<Vec<_>>() {
            let now = bus.now.mono;
            let other = NODES[usize::from(id == NODES[0])];
            bus.nodes.get_mut(&id).unwrap().shard.turn.mark_for_repair(partition, other, now);
        }
    }
    bus.run(Duration::from_millis(100));
    compare(&mut bus);
    bus.run(Duration::from_secs(70));
    assert!(bus.proofs(NODES[0]) >= usize::from(bus.ring.layout().partitions));
    for number in unequal {
        let there = bus.nodes[&NODES[1]].store.fetch(Space::Rows, row(number).as_bytes()).unwrap();
        assert_eq!(StoredRow::state_bytes(&there.unwrap()), StoredRow::state_bytes(&stored(2)), "{number}");
    }
    assert!(NODES.iter().all(|id| bus.status(*id).needs_repair_partitions == 0), "all marks are proved in the end");
}

/// A partition of several pages, of which only the rows of the first are taken: the answer that says so comes again while the
/// second is under way, whose rows are lost.
fn does_a_page_speak_for_itself_alone() {
    let mut bus = owners(6_000, &(0..6_000).collect::<Vec<_>>());
    for id in NODES {
        let config = &mut bus.nodes.get_mut(&id).unwrap().shard.site.config;
        (config.trees, config.repair_bytes_per_second, config.repair_rows_per_second) = (false, 0, 0);
    }
    (bus.repeats, bus.loses, bus.checks_proofs) = (is_answer_about_rows, is_late_push, true);
    let done = bus.status(NODES[0]).exchanges;
    compare(&mut bus);
    assert_eq!(bus.status(NODES[0]).exchanges, done, "no second page has arrived");
    bus.loses = |_| false;
    compare(&mut bus);
    bus.run(Duration::from_secs(10));
    assert!(bus.status(NODES[0]).exchanges > done);
    let there = bus.nodes[&NODES[1]].store.fetch(Space::Rows, row(5_999).as_bytes()).unwrap();
    assert_eq!(StoredRow::state_bytes(&there.unwrap()), StoredRow::state_bytes(&stored(2)));
}

#[test]
fn answers_that_are_repeated_prove_nothing_and_hold_nothing_up() {
    do_repeated_answers_prove_nothing();
}

#[test]
fn an_answer_speaks_for_its_own_page_and_for_no_other() {
    does_a_page_speak_for_itself_alone();
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_answers_prove_what_nobody_has_compared() {
    use crate::mutation::Mutation;
    let stories: [(&str, fn()); 2] = [
        ("is said to have all that", do_repeated_answers_prove_nothing),
        ("no second page has arrived", does_a_page_speak_for_itself_alone),
    ];
    for (says, story) in stories {
        assert!(fails_without(Mutation::AnyAnswerTaken, says, story));
    }
}

#[test]
fn an_answer_of_a_node_that_was_not_asked_is_not_taken() {
    let mut bus = owners(600, &[0, 53]);
    bus.checks_proofs = true;
    bus.loses = |message| matches!(message, PeerMessage::TreeAnswer(_));
    for id in NODES {
        bus.nodes.get_mut(&id).unwrap().shard.site.config.exchange = true;
    }
    bus.run(Duration::from_millis(500));
    let walks = |bus: &Bus| bus.nodes[&NODES[0]].shard.walks.len();
    let open = walks(&bus);
    assert!(open > 0);
    let epoch = bus.nodes[&NODES[0]].shard.site.identity.epoch;
    let last = bus.nodes[&NODES[0]].shard.next_exchange;
    let answer = |op: u64, differing: Vec<u16>| {
        let marks = crate::message::peer::Marks::default();
        let findings = TreeFindings { differing: Some(differing), is_building: false, leaf_bits: 10, marks };
        PeerMessage::TreeAnswer(TreeAnswer { op: OpId(op), step: 1, epoch, outcome: Ok(findings) })
    };
    let partition = PartitionId(0);
    for op in 0..=last {
        // It speaks of a partition of which it was not asked, or it is not the one that was asked.
        let (from, about) = if op % 2 == 0 { (NODES[0], partition) } else { (NODES[1], PartitionId(u16::MAX)) };
        let messages = vec![Addressed { partition: about, layout: 1, message: answer(op, Vec::new()) }];
        let frame = Frame { layout: bus.ring.epoch(), epoch, clock: Default::default(), messages };
        bus.nodes.get_mut(&NODES[0]).unwrap().shard.handle(bus.now, Input::Peer { from, frame });
    }
    assert_eq!(walks(&bus), open, "nothing has ended, nothing was asked on");
}

/// Rows that one side cannot read, each of a partition of its own: the initiator's, or the responder's.
#[test]
fn a_row_that_cannot_be_read_leaves_a_comparison_incomplete_on_whichever_side_it_stands() {
    let mut bus = owners(300, &[]);
    let partition = |bus: &Bus, number| row(number).partition(bus.ring.layout().partitions);
    let first = partition(&bus, 1_000);
    let other = (1_001..).find(|number| partition(&bus, *number) != first).unwrap();
    for (node, number) in NODES.into_iter().zip([1_000, other]) {
        let mut batch = crate::storage::Batch::default();
        batch.put(Space::Rows, row(number).as_bytes().clone(), bytes::Bytes::from_static(b"no row"));
        let store = bus.nodes.remove(&node).unwrap().store;
        store.write(&batch).unwrap();
        bus.start(node, store);
    }
    for partition in bus.ring.partitions().collect::<Vec<_>>() {
        let now = bus.now.mono;
        bus.nodes.get_mut(&NODES[0]).unwrap().shard.turn.mark_for_repair(partition, NODES[1], now);
    }
    bus.run(Duration::from_secs(3));
    compare(&mut bus);
    bus.run(Duration::from_secs(5));
    let marked: Vec<PartitionId> =
        bus.nodes[&NODES[0]].shard.turn.repair_marks().map(|(partition, _)| partition).collect();
    let expected = BTreeSet::from([first, partition(&bus, other)]);
    assert_eq!(marked.into_iter().collect::<BTreeSet<_>>(), expected, "the others are proved");
}

#[test]
fn what_cannot_be_written_down_as_owed_because_its_row_cannot_be_read_is_left_to_an_exchange() {
    let mut bus = owners(0, &[]);
    let mut batch = crate::storage::Batch::default();
    batch.put(Space::Rows, row(1).as_bytes().clone(), bytes::Bytes::from_static(b"no row"));
    bus.nodes[&NODES[0]].store.write(&batch).unwrap();
    let Shard { site, turn, replica, .. } = &mut bus.nodes.get_mut(&NODES[0]).unwrap().shard;
    let body = TaskBody::Owe { owners: vec![NODES[1]], version: crate::ids::RowVersion(1), since: bus.now.wall };
    replica.on_task(&site.env(bus.now), turn, Task { row: row(1), body });
    let partition = row(1).partition(bus.ring.layout().partitions);
    assert_eq!(turn.repair_marks().collect::<Vec<_>>(), [(partition, vec![NODES[1]])]);
}
