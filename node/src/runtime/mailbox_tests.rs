//! Tests of the mailbox: order, quotas, bounds, waking.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use starling::causality::Epoch;
use starling::ids::{ConnectionId, Key, PartitionId, RequestId};
use starling::membership::LayoutEpoch;
use starling::message::client::{Command, Options, Request};
use starling::message::peer::{Addressed, Part, PeerMessage, Ping, Replicate};
use starling::storage::RowKey;
use starling::time::Hlc;

use super::*;

fn client(number: u64) -> Input {
    let request = Request { key: Key::new("k").unwrap(), command: Command::Get, options: Options::default() };
    Input::Client { connection: ConnectionId(0), request_id: RequestId(number), request }
}

fn frame(message: PeerMessage) -> Frame {
    let messages = vec![Addressed { partition: PartitionId(0), layout: 1, message }];
    Frame { layout: LayoutEpoch::default(), epoch: Epoch(1), clock: Hlc::default(), messages }
}

fn ping() -> Frame {
    frame(PeerMessage::Ping(Ping { wall: Default::default() }))
}

fn heavy() -> Frame {
    let row = RowKey::main(&Key::new("k").unwrap());
    let delta = Bytes::from(vec![0; REQUEST_BYTES_MAX / 2]);
    let op = starling::ids::OpId(1);
    frame(PeerMessage::Replicate(Replicate {
        op,
        parts: vec![Part { row, version: Default::default(), delta }],
        owed: vec![],
        only_removes: false,
    }))
}

fn kind(input: &Input) -> char {
    match input {
        Input::Durable(_) => 'd',
        Input::Peer { frame, .. } if matches!(frame.messages[0].message, PeerMessage::Pong(_)) => 'a',
        Input::Peer { .. } => 'r',
        Input::Client { .. } => 'c',
        _ => '?',
    }
}

fn take(mailbox: &Mailbox) -> String {
    let mut chunk = Chunk::default();
    mailbox.receive(&mut chunk, Some(Duration::ZERO));
    chunk.inputs.iter().map(kind).collect()
}

#[test]
fn answers_come_before_requests_before_clients_and_durable_before_all() {
    let mailbox = Mailbox::default();
    mailbox.client(client(1), 1).unwrap();
    mailbox.requests(NodeId(2), ping()).unwrap();
    mailbox.answers(NodeId(2), frame(PeerMessage::Pong(Ping { wall: Default::default() }))).unwrap();
    mailbox.durable(Ticket(3));
    mailbox.durable(Ticket(2));
    let mut chunk = Chunk::default();
    mailbox.receive(&mut chunk, None);
    assert!(matches!(chunk.inputs[0], Input::Durable(Ticket(3))), "only the newest ticket waits");
    assert_eq!(chunk.inputs.iter().map(kind).collect::<String>(), "darc");
}

#[test]
fn a_flood_of_answers_starves_nobody() {
    let mailbox = Mailbox::default();
    for number in 0..500 {
        mailbox.answers(NodeId(2), frame(PeerMessage::Pong(Ping { wall: Default::default() }))).unwrap();
        mailbox.requests(NodeId(2), ping()).unwrap();
        mailbox.client(client(number), 1).unwrap();
    }
    let quarter = CHUNK / 4;
    let expected = "a".repeat(CHUNK / 2) + &"r".repeat(quarter) + &"c".repeat(quarter);
    assert_eq!(take(&mailbox), expected);
}

#[test]
fn unused_shares_go_to_who_waits() {
    let mailbox = Mailbox::default();
    for number in 0..500 {
        mailbox.client(client(number), 1).unwrap();
    }
    assert_eq!(take(&mailbox), "c".repeat(CHUNK));
}

#[test]
fn clients_are_bounded_by_number_and_by_weight() {
    let mailbox = Mailbox::default();
    for number in 0..CLIENTS_MAX as u64 {
        mailbox.client(client(number), 1).unwrap();
    }
    assert_eq!(mailbox.client(client(0), 1), Err(Full));

    let mailbox = Mailbox::default();
    mailbox.client(client(1), CLIENT_BYTES_MAX + 1).unwrap();
    assert_eq!(mailbox.client(client(2), 1), Err(Full), "a single heavy one passes, the next does not");
    assert_eq!(take(&mailbox), "c");
    mailbox.client(client(2), 1).unwrap();
}

#[test]
fn requests_of_peers_are_bounded_while_answers_still_come_in() {
    let mailbox = Mailbox::default();
    mailbox.requests(NodeId(2), heavy()).unwrap();
    assert_eq!(mailbox.requests(NodeId(2), heavy()), Err(Full));
    mailbox.answers(NodeId(2), heavy()).unwrap();
}

#[test]
fn status_questions_are_bounded_and_stop_is_always_heard() {
    let mailbox = Mailbox::default();
    for _ in 0..CONTROLS_MAX {
        assert!(mailbox.control(Control::Status(Box::new(|_| {}))).is_ok());
    }
    assert!(mailbox.control(Control::Status(Box::new(|_| {}))).is_err());
    assert!(mailbox.control(Control::Stop).is_ok());
}

#[test]
fn a_sleeper_wakes_for_an_input_and_for_its_deadline() {
    let mailbox = Arc::new(Mailbox::default());
    let sleeper = {
        let mailbox = mailbox.clone();
        std::thread::spawn(move || {
            let mut chunk = Chunk::default();
            while chunk.inputs.is_empty() {
                mailbox.receive(&mut chunk, None);
            }
            chunk.inputs.len()
        })
    };
    std::thread::sleep(Duration::from_millis(20));
    mailbox.client(client(1), 1).unwrap();
    assert_eq!(sleeper.join().unwrap(), 1);

    let started = Instant::now();
    mailbox.receive(&mut Chunk::default(), Some(Duration::from_millis(30)));
    assert!(started.elapsed() >= Duration::from_millis(30));
}
