//! Changes that cannot be, or cannot go on: each is refused with a reason, or says what it waits for, and nothing is lost.

use std::time::{Duration, Instant};

use starling::ids::NodeId;
use starling::membership::{Change, Phase};
use starling::message::client::{ClusterAnswer, ClusterCall, ClusterError, MoveWait, Options, Outcome, Progress};
use starling::message::peer::MoveStep;
use starling_client::{Client, Error};

use super::{CHANGE_TIMEOUT, FLAGS, Load, ask, candidate, check_counts, commit, id, patient, steady, told, until};
use crate::cluster::{Cluster, Node, settle};

async fn stage(admin: &Client, node: NodeId, change: Change) -> Result<ClusterAnswer, Error> {
    admin.cluster(node, ClusterCall::Stage { change, accepts_loss: false }, &patient()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_with_a_reason_and_nothing_is_staged() {
    let mut cluster = Cluster::found("shop", &["a", "b", "c", "d"], &["--partitions", "32", "--replicas", "2"]);
    let _nodes: Vec<Node> = ["a", "b", "c", "d"].iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| id(&admin, name));
    let weightless = |node| Change::Weight { node, weight: 0 };
    for node in [a, b] {
        assert!(matches!(stage(&admin, a, weightless(node)).await, Ok(ClusterAnswer::Plan(Some(_)))));
    }
    let refused = [
        (weightless(c), "too_few_for_replicas", "2 replicas need as many"),
        (Change::Fence(NodeId(99)), "unknown_member", "no member that stays"),
        (Change::Fence(a), "impossible_change", "do not go together"),
    ];
    for (change, code, words) in refused {
        let error = stage(&admin, a, change.clone()).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (code, Outcome::NotApplied), "{change:?}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let ClusterAnswer::Plan(Some(view)) = ask(&admin, a, ClusterCall::Plan).await else { panic!("no plan") };
    assert_eq!(view.plan.changes.len(), 2, "what was refused is not staged");
    ask(&admin, a, ClusterCall::DropPlan).await;

    // Both owners of some partition at once.
    assert!(matches!(stage(&admin, a, Change::Fence(c)).await, Ok(ClusterAnswer::Plan(Some(_)))));
    let last = stage(&admin, a, Change::Fence(d)).await.unwrap_err();
    assert_eq!((last.code(), last.outcome()), ("last_holder", Outcome::NotApplied), "{last}");
    assert!(last.to_string().contains("say that you accept the loss, or bring one of them back"), "{last}");
    ask(&admin, a, ClusterCall::DropPlan).await;

    // A name, an id and an address that are taken.
    cluster.issue("e");
    let _e = cluster.start("e", &FLAGS);
    let e = candidate(&admin, a, "e").await;
    let taken = [
        (starling::membership::Member { name: "a".into(), ..e.clone() }, "impossible_change"),
        (starling::membership::Member { id: a, ..e.clone() }, "id_taken"),
        (starling::membership::Member { address: cluster.address("b").into(), ..e }, "impossible_change"),
    ];
    for (member, code) in taken {
        let error = stage(&admin, a, Change::Join(member)).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (code, Outcome::NotApplied), "{error}");
    }
    let steady = ask(&admin, a, ClusterCall::Progress).await;
    assert!(matches!(&steady, ClusterAnswer::Progress(now) if now.layout.number == 1), "{steady:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_interrupted_is_finished_by_another_one() {
    let names = ["a", "b", "c", "d", "e"];
    let cluster = Cluster::found("shop", &names, &["--partitions", "32"]);
    let nodes: Vec<Node> = names.iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let (a, b) = (id(&admin, "a"), id(&admin, "b"));
    stage(&admin, a, Change::Weight { node: b, weight: 2 }).await.unwrap();
    let ClusterAnswer::Plan(Some(view)) = ask(&admin, a, ClusterCall::Plan).await else { panic!("no plan") };
    let call = ClusterCall::Commit { base: view.plan.base, content: view.next.unwrap().epoch.content };

    // A majority falls silent in the middle of it: it was not committed, or nobody can know; never that it was.
    nodes[2..].iter().for_each(|node| node.signal("STOP"));
    let begun = Instant::now();
    // Longer than a node tries.
    let long = Options { deadline_ms: Some(20_000), ..Options::default() };
    let interrupted = admin.cluster(a, call.clone(), &long).await.unwrap_err();
    println!("an interrupted commit: after {:.1} s: {interrupted}", begun.elapsed().as_secs_f64());
    let said = match &interrupted {
        Error::Cluster { error, .. } => error.as_ref(),
        other => panic!("{other:?}"),
    };
    let is_open = matches!(said, ClusterError::Unknown | ClusterError::NoMajority { .. });
    assert!(is_open && interrupted.to_string().contains("commit"), "{interrupted}");
    nodes[2..].iter().for_each(|node| node.signal("CONT"));

    let deadline = Instant::now() + CHANGE_TIMEOUT;
    loop {
        match admin.cluster(a, call.clone(), &patient()).await {
            Ok(ClusterAnswer::Committed(epoch)) => break assert_eq!(epoch.number, 2),
            Ok(other) => panic!("{other:?}"),
            // It was decided nevertheless, and the plan went with it.
            Err(error) if matches!(error.code(), "no_plan" | "not_steady" | "plan_is_stale") => break,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    steady(&admin, a, 5).await;
    let ring = admin.ring();
    assert_eq!(ring.layout().member(b).map(|member| member.weight), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joiner_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    let mut cluster = Cluster::found("shop", &["a", "b", "c"], &["--partitions", "32"]);
    let _nodes: Vec<Node> = ["a", "b", "c"].iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let admin = cluster.admin();
    settle(&admin).await;
    let load = Load::begin(&cluster);
    cluster.issue("d");
    let mut full = FLAGS;
    full[5] = "1000TiB";
    let d = cluster.start("d", &full);
    let begun = Instant::now();
    let a = id(&admin, "a");
    let joiner = candidate(&admin, a, "d").await;
    let joining = joiner.id;
    commit(&admin, a, vec![Change::Join(joiner)]).await;
    let waits_for_disk = |now: &Progress| {
        let member = now.members.iter().find(|member| member.node == joining);
        member.is_some_and(|member| {
            member.state.waiting.iter().any(|waiting| waiting.step == MoveStep::WaitsForDisk)
                && member.wait == Some(MoveWait::Takes)
        })
    };
    let waiting = until(&admin, a, "it waits for its disk", waits_for_disk).await;
    assert_eq!(waiting.phase, Phase::Moving);
    // Nobody waits for it but the change.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let still = ask(&admin, a, ClusterCall::Progress).await;
    assert!(matches!(&still, ClusterAnswer::Progress(now) if waits_for_disk(now)), "{still:?}");
    tokio::task::block_in_place(|| d.stop());
    let _d = cluster.start("d", &FLAGS);
    steady(&admin, a, 5).await;
    let took = begun.elapsed();
    let tallies = load.end().await;
    told("a joiner without room for its data, and then with", &tallies, took);
    assert_eq!(admin.ring().layout().members.len(), 4);
    check_counts(&admin, &tallies).await;
}
