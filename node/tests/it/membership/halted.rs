//! A change that an operator halts, lets go on, and takes back.

use std::time::{Duration, Instant};

use starling::membership::{Change, Phase};
use starling::message::client::{ClusterAnswer, ClusterCall, Progress};
use starling::message::peer::MoveStep;

use super::{FLAGS, KEYS, Load, candidate, check_counts, commit, id, key, patient, progress, steady, told, until};
use crate::cluster::{Cluster, Node, settle};

/// Rows that have come, and partitions that are not through.
fn moved(progress: &Progress) -> (u64, u32) {
    progress.members.iter().fold((0, 0), |(rows, left), it| (rows + it.state.rows, left + it.state.unsynced))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_halted_goes_on_and_another_one_is_taken_back() {
    let mut cluster = Cluster::found("shop", &["a", "b", "c", "d"], &["--partitions", "32"]);
    let nodes: Vec<Node> = ["a", "b", "c", "d"].iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let load = Load::begin(&cluster);
    for name in ["e", "f"] {
        cluster.issue(name);
    }
    let _e = cluster.start("e", &FLAGS);
    let (a, b, d) = (id(&admin, "a"), id(&admin, "b"), id(&admin, "d"));
    let begun = Instant::now();
    let joiner = candidate(&admin, a, "e").await;
    let e = joiner.id;

    // Halted before it begins: everyone takes the layout up, and nothing comes.
    let paused = admin.cluster(a, ClusterCall::PauseMoves(true), &patient()).await.unwrap();
    assert_eq!(paused, ClusterAnswer::Paused(true));
    commit(&admin, a, vec![Change::Join(joiner)]).await;
    let taken_up = |now: &Progress| now.members.iter().all(|it| it.adopted == Some(now.layout.number));
    let halted = until(&admin, a, "all act by it", |now| now.phase == Phase::Moving && taken_up(now)).await;
    assert!(halted.is_paused && moved(&halted).1 > 0, "{halted:#?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let still = progress(&admin, b).await.unwrap();
    assert!(still.is_paused && still.phase == Phase::Moving, "{still:#?}");
    let joining = still.members.iter().find(|it| it.node == e).unwrap();
    assert_eq!((joining.state.rows, joining.state.unsynced), (0, joining.state.asked), "{joining:#?}");
    let is_queued = |step: MoveStep| matches!(step, MoveStep::Queued | MoveStep::Sealing);
    assert!(joining.state.waiting.iter().all(|waiting| is_queued(waiting.step)), "{joining:#?}");
    // Requests go on meanwhile.
    for index in 0..KEYS {
        admin.get(&key(index), &patient()).await.unwrap();
    }
    let resumed = admin.cluster(b, ClusterCall::PauseMoves(false), &patient()).await.unwrap();
    assert_eq!(resumed, ClusterAnswer::Paused(false));
    steady(&admin, a, 5).await;
    println!("a halted change: {:.1} s, three of them halted", begun.elapsed().as_secs_f64());

    // Another one is taken back while it moves: f waits again, and d stays.
    let f = cluster.start("f", &FLAGS);
    let begun = Instant::now();
    let joiner = candidate(&admin, a, "f").await;
    admin.cluster(a, ClusterCall::PauseMoves(true), &patient()).await.unwrap();
    commit(&admin, a, vec![Change::Join(joiner), Change::Leave(d)]).await;
    until(&admin, a, "all act by it", |now| now.phase == Phase::Moving && taken_up(now)).await;
    admin.cluster(a, ClusterCall::PauseMoves(false), &patient()).await.unwrap();
    let reverted = admin.cluster(b, ClusterCall::Revert, &patient()).await;
    assert!(matches!(reverted, Ok(ClusterAnswer::Committed(_))), "{reverted:?}");
    steady(&admin, a, 7).await;
    let took = begun.elapsed();
    candidate(&admin, a, "f").await;
    let again = admin.cluster(a, ClusterCall::Revert, &patient()).await.unwrap_err();
    assert!(again.to_string().contains("no change is under way"), "{again}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tallies = load.end().await;
    told("a change that is taken back", &tallies, took);
    let names: Vec<String> = admin.ring().layout().members.iter().map(|member| member.name.clone()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    check_counts(&admin, &tallies).await;
    drop((nodes, f));
}
