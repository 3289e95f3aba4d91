//! What has expired is summed up and forgotten, everywhere alike, and never too early.

mod forgotten;
mod late;

use super::*;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::ids::{CollectionKind, OpId};
use crate::message::client::{CollectionCommand, ElementChange, ElementWrite, Need, SessionWrite, ShardStatus};
use crate::shard::turn::Access;
use crate::stability::Watch;
use crate::time::Hlc;

/// Ticks of a second, leases of a few, questions twice a second.
pub(super) fn config() -> ShardConfig {
    ShardConfig {
        tick: Duration::from_secs(1),
        actor_lease_ticks: 4,
        clock_ahead_max: Duration::from_secs(1),
        stability_interval: Duration::from_millis(500),
        exchange_interval: Duration::from_secs(5),
        ..ShardConfig::default()
    }
}

/// Longer than two leases, the bound on clocks and a few rounds.
pub(super) const SETTLED: Duration = Duration::from_secs(16);

impl Bus {
    pub(super) fn session(&self, epoch: u64) -> ActorId {
        let tick = Tick::at(self.now.wall, self.config.tick);
        ActorId { expires: Tick(tick.0 + 3), epoch: Epoch(epoch), tenure: Tenure::SESSION }
    }

    pub(super) fn increment_as(&mut self, to: NodeId, key: &str, actor: ActorId, event: u64, p: u128) -> Response {
        self.ask(to, key, Command::IncrementAs(SessionWrite { actor, event, p, n: 0 }))
    }

    pub(super) fn row_keys(&self, at: NodeId) -> Vec<RowKey> {
        let all = Range { start: bytes::Bytes::new(), end: None };
        let page = self.nodes[&at].store.scan(Space::Rows, &all, EVERYTHING).unwrap();
        page.entries.into_iter().map(|(key, _)| RowKey::parse(key).unwrap()).collect()
    }

    pub(super) fn actors(&self, at: NodeId, key: &str) -> usize {
        self.stored(at, key).map_or(0, |stored| stored.row.actors().count())
    }

    pub(super) fn partition(&self, key: &str) -> PartitionId {
        self.ring.partition_of(&Key::new(key.to_owned()).unwrap())
    }

    pub(super) fn compacted(&self, at: NodeId, key: &str) -> Tick {
        self.nodes[&at].shard.turn.memory(self.partition(key)).compacted
    }

    pub(super) fn status(&self, at: NodeId) -> ShardStatus {
        self.nodes[&at].shard.status(self.now)
    }

    pub(super) fn restart(&mut self, at: NodeId) {
        let store = self.nodes[&at].store.clone();
        self.start(at, store);
    }

    pub(super) fn wipe(&mut self, at: NodeId) {
        self.entropy += 1;
        self.start(at, Arc::new(MemoryStore::new(self.entropy)));
    }
}

#[test]
fn entries_of_expired_actors_become_the_same_sum_on_every_owner() {
    let mut bus = Bus::with(3, config());
    for node in 1..=3 {
        written(&bus.increment(NodeId(node), "k", node as i64));
    }
    assert_eq!(bus.actors(NodeId(1), "k"), 3);
    bus.run(SETTLED);
    for node in 1..=3 {
        let stored = bus.stored(NodeId(node), "k").expect("a sum");
        assert_eq!(stored.row.actors().count(), 0, "node {node}");
        assert!(stored.row.settled_tick() > Tick(0));
        assert_eq!(bus.value(NodeId(node), "k"), number(6));
    }
    written(&bus.increment(NodeId(1), "k", 10));
    bus.run(SETTLED);
    assert_eq!(bus.value(NodeId(2), "k"), number(16));
    assert_eq!(bus.actors(NodeId(3), "k"), 0, "and again");
}

#[test]
fn sessions_rows_return_to_none_and_a_late_retry_counts_no_more() {
    let mut bus = Bus::with(3, config());
    let sessions: Vec<ActorId> = (0..5).map(|epoch| bus.session(epoch)).collect();
    for (actor, node) in sessions.iter().zip([1, 2, 3, 1, 2]) {
        written(&bus.increment_as(NodeId(node), "k", *actor, 1, 7));
    }
    assert_eq!(bus.row_keys(NodeId(1)).len(), 6);
    bus.run(SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.row_keys(NodeId(node)).len(), 1, "node {node} keeps the main row alone");
        assert_eq!(bus.value(NodeId(node), "k"), number(35));
    }
    let late = bus.increment_as(NodeId(3), "k", sessions[0], 1, 7);
    assert_eq!(refused(late), Reason::SessionExpired);
    assert_eq!(bus.value(NodeId(1), "k"), number(35));
}

#[test]
fn what_was_deleted_is_forgotten_whole() {
    let mut bus = Bus::with(3, config());
    written(&bus.ask(NodeId(1), "k", Command::Put { value: "text".into() }));
    written(&bus.ask(NodeId(2), "k", Command::Delete));
    assert!(bus.stored(NodeId(3), "k").is_some(), "a tombstone");
    bus.run(2 * SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.row_keys(NodeId(node)), [], "node {node}");
        assert_eq!(bus.value(NodeId(node), "k"), Visible::Nothing);
    }
    assert_eq!(bus.debts(), 0);
}

#[test]
fn a_settled_cluster_asks_nothing() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), "k", 1));
    bus.run(2 * SETTLED);
    assert_eq!(bus.status(NodeId(1)).settling_partitions, 0);
    let before = bus.questions;
    bus.run(SETTLED);
    assert_eq!(bus.questions, before);
}

#[test]
fn a_node_that_is_down_stops_settling_where_it_may_accept_and_no_write() {
    let mut bus = Bus::with(8, config());
    let down = NodeId(8);
    let is_needed = |bus: &Bus, key: &str| {
        let (owners, fallbacks) = bus.list(key);
        owners.contains(&down) || fallbacks.contains(&down)
    };
    let keys: Vec<String> = (0..60).map(|number| format!("k{number}")).collect();
    let with = keys.iter().find(|key| is_needed(&bus, key)).unwrap().clone();
    let without = keys.iter().find(|key| !is_needed(&bus, key)).unwrap().clone();
    bus.cut = BTreeSet::from([down]);
    bus.run(Duration::from_secs(2));
    for key in [&with, &without] {
        for _ in 0..3 {
            written(&bus.increment(NodeId(1), key, 1));
        }
    }
    bus.run(SETTLED);
    let first_up = |bus: &Bus, key: &str| bus.list(key).0.into_iter().find(|owner| *owner != down).unwrap();
    let (stuck, settled) = (first_up(&bus, &with), first_up(&bus, &without));
    assert_eq!(bus.actors(settled, &without), 0);
    assert!(bus.actors(stuck, &with) > 0, "nothing is forgotten that the lost node may not know");
    let shown = bus.status(stuck).settling;
    let waiting = &shown.iter().find(|settling| settling.partition == bus.partition(&with)).unwrap().waiting;
    assert!(waiting.iter().any(|waiting| waiting.node == down && waiting.need == Need::Answer), "{shown:?}");
    written(&bus.increment(NodeId(1), &with, 1));

    bus.cut.clear();
    bus.run(SETTLED);
    assert_eq!(bus.actors(stuck, &with), 0);
    assert_eq!(bus.value(stuck, &with), number(4));
}

#[test]
fn settling_goes_on_after_every_node_has_restarted() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), "k", 5));
    for _ in 0..12 {
        for node in 1..=3 {
            bus.run(Duration::from_millis(700));
            bus.restart(NodeId(node));
        }
    }
    bus.run(SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.actors(NodeId(node), "k"), 0, "node {node}");
        assert_eq!(bus.value(NodeId(node), "k"), number(5));
    }
}

/// Found by the model of shards, "three owners and a fallback, collections", seed 354: a node stood still amid a survey, took
/// the pause for the size of the partition, and rested eight times as long before it reported again.
#[test]
fn a_disk_that_stood_still_delays_what_settles_by_no_more_than_that() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), "k", 1));
    bus.reads_nothing.insert(NodeId(3));
    bus.run(SETTLED);
    assert!(bus.waiting.iter().any(|(_, job)| matches!(job, Job::ScanRows { .. })), "amid a survey");
    assert_eq!(bus.actors(NodeId(1), "k"), 1, "nothing settles without its report");
    bus.read_on();
    bus.run(SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.actors(NodeId(node), "k"), 0, "node {node}");
    }
}

#[test]
fn a_wiped_owner_takes_over_how_far_its_teacher_was_settled_and_goes_on_from_there() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), "k", 5));
    bus.run(SETTLED);
    let reached = bus.compacted(NodeId(1), "k");
    assert!(reached > Tick(0));
    bus.wipe(NodeId(2));
    bus.run(Duration::from_secs(4));
    assert_eq!(bus.status(NodeId(2)).newborn_partitions, 0);
    assert_eq!(bus.compacted(NodeId(2), "k"), reached);
    written(&bus.increment(NodeId(2), "k", 1));
    bus.run(SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.actors(NodeId(node), "k"), 0, "node {node}");
        assert!(bus.compacted(NodeId(node), "k") > reached);
        assert_eq!(bus.value(NodeId(node), "k"), number(6));
    }
}

#[test]
fn a_fallback_seals_no_tick_of_a_hint_that_it_still_holds() {
    let mut bus = Bus::with(5, config());
    let (owners, fallbacks) = bus.list("k");
    let handoff = bus.config.handoff;
    bus.config.handoff = false;
    bus.restart(fallbacks[0]);
    bus.run(Duration::from_secs(2));
    bus.cut = BTreeSet::from([owners[1], owners[2]]);
    bus.run(Duration::from_secs(2));
    written(&bus.increment(owners[0], "k", 7));
    let hint = bus.stored(fallbacks[0], "k").expect("a hint").row.actors().next().unwrap().0;
    bus.cut.clear();
    bus.run(SETTLED);
    let sealed = |bus: &Bus| bus.nodes[&fallbacks[0]].shard.turn.memory(bus.partition("k")).sealed;
    assert!(sealed(&bus) < hint.expires);
    assert!(bus.actors(owners[0], "k") > 0);

    bus.config.handoff = handoff;
    bus.restart(fallbacks[0]);
    bus.run(SETTLED);
    assert_eq!(bus.stored(fallbacks[0], "k"), None);
    assert!(sealed(&bus) >= hint.expires);
    for owner in owners {
        assert_eq!(bus.actors(owner, "k"), 0);
        assert_eq!(bus.value(owner, "k"), number(7));
    }
}

#[test]
fn a_wiped_fallback_takes_nothing_until_an_owner_has_told_it_what_is_sealed() {
    let mut bus = Bus::with(5, config());
    let (owners, fallbacks) = bus.list("k");
    written(&bus.increment(owners[0], "k", 1));
    bus.run(SETTLED);
    let sealed = |bus: &Bus, at: NodeId| bus.nodes[&at].shard.turn.memory(bus.partition("k")).sealed;
    assert!(sealed(&bus, fallbacks[0]) > Tick(0));
    bus.cut = owners.iter().copied().collect();
    bus.wipe(fallbacks[0]);
    bus.run(Duration::from_secs(3));
    let id = bus.send(fallbacks[0], "k", Command::Increment { by: 1 }, Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_secs(3));
    // Nobody else is asked to accept for it: the other fallback may.
    let is_there = bus.stored(fallbacks[0], "k").is_some();
    assert!(!is_there, "{:?}", bus.replies[&id]);
    bus.cut.clear();
    bus.run(Duration::from_secs(3));
    assert!(sealed(&bus, fallbacks[0]) >= sealed(&bus, owners[0]));
}

#[test]
fn a_reset_covers_what_was_settled_and_both_are_forgotten() {
    let mut bus = Bus::with(3, config());
    written(&bus.increment(NodeId(1), "k", 5));
    bus.run(SETTLED);
    written(&bus.ask(NodeId(2), "k", Command::Put { value: "10".into() }));
    written(&bus.increment(NodeId(3), "k", 1));
    bus.run(2 * SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.value(NodeId(node), "k"), number(11), "node {node}");
        let stored = bus.stored(NodeId(node), "k").unwrap();
        assert_eq!(stored.row, bus.stored(NodeId(1), "k").unwrap().row);
    }
}

#[test]
fn the_row_of_a_session_may_go_before_its_sum_is_written_and_is_not_missed() {
    let mut bus = Bus::with(3, config());
    let session = bus.session(1);
    written(&bus.increment_as(NodeId(1), "k", session, 1, 7));
    bus.run(Duration::from_millis(400));
    let main = RowKey::main(&Key::new("k").unwrap());
    let (partition, row) = (bus.partition("k"), main.session(session));
    // In one turn a debt of the session's row is paid, and its tick is settled: the row is written as it is now, absent. The
    // main row is left to the sweep.
    let node = bus.nodes.get_mut(&NodeId(1)).unwrap();
    let turn = &mut node.shard.turn;
    assert_eq!((turn.load(&main), turn.load(&row)), (Access::Ready, Access::Ready));
    turn.row_mut(&row).header.debts.clear();
    let tick = session.expires;
    turn.change_memory(partition, |memory| {
        (memory.sealed, memory.frozen, memory.compacted, memory.is_unswept) = (tick, tick, tick, true);
    });
    turn.settle_loaded(partition);
    let batch = node.shard.seal(bus.now).batch;
    node.store.write(&batch).unwrap();
    node.store.sync().unwrap();
    assert_eq!(bus.row_keys(NodeId(1)), std::slice::from_ref(&main));
    assert_eq!(bus.stored(NodeId(1), "k").unwrap().row.settled_tick(), Tick(0), "no sum is written");
    // A power cut: what the main row knows of the rows beside it is all that is left of the session here.
    bus.restart(NodeId(1));
    let alone = Options { r: Some(1), strict: true, ..Options::default() };
    bus.cut = BTreeSet::from([NodeId(2), NodeId(3)]);
    let id = bus.send(NodeId(1), "k", Command::Get, alone);
    bus.run(Duration::from_millis(400));
    assert!(matches!(&bus.replies[&id], Response::Value(reply) if reply.value == number(7)), "{:?}", bus.replies[&id]);
    bus.cut.clear();
    bus.run(2 * SETTLED);
    for node in 1..=3 {
        assert_eq!(bus.row_keys(NodeId(node)), std::slice::from_ref(&main), "node {node}");
        assert_eq!(bus.value(NodeId(node), "k"), number(7), "node {node}");
    }
}
