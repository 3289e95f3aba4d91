//! Which node takes a call, and what happens when it cannot.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use starling::ids::NodeId;
use starling::message::client::{AnswerBody, Options, Outcome, Reason, RequestError, Response};
use starling_client::{ClientConfig, Error};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{FakeNode, Reaction, obliging};

fn refusing(outcome: Outcome, reason: Reason) -> impl Fn(&starling::message::client::CallBody) -> Reaction {
    move |_| {
        let error = RequestError { outcome, reason: reason.clone() };
        Reaction::Answer(AnswerBody::Key(Response::Failed(error)))
    }
}

#[tokio::test]
async fn the_first_owner_is_asked_while_it_is_there() {
    let mut cluster = TestCluster::new(5);
    let keys = [key("one"), key("two"), key("three"), key("four")];
    let nodes: Vec<_> = (1..=5).map(|id| FakeNode::start(&mut cluster, NodeId(id), obliging)).collect();
    let client = cluster.client();
    for key in &keys {
        client.increment_untagged(key, 1, &Options::default()).await.unwrap();
    }
    for node in &nodes {
        let expected = keys.iter().filter(|key| cluster.preference(key)[0] == node.id).count();
        assert_eq!(node.calls().len(), expected, "{}", node.id);
    }
}

#[tokio::test]
async fn a_pinned_client_asks_nobody_else() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let first = FakeNode::start(&mut cluster, order[0], obliging);
    let last = FakeNode::start(&mut cluster, order[2], obliging);
    let client = cluster.client();
    client.on(order[2]).increment_untagged(&likes, 1, &Options::default()).await.unwrap();
    assert_eq!((first.calls().len(), last.calls().len()), (0, 1));
    let error = client.on(order[1]).increment_untagged(&likes, 1, &Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { tried } if tried.len() == 1), "{error:?}");
    assert_eq!((first.calls().len(), last.calls().len()), (0, 1));
}

#[tokio::test]
async fn nodes_that_are_away_cost_little_and_the_rest_is_tried() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let last = FakeNode::start(&mut cluster, order[2], obliging);
    let client = cluster.client();
    let started = Instant::now();
    client.increment_untagged(&likes, 1, &Options::default()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    // They are known to be away now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    client.increment_untagged(&likes, 1, &Options::default()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
    assert_eq!(last.calls().len(), 2);
}

#[tokio::test]
async fn a_node_whose_last_dial_failed_is_dialled_again_while_calls_go_elsewhere() {
    let mut cluster = TestCluster::new(2);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let second = FakeNode::start(&mut cluster, order[1], obliging);
    let ms = Duration::from_millis;
    // Nearly always the first owner is being dialled.
    let config = ClientConfig {
        dial_stagger: ms(400),
        dial_timeout: ms(600),
        backoff_min: ms(1),
        backoff_max: ms(2),
        ..ClientConfig::default()
    };
    let client = cluster.client_with(config);
    client.increment_untagged(&likes, 1, &Options::default()).await.unwrap();
    tokio::time::sleep(ms(700)).await;
    let calls = 20;
    let started = Instant::now();
    for _ in 0..calls {
        client.increment_untagged(&likes, 1, &Options::default()).await.unwrap();
        tokio::time::sleep(ms(40)).await;
    }
    let waited = started.elapsed().saturating_sub(ms(40) * calls);
    assert!(waited < ms(400), "no call waits for it: {waited:?}");
    assert_eq!(second.calls().len(), calls as usize + 1);
    let first = FakeNode::start(&mut cluster, order[0], obliging);
    let deadline = Instant::now() + ms(10_000);
    while first.calls().is_empty() {
        assert!(Instant::now() < deadline, "it is found again");
        client.increment_untagged(&likes, 1, &Options::default()).await.unwrap();
        tokio::time::sleep(ms(20)).await;
    }
}

#[tokio::test]
async fn when_nobody_can_be_reached_each_node_is_listed_with_its_reason() {
    let cluster = TestCluster::new(2);
    let error = cluster.client().increment_untagged(&key("likes"), 1, &Options::default()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(!error.is_certificate_refused());
    let text = error.to_string();
    assert_eq!(text.matches("it does not answer").count(), 1, "equal reasons stand together: {text}");
    for member in &cluster.layout.members {
        assert!(text.contains(&member.address), "{text}");
    }
}

#[tokio::test]
async fn a_node_that_comes_up_within_the_deadline_is_found() {
    let mut cluster = TestCluster::new(1);
    let client = cluster.client();
    let call = tokio::spawn(async move { client.increment_untagged(&key("k"), 1, &Options::default()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    call.await.unwrap().unwrap();
    assert_eq!(node.calls().len(), 1);
}

#[tokio::test]
async fn a_write_that_was_not_applied_here_is_tried_on_the_next_node() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let first = FakeNode::start(&mut cluster, order[0], refusing(Outcome::NotApplied, Reason::Stopping));
    let second = FakeNode::start(&mut cluster, order[1], obliging);
    cluster.client().increment_untagged(&likes, 1, &Options::default()).await.unwrap();
    assert_eq!((first.calls().len(), second.calls().len()), (1, 1));
}

#[tokio::test]
async fn a_write_whose_node_cannot_tell_is_not_tried_again() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let lost = Reason::CoordinatorLost { node: NodeId(3) };
    let _first = FakeNode::start(&mut cluster, order[0], refusing(Outcome::Unknown, lost));
    let second = FakeNode::start(&mut cluster, order[1], obliging);
    let error = cluster.client().increment_untagged(&likes, 1, &Options::default()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.to_string().contains("unknown: node c was lost"), "{error}");
    assert!(second.calls().is_empty());
}

#[tokio::test]
async fn a_refusal_that_every_node_would_repeat_is_not_tried_again() {
    let mut cluster = TestCluster::new(3);
    let likes = key("likes");
    let order = cluster.preference(&likes);
    let _first = FakeNode::start(&mut cluster, order[0], refusing(Outcome::NotApplied, Reason::NotANumber));
    let second = FakeNode::start(&mut cluster, order[1], obliging);
    let error = cluster.client().increment_untagged(&likes, 1, &Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("not an integer"), "{error}");
    assert!(second.calls().is_empty());
}

#[tokio::test]
async fn when_all_refuse_the_last_refusal_is_told() {
    let mut cluster = TestCluster::new(3);
    let away = Reason::TooFewReachable { needed: 2, reachable: 1, strict: false };
    let nodes: Vec<_> = (1..=3)
        .map(|id| FakeNode::start(&mut cluster, NodeId(id), refusing(Outcome::NotApplied, away.clone())))
        .collect();
    let error = cluster.client().increment_untagged(&key("likes"), 1, &Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("2 nodes needed, 1 reachable"), "{error}");
    assert!(nodes.iter().all(|node| node.calls().len() == 1));
}

#[tokio::test]
async fn a_lost_connection_is_dialled_again() {
    let mut cluster = TestCluster::new(1);
    let is_first = AtomicBool::new(true);
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        if is_first.swap(false, Ordering::Relaxed) { Reaction::Close("restarting") } else { obliging(body) }
    });
    let client = cluster.client();
    assert!(client.get(&key("k"), &Options::default()).await.is_err());
    client.increment_untagged(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!(node.calls().len(), 2);
}

#[tokio::test]
async fn a_node_that_went_away_is_told_as_not_reachable() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let client = cluster.client();
    client.increment_untagged(&key("k"), 1, &Options::default()).await.unwrap();
    node.stop("stopping");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let options = Options { deadline_ms: Some(300), ..Options::default() };
    let error = client.increment_untagged(&key("k"), 1, &options).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert_eq!(node.calls().len(), 1);
}

#[tokio::test]
async fn a_node_that_is_no_member_is_refused_by_name() {
    let cluster = TestCluster::new(2);
    let client = cluster.client();
    let error = client.node_named("zebra").unwrap_err();
    assert!(error.to_string().contains("zebra") && error.to_string().contains("a, b"), "{error}");
    assert!(matches!(client.status(NodeId(9), &Options::default()).await, Err(Error::UnknownNode { .. })));
}

#[tokio::test]
async fn a_host_name_is_dialled_at_whichever_address_answers() {
    let mut cluster = TestCluster::new(1);
    // The node listens on 127.0.0.1 alone; the name may stand for ::1 too.
    cluster.call_hosts_by_name();
    let _node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    cluster.client().increment_untagged(&key("k"), 1, &Options::default()).await.unwrap();
}
