//! A disk that is lost: the node fills it again by itself, while clients write.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use starling::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use starling::ids::Key;
use starling::message::client::Visible;
use starling::storage::RowKey;
use starling::time::Hlc;
use starling::value::{Beside, Row};
use starling_client::Client;
use tokio::task::JoinSet;

use super::{CHANGE_TIMEOUT, FLAGS, Load, check_counts, id, patient, told};
use crate::cluster::{Cluster, Node, settle};

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

/// What the disk held that is lost.
#[derive(Clone, Copy, Debug)]
enum Fill {
    /// Few long rows.
    Texts,
    /// Many short ones.
    Counters,
}

impl Fill {
    fn keys(self) -> Vec<Key> {
        let count = if let Fill::Texts = self { 3_000 } else { 30_000 };
        (0..count).map(|index| Key::new(format!("fill:{index}")).unwrap()).collect()
    }

    async fn write(self, client: &Client, index: usize, key: &Key) {
        match self {
            Fill::Texts => client.put(key, text(index), &patient()).await.unwrap(),
            Fill::Counters => client.increment_untagged(key, index as i64 + 1, &patient()).await.unwrap(),
        };
    }

    fn shows(self, index: usize) -> Visible {
        match self {
            Fill::Texts => Visible::Text(text(index)),
            Fill::Counters => Visible::Integer { value: index as i64 + 1, saturated: false },
        }
    }

    /// What a row takes, its key and what is in it.
    fn row_bytes(self, key: &Key) -> usize {
        let actor = ActorId { expires: Tick(1_700_000_000), epoch: Epoch(u64::MAX), tenure: Tenure(0) };
        let (dot, stamp) = (Dot { actor, event: 1 }, Hlc { wall: 1_700_000_000_000_000, logical: 0 });
        let mut row = Row::default();
        match self {
            Fill::Texts => row.put(dot, stamp, text(0), &Row::default()),
            Fill::Counters => row.increment(dot, stamp, 10_000, &Beside::NONE).unwrap(),
        };
        RowKey::main(key).as_bytes().len() + row.encode().len()
    }
}

/// Nothing that a disk could compress.
fn text(index: usize) -> Bytes {
    let mut state = index as u64 + 1;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    Bytes::from_iter(bytes.take(2_048))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_disk_fills_again_by_itself_with_little_more_traffic_than_what_was_missing() {
    fills_again(Fill::Texts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_disk_of_short_rows_fills_again_with_little_more_traffic_too() {
    fills_again(Fill::Counters).await;
}

async fn fills_again(fill: Fill) {
    let names = ["a", "b", "c", "d", "e"];
    let cluster = Cluster::found("shop", &names, &["--partitions", "32"]);
    let mut nodes: Vec<Node> = names.iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let client = cluster.client();
    settle(&client).await;
    let keys = fill.keys();
    let mut writers = JoinSet::new();
    for (index, key) in keys.iter().cloned().enumerate() {
        if writers.len() == 64 {
            writers.join_next().await.unwrap().unwrap();
        }
        let client = client.clone();
        writers.spawn(async move { fill.write(&client, index, &key).await });
    }
    writers.join_all().await;
    // The load goes on until all is there again; few bytes beside those that are missing.
    let load = Load::paced(&cluster, Duration::from_millis(20));
    tokio::time::sleep(Duration::from_secs(1)).await;
    nodes.pop().unwrap().kill();
    tokio::time::sleep(Duration::from_secs(1)).await;

    std::fs::remove_dir_all(cluster.data("e")).unwrap();
    let ring = client.ring();
    let e = id(&client, "e");
    let own = |key: &&Key| ring.is_owner(ring.partition_of(key), e);
    let missing: usize = keys.iter().filter(own).map(|key| fill.row_bytes(key)).sum();
    let begun = Instant::now();
    nodes.push(cluster.start("e", &FLAGS));
    let deadline = begun + CHANGE_TIMEOUT;
    let waits = |what: &'static str, value: f64| {
        let (cluster, nodes) = (&cluster, &nodes);
        async move {
            while metric(cluster, "e", what) != value {
                assert!(Instant::now() < deadline, "{what} does not become {value}: {}", nodes[4].log());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            begun.elapsed()
        }
    };
    let served = waits("starling_partitions_newborn", 0.0).await;
    let tallies = load.end().await;
    let took = waits("starling_partitions_equal_ratio", 1.0).await;
    let received = metric(&cluster, "e", "starling_node_peer_bytes_received_total");
    let amplification = received / missing as f64;
    told("a wiped disk", &tallies, took);
    println!(
        "a wiped disk of {fill:?}: owner of all its partitions again after {:.1} s; {missing} bytes were missing, {received} came \
         in all: {amplification:.2} times as many",
        served.as_secs_f64()
    );
    assert!(amplification <= 3.0, "{amplification:.2}: at most three times what was missing");
    for (index, key) in keys.iter().enumerate().filter(|(_, key)| own(key)).step_by(7) {
        let view = client.inspect(e, key, &patient()).await.unwrap();
        assert_eq!(view.value, fill.shows(index), "{key}");
    }
    check_counts(&client, &tallies).await;
    assert!(scrape(cluster.address("e"), "/other").starts_with("HTTP/1.1 404"));
}
