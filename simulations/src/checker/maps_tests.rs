//! Histories written by hand, on clocks that are off by up to two seconds.

use std::time::Duration;

use starling::config::Durability;
use starling::ids::ConnectionId;
use starling::message::client::{
    CollectionCommand, Command, ElementWrite, Options, PageReply, Request, Response, WriteAck, WriteReply,
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
    let nothing = PageReply { elements: Vec::new(), next: None, size: 0, partial: false, token: None };
    is_told(&mut world, 60, number, Response::Page(nothing));
    !check(&Evidence::of(&world)).is_empty()
}

fn put(text: &'static str) -> Command {
    let change = ElementChange::Put(Bytes::from_static(text.as_bytes()));
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
    let reply = WriteReply { value: Visible::Nothing, acks: vec![ack(0), ack(1)], partial: false, token: None };
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
fn a_put_that_no_clock_can_place_before_the_removal_must_stand() {
    assert!(is_wrong_if_put_again_at(11));
}
