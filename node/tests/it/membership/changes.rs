//! Members join, leave and are replaced, also while every node is restarted in turn.

use std::time::{Duration, Instant};

use starling::membership::Change;

use super::{FLAGS, Load, candidate, check_counts, commit, id, patient, steady, told};
use crate::cluster::{Cluster, Node, check_refused, settle};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_leave_under_load() {
    let mut cluster = Cluster::found("shop", &["a", "b", "c", "d"], &["--partitions", "32"]);
    let mut nodes: Vec<Node> = ["a", "b", "c", "d"].iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let load = Load::begin(&cluster);
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.issue("e");
    nodes.push(cluster.start("e", &FLAGS));
    let begun = Instant::now();
    let (b, leaver) = (id(&admin, "b"), id(&admin, "a"));
    let joiner = candidate(&admin, b, "e").await;
    commit(&admin, b, vec![Change::Join(joiner), Change::Leave(leaver)]).await;
    steady(&admin, b, 5).await;
    let took = begun.elapsed();
    let left = tokio::task::block_in_place(|| nodes[0].wait());
    assert_eq!(left.code(), Some(12), "a has left: {}", nodes[0].log());
    check_refused(&cluster.command("a", &FLAGS).output().unwrap(), 12, &["left the cluster"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tallies = load.end().await;
    told("join_leave_under_load: one joins, one leaves", &tallies, took);
    let client = cluster.client();
    client.refresh(&patient()).await.unwrap();
    let names: Vec<String> = client.ring().layout().members.iter().map(|member| member.name.clone()).collect();
    assert_eq!(names, ["b", "c", "d", "e"]);
    check_counts(&client, &tallies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restart() {
    let names = ["a", "b", "c", "d"];
    let mut cluster = Cluster::found("shop", &names, &["--partitions", "32"]);
    let mut nodes: Vec<Option<Node>> = names.iter().map(|name| Some(cluster.start(name, &FLAGS))).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let load = Load::begin(&cluster);
    cluster.issue("e");
    let _joiner = cluster.start("e", &FLAGS);
    let begun = Instant::now();
    let a = id(&admin, "a");
    let joiner = candidate(&admin, a, "e").await;
    commit(&admin, a, vec![Change::Join(joiner)]).await;
    // Each in turn, while data moves.
    for (name, node) in names.iter().zip(&mut nodes) {
        tokio::task::block_in_place(|| {
            node.take().unwrap().stop();
            *node = Some(cluster.start(name, &FLAGS));
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    steady(&admin, a, 5).await;
    let took = begun.elapsed();
    let tallies = load.end().await;
    told("rolling_restart: one joins while the others are restarted", &tallies, took);
    check_counts(&admin, &tallies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replace_dead_node() {
    let mut cluster = Cluster::found("shop", &["a", "b", "c", "d"], &["--partitions", "32"]);
    let mut nodes: Vec<Node> = ["a", "b", "c", "d"].iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let load = Load::begin(&cluster);
    tokio::time::sleep(Duration::from_secs(1)).await;
    nodes.pop().unwrap().kill();
    cluster.issue("e");
    let _new = cluster.start("e", &FLAGS);
    let begun = Instant::now();
    let (a, dead) = (id(&admin, "a"), id(&admin, "d"));
    let new = candidate(&admin, a, "e").await;
    commit(&admin, a, vec![Change::Replace { old: dead, new, is_dead: true }]).await;
    steady(&admin, a, 5).await;
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tallies = load.end().await;
    told("replace_dead_node: the new one has what the dead one had", &tallies, took);
    check_counts(&admin, &tallies).await;

    // The dead one comes back with its directory, and learns that it was declared lost.
    let mut back = Node::spawn(cluster.command("d", &FLAGS), &cluster.place.path().join("d.log"));
    let ended = tokio::task::block_in_place(|| back.wait());
    assert_eq!(ended.code(), Some(11), "{}", back.log());
    // Its directory knows now.
    check_refused(&cluster.command("d", &FLAGS).output().unwrap(), 11, &["declared lost", "issue-member"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_drained_ends_when_it_leaves() {
    let names = ["a", "b", "c", "d"];
    let cluster = Cluster::found("shop", &names, &["--partitions", "32"]);
    let mut nodes: Vec<Node> = names.iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let (a, d) = (id(&admin, "a"), id(&admin, "d"));
    let begun = Instant::now();
    commit(&admin, a, vec![Change::Weight { node: d, weight: 0 }]).await;
    steady(&admin, a, 5).await;
    // Nothing is to move any more, so it is gone at once.
    commit(&admin, a, vec![Change::Leave(d)]).await;
    steady(&admin, a, 6).await;
    println!("drained, and left: {:.1} s", begun.elapsed().as_secs_f64());
    let left = tokio::task::block_in_place(|| nodes[3].wait());
    assert_eq!(left.code(), Some(12), "{}", nodes[3].log());
}
