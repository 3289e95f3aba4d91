//! Quorums that must come from several zones.

use super::*;

/// Six nodes in three zones; the owners of a key are one of each.
fn three_zones() -> Bus {
    let member = |id: u64| {
        let mut member = Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"));
        member.zone = ["east", "north", "west"][id as usize % 3].to_owned();
        member
    };
    Bus::of((1..=6).map(member).collect(), ShardConfig { exchange: false, ..ShardConfig::default() })
}

fn zones_of(bus: &Bus, nodes: impl Iterator<Item = NodeId>) -> BTreeSet<crate::ring::ZoneIndex> {
    nodes.map(|node| bus.ring.zone_of(node).unwrap()).collect()
}

fn wants(zones: u8) -> Options {
    Options { w: Some(2), r: Some(2), zones: Some(zones), ..Options::default() }
}

fn ask(bus: &mut Bus, to: NodeId, command: Command, options: Options) -> Response {
    let id = bus.send(to, "k", command, options);
    bus.run(Duration::from_millis(600));
    bus.replies.remove(&id).expect("answered")
}

#[test]
fn a_write_is_answered_when_nodes_of_so_many_zones_hold_it() {
    let mut bus = three_zones();
    let (owners, _) = bus.list("k");
    for zones in 1..=3 {
        let reply = ask(&mut bus, owners[0], Command::Increment { by: 1 }, wants(zones));
        let acks = written(&reply).acks.clone();
        assert!(zones_of(&bus, acks.iter().map(|ack| ack.node)).len() >= usize::from(zones), "{acks:?}");
    }
    assert_eq!(bus.value(owners[1], "k"), number(3));
}

#[test]
fn a_zone_whose_owner_is_lost_is_made_up_for_by_a_stand_in_of_it() {
    let mut bus = three_zones();
    let (owners, fallbacks) = bus.list("k");
    let lost = owners[2];
    bus.cut.insert(lost);
    bus.run(Duration::from_secs(3));
    let in_its_place: Vec<NodeId> =
        fallbacks.iter().copied().filter(|node| bus.ring.zone_of(*node) == bus.ring.zone_of(lost)).collect();
    let reply = ask(&mut bus, owners[0], Command::Increment { by: 1 }, wants(3));
    match in_its_place[..] {
        [] => assert_eq!(refused(reply), Reason::TooFewZones { needed: 3, reachable: 2 }),
        _ => assert!(written(&reply).acks.iter().any(|ack| in_its_place.contains(&ack.node)), "{reply:?}"),
    }
}

#[test]
fn what_too_few_zones_can_hold_is_refused_before_it_is_written() {
    let mut bus = three_zones();
    let (owners, _) = bus.list("k");
    let west = bus.ring.zone_of(owners[2]);
    bus.cut = bus.everyone().into_iter().filter(|node| bus.ring.zone_of(*node) == west).collect();
    bus.run(Duration::from_secs(3));
    let reply = ask(&mut bus, owners[0], Command::Increment { by: 1 }, wants(3));
    assert_eq!(refused(reply), Reason::TooFewZones { needed: 3, reachable: 2 });
    assert_eq!(bus.stored(owners[0], "k"), None, "nothing was minted");
    let reply = ask(&mut bus, owners[0], Command::Get, wants(3));
    assert_eq!(refused(reply), Reason::TooFewZones { needed: 3, reachable: 2 });
    written(&ask(&mut bus, owners[0], Command::Increment { by: 1 }, wants(2)));
}

#[test]
fn a_read_waits_for_views_of_so_many_zones() {
    let mut bus = three_zones();
    let (owners, _) = bus.list("k");
    written(&ask(&mut bus, owners[0], Command::Increment { by: 4 }, wants(3)));
    for zones in 1..=3 {
        match ask(&mut bus, owners[1], Command::Get, wants(zones)) {
            Response::Value(reply) => {
                assert_eq!(reply.value, number(4));
                assert!(zones_of(&bus, reply.answered.iter().copied()).len() >= usize::from(zones), "{reply:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}
