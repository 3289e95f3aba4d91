//! `starling cluster show` and `plan`: what they show of the layout that a node tells.

use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::membership::Layout;
use starling::message::client::{AnswerBody, CallBody, NodeAnswer, NodeCall};

use crate::cluster::TestCluster;
use crate::fake_node::{FakeNode, Reaction};
use crate::program::{starling, stderr, stdout, stdout_json};

/// Only the second of the members answers, and tells this layout.
fn teller(cluster: &mut TestCluster, told: Layout) -> FakeNode {
    FakeNode::start(cluster, NodeId(2), move |body| match body {
        CallBody::Node(NodeCall::Layout) => {
            Reaction::Answer(AnswerBody::Node(NodeAnswer::Layout(Box::new(told.clone()))))
        }
        other => panic!("nobody asks {other:?} in this test"),
    })
}

fn member<'a>(shown: &'a Value, name: &str) -> &'a Value {
    shown["members"].as_array().unwrap().iter().find(|member| member["name"] == json!(name)).unwrap()
}

#[tokio::test]
async fn show_tells_the_members_of_the_layout_that_a_node_has() {
    let mut cluster = TestCluster::new(5);
    let mut told = cluster.layout.clone();
    told.members[4].weight = 0;
    told.members[0].zone = "berlin".into();
    told.epoch.number = 2;
    let _node = teller(&mut cluster, told.seal().unwrap());
    let bundle = cluster.bundle();
    let shown = stdout_json(&starling(&bundle, &["--json", "cluster", "show"]).await);
    assert_eq!((&shown["told_by"], &shown["layout"], &shown["phase"]), (&json!("b"), &json!(2), &json!("steady")));
    assert_eq!(member(&shown, "e")["partitions"], json!(0));
    assert_eq!(member(&shown, "a")["fair_share"], json!(192.0));
    let owned: u64 = shown["members"].as_array().unwrap().iter().map(|one| one["partitions"].as_u64().unwrap()).sum();
    assert_eq!(owned, 768);
    let text = stdout(&starling(&bundle, &["cluster", "show"]).await);
    assert!(text.contains("berlin") && text.contains("this bundle has layout 1, b has 2"), "{text}");
}

#[tokio::test]
async fn a_plan_is_a_preview_and_says_so() {
    let mut cluster = TestCluster::new(5);
    let told = cluster.layout.clone();
    let node = teller(&mut cluster, told);
    let bundle = cluster.bundle();
    let join = ["--json", "cluster", "plan", "--join", "f:berlin:1", "--leave", "c"];
    let shown = stdout_json(&starling(&bundle, &join).await);
    assert_eq!((&shown["preview"], &shown["committed"]), (&json!(true), &json!(false)));
    assert_eq!(shown["next"], json!({ "number": 2, "phase": "moving" }));
    assert_eq!((&member(&shown, "f")["what"], &member(&shown, "f")["id"]), (&json!("joins"), &json!(6)));
    assert_eq!(member(&shown, "c")["partitions_then"], json!(0));
    assert_eq!(member(&shown, "f")["takes"], member(&shown, "f")["partitions_then"]);
    assert!(shown["score"].as_f64().unwrap() > 0.8 && shown["balance"].as_f64().unwrap() <= 1.11, "{shown}");
    let text = stdout(&starling(&bundle, &["cluster", "plan", "--replace", "c=g"]).await);
    assert!(text.contains("cannot commit") && text.contains("joins") && text.contains("leaves"), "{text}");
    assert!(node.calls().iter().all(|call| *call == CallBody::Node(NodeCall::Layout)), "nothing else is asked");
}

#[tokio::test]
async fn a_plan_that_cannot_be_is_refused_with_names() {
    let mut cluster = TestCluster::new(3);
    let told = cluster.layout.clone();
    let _node = teller(&mut cluster, told);
    let bundle = cluster.bundle();
    let contradiction = ["cluster", "plan", "--leave", "b", "--weight", "b=2"];
    for (arguments, words) in [
        (&["cluster", "plan"][..], "what is to change?"),
        (&["cluster", "plan", "--leave", "z"], "there is no member \"z\"; there are a, b, c"),
        (&["cluster", "plan", "--leave", "b"], "2 members would carry data, 3 replicas need as many"),
        (&["cluster", "plan", "--weight", "b"], "lacks a ="),
        (&["cluster", "plan", "--weight", "b=x"], "is no weight"),
        (&["cluster", "plan", "--join", "f::x"], "is no weight"),
        (&["cluster", "plan", "--join", "b"], "a member is called \"b\" already"),
        (&contradiction, "two of the changes of b do not go together"),
    ] {
        let output = starling(&bundle, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
}
