//! The `starling` program: what it accepts, what it prints where, and its exit codes.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use serde_json::{Value, json};
use starling::causality::{ActorId, Dot, Epoch, Tenure, Tick, VersionVector};
use starling::ids::{NodeId, PartitionId};
use starling::membership::principal::Role;
use starling::message::client::{
    AnswerBody, CallBody, Command, FaultPlan, NodeAnswer, NodeCall, Outcome, Reason, ReplicaView, RequestError,
    Response, Visible,
};

use starling::message::client::{Need, PartitionStability, Waiting};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{Counters, FakeNode, Reaction, commands, events, obliging, refused, status, value};
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
    assert_eq!(output.status.code(), Some(4), "its turn did not come: {output:?}");
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
async fn usage_errors_have_code_2_and_send_nothing() {
    let mut cluster = TestCluster::new(2);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let long_key = "k".repeat(65_536);
    for arguments in [
        vec!["incr"],
        vec!["incr", "k", "many"],
        vec!["incr", "k", "99999999999999999999"],
        vec!["decr", "k", "-9223372036854775808"],
        vec!["incr", &long_key],
        vec!["--deadline", "5", "get", "k"],
        vec!["--node", "zebra", "get", "k"],
        vec!["--r", "300", "get", "k"],
        vec!["--bundle", "/nowhere", "get", "k"],
        vec!["bench", "--keys", "0"],
        vec!["bench", "--write-ratio", "2"],
        vec!["bench", "--pid", "4294967295"],
        vec!["fault", "split", "a"],
        vec!["fault", "split", "a/b", "--for", "11m"],
        vec!["fault", "split", "a/b", "--delay", "61s"],
        vec!["fly"],
    ] {
        let output = starling(&bundle, &arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
        let json = starling(&bundle, &[vec!["--json"], arguments.clone()].concat()).await;
        let error: Value = serde_json::from_slice(&json.stderr).unwrap_or_else(|error| panic!("{error}: {json:?}"));
        assert_eq!((&error["error"]["exit_code"], &error["error"]["kind"]), (&json!(2), &json!("usage")));
    }
    assert!(node.calls().is_empty());
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

fn actor(epoch: u64) -> ActorId {
    ActorId { expires: Tick(5), epoch: Epoch(epoch), tenure: Tenure(0) }
}

/// A node whose row has seen so many events of actor 1 and of actor 2.
fn replica(id: u64, events: [u64; 2]) -> impl Fn(&CallBody) -> Reaction + Send + Sync + 'static {
    move |body| match body {
        CallBody::Key(request) if request.command == Command::Inspect => {
            let mut seen = VersionVector::default();
            for (epoch, event) in [1, 2].into_iter().zip(events) {
                seen.observe(Dot { actor: actor(epoch), event });
            }
            let sum = (events[0] + events[1]) as i64;
            Reaction::Answer(AnswerBody::Key(Response::Inspected(ReplicaView {
                node: NodeId(id),
                is_owner: true,
                is_newborn: false,
                value: Visible::Integer { value: sum, saturated: false },
                counter: sum.to_string(),
                seen,
                owes: Vec::new(),
                state_hash: format!("{events:?}"),
                compared_elements: 0,
                leaves_out_elements: false,
                compacted: Tick(0),
                folded: Tick(0),
            })))
        }
        CallBody::Node(NodeCall::Status) => {
            Reaction::Answer(AnswerBody::Node(NodeAnswer::Status(Box::new(status(id)))))
        }
        other => panic!("nobody asks {other:?} in this test"),
    }
}

#[tokio::test]
async fn compare_shows_what_each_replica_lacks() {
    let mut cluster = TestCluster::new(3);
    let _nodes = [[5, 2], [5, 0], [1, 2]]
        .into_iter()
        .zip(1..)
        .map(|(events, id)| FakeNode::start(&mut cluster, NodeId(id), replica(id, events)))
        .collect::<Vec<_>>();
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["compare", "likes"]).await;
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let text = stdout(&output);
    assert!(text.contains("2 writes of b") && text.contains("4 writes of a"), "{text}");
    assert!(stderr(&output).contains("the owners differ"));
    let shown = stdout_json(&starling(&bundle, &["--json", "compare", "likes"]).await);
    assert_eq!(shown["verdict"], json!("different"));
    let lacks = |name: &str| {
        let replicas = shown["replicas"].as_array().unwrap();
        replicas.iter().find(|replica| replica["node"] == json!(name)).unwrap()["lacks"].clone()
    };
    assert_eq!((lacks("a"), lacks("b"), lacks("c")), (json!({}), json!({ "b": 2 }), json!({ "a": 4 })));
}

#[tokio::test]
async fn compare_says_when_the_owners_are_equal_or_one_cannot_be_asked() {
    let mut cluster = TestCluster::new(3);
    let mut nodes: Vec<_> = (1..=3).map(|id| FakeNode::start(&mut cluster, NodeId(id), replica(id, [1, 1]))).collect();
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["compare", "likes"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("the owners are equal"));
    nodes.remove(2).stop("stopping");
    let output = starling(&bundle, &["compare", "likes"]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(stdout(&output).contains("UNREACHABLE") && stderr(&output).contains("not asked: c"), "{output:?}");
}

#[tokio::test]
async fn status_shows_every_node_and_marks_the_silent_ones() {
    let mut cluster = TestCluster::new(3);
    let _nodes: Vec<_> = (1..=2).map(|id| FakeNode::start(&mut cluster, NodeId(id), replica(id, [1, 1]))).collect();
    let bundle = cluster.bundle();
    let output = starling(&bundle, &["status"]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let text = stdout(&output);
    for expected in ["UNREACHABLE", "!c", "4 to c", "a does not see c (answered 3.2 s ago)", "0000000000000001"] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours into a pipe");
    let shown = stdout_json(&starling(&bundle, &["--json", "status"]).await);
    assert_eq!(shown["nodes"][0]["sees"], json!(["b"]));
    assert_eq!(shown["nodes"][0]["owes_rows"], json!({ "b": 0, "c": 4 }));
    assert_eq!(shown["nodes"][2]["is_reachable"], json!(false));
}

#[tokio::test]
async fn status_alarms_when_two_processes_claim_to_be_one_member() {
    let mut cluster = TestCluster::new(3);
    let contested = |id: u64| {
        let mut status = status(id);
        if id == 1 {
            status.shards.rival = Some(Epoch(77).to_string());
        }
        for peer in status.shards.peers.iter_mut().filter(|peer| peer.node == NodeId(1)) {
            peer.is_contested = true;
        }
        status.shards.claim_alarms = 2;
        status
    };
    let _nodes: Vec<_> = (1..=2)
        .map(|id| {
            let status = contested(id);
            FakeNode::start(&mut cluster, NodeId(id), move |_| {
                Reaction::Answer(AnswerBody::Node(NodeAnswer::Status(Box::new(status.clone()))))
            })
        })
        .collect();
    let bundle = cluster.bundle();
    let text = stdout(&starling(&bundle, &["status"]).await);
    for expected in [
        "a: ALARM: another live process claims to be a too (this one is start 0000000000000001, the other 000000000000004d)",
        "b: ALARM: it hears two live processes that claim to be a",
        "b: 2 alarms since its start about two processes of one member",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    let shown = stdout_json(&starling(&bundle, &["--json", "status"]).await);
    assert_eq!(shown["nodes"][0]["rival"], json!("000000000000004d"));
    assert_eq!(shown["nodes"][1]["hears_two_of"], json!(["a"]));
}

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

#[tokio::test]
async fn ring_needs_no_node() {
    let cluster = TestCluster::new(5);
    let output = starling(&cluster.bundle(), &["--json", "ring", "foo"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = stdout_json(&output);
    assert_eq!(shown["slot"], json!(12182));
    let names: Vec<String> =
        cluster.preference(&key("foo")).iter().map(|node| cluster.layout.member(*node).unwrap().name.clone()).collect();
    assert_eq!(shown["owners"], json!(names[..3]));
    assert_eq!(shown["fallbacks"], json!(names[3..]));
}

#[tokio::test]
async fn status_says_who_waits_for_whom() {
    let mut cluster = TestCluster::new(2);
    let waiting = |partition, node, need| PartitionStability {
        partition: PartitionId(partition),
        sealed: Tick(9),
        frozen: Tick(8),
        compacted: Tick(7),
        folded: Tick(6),
        newest: Tick(12),
        unsettled_rows: Some(3),
        unsettled_bytes: Some(2000),
        waiting: vec![Waiting { node: NodeId(node), need }],
    };
    let settling = vec![waiting(1, 2, Need::Answer), waiting(4, 2, Need::Answer), waiting(5, 2, Need::Exchange)];
    let _nodes: Vec<_> = (1..=2)
        .map(|id| {
            let settling = if id == 1 { settling.clone() } else { Vec::new() };
            FakeNode::start(&mut cluster, NodeId(id), move |_| {
                let mut told = status(id);
                told.shards.settling_partitions = settling.len() as u32;
                told.shards.settling = settling.clone();
                Reaction::Answer(AnswerBody::Node(NodeAnswer::Status(Box::new(told))))
            })
        })
        .collect();
    let bundle = cluster.bundle();
    let text = stdout(&starling(&bundle, &["status"]).await);
    for expected in [
        "3 (6 KiB)",
        "a cannot settle 2 partitions: waits for b to answer",
        "a cannot settle 1 partition: waits for b to become equal by exchange",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    let shown = stdout_json(&starling(&bundle, &["--json", "status"]).await);
    assert_eq!(shown["nodes"][0]["settling_partitions"], json!(3));
    assert_eq!(shown["nodes"][0]["settling"][0]["waits_for"], json!([{ "node": "b", "need": "answer" }]));
    assert_eq!(shown["nodes"][1]["settling"], json!([]));
}

#[tokio::test]
async fn bench_increments_by_as_many_sessions_as_it_is_told() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let served = counters.clone();
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
    let arguments = ["--json", "bench", "--keys", "1", "--in-flight", "8", "--seconds", "1", "--warm-up", "0"];
    for (option, sessions) in [(vec!["--sessions", "20"], 20), (vec!["--session"], 8)] {
        let prefix = format!("by-{sessions}-sessions:");
        let arguments = [arguments.as_slice(), &["--prefix", &prefix], &option].concat();
        let shown = stdout_json(&starling(&cluster.bundle(), &arguments).await);
        let hot = key(&format!("{prefix}0"));
        assert_eq!((shown["sessions"].as_u64(), counters.sessions(&hot)), (Some(sessions), sessions as usize));
        assert!(shown["classes"]["writes"]["ok"].as_u64().unwrap() <= counters.value(&hot) as u64, "{shown}");
    }
    let conflict = starling(&cluster.bundle(), &["bench", "--session", "--sessions", "3"]).await;
    assert_eq!(conflict.status.code(), Some(2));
}

#[tokio::test]
async fn bench_counts_every_class_of_outcome() {
    let mut cluster = TestCluster::new(1);
    let turn = AtomicI64::new(0);
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        if let CallBody::Node(_) = body {
            return Reaction::Answer(AnswerBody::Node(NodeAnswer::Status(Box::new(status(1)))));
        }
        let outcome = match turn.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => Outcome::NotApplied,
            1 => Outcome::Unknown,
            _ => return obliging(body),
        };
        let error = RequestError { outcome, reason: Reason::Busy { queue: "test".into() } };
        Reaction::Answer(AnswerBody::Key(Response::Failed(error)))
    });
    let pid = std::process::id().to_string();
    let arguments =
        ["--json", "bench", "--keys", "10", "--in-flight", "8", "--seconds", "1", "--warm-up", "0", "--pid", &pid];
    let output = starling(&cluster.bundle(), &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = stdout_json(&output);
    let writes = &shown["classes"]["writes"];
    for class in ["ok", "not_applied", "unknown"] {
        assert!(writes[class].as_u64().unwrap() > 0, "{class}: {shown}");
    }
    assert!(writes["latency_us"]["p99"].as_u64().unwrap() >= writes["latency_us"]["p50"].as_u64().unwrap());
    assert_eq!(shown["syncs"][0]["median_us"], json!(800));
    assert!(shown["cpu_us_per_op"].as_f64().unwrap() > 0.0);
    let counted: u64 = ["ok", "not_applied", "unknown"].iter().map(|class| writes[class].as_u64().unwrap()).sum();
    assert!(counted <= node.calls().len() as u64);
}
