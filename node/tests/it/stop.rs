//! Ends of a node: asked for, forced, and started again.

use std::time::{Duration, Instant};

use starling::ids::Key;
use starling::message::client::Options;

use crate::cluster::{Cluster, Node, settle};

/// Three nodes, of which only the first is awake, with a write under way that cannot end: it needs two.
async fn stuck_write(flags: &[&str]) -> (Cluster, [Node; 3]) {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let nodes = ["a", "b", "c"].map(|name| cluster.start(name, flags));
    let client = cluster.client();
    settle(&client).await;
    for node in &nodes[1..] {
        node.signal("STOP");
    }
    let a = client.on(client.node_named("a").unwrap());
    let patient = Options { deadline_ms: Some(60_000), ..Options::default() };
    let key = Key::new("likes").unwrap();
    tokio::spawn(async move { a.increment_untagged(&key, 1, &patient).await });
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = client.status(client.node_named("a").unwrap(), &Options::default()).await;
        if status.is_ok_and(|status| status.shards.open_ops > 0) {
            return (cluster, nodes);
        }
        assert!(Instant::now() < deadline, "the write never began");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_ever() {
    let (_cluster, [mut a, _b, _c]) = stuck_write(&["--suspect-after", "60s", "--stop-timeout", "1s"]).await;
    let started = Instant::now();
    a.signal("TERM");
    let status = tokio::task::block_in_place(|| a.wait());
    assert_eq!(status.code(), Some(0), "{}", a.log());
    assert!(started.elapsed() >= Duration::from_secs(1), "the open request got no time");
    assert!(a.log().contains("open requests are left"), "{}", a.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_does_not_wait_at_all() {
    let (_cluster, [mut a, _b, _c]) = stuck_write(&["--suspect-after", "60s", "--stop-timeout", "60s"]).await;
    a.signal("TERM");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !a.log().contains("stopping") {
        assert!(Instant::now() < deadline, "the first signal was not heard");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    a.signal("INT");
    let status = tokio::task::block_in_place(|| a.wait());
    assert_eq!(status.code(), Some(9), "{}", a.log());
}

#[test]
fn sigterm_and_sigint_end_a_node_cleanly() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    for signal in ["TERM", "INT"] {
        let mut node = cluster.start("a", &[]);
        node.signal(signal);
        assert_eq!(node.wait().code(), Some(0), "{signal}:\n{}", node.log());
        assert!(node.log().lines().any(|line| line.contains("stopped")), "{}", node.log());
    }
}

#[test]
fn a_killed_node_starts_again_under_a_new_epoch() {
    let cluster = Cluster::found("shop", &["a"], &["--replicas", "1"]);
    cluster.start("a", &[]).kill();
    cluster.start("a", &[]).kill();
    let node = cluster.start("a", &[]);
    let log = node.log();
    let epochs: Vec<&str> = log.split("epoch=").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    assert_eq!(epochs.len(), 3, "{log}");
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != epochs[2], "{epochs:?}");
    assert!(log.contains("start=3"), "{log}");
    node.stop();
}
