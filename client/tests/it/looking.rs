//! `starling compare`, `status` and `ring`: what they show of the cluster.

use serde_json::json;
use starling::causality::{ActorId, Dot, Epoch, Tenure, Tick, VersionVector};
use starling::ids::{NodeId, PartitionId};
use starling::message::client::{
    AnswerBody, CallBody, Command, ConflictStatus, Need, NodeAnswer, NodeCall, Options, PartitionStability,
    ReplicaView, Response, SessionTerms, Visible, Waiting,
};
use starling::time::WallTime;
use starling_client::{Bundle, Client, ClientConfig};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{FakeNode, Reaction, status};
use crate::program::{starling, stderr, stdout, stdout_json};

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
async fn compare_calls_sessions_sessions_and_asks_for_patience_while_owners_settle() {
    let mut cluster = TestCluster::new(3);
    let session = ActorId { expires: Tick(5), epoch: Epoch(9), tenure: Tenure::SESSION };
    let _nodes = (1..=3)
        .map(|id| {
            let plain = replica(id, [1, 1]);
            FakeNode::start(&mut cluster, NodeId(id), move |body| match plain(body) {
                Reaction::Answer(AnswerBody::Key(Response::Inspected(mut view))) => {
                    if id == 1 {
                        view.seen.observe(Dot { actor: session, event: 4 });
                        (view.state_hash, view.compacted) = ("settled".into(), Tick(9));
                    }
                    Reaction::Answer(AnswerBody::Key(Response::Inspected(view)))
                }
                other => other,
            })
        })
        .collect::<Vec<_>>();
    let output = starling(&cluster.bundle(), &["compare", "likes"]).await;
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(stdout(&output).contains("4 writes of sessions"), "{output:?}");
    assert!(stderr(&output).contains("have not settled equally far"), "{output:?}");
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
    for expected in [
        "UNREACHABLE",
        "!c",
        "4 to c",
        "a does not see c (answered 3.2 s ago)",
        "as far as the 2 nodes that answer know: 8 rows not confirmed, the oldest 63 s old (c: 8, 63 s); 50.0 % of their copies",
        "what c alone knows is not in here",
        "0000000000000001",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours into a pipe");
    let shown = stdout_json(&starling(&bundle, &["--json", "status"]).await);
    assert_eq!(shown["nodes"][0]["sees"], json!(["b"]));
    let lag = json!({ "operations": 4, "oldest_ms": 62_000, "compared_ms_ago": 4000, "uncompared_partitions": 0 });
    assert_eq!(shown["nodes"][0]["convergence"]["lag"]["c"], lag);
    let convergence = &shown["convergence"];
    let of_c = json!({ "operations": 8, "oldest_ms": 63_000, "compared_ms_ago": 4000, "uncompared_partitions": 0 });
    assert_eq!((&convergence["peers"]["c"], &convergence["cluster"]), (&of_c, &of_c));
    assert_eq!((&convergence["equal_share"], &convergence["silent"]), (&json!(0.5), &json!(["c"])));
    let client = Client::connect(Bundle::load(&bundle).unwrap(), ClientConfig::default()).unwrap();
    let sum = client.convergence(&Options::default()).await;
    assert_eq!((sum.cluster.operations, sum.cluster.oldest_ms, sum.silent), (8, Some(63_000), vec![NodeId(3)]));
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
    let settling = vec![
        waiting(1, 2, Need::Answer),
        waiting(4, 2, Need::Answer),
        waiting(5, 2, Need::Exchange),
        waiting(6, 2, Need::Seal),
    ];
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
        "4 (8 KiB)",
        "a cannot settle 2 partitions: waits for b to answer",
        "a cannot settle 1 partition: waits for b to become equal by exchange",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert!(!text.contains("to seal"), "a node that has just started has not asked yet:\n{text}");
    let shown = stdout_json(&starling(&bundle, &["--json", "status"]).await);
    assert_eq!(shown["nodes"][0]["settling_partitions"], json!(4));
    assert_eq!(shown["nodes"][0]["settling"][0]["waits_for"], json!([{ "node": "b", "need": "answer" }]));
    assert_eq!(shown["nodes"][1]["settling"], json!([]));
}

#[tokio::test]
async fn status_lists_conflicts_and_says_until_when_writers_are_waited_for() {
    let mut cluster = TestCluster::new(1);
    let mut shown = status(1);
    shown.shards.conflicts = 3;
    let field = |name| (name == "likes").then(|| "visits".into());
    shown.shards.conflicting = ["cart", "likes"]
        .map(|name| ConflictStatus { key: key(name), field: field(name), kind: Default::default(), ms_ago: 5 })
        .to_vec();
    shown.sessions = SessionTerms { tick_us: 10_000_000, lease_ticks_max: 6, wall: WallTime(55_000_000) };
    shown.shards.settling_partitions = 1;
    shown.shards.settling = vec![PartitionStability {
        partition: PartitionId(4),
        sealed: Tick(0),
        frozen: Tick(0),
        compacted: Tick(0),
        folded: Tick(0),
        newest: Tick(11),
        unsettled_rows: None,
        unsettled_bytes: None,
        waiting: Vec::new(),
    }];
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |_| {
        Reaction::Answer(AnswerBody::Node(NodeAnswer::Status(Box::new(shown.clone()))))
    });
    let bundle = cluster.bundle();
    let text = stdout(&starling(&bundle, &["status"]).await);
    for expected in [
        "a: 3 conflicts since its start, last in cart and 1 more",
        "del covers all of it",
        "a: 1 partition waits for time",
        "the last of them in 65 s",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    let node = &stdout_json(&starling(&bundle, &["--json", "status"]).await)["nodes"][0];
    assert_eq!(
        (&node["conflicts"], &node["conflicting"][1]),
        (&json!(3), &json!({ "key": "likes", "field": "visits", "kind": "together", "ms_ago": 5 }))
    );
    assert_eq!(node["settling"][0]["newest_expires_in_s"], json!(65));
}
