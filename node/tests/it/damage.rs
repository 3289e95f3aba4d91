//! Files of a data directory that rot or vanish, under real processes: the node begins anew by itself, and the other owners bring
//! everything back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use starling::ids::Key;
use starling::message::client::Options;
use starling_client::Client;

use crate::cluster::{Cluster, HEAL_TIMEOUT, Node, settle};

const KEYS: usize = 400;

fn key(number: usize) -> Key {
    Key::new(format!("key/{number}")).unwrap()
}

/// The largest table file of a directory: rows stand in it.
fn largest_table(data: &Path) -> PathBuf {
    let tables = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "sst"));
    tables.max_by_key(|entry| entry.metadata().unwrap().len()).expect("a start has made tables of the log").path()
}

/// Waits until a node shows every key by itself, each with this count.
async fn shows_all(client: &Client, name: &str, node: &Node) {
    let id = client.node_named(name).unwrap();
    let deadline = Instant::now() + HEAL_TIMEOUT;
    for number in 0..KEYS {
        loop {
            let view = client.inspect(id, &key(number), &Options::default()).await;
            if view.as_ref().is_ok_and(|view| view.counter == "7") {
                break;
            }
            assert!(Instant::now() < deadline, "{number}: {view:?}; its log:\n{}", node.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn set_aside(cluster: &Cluster, number: u32) -> PathBuf {
    cluster.place.path().join("data").join(format!("c.damaged-{number}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_files_are_damaged_begins_anew_and_gets_everything_back() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let nodes = ["a", "b"].map(|name| cluster.start(name, &[]));
    let c = cluster.start("c", &[]);
    let client = cluster.client();
    settle(&client).await;
    for number in 0..KEYS {
        client.increment_untagged(&key(number), 7, &Options::default()).await.unwrap();
    }
    shows_all(&client, "c", &c).await;

    // A start makes tables of what stands in the log.
    c.kill();
    cluster.start("c", &[]).kill();
    std::fs::remove_file(largest_table(&cluster.data("c"))).unwrap();
    let c = cluster.start("c", &[]);
    shows_all(&client, "c", &c).await;
    assert!(set_aside(&cluster, 1).is_dir(), "{}", c.log());

    c.kill();
    cluster.start("c", &[]).kill();
    let table = largest_table(&cluster.data("c"));
    let mut bytes = std::fs::read(&table).unwrap();
    let half = bytes.len() / 4;
    bytes[half] ^= 0x55;
    std::fs::write(&table, bytes).unwrap();
    // Nobody asks for it: the look for its trees finds it, and the process becomes another start of itself.
    let c = cluster.start("c", &[]);
    let deadline = Instant::now() + HEAL_TIMEOUT;
    while !set_aside(&cluster, 2).is_dir() {
        assert!(Instant::now() < deadline, "{}", c.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shows_all(&client, "c", &c).await;
    assert!(!set_aside(&cluster, 1).exists(), "one is kept");
    drop(nodes);
}
