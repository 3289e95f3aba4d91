//! A client whose bundle is older than the cluster's layout: it hears of the newer one, fetches it, and goes by it.

use std::time::{Duration, Instant};

use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::{
    AnswerBody, CallBody, NodeAnswer, NodeCall, Options, Outcome, Reason, RequestError, Response,
};
use starling_client::Client;

use crate::cluster::{TestCluster, key};
use crate::fake_node::{FakeNode, Reaction, obliging};
use crate::program::{starling, stderr};

/// The next layout: the last member has gone.
fn next(layout: &Layout) -> Layout {
    let mut next = layout.clone();
    next.members.pop();
    next.epoch.parent = next.epoch.content;
    next.epoch.number += 1;
    next.seal().unwrap()
}

fn telling(layout: Layout) -> impl Fn(&CallBody) -> Reaction + Send + Sync + 'static {
    move |body| match body {
        CallBody::Node(NodeCall::Layout) => {
            Reaction::Answer(AnswerBody::Node(NodeAnswer::Layout(Box::new(layout.clone()))))
        }
        other => obliging(other),
    }
}

async fn until_it_goes_by(client: &Client, number: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while client.ring().epoch().number != number {
        assert!(Instant::now() < deadline, "the client goes on with layout {}", client.ring().epoch().number);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn fetches(nodes: &[FakeNode]) -> usize {
    let calls = nodes.iter().flat_map(FakeNode::calls);
    calls.filter(|call| *call == CallBody::Node(NodeCall::Layout)).count()
}

#[tokio::test]
async fn a_layout_that_a_greeting_names_is_fetched_once_and_calls_go_by_it() {
    let mut cluster = TestCluster::new(4);
    let client = cluster.client();
    cluster.layout = next(&cluster.layout);
    let layout = cluster.layout.clone();
    let nodes: Vec<FakeNode> =
        (1..=3).map(|id| FakeNode::start(&mut cluster, NodeId(id), telling(layout.clone()))).collect();
    assert_eq!(client.ring().epoch().number, 1);
    // No call waits for the layout.
    client.increment_untagged(&key("likes"), 1, &Options::default()).await.unwrap();
    until_it_goes_by(&client, 2).await;
    assert!(client.node_named("d").is_err(), "it has gone");
    for name in ["one", "two", "three", "four", "five"] {
        client.increment_untagged(&key(name), 1, &Options::default()).await.unwrap();
    }
    assert_eq!(fetches(&nodes), 1);
    client.catch_up(&Options::default()).await.unwrap();
    assert_eq!(fetches(&nodes), 1, "nobody names a newer one");
}

#[tokio::test]
async fn a_node_that_refuses_for_an_old_layout_is_asked_for_its_own() {
    let mut cluster = TestCluster::new(4);
    let client = cluster.client();
    let newer = next(&cluster.layout);
    let (likes, mut nodes) = (key("likes"), Vec::new());
    for node in cluster.preference(&likes) {
        let (tells, is_first) = (telling(newer.clone()), nodes.is_empty());
        nodes.push(FakeNode::start(&mut cluster, node, move |body| match body {
            CallBody::Key(_) if is_first => {
                let reason = Reason::StaleLayout { have: 2 };
                let error = RequestError { outcome: Outcome::NotApplied, reason };
                Reaction::Answer(AnswerBody::Key(Response::Failed(error)))
            }
            other => tells(other),
        }));
    }
    client.increment_untagged(&likes, 1, &Options::default()).await.unwrap();
    until_it_goes_by(&client, 2).await;
    assert_eq!((fetches(&nodes), fetches(&nodes[..1])), (1, 1));
}

#[tokio::test]
async fn a_layout_of_another_cluster_is_none() {
    let mut cluster = TestCluster::new(3);
    let client = cluster.client();
    let mut foreign = next(&TestCluster::with_id(starling::ids::ClusterId([9; 16]), 4).layout);
    foreign.epoch.number = 7;
    let foreign = foreign.seal().unwrap();
    let _node = FakeNode::start(&mut cluster, NodeId(1), telling(foreign));
    client.refresh(&Options::default()).await.unwrap();
    assert_eq!(client.ring().epoch(), cluster.layout.epoch);
}

#[tokio::test]
async fn a_node_that_is_named_is_found_where_it_has_moved_to() {
    let mut cluster = TestCluster::new(2);
    let present = cluster.layout.members[1].address.clone();
    let mut before = cluster.layout.clone();
    before.members[1].address = "127.0.0.1:9".into();
    cluster.layout = before.seal().unwrap();
    let bundle = cluster.bundle();
    let mut moved = cluster.layout.clone();
    moved.members[1].address = present;
    moved.epoch.parent = moved.epoch.content;
    moved.epoch.number += 1;
    cluster.layout = moved.seal().unwrap();
    let layout = cluster.layout.clone();
    let nodes: Vec<FakeNode> =
        (1..=2).map(|id| FakeNode::start(&mut cluster, NodeId(id), telling(layout.clone()))).collect();
    let output = starling(&bundle, &["--node", "b", "incr", "--no-session", "likes"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(nodes[1].calls().iter().any(|call| matches!(call, CallBody::Key(_))), "b was asked, and no other");
}
