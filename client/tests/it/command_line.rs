//! The `starling` program: what it prints where, its exit codes, and the session that it keeps.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::membership::principal::Role;
use starling::message::client::{CallBody, Command, Outcome, Reason};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{Counters, FakeNode, Reaction, commands, events, obliging, refused, value};
use crate::program::{starling, stderr, stdout, stdout_json};

fn command_of(body: &CallBody) -> Command {
    match body {
        CallBody::Key(request) => request.command.clone(),
        CallBody::Node(_) => panic!("a call about a key was expected"),
    }
}

#[tokio::test]
async fn increments_take_positive_and_negative_amounts_and_one_session() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
    let bundle = cluster.bundle();
    let mut value = 0;
    for (arguments, by) in [
        (vec!["incr", "likes"], 1),
        (vec!["incr", "likes", "10"], 10),
        (vec!["incr", "likes", "-5"], -5),
        (vec!["decr", "likes"], -1),
        (vec!["decr", "likes", "7"], -7),
        (vec!["decr", "likes", "-7"], 7),
    ] {
        value += by;
        let output = starling(&bundle, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(stdout(&output), format!("{value}\n"));
        assert!(stderr(&output).contains("held by a (fsync)"), "{output:?}");
    }
    assert_eq!(starling(&bundle, &["incr", "--", "-odd-", "3"]).await.status.code(), Some(0));
    assert_eq!((counters.value(&key("likes")), counters.value(&key("-odd-"))), (value, 3));
    let sent = events(&node);
    assert!(sent.iter().all(|write| write.actor == sent[0].actor), "{sent:?}");
    assert_eq!(sent.iter().map(|write| write.event).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 1]);
}

#[tokio::test]
async fn an_increment_without_a_session_is_sent_as_it_is() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    assert_eq!(starling(&bundle, &["incr", "--no-session", "k", "4"]).await.status.code(), Some(0));
    assert_eq!(commands(&node), [Command::Increment { by: 4 }]);
    assert!(!bundle.parent().unwrap().join("state").exists());
}

#[tokio::test]
async fn what_a_run_left_without_an_answer_is_told_by_the_next() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let (served, is_answering) = (counters.clone(), Arc::new(AtomicBool::new(false)));
    let answers = is_answering.clone();
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        let reaction = served.serve(body);
        let is_event = matches!(body, CallBody::Key(_));
        if is_event && !answers.load(Ordering::Relaxed) { Reaction::Silence } else { reaction }
    });
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["--json", "--deadline", "300ms", "incr", "k", "5"]).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["reason"], json!("in_doubt"), "{error}");
    let output = starling(&bundle, &["--deadline", "300ms", "decr", "k", "1"]).await;
    assert_eq!(output.status.code(), Some(1), "its turn did not come: {output:?}");
    assert!(stderr(&output).contains("increment of k by 5") && stderr(&output).contains("no answer"), "{output:?}");
    is_answering.store(true, Ordering::Relaxed);
    let output = starling(&bundle, &["--json", "decr", "k", "2"]).await;
    let shown = stdout_json(&output);
    assert_eq!(shown["resumed"], json!([{ "key": "k", "by": "5", "outcome": "applied" }]), "{output:?}");
    assert_eq!((shown["value"].clone(), counters.value(&key("k"))), (json!(3), 3));
    assert!(stdout_json(&starling(&bundle, &["--json", "incr", "k"]).await).get("resumed").is_none());
}

#[tokio::test]
async fn runs_at_the_same_time_share_the_state_directory() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
    let bundle = cluster.bundle();
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let bundle = bundle.clone();
        runs.spawn(async move { starling(&bundle, &["--deadline", "20s", "incr", "k"]).await });
    }
    for output in runs.join_all().await {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert_eq!(counters.value(&key("k")), 8);
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_told_and_nothing_is_sent() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let state = bundle.parent().unwrap().join("state");
    std::fs::write(&state, "a file stands there").unwrap();
    let output = starling(&bundle, &["--json", "incr", "k"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["reason"], json!("state_unusable"), "{error}");
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn options_travel_with_the_request() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let arguments = ["--r", "1", "--w", "3", "--strict", "--deadline", "900ms", "--observe", "local", "del", "likes"];
    assert_eq!(starling(&bundle, &arguments).await.status.code(), Some(0));
    let CallBody::Key(request) = node.calls().remove(0) else { panic!() };
    let options = request.options;
    assert_eq!((options.r, options.w, options.strict), (Some(1), Some(3), true));
    assert_eq!(options.observe, starling::message::client::Observe::Local);
    assert!((1..=900).contains(&options.deadline_ms.unwrap()));
}

#[tokio::test]
async fn keys_and_values_are_taken_as_bytes_and_values_from_stdin() {
    use std::os::unix::ffi::OsStrExt;
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let odd = OsStr::from_bytes(b"k\xff\n");
    assert_eq!(starling(&bundle, &[OsStr::new("put"), odd, odd]).await.status.code(), Some(0));
    let CallBody::Key(request) = node.calls().remove(0) else { panic!() };
    assert_eq!(request.key.as_bytes(), b"k\xff\n");
    assert_eq!(request.command, Command::Put { value: b"k\xff\n".as_slice().into() });

    for (bytes, code) in [(5, 0), (1024 * 1024, 0), (1024 * 1024 + 1, 2)] {
        let mut process = Process::new(env!("CARGO_BIN_EXE_starling"));
        process.env("STARLING_BUNDLE", &bundle).args(["put", "page", "-"]);
        process.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = tokio::task::spawn_blocking(move || {
            let mut child = process.spawn().unwrap();
            // The program stops reading at the bound.
            let _ = child.stdin.take().unwrap().write_all(&vec![b'x'; bytes]);
            child.wait().unwrap()
        });
        assert_eq!(status.await.unwrap().code(), Some(code), "{bytes}");
    }
    let sizes: Vec<usize> = node.calls()[1..]
        .iter()
        .map(|body| match command_of(body) {
            Command::Put { value } => value.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [5, 1024 * 1024]);
}

#[tokio::test]
async fn values_are_printed_plainly_and_as_json() {
    let mut cluster = TestCluster::new(2);
    let nodes: Vec<_> =
        (1..=2).map(|id| FakeNode::start(&mut cluster, NodeId(id), |_| Reaction::Answer(value(7)))).collect();
    let bundle = cluster.bundle();
    assert_eq!(stdout(&starling(&bundle, &["get", "likes"]).await), "7\n");
    let shown = stdout_json(&starling(&bundle, &["--json", "get", "likes"]).await);
    assert_eq!(
        shown,
        json!({
            "key": "likes", "value": 7, "partial": false, "conflict": false, "stale_ms": null, "answered": ["a", "b"],
        })
    );
    drop(nodes);
}

#[tokio::test]
async fn the_exit_code_says_what_happened_to_the_data() {
    let refuse = |outcome| {
        move |body: &CallBody| match body {
            CallBody::Node(_) => obliging(body),
            CallBody::Key(_) => Reaction::Answer(refused(outcome, Reason::DeadlineExceeded { answered: 1, needed: 2 })),
        }
    };
    let mut not_applied = TestCluster::new(1);
    let _node = FakeNode::start(&mut not_applied, NodeId(1), refuse(Outcome::NotApplied));
    let output = starling(&not_applied.bundle(), &["--json", "incr", "k"]).await;
    assert_eq!(output.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["reason"], json!("deadline_exceeded"));

    let mut unknown = TestCluster::new(1);
    let _node = FakeNode::start(&mut unknown, NodeId(1), refuse(Outcome::Unknown));
    for arguments in [["incr", "k"].as_slice(), &["incr", "--no-session", "k"]] {
        let arguments = [["--deadline", "400ms"].as_slice(), arguments].concat();
        assert_eq!(starling(&unknown.bundle(), &arguments).await.status.code(), Some(3), "{arguments:?}");
    }

    let mut lost = TestCluster::new(1);
    let _node = FakeNode::start(&mut lost, NodeId(1), |body| match body {
        CallBody::Node(_) => obliging(body),
        CallBody::Key(_) => Reaction::Close("out of order"),
    });
    let output = starling(&lost.bundle(), &["--json", "incr", "k"]).await;
    assert_eq!(output.status.code(), Some(3));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], json!("unknown"));
    assert!(error["error"]["message"].as_str().unwrap().contains("out of order"), "{error}");

    let nobody = TestCluster::new(1);
    let output = starling(&nobody.bundle(), &["--deadline", "300ms", "incr", "k"]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");

    let mut closed = TestCluster::new(1);
    let _node = FakeNode::start(&mut closed, NodeId(1), obliging);
    let stranger = TestCluster::new(1).issue(Role::Client("stranger".into()));
    let output = starling(&closed.bundle_of("stranger", &stranger), &["incr", "k"]).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_no_success() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_starling"));
    process.env("STARLING_BUNDLE", &bundle).env("STARLING_STATE_DIR", bundle.parent().unwrap().join("state"));
    process.args(["get", "likes"]).stdin(std::process::Stdio::null()).stdout(full);
    let output = tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
    assert!(stderr(&output).contains("could not be written to stdout"));
}
