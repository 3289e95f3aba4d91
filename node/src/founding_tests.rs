//! Tests of `init-cluster`: what is written, and what is refused.

use std::os::unix::fs::PermissionsExt;

use starling::ring::RingView;

use super::*;
use crate::bundle::Bundle;

fn plan(directory: &Path, members: &[&str]) -> Plan {
    let members = members.iter().enumerate();
    let members = members.map(|(index, name)| ((*name).to_owned(), format!("127.0.0.1:{}", 7001 + index))).collect();
    Plan { name: "shop".into(), directory: directory.join("shop"), members, ..Plan::default() }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_cluster_is_written_whole_and_its_bundles_read_back() {
    let place = tempfile::tempdir().unwrap();
    let plan = plan(place.path(), &["a", "b", "c"]);
    let layout = found(&plan).unwrap();
    for (index, name) in ["a", "b", "c"].iter().enumerate() {
        let bundle = Bundle::load(&plan.directory.join("members").join(name)).unwrap();
        assert_eq!(bundle.layout, layout);
        assert_eq!(bundle.node, NodeId(index as u64 + 1));
    }
    let load = |name: &str| Bundle::load(&plan.directory.join("members").join(name)).unwrap();
    assert!(load("a").seal_key == load("b").seal_key, "all members share one");
    for stranger in ["client", "admin"] {
        assert!(!plan.directory.join(stranger).join("seal.key").exists(), "{stranger}");
    }
    assert_eq!(mode(&plan.directory.join("members/a/seal.key")), 0o600);
    RingView::new(layout).unwrap();
    assert_eq!(mode(&plan.directory), 0o700);
    assert_eq!(mode(&plan.directory.join("ca.key")), 0o600);
    assert_eq!(mode(&plan.directory.join("client/key.pem")), 0o600);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing unfinished is left");
    assert!(next_steps(&plan, &Bundle::load(&plan.directory.join("members/a")).unwrap().layout).contains("members/b"));
}

#[test]
fn a_large_content_hash_survives_the_file() {
    // TOML has no u64; half of all hashes would not fit an i64.
    for _ in 0..8 {
        let place = tempfile::tempdir().unwrap();
        let plan = plan(place.path(), &["a"]);
        let layout = found(&plan).unwrap();
        assert_eq!(Bundle::load(&plan.directory.join("members/a")).unwrap().layout, layout);
    }
}

#[test]
fn options_reach_the_layout() {
    let place = tempfile::tempdir().unwrap();
    let options = Plan {
        replicas: Some(2),
        partitions: Some(64),
        fallbacks: Some(Fallbacks::All),
        write_quorum: Some(1),
        zones: vec![("b".into(), "west".into())],
        weights: vec![("a".into(), 3)],
        ..plan(place.path(), &["a", "b", "c"])
    };
    let layout = found(&options).unwrap();
    assert_eq!((layout.replicas, layout.partitions, layout.fallbacks), (2, 64, Fallbacks::All));
    assert_eq!((layout.read_quorum, layout.write_quorum), (2, 1));
    assert_eq!(layout.member_named("b").unwrap().zone, "west");
    assert_eq!(layout.member_named("a").unwrap().weight, 3);
}

#[test]
fn what_exists_is_never_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let plan = plan(place.path(), &["a"]);
    found(&plan).unwrap();
    let key = std::fs::read(plan.directory.join("ca.key")).unwrap();
    let other = Plan { directory: place.path().join("other"), ..plan.clone() };
    found(&other).unwrap();
    let seal_key = |plan: &Plan| std::fs::read(plan.directory.join("members/a/seal.key")).unwrap();
    assert_ne!(seal_key(&plan), seal_key(&other), "each cluster has its own");
    assert!(matches!(found(&plan), Err(FoundingError::Exists(_))));
    assert_eq!(std::fs::read(plan.directory.join("ca.key")).unwrap(), key);

    let empty = Plan { directory: place.path().join("empty"), ..plan };
    std::fs::create_dir(&empty.directory).unwrap();
    assert!(matches!(found(&empty), Err(FoundingError::Exists(_))));
}

#[test]
fn what_cannot_be_a_cluster_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let good = plan(place.path(), &["a", "b"]);
    let bad = [
        Plan { name: "../shop".into(), ..good.clone() },
        Plan { members: vec![("a/b".into(), "127.0.0.1:1".into())], ..good.clone() },
        Plan { members: vec![("a".into(), "127.0.0.1".into())], ..good.clone() },
        Plan { members: vec![("a".into(), "::1:7001".into())], ..good.clone() },
        Plan { members: vec![("a".into(), ":7001".into())], ..good.clone() },
        Plan { members: vec![("a".into(), "host:0".into())], ..good.clone() },
        Plan { members: vec![], ..good.clone() },
        Plan { members: vec![("a".into(), "h:1".into()), ("a".into(), "h:2".into())], ..good.clone() },
        Plan { zones: vec![("z".into(), "west".into())], ..good.clone() },
        Plan { replicas: Some(3), ..good.clone() },
        Plan { partitions: Some(100), ..good.clone() },
        Plan { write_quorum: Some(3), ..good.clone() },
    ];
    for plan in bad {
        assert!(found(&plan).is_err(), "{plan:?}");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
