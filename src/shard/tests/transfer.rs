//! Loading owners to come, and clearing those who go: everything arrives, travels once, and is dropped by proof only.

use super::council::is_committed;
use super::moves::Move;
use super::*;
use crate::causality::Tick;
use crate::membership::{Change, Phase};
use crate::message::client::MoveWait;
use crate::message::peer::{Deliver, MoveStep, OwedRow, Refusal};

/// Nothing repairs but what moves data.
fn only_moves() -> ShardConfig {
    ShardConfig { exchange: false, handoff: false, read_repair: false, ..ShardConfig::default() }
}

impl Bus {
    /// Keys of the partition of this one.
    fn keys_beside(&self, change: &Move, count: usize) -> Vec<String> {
        let keys = (0..100_000).map(|number| format!("beside-{number}"));
        keys.filter(|key| self.partition(key) == change.partition).take(count).collect()
    }

    fn move_state(&self, at: NodeId) -> crate::message::peer::MoveState {
        self.nodes[&at].shard.move_state(self.now_at(at))
    }

    /// Everybody takes the phases up to this one, and each runs for a while.
    fn go_through(&mut self, change: &Move, phases: std::ops::Range<usize>) {
        for phase in &change.phases[phases] {
            self.adopt(self.everyone(), phase);
            self.run(Duration::from_secs(8));
        }
    }

    fn rows_of(&self, at: NodeId, partition: PartitionId) -> usize {
        let count = self.ring.layout().partitions;
        self.row_keys(at).iter().filter(|row| row.partition(count) == partition).count()
    }

    fn synced(&self, at: NodeId, partition: PartitionId) -> Option<(u64, u64)> {
        self.nodes[&at].observations.iter().find_map(|seen| match seen {
            Observation::PartitionSynced { partition: of, rows, bytes } if *of == partition => Some((*rows, *bytes)),
            _ => None,
        })
    }
}

/// Each owner of before has a key that the others lack.
fn with_a_key_each(bus: &mut Bus, change: &Move) -> Vec<(NodeId, String)> {
    let before: Vec<NodeId> = change.stayers.iter().copied().chain([change.leaver]).collect();
    let keys = bus.keys_beside(change, before.len());
    for (node, key) in before.iter().zip(&keys) {
        bus.cut = bus.everyone().into_iter().filter(|other| other != node).collect();
        bus.run(Duration::from_secs(3));
        let options = Options { w: Some(1), ..Options::default() };
        let id = bus.send(*node, key, Command::Increment { by: 7 }, options);
        bus.run(Duration::from_millis(400));
        written(&bus.replies[&id]);
    }
    bus.cut.clear();
    bus.run(Duration::from_secs(3));
    before.into_iter().zip(keys).collect()
}

fn does_an_owner_to_come_learn_from_every_owner_of_before() -> bool {
    let mut bus = Bus::with(5, only_moves());
    let change = Move::of(&bus);
    let keys = with_a_key_each(&mut bus, &change);
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.standing(change.joiner, change.partition), Standing::Owner);
    assert!(bus.synced(change.joiner, change.partition).is_some());
    keys.iter().all(|(_, key)| bus.shows(change.joiner, key) == Some(number(7)))
}

#[test]
fn an_owner_to_come_has_what_any_single_owner_of_before_had() {
    assert!(does_an_owner_to_come_learn_from_every_owner_of_before());
}

#[test]
fn an_owner_to_come_waits_for_every_owner_of_before_and_says_for_whom() {
    let mut bus = Bus::with(5, only_moves());
    let change = Move::of(&bus);
    let silent = change.stayers[0];
    written(&bus.increment(silent, &change.key, 7));
    bus.cut = BTreeSet::from([silent]);
    bus.run(Duration::from_secs(3));
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.standing(change.joiner, change.partition), Standing::Joining, "it takes what is written");
    let state = bus.move_state(change.joiner);
    let waiting = state.waiting.iter().find(|waiting| waiting.partition == change.partition).expect("it waits");
    assert_eq!(waiting.step, MoveStep::WaitsFor(silent));
    bus.cut.clear();
    bus.run(Duration::from_secs(8));
    assert_eq!(bus.standing(change.joiner, change.partition), Standing::Owner);
    let state = bus.move_state(change.joiner);
    assert!(state.waiting.iter().all(|waiting| waiting.partition != change.partition), "{state:?}");
}

#[test]
fn a_row_travels_once_to_an_owner_to_come_however_many_owners_of_before_have_it() {
    let mut bus = Bus::with(5, only_moves());
    let change = Move::of(&bus);
    let keys = bus.keys_beside(&change, 120);
    for key in &keys {
        let value = bytes::Bytes::from(vec![b'x'; 400]);
        bus.send(change.stayers[0], key, Command::Put { value }, Options::default());
    }
    bus.run(Duration::from_secs(3));
    let before = bus.compared.bytes;
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(8));
    let (rows, bytes) = bus.synced(change.joiner, change.partition).expect("it is synced");
    assert_eq!(rows, keys.len() as u64, "each row once");
    let travelled = (bus.compared.bytes - before) as u64;
    assert!(travelled * 10 < bytes * 16, "{travelled} bytes travelled for {bytes} bytes of rows");
}

#[test]
fn at_most_two_partitions_are_loaded_at_once_and_none_while_moving_is_halted() {
    let mut bus = Bus::with(5, only_moves());
    let change = Move::of(&bus);
    for number in 0..200 {
        bus.send(change.stayers[0], &format!("k{number}"), Command::Increment { by: 1 }, Options::default());
    }
    bus.run(Duration::from_secs(3));
    for node in bus.everyone() {
        let now = bus.now;
        bus.nodes.get_mut(&node).unwrap().shard.pause_moves(now, true);
    }
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(5));
    assert_eq!(bus.standing(change.joiner, change.partition), Standing::Joining);
    assert!(bus.move_state(change.joiner).waiting.iter().all(|waiting| waiting.step == MoveStep::Queued));
    for node in bus.everyone() {
        let now = bus.now;
        bus.nodes.get_mut(&node).unwrap().shard.pause_moves(now, false);
    }
    for _ in 0..400 {
        bus.run(Duration::from_millis(20));
        for node in bus.nodes.values() {
            assert!(node.shard.exchanges.loading().len() <= limits::TRANSFERS_MAX);
        }
    }
    assert!(bus.everyone().into_iter().all(|node| bus.standing(node, change.partition) != Standing::Joining));
}

#[test]
fn one_owner_of_before_teaches_two_partitions_at_once_and_is_busy_for_others() {
    let members = (1..=5).map(|id| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"))).collect();
    let mut layout = Layout::founding(ClusterId([7; 16]), "test", members);
    layout.partitions = 64;
    let mut bus = Bus::founded(layout, only_moves());
    let change = Move::of(&bus);
    bus.adopt(bus.everyone(), change.moving());
    // Offers are held back until one owner has got too many.
    let mut offers: BTreeMap<NodeId, BTreeMap<(NodeId, PartitionId), Frame>> = BTreeMap::new();
    let is_offer = |told: &&Addressed| matches!(told.message, PeerMessage::ExchangeOffer(_));
    let mut teacher = None;
    for _ in 0..500 {
        for node in bus.everyone() {
            bus.turn(node);
        }
        for (from, to, frame) in std::mem::take(&mut bus.frames) {
            if let Some(told) = frame.messages.iter().find(is_offer) {
                offers.entry(to).or_default().insert((from, told.partition), frame);
                continue;
            }
            let now = bus.now;
            bus.nodes.get_mut(&to).unwrap().shard.handle(now, Input::Peer { from, frame });
        }
        bus.now.mono = bus.now.mono.after(Duration::from_millis(20));
        teacher = offers.iter().find(|(_, offers)| offers.len() > limits::TRANSFERS_MAX).map(|(node, _)| *node);
        if teacher.is_some() {
            break;
        }
    }
    let teacher = teacher.expect("more than two are to learn from the same owner");
    let offers = offers.remove(&teacher).unwrap();
    let now = bus.now;
    for ((from, _), frame) in &offers {
        let shard = &mut bus.nodes.get_mut(&teacher).unwrap().shard;
        shard.handle(now, Input::Peer { from: *from, frame: frame.clone() });
    }
    assert_eq!(bus.nodes[&teacher].shard.responders.teaching(), limits::TRANSFERS_MAX);
    let mut refused = 0;
    while bus.turn(teacher) {
        let told = bus.frames.drain(..).flat_map(|(_, _, frame)| frame.messages);
        let is_busy = |told: &Addressed| match &told.message {
            PeerMessage::ExchangeAnswer(answer) => answer.outcome == Err(Refusal::Busy),
            _ => false,
        };
        refused += told.filter(is_busy).count();
    }
    let made = offers.values().flat_map(|frame| &frame.messages).filter(is_offer).count();
    assert_eq!(refused, made - limits::TRANSFERS_MAX);
    bus.run(Duration::from_secs(60));
    assert_eq!(bus.standing(change.joiner, change.partition), Standing::Owner);
}

#[test]
fn an_owner_that_is_behind_in_settling_when_its_partition_begins_to_move_catches_up() {
    let mut bus =
        Bus::with(5, ShardConfig { exchange_interval: Duration::from_secs(60), ..super::stability::config() });
    let change = Move::of(&bus);
    written(&bus.increment(change.stayers[0], &change.key, 1));
    bus.run(Duration::from_secs(2));
    let owners = [change.leaver, change.stayers[0], change.stayers[1]];
    let most = Tick::at(bus.now.wall, bus.config.tick);
    // All hold the same and say so; two have heard all the answers.
    for owner in owners {
        let turn = &mut bus.nodes.get_mut(&owner).unwrap().shard.turn;
        turn.change_memory(change.partition, |memory| {
            (memory.sealed, memory.frozen) = (most, most);
            if owner != change.stayers[1] {
                memory.compacted = most;
            }
        });
    }
    let behind = change.stayers[1];
    assert!(bus.compacted(behind, &change.key) < most);
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(8));
    assert!(!change.moving().may_settle(change.partition), "nobody asks how far it is settled");
    assert_eq!(bus.compacted(behind, &change.key), most);
    for owner in change.stayers.iter().chain([&change.joiner]) {
        assert!(bus.move_state(*owner).is_synced(), "{owner}: {:?}", bus.move_state(*owner));
    }
}

#[test]
fn an_owner_to_come_founds_nothing_however_long_those_of_before_are_silent() {
    let mut bus = Bus::with(5, only_moves());
    let change = Move::of(&bus);
    written(&bus.increment(change.stayers[0], &change.key, 7));
    bus.cut = change.stayers.iter().copied().chain([change.leaver]).collect();
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(20));
    assert_eq!(bus.standing(change.joiner, change.partition), Standing::Newborn);
}

fn does_who_hands_over_wait_until_all_have_what_it_had() -> bool {
    let mut bus = Bus::with(5, ShardConfig { exchange_interval: Duration::from_secs(2), ..ShardConfig::default() });
    let change = Move::of(&bus);
    let (leaver, silent) = (change.leaver, change.stayers[0]);
    written(&bus.increment(silent, &change.key, 7));
    let late = bus.keys_beside(&change, 1).remove(0);
    bus.go_through(&change, 0..2);
    // A hint comes to it alone, after everybody was synced.
    bus.cut = bus.everyone().into_iter().filter(|node| *node != leaver).collect();
    bus.run(Duration::from_secs(2));
    let row = RowKey::main(&Key::new(late.clone()).unwrap());
    let state = bus.stored(silent, &change.key).unwrap().row.encode();
    let rows = vec![OwedRow { row, version: crate::ids::RowVersion(1), state }];
    let hint = Deliver { op: OpId(900), rows, marks: None };
    bus.hear(leaver, change.joiner, &late, PeerMessage::Deliver(hint));
    assert_eq!(bus.shows(leaver, &late), Some(number(7)));
    bus.cut = BTreeSet::from([silent]);
    bus.adopt(bus.everyone(), &change.phases[2]);
    bus.run(Duration::from_secs(12));
    assert_eq!(bus.standing(leaver, change.partition), Standing::Leaving);
    if bus.rows_of(leaver, change.partition) < 2 {
        // One owner has not taken it yet.
        return false;
    }
    let state = bus.move_state(leaver);
    assert!(!state.is_cleared() && state.waiting.iter().any(|it| it.step == MoveStep::WaitsFor(silent)), "{state:?}");
    bus.cut.clear();
    bus.run(Duration::from_secs(12));
    assert_eq!(bus.rows_of(leaver, change.partition), 0);
    assert!(bus.move_state(leaver).is_cleared() && bus.nodes[&leaver].shard.turn.memory(change.partition).is_cleared);
    change.stayers.iter().chain([&change.joiner]).all(|owner| bus.shows(*owner, &late) == Some(number(7)))
}

#[test]
fn what_only_an_owner_of_before_was_given_reaches_all_owners_before_it_drops_anything() {
    assert!(does_who_hands_over_wait_until_all_have_what_it_had());
}

#[test]
fn an_owner_of_before_that_has_no_room_is_learned_from_and_leaves() {
    let mut bus = Bus::with(5, ShardConfig::default());
    let change = Move::of(&bus);
    let (leaver, key) = (change.leaver, change.key.clone());
    let alone = bus.keys_beside(&change, 1).remove(0);
    bus.cut = bus.everyone().into_iter().filter(|node| *node != leaver).collect();
    bus.run(Duration::from_secs(3));
    let id = bus.send(leaver, &alone, Command::Increment { by: 3 }, Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_millis(400));
    written(&bus.replies[&id]);
    bus.has_no_room(leaver, true);
    // What is owed by it is not what brings it: the others learn by exchange.
    bus.loses = |message| matches!(message, PeerMessage::Deliver(_));
    bus.cut.clear();
    bus.run(Duration::from_secs(3));
    written(&bus.increment(change.stayers[0], &key, 7));
    bus.go_through(&change, 0..1);
    assert_eq!(bus.shows(leaver, &key), None, "it takes nothing");
    for owner in change.stayers.iter().chain([&change.joiner]) {
        assert!(bus.move_state(*owner).is_synced(), "{owner}: {:?}", bus.move_state(*owner));
        assert_eq!((bus.shows(*owner, &key), bus.shows(*owner, &alone)), (Some(number(7)), Some(number(3))), "{owner}");
    }
    bus.loses = |_| false;
    bus.go_through(&change, 1..4);
    assert_eq!(bus.rows_of(leaver, change.partition), 0);
    assert_eq!((bus.value(change.joiner, &key), bus.value(change.joiner, &alone)), (number(7), number(3)));
}

#[test]
fn who_has_no_room_for_what_it_is_to_own_says_so_and_the_move_waits_for_it() {
    let mut bus = Bus::with(5, ShardConfig::default());
    let change = Move::of(&bus);
    let keys: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    for key in &keys {
        bus.send(NodeId(1), key, Command::Increment { by: 2 }, Options::default());
    }
    bus.run(Duration::from_secs(2));
    bus.has_no_room(change.joiner, true);
    assert!(is_committed(&bus.commit(1, [Change::Leave(change.leaver)]), 2));
    bus.run(Duration::from_secs(15));
    let progress = bus.progress(1);
    assert_eq!(progress.phase, Phase::Moving, "it waits");
    let full = progress.members.iter().find(|member| member.node == change.joiner).unwrap();
    assert_eq!(full.wait, Some(MoveWait::Takes));
    let says_so = |it: &&crate::message::peer::PartitionMove| it.step == MoveStep::WaitsForDisk;
    let said = full.state.waiting.iter().filter(says_so).any(|it| it.partition == change.partition);
    assert!(said, "{:?}", full.state);
    for node in [change.joiner, change.leaver, change.stayers[0]] {
        assert_eq!(bus.value(node, &change.key), number(2), "meanwhile the owners of before serve");
    }
    bus.has_no_room(change.joiner, false);
    bus.run(Duration::from_secs(40));
    let ring = bus.nodes[&NodeId(1)].shard.site.ring.clone();
    assert_eq!((ring.layout().phase, ring.layout().members.len()), (Phase::Steady, 4));
    for key in &keys {
        assert_eq!(bus.value(change.joiner, key), number(2), "{key}");
    }
}

#[test]
fn an_owner_that_has_no_room_for_what_is_handed_over_is_named_by_who_hands_over() {
    let mut bus = Bus::with(5, only_moves());
    let change = Move::of(&bus);
    bus.go_through(&change, 0..2);
    let full = change.stayers[1];
    bus.has_no_room(full, true);
    written(&bus.increment(change.stayers[0], &change.key, 7));
    assert_eq!(bus.shows(full, &change.key), None);
    bus.go_through(&change, 2..3);
    let shown = |bus: &Bus| {
        let state = bus.move_state(change.leaver);
        state.waiting.into_iter().find(|waiting| waiting.partition == change.partition)
    };
    let waiting = shown(&bus).expect("it cannot hand over");
    assert_eq!((waiting.step, waiting.full), (MoveStep::Clearing, Some(full)));
    bus.has_no_room(full, false);
    bus.run(Duration::from_secs(8));
    assert_eq!(shown(&bus), None, "all is handed over");
    assert_eq!(bus.shows(full, &change.key), Some(number(7)));
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_each_of_them_goes_wrong() {
    use crate::mutation::Mutation;
    let stories: [(Mutation, fn() -> bool); 2] = [
        (Mutation::SyncWithOneTeacher, does_an_owner_to_come_learn_from_every_owner_of_before),
        (Mutation::TransferDropsBeforeProof, does_who_hands_over_wait_until_all_have_what_it_had),
    ];
    for (protection, story) in stories {
        assert!(goes_wrong_without(protection, story), "{protection:?}");
    }
}

#[test]
fn who_hands_over_begins_again_after_a_restart_and_ends() {
    let mut bus = Bus::with(5, ShardConfig::default());
    let change = Move::of(&bus);
    written(&bus.increment(change.stayers[0], &change.key, 7));
    bus.go_through(&change, 0..2);
    bus.adopt(bus.everyone(), &change.phases[2]);
    bus.restart(change.leaver);
    bus.run(Duration::from_secs(12));
    assert_eq!(bus.rows_of(change.leaver, change.partition), 0);
    bus.restart(change.leaver);
    assert!(bus.nodes[&change.leaver].shard.turn.memory(change.partition).is_cleared, "it is remembered");
    bus.run(Duration::from_secs(2));
    assert!(bus.move_state(change.leaver).is_cleared(), "it has looked at what it stood in for");
}

#[test]
fn what_a_change_that_was_taken_back_has_left_behind_is_handed_over_and_dropped() {
    let mut bus = Bus::with(5, ShardConfig::default());
    let change = Move::of(&bus);
    written(&bus.increment(change.stayers[0], &change.key, 7));
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(8));
    assert!(bus.rows_of(change.joiner, change.partition) > 0);
    let reverted = Arc::new(RingView::new(change.moving().layout().reverted().unwrap()).unwrap());
    bus.adopt(bus.everyone(), &reverted);
    assert!(bus.nodes[&change.joiner].shard.turn.memory(change.partition).has_strays);
    bus.run(Duration::from_secs(12));
    assert_eq!(bus.rows_of(change.joiner, change.partition), 0);
    assert!(!bus.nodes[&change.joiner].shard.turn.memory(change.partition).has_strays);
    assert_eq!(bus.value(change.stayers[0], &change.key), number(7));
}
