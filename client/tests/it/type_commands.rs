//! Every type on the command line: what its commands send, and how what comes back is shown.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;
use starling::ids::NodeId;
use starling::message::client::{
    AnswerBody, CallBody, CollectionKind, Command, ElementChange, ObservedReply, Response, ValueReply, Visible,
};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{FakeNode, Reaction, commands};
use crate::program::{starling, stderr, stdout, stdout_json};
use crate::types::{changes, collection, of, score, two_steps};

#[tokio::test]
async fn every_command_says_what_it_means() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), two_steps);
    let bundle = cluster.bundle();
    let (add, remove) = (ElementChange::Add, ElementChange::Remove);
    let (set, map, zset) = (CollectionKind::Set, CollectionKind::Map, CollectionKind::SortedSet);
    let overwrite = |to| Command::Overwrite { context: Bytes::from("what was seen"), to };
    let cases = [
        (vec!["set", "add", "k", "x", "y"], of(set, changes(&[("x", add.clone()), ("y", add)]))),
        (vec!["set", "rem", "k", "x"], of(set, changes(&[("x", remove.clone())]))),
        (vec!["map", "put", "k", "f", "-5"], of(map, changes(&[("f", ElementChange::Put(Bytes::from("-5")))]))),
        (vec!["map", "incr", "k", "f"], of(map, changes(&[("f", ElementChange::Increment(1))]))),
        (vec!["map", "incr", "k", "f", "-5"], of(map, changes(&[("f", ElementChange::Increment(-5))]))),
        (vec!["map", "rem", "k", "f"], of(map, changes(&[("f", remove.clone())]))),
        (vec!["zset", "add", "k", "-1.5", "m"], of(zset, changes(&[("m", ElementChange::Score((-1.5f64).to_bits()))]))),
        (vec!["zset", "incr", "k", "2", "m"], of(zset, changes(&[("m", ElementChange::AddToScore(2f64.to_bits()))]))),
        (vec!["zset", "rem", "k", "m"], of(zset, changes(&[("m", remove)]))),
        (vec!["set", "add", "k", "-5"], of(set, changes(&[("-5", ElementChange::Add)]))),
        (vec!["zset", "rem", "k", "-5"], of(zset, changes(&[("-5", ElementChange::Remove)]))),
        (vec!["map", "incr", "k", "-5", "-5"], of(map, changes(&[("-5", ElementChange::Increment(-5))]))),
        (vec!["sketch", "add", "k", "-5"], Command::AddToSketch { items: vec![Bytes::from("-5")] }),
        (vec!["flag", "raise", "k"], Command::SetFlag { on: true }),
        (vec!["flag", "lower", "k"], Command::SetFlag { on: false }),
        (vec!["sketch", "add", "k", "x"], Command::AddToSketch { items: vec![Bytes::from("x")] }),
        (vec!["persist", "k"], Command::Expire { deadline: None }),
        (vec!["put", "--sibling", "k", "v"], Command::PutSibling { value: Bytes::from("v"), context: None }),
        (
            vec!["put", "--context", "00ff", "k", "v"],
            Command::PutSibling { value: Bytes::from("v"), context: Some(Bytes::from_static(b"\x00\xff")) },
        ),
        (vec!["reset", "k"], overwrite(None)),
        (vec!["set-to", "k", "-12"], overwrite(Some(-12))),
    ];
    for (arguments, command) in cases {
        let output = starling(&bundle, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        let sent = commands(&node);
        assert_eq!(sent.iter().rev().find(|command| command.is_write()), Some(&command), "{arguments:?}");
    }
    assert_eq!(starling(&bundle, &["expire", "k", "10s"]).await.status.code(), Some(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let Some(Command::Expire { deadline: Some(deadline) }) = commands(&node).pop() else { panic!() };
    assert!((now..now + 11_000_000).contains(&deadline.0), "{deadline:?}");
}

#[tokio::test]
async fn collections_are_shown_as_lines_and_as_json() {
    let mut cluster = TestCluster::new(3);
    let elements = vec![("a", Visible::Member), ("b", Visible::Member), ("c", Visible::Member)];
    let order = cluster.preference(&key("s"));
    let _node = FakeNode::start(&mut cluster, order[0], collection(elements));
    let bundle = cluster.bundle();
    assert_eq!(stdout(&starling(&bundle, &["set", "list", "s"]).await), "a\nb\nc\n");
    assert_eq!(stdout(&starling(&bundle, &["set", "list", "s", "--limit", "1"]).await), "a\n");
    assert_eq!(stdout(&starling(&bundle, &["set", "has", "s", "b"]).await), "true\n");
    assert_eq!(stdout(&starling(&bundle, &["set", "has", "s", "x"]).await), "false\n");
    assert_eq!(stdout(&starling(&bundle, &["set", "size", "s"]).await), "3\n");
    let shown = stdout_json(&starling(&bundle, &["--json", "set", "list", "s"]).await);
    let members = json!([{ "member": "a" }, { "member": "b" }, { "member": "c" }]);
    assert_eq!(shown, json!({ "key": "s", "elements": members, "partial": false }));
}

#[tokio::test]
async fn fields_and_scores_are_shown() {
    let mut cluster = TestCluster::new(1);
    let fields =
        vec![("age", Visible::Integer { value: 7, saturated: false }), ("name", Visible::Text(Bytes::from("Ann")))];
    let _node = FakeNode::start(&mut cluster, NodeId(1), collection(fields));
    let bundle = cluster.bundle();
    assert_eq!(stdout(&starling(&bundle, &["map", "list", "m"]).await), "age\t7\nname\tAnn\n");
    assert_eq!(stdout(&starling(&bundle, &["map", "get", "m", "name"]).await), "Ann\n");
    let output = starling(&bundle, &["map", "get", "m", "city"]).await;
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), "(nothing)\n".into()));
    let shown = stdout_json(&starling(&bundle, &["--json", "map", "get", "m", "name", "age"]).await);
    assert_eq!(shown["elements"], json!([{ "field": "age", "value": 7 }, { "field": "name", "value": "Ann" }]));

    let mut cluster = TestCluster::new(1);
    let members = vec![("ann", score(1.0)), ("bob", score(30.0)), ("eve", score(-2.5))];
    let _node = FakeNode::start(&mut cluster, NodeId(1), collection(members));
    let bundle = cluster.bundle();
    assert_eq!(stdout(&starling(&bundle, &["zset", "top", "z", "2"]).await), "30\tbob\n1\tann\n");
    assert_eq!(stdout(&starling(&bundle, &["zset", "score", "z", "eve"]).await), "-2.5\n");
    assert_eq!(stdout(&starling(&bundle, &["zset", "list", "z", "--limit", "1"]).await), "1\tann\n");
    let output = starling(&bundle, &["zset", "add", "z", "nan", "ann"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test]
async fn a_field_in_conflict_says_so() {
    let mut cluster = TestCluster::new(1);
    let fields = ["plain", "torn"].map(|name| (name, Visible::Text(Bytes::from("text")))).to_vec();
    let _node = FakeNode::start(&mut cluster, NodeId(1), collection(fields));
    let bundle = cluster.bundle();
    let json = json!([{ "field": "plain", "value": "text" }, { "field": "torn", "value": "text", "conflict": true }]);
    for arguments in [&["map", "list", "m"][..], &["map", "get", "m", "plain", "torn"]] {
        let output = starling(&bundle, arguments).await;
        assert_eq!(stdout(&output), "plain\ttext\ntorn\ttext\n");
        assert_eq!(stderr(&output).matches("conflict in torn: ").count(), 1, "{output:?}");
        assert!(!stderr(&output).contains("conflict in plain"), "{output:?}");
        let shown = stdout_json(&starling(&bundle, &[&["--json"], arguments].concat()).await);
        assert_eq!(shown["elements"], json);
    }
}

#[tokio::test]
async fn flags_and_sketches_are_read_as_what_they_are() {
    for (shown, arguments, text) in [
        (Visible::Flag, ["flag", "get", "k"], "raised\n"),
        (Visible::Nothing, ["flag", "get", "k"], "lowered\n"),
        (Visible::Estimate(1234), ["sketch", "count", "k"], "1234\n"),
        (Visible::Nothing, ["sketch", "count", "k"], "0\n"),
    ] {
        let mut cluster = TestCluster::new(1);
        let _node = FakeNode::start(&mut cluster, NodeId(1), shows(shown));
        assert_eq!(stdout(&starling(&cluster.bundle(), &arguments).await), text);
    }
}

#[tokio::test]
async fn who_reads_a_key_as_another_type_is_told_the_command_that_reads_it() {
    let of = |kind| Visible::Collection { kind, size: 3 };
    for (shown, text) in [
        (Visible::Integer { value: 7, saturated: false }, "the key holds a number; read it with `starling get`"),
        (Visible::Siblings(vec![]), "the key holds siblings; read it with `starling get --siblings`"),
        (Visible::Estimate(3), "the key holds a sketch; read it with `starling sketch count`"),
        (of(CollectionKind::Set), "the key holds a set; read it with `starling set list`"),
        (of(CollectionKind::Map), "the key holds a map; read it with `starling map list`"),
        (of(CollectionKind::SortedSet), "the key holds a sorted set; read it with `starling zset list`"),
    ] {
        let mut cluster = TestCluster::new(1);
        let _node = FakeNode::start(&mut cluster, NodeId(1), shows(shown));
        let output = starling(&cluster.bundle(), &["flag", "get", "k"]).await;
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stderr(&output), format!("error: {text}\n"));
        let output = starling(&cluster.bundle(), &["--json", "flag", "get", "k"]).await;
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["reason"], json!("wrong_type"), "{error}");
    }
}

#[tokio::test]
async fn an_increment_of_a_field_or_a_score_prints_the_new_number() {
    let mut cluster = TestCluster::new(1);
    let fields = vec![("age", Visible::Integer { value: 7, saturated: false }), ("ann", score(2.5))];
    let _node = FakeNode::start(&mut cluster, NodeId(1), collection(fields));
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["map", "incr", "m", "age"]).await;
    assert_eq!(stdout(&output), "7\n");
    assert!(stderr(&output).contains("held by a"), "{output:?}");
    assert_eq!(stdout_json(&starling(&bundle, &["--json", "map", "incr", "m", "age"]).await)["value"], json!(7));
    assert_eq!(stdout(&starling(&bundle, &["zset", "incr", "z", "1", "ann"]).await), "2.5\n");
    assert_eq!(
        stdout_json(&starling(&bundle, &["--json", "zset", "incr", "z", "1", "ann"]).await)["value"],
        json!(2.5)
    );
}

#[tokio::test]
async fn who_reads_a_conflict_is_told_what_covers_it() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), |_| {
        let reply = ValueReply {
            value: Visible::Text(Bytes::from("x")),
            partial: false,
            conflict: true,
            answered: vec![NodeId(1)],
            stale_ms: Some(0),
            token: None,
        };
        Reaction::Answer(AnswerBody::Key(Response::Value(reply)))
    });
    let output = starling(&cluster.bundle(), &["get", "k"]).await;
    assert!(stderr(&output).contains("del covers all of them"), "{output:?}");
    assert!(!stderr(&output).contains("next put"), "{output:?}");
}

fn shows(value: Visible) -> impl Fn(&CallBody) -> Reaction + Send + Sync {
    move |_| {
        let reply = ValueReply {
            value: value.clone(),
            partial: false,
            conflict: false,
            answered: vec![NodeId(1)],
            stale_ms: Some(1500),
            token: None,
        };
        Reaction::Answer(AnswerBody::Key(Response::Value(reply)))
    }
}

#[tokio::test]
async fn a_read_says_how_old_it_may_be() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), shows(Visible::Text(Bytes::from("x"))));
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["get", "k"]).await;
    assert!(stderr(&output).contains("at most 1.5 s old"), "{output:?}");
    assert_eq!(stdout_json(&starling(&bundle, &["--json", "get", "k"]).await)["stale_ms"], json!(1500));
}

#[tokio::test]
async fn siblings_are_shown_with_the_context_that_replaces_them() {
    let mut cluster = TestCluster::new(1);
    let observed = ObservedReply {
        value: Visible::Siblings(vec![Bytes::from("milk"), Bytes::from_static(b"\xff")]),
        context: Bytes::from_static(b"\x01\xab"),
        partial: false,
        token: None,
    };
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |_| {
        Reaction::Answer(AnswerBody::Key(Response::Observed(observed.clone())))
    });
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["get", "--siblings", "cart"]).await;
    assert_eq!(output.stdout, b"milk\n\xff\n");
    assert_eq!(stderr(&output), "context 01ab\n");
    let shown = stdout_json(&starling(&bundle, &["--json", "get", "--siblings", "cart"]).await);
    assert_eq!(shown["siblings"], json!([{ "value": "milk" }, { "value": null, "value_hex": "ff" }]));
    assert_eq!(shown["context"], json!("01ab"));
}
