//! What becomes of calls when connections break, nodes fall silent or say something malformed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use starling::ids::NodeId;
use starling::limits;
use starling::message::client::{
    AnswerBody, CallBody, Command, NodeAnswer, Options, Outcome, Reason, RequestError, Response,
};
use starling_client::Error;

use crate::cluster::{TestCluster, key};
use crate::fake_node::{FakeNode, Manner, Reaction, obliging, value, written};

#[tokio::test]
async fn a_write_that_may_have_been_sent_is_unknown_and_never_sent_again() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let first = FakeNode::start(&mut cluster, order[0], |_| Reaction::Close("out of order"));
    let others = [order[1], order[2]].map(|node| FakeNode::start(&mut cluster, node, obliging));
    let error = cluster.client().increment_untagged(&likes, 1, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.to_string().contains("out of order"), "{error}");
    assert_eq!(first.calls().len(), 1);
    assert!(others.iter().all(|node| node.calls().is_empty()));
}

#[tokio::test]
async fn a_write_that_certainly_was_not_sent_goes_to_another_node() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    // The large write fills the window of a node that does not read, so the small one waits behind it, in this process.
    let deaf = Manner::Deaf(Duration::from_millis(300));
    let first = FakeNode::start_as(&mut cluster, order[0], order[0], deaf, obliging);
    let second = FakeNode::start(&mut cluster, order[1], obliging);
    let client = cluster.client();
    let large = {
        let (client, likes) = (client.clone(), likes.clone());
        let value = Bytes::from(vec![b'x'; limits::VALUE_BYTES_MAX]);
        tokio::spawn(async move { client.put(&likes, value, &Options::default()).await })
    };
    tokio::time::sleep(Duration::from_millis(150)).await;
    let reply = client.increment_untagged(&likes, 5, &Options::default()).await.unwrap();
    assert_eq!(reply.acks.len(), 1);
    let error = large.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error:?}");
    assert!(first.calls().is_empty());
    let calls = second.calls();
    assert_eq!(calls.len(), 1);
    assert!(matches!(&calls[0], CallBody::Key(request) if request.command == Command::Increment { by: 5 }));
}

#[tokio::test]
async fn a_read_whose_connection_broke_is_asked_of_another_node() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let first = FakeNode::start(&mut cluster, order[0], |_| Reaction::Close("gone"));
    let second = FakeNode::start(&mut cluster, order[1], |_| Reaction::Answer(value(41)));
    let reply = cluster.client().get(&likes, &Options::default()).await.unwrap();
    assert_eq!(AnswerBody::Key(Response::Value(reply)), value(41));
    assert_eq!((first.calls().len(), second.calls().len()), (1, 1));
}

#[tokio::test]
async fn a_read_of_a_silent_node_is_asked_of_another_within_the_deadline() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let first = FakeNode::start(&mut cluster, order[0], |_| Reaction::Silence);
    let _second = FakeNode::start(&mut cluster, order[1], |_| Reaction::Answer(value(41)));
    let client = cluster.client();
    let started = Instant::now();
    client.get(&likes, &Options::default()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    // The silent node is not the first choice any more.
    let started = Instant::now();
    client.get(&likes, &Options::default()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(first.calls().len(), 1);
}

#[tokio::test]
async fn a_silent_node_costs_a_write_its_deadline_and_no_more() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), |_| Reaction::Silence);
    let client = cluster.client();
    let options = Options { deadline_ms: Some(300), ..Options::default() };
    let started = Instant::now();
    let error = client.increment_untagged(&key("k"), 1, &options).await.unwrap_err();
    let took = started.elapsed();
    assert!(matches!(error, Error::Unknown { .. }), "{error:?}");
    assert!((Duration::from_millis(300)..Duration::from_millis(900)).contains(&took), "{took:?}");
    let error = client.get(&key("k"), &options).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

#[tokio::test]
async fn the_node_is_told_what_is_left_of_the_deadline() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let options = Options { deadline_ms: Some(700), w: Some(1), ..Options::default() };
    cluster.client().increment_untagged(&key("k"), 1, &options).await.unwrap();
    let CallBody::Key(request) = &node.calls()[0] else { panic!() };
    let sent = request.options.deadline_ms.unwrap();
    assert!((1..=700).contains(&sent), "{sent}");
    assert_eq!(request.options.w, Some(1));
}

#[tokio::test]
async fn malformed_answers_close_the_connection_and_leave_a_write_unknown() {
    for garbage in [vec![0xff; 8], vec![0, 0, 0, 3, 1, 3, 0xc1], vec![0, 0, 0, 2, 77, 3], vec![0, 0, 0, 0]] {
        let mut cluster = TestCluster::new(1);
        let answer = garbage.clone();
        let _node = FakeNode::start(&mut cluster, NodeId(1), move |_| Reaction::Raw(answer.clone()));
        let error = cluster.client().increment_untagged(&key("k"), 1, &Options::default()).await.unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{garbage:?}: {error:?}");
        assert!(error.to_string().contains("malformed"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_of_another_kind_is_an_error_and_no_success() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), |_| Reaction::Answer(AnswerBody::Node(NodeAnswer::FaultsSet)));
    let client = cluster.client();
    let error = client.increment_untagged(&key("k"), 1, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error:?}");
    let error = client.get(&key("k"), &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn answers_may_come_in_any_order() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), |body| match body {
        CallBody::Key(request) => match request.command {
            Command::Increment { by } => Reaction::Later(Duration::from_millis(100 - by as u64), written(by)),
            _ => Reaction::Silence,
        },
        CallBody::Node(_) => Reaction::Silence,
    });
    let client = cluster.client();
    let mut calls = tokio::task::JoinSet::new();
    for by in 0..100 {
        let client = client.clone();
        calls.spawn(async move { (by, client.increment_untagged(&key("k"), by, &Options::default()).await.unwrap()) });
    }
    for (by, reply) in calls.join_all().await {
        assert_eq!(AnswerBody::Key(Response::Written(reply)), written(by));
    }
}

#[tokio::test]
async fn a_full_connection_refuses_what_it_did_not_send() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), |_| Reaction::Silence);
    let config = starling_client::ClientConfig { in_flight_max: 2, ..crate::cluster::hasty() };
    let client = cluster.client_with(config);
    let options = Options { deadline_ms: Some(400), ..Options::default() };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (client, options) = (client.clone(), options.clone());
        calls.spawn(async move { client.increment_untagged(&key("k"), 1, &options).await.unwrap_err() });
    }
    let errors = calls.join_all().await;
    let unknown = errors.iter().filter(|error| error.outcome() == Outcome::Unknown).count();
    assert_eq!((unknown, node.calls().len()), (2, 2), "{errors:?}");
    assert_eq!(errors.len(), 5);
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused_before_it_is_sent() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let value = Bytes::from(vec![0; limits::VALUE_BYTES_MAX + 1]);
    let error = cluster.client().put(&key("k"), value, &Options::default()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Invalid { error: RequestError { reason: Reason::ValueTooLarge { .. }, .. } }),
        "{error:?}"
    );
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn a_node_hears_that_a_client_closes() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let client = cluster.client();
    client.increment_untagged(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!(node.open_connections(), 1);
    client.close().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(node.open_connections(), 0);
}
