//! Who is who in which phase, and that two neighbouring phases meet.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};

use super::*;
use crate::ids::ClusterId;
use crate::membership::layout::samples::{founded, member};
use crate::membership::{Change, Fallbacks, Phase, Plan};

fn view(layout: &Layout) -> RingView {
    RingView::new(layout.clone()).unwrap()
}

/// A layout and all that follow it by these changes, until it is steady again.
fn phases(layout: &Layout, changes: Vec<Change>) -> Vec<RingView> {
    let present = view(layout);
    let next = Plan { base: layout.epoch, changes, accepts_loss: false }.apply(&present).unwrap();
    let mut phases = vec![present, view(&next)];
    let mut layout = next;
    while let Some(next) = layout.next_phase().unwrap() {
        phases.push(view(&next));
        layout = next;
    }
    phases
}

fn set(nodes: &[NodeId]) -> BTreeSet<NodeId> {
    nodes.iter().copied().collect()
}

#[test]
fn in_the_steady_phase_everything_is_the_preference_list() {
    let ring = view(&founded(5, 64));
    for partition in ring.partitions() {
        let list = ring.preference_list(partition);
        assert_eq!(ring.owners(partition), list.owners());
        assert_eq!(ring.readers(partition), list.owners());
        assert_eq!(ring.read_set(partition), list.accept_set());
        assert_eq!(ring.accept_set(partition), list.accept_set());
        assert_eq!(ring.write_sets(partition), std::slice::from_ref(list));
        assert!(ring.leavers(partition).is_empty() && ring.may_settle(partition) && !ring.is_moved(partition));
        assert_eq!(ring.since(partition), 0);
    }
    let beyond = PartitionId(64);
    assert!(ring.owners(beyond).is_empty() && ring.accept_set(beyond).is_empty() && ring.readers(beyond).is_empty());
}

#[test]
fn each_phase_says_who_is_read_written_owed_and_waited_for() {
    let founding = founded(5, 256);
    let views = phases(&founding, vec![Change::Join(member(6)), Change::Leave(NodeId(2))]);
    let [steady, moving, switched, closing, end] = views.as_slice() else { panic!("{} phases", views.len()) };
    let of = |view: &RingView| view.layout().phase;
    assert_eq!(
        [of(steady), of(moving), of(switched), of(closing), of(end)],
        [Phase::Steady, Phase::Moving, Phase::Switched, Phase::Closing, Phase::Steady]
    );
    assert_eq!(end.epoch().number, 5);
    assert!(closing.layout().member(NodeId(2)).is_some() && end.layout().member(NodeId(2)).is_none());
    let mut moved = 0;
    for partition in steady.partitions() {
        let (before, after) = (steady.preference_list(partition), end.preference_list(partition));
        let both = |some: &[NodeId], others: &[NodeId]| &set(some) | &set(others);
        let owners = both(before.owners(), after.owners());
        let accepting = both(before.accept_set(), after.accept_set());
        let differs = set(before.owners()) != set(after.owners());
        moved += u64::from(differs);
        for (view, reads) in [(moving, before), (switched, after), (closing, after)] {
            assert_eq!(view.readers(partition), reads.owners());
            assert_eq!(view.read_set(partition), reads.accept_set());
            assert_eq!(set(view.accept_set(partition)), accepting);
            assert_eq!(view.is_moved(partition), differs);
            if set(before.accept_set()) != accepting || differs {
                assert_eq!(view.since(partition), 2, "writers of layout 1 count too little");
            }
        }
        for view in [moving, switched] {
            assert_eq!(set(view.owners(partition)), owners);
            assert!(view.owners(partition).starts_with(view.readers(partition)), "the readers come first");
            assert_eq!(view.may_settle(partition), !differs);
            assert!(view.leavers(partition).is_empty());
            if differs {
                assert_eq!(view.write_sets(partition), [before.clone(), after.clone()]);
            }
        }
        assert_eq!(set(closing.owners(partition)), set(after.owners()));
        assert_eq!(closing.write_sets(partition), std::slice::from_ref(after));
        assert_eq!(set(closing.leavers(partition)), &set(before.owners()) - &set(after.owners()));
        assert!(closing.may_settle(partition), "with all of both placements asked");
    }
    assert!(moved > 100, "{moved}");
}

#[test]
fn a_fenced_member_stands_in_no_list_and_moves_nobody_else() {
    let founding = founded(5, 64);
    let views = phases(&founding, vec![Change::Fence(NodeId(2))]);
    let (steady, moving) = (&views[0], &views[1]);
    assert!(moving.is_fenced(NodeId(2)) && !steady.is_fenced(NodeId(2)));
    for partition in steady.partitions() {
        let rest: Vec<NodeId> = steady.owners(partition).iter().copied().filter(|node| *node != NodeId(2)).collect();
        assert_eq!(moving.readers(partition), rest, "the others are read as before");
        for view in views.iter().skip(1) {
            assert!(!view.accept_set(partition).contains(&NodeId(2)));
            assert!(!view.owners(partition).contains(&NodeId(2)));
        }
    }
    let end = views.last().unwrap();
    assert!(end.is_fenced(NodeId(2)) && end.layout().member(NodeId(2)).is_none());
    assert!(end.partitions().all(|partition| end.owners(partition).len() == 3));
}

#[test]
fn who_is_lost_while_others_are_read_already_leaves_an_empty_place() {
    let founding = founded(5, 64);
    let views = phases(&founding, vec![Change::Join(member(6))]);
    let switched = &views[2];
    let fence = |node| Plan { base: switched.epoch(), changes: vec![Change::Fence(node)], accepts_loss: false };
    let next = view(&fence(NodeId(3)).apply(switched).unwrap());
    assert_eq!((next.layout().phase, next.epoch().number), (Phase::Switched, 4));
    for partition in next.partitions() {
        let rest: Vec<NodeId> = switched.readers(partition).iter().copied().filter(|node| *node != NodeId(3)).collect();
        assert_eq!(next.readers(partition), rest, "nobody is read who has not taken over");
    }
    let end = next.layout().outcome().unwrap();
    assert!(end.member(NodeId(3)).is_some() && end.is_fenced(NodeId(3)), "its place stays until then");
}

#[test]
fn who_is_lost_while_it_moves_is_planned_around() {
    let founding = founded(5, 64);
    let moving = &phases(&founding, vec![Change::Join(member(6))])[1];
    let plan = Plan { base: moving.epoch(), changes: vec![Change::Fence(NodeId(6))], accepts_loss: false };
    let next = view(&plan.apply(moving).unwrap());
    assert_eq!((next.layout().phase, next.epoch().number), (Phase::Moving, 3));
    let end = view(&next.layout().outcome().unwrap());
    let first = view(&founding);
    assert!(next.partitions().all(|partition| !next.is_moved(partition)), "back to where it was");
    assert!(end.partitions().all(|partition| end.owners(partition) == first.owners(partition)));
}

#[test]
fn a_placement_of_which_nobody_is_left_does_not_count() {
    let mut founding = founded(5, 64);
    founding.replicas = 2;
    (founding.read_quorum, founding.write_quorum) = (1, 1);
    let founding = founding.seal().unwrap();
    let steady = view(&founding);
    let lost = steady.owners(PartitionId(0)).to_vec();
    let changes = lost.iter().map(|node| Change::Fence(*node)).collect();
    let plan = Plan { base: founding.epoch, changes, accepts_loss: true };
    let mut layout = plan.apply(&steady).unwrap();
    let end = view(&layout.outcome().unwrap());
    let mut founds = 0;
    while layout.phase != Phase::Steady {
        let ring = view(&layout);
        for partition in steady.partitions() {
            let left = steady.accept_set(partition).iter().copied().filter(|node| !lost.contains(node));
            let waited_for = &left.collect() | &set(end.accept_set(partition));
            assert_eq!(set(ring.accept_set(partition)), waited_for, "they may hold hints");
            if steady.owners(partition).iter().any(|owner| !lost.contains(owner)) {
                continue;
            }
            founds += 1;
            let to_come = end.owners(partition);
            assert_eq!((ring.readers(partition), ring.owners(partition)), (to_come, to_come), "{}", layout.phase);
            assert_eq!(ring.write_sets(partition), std::slice::from_ref(end.preference_list(partition)));
            assert!(ring.joiners(partition).next().is_none() && ring.leavers(partition).is_empty());
            assert!(ring.owners_before(partition).is_empty() && ring.owners_to_come(partition).is_empty());
            assert!(ring.may_settle(partition) && !ring.is_moved(partition));
            assert_eq!(ring.since(partition), 2, "writers of layout 1 count among the lost");
        }
        layout = layout.next_phase().unwrap().unwrap();
    }
    assert!(founds >= 3, "{founds}");
}

#[test]
fn who_loses_all_that_were_to_take_over_is_read_as_before_until_the_change_ends() {
    let mut founding = founded(3, 64);
    founding.replicas = 1;
    (founding.read_quorum, founding.write_quorum) = (1, 1);
    let founding = founding.seal().unwrap();
    let steady = view(&founding);
    let moving = plan_of(&steady, vec![Change::Leave(NodeId(2))]);
    let switched = view(&moving.next_phase().unwrap().unwrap());
    let partition = switched.partitions().find(|partition| switched.is_moved(*partition)).unwrap();
    let lost = switched.readers(partition)[0];
    let mut layout = plan_of(&switched, vec![Change::Fence(lost)]);
    for phase in [Phase::Switched, Phase::Closing] {
        let ring = view(&layout);
        assert_eq!(layout.phase, phase);
        assert_eq!((ring.readers(partition), ring.owners(partition)), (&[NodeId(2)][..], &[NodeId(2)][..]));
        assert!(ring.leavers(partition).is_empty(), "there is nobody to hand over to");
        layout = layout.next_phase().unwrap().unwrap();
    }
    assert!(view(&layout).owners(partition).is_empty(), "what it has is kept for whoever owns it next");
}

fn plan_of(ring: &RingView, changes: Vec<Change>) -> Layout {
    Plan { base: ring.epoch(), changes, accepts_loss: true }.apply(ring).unwrap()
}

#[test]
fn zones_are_numbered_and_a_member_without_one_is_its_own() {
    let mut layout = founded(5, 16);
    for (member, zone) in layout.members.iter_mut().zip(["x", "", "x", "b", ""]) {
        member.zone = zone.into();
    }
    let ring = view(&layout.seal().unwrap());
    let zone = |node| ring.zone_of(NodeId(node)).unwrap();
    assert_eq!(zone(1), zone(3));
    assert_eq!([2, 4, 5, 1].map(zone).into_iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(ring.zone_of(NodeId(9)), None);
}

/// Every set of the nodes that has enough of each of these lists.
fn quorums(nodes: &[NodeId], lists: &[&[NodeId]], enough: usize) -> Vec<BTreeSet<NodeId>> {
    let subset =
        |bits: u32| nodes.iter().enumerate().filter(move |(bit, _)| bits >> bit & 1 == 1).map(|(_, node)| *node);
    let meets = |quorum: &BTreeSet<NodeId>| {
        lists.iter().all(|list| list.iter().filter(|node| quorum.contains(node)).count() >= enough)
    };
    (0..1u32 << nodes.len()).map(|bits| subset(bits).collect()).filter(meets).collect()
}

/// A pair of quorums that do not meet: of owners, W of a writer in one phase and R of a reader in another.
fn missed(writer: &RingView, reader: &RingView, partition: PartitionId) -> Option<[BTreeSet<NodeId>; 2]> {
    let nodes: Vec<NodeId> = (&set(writer.owners(partition)) | &set(reader.owners(partition))).into_iter().collect();
    let lists: Vec<&[NodeId]> = writer.write_sets(partition).iter().map(PreferenceList::owners).collect();
    let (w, r) = (writer.layout().write_quorum, reader.layout().read_quorum);
    let writes = quorums(&nodes, &lists, w.into());
    let reads = quorums(&nodes, &[reader.readers(partition)], r.into());
    assert!(!writes.is_empty() && !reads.is_empty());
    writes
        .iter()
        .flat_map(|write| reads.iter().map(move |read| [write.clone(), read.clone()]))
        .find(|[write, read]| write.is_disjoint(read))
}

/// Random placements before and after, with quorums R + W > N.
fn random_phases(rng: &mut impl Rng) -> Vec<RingView> {
    let mut below = |bound: u32| rng.next_u32() % bound;
    let nodes = 3 + below(4);
    let replicas = 1 + below(3) as u8;
    let mut layout =
        Layout::founding(ClusterId([below(200) as u8; 16]), "test", (1..=nodes.into()).map(member).collect());
    layout.replicas = replicas;
    layout.write_quorum = 1 + below(replicas.into()) as u8;
    layout.read_quorum = replicas + 1 - layout.write_quorum;
    layout.partitions = 8;
    layout.fallbacks = Fallbacks::Next(below(3) as u8);
    let layout = layout.seal().unwrap();
    let joiners = 1 + below(2);
    let mut changes: Vec<Change> =
        (0..joiners).map(|joiner| Change::Join(member(u64::from(nodes + 1 + joiner)))).collect();
    changes.extend((0..below(joiners + 1)).map(|leaver| Change::Leave(NodeId(1 + u64::from(leaver)))));
    changes.push(Change::Weight { node: NodeId(3), weight: 1 + below(3) });
    phases(&layout, changes)
}

#[test]
fn two_neighbouring_phases_intersect() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut moved = 0;
    for _ in 0..60 {
        let views = random_phases(&mut rng);
        for (index, writer) in views.iter().enumerate() {
            for reader in views.iter().take(index + 2).skip(index.saturating_sub(1)) {
                for partition in writer.partitions() {
                    moved += u64::from(writer.is_moved(partition));
                    let (from, to) = (writer.layout().phase, reader.layout().phase);
                    assert_eq!(missed(writer, reader, partition), None, "a {from} writer, a {to} reader");
                }
            }
        }
    }
    assert!(moved > 1_000, "only {moved} comparisons of what moves");
}

#[test]
fn two_phases_apart_quorums_need_not_meet() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(8);
    let mut missing = BTreeSet::new();
    for _ in 0..60 {
        let views = random_phases(&mut rng);
        for (writer, reader) in [(3, 1), (0, 2), (1, 3)] {
            let (writer, reader) = (&views[writer], &views[reader]);
            if writer.partitions().any(|partition| missed(writer, reader, partition).is_some()) {
                missing.insert((writer.layout().phase, reader.layout().phase));
            }
        }
    }
    let expected = [(Phase::Steady, Phase::Switched), (Phase::Closing, Phase::Moving)];
    assert_eq!(
        missing,
        BTreeSet::from(expected),
        "hence the barrier; and from moving to closing writers count in both"
    );
}
