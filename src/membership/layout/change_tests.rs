//! Plans: what comes out of each change, and every refusal.

use super::*;
use crate::membership::layout::Forced;
use crate::membership::layout::losses::recovered;
use crate::membership::layout::samples::{founded, member};
use crate::membership::{Fallbacks, Fenced, PartitionRun};
use crate::time::WallTime;

fn view(layout: &Layout) -> RingView {
    RingView::new(layout.clone()).unwrap()
}

fn plan(layout: &Layout, changes: Vec<Change>, accepts_loss: bool) -> Result<Layout, ChangeError> {
    Plan { base: layout.epoch, changes, accepts_loss }.apply(&view(layout))
}

fn done(layout: &Layout, changes: Vec<Change>) -> Layout {
    plan(layout, changes, false).unwrap()
}

fn refused(layout: &Layout, changes: Vec<Change>) -> ChangeError {
    plan(layout, changes, false).expect_err("the plan should have been refused")
}

#[test]
fn a_join_and_a_leave_begin_to_move() {
    let present = founded(4, 32);
    let next = done(&present, vec![Change::Join(member(9)), Change::Leave(NodeId(2))]);
    assert_eq!((next.phase, next.epoch.number, next.epoch.parent), (Phase::Moving, 2, present.epoch.content));
    let before = next.before.as_ref().unwrap();
    assert_eq!((before.since, &before.members), (2, &present.members));
    assert!(next.member(NodeId(2)).unwrap().leaving && next.member(NodeId(9)).is_some());
    let end = next.outcome().unwrap();
    assert_eq!(end.members.iter().map(|member| member.id.0).collect::<Vec<_>>(), [1, 3, 4, 9]);
}

#[test]
fn what_moves_no_partition_needs_no_phases() {
    let mut present = founded(4, 32);
    present.members[3].weight = 0;
    let present = present.seal().unwrap();
    let address = Change::Address { node: NodeId(1), address: "elsewhere:1".into() };
    let idle = Member { weight: 0, ..member(7) };
    let next = done(&present, vec![address, Change::Join(idle), Change::Leave(NodeId(4))]);
    assert_eq!((next.phase, next.epoch.number), (Phase::Steady, 2));
    assert_eq!(next.member(NodeId(1)).unwrap().address, "elsewhere:1");
    assert_eq!(next.members.iter().map(|member| member.id.0).collect::<Vec<_>>(), [1, 2, 3, 7]);
}

#[test]
fn who_replaces_another_has_its_place_weight_and_zone() {
    let mut present = founded(4, 32);
    present.members[1].weight = 3;
    present.members[1].zone = "b".into();
    let present = present.seal().unwrap();
    let replace = |is_dead| vec![Change::Replace { old: NodeId(2), new: member(9), is_dead }];
    let next = done(&present, replace(false));
    let new = next.member(NodeId(9)).unwrap();
    assert_eq!((new.place, new.weight, new.zone.as_str()), (Some(NodeId(2)), 3, "b"));
    assert!(next.member(NodeId(2)).unwrap().leaving && next.fenced.is_empty());
    let dead = done(&present, replace(true));
    assert!(dead.is_fenced(NodeId(2)));
    let again =
        done(&next.outcome().unwrap(), vec![Change::Replace { old: NodeId(9), new: member(10), is_dead: false }]);
    assert_eq!(again.member(NodeId(10)).unwrap().place, Some(NodeId(2)), "the place is handed on");
}

#[test]
fn a_lost_zone_is_every_member_of_it() {
    let mut present = founded(6, 32);
    for (member, zone) in present.members.iter_mut().zip(["a", "a", "b", "b", "c", "c"]) {
        member.zone = zone.into();
    }
    let present = present.seal().unwrap();
    let next = done(&present, vec![Change::ZoneLost("b".into())]);
    assert_eq!(next.fenced.iter().map(|fenced| fenced.node.0).collect::<Vec<_>>(), [3, 4]);
    assert!(next.fenced.iter().all(|fenced| fenced.declared_lost.is_empty() && fenced.since == 2));
    assert_eq!(refused(&present, vec![Change::ZoneLost("z".into())]), ChangeError::UnknownZone { zone: "z".into() });
    assert_eq!(
        refused(&founded(4, 32), vec![Change::ZoneLost("".into())]),
        ChangeError::UnknownZone { zone: "".into() }
    );
}

#[test]
fn voters_that_go_are_replaced() {
    let mut present = founded(6, 32);
    present.voters = vec![NodeId(2), NodeId(3), NodeId(6)];
    let present = present.seal().unwrap();
    let next = done(&present, vec![Change::Leave(NodeId(3))]);
    assert_eq!(next.voters, [NodeId(1), NodeId(2), NodeId(6)]);
    assert!(
        done(&founded(4, 32), vec![Change::Leave(NodeId(3))]).voters.is_empty(),
        "none are named, the first ones count"
    );
}

#[test]
fn a_plan_for_another_layout_is_stale() {
    let present = founded(4, 32);
    let next = done(&present, vec![Change::Join(member(9))]);
    let plan = Plan { base: present.epoch, changes: vec![Change::Leave(NodeId(1))], accepts_loss: false };
    assert_eq!(plan.apply(&view(&next)), Err(ChangeError::PlanIsStale { base: present.epoch, now: next.epoch }));
    let rival = LayoutEpoch { content: present.epoch.content ^ 1, ..present.epoch };
    let plan = Plan { base: rival, ..plan };
    assert_eq!(plan.apply(&view(&present)), Err(ChangeError::PlanIsStale { base: rival, now: present.epoch }));
}

#[test]
fn one_change_at_a_time_except_that_a_member_is_lost() {
    let moving = done(&founded(5, 32), vec![Change::Join(member(9))]);
    assert_eq!(refused(&moving, vec![Change::Leave(NodeId(1))]), ChangeError::NotSteady { phase: Phase::Moving });
    let next = done(&moving, vec![Change::Fence(NodeId(9))]);
    assert!(next.is_fenced(NodeId(9)) && next.phase == Phase::Moving && next.before.as_ref().unwrap().since == 3);
    assert_eq!(refused(&next, vec![Change::Fence(NodeId(9))]), ChangeError::UnknownMember { node: NodeId(9) });
    let leaving = done(&founded(5, 32), vec![Change::Leave(NodeId(2))]);
    let closing = leaving.next_phase().unwrap().unwrap().next_phase().unwrap().unwrap();
    let next = done(&closing, vec![Change::Fence(NodeId(2))]);
    assert!(next.is_fenced(NodeId(2)) && next.phase == Phase::Closing, "nobody waits for it any longer");
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_with_the_reason() {
    let present = founded(4, 32);
    let refused = |changes| refused(&present, changes);
    let weight = |node, weight| Change::Weight { node: NodeId(node), weight };
    let address = |node, address: &str| Change::Address { node: NodeId(node), address: address.into() };
    assert_eq!(refused(vec![]), ChangeError::Nothing);
    assert_eq!(refused(vec![weight(1, 1)]), ChangeError::Nothing);
    assert_eq!(refused(vec![weight(1, 2); 1025]), ChangeError::TooManyChanges { changes: 1025 });
    assert_eq!(refused(vec![Change::Leave(NodeId(9))]), ChangeError::UnknownMember { node: NodeId(9) });
    assert_eq!(refused(vec![Change::Fence(NodeId(9))]), ChangeError::UnknownMember { node: NodeId(9) });
    assert_eq!(refused(vec![Change::Join(member(4))]), ChangeError::IdTaken { node: NodeId(4) });
    let named = |name: &str| Change::Join(Member { name: name.into(), ..member(9) });
    assert_eq!(refused(vec![named("m2")]), ChangeError::NameTaken { name: "m2".into() });
    assert_eq!(refused(vec![named("a b")]), ChangeError::Name { name: "a b".into() });
    let at = |address: &str| Change::Join(Member { address: address.into(), ..member(9) });
    assert_eq!(refused(vec![at("host2:7000")]), ChangeError::AddressTaken { address: "host2:7000".into() });
    assert_eq!(refused(vec![at("host")]), ChangeError::Address { address: "host".into() });
    assert_eq!(refused(vec![address(1, "host2:7000")]), ChangeError::AddressTaken { address: "host2:7000".into() });
    let clash = ChangeError::Contradiction { node: NodeId(1) };
    assert_eq!(refused(vec![weight(1, 2), weight(1, 3)]), clash);
    assert_eq!(refused(vec![weight(1, 2), Change::Leave(NodeId(1))]), clash);
    assert_eq!(refused(vec![Change::Leave(NodeId(1)), weight(1, 2)]), clash);
    assert_eq!(refused(vec![Change::Leave(NodeId(1)), Change::Fence(NodeId(1))]), clash);
    assert_eq!(refused(vec![Change::Fence(NodeId(1)), Change::Fence(NodeId(1))]), clash);
    assert_eq!(refused((1..=4).map(|node| weight(node, 0)).collect()), ChangeError::ZeroWeight);
    let too_few = ChangeError::TooFewForReplicas { carriers: 2, replicas: 3 };
    assert_eq!(refused(vec![weight(1, 0), Change::Leave(NodeId(2))]), too_few);
    let heavy = refused(vec![weight(1, 5000)]);
    assert!(matches!(&heavy, ChangeError::Layout(error) if error.to_string().contains("add up to 5003")), "{heavy}");
    let crowd = refused((5..=1026).map(|node| Change::Join(member(node))).collect());
    assert!(matches!(&crowd, ChangeError::Layout(error) if error.to_string().contains("1026 members")), "{crowd}");
}

#[test]
fn an_id_that_was_fenced_is_never_given_again() {
    let end = done(&founded(5, 32), vec![Change::Fence(NodeId(2))]).outcome().unwrap();
    assert!(end.member(NodeId(2)).is_none());
    assert_eq!(refused(&end, vec![Change::Join(member(2))]), ChangeError::IdTaken { node: NodeId(2) });
}

#[test]
fn the_last_holder_of_a_partition_is_given_up_only_on_purpose() {
    let mut present = founded(5, 32);
    present.replicas = 2;
    (present.read_quorum, present.write_quorum) = (1, 1);
    let present = present.seal().unwrap();
    let ring = view(&present);
    let holders = ring.owners(PartitionId(0)).to_vec();
    let changes: Vec<Change> = holders.iter().map(|node| Change::Fence(*node)).collect();
    let ChangeError::LastHolder { partitions } = refused(&present, changes.clone()) else { panic!("not the reason") };
    let only_these = |partition: &PartitionId| ring.owners(*partition).iter().all(|owner| holders.contains(owner));
    assert_eq!(partitions, ring.partitions().filter(only_these).collect::<Vec<_>>());
    assert!(partitions.contains(&PartitionId(0)) && partitions.len() < 32);
    let next = plan(&present, changes, true).unwrap();
    let lost = |run: &PartitionRun| (run.first.0..=run.last.0).map(PartitionId).collect::<Vec<_>>();
    let named: Vec<Vec<PartitionId>> =
        next.fenced.iter().map(|fenced| fenced.declared_lost.iter().flat_map(lost).collect()).collect();
    assert_eq!(named, [partitions, Vec::new()], "once, by the first of them");
    done(&present, vec![Change::Leave(holders[0]), Change::Leave(holders[1])]);
}

#[test]
fn a_quorum_is_given_up_only_on_purpose() {
    let mut present = founded(6, 32);
    present.fallbacks = Fallbacks::Next(0);
    let present = present.seal().unwrap();
    let owners = view(&present).owners(PartitionId(0)).to_vec();
    let changes = vec![Change::Fence(owners[0]), Change::Fence(owners[1])];
    let error = refused(&present, changes.clone());
    assert!(matches!(error, ChangeError::WouldBreakQuorum { left: 1, quorum: 2, .. }), "{error}");
    assert!(plan(&present, changes, true).unwrap().fenced.iter().all(|fenced| fenced.declared_lost.is_empty()));
    done(&present, vec![Change::Fence(owners[0])]);
}

#[test]
fn of_too_many_fenced_those_are_forgotten_who_are_long_gone() {
    let mut present = founded(5, 32);
    let fenced = |number: u64| Fenced { node: NodeId(1_000 + number), since: 1, declared_lost: Vec::new() };
    present.fenced = (0..1024).map(fenced).collect();
    let next = done(&present.seal().unwrap(), vec![Change::Fence(NodeId(3))]);
    assert_eq!(next.fenced.len(), 1024);
    assert!(next.is_fenced(NodeId(3)) && !next.is_fenced(NodeId(1_000)) && next.is_fenced(NodeId(1_001)));
}

fn recovered_from(present: &Layout, survivors: &[u64]) -> Layout {
    let survivors: Vec<NodeId> = survivors.iter().copied().map(NodeId).collect();
    let number = present.epoch.number + 2;
    let next = recovered(&view(present), &survivors, number, WallTime(7)).unwrap();
    assert_eq!((next.epoch.number, next.epoch.parent), (number, present.epoch.content));
    let lost = |node: &NodeId| !survivors.contains(node);
    let others: Vec<NodeId> = present.members.iter().map(|member| member.id).filter(lost).collect();
    assert_eq!(next.fenced.iter().map(|fenced| fenced.node).collect::<Vec<_>>(), others);
    assert_eq!(next.forced, Some(Forced { survivors: survivors.clone(), fenced: others, at: WallTime(7) }));
    assert_eq!(next.voters(), survivors, "they decide from now on");
    next
}

#[test]
fn survivors_that_are_enough_for_all_replicas_take_over_from_the_lost() {
    let next = recovered_from(&founded(7, 32), &[2, 4, 6]);
    assert_eq!(next.phase, Phase::Moving);
    let end = next.outcome().unwrap();
    assert_eq!(end.members.iter().map(|member| member.id.0).collect::<Vec<_>>(), [2, 4, 6]);
    let moving = done(&founded(7, 32), vec![Change::Join(member(9))]);
    let next = recovered_from(&moving, &[2, 4, 6]);
    assert_eq!((next.phase, next.before.as_ref().unwrap().members.len()), (Phase::Moving, 7), "planned anew");
}

#[test]
fn fewer_survivors_than_replicas_keep_their_places_and_the_next_change_gives_the_others_away() {
    let present = founded(5, 32);
    let next = recovered_from(&present, &[1, 2]);
    assert_eq!((next.phase, &next.members), (Phase::Steady, &present.members));
    let (was, is) = (view(&present), view(&next));
    for partition in was.partitions() {
        let left: Vec<NodeId> = was.owners(partition).iter().copied().filter(|owner| owner.0 <= 2).collect();
        assert_eq!(is.owners(partition), left, "nobody owns what it has not got");
    }
    let named: Vec<PartitionId> = was.partitions().filter(|partition| is.owners(*partition).is_empty()).collect();
    assert!(!named.is_empty());
    let declared: Vec<_> = next.fenced.iter().map(|fenced| fenced.declared_lost.clone()).collect();
    assert_eq!(declared, [PartitionRun::of(named), Vec::new(), Vec::new()], "once, by the first of them");

    let address = Change::Address { node: NodeId(1), address: "elsewhere:1".into() };
    let changed = done(&next, vec![address]);
    assert_eq!((changed.phase, changed.members.len()), (Phase::Steady, 5), "two cannot carry three replicas");
    let joined = done(&next, vec![Change::Join(member(9))]);
    assert_eq!(joined.phase, Phase::Moving);
    let end = joined.outcome().unwrap();
    assert_eq!(end.members.iter().map(|member| member.id.0).collect::<Vec<_>>(), [1, 2, 9]);
    let replaced = done(&next, vec![Change::Replace { old: NodeId(4), new: member(9), is_dead: true }]);
    assert_eq!(replaced.outcome().unwrap().members.len(), 3);
    assert_eq!(replaced.member(NodeId(9)).unwrap().place, Some(NodeId(4)));
}

#[test]
fn a_recovery_while_others_are_read_already_leaves_their_places_empty_until_the_next_change() {
    let moving = done(&founded(7, 32), vec![Change::Join(member(9))]);
    let switched = moving.next_phase().unwrap().unwrap();
    let next = recovered_from(&switched, &[2, 4, 6]);
    assert_eq!((next.phase, next.members.len()), (Phase::Switched, 8));
    let end = next.outcome().unwrap();
    let again = done(&end, vec![Change::Weight { node: NodeId(2), weight: 2 }]);
    assert_eq!(again.outcome().unwrap().members.iter().map(|member| member.id.0).collect::<Vec<_>>(), [2, 4, 6]);
}
