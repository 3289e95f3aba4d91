//! Ends of a node: asked for, forced, and started again.

use crate::cluster::Cluster;

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
