//! `starling fault`: plans for each node, and what is told of nodes that did not take theirs.

use starling::ids::NodeId;
use starling::message::client::{AnswerBody, CallBody, FaultPlan, NodeAnswer, NodeCall, Outcome, Reason, RequestError};

use crate::cluster::TestCluster;
use crate::fake_node::{FakeNode, Reaction};
use crate::program::{starling, stderr, stdout};

#[tokio::test]
async fn a_split_gives_each_named_node_its_plan_and_names_the_others() {
    let mut cluster = TestCluster::new(3);
    let nodes: Vec<_> = (1..=3)
        .map(|id| {
            FakeNode::start(&mut cluster, NodeId(id), |_| Reaction::Answer(AnswerBody::Node(NodeAnswer::FaultsSet)))
        })
        .collect();
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["fault", "split", "a/c", "--for", "5s"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("in no side, left as they are: b"), "{output:?}");
    let plan = |node: &FakeNode| match node.calls().last().cloned() {
        Some(CallBody::Node(NodeCall::SetFaults(plan))) => Some(plan),
        _ => None,
    };
    assert_eq!(plan(&nodes[0]).unwrap().links[0].peer, NodeId(3));
    assert_eq!(plan(&nodes[0]).unwrap().for_ms, 5000);
    assert_eq!(plan(&nodes[1]), None);
    assert_eq!(starling(&bundle, &["fault", "heal"]).await.status.code(), Some(0));
    assert!(nodes.iter().all(|node| plan(node) == Some(FaultPlan::default())));
}

#[tokio::test]
async fn a_split_that_cannot_reach_everyone_says_whom_and_what_ends_it() {
    let mut cluster = TestCluster::new(2);
    let _node = FakeNode::start(&mut cluster, NodeId(1), |_| Reaction::Answer(AnswerBody::Node(NodeAnswer::FaultsSet)));
    let output = starling(&cluster.bundle(), &["fault", "split", "a/b"]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let text = stderr(&output);
    assert!(text.contains("could not reach b") && text.contains("timer"), "{text}");
}

#[tokio::test]
async fn a_node_without_drills_refuses_faults_as_not_applied() {
    let mut cluster = TestCluster::new(2);
    let forbidden =
        RequestError { outcome: Outcome::NotApplied, reason: Reason::Forbidden("start the node with --drills".into()) };
    let _nodes: Vec<_> = (1..=2)
        .map(|id| {
            let error = forbidden.clone();
            FakeNode::start(&mut cluster, NodeId(id), move |_| {
                Reaction::Answer(AnswerBody::Node(NodeAnswer::Failed(error.clone())))
            })
        })
        .collect();
    let output = starling(&cluster.bundle(), &["fault", "heal"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("--drills"), "{output:?}");
}
