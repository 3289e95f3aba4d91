//! The command line: help, settings, `init-cluster`.

use crate::cluster::{Cluster, check_refused, starling_node};

#[test]
fn help_is_enough_to_run_a_cluster() {
    for arguments in [vec!["--help"], vec!["run", "--help"], vec!["init-cluster", "--help"]] {
        let output = starling_node().args(&arguments).output().unwrap();
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        for word in ["init-cluster", "starling-node"] {
            assert!(help.contains(word), "{arguments:?} lacks {word}:\n{help}");
        }
    }
    let help = starling_node().args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for word in
        ["--bundle", "--data", "--durability", "STARLING_NODE_", "--config", "Exit codes", "ready on", "SIGTERM"]
    {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

#[test]
fn a_bad_setting_names_its_key_its_source_and_the_reason() {
    let run = || {
        let mut command = starling_node();
        command.args(["run", "--bundle", "nowhere", "--data", "nowhere"]);
        command
    };
    let output = run().args(["--request-deadline", "soon"]).output().unwrap();
    check_refused(&output, 3, &["request_deadline", "flag --request-deadline", "\"soon\" is not a duration"]);
    let output = run().env("STARLING_NODE_DURABILITY", "maybe").output().unwrap();
    check_refused(&output, 3, &["durability", "environment STARLING_NODE_DURABILITY", "fsync, wal"]);
    let output = run().env("STARLING_NODE_DURABILTY", "wal").output().unwrap();
    check_refused(&output, 3, &["STARLING_NODE_DURABILTY", "which is no setting"]);
    let output = run().args(["--ping-interval", "2s"]).output().unwrap();
    check_refused(&output, 3, &["suspect_after and ping_interval"]);

    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("node.toml");
    std::fs::write(&file, "disk_reserve = \"plenty\"").unwrap();
    let output = run().arg("--config").arg(&file).output().unwrap();
    check_refused(&output, 3, &["disk_reserve", "node.toml", "\"plenty\" is not a size"]);

    let output = run().arg("--fast").output().unwrap();
    check_refused(&output, 2, &["--fast"]);
    check_refused(&starling_node().arg("run").output().unwrap(), 3, &["bundle", "STARLING_NODE_BUNDLE"]);
}

#[test]
fn init_cluster_never_overwrites() {
    let cluster = Cluster::found("shop", &["a", "b", "c"], &[]);
    let key = std::fs::read(cluster.directory().join("ca.key")).unwrap();
    let again = starling_node()
        .current_dir(cluster.place.path())
        .args(["init-cluster", "shop", "a=127.0.0.1:1", "--out", "cluster"])
        .output()
        .unwrap();
    check_refused(&again, 4, &["cluster exists already and is not touched"]);
    assert_eq!(std::fs::read(cluster.directory().join("ca.key")).unwrap(), key);
}

#[test]
fn init_cluster_says_what_to_run_next() {
    let place = tempfile::tempdir().unwrap();
    let output = starling_node()
        .current_dir(place.path())
        .args(["init-cluster", "shop", "a=127.0.0.1:7001", "b=127.0.0.1:7002"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("starling-node run --bundle shop/members/a --data data/a"), "{text}");
    assert!(text.contains("starling --bundle shop/client"), "{text}");
    assert!(place.path().join("shop/members/b/key.pem").exists());
}
