//! What clients were told is true: acknowledged writes survive killed processes, refused ones never happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use starling::ids::Key;
use starling::message::client::{Options, Outcome, Reason, Visible};
use starling_client::{Client, Error};

use crate::cluster::{Cluster, HEAL_TIMEOUT, Node, settle};

/// Increments of one key, as the client was told about them.
struct Likes {
    key: Key,
    acknowledged: AtomicI64,
    unknown: AtomicI64,
    refused: AtomicI64,
}

impl Likes {
    fn new(name: &str) -> Arc<Likes> {
        let key = Key::new(name.to_owned()).unwrap();
        let zero = || AtomicI64::new(0);
        Arc::new(Likes { key, acknowledged: zero(), unknown: zero(), refused: zero() })
    }

    async fn increment(&self, client: &Client) {
        let counter = match client.increment_untagged(&self.key, 1, &Options::default()).await {
            Ok(_) => &self.acknowledged,
            Err(error) if error.outcome() == Outcome::Unknown => &self.unknown,
            Err(_) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Every replica alone shows the same number, and it is one that the answers allow.
    async fn check(&self, client: &Client) {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let possible = acknowledged..=acknowledged + self.unknown.load(Ordering::Relaxed);
        let owners = client.locate(&self.key, &Options::default()).await.unwrap().owners;
        let deadline = Instant::now() + HEAL_TIMEOUT;
        loop {
            let mut counters = Vec::new();
            for owner in &owners {
                let view = client.inspect(*owner, &self.key, &Options::default()).await;
                counters.push(view.map(|view| view.counter.parse::<i64>().unwrap()));
            }
            let shown: Vec<i64> = counters.iter().flatten().copied().collect();
            let agreed = shown.len() == owners.len() && shown.windows(2).all(|pair| pair[0] == pair[1]);
            if agreed {
                assert!(possible.contains(&shown[0]), "{}: {shown:?}, possible {possible:?}", self.key);
                return;
            }
            assert!(Instant::now() < deadline, "{} does not converge: {counters:?}", self.key);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Increments until told to stop, a few at a time for each key.
fn load(client: &Client, likes: &[Arc<Likes>], is_over: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let tasks = likes.iter().flat_map(|likes| std::iter::repeat_n(likes.clone(), 4));
    tasks
        .map(|likes| {
            let (client, is_over) = (client.clone(), is_over.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    likes.increment(&client).await;
                }
            })
        })
        .collect()
}

async fn survives_killing_any_node(durability: &str) {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let flags = ["--durability", durability];
    let mut nodes: Vec<(&str, Node)> = ["a", "b", "c"].map(|name| (name, cluster.start(name, &flags))).into();
    let client = cluster.client();
    settle(&client).await;

    let likes: Vec<Arc<Likes>> = (0..5).map(|number| Likes::new(&format!("likes:{number}"))).collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks = load(&client, &likes, &is_over);
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let (name, node) = nodes.remove(0);
        node.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        nodes.push((name, cluster.start(name, &flags)));
    }
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    for likes in &likes {
        likes.check(&client).await;
        assert!(likes.acknowledged.load(Ordering::Relaxed) > 100, "the load reached nobody");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_increments_survive_the_killing_of_any_node_at_any_time() {
    survives_killing_any_node("fsync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_wal_they_survive_killed_processes_too() {
    survives_killing_any_node("wal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_killed_at_once_lose_nothing() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let nodes = ["a", "b", "c"].map(|name| cluster.start(name, &[]));
    let likes = Likes::new("likes");
    let first = cluster.client();
    settle(&first).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks = load(&first, std::slice::from_ref(&likes), &is_over);
    tokio::time::sleep(Duration::from_millis(700)).await;
    nodes.into_iter().for_each(Node::kill);
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let _nodes = ["a", "b", "c"].map(|name| cluster.start(name, &[]));
    let second = cluster.client();
    settle(&second).await;
    likes.check(&second).await;
    assert!(likes.acknowledged.load(Ordering::Relaxed) > 0, "the load reached nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_under_load_ends_cleanly_and_loses_nothing() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let [a, _b, _c] = ["a", "b", "c"].map(|name| cluster.start(name, &[]));
    let client = cluster.client();
    settle(&client).await;
    let likes = Likes::new("likes");
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks = load(&client, std::slice::from_ref(&likes), &is_over);
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::spawn_blocking(move || a.stop()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let _a = cluster.start("a", &[]);
    likes.check(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_than_w_nodes_refuse_and_say_that_nothing_was_applied() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let nodes = ["a", "b", "c"].map(|name| cluster.start(name, &[]));
    let client = cluster.client();
    settle(&client).await;
    let [_a, b, c] = nodes;
    b.kill();
    c.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let key = Key::new("likes").unwrap();
    let a = client.on(client.node_named("a").unwrap());
    match a.increment_untagged(&key, 1, &Options::default()).await {
        Err(Error::Refused { error, .. }) => {
            assert_eq!(error.outcome, Outcome::NotApplied);
            assert!(matches!(error.reason, Reason::TooFewReachable { needed: 2, reachable: 1, .. }), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let one = Options { w: Some(1), ..Options::default() };
    let reply = a.increment_untagged(&key, 1, &one).await.unwrap();
    assert_eq!(reply.value, Visible::Integer { value: 1, saturated: false });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_disk_reserve_writes_are_refused_and_reads_answered() {
    let cluster = Cluster::found("shop", &["a"], &["--replicas", "1"]);
    let key = Key::new("likes").unwrap();
    let node = cluster.start("a", &[]);
    let first = cluster.client();
    settle(&first).await;
    first.increment_untagged(&key, 5, &Options::default()).await.unwrap();
    node.stop();

    let _node = cluster.start("a", &["--disk-reserve", "1000TiB"]);
    let second = cluster.client();
    settle(&second).await;
    match second.increment_untagged(&key, 1, &Options::default()).await {
        Err(Error::Refused { error, .. }) => {
            assert_eq!(error.outcome, Outcome::NotApplied);
            assert!(matches!(error.reason, Reason::DiskReserve { .. }), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let value = second.get(&key, &Options::default()).await.unwrap().value;
    assert_eq!(value, Visible::Integer { value: 5, saturated: false });
    let status = second.status(second.node_named("a").unwrap(), &Options::default()).await.unwrap();
    assert!(status.is_below_reserve && status.disk_free_bytes > 0, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_stops_the_process_and_nothing_acknowledged_is_lost() {
    let cluster = Cluster::found("shop", &["a"], &["--replicas", "1"]);
    // No file may grow beyond this many blocks of 512 bytes; beyond it the log of the store cannot be written.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 4096; exec {} run --bundle {} --data {}",
        env!("CARGO_BIN_EXE_starling-node"),
        cluster.bundle("a").display(),
        cluster.data("a").display()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &limited]);
    let mut node = Node::spawn(command, &cluster.place.path().join("a.log"));
    node.wait_until_ready();
    let first = cluster.client();
    settle(&first).await;
    let value = bytes::Bytes::from(vec![b'x'; 100_000]);
    let mut acknowledged = 0;
    for number in 0..100 {
        let key = Key::new(format!("blob:{number}")).unwrap();
        match first.put(&key, value.clone(), &Options::default()).await {
            Ok(_) => acknowledged += 1,
            Err(_) => break,
        }
    }
    assert!((1..100).contains(&acknowledged), "{acknowledged} writes were taken");
    assert_eq!(node.wait().code(), Some(7), "its log:\n{}", node.log());
    assert!(node.log().contains("what was not written was not acknowledged"), "{}", node.log());

    let _node = cluster.start("a", &[]);
    let second = cluster.client();
    settle(&second).await;
    for number in 0..acknowledged {
        let key = Key::new(format!("blob:{number}")).unwrap();
        let shown = second.get(&key, &Options::default()).await.unwrap().value;
        assert_eq!(shown, Visible::Text(value.clone()), "blob:{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_tells_who_sees_whom() {
    let cluster = Cluster::found("shop", &["a", "b"], &["--replicas", "2"]);
    let _a = cluster.start("a", &["--shards", "2"]);
    let b = cluster.start("b", &["--shards", "2"]);
    let client = cluster.client();
    settle(&client).await;
    let node = client.node_named("a").unwrap();
    let status = client.status(node, &Options::default()).await.unwrap();
    assert_eq!((status.node, status.starts, status.shards.owned_partitions), (node, 1, 256));
    assert_eq!(status.shards.peers.len(), 1);
    assert!(status.last_sync_us > 0 && status.shards.peers.iter().all(|peer| peer.is_reachable), "{status:?}");
    b.kill();
    let deadline = Instant::now() + HEAL_TIMEOUT;
    loop {
        let status = client.status(node, &Options::default()).await.unwrap();
        if status.shards.peers.iter().all(|peer| !peer.is_reachable) {
            break;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
