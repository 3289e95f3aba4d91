//! A disk that is lost: the node fills it again by itself, while clients write.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::Visible;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_disk_fills_again_by_itself_with_little_more_traffic_than_what_was_missing() {
    let names = ["a", "b", "c", "d", "e"];
    let cluster = Cluster::found("shop", &names, &["--partitions", "32"]);
    let mut nodes: Vec<Node> = names.iter().map(|name| cluster.start(name, &FLAGS)).collect();
    let client = cluster.client();
    settle(&client).await;
    let texts: Vec<Key> = (0..3_000).map(|index| Key::new(format!("text:{index}")).unwrap()).collect();
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
    // The load goes on until all is there again; few bytes beside those that are missing.
    let load = Load::paced(&cluster, Duration::from_millis(20));
    tokio::time::sleep(Duration::from_secs(1)).await;
    nodes.pop().unwrap().kill();
    tokio::time::sleep(Duration::from_secs(1)).await;

    std::fs::remove_dir_all(cluster.data("e")).unwrap();
    let ring = client.ring();
    let e = id(&client, "e");
    let own = |key: &&Key| ring.is_owner(ring.partition_of(key), e);
    let missing: usize = texts.iter().filter(own).map(|key| key.as_bytes().len() + 2_048).sum();
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
        "a wiped disk: owner of all its partitions again after {:.1} s; {missing} bytes were missing, {received} came in all: \
         {amplification:.2} times as many",
        served.as_secs_f64()
    );
    assert!(amplification <= 3.0, "{amplification:.2}: at most three times what was missing");
    for (index, text) in texts.iter().enumerate().filter(|(_, key)| own(key)) {
        let view = client.inspect(e, text, &patient()).await.unwrap();
        assert_eq!(view.value, Visible::Text(text_of(index)), "{text}");
    }
    check_counts(&client, &tallies).await;
    assert!(scrape(cluster.address("e"), "/other").starts_with("HTTP/1.1 404"));
}
