//! Backups of real nodes, taken while they run, and the cluster that is made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{BackupRefusal, Options, Reason, Visible};
use starling_client::{Bundle, Client, ClientConfig, Error};

use crate::cluster::{Cluster, check_refused, settle, starling_node};

const OLD: [&str; 5] = ["a", "b", "c", "d", "e"];
const NEW: [&str; 3] = ["x", "y", "z"];

fn key(name: &str) -> Key {
    Key::new(name.to_owned()).unwrap()
}

fn admin(cluster: &Cluster) -> Client {
    Client::connect(Bundle::load(cluster.directory().join("admin")).unwrap(), ClientConfig::default()).unwrap()
}

fn backup(cluster: &Cluster, member: &str, name: &str) -> PathBuf {
    cluster.place.path().join("data").join(format!("{member}.backups")).join(name)
}

fn restore(into: &Cluster, from: &[PathBuf], more: &[&str]) -> Output {
    let mut command = starling_node();
    command.arg("restore").arg("--cluster").arg(into.directory()).arg("--out").arg(into.place.path().join("data"));
    for backup in from {
        command.arg("--from").arg(backup);
    }
    command.args(more).output().unwrap()
}

/// A number, a text, a set, a map, a flag and a deadline under each of some names.
async fn write(client: &Client, numbers: std::ops::Range<i64>) {
    let options = Options { deadline_ms: Some(10_000), ..Options::default() };
    for number in numbers {
        client.increment(&key(&format!("count/{number}")), number + 1, &options).await.unwrap();
        let text = Bytes::from(format!("text {number}"));
        client.put(&key(&format!("text/{number}")), text.clone(), &options).await.unwrap();
        let members = [Bytes::from_static(b"red"), text.clone()];
        client.set(&key(&format!("set/{number}")), &options).add(members.clone()).await.unwrap();
        client.set(&key(&format!("set/{number}")), &options).remove([Bytes::from_static(b"red")]).await.unwrap();
        let map = client.map(&key(&format!("map/{number}")), &options);
        map.put([(Bytes::from_static(b"field"), text.clone())]).await.unwrap();
        map.increment(Bytes::from_static(b"hits"), number).await.unwrap();
        client.set_flag(&key(&format!("flag/{number}")), true, &options).await.unwrap();
        client.put(&key(&format!("gone/{number}")), text.clone(), &options).await.unwrap();
        client.delete(&key(&format!("gone/{number}")), &options).await.unwrap();
        client.put(&key(&format!("later/{number}")), text, &options).await.unwrap();
        let day = Duration::from_secs(86_400);
        client.expire_in(&key(&format!("later/{number}")), day, &options).await.unwrap();
    }
}

/// What a client is shown of all of them.
async fn shown(client: &Client, numbers: std::ops::Range<i64>) -> BTreeMap<String, String> {
    let options = Options { deadline_ms: Some(10_000), ..Options::default() };
    let mut shown = BTreeMap::new();
    for number in numbers {
        for kind in ["count", "text", "flag", "gone", "later"] {
            let name = format!("{kind}/{number}");
            let value = client.get(&key(&name), &options).await.unwrap().value;
            shown.insert(name, format!("{value:?}"));
        }
        let set = client.set(&key(&format!("set/{number}")), &options);
        let has_red = set.contains(Bytes::from_static(b"red")).await.unwrap();
        shown.insert(format!("set/{number}"), format!("{} {has_red}", set.size().await.unwrap()));
        let fields = [Bytes::from_static(b"field"), Bytes::from_static(b"hits")];
        let fields = client.map(&key(&format!("map/{number}")), &options).get_all(fields).await.unwrap();
        shown.insert(format!("map/{number}"), format!("{fields:?}"));
    }
    shown
}

fn refusal(outcome: Result<impl std::fmt::Debug, Error>) -> Reason {
    match outcome {
        Err(Error::Refused { error, .. }) => error.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_of_five_nodes_under_load_become_a_cluster_of_three() {
    let old = Cluster::found("old", &OLD, &["--partitions", "64"]);
    let nodes = OLD.map(|name| old.start(name, &[]));
    let client = old.client();
    settle(&client).await;
    write(&client, 0..12).await;
    let before = shown(&client, 0..12).await;

    let (admin, options) = (admin(&old), Options { deadline_ms: Some(60_000), ..Options::default() });
    let members: Vec<_> = client.ring().layout().members.iter().map(|member| member.id).collect();
    let load = tokio::spawn({
        let client = client.clone();
        async move { write(&client, 100..106).await }
    });
    for member in &members {
        let taken = admin.backup(*member, "tonight", &options).await.unwrap();
        assert!(taken.files > 0 && taken.bytes > 0, "{taken:?}");
    }
    load.await.unwrap();

    // What may not be asked for.
    assert!(matches!(refusal(client.backup(members[0], "mine", &options).await), Reason::Forbidden(_)));
    let again = admin.backup(members[0], "tonight", &options).await.unwrap();
    assert!(again.already_ms_ago.is_some(), "{again:?}");
    let name = refusal(admin.backup(members[0], "../up", &options).await);
    assert!(matches!(name, Reason::Backup(BackupRefusal::Name(_))), "{name:?}");
    for node in nodes {
        node.kill();
    }

    let new = Cluster::found("new", &NEW, &["--partitions", "64"]);
    let from = OLD.map(|member| backup(&old, member, "tonight"));
    let made = restore(&new, &from, &[]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    assert!(text.contains("Restored") && !text.contains("no backup of owner"), "{text}");
    assert!(text.contains("of e, ") && !text.contains("WARNING"), "each is told with its age: {text}");
    let _nodes = NEW.map(|name| new.start(name, &[]));
    let client = new.client();
    settle(&client).await;
    assert_eq!(shown(&client, 0..12).await, before);
    // The cluster lives on: a counter goes on from where it was.
    client.increment(&key("count/0"), 41, &Options::default()).await.unwrap();
    let now = client.get(&key("count/0"), &Options::default()).await.unwrap().value;
    assert_eq!(now, Visible::Integer { value: 42, saturated: false });

    // What was written in between is there in part, but nothing else.
    let text = client.get(&key("text/105"), &Options::default()).await.unwrap().value;
    assert!([Visible::Nothing, Visible::Text("text 105".into())].contains(&text), "{text:?}");
    assert!(restore(&new, &from, &[]).status.code() == Some(10), "what exists is not touched");
}

fn cut_short(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_whole_or_does_not_fit_is_refused_by_name_and_leaves_nothing_behind() {
    let old = Cluster::found("old", &["a", "b"], &["--partitions", "16", "--replicas", "1"]);
    let nodes = ["a", "b"].map(|name| old.start(name, &[]));
    let client = old.client();
    settle(&client).await;
    write(&client, 0..3).await;
    let (admin, options) = (admin(&old), Options { deadline_ms: Some(60_000), ..Options::default() });
    for member in &client.ring().layout().members {
        for name in ["whole", "cut", "renamed", "listed"] {
            admin.backup(member.id, name, &options).await.unwrap();
        }
    }
    for node in nodes {
        node.stop();
    }
    let of = |name: &str| ["a", "b"].map(|member| backup(&old, member, name));
    let new = Cluster::found("new", &["x"], &["--partitions", "16"]);

    let data = of("cut")[0].join("data");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let largest = files.iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    cut_short(largest);
    let name = largest.file_name().unwrap().to_str().unwrap();
    check_refused(&restore(&new, &of("cut"), &[]), 10, &["cut is not whole", name, "bytes of"]);
    cut_short(&of("listed")[1].join("manifest.toml"));
    check_refused(&restore(&new, &of("listed"), &[]), 10, &["listed is not whole", "manifest.toml"]);
    std::fs::remove_file(of("renamed")[0].join("manifest.toml")).unwrap();
    check_refused(&restore(&new, &of("renamed"), &[]), 10, &["renamed is not whole", "manifest.toml"]);

    check_refused(&restore(&new, &of("whole")[..1], &[]), 10, &["no owner has a backup"]);
    check_refused(&restore(&old, &of("whole"), &[]), 10, &["exists already"]);
    let odd = Cluster::found("odd", &["x"], &["--partitions", "32"]);
    check_refused(&restore(&odd, &of("whole"), &[]), 10, &["32 partitions", "--partitions 16"]);
    for cluster in [&new, &odd] {
        let left: Vec<_> = std::fs::read_dir(cluster.place.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(left.len(), 1, "only the files of the cluster: {left:?}");
    }
    let accepted = restore(&new, &of("whole")[..1], &["--accept-loss"]);
    let text = String::from_utf8(accepted.stdout).unwrap();
    assert!(accepted.status.success() && text.contains("NO owner has a backup"), "{text}");
}
