//! Histories written by hand, on clocks that are off by up to two seconds.

use std::time::Duration;

use starling::config::Durability;
use starling::ids::ConnectionId;
use starling::message::client::{
    CollectionCommand, Command, ElementWrite, Options, PageReply, Request, Response, Visible, WriteAck, WriteReply,
};
use starling::time::Timestamp;

use super::*;
use crate::workload::key;
use crate::world::World;
use crate::world::history::{History, Op, OpNumber};
use crate::world::options::WorldOptions;

const SKEW: Duration = Duration::from_secs(2);

/// A map whose only field is put, removed with the whole map in the fifth second, put again, and in the end not there.
fn is_wrong_if_put_again_at(second: u64) -> bool {
    let mut world = World::new(WorldOptions { skew_max: SKEW, ..WorldOptions::calm(1) }).unwrap();
    writes(&mut world, 1, put("before"));
    writes(&mut world, 5, Command::Delete);
    writes(&mut world, second, put("after"));
    world.history.begin_rest();
    let size = Command::Collection { kind: CollectionKind::Map, command: CollectionCommand::Size };
    let number = asks(&mut world, 60, size);
    let nothing =
        PageReply { elements: Vec::new(), conflicts: Vec::new(), next: None, size: 0, partial: false, token: None };
    is_told(&mut world, 60, number, Response::Page(nothing));
    !check(&Evidence::of(&world)).is_empty()
}

/// A field is put in the first second and counted in the fifth; in the end it shows this.
fn is_wrong_if_it_shows(value: Visible, is_in_conflict: bool) -> bool {
    let mut world = World::new(WorldOptions { skew_max: SKEW, ..WorldOptions::calm(1) }).unwrap();
    writes(&mut world, 1, put("text"));
    writes(&mut world, 5, field(ElementChange::Increment(7)));
    world.history.begin_rest();
    let all =
        Command::Collection { kind: CollectionKind::Map, command: CollectionCommand::Page { after: None, count: 9 } };
    let number = asks(&mut world, 60, all);
    let name = Bytes::from_static(b"field");
    let conflicts = if is_in_conflict { vec![name.clone()] } else { Vec::new() };
    let elements = vec![(name, value)];
    let page = PageReply { elements, conflicts, next: None, size: 1, partial: false, token: None };
    is_told(&mut world, 60, number, Response::Page(page));
    !check(&Evidence::of(&world)).is_empty()
}

fn put(text: &'static str) -> Command {
    field(ElementChange::Put(Bytes::from_static(text.as_bytes())))
}

fn field(change: ElementChange) -> Command {
    let changes = vec![ElementWrite { element: Bytes::from_static(b"field"), change }];
    Command::Collection { kind: CollectionKind::Map, command: CollectionCommand::Write { changes } }
}

fn asks(world: &mut World, at: u64, command: Command) -> OpNumber {
    world.history.invoke(Op {
        node: 0,
        connection: ConnectionId(0),
        request: Request { key: key("maps/0"), command, options: Options::default() },
        invoked_at: seconds(at),
        deadline: Duration::from_secs(2),
        answer: None,
        broken_at: None,
        is_refused: false,
    })
}

fn is_told(world: &mut World, at: u64, number: OpNumber, response: Response) {
    world.history.answer(0, ConnectionId(0), History::request_id(number), seconds(at), response);
}

/// Writes, and is told so in the same second.
fn writes(world: &mut World, at: u64, command: Command) {
    let number = asks(world, at, command);
    let ack = |node| WriteAck { node: WorldOptions::id(node), durability: Durability::Fsync, is_owner: true };
    let reply =
        WriteReply { value: Visible::Nothing, acks: vec![ack(0), ack(1)], removed: 0, partial: false, token: None };
    is_told(world, at, number, Response::Written(reply));
}

fn seconds(count: u64) -> Timestamp {
    Timestamp(0).after(Duration::from_secs(count))
}

#[test]
fn a_removal_under_a_clock_ahead_may_outdate_a_put_soon_after_it() {
    assert!(!is_wrong_if_put_again_at(8));
}

#[test]
fn increments_that_no_put_has_covered_are_told_beside_a_text() {
    let text = Visible::Text(Bytes::from_static(b"text"));
    assert!(!is_wrong_if_it_shows(text.clone(), true));
    assert!(is_wrong_if_it_shows(text, false));
    assert!(is_wrong_if_it_shows(Visible::Integer { value: 7, saturated: false }, false), "the put is lost");
}

#[test]
fn a_put_that_no_clock_can_place_before_the_removal_must_stand() {
    assert!(is_wrong_if_put_again_at(11));
}
