//! Layouts: which are refused and why, the hash of their content, and how one follows another.

use super::*;
use crate::ids::PartitionId;
use crate::time::WallTime;

fn members(count: u64) -> Vec<Member> {
    let member = |number| Member::new(NodeId(number), format!("m{number}"), format!("host{number}:7000"));
    (1..=count).map(member).collect()
}

fn founding(count: u64) -> Layout {
    // Hashes are pinned with it.
    Layout { placement: 1, ..Layout::founding(ClusterId([3; 16]), "shop", members(count)) }
}

#[test]
fn a_founding_layout_fits_the_number_of_its_members() {
    let shape = |count| {
        let layout = founding(count).seal().unwrap();
        (layout.replicas, layout.read_quorum, layout.write_quorum)
    };
    assert_eq!([shape(1), shape(2), shape(3), shape(7)], [(1, 1, 1), (2, 2, 2), (3, 2, 2), (3, 2, 2)]);
    let layout = founding(5).seal().unwrap();
    assert_eq!((layout.partitions, layout.fallbacks, layout.epoch.number), (256, Fallbacks::Next(2), 1));
    layout.validate().unwrap();
}

#[test]
fn members_are_found_by_id_and_by_name() {
    let layout = founding(3);
    assert_eq!(layout.member(NodeId(2)).unwrap().name, "m2");
    assert_eq!(layout.member_named("m3").unwrap().id, NodeId(3));
    assert!(layout.member(NodeId(4)).is_none() && layout.member_named("x").is_none());
}

/// A layout with one fault is refused, with words that name it.
fn check_refused(words: &str, spoil: impl Fn(&mut Layout)) {
    let mut layout = founding(5);
    spoil(&mut layout);
    let error = layout.seal().expect_err(words).to_string();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
}

#[test]
fn a_layout_that_cannot_work_is_refused_with_the_reason() {
    check_refused("0 members", |layout| layout.members.clear());
    check_refused("1025 members", |layout| layout.members = members(1025));
    check_refused("not in growing order", |layout| layout.members.swap(1, 2));
    check_refused("not in growing order", |layout| layout.members[1].id = NodeId(1));
    check_refused("lacks a name", |layout| layout.members[2].name.clear());
    check_refused("lacks a name or an address", |layout| layout.members[2].address.clear());
    check_refused("two members are called \"m1\"", |layout| layout.members[4].name = "m1".into());
    check_refused("longer than 63 bytes", |layout| layout.members[2].zone = "z".repeat(64));
    check_refused("two members have the address host1:7000", |layout| layout.members[4].address = "host1:7000".into());
    check_refused("every member has weight 0", |layout| layout.members.iter_mut().for_each(|member| member.weight = 0));
    check_refused("add up to 5000", |layout| layout.members.iter_mut().for_each(|member| member.weight = 1000));
    check_refused("add up to 4294967299", |layout| layout.members[0].weight = u32::MAX);
    check_refused("0 replicas", |layout| layout.replicas = 0);
    check_refused("6 replicas, 5 members", |layout| layout.replicas = 6);
    check_refused("3 replicas, 2 members", |layout| {
        layout.members.iter_mut().take(3).for_each(|member| member.weight = 0);
    });
    check_refused("0 partitions", |layout| layout.partitions = 0);
    check_refused("100 partitions", |layout| layout.partitions = 100);
    check_refused("32768 partitions", |layout| layout.partitions = 32_768);
    check_refused("a read quorum of 0", |layout| layout.read_quorum = 0);
    check_refused("a write quorum of 4", |layout| layout.write_quorum = 4);
    check_refused("placement version 3", |layout| layout.placement = 3);
}

/// A layout that differs in one field has another hash, and is refused under the old one.
fn check_hashed(what: &str, change: impl Fn(&mut Layout)) {
    let layout = founding(5).seal().unwrap();
    let mut changed = layout.clone();
    change(&mut changed);
    assert!(changed.validate().unwrap_err().to_string().contains("hash"), "{what}");
    assert_ne!(changed.seal().unwrap().epoch.content, layout.epoch.content, "{what}");
}

#[test]
fn every_field_of_a_layout_is_hashed() {
    check_hashed("cluster", |layout| layout.cluster = ClusterId([4; 16]));
    check_hashed("name", |layout| layout.name.push('x'));
    check_hashed("number", |layout| layout.epoch.number = 2);
    check_hashed("parent", |layout| layout.epoch.parent = 2);
    check_hashed("replicas", |layout| layout.replicas = 4);
    check_hashed("partitions", |layout| layout.partitions = 512);
    check_hashed("fallbacks", |layout| layout.fallbacks = Fallbacks::All);
    check_hashed("fallbacks", |layout| layout.fallbacks = Fallbacks::Next(3));
    check_hashed("read quorum", |layout| layout.read_quorum = 3);
    check_hashed("write quorum", |layout| layout.write_quorum = 3);
    check_hashed("a member less", |layout| drop(layout.members.pop()));
    check_hashed("a member's id", |layout| layout.members[4].id = NodeId(9));
    check_hashed("a member's name", |layout| layout.members[4].name = "z".into());
    check_hashed("a member's address", |layout| layout.members[4].address = "z:1".into());
    check_hashed("a member's weight", |layout| layout.members[4].weight = 2);
    check_hashed("a member's zone", |layout| layout.members[4].zone = "z".into());
    check_hashed("a border between two texts", |layout| {
        layout.members[4].name = "m5h".into();
        layout.members[4].address = "ost5:7000".into();
    });
}

#[test]
fn equal_layouts_have_the_hash_of_every_other_machine() {
    assert_eq!(
        founding(3).seal().unwrap().epoch.content,
        0xe80d_4db6_142e_ee8a,
        "pinned: nodes of two versions compare it"
    );
}

/// A layout in which everything is set that founding leaves out.
fn moving() -> Layout {
    let mut layout = founding(5);
    layout.members[4].place = Some(NodeId(9));
    layout.members[1].leaving = true;
    layout.phase = Phase::Moving;
    layout.epoch.number = 7;
    layout.epoch.parent = 0xfedc_ba98_7654_3210;
    let mut members = members(4);
    members[3].place = Some(NodeId(8));
    layout.before = Some(Box::new(Before { since: 6, fallbacks: Fallbacks::All, members, owners: None }));
    layout.voters = vec![NodeId(1), NodeId(3), NodeId(4)];
    let declared_lost = PartitionRun::of([3, 4, 5, 9].map(PartitionId));
    layout.fenced = vec![Fenced { node: NodeId(2), since: 7, declared_lost }];
    layout.forced = Some(Forced { survivors: vec![NodeId(1)], fenced: vec![NodeId(2)], at: WallTime(5) });
    layout.seal().unwrap()
}

#[test]
fn a_layout_amid_a_change_has_the_hash_of_every_other_machine() {
    assert_eq!(moving().epoch.content, 0x1721_76b0_0fd9_2ced, "pinned: nodes of two versions compare it");
    let mut plain = moving();
    plain.phase = Phase::Steady;
    plain.before = None;
    plain.voters.clear();
    plain.fenced.clear();
    plain.forced = None;
    plain.members = members(5);
    plain.epoch = LayoutEpoch { number: 1, content: 0, parent: 0 };
    assert_eq!(plain.seal().unwrap(), founding(5).seal().unwrap(), "what is taken away leaves no trace in the hash");
}

#[test]
fn every_field_of_a_change_is_hashed() {
    type Spoil = fn(&mut Layout);
    let fields: [(&str, Spoil); 15] = [
        ("phase", |layout| layout.phase = Phase::Switched),
        ("since", |layout| layout.before.as_mut().unwrap().since = 5),
        ("fallbacks before", |layout| layout.before.as_mut().unwrap().fallbacks = Fallbacks::Next(1)),
        ("a member before", |layout| layout.before.as_mut().unwrap().members[0].weight = 2),
        ("a place before", |layout| layout.before.as_mut().unwrap().members[3].place = None),
        ("a place", |layout| layout.members[4].place = Some(NodeId(7))),
        ("no place", |layout| layout.members[4].place = None),
        ("a leaving member", |layout| layout.members[4].leaving = true),
        ("voters", |layout| layout.voters.truncate(2)),
        ("fenced", |layout| layout.fenced[0].node = NodeId(8)),
        ("fenced since", |layout| layout.fenced[0].since = 4),
        ("what is lost", |layout| layout.fenced[0].declared_lost.truncate(1)),
        ("survivors", |layout| layout.forced.as_mut().unwrap().survivors.push(NodeId(3))),
        ("given up", |layout| layout.forced.as_mut().unwrap().fenced.clear()),
        ("not forced", |layout| layout.forced = None),
    ];
    for (what, change) in fields {
        let mut changed = moving();
        change(&mut changed);
        assert!(changed.validate().unwrap_err().to_string().contains("hash"), "{what}");
        assert_ne!(changed.seal().unwrap().epoch.content, moving().epoch.content, "{what}");
    }
}

#[test]
fn a_change_that_cannot_be_is_refused_with_the_reason() {
    let refused = |words: &str, spoil: &dyn Fn(&mut Layout)| {
        let mut layout = moving();
        spoil(&mut layout);
        let error = layout.seal().expect_err(words).to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    refused("is steady, and yet", &|layout| layout.phase = Phase::Steady);
    refused("does not say which placement", &|layout| layout.before = None);
    refused("member n2 is leaving although no change", &|layout| {
        layout.phase = Phase::Steady;
        layout.before = None;
    });
    refused("began with layout 8", &|layout| layout.before.as_mut().unwrap().since = 8);
    refused("began with layout 0", &|layout| layout.before.as_mut().unwrap().since = 0);
    refused("was leaving before", &|layout| layout.before.as_mut().unwrap().members[0].leaving = true);
    refused("member n1 is gone before", &|layout| drop(layout.members.remove(0)));
    refused("two members are called", &|layout| layout.before.as_mut().unwrap().members[0].name = "m2".into());
    refused("stand in the place of n1", &|layout| layout.members[4].place = Some(NodeId(1)));
    refused("3 replicas, 2 members", &|layout| layout.members.iter_mut().take(3).for_each(|m| m.leaving = true));
    refused("voter n2 is no member that stays", &|layout| layout.voters = vec![NodeId(2)]);
    refused("voter n8 is no member", &|layout| layout.voters = vec![NodeId(8)]);
    refused("voter ids n3 and n3", &|layout| layout.voters = vec![NodeId(3), NodeId(3)]);
    refused("10 voters", &|layout| layout.voters = (1..=10).map(NodeId).collect());
    refused("nobody is left who could decide", &|layout| {
        layout.voters.clear();
        let fenced = |node| Fenced { node: NodeId(node), since: 7, declared_lost: Vec::new() };
        layout.fenced = (1..=5).map(fenced).collect();
    });
    refused("by a layout that is still to come", &|layout| layout.fenced[0].since = 8);
    refused("fenced ids n2 and n2", &|layout| layout.fenced.push(layout.fenced[0].clone()));
    refused("are no runs", &|layout| layout.fenced[0].declared_lost[1].last = PartitionId(256));
    refused("are no runs", &|layout| layout.fenced[0].declared_lost.swap(0, 1));
}

#[test]
fn what_founding_leaves_out_does_not_travel_and_what_is_set_comes_back() {
    use crate::ids::RequestId;
    use crate::message::client::{Answer, AnswerBody, NodeAnswer};
    use crate::message::codec;
    let sent = |layout: &Layout| {
        let body = AnswerBody::Node(NodeAnswer::Layout(Box::new(layout.clone())));
        let mut bytes = Vec::new();
        codec::encode(&Answer { id: RequestId(1), body: body.clone() }, &mut bytes).unwrap();
        let read: Answer = codec::decode(&bytes[codec::LENGTH_BYTES..]).unwrap();
        assert_eq!(read.body, body);
        bytes
    };
    let names = |bytes: &[u8], field: &str| bytes.windows(field.len()).any(|part| part == field.as_bytes());
    let (plain, moving) = (sent(&founding(5).seal().unwrap()), sent(&moving()));
    for field in ["phase", "before", "voters", "fenced", "forced", "place", "leaving"] {
        assert!(names(&moving, field), "{field}");
        // Old programs know a field whose name contains this one.
        assert!(field == "place" || !names(&plain, field), "{field}");
    }
}

#[test]
fn phases_follow_each_other_and_can_be_taken_back_only_while_moving() {
    let mut layout = moving();
    layout.forced = None;
    let moving = layout.seal().unwrap();
    let switched = moving.next_phase().unwrap().unwrap();
    let closing = switched.next_phase().unwrap().unwrap();
    let steady = closing.next_phase().unwrap().unwrap();
    assert_eq!(steady.next_phase(), Ok(None));
    assert_eq!(moving.outcome(), Ok(steady.clone()));
    let of = |layout: &Layout| (layout.phase, layout.epoch.number, layout.members.len());
    assert_eq!(
        [&moving, &switched, &closing, &steady].map(of),
        [(Phase::Moving, 7, 5), (Phase::Switched, 8, 5), (Phase::Closing, 9, 5), (Phase::Steady, 10, 4),]
    );
    for pair in [&moving, &switched, &closing, &steady].windows(2) {
        assert_eq!(pair[1].epoch.parent, pair[0].epoch.content);
        pair[1].validate().unwrap();
    }
    let reverted = moving.reverted().unwrap();
    assert_eq!(of(&reverted), (Phase::Steady, 8, 4));
    assert_eq!((reverted.fallbacks, reverted.members), (Fallbacks::All, moving.before.unwrap().members));
    assert_eq!(switched.reverted(), Err(phase::RevertError::TooLate { phase: Phase::Switched }));
    assert_eq!(steady.reverted(), Err(phase::RevertError::NotMoving));
}

#[test]
fn a_layout_that_names_no_voters_has_the_first_nine_members_that_stay() {
    let ids = |ids: std::ops::RangeInclusive<u64>| ids.map(NodeId).collect::<Vec<_>>();
    assert_eq!(founding(3).voters(), ids(1..=3));
    assert_eq!(founding(20).voters(), ids(1..=9));
    let mut layout = founding(20);
    layout.fenced = vec![Fenced { node: NodeId(1), since: 1, declared_lost: Vec::new() }];
    layout.members[1].leaving = true;
    assert_eq!(layout.voters(), ids(3..=11));
    layout.voters = ids(4..=6);
    assert_eq!(layout.voters(), ids(4..=6));
}
