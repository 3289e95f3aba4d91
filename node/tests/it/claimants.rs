//! A bundle that was copied: two processes run as one member.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use starling::ids::Key;
use starling::message::client::{NodeStatus, Options, Outcome, Reason};
use starling_client::{Client, Error};

use crate::cluster::{Cluster, HEAL_TIMEOUT, Node, settle, starling_node};

async fn status_of(client: &Client, member: &str) -> NodeStatus {
    client.status(client.node_named(member).unwrap(), &Options::default()).await.unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + HEAL_TIMEOUT;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within {HEAL_TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_one_bundle_refuse_writes_until_one_of_them_ends() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let nodes = ["a", "b", "c"].map(|name| cluster.start(name, &["--shards", "2"]));
    let client = cluster.client();
    settle(&client).await;
    let key = Key::new("likes").unwrap();
    let a = client.on(client.node_named("a").unwrap());
    a.increment_untagged(&key, 1, &Options::default()).await.unwrap();

    // The bundle of a, with a directory and a port of its own. Nobody dials it; it dials b and c.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = starling_node();
    command.arg("run").arg("--bundle").arg(cluster.bundle("a"));
    command.arg("--data").arg(cluster.data("a-again")).args(["--listen", &port, "--shards", "3"]);
    let mut again = Node::spawn(command, &cluster.place.path().join("a-again.log"));
    again.wait_until_ready();
    until("the first learns of the second", async || status_of(&client, "a").await.shards.rival.is_some()).await;
    until("the second learns of the first", async || again.log().contains("claim this member id")).await;
    for peer in ["b", "c"] {
        until("the peers show it", async || {
            let status = status_of(&client, peer).await.shards;
            let is_a = client.node_named("a").unwrap();
            status.peers.iter().any(|peer| peer.node == is_a && peer.is_contested) && status.claim_alarms > 0
        })
        .await;
    }
    // Every shard refuses: these keys lie on both.
    for number in 0..8 {
        let key = Key::new(format!("likes:{number}")).unwrap();
        match a.increment_untagged(&key, 1, &Options::default()).await {
            Err(Error::Refused { error, .. }) => {
                assert_eq!(error.outcome, Outcome::NotApplied);
                assert!(matches!(error.reason, Reason::TwoClaimants { .. }), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    a.get(&key, &Options::default()).await.unwrap();
    client.on(client.node_named("b").unwrap()).increment_untagged(&key, 1, &Options::default()).await.unwrap();

    again.kill();
    until("the first is alone again", async || status_of(&client, "a").await.shards.rival.is_none()).await;
    until("and takes writes", async || a.increment_untagged(&key, 1, &Options::default()).await.is_ok()).await;
    for peer in ["b", "c"] {
        until("the peers see one", async || {
            status_of(&client, peer).await.shards.peers.iter().all(|peer| !peer.is_contested)
        })
        .await;
    }
    drop(nodes);
}
