//! Changes of the members on real processes, under load: nothing that was acknowledged is lost, nothing counts twice.
//!
//! Each story prints what it took (`cargo test … -- --nocapture`, or `make drill-members`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use starling::ids::{Key, NodeId};
use starling::membership::{Change, Member};
use starling::message::client::{ClusterAnswer, ClusterCall, Options, Outcome, Progress, Visible};
use starling_client::{Client, Error};
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, Node, check_refused, settle};

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

impl Load {
    /// Four clients, each writing one key after the other.
    fn begin(cluster: &Cluster) -> Load {
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
            admin.refresh(&patient()).await.unwrap();
            return;
        }
        assert!(Instant::now() < deadline, "the change does not end: {now:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn id(client: &Client, name: &str) -> NodeId {
    client.node_named(name).unwrap()
}

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

/// A figure of a node, over HTTP as a scraper would.
fn metric(cluster: &Cluster, node: &str, name: &str) -> f64 {
    let page = scrape(cluster.address(node), "/metrics");
    let line = page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("{name} is not in:\n{page}")).rsplit(' ').next().unwrap().parse().unwrap()
}

fn scrape(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_disk_fills_again_by_itself_with_little_more_traffic_than_what_was_missing() {
    let names = ["a", "b", "c", "d", "e"];
    let cluster = Cluster::found("shop", &names, &["--partitions", "32"]);
    let mut nodes: Vec<Node> = names.iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let client = cluster.client();
    settle(&client).await;
    let texts: Vec<Key> = (0..1_500).map(|index| Key::new(format!("text:{index}")).unwrap()).collect();
    let text_of = |index: usize| {
        // Nothing that a disk could compress.
        let mut state = index as u64 + 1;
        let bytes = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        Bytes::from_iter(bytes.take(2_048))
    };
    for (index, text) in texts.iter().enumerate() {
        client.put(text, text_of(index), &patient()).await.unwrap();
    }
    let load = Load::begin(&cluster);
    tokio::time::sleep(Duration::from_secs(1)).await;
    nodes.pop().unwrap().kill();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tallies = load.end().await;

    std::fs::remove_dir_all(cluster.data("e")).unwrap();
    let ring = client.ring();
    let e = id(&client, "e");
    let own = |key: &&Key| ring.is_owner(ring.partition_of(key), e);
    let missing: usize = texts.iter().filter(own).map(|key| key.as_bytes().len() + 2_048).sum();
    let begun = Instant::now();
    nodes.push(cluster.start("e", &FLAGS));
    let deadline = begun + CHANGE_TIMEOUT;
    loop {
        let newborn = metric(&cluster, "e", "starling_partitions_newborn");
        if newborn == 0.0 && metric(&cluster, "e", "starling_partitions_equal_ratio") == 1.0 {
            break;
        }
        assert!(Instant::now() < deadline, "the wiped node does not converge: {}", nodes[4].log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = begun.elapsed();
    let received = metric(&cluster, "e", "starling_node_peer_bytes_received_total");
    let amplification = received / missing as f64;
    told("a wiped disk", &tallies, took);
    println!("a wiped disk: {missing} bytes were missing, {received} came: {amplification:.2} times as many");
    assert!(amplification <= 3.0, "{amplification:.2}: at most three times what was missing");
    for (index, text) in texts.iter().enumerate().filter(|(_, key)| own(key)) {
        let view = client.inspect(e, text, &patient()).await.unwrap();
        assert_eq!(view.value, Visible::Text(text_of(index)), "{text}");
    }
    check_counts(&client, &tallies).await;
    assert!(scrape(cluster.address("e"), "/other").starts_with("HTTP/1.1 404"));
}
