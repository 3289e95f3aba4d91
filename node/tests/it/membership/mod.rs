//! Changes of the members on real processes, under load: nothing that was acknowledged is lost, nothing counts twice.
//!
//! Each story prints what it took (`cargo test … -- --nocapture`, or `make drill-members`), and ends in bounded time.

mod changes;
mod declared;
mod halted;
mod refused;
mod wiped;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use starling::ids::{Key, NodeId};
use starling::membership::{Change, Member};
use starling::message::client::{ClusterAnswer, ClusterCall, Options, Outcome, Progress};
use starling_client::{Client, Error};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;

/// Longer than any change on a busy machine.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(180);

/// Every node of these stories: rounds that come soon, and few row comparisons of their own.
const FLAGS: [&str; 6] = ["--stability-interval", "500ms", "--exchange-interval", "5s", "--disk-reserve", "64MiB"];

/// Keys that the load writes.
const KEYS: usize = 40;

fn patient() -> Options {
    Options { deadline_ms: Some(10_000), ..Options::default() }
}

fn key(index: usize) -> Key {
    Key::new(format!("likes:{index}")).unwrap()
}

/// Increments of many keys, exactly once, until it is told to end.
struct Load {
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Tally>>>,
}

/// Increments of one key, as one client was told about them.
#[derive(Clone, Copy, Default)]
struct Tally {
    acknowledged: i64,
    in_doubt: i64,
    refused: u64,
}

impl Tally {
    /// Those of two loads together.
    fn and(self, other: &Tally) -> Tally {
        Tally {
            acknowledged: self.acknowledged + other.acknowledged,
            in_doubt: self.in_doubt + other.in_doubt,
            refused: self.refused + other.refused,
        }
    }
}

impl Load {
    /// Four clients, each writing one key after the other.
    fn begin(cluster: &Cluster) -> Load {
        Load::paced(cluster, Duration::ZERO)
    }

    /// The same, with a pause after each write.
    fn paced(cluster: &Cluster, pause: Duration) -> Load {
        let is_over = Arc::new(AtomicBool::new(false));
        let tasks = (0..4).map(|offset| {
            let (client, is_over) = (cluster.client(), is_over.clone());
            tokio::spawn(async move {
                let mut tallies = vec![Tally::default(); KEYS];
                let mut next = offset * KEYS / 4;
                while !is_over.load(Ordering::Relaxed) {
                    next = (next + 1) % KEYS;
                    let tally = &mut tallies[next];
                    match client.increment(&key(next), 1, &patient()).await {
                        Ok(_) => tally.acknowledged += 1,
                        Err(error) if error.outcome() == Outcome::Unknown => tally.in_doubt += 1,
                        Err(_) => {
                            tally.refused += 1;
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                    tokio::time::sleep(pause).await;
                }
                tallies
            })
        });
        Load { tasks: tasks.collect(), is_over }
    }

    async fn end(self) -> Vec<Tally> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut sum = vec![Tally::default(); KEYS];
        for task in self.tasks {
            for (sum, tally) in sum.iter_mut().zip(task.await.unwrap()) {
                sum.acknowledged += tally.acknowledged;
                sum.in_doubt += tally.in_doubt;
                sum.refused += tally.refused;
            }
        }
        sum
    }
}

/// Every owner alone shows what was acknowledged, and no more than what may have been applied.
async fn check_counts(client: &Client, tallies: &[Tally]) {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    for (index, tally) in tallies.iter().enumerate() {
        let possible = tally.acknowledged..=tally.acknowledged + tally.in_doubt;
        loop {
            let owners = client.ring().owners(client.ring().partition_of(&key(index))).to_vec();
            let mut shown = Vec::new();
            for owner in &owners {
                let view = client.inspect(*owner, &key(index), &patient()).await;
                shown.push(view.map(|view| view.counter.parse::<i64>().unwrap()));
            }
            let counts: Vec<i64> = shown.iter().flatten().copied().collect();
            let is_equal = counts.len() == owners.len() && counts.windows(2).all(|pair| pair[0] == pair[1]);
            if is_equal && possible.contains(&counts[0]) {
                break;
            }
            assert!(Instant::now() < deadline, "{}: {shown:?} at {owners:?}, possible {possible:?}", key(index));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn told(what: &str, tallies: &[Tally], took: Duration) {
    let sum = |of: fn(&Tally) -> i64| tallies.iter().map(of).sum::<i64>();
    println!(
        "{what}: {:.1} s; {} increments acknowledged, {} in doubt, {} refused",
        took.as_secs_f64(),
        sum(|tally| tally.acknowledged),
        sum(|tally| tally.in_doubt),
        sum(|tally| tally.refused as i64),
    );
}

/// Asks again while a node is not ready to answer such a call.
async fn ask(admin: &Client, node: NodeId, call: ClusterCall) -> ClusterAnswer {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    loop {
        match admin.cluster(node, call.clone(), &patient()).await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline, "{call:?}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The candidate that is called so, once the node knows of it.
async fn candidate(admin: &Client, node: NodeId, name: &str) -> Member {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    loop {
        if let ClusterAnswer::Candidates(waiting) = ask(admin, node, ClusterCall::Candidates).await
            && let Some(member) = waiting.into_iter().find(|member| member.name == name)
        {
            return member;
        }
        assert!(Instant::now() < deadline, "{name} does not announce itself");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Stages changes at one node and commits them there.
async fn commit(admin: &Client, node: NodeId, changes: Vec<Change>) {
    for change in changes {
        let staged = ask(admin, node, ClusterCall::Stage { change, accepts_loss: false }).await;
        assert!(matches!(staged, ClusterAnswer::Plan(Some(_))), "{staged:?}");
    }
    let ClusterAnswer::Plan(Some(view)) = ask(admin, node, ClusterCall::Plan).await else { panic!("no plan") };
    let content = view.next.unwrap().epoch.content;
    let decided = admin.cluster(node, ClusterCall::Commit { base: view.plan.base, content }, &patient()).await;
    assert!(matches!(decided, Ok(ClusterAnswer::Committed(_))), "{decided:?}");
}

async fn progress(admin: &Client, node: NodeId) -> Result<Progress, Error> {
    match admin.cluster(node, ClusterCall::Progress, &patient()).await? {
        ClusterAnswer::Progress(progress) => Ok(*progress),
        other => panic!("{other:?}"),
    }
}

/// Waits until the cluster is steady under a layout with at least this number.
async fn steady(admin: &Client, node: NodeId, number: u64) {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    loop {
        let now = progress(admin, node).await;
        if now.as_ref().is_ok_and(|now| now.phase.is_steady() && now.layout.number >= number) {
            // Whoever is asked may be a moment behind.
            admin.refresh(&patient()).await.unwrap();
            if admin.ring().epoch().number >= number {
                return;
            }
        }
        assert!(Instant::now() < deadline, "the change does not end: {now:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until the progress says so.
async fn until(admin: &Client, node: NodeId, what: &str, holds: impl Fn(&Progress) -> bool) -> Progress {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    loop {
        let now = progress(admin, node).await;
        if let Ok(now) = &now
            && holds(now)
        {
            return now.clone();
        }
        assert!(Instant::now() < deadline, "{what}: {now:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn id(client: &Client, name: &str) -> NodeId {
    client.node_named(name).unwrap()
}
