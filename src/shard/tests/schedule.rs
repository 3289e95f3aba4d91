//! When pairs of partitions and co-owners are looked at: what cannot begin costs nothing while it waits, and begins as soon as it can.

use std::cell::RefCell;

use super::moves::Move;
use super::*;
use crate::antientropy::Kind;

type Pair = (PartitionId, NodeId);

/// A schedule of some partitions, looked at again and again; what each look has seen.
#[derive(Default)]
struct Looks {
    seen: RefCell<Vec<Pair>>,
}

impl Looks {
    fn new(bus: &mut Bus) -> (Looks, Vec<PartitionId>) {
        let Shard { site, schedule, .. } = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
        let own: Vec<PartitionId> = site.ring.partitions().filter(|of| site.ring.is_owner(*of, NodeId(1))).collect();
        *schedule = Schedule::default();
        schedule.rebuild(&site.env(bus.now), &own.iter().copied().collect());
        (Looks::default(), own)
    }

    /// Looks once more, and tells of which pairs.
    fn look(&self, bus: &mut Bus, kind_of: impl Fn(Pair) -> Option<Kind>) -> Vec<Pair> {
        let Shard { site, schedule, .. } = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
        schedule.sort(&site.env(bus.now), |pair| {
            self.seen.borrow_mut().push(pair);
            kind_of(pair)
        });
        self.seen.take()
    }
}

fn take(bus: &mut Bus, kinds: &[Kind], kind_of: impl Fn(Pair) -> Option<Kind>) -> Option<Pair> {
    let Shard { site, schedule, .. } = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
    schedule.take(&site.env(bus.now), kinds, kind_of)
}

#[test]
fn a_pair_with_which_nothing_can_be_done_is_looked_at_once_a_second_and_when_it_is_woken() {
    let mut bus = Bus::with(3, ShardConfig::default());
    let (looks, own) = Looks::new(&mut bus);
    assert_eq!(looks.look(&mut bus, |_| None).len(), own.len() * 2);
    assert_eq!(looks.look(&mut bus, |_| None), []);
    let Shard { site, schedule, .. } = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
    schedule.wake(&site.env(bus.now), own[3]);
    assert_eq!(looks.look(&mut bus, |_| None), [(own[3], NodeId(2)), (own[3], NodeId(3))]);
    assert_eq!(looks.look(&mut bus, |_| None), []);
    bus.now.mono = bus.now.mono.after(Duration::from_secs(1));
    assert_eq!(looks.look(&mut bus, |_| None).len(), own.len() * 2);
}

#[test]
fn a_pair_that_waits_for_room_is_not_looked_at_before_there_is_some() {
    let mut bus = Bus::with(3, ShardConfig::default());
    let (looks, own) = Looks::new(&mut bus);
    let kind_of = |(partition, peer): Pair| match (partition, peer) {
        (of, _) if of == own[0] => Some(Kind::Walk),
        (of, NodeId(2)) if of == own[1] => None,
        _ => Some(Kind::Load),
    };
    looks.look(&mut bus, kind_of);
    assert_eq!(looks.look(&mut bus, kind_of), []);
    let taken = take(&mut bus, &[Kind::Rows, Kind::Load], kind_of);
    assert_eq!(taken, Some((own[1], NodeId(3))), "the first of those that may begin");
    // It was put off for a while, and is still due for longer than the others.
    let Shard { site, schedule, .. } = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
    bus.now.mono = bus.now.mono.after(Duration::from_millis(10));
    schedule.wake(&site.env(bus.now), own[1]);
    let kind_of = |(partition, _): Pair| Some(if partition == own[0] { Kind::Rows } else { Kind::Load });
    looks.look(&mut bus, kind_of);
    assert_eq!(take(&mut bus, &[Kind::Load], kind_of), Some((own[1], NodeId(2))));
    // What has become of another kind waits for that.
    assert_eq!(take(&mut bus, &[Kind::Walk], kind_of), None);
    assert_eq!(take(&mut bus, &[Kind::Load, Kind::Rows], kind_of), Some((own[0], NodeId(2))));
}

/// A newborn owner hurries its only teacher in each round. It once put it behind those that were tried in vain meanwhile.
#[test]
fn a_pair_that_is_hurried_again_and_again_keeps_its_place() {
    let mut bus = Bus::with(3, ShardConfig::default());
    let (looks, own) = Looks::new(&mut bus);
    let kind_of = |_: Pair| Some(Kind::Lost);
    looks.look(&mut bus, kind_of);
    for _ in 0..10 {
        bus.now.mono = bus.now.mono.after(Duration::from_millis(250));
        let Shard { site, schedule, .. } = &mut bus.nodes.get_mut(&NodeId(1)).unwrap().shard;
        schedule.hurry(&site.env(bus.now), own[0], NodeId(2));
        looks.look(&mut bus, kind_of);
    }
    assert_eq!(take(&mut bus, &[Kind::Lost], kind_of), Some((own[0], NodeId(2))));
}

#[test]
fn the_other_owners_of_before_teach_as_soon_as_the_first_has_given_all() {
    let mut bus = Bus::with(5, ShardConfig { exchange: false, handoff: false, ..ShardConfig::default() });
    let change = Move::of(&bus);
    written(&bus.increment(change.stayers[0], &change.key, 7));
    bus.run(Duration::from_secs(3));
    bus.adopt(bus.everyone(), change.moving());
    let mut ended = BTreeMap::new();
    for _ in 0..1_000 {
        bus.run(Duration::from_millis(5));
        for seen in &bus.nodes[&change.joiner].observations {
            if let Observation::ExchangeDone { partition, peer, .. } = seen
                && *partition == change.partition
            {
                ended.entry(*peer).or_insert(bus.now.mono);
            }
        }
    }
    assert_eq!(ended.len(), 3, "each owner of before");
    let (first, last) = (ended.values().min().unwrap(), ended.values().max().unwrap());
    assert!(last.since(*first) <= Duration::from_millis(100), "{ended:?}");
}
