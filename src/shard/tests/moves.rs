//! Writes and reads while a partition's owners change: W in each list, the present readers, and who has not heard of it yet.

use super::*;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::ids::RowVersion;
use crate::membership::{Change, Plan};
use crate::message::peer::{Part, Refusal, Replicated};
use crate::storage::memory::MemoryFaults;
use crate::time::Hlc;
use crate::value::Row;

/// A change of the members, and a key that it moves.
pub(super) struct Move {
    /// Moving, switched, closing, steady.
    pub phases: [Arc<RingView>; 4],
    pub key: String,
    pub partition: PartitionId,
    pub leaver: NodeId,
    pub joiner: NodeId,
    pub stayers: Vec<NodeId>,
}

impl Move {
    /// One of the members goes, and a stand-in takes its place for the key.
    pub fn of(bus: &Bus) -> Move {
        Move::whose(bus, |_, _| true)
    }

    /// The same of a key whose partition and owner to come are fit.
    fn whose(bus: &Bus, is_fit: impl Fn(PartitionId, NodeId) -> bool) -> Move {
        let leaver = NodeId(2);
        let plan = Plan { base: bus.ring.epoch(), changes: vec![Change::Leave(leaver)], accepts_loss: false };
        let mut layout = plan.apply(&bus.ring).unwrap();
        let phases = [(); 4].map(|()| {
            let view = Arc::new(RingView::new(layout.clone()).unwrap());
            layout = layout.next_phase().unwrap().unwrap_or_else(|| layout.clone());
            view
        });
        let [moving, _, _, steady] = &phases;
        let owners = |view: &RingView, partition| view.readers(partition).to_vec();
        let keys = (0..200).map(|number| format!("k{number}"));
        let found = keys.into_iter().find_map(|key| {
            let partition = moving.partition_of(&Key::new(key.clone()).unwrap());
            let (before, after) = (owners(&bus.ring, partition), owners(steady, partition));
            let joiner = after.iter().copied().find(|node| !before.contains(node) && is_fit(partition, *node))?;
            let stayers = before.into_iter().filter(|node| *node != leaver).collect();
            Some(Move { phases: phases.clone(), key, partition, leaver, joiner, stayers })
        });
        found.expect("some key moves")
    }

    pub fn moving(&self) -> &Arc<RingView> {
        &self.phases[0]
    }
}

impl Bus {
    pub(super) fn everyone(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub(super) fn standing(&self, node: NodeId, partition: PartitionId) -> Standing {
        let shard = &self.nodes[&node].shard;
        Standing::of(&shard.site.env(self.now), &shard.turn, partition)
    }

    /// The owner to come has learned the seal: it takes what is written.
    pub(super) fn join(&mut self, change: &Move) {
        let shard = &mut self.nodes.get_mut(&change.joiner).unwrap().shard;
        shard.turn.learn_seal(change.partition, Tick(0), Tick(0));
        assert_eq!(self.standing(change.joiner, change.partition), Standing::Joining);
    }

    pub(super) fn has_no_room(&mut self, node: NodeId, is_below: bool) {
        let now = self.now;
        self.nodes.get_mut(&node).unwrap().shard.handle(now, Input::DiskReserve { is_below });
    }

    pub(super) fn shows(&self, node: NodeId, key: &str) -> Option<Visible> {
        Some(self.stored(node, key)?.row.visible(&Beside::NONE, WallTime(0)))
    }
}

/// Nothing goes from owner to owner but what is written.
pub(super) fn only_writes() -> ShardConfig {
    ShardConfig { exchange: false, read_repair: false, ..ShardConfig::default() }
}

fn strict(w: u8) -> Options {
    Options { w: Some(w), strict: true, ..Options::default() }
}

#[test]
fn a_write_while_owners_change_is_held_by_the_owners_of_before_and_by_those_to_come() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    bus.adopt(bus.everyone(), change.moving());
    bus.join(&change);
    let reply = bus.increment(change.stayers[0], &change.key, 7);
    assert!(written(&reply).acks.iter().filter(|ack| ack.is_owner).count() >= 2, "{reply:?}");
    bus.run(Duration::from_secs(3));
    for node in [&[change.leaver, change.joiner], &change.stayers[..]].concat() {
        assert_eq!(bus.shows(node, &change.key), Some(number(7)), "{node}");
    }
    assert_eq!(bus.debts(), 0);
}

/// Of the owners of before only the coordinator is there; with the owner to come it would be a quorum of those to come.
fn is_w_of_those_to_come_too_few() -> bool {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    bus.adopt(bus.everyone(), change.moving());
    bus.join(&change);
    bus.cut = BTreeSet::from([change.leaver, change.stayers[1]]);
    bus.run(Duration::from_secs(3));
    let id = bus.send(change.stayers[0], &change.key, Command::Increment { by: 7 }, strict(2));
    bus.run(Duration::from_secs(3));
    let too_few = Reason::TooFewReachable { needed: 2, reachable: 1, strict: true };
    matches!(&bus.replies[&id], Response::Failed(error) if error.reason == too_few)
}

#[test]
fn a_quorum_of_the_owners_to_come_alone_is_none() {
    assert!(is_w_of_those_to_come_too_few());
}

#[test]
fn a_quorum_of_the_owners_of_before_alone_is_none() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    bus.adopt(bus.everyone(), change.moving());
    bus.join(&change);
    bus.cut = BTreeSet::from([change.joiner, change.stayers[1]]);
    bus.run(Duration::from_secs(3));
    let id = bus.send(change.stayers[0], &change.key, Command::Increment { by: 7 }, strict(2));
    bus.run(Duration::from_secs(3));
    assert!(matches!(bus.replies[&id], Response::Failed(_)), "{:?}", bus.replies[&id]);
    bus.cut = BTreeSet::from([change.joiner]);
    bus.run(Duration::from_secs(3));
    let id = bus.send(change.stayers[0], &change.key, Command::Increment { by: 7 }, strict(2));
    bus.run(Duration::from_secs(3));
    assert!(matches!(bus.replies[&id], Response::Written(_)), "two of each list are there: {:?}", bus.replies[&id]);
}

/// The coordinator has not heard of the change yet: its quorum would be one of the owners of before alone.
fn does_an_older_writer_wait_until_it_has_heard() -> bool {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let writer = change.stayers[0];
    bus.adopt(bus.everyone().into_iter().filter(|node| *node != writer), change.moving());
    bus.join(&change);
    let id = bus.send(writer, &change.key, Command::Increment { by: 7 }, Options::default());
    bus.run(Duration::from_millis(800));
    if bus.replies.contains_key(&id) || bus.shows(change.stayers[1], &change.key).is_some() {
        return false;
    }
    bus.adopt([writer], change.moving());
    bus.run(Duration::from_millis(200));
    written(&bus.replies[&id]);
    bus.run(Duration::from_secs(3));
    bus.shows(change.joiner, &change.key) == Some(number(7))
}

#[test]
fn a_writer_that_has_not_heard_of_the_change_is_refused_and_its_write_goes_on_when_it_has() {
    assert!(does_an_older_writer_wait_until_it_has_heard());
}

#[test]
fn a_write_that_is_on_its_way_while_everybody_takes_up_the_layout_is_sent_once_more() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let id = bus.send(change.stayers[0], &change.key, Command::Increment { by: 7 }, strict(3));
    while !bus
        .frames
        .iter()
        .any(|(_, _, frame)| frame.messages.iter().any(|told| matches!(told.message, PeerMessage::Replicate(_))))
    {
        bus.turn(change.stayers[0]);
    }
    bus.adopt(bus.everyone(), change.moving());
    bus.join(&change);
    bus.run(Duration::from_millis(80));
    assert!(matches!(bus.replies.get(&id), Some(Response::Written(_))), "{:?}", bus.replies.get(&id));
    for node in [&[change.leaver, change.joiner], &change.stayers[..]].concat() {
        assert_eq!(bus.shows(node, &change.key), Some(number(7)), "{node}");
    }
}

/// An owner to come has acknowledged a write, and the change is taken back before the quorum of the others is met.
#[test]
fn who_has_no_part_in_a_key_any_more_is_not_named_among_those_that_hold_a_write() {
    let mut bus = Bus::with(8, only_writes());
    let before = bus.ring.clone();
    let change = Move::whose(&bus, |partition, joiner| !before.accepts(partition, joiner));
    bus.adopt(bus.everyone(), change.moving());
    bus.join(&change);
    bus.cut.insert(change.leaver);
    let options = Options { w: Some(3), ..Options::default() };
    let id = bus.send(change.stayers[0], &change.key, Command::Increment { by: 7 }, options);
    bus.run(Duration::from_millis(20));
    assert!(bus.shows(change.joiner, &change.key).is_some() && !bus.replies.contains_key(&id));
    let reverted = Arc::new(RingView::new(change.moving().layout().reverted().unwrap()).unwrap());
    bus.adopt(bus.everyone(), &reverted);
    bus.run(Duration::from_secs(1));
    let acks: Vec<NodeId> = written(&bus.replies[&id]).acks.iter().map(|ack| ack.node).collect();
    assert!(acks.len() >= 3 && acks.iter().all(|node| reverted.accepts(change.partition, *node)), "{acks:?}");
}

/// What a node answers to a write that was told under a layout, and waits for its row while the node takes up the next one.
fn answer_after_the_change(layout: u64) -> (Result<crate::config::Durability, Refusal>, Option<Visible>) {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let (writer, node) = (change.stayers[0], change.stayers[1]);
    let row = RowKey::main(&Key::new(change.key.clone()).unwrap());
    let actor = ActorId { expires: Tick(u32::MAX), epoch: Epoch(77), tenure: Tenure(0) };
    let mut delta = Row::default();
    delta.increment(Dot { actor, event: 1 }, Hlc { wall: 1, logical: 0 }, 5, &Beside::NONE).unwrap();
    let parts = vec![Part { row, version: RowVersion(1), delta: delta.encode() }];
    let message = PeerMessage::Replicate(Replicate { op: OpId(7), parts, owed: Vec::new(), only_removes: false });
    let messages = vec![Addressed { partition: change.partition, layout, message }];
    let epoch = bus.nodes[&writer].shard.site.identity.epoch;
    let frame = Frame { layout: bus.ring.epoch(), epoch, clock: Hlc::default(), messages };
    let now = bus.now;
    bus.nodes[&node].store.set_faults(MemoryFaults { not_in_memory_per_mille: 1000, ..MemoryFaults::default() });
    bus.nodes.get_mut(&node).unwrap().shard.handle(now, Input::Peer { from: writer, frame });
    bus.adopt([node], change.moving());
    let mut answers = Vec::new();
    for _ in 0..6 {
        bus.turn(node);
        let told = bus.frames.drain(..).flat_map(|(_, _, frame)| frame.messages);
        answers.extend(told.filter_map(|told| match told.message {
            PeerMessage::Replicated(Replicated { outcome, .. }) => Some(outcome),
            _ => None,
        }));
    }
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    (answer.clone(), bus.shows(node, &change.key))
}

#[test]
fn a_write_that_waited_for_its_row_while_the_layout_changed_is_refused_if_it_was_said_before() {
    let have = Move::of(&Bus::with(5, only_writes())).moving().epoch().number;
    assert_eq!(answer_after_the_change(have - 1), (Err(Refusal::StaleLayout { have }), None));
    let (answer, shown) = answer_after_the_change(have);
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(shown, Some(number(5)));
}

/// The owner to come has nothing yet but what is written now.
fn does_a_read_ask_the_owners_of_before() -> bool {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    written(&bus.increment(change.stayers[0], &change.key, 7));
    bus.run(Duration::from_secs(2));
    bus.adopt(bus.everyone(), change.moving());
    bus.join(&change);
    let options = Options { r: Some(1), ..Options::default() };
    let id = bus.send(change.joiner, &change.key, Command::Get, options);
    bus.run(Duration::from_millis(400));
    matches!(&bus.replies[&id], Response::Value(reply) if reply.value == number(7))
}

#[test]
fn an_owner_to_come_is_not_read_before_it_is_loaded() {
    assert!(does_a_read_ask_the_owners_of_before());
}

#[test]
fn an_owner_of_before_coordinates_no_write_any_more_and_its_client_is_answered_all_the_same() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let [moving, switched, closing, _] = &change.phases;
    bus.adopt(bus.everyone(), moving);
    bus.join(&change);
    bus.nodes.get_mut(&change.joiner).unwrap().shard.turn.establish(change.partition);
    bus.adopt(bus.everyone(), switched);
    bus.adopt(bus.everyone(), closing);
    let minted = |bus: &Bus| {
        let seen = &bus.nodes[&change.leaver].observations;
        seen.iter().filter(|seen| matches!(seen, Observation::Minted { .. })).count()
    };
    let before = minted(&bus);
    let reply = bus.increment(change.leaver, &change.key, 7);
    assert!(written(&reply).acks.iter().all(|ack| ack.node != change.leaver), "{reply:?}");
    assert_eq!(minted(&bus), before);
    assert_eq!(bus.value(change.leaver, &change.key), number(7));
    assert_eq!(bus.stored(change.leaver, &change.key), None);
}

#[test]
fn a_read_that_is_under_way_when_the_layout_changes_asks_the_readers_to_come() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let [moving, switched, ..] = &change.phases;
    bus.adopt(bus.everyone(), moving);
    bus.join(&change);
    bus.nodes.get_mut(&change.joiner).unwrap().shard.turn.establish(change.partition);
    let asker = bus.everyone().into_iter().find(|node| !moving.owners(change.partition).contains(node)).unwrap();
    let id = bus.send(asker, &change.key, Command::Get, Options { r: Some(3), strict: true, ..Options::default() });
    bus.turn(asker);
    let frames = std::mem::take(&mut bus.frames);
    bus.adopt(bus.everyone(), switched);
    bus.frames = frames;
    bus.run(Duration::from_millis(600));
    let Response::Value(reply) = &bus.replies[&id] else { panic!("{:?}", bus.replies[&id]) };
    let answered: BTreeSet<NodeId> = reply.answered.iter().copied().collect();
    assert_eq!(answered, switched.readers(change.partition).iter().copied().collect());
}

/// An owner is away when a key is written, and leaves before the hint for it is paid: those who own the key then get it.
fn does_a_hint_for_who_leaves_reach_those_who_own_then() -> bool {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let [moving, switched, closing, steady] = &change.phases;
    bus.cut.insert(change.leaver);
    bus.run(Duration::from_secs(3));
    for _ in 0..3 {
        written(&bus.increment(change.stayers[0], &change.key, 7));
    }
    bus.run(Duration::from_secs(4));
    assert!(bus.debts() > 0, "the owner that is away is owed it");
    bus.adopt(bus.everyone(), moving);
    bus.join(&change);
    bus.run(Duration::from_secs(4));
    let is_owed_to_who_comes = bus.shows(change.joiner, &change.key) == Some(number(21));
    bus.nodes.get_mut(&change.joiner).unwrap().shard.turn.establish(change.partition);
    for phase in [switched, closing, steady] {
        bus.adopt(bus.everyone(), phase);
        bus.run(Duration::from_secs(4));
    }
    let owed = |node: &Node| node.shard.turn.owed_to(change.leaver);
    let others = bus.nodes.iter().filter(|(id, _)| **id != change.leaver);
    is_owed_to_who_comes
        && others.map(|(_, node)| owed(node)).sum::<u64>() == 0
        && bus.value(change.joiner, &change.key) == number(21)
}

#[test]
fn what_is_owed_to_an_owner_that_leaves_is_owed_to_those_that_own_then() {
    assert!(does_a_hint_for_who_leaves_reach_those_who_own_then());
}

#[test]
fn a_hint_whose_owner_has_left_goes_to_every_owner_and_a_start_in_between_forgets_none() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let (owners, fallbacks) = bus.list(&change.key);
    let holder = *fallbacks.iter().find(|node| **node != change.joiner).unwrap();
    bus.cut = owners.iter().copied().chain([change.joiner]).collect();
    bus.run(Duration::from_secs(3));
    let id = bus.send(holder, &change.key, Command::Increment { by: 5 }, Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_secs(1));
    written(&bus.replies[&id]);
    // The stand-in is away while the layout changes, and its hint is for an owner that is none any more when it comes back.
    let node = bus.nodes.remove(&holder).unwrap();
    for phase in &change.phases {
        bus.adopt(bus.everyone().into_iter().chain([holder]), phase);
        bus.nodes.get_mut(&change.joiner).unwrap().shard.turn.establish(change.partition);
    }
    bus.start(holder, node.store);
    bus.cut = BTreeSet::from([change.leaver]);
    bus.run(Duration::from_secs(8));
    for owner in change.phases[3].owners(change.partition) {
        assert_eq!(bus.shows(*owner, &change.key), Some(number(5)), "{owner}");
    }
    assert_eq!((bus.debts(), bus.stored(holder, &change.key)), (0, None));
}

/// A stand-in holds a hint for an owner that had no room, and will not ask it again for a minute. Then the owners change.
fn does_a_change_end_the_wait_for_an_owner() -> bool {
    let mut bus = Bus::with(5, ShardConfig { delivery_backoff: Duration::from_secs(60), ..only_writes() });
    let change = Move::of(&bus);
    let (owners, fallbacks) = bus.list(&change.key);
    let holder = *fallbacks.iter().find(|node| **node != change.joiner).unwrap();
    bus.cut = owners.iter().copied().chain([change.joiner]).collect();
    bus.run(Duration::from_secs(3));
    let id = bus.send(holder, &change.key, Command::Increment { by: 5 }, Options { w: Some(1), ..Options::default() });
    bus.run(Duration::from_secs(1));
    written(&bus.replies[&id]);
    bus.has_no_room(change.leaver, true);
    bus.cut.clear();
    bus.run(Duration::from_secs(3));
    assert_eq!(bus.debts(), 1, "the others have taken it");
    bus.has_no_room(change.leaver, false);
    bus.run(Duration::from_secs(3));
    assert_eq!(bus.debts(), 1, "it is not asked again so soon");
    bus.adopt(bus.everyone(), change.moving());
    bus.run(Duration::from_secs(3));
    let is_paid = bus.debts() == 0 && bus.stored(holder, &change.key).is_none();
    is_paid && [change.leaver, change.joiner].iter().all(|node| bus.shows(*node, &change.key) == Some(number(5)))
}

#[test]
fn what_an_owner_refused_before_a_change_is_delivered_to_it_at_once_afterwards() {
    assert!(does_a_change_end_the_wait_for_an_owner());
}

#[test]
fn a_start_looks_for_marks_of_before_only_if_it_finds_one() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    bus.cut.insert(change.stayers[1]);
    bus.run(Duration::from_secs(3));
    let writer = change.stayers[0];
    written(&bus.increment(writer, &change.key, 7));
    bus.run(Duration::from_secs(4));
    let waits = |bus: &Bus| bus.nodes[&writer].shard.retargets.owners().collect::<Vec<_>>();
    assert!(bus.nodes[&writer].shard.turn.owed_to(change.stayers[1]) > 0);
    bus.restart(writer);
    assert_eq!(waits(&bus), [], "it owes it to an owner of now");
    let steady = &change.phases[3];
    for (phase, owner) in [(change.moving(), change.stayers[1]), (steady, change.leaver)] {
        bus.rings.insert(writer, phase.clone());
        if owner == change.leaver {
            // The mark was set before, and the node was away while the owner left.
            let row = RowKey::main(&Key::new(change.key.clone()).unwrap());
            let now = bus.now.wall;
            let shard = &mut bus.nodes.get_mut(&writer).unwrap().shard;
            assert!(matches!(shard.turn.load(&row), Access::Ready));
            let header = &mut shard.turn.row_mut(&row).header;
            header.owe(owner, header.version, now);
            bus.turn(writer);
        }
        bus.restart(writer);
        assert!(waits(&bus).contains(&owner), "{phase:?}", phase = phase.layout().phase);
    }
}

#[test]
fn what_was_answered_before_and_is_noted_as_owed_after_the_change_is_owed_to_the_present_owners() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let writer = change.stayers[0];
    let id = bus.send(writer, &change.key, Command::Increment { by: 5 }, Options::default());
    bus.cut.insert(change.leaver);
    bus.run(Duration::from_millis(200));
    written(&bus.replies[&id]);
    assert_eq!(bus.debts(), 0, "the ledger still waits for the owner that is away");
    for phase in &change.phases {
        bus.adopt(bus.everyone(), phase);
        bus.nodes.get_mut(&change.joiner).unwrap().shard.turn.establish(change.partition);
    }
    bus.run(Duration::from_secs(5));
    assert_eq!(bus.shows(change.joiner, &change.key), Some(number(5)));
    assert_eq!(bus.nodes[&writer].shard.turn.owed_owners().count(), 0);
}

/// The look through what is owed begins when the layout is taken up, and must not miss what the same turn has just noted.
#[test]
fn what_becomes_owed_in_the_turn_in_which_an_owner_goes_is_owed_to_the_present_owners() {
    let mut bus = Bus::with(5, only_writes());
    let change = Move::of(&bus);
    let writer = change.stayers[0];
    written(&bus.increment(writer, &change.key, 7));
    bus.run(Duration::from_secs(4));
    assert_eq!(bus.debts(), 0);
    let row = RowKey::main(&Key::new(change.key.clone()).unwrap());
    let now = bus.now.wall;
    let shard = &mut bus.nodes.get_mut(&writer).unwrap().shard;
    assert!(matches!(shard.turn.load(&row), Access::Ready));
    let header = &mut shard.turn.row_mut(&row).header;
    header.owe(change.leaver, header.version, now);
    bus.adopt([writer], &change.phases[3]);
    bus.turn(writer);
    assert!(bus.nodes[&writer].shard.turn.owed_to(change.leaver) > 0, "it was noted");
    bus.run(Duration::from_secs(3));
    assert_eq!(bus.nodes[&writer].shard.turn.owed_to(change.leaver), 0, "nobody is there to take it");
}

#[test]
fn a_hint_that_is_paid_while_the_stand_in_has_still_to_learn_what_is_sealed_is_dropped() {
    let mut bus = Bus::with(5, only_writes());
    let (owners, fallbacks) = bus.list("k");
    bus.cut.insert(owners[2]);
    bus.run(Duration::from_secs(3));
    let options = Options { w: Some(3), ..Options::default() };
    let id = bus.send(owners[0], "k", Command::Increment { by: 7 }, options);
    bus.run(Duration::from_secs(1));
    written(&bus.replies[&id]);
    let holder = *fallbacks.iter().find(|node| bus.stored(**node, "k").is_some()).unwrap();
    let partition = bus.ring.partition_of(&Key::new("k".to_owned()).unwrap());
    let turn = &mut bus.nodes.get_mut(&holder).unwrap().shard.turn;
    turn.change_memory(partition, |memory| memory.is_established = false);
    bus.loses = |message| matches!(message, PeerMessage::StabilityAnswer(_));
    assert_eq!(bus.standing(holder, partition), Standing::Newborn);
    bus.cut.clear();
    bus.run(Duration::from_secs(5));
    assert_eq!(bus.shows(owners[2], "k"), Some(number(7)));
    assert_eq!((bus.debts(), bus.stored(holder, "k")), (0, None));
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_each_of_them_goes_wrong() {
    use crate::mutation::Mutation;
    let stories: [(Mutation, fn() -> bool); 5] = [
        (Mutation::QuorumInNewOnly, is_w_of_those_to_come_too_few),
        (Mutation::StaleWriterTaken, does_an_older_writer_wait_until_it_has_heard),
        (Mutation::JoinerCountsAsReader, does_a_read_ask_the_owners_of_before),
        (Mutation::BackOffOutlivesLayout, does_a_change_end_the_wait_for_an_owner),
        (Mutation::HintNotRetargeted, does_a_hint_for_who_leaves_reach_those_who_own_then),
    ];
    for (protection, story) in stories {
        assert!(goes_wrong_without(protection, story), "{protection:?}");
    }
}
