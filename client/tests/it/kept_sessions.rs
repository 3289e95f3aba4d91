//! Sessions in files: an increment counts once, whatever becomes of the process, of the files, or of copies of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use starling::ids::NodeId;
use starling::message::client::Options;
use starling_client::{Client, KeptError, Session};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{Counters, FakeNode, Reaction, events, is_event, obliging, within};

/// A cluster of one node that counts.
struct Counting {
    cluster: TestCluster,
    counters: Counters,
    node: FakeNode,
}

impl Counting {
    fn start() -> Counting {
        let mut cluster = TestCluster::new(1);
        let counters = Counters::default();
        let served = counters.clone();
        let node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
        Counting { cluster, counters, node }
    }
}

/// The session in a directory. One that was dropped just now may hold its slot a moment longer.
async fn session_in(client: &Client, directory: &Path) -> Session {
    client.kept_session(directory, Duration::from_secs(60), Duration::from_secs(2)).await.unwrap().0
}

#[tokio::test]
async fn a_kept_session_goes_on_in_the_next_process() {
    let Counting { cluster, counters, node } = Counting::start();
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let client = cluster.client();
        let kept = client.kept_session(directory.path(), Duration::from_secs(60), Duration::ZERO).await.unwrap();
        let (session, others, resumed) = kept;
        assert!(resumed.is_empty() && others.is_empty());
        session.increment(&key("k"), 2, &Options::default()).await.unwrap();
    }
    let sent = events(&node).iter().map(|write| (write.event, write.p)).collect::<Vec<_>>();
    assert_eq!(sent, [(1, 2), (2, 4), (3, 6)]);
    assert_eq!(counters.sessions(&key("k")), 1);
}

#[tokio::test]
async fn what_a_dead_process_left_without_an_answer_is_asked_for_by_the_next() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let (served, is_answering) = (counters.clone(), Arc::new(AtomicBool::new(false)));
    let answers = is_answering.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        let reaction = served.serve(body);
        // Applied, and the answer is lost.
        if is_event(body) && !answers.load(Ordering::Relaxed) { Reaction::Silence } else { reaction }
    });
    let directory = tempfile::tempdir().unwrap();
    {
        let client = cluster.client();
        let kept = client.kept_session(directory.path(), Duration::from_secs(60), Duration::ZERO).await.unwrap();
        assert!(kept.0.increment(&key("k"), 2, &within(200)).await.is_err());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_answering.store(true, Ordering::Relaxed);
    let client = cluster.client();
    let (session, _, mut resumed) =
        client.kept_session(directory.path(), Duration::from_secs(60), Duration::from_secs(5)).await.unwrap();
    let resumed = resumed.pop().unwrap();
    assert_eq!((resumed.key.clone(), resumed.added, resumed.subtracted), (key("k"), 2, 0));
    resumed.outcome(Duration::from_secs(5)).await.unwrap();
    session.increment(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!(counters.value(&key("k")), 3);
    let writes = events(&node);
    assert!(writes[..writes.len() - 1].iter().all(|write| *write == writes[0]), "{writes:?}");
}

#[tokio::test]
async fn two_processes_use_two_sessions_of_one_directory() {
    let Counting { cluster, counters, node: _node } = Counting::start();
    let directory = tempfile::tempdir().unwrap();
    let client = cluster.client();
    let first = session_in(&client, directory.path()).await;
    let second = session_in(&client, directory.path()).await;
    first.increment(&key("k"), 1, &Options::default()).await.unwrap();
    second.increment(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!((counters.value(&key("k")), counters.sessions(&key("k"))), (2, 2));
}

#[tokio::test]
async fn a_file_that_is_no_session_of_this_cluster_is_refused_by_name() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let client = cluster.client();
    let directory = tempfile::tempdir().unwrap();
    session_in(&client, directory.path()).await.increment(&key("k"), 1, &Options::default()).await.unwrap();
    let file = directory.path().join("session-0.json");
    let good = std::fs::read_to_string(&file).unwrap();
    let damaged = [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace(&cluster.layout.cluster.to_string(), "another"),
        good.replace("\"event\": 1", "\"event\": -1"),
    ];
    for text in damaged {
        std::fs::write(&file, &text).unwrap();
        // The session that was dropped may hold its slot a moment longer.
        let patience = Duration::from_secs(2);
        let Err(error) = client.kept_session(directory.path(), Duration::from_secs(60), patience).await else {
            panic!("{text}")
        };
        assert!(matches!(&error, KeptError::Malformed { path, .. } if *path == file), "{error:?}");
    }
}

#[tokio::test]
async fn nothing_is_added_under_the_names_of_another_boot() {
    let Counting { cluster, counters, node } = Counting::start();
    let client = cluster.client();
    let directory = tempfile::tempdir().unwrap();
    session_in(&client, directory.path()).await.increment(&key("k"), 1, &Options::default()).await.unwrap();
    let file = directory.path().join("session-0.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&file, text.replace(boot.trim(), "another boot")).unwrap();
    session_in(&client, directory.path()).await.increment(&key("k"), 1, &Options::default()).await.unwrap();
    assert_eq!((counters.value(&key("k")), counters.sessions(&key("k"))), (2, 2));
    assert_eq!(events(&node).iter().map(|write| write.event).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn a_copy_of_the_directory_counts_under_a_name_of_its_own() {
    let Counting { cluster, counters, node } = Counting::start();
    let client = cluster.client();
    let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    session_in(&client, original.path()).await.increment(&key("k"), 1, &Options::default()).await.unwrap();
    for entry in std::fs::read_dir(original.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    for directory in [original.path(), copy.path()] {
        session_in(&client, directory).await.increment(&key("k"), 1, &Options::default()).await.unwrap();
    }
    assert_eq!(counters.value(&key("k")), 3, "{:?}", events(&node));
    assert_eq!(counters.sessions(&key("k")), 2);
}

#[tokio::test]
async fn an_older_copy_that_is_put_back_in_place_counts_under_another_name() {
    let Counting { cluster, counters, node } = Counting::start();
    let client = cluster.client();
    let (directory, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = |from: &Path, to: &Path| {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::write(to.join(entry.file_name()), std::fs::read(entry.path()).unwrap()).unwrap();
        }
    };
    for step in 0..3 {
        session_in(&client, directory.path()).await.increment(&key("k"), 1, &Options::default()).await.unwrap();
        match step {
            0 => copy(directory.path(), backup.path()),
            1 => copy(backup.path(), directory.path()),
            _ => {}
        }
    }
    assert_eq!(counters.value(&key("k")), 3, "{:?}", events(&node));
}

#[tokio::test]
async fn long_keys_take_further_names_and_the_file_stays_one_that_can_be_read() {
    let Counting { cluster, counters, node: _node } = Counting::start();
    let client = cluster.client();
    let directory = tempfile::tempdir().unwrap();
    let long = |number: usize| key(&format!("{number:060000}"));
    for number in 0..6 {
        let session = session_in(&client, directory.path()).await;
        session.increment(&long(number), 1, &Options::default()).await.unwrap();
    }
    let size = std::fs::metadata(directory.path().join("session-0.json")).unwrap().len();
    assert!(size < 700_000, "{size}");
    let all: std::collections::BTreeSet<_> = (0..6).flat_map(|number| counters.actors(&long(number))).collect();
    assert_eq!(all.len(), 2, "four keys of 60,000 bytes under each name");
}

#[tokio::test]
async fn what_was_left_in_a_slot_is_found_behind_one_that_was_never_written() {
    let mut cluster = TestCluster::new(1);
    let counters = Counters::default();
    let (served, is_answering) = (counters.clone(), Arc::new(AtomicBool::new(false)));
    let answers = is_answering.clone();
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        let reaction = served.serve(body);
        if is_event(body) && !answers.load(Ordering::Relaxed) { Reaction::Silence } else { reaction }
    });
    let directory = tempfile::tempdir().unwrap();
    {
        let client = cluster.client();
        let _first = session_in(&client, directory.path()).await;
        let _second = session_in(&client, directory.path()).await;
        let third = session_in(&client, directory.path()).await;
        assert!(third.increment(&key("k"), 2, &within(200)).await.is_err());
    }
    assert!(!directory.path().join("session-1.json").exists() && directory.path().join("session-2.json").exists());
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_answering.store(true, Ordering::Relaxed);
    let client = cluster.client();
    let kept = client.kept_session(directory.path(), Duration::from_secs(60), Duration::from_secs(5)).await;
    let (_session, _others, mut resumed) = kept.unwrap();
    resumed.pop().expect("the increment of the third").outcome(Duration::from_secs(5)).await.unwrap();
    assert_eq!(counters.value(&key("k")), 2);
}
