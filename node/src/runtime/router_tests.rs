//! Tests of the router: who gets what, and that every call is answered.

use std::time::{Duration, Instant};

use starling::causality::Epoch;
use starling::config::Durability;
use starling::ids::{ClusterId, Key, OpId, PartitionId, Ticket};
use starling::membership::{LayoutEpoch, Member};
use starling::message::client::{Command, Options, ShardStatus};
use starling::message::peer::{Addressed, PeerMessage, Ping, Read, Wanted};
use starling::ring::RingView;
use starling::storage::RowKey;
use starling::time::Hlc;

use super::*;
use crate::runtime::mailbox::{CLIENTS_MAX, Chunk, Control};
use crate::status::NodeFacts;
use crate::transport::inbound::AnswerQueue;

const CONNECTION: ConnectionId = ConnectionId(7);

struct Setup {
    router: Router,
    mailboxes: Vec<Arc<Mailbox>>,
    answers: AnswerQueue,
}

fn set_up(shards: usize) -> Setup {
    let member = Member::new(NodeId(1), "a", "127.0.0.1:1");
    let layout = Layout::founding(ClusterId([3; 16]), "test", vec![member]).seal().unwrap();
    let facts = NodeFacts {
        node: NodeId(1),
        epoch: Epoch(5),
        starts: 2,
        durability: Durability::Fsync,
        drills: false,
        started: Instant::now(),
        tick: Duration::from_secs(10),
        lease_ticks_max: 360,
    };
    let status = StatusSource { facts: Arc::new(facts), disk: Arc::default(), syncs: Arc::default() };
    let mailboxes: Vec<Arc<Mailbox>> = (0..shards).map(|_| Arc::default()).collect();
    let ring = Arc::new(PresentRing::new(Arc::new(RingView::new(layout).unwrap())));
    let router = Router::new(ring, mailboxes.clone(), Arc::default(), status, Arc::default());
    let (sender, answers) = Answers::channel(100_000, usize::MAX);
    router.connection_opened(CONNECTION, &Role::Client("test".into()), sender);
    Setup { router, mailboxes, answers }
}

fn get(id: u64, key: &'static str) -> Call {
    let request = Request { key: Key::new(key).unwrap(), command: Command::Get, options: Options::default() };
    Call { id: RequestId(id), body: CallBody::Key(request) }
}

fn ping(partition: u16) -> Addressed {
    Addressed {
        partition: PartitionId(partition),
        layout: 1,
        message: PeerMessage::Ping(Ping { wall: Default::default() }),
    }
}

fn pong(partition: u16) -> Addressed {
    Addressed {
        partition: PartitionId(partition),
        layout: 1,
        message: PeerMessage::Pong(Ping { wall: Default::default() }),
    }
}

fn frame(messages: Vec<Addressed>) -> Frame {
    Frame { layout: LayoutEpoch::default(), epoch: Epoch(1), clock: Hlc::default(), messages }
}

fn inputs(mailbox: &Mailbox) -> Vec<Input> {
    let mut chunk = Chunk::default();
    mailbox.receive(&mut chunk, Some(Duration::ZERO));
    chunk.inputs
}

fn partitions(input: &Input) -> Vec<u16> {
    let frame = match input {
        Input::Peer { frame, .. } | Input::PeerQueueFull { frame, .. } => frame,
        other => panic!("unexpected {other:?}"),
    };
    frame.messages.iter().map(|addressed| addressed.partition.0).collect()
}

async fn answered(answers: &mut AnswerQueue) -> Vec<Answer> {
    let mut taken = Vec::new();
    answers.take(&mut taken, 100_000).await;
    taken
}

#[tokio::test]
async fn a_frame_is_split_by_shard_and_answers_go_first() {
    let Setup { router, mailboxes, .. } = set_up(2);
    router.peer_frame(NodeId(2), frame(vec![ping(0), ping(1), pong(2), ping(3), ping(4)]));
    let even = inputs(&mailboxes[0]);
    assert_eq!(even.iter().map(partitions).collect::<Vec<_>>(), [vec![2], vec![0, 4]]);
    let odd = inputs(&mailboxes[1]);
    assert_eq!(odd.iter().map(partitions).collect::<Vec<_>>(), [vec![1, 3]]);
}

#[tokio::test]
async fn a_request_goes_to_the_shard_of_its_partition() {
    let Setup { router, mailboxes, .. } = set_up(2);
    router.client_call(CONNECTION, get(1, "foo"));
    // Slot 12182 of 16384 in 256 partitions of 64: partition 190.
    assert!(matches!(inputs(&mailboxes[0])[..], [Input::Client { request_id: RequestId(1), .. }]));
    assert!(inputs(&mailboxes[1]).is_empty());
}

#[tokio::test]
async fn a_lost_peer_is_told_to_every_shard_with_its_own_frames() {
    let Setup { router, mailboxes, .. } = set_up(2);
    let op = OpId(1);
    let row = RowKey::main(&Key::new("foo").unwrap());
    let read = Addressed {
        partition: PartitionId(3),
        layout: 1,
        message: PeerMessage::Read(Read { op, row, beside: Wanted::Nothing }),
    };
    router.peer_unreachable(NodeId(2), vec![frame(vec![read])]);
    let counts: Vec<usize> = mailboxes
        .iter()
        .map(|mailbox| match &inputs(mailbox)[..] {
            [Input::PeerUnreachable { node: NodeId(2), not_sent }] => not_sent.len(),
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(counts, [0, 1]);
}

#[tokio::test]
async fn beyond_the_bound_clients_are_told_busy() {
    let Setup { router, mut answers, .. } = set_up(1);
    for id in 0..CLIENTS_MAX as u64 + 1 {
        router.client_call(CONNECTION, get(id, "foo"));
    }
    let answers = answered(&mut answers).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].id, RequestId(CLIENTS_MAX as u64));
    let AnswerBody::Key(Response::Failed(error)) = &answers[0].body else { panic!("{answers:?}") };
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert!(matches!(error.reason, Reason::Busy { .. }), "{error}");
}

#[tokio::test]
async fn a_stopping_node_says_so() {
    let Setup { router, mailboxes, mut answers } = set_up(1);
    router.stop_accepting();
    router.client_call(CONNECTION, get(4, "foo"));
    let [Answer { id: RequestId(4), body: AnswerBody::Key(Response::Failed(error)) }] =
        &answered(&mut answers).await[..]
    else {
        panic!("no refusal")
    };
    assert_eq!(*error, RequestError { outcome: Outcome::NotApplied, reason: Reason::Stopping });
    assert!(inputs(&mailboxes[0]).is_empty());
}

#[tokio::test]
async fn status_is_the_sum_of_the_shards() {
    let Setup { router, mailboxes, mut answers } = set_up(2);
    router.client_call(CONNECTION, Call { id: RequestId(9), body: CallBody::Node(NodeCall::Status) });
    for mailbox in &mailboxes {
        let mut chunk = Chunk::default();
        mailbox.receive(&mut chunk, Some(Duration::ZERO));
        let Some(Control::Status(tell)) = chunk.controls.pop() else { panic!("no question") };
        tell(ShardStatus { open_ops: 3, ..ShardStatus::default() });
    }
    let [Answer { id: RequestId(9), body: AnswerBody::Node(NodeAnswer::Status(status)) }] =
        &answered(&mut answers).await[..]
    else {
        panic!("no status")
    };
    assert_eq!((status.node, status.starts, status.shards.open_ops), (NodeId(1), 2, 6));
    assert_eq!(status.epoch, "0000000000000005");
}

#[tokio::test]
async fn the_layout_is_answered_at_once() {
    let Setup { router, mut answers, .. } = set_up(1);
    router.client_call(CONNECTION, Call { id: RequestId(1), body: CallBody::Node(NodeCall::Layout) });
    let answers = answered(&mut answers).await;
    assert!(matches!(&answers[0].body, AnswerBody::Node(NodeAnswer::Layout(layout)) if layout.name == "test"));
}

#[tokio::test]
async fn requests_that_find_no_room_are_dropped_and_counted() {
    let Setup { router, mailboxes, .. } = set_up(1);
    mailboxes[0].durable(Ticket(1));
    let pages = |bytes: usize| {
        let range = bytes::Bytes::from(vec![0; bytes]);
        let offer = starling::message::peer::ExchangeOffer {
            op: OpId(1),
            step: 1,
            start: range.clone(),
            end: range,
            hashes: Vec::new(),
            sums: Vec::new(),
            takes_over: false,
            marks: Default::default(),
            gives: false,
        };
        frame(vec![Addressed { partition: PartitionId(0), layout: 1, message: PeerMessage::ExchangeOffer(offer) }])
    };
    router.peer_frame(NodeId(2), pages(crate::runtime::mailbox::REQUEST_BYTES_MAX / 2));
    router.peer_frame(NodeId(2), pages(1_000));
    assert_eq!(router.shared.counters.peer_messages_dropped.get(), 1);
}
