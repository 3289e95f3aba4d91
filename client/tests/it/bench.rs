//! `starling bench`: what it counts.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use starling::ids::NodeId;
use starling::message::client::{AnswerBody, CallBody, NodeAnswer, Outcome, Reason, RequestError, Response};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{Counters, FakeNode, Reaction, obliging, status};
use crate::program::{starling, stdout_json};

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
