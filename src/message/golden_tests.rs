//! What clients keep for the cluster outlives programs: the bytes in `golden/` never change, and mean what they always
//! meant. A new version adds files; none is ever edited.

use bytes::Bytes;

use super::client::{
    Answer, AnswerBody, Call, CallBody, CollectionCommand, Command, ElementChange, ElementWrite, Hello, Observe,
    Options, Outcome, Reason, Request, RequestError, Response, Visible, WriteAck, WriteReply,
};
use super::codec::{self, Message};
use super::contexts::{CounterContext, open_siblings, seal_siblings};
use super::peer::{
    Addressed, Forward, Forwarded, Frame, Part, PeerMessage, Read, ReadAnswer, Refusal, Replicate, Replicated, Shown,
    Wanted,
};
use super::token::Token;
use crate::causality::{ActorId, Context, Dot, Epoch, Tenure, Tick};
use crate::config::Durability;
use crate::ids::{ClusterId, CollectionKind, Key, NodeId, OpId, PartitionId, RequestId, RowVersion};
use crate::membership::LayoutEpoch;
use crate::sealed::SealKey;
use crate::storage::RowKey;
use crate::time::{Hlc, WallTime};
use crate::value::golden_tests::{check_bytes, unhex};
use crate::value::{Beside, Row, Score};

const KEY: SealKey = SealKey([7; 32]);

fn row_key(name: &str) -> RowKey {
    RowKey::main(&Key::new(name.to_owned()).unwrap())
}

fn dot(actor: u8, event: u64) -> Dot {
    let epoch = Epoch(u64::from_be_bytes([actor; 8]));
    Dot { actor: ActorId { expires: Tick(0x0102_0304), epoch, tenure: Tenure(7) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall: 0x0006_0000_0000_0000 + wall, logical: 3 }
}

/// A row in which every part of what is seen is there.
fn full() -> Row {
    let mut row = Row::default();
    row.increment(dot(0xAA, 3), at(1), 5, &Beside::NONE).unwrap();
    row.reset(dot(0xAA, 4), at(2), &row.clone());
    row.put(dot(0xBB, 1), at(3), Bytes::from("text"), &row.clone());
    row.set_expiry(dot(0xBB, 2), at(4), Some(WallTime(9)));
    row.put_sibling(dot(0xCC, 1), at(5), Bytes::from("milk"), &Context::default()).unwrap();
    row.set_flag(dot(0xCC, 2), at(6));
    row.add_member(dot(0xCC, 3));
    row.put_score(dot(0xCC, 4), at(7), Score::new(1.5).unwrap());
    row.add_to_sketch(dot(0xCC, 5), at(8), [b"a"]);
    row
}

#[test]
fn a_token_has_its_old_bytes() {
    let mut token = Token::default();
    token.add(&row_key("likes"), &full().seen());
    token.add(&row_key("carts"), &Row::default().seen());
    let old = include_str!("golden/token.hex");
    check_bytes(old, &token.seal(&KEY));
    assert_eq!(Token::open(&KEY, &unhex(old).into()), Ok(token));
}

#[test]
fn the_context_of_a_counter_has_its_old_bytes() {
    let context = CounterContext { stamp: at(9), dot: dot(0xDD, 1), seen: full() };
    let old = include_str!("golden/counter_context.hex");
    check_bytes(old, &context.seal(&KEY, &row_key("likes")));
    assert_eq!(CounterContext::open(&KEY, &row_key("likes"), &unhex(old).into()), Ok(context));
}

#[test]
fn the_context_of_siblings_has_its_old_bytes() {
    let seen = full().siblings_context();
    let old = include_str!("golden/sibling_context.hex");
    check_bytes(old, &seal_siblings(&KEY, &row_key("cart"), &seen));
    assert_eq!(open_siblings(&KEY, &row_key("cart"), &unhex(old).into()), Ok(seen));
}

/// What an older program has sent is still understood, though newer ones say more: names and meanings of fields stay.
fn check_message<M: Message + PartialEq + std::fmt::Debug>(old: &str, message: &M) {
    assert_eq!(codec::decode::<M>(&unhex(old)).as_ref().ok(), Some(message), "old bytes mean something else");
}

fn epoch() -> LayoutEpoch {
    LayoutEpoch { number: 3, content: 0x0102, parent: 0x0304 }
}

fn request(command: Command) -> Request {
    let options = Options {
        r: Some(2),
        w: Some(1),
        strict: true,
        deadline_ms: Some(300),
        observe: Observe::Local,
        token: Some("token".into()),
        ..Options::default()
    };
    Request { key: Key::new("likes").unwrap(), command, options }
}

#[test]
fn a_greeting_of_an_older_program_is_understood() {
    let (cluster, version) = (ClusterId([7; 16]), "0.1.0".into());
    let hello = Hello { cluster, node: Some(NodeId(2)), layout: Some(epoch()), version };
    check_message(include_str!("golden/hello.hex"), &hello);
}

#[test]
fn a_call_of_an_older_client_is_understood() {
    let element = |change| ElementWrite { element: "e".into(), change };
    let changes = vec![element(ElementChange::Put("x".into())), element(ElementChange::Increment(-3))];
    let command = Command::Collection { kind: CollectionKind::Map, command: CollectionCommand::Write { changes } };
    let call = Call { id: RequestId(9), body: CallBody::Key(request(command)) };
    check_message(include_str!("golden/call.hex"), &call);
}

#[test]
fn an_answer_of_an_older_node_is_understood() {
    let acks = vec![WriteAck { node: NodeId(2), durability: Durability::Fsync, is_owner: true }];
    let value = Visible::Integer { value: -7, saturated: false };
    let token = Some(Bytes::from("token"));
    let written = WriteReply { value, acks, removed: 0, partial: true, token };
    let answer = Answer { id: RequestId(9), body: AnswerBody::Key(Response::Written(written)) };
    check_message(include_str!("golden/answer.hex"), &answer);
}

#[test]
fn a_frame_of_an_older_peer_is_understood() {
    let (row, op, state) = (row_key("likes"), OpId(5), Bytes::from("state"));
    let (start, version) = (Epoch(8), RowVersion(4));
    let part = Part { row: row.clone(), version, delta: state.clone() };
    let shown = Shown {
        main: state.clone(),
        beside: Bytes::new(),
        rows: vec![(row.clone(), state)],
        until: None,
        settled: Tick(2),
        folded: Tick(1),
        exchanged: vec![(NodeId(3), 7)],
    };
    let wanted = Wanted::Page { kind: CollectionKind::Set, after: Some("a".into()), count: 9 };
    let outcome = Ok(Durability::Wal);
    let messages = [
        PeerMessage::Replicate(Replicate { op, parts: vec![part], owed: vec![NodeId(3)], only_removes: true }),
        PeerMessage::Replicated(Replicated { op, epoch: start, rows: vec![(row.clone(), version)], outcome }),
        PeerMessage::Read(Read { op, row, beside: wanted }),
        PeerMessage::ReadAnswer(ReadAnswer { op, epoch: start, outcome: Ok(shown) }),
        PeerMessage::ReadAnswer(ReadAnswer { op, epoch: start, outcome: Err(Refusal::Newborn) }),
        PeerMessage::Forward(Forward { op, target: start, request: request(Command::Get), remaining_ms: 250 }),
        PeerMessage::Forwarded(Forwarded {
            op,
            epoch: start,
            response: Response::Failed(RequestError { outcome: Outcome::NotApplied, reason: Reason::Stale }),
        }),
    ];
    let addressed = |message| Addressed { partition: PartitionId(3), layout: 2, message };
    let messages = messages.into_iter().map(addressed).collect();
    check_message(include_str!("golden/frame.hex"), &Frame { layout: epoch(), epoch: start, clock: at(1), messages });
}
