//! Losses that an operator declares: a majority of the members, and a zone.

use std::time::{Duration, Instant};

use starling::ids::NodeId;
use starling::membership::Change;
use starling::message::client::{ClusterAnswer, ClusterCall};

use super::{CHANGE_TIMEOUT, FLAGS, Load, Tally, candidate, check_counts, commit, id, patient, steady, told};
use crate::cluster::{Cluster, Node, check_refused, settle};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_after_a_lost_majority_goes_on_with_all_that_it_holds() {
    let names = ["a", "b", "c", "d", "e"];
    // Of every partition one of the two that are left is an owner.
    let mut cluster = Cluster::found(
        "shop",
        &names,
        &["--partitions", "32", "--replicas", "4", "--read-quorum", "2", "--write-quorum", "2"],
    );
    let mut nodes: Vec<Node> = names.iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let load = Load::begin(&cluster);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tallies = load.end().await;
    check_counts(&admin, &tallies).await;
    nodes.drain(2..).for_each(Node::kill);

    let begun = Instant::now();
    let survivors: Vec<NodeId> = ["a", "b"].map(|name| id(&admin, name)).into();
    let recover = |cluster: &str| ClusterCall::Recover { survivors: survivors.clone(), cluster: cluster.to_owned() };
    let unnamed = admin.cluster(survivors[0], recover("bank"), &patient()).await.unwrap_err();
    assert!(unnamed.to_string().contains("nothing was changed"), "{unnamed}");
    let deadline = begun + CHANGE_TIMEOUT;
    let decided = loop {
        match admin.cluster(survivors[0], recover("shop"), &patient()).await {
            Ok(ClusterAnswer::Committed(epoch)) => break epoch,
            // Until the dead are known to be dead.
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    steady(&admin, survivors[0], decided.number).await;
    let took = begun.elapsed();
    told("a lost majority: two of five go on", &tallies, took);
    let layout = admin.ring().layout().clone();
    assert_eq!(layout.fenced.len(), 3, "{layout:?}");
    check_counts(&admin, &tallies).await;

    // Who was lost comes back, and learns that it was declared lost.
    let mut back = Node::spawn(cluster.command("c", &FLAGS), &cluster.place.path().join("c.log"));
    let ended = tokio::task::block_in_place(|| back.wait());
    assert_eq!(ended.code(), Some(11), "{}", back.log());
    check_refused(&cluster.command("c", &FLAGS).output().unwrap(), 11, &["declared lost"]);

    // Two write on, and two others take the places of the lost: every partition has all of its owners again.
    let load = Load::begin(&cluster);
    let begun = Instant::now();
    let mut changes = vec![Change::Leave(id(&admin, "e"))];
    for (old, name) in [("c", "f"), ("d", "g")] {
        cluster.issue(name);
        nodes.push(cluster.start(name, &FLAGS));
        let new = candidate(&admin, survivors[0], name).await;
        changes.push(Change::Replace { old: id(&admin, old), new, is_dead: true });
    }
    commit(&admin, survivors[0], changes).await;
    steady(&admin, survivors[0], decided.number + 4).await;
    let took = begun.elapsed();
    let more = load.end().await;
    told("the places of the lost are taken", &more, took);
    let both: Vec<Tally> = tallies.iter().zip(&more).map(|(first, then)| first.and(then)).collect();
    let ring = admin.ring();
    assert!(ring.partitions().all(|partition| ring.owners(partition).len() == 4), "{:?}", ring.layout());
    check_counts(&admin, &both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_that_is_lost_costs_nothing_that_was_acknowledged() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut options = vec!["--partitions", "32"];
    for zone in ["a=1", "b=1", "c=2", "d=2", "e=3", "f=3"] {
        options.extend(["--zone", zone]);
    }
    let cluster = Cluster::found("shop", &names, &options);
    let mut nodes: Vec<Node> = names.iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let load = Load::begin(&cluster);
    tokio::time::sleep(Duration::from_secs(1)).await;
    nodes.drain(4..).for_each(Node::kill);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let a = id(&admin, "a");
    commit(&admin, a, vec![Change::ZoneLost("3".into())]).await;
    steady(&admin, a, 5).await;
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tallies = load.end().await;
    told("a lost zone: the two others take over its share", &tallies, took);
    let ring = admin.ring();
    assert_eq!((ring.layout().members.len(), ring.layout().fenced.len()), (4, 2));
    assert!(ring.layout().fenced.iter().all(|fenced| fenced.declared_lost.is_empty()), "{:?}", ring.layout().fenced);
    assert!(ring.partitions().all(|partition| ring.owners(partition).len() == 3));
    check_counts(&admin, &tallies).await;
}
