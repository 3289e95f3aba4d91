//! How far peers are behind, as a number, and the mark of a partition where no number tells of all.

use super::*;
use crate::message::client::PeerLag;

impl Bus {
    fn lag(&self, of: NodeId, at: NodeId) -> PeerLag {
        let peers = self.status(at).peers;
        peers.into_iter().find(|peer| peer.node == of).unwrap().lag
    }

    /// A node is away, and its peers know.
    fn away(&mut self, node: NodeId) {
        self.cut.insert(node);
        self.run(Duration::from_secs(3));
    }
}

#[test]
fn what_a_peer_has_not_confirmed_is_counted_and_ages_until_it_has() {
    let mut bus = Bus::with(3, ShardConfig { request_deadline: Duration::from_secs(1), ..ShardConfig::default() });
    let (here, away) = (NodeId(1), NodeId(3));
    assert_eq!((bus.lag(away, here).operations, bus.lag(away, here).oldest_ms), (0, None));
    // Nobody knows yet that it is away: the write is answered, and waits for it in the ledger.
    bus.cut.insert(away);
    written(&bus.increment(here, "first", 1));
    let lag = bus.lag(away, here);
    assert_eq!(lag.operations, 1);
    assert!(lag.oldest_ms.is_some_and(|ms| ms < 500), "{lag:?}");
    bus.run(Duration::from_secs(10));
    for key in ["second", "third"] {
        written(&bus.increment(here, key, 1));
    }
    let older = bus.lag(away, here);
    assert_eq!(older.operations, 3);
    assert!(older.oldest_ms.is_some_and(|ms| (10_000..13_000).contains(&ms)), "{older:?}");
    assert_eq!(bus.lag(NodeId(2), here).operations, 0, "who is there has confirmed everything");
    bus.restart(here);
    bus.run(Duration::from_secs(5));
    let after = bus.lag(away, here);
    assert_eq!(after.operations, 3);
    assert!(after.oldest_ms > older.oldest_ms, "a debt keeps its age over a restart: {after:?}");
    bus.cut.clear();
    bus.run(Duration::from_secs(5));
    let lag = bus.lag(away, here);
    assert_eq!((lag.operations, lag.oldest_ms), (0, None));
    assert!(lag.compared_ms_ago.is_some_and(|ms| ms < 10_000), "it was compared with when it came back: {lag:?}");
}

#[test]
fn a_row_that_grows_is_owed_since_it_was_first_owed() {
    let mut bus = Bus::new(3);
    let (here, away) = (NodeId(1), NodeId(3));
    bus.away(away);
    written(&bus.increment(here, "k", 1));
    bus.run(Duration::from_secs(20));
    written(&bus.increment(here, "k", 1));
    let lag = bus.lag(away, here);
    assert_eq!(lag.operations, 1);
    assert!(lag.oldest_ms.is_some_and(|ms| ms >= 20_000), "{lag:?}");
}

#[test]
fn partitions_are_equal_if_the_last_comparison_with_every_co_owner_found_nothing() {
    let interval = Duration::from_secs(4);
    let mut bus = Bus::with(3, ShardConfig { handoff: false, exchange_interval: interval, ..ShardConfig::default() });
    let (here, away) = (NodeId(1), NodeId(3));
    let equal = |bus: &Bus, at: NodeId| bus.status(at).equal_partitions;
    bus.run(interval * 2);
    for node in 1..=3 {
        assert_eq!(equal(&bus, NodeId(node)), 8, "node {node}, be it the one that begins or the other");
    }
    bus.away(away);
    written(&bus.increment(here, "k", 1));
    bus.cut.clear();
    bus.run(Duration::from_secs(1));
    assert_eq!(equal(&bus, here), 7, "the exchange found what the other one lacked");
    assert_eq!(equal(&bus, away), 7);
    bus.run(interval * 2);
    assert_eq!((equal(&bus, here), equal(&bus, away)), (8, 8), "the next one found nothing");
    bus.away(away);
    bus.run(interval * 4);
    assert_eq!(equal(&bus, here), 0, "what was found long ago says nothing of now");
}

/// More is to be owed to a peer than there is room for. Whether the partitions are marked, over a restart too, until the peer has
/// all of it, and no longer.
fn are_marks_set_and_taken_away() -> bool {
    let mut bus = Bus::with(3, ShardConfig { debts_per_owner_max: 1, ..ShardConfig::default() });
    let (here, away) = (NodeId(1), NodeId(3));
    bus.away(away);
    for number in 0..20 {
        written(&bus.increment(here, &format!("k{number}"), 1));
    }
    let marked = bus.status(here);
    let all_name_it = marked.needs_repair.iter().all(|one| one.owners == [away]);
    let is_marked = marked.needs_repair_partitions > 0 && all_name_it;
    bus.restart(here);
    bus.run(Duration::from_secs(3));
    let is_durable = bus.status(here).needs_repair == marked.needs_repair;
    bus.cut.clear();
    bus.run(Duration::from_secs(40));
    let has_all = (0..20).all(|number| bus.stored(away, &format!("k{number}")).is_some());
    let proved = |fact: &&Observation| matches!(fact, Observation::RepairProved { .. });
    let proofs = bus.nodes[&here].observations.iter().filter(proved).count();
    assert!(is_marked && is_durable && has_all, "{marked:?}");
    bus.status(here).needs_repair_partitions == 0 && proofs as u32 == marked.needs_repair_partitions
}

#[test]
fn a_partition_of_which_a_debt_was_left_out_is_marked_until_an_exchange_has_brought_it() {
    assert!(are_marks_set_and_taken_away());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_a_mark_would_stay() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::RepairMarkNeverProved));
    let is_well = are_marks_set_and_taken_away();
    switch_off(None);
    assert!(!is_well);
}
