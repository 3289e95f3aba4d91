//! Histories written by hand: what the checker must find, and what it must not.

use std::time::Duration;

use bytes::Bytes;
use starling::config::Durability;
use starling::ids::{ConnectionId, NodeId};
use starling::message::client::{Options, Reason, Request, ValueReply, WriteAck, WriteReply};
use starling::shard::not_applied;

use super::*;
use crate::workload::key;
use crate::world::World;
use crate::world::history::History;
use crate::world::options::WorldOptions;

/// The deadline of the text. Unit: seconds since the world began.
const PASSES_AT: u64 = 5;

/// What the client of one key asked and was told.
struct Client(World);

impl Client {
    /// It has put a text with a deadline, and both are on two of three owners.
    fn of_an_expiring_text() -> Client {
        let mut client = Client(World::new(WorldOptions::calm(1)).unwrap());
        client.writes(1, put("expires"));
        let deadline = WallTime(WORLD_START + seconds(PASSES_AT).0);
        client.writes(2, Command::Expire { deadline: Some(deadline) });
        client
    }

    fn asks(&mut self, at: u64, command: Command) -> OpNumber {
        self.0.history.invoke(Op {
            node: 0,
            connection: ConnectionId(0),
            request: Request { key: key("expiry/0"), command, options: Options::default() },
            invoked_at: seconds(at),
            deadline: Duration::from_secs(2),
            answer: None,
            broken_at: None,
            is_refused: false,
        })
    }

    fn is_told(&mut self, at: u64, number: OpNumber, response: Response) {
        self.0.history.answer(0, ConnectionId(0), History::request_id(number), seconds(at), response);
    }

    /// Writes, and is told so in the same second.
    fn writes(&mut self, at: u64, command: Command) {
        let number = self.asks(at, command);
        let ack = |node: &NodeId| WriteAck { node: *node, durability: Durability::Fsync, is_owner: true };
        let ring = self.0.ring();
        let acks = ring.owners(ring.partition_of(&key("expiry/0"))).iter().take(2).map(ack).collect();
        self.is_told(
            at,
            number,
            Response::Written(WriteReply { value: Visible::Nothing, acks, removed: 0, partial: false, token: None }),
        );
    }

    fn is_shown(&mut self, at: u64, number: OpNumber, value: Visible) {
        let reply =
            ValueReply { value, partial: false, conflict: false, answered: Vec::new(), stale_ms: None, token: None };
        self.is_told(at, number, Response::Value(reply));
    }

    /// Reads, and is shown this in the same second.
    fn reads(&mut self, at: u64, value: Visible) {
        let number = self.asks(at, Command::Get);
        self.is_shown(at, number, value);
    }

    fn is_wrong(&self) -> bool {
        !check(&Evidence::of(&self.0)).is_empty()
    }
}

fn seconds(count: u64) -> Timestamp {
    Timestamp(0).after(Duration::from_secs(count))
}

fn put(text: &'static str) -> Command {
    Command::Put { value: Bytes::from_static(text.as_bytes()) }
}

fn text(text: &'static str) -> Visible {
    Visible::Text(Bytes::from_static(text.as_bytes()))
}

#[test]
fn what_was_hidden_and_shows_again_without_a_write_is_found() {
    let mut client = Client::of_an_expiring_text();
    client.reads(3, text("expires"));
    client.reads(PASSES_AT + 3, Visible::Nothing);
    assert!(!client.is_wrong());
    client.reads(PASSES_AT + 10, text("expires"));
    assert!(client.is_wrong());
}

#[test]
fn a_late_answer_may_show_what_its_client_wrote_after_giving_it_up() {
    let mut client = Client::of_an_expiring_text();
    client.reads(8, Visible::Nothing);
    let given_up = client.asks(13, Command::Get);
    client.writes(17, put("written since"));
    client.is_shown(24, given_up, text("written since"));
    assert!(!client.is_wrong());
}

#[test]
fn a_late_answer_shows_nothing_of_what_is_written_after_it() {
    let mut client = Client::of_an_expiring_text();
    client.reads(8, Visible::Nothing);
    let given_up = client.asks(13, Command::Get);
    client.is_shown(24, given_up, text("expires"));
    client.writes(25, put("written since"));
    assert!(client.is_wrong());
}

#[test]
fn a_write_that_was_refused_explains_nothing() {
    let mut client = Client::of_an_expiring_text();
    client.reads(8, Visible::Nothing);
    let given_up = client.asks(13, Command::Get);
    let refused = client.asks(17, put("refused"));
    client.is_told(18, refused, Response::Failed(not_applied(Reason::DeadlineExceeded { answered: 0, needed: 2 })));
    client.is_shown(24, given_up, text("refused"));
    assert!(client.is_wrong());
}
