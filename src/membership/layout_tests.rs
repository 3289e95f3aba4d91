//! Layouts: which are refused and why, and the hash of their content.

use super::*;

fn members(count: u64) -> Vec<Member> {
    let member = |number| Member {
        id: NodeId(number),
        name: format!("m{number}"),
        address: format!("host{number}:7000"),
        weight: 1,
        zone: String::new(),
    };
    (1..=count).map(member).collect()
}

fn founding(count: u64) -> Layout {
    Layout::founding(ClusterId([3; 16]), "shop", members(count))
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
    check_refused("placement version 2", |layout| layout.placement = 2);
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
