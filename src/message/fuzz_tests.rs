//! Decoders of messages, contexts and tokens against random input: never a panic, and what is read is the same when it is
//! written and read again. See `value::fuzz_tests` for rounds and damage.

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::client::{
    Answer, AnswerBody, Call, CallBody, ClusterCall, Command, Hello, NodeAnswer, NodeCall, Options, Reason, Request,
    RequestError, Response, Visible,
};
use super::codec::{self, Message};
use super::contexts::{CounterContext, open_siblings, seal_siblings};
use super::peer::{Addressed, Frame};
use super::token::Token;
use super::{client, weight};
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::ids::{ClusterId, CollectionKind, Key, NodeId, PartitionId, RequestId};
use crate::membership::{Change, Layout, LayoutEpoch, Member};
use crate::sealed::{SealKey, Sealed};
use crate::storage::RowKey;
use crate::time::Hlc;
use crate::value::fuzz_tests::{damage, good_rows, noise, rounds};

const KEY: SealKey = SealKey([7; 32]);

/// An envelope without its length.
fn envelope<M: Message>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes).unwrap();
    bytes.split_off(codec::LENGTH_BYTES)
}

/// Feeds a decoder with good bytes, damaged ones and noise. Its result need not have one encoding only (fields come in any
/// order, and unknown ones are skipped), but it must come back from its own.
fn feed<T: PartialEq + std::fmt::Debug>(
    round: u64,
    good: &[Vec<u8>],
    read: impl Fn(&[u8]) -> Option<T>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    let mut random = ChaCha8Rng::seed_from_u64(round ^ 0xF00D);
    let check = |bytes: &[u8]| {
        let found = read(bytes)?;
        assert_eq!(read(&write(&found)).as_ref(), Some(&found), "round {round}");
        Some(())
    };
    for bytes in good {
        assert!(check(bytes).is_some(), "round {round}: good bytes are read");
        for _ in 0..10 {
            let mut bad = bytes.clone();
            let other = &good[random.random_range(0..good.len())];
            damage(&mut random, &mut bad, other);
            check(&bad);
        }
        check(&noise(&mut random));
    }
}

fn feed_messages<M: Message + PartialEq + std::fmt::Debug>(round: u64, good: &[M]) {
    let good: Vec<Vec<u8>> = good.iter().map(envelope).collect();
    feed(round, &good, |bytes| codec::decode::<M>(bytes).ok(), envelope);
}

fn commands() -> Vec<Command> {
    let element = |change| client::ElementWrite { element: Bytes::from("e"), change };
    let session = ActorId { expires: Tick(9), epoch: Epoch(8), tenure: Tenure::SESSION };
    let changes = vec![
        element(client::ElementChange::Add),
        element(client::ElementChange::Put(Bytes::from("x"))),
        element(client::ElementChange::Increment(-3)),
        element(client::ElementChange::Score(1.5_f64.to_bits())),
    ];
    let write = client::CollectionCommand::Write { changes };
    vec![
        Command::Get,
        Command::Increment { by: i64::MIN },
        Command::IncrementAs(client::SessionWrite { actor: session, event: 3, p: u128::MAX, n: 1 }),
        Command::Put { value: Bytes::from("text") },
        Command::Overwrite { context: Bytes::from("context"), to: Some(7) },
        Command::PutSibling { value: Bytes::from("milk"), context: None },
        Command::AddToSketch { items: vec![Bytes::from("a"), Bytes::new()] },
        Command::Collection { kind: CollectionKind::Map, command: write },
        Command::Upkeep(client::Upkeep::Sweep),
        Command::Expire { deadline: None },
    ]
}

fn cluster_calls(base: LayoutEpoch) -> [ClusterCall; 5] {
    [
        ClusterCall::Stage { change: Change::Join(member()), accepts_loss: true },
        ClusterCall::Stage {
            change: Change::Replace { old: NodeId(1), new: member(), is_dead: true },
            accepts_loss: false,
        },
        ClusterCall::Commit { base, content: u64::MAX },
        ClusterCall::PauseMoves(true),
        ClusterCall::Recover { survivors: vec![NodeId(1)], cluster: "test".into() },
    ]
}

fn member() -> Member {
    Member::new(NodeId(1), "a", "a:1")
}

#[test]
fn whatever_comes_as_a_message_is_refused_or_comes_back() {
    let cluster = ClusterId([7; 16]);
    let layout = Layout::founding(cluster, "test", vec![member()]).seal().unwrap();
    let hello = Hello { cluster, node: Some(NodeId(3)), layout: Some(layout.epoch), version: "1.2".into() };
    let calls: Vec<Call> = commands()
        .into_iter()
        .map(|command| {
            let options = Options { r: Some(2), token: Some(Bytes::from("token")), ..Options::default() };
            CallBody::Key(Request { key: Key::new("likes").unwrap(), command, options })
        })
        .chain([CallBody::Node(NodeCall::Status)])
        .chain(cluster_calls(layout.epoch).map(|call| CallBody::Node(NodeCall::Cluster(call))))
        .zip(1..)
        .map(|(body, id)| Call { id: RequestId(id), body })
        .collect();
    let reason = Reason::QuorumFailed { answered: 1, needed: 2, last_refusal: "busy".into() };
    let refused = RequestError { outcome: client::Outcome::Unknown, reason };
    let value = client::ValueReply {
        value: Visible::Siblings(vec![Bytes::from("a"), Bytes::new()]),
        partial: true,
        conflict: false,
        answered: vec![NodeId(1)],
        stale_ms: Some(5),
        token: None,
    };
    let answers = [
        AnswerBody::Key(Response::Value(value)),
        AnswerBody::Key(Response::Failed(refused)),
        AnswerBody::Node(NodeAnswer::Layout(Box::new(layout))),
    ]
    .map(|body| Answer { id: RequestId(1), body });
    let frames: Vec<Frame> = weight::tests::messages(40)
        .into_iter()
        .map(|message| Frame {
            layout: LayoutEpoch::default(),
            epoch: Epoch(7),
            clock: Hlc::default(),
            messages: vec![Addressed { partition: PartitionId(3), layout: 1, message }; 2],
        })
        .collect();
    for round in 0..rounds() {
        feed_messages(round, std::slice::from_ref(&hello));
        feed_messages(round, &calls);
        feed_messages(round, &answers);
        feed_messages(round, &frames);
    }
}

#[test]
fn whatever_a_client_sends_back_is_refused_or_what_was_sealed() {
    let row = RowKey::main(&Key::new("likes").unwrap());
    let dot = Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(8), tenure: Tenure::SESSION }, event: 1 };
    for round in 0..rounds() {
        let rows = good_rows(round);
        let mut token = Token::default();
        let (mut counters, mut siblings) = (Vec::new(), Vec::new());
        for (number, seen) in rows.into_iter().enumerate() {
            token.add(&RowKey::main(&Key::new(format!("k{number}")).unwrap()), &seen.seen());
            siblings.push(seal_siblings(&KEY, &row, &seen.siblings_context()));
            counters.push(CounterContext { stamp: Hlc { wall: 5, logical: 6 }, dot, seen }.seal(&KEY, &row));
        }
        let tokens = [token.seal(&KEY)];
        let sealed = |kind, payload: &[u8]| KEY.seal(kind, payload);
        let payloads =
            |kind, all: &[Bytes]| all.iter().map(|one| KEY.open(kind, one).unwrap().to_vec()).collect::<Vec<_>>();

        // With a seal that fits, as if the cluster had made it: the decoders behind the seal.
        let kind = Sealed::CounterContext;
        feed(
            round,
            &payloads(kind, &counters),
            |bytes| CounterContext::open(&KEY, &row, &sealed(kind, bytes)).ok(),
            |context| KEY.open(kind, &context.seal(&KEY, &row)).unwrap().to_vec(),
        );
        let kind = Sealed::SiblingContext;
        feed(
            round,
            &payloads(kind, &siblings),
            |bytes| open_siblings(&KEY, &row, &sealed(kind, bytes)).ok(),
            |seen| KEY.open(kind, &seal_siblings(&KEY, &row, seen)).unwrap().to_vec(),
        );
        let kind = Sealed::SessionToken;
        feed(
            round,
            &payloads(kind, &tokens),
            |bytes| Token::open(&KEY, &sealed(kind, bytes)).ok(),
            |token| KEY.open(kind, &token.seal(&KEY)).unwrap().to_vec(),
        );

        // Without one: nothing that was changed is opened.
        let mut random = ChaCha8Rng::seed_from_u64(round);
        for good in counters.iter().chain(&siblings).chain(&tokens) {
            let mut bad = good.to_vec();
            damage(&mut random, &mut bad, &tokens[0]);
            let bad = Bytes::from(bad);
            if [&counters[..], &siblings, &tokens].concat().contains(&bad) || bad.is_empty() {
                continue;
            }
            assert!(CounterContext::open(&KEY, &row, &bad).is_err(), "round {round}");
            assert!(open_siblings(&KEY, &row, &bad).is_err(), "round {round}");
            assert!(Token::open(&KEY, &bad).is_err(), "round {round}");
        }
    }
}
