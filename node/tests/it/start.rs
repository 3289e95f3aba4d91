//! Starts that are refused: each with its exit code, a clear message, and nothing changed.

use std::net::UdpSocket;

use crate::cluster::{Cluster, Node, check_refused, starling_node};

#[test]
fn a_node_says_when_it_is_ready_and_with_which_settings_it_runs() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let mut command = cluster.command("a", &["--widen-after", "50ms"]);
    command.env("STARLING_NODE_SHARDS", "2");
    let mut node = Node::spawn(command, &cluster.place.path().join("a.log"));
    assert_eq!(node.wait_until_ready(), format!("starling-node a ready on {}", cluster.address("a")));
    let log = node.log();
    let has = |key: &str, origin: &str| {
        log.lines().any(|line| line.trim().starts_with(key) && line.ends_with(&format!("({origin})")))
    };
    assert!(has("widen_after = 50ms", "flag --widen-after"), "{log}");
    assert!(has("shards = 2", "environment STARLING_NODE_SHARDS"), "{log}");
    assert!(has("durability = fsync", "default"), "{log}");
    node.stop();
}

#[test]
fn json_logs_are_json_in_every_line() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let mut node = cluster.start("a", &["--log-format", "json"]);
    node.signal("TERM");
    assert_eq!(node.wait().code(), Some(0));
    let log = node.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let started = lines.iter().find(|line| line["message"] == "node started").unwrap();
    assert_eq!((started["node"].as_str(), started["id"].as_str()), (Some("a"), Some("n1")));
    assert_eq!(started["epoch"].as_str().map(str::len), Some(16));
    let settings = lines.iter().find(|line| line["message"] == "settings in force").unwrap();
    assert!(settings["settings"].as_str().unwrap().contains("log_format = json (flag --log-format)"), "{settings}");
}

#[test]
fn a_port_in_use_is_named() {
    let cluster = Cluster::found("shop", &["a"], &[]);
    let _taken = UdpSocket::bind(cluster.address("a")).unwrap();
    check_refused(&cluster.command("a", &[]).output().unwrap(), 6, &[cluster.address("a"), "in use"]);
}

#[test]
fn a_directory_of_another_cluster_is_refused() {
    let shop = Cluster::found("shop", &["a"], &[]);
    let bank = Cluster::found("bank", &["a"], &[]);
    shop.start("a", &[]).stop();
    let data = shop.data("a");
    let mut command = starling_node();
    let output = command.arg("run").arg("--bundle").arg(bank.bundle("a")).arg("--data").arg(&data).output().unwrap();
    check_refused(&output, 5, &["belongs to cluster", data.to_str().unwrap()]);
    shop.start("a", &[]).stop();
}

#[test]
fn a_directory_of_another_member_is_refused() {
    let cluster = Cluster::found("shop", &["a", "b"], &[]);
    cluster.start("a", &[]).stop();
    let mut command = starling_node();
    let output =
        command.arg("run").arg("--bundle").arg(cluster.bundle("b")).arg("--data").arg(cluster.data("a")).output();
    check_refused(&output.unwrap(), 5, &["belongs to member n1, not to n2"]);
}

#[test]
fn a_directory_in_use_is_refused_and_the_node_on_it_goes_on() {
    let cluster = Cluster::found("shop", &["a"], &[]);
    let node = cluster.start("a", &[]);
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = cluster.command("a", &["--listen", &free]).output().unwrap();
    check_refused(&output, 5, &["in use", cluster.data("a").to_str().unwrap()]);
    node.stop();
}

#[test]
fn a_bundle_that_is_no_members_is_refused() {
    let cluster = Cluster::found("shop", &["a"], &[]);
    for (bundle, words) in [("client", "which is no member"), ("nowhere", "cannot read")] {
        let mut command = starling_node();
        command.arg("run").arg("--bundle").arg(cluster.directory().join(bundle)).arg("--data").arg(cluster.data("a"));
        check_refused(&command.output().unwrap(), 4, &[words]);
    }
    assert!(!cluster.data("a").exists(), "nothing was made");
}
