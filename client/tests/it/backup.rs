//! `starling backup`: whom it asks, and what it tells.

use starling::ids::NodeId;
use starling::message::client::{
    AnswerBody, BackupRefusal, BackupTaken, CallBody, NodeAnswer, NodeCall, Outcome, Reason, RequestError,
};

use crate::cluster::TestCluster;
use crate::fake_node::{FakeNode, Reaction};
use crate::program::{starling, stderr, stdout};

fn taken(place: &str) -> NodeAnswer {
    NodeAnswer::BackedUp(BackupTaken { place: place.into(), files: 7, bytes: 4_096, took_ms: 12, already_ms_ago: None })
}

#[tokio::test]
async fn every_node_is_asked_under_one_name_and_says_where_its_backup_is() {
    let mut cluster = TestCluster::new(3);
    let nodes: Vec<_> = (1..=3)
        .map(|id| {
            let answer = taken(&format!("/data/{id}.backups/tonight"));
            FakeNode::start(&mut cluster, NodeId(id), move |_| Reaction::Answer(AnswerBody::Node(answer.clone())))
        })
        .collect();
    let output = starling(&cluster.bundle(), &["backup", "tonight", "--all"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("b: /data/2.backups/tonight (7 files, 4096 bytes, 12 ms)"), "{output:?}");
    let asked = CallBody::Node(NodeCall::Backup { name: "tonight".into() });
    assert!(nodes.iter().all(|node| node.calls().last() == Some(&asked)));

    let output = starling(&cluster.bundle(), &["--json", "--node", "c", "backup", "again"]).await;
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&json["backup"], &json["nodes"][0]["name"]), (&"again".into(), &"c".into()), "{json}");
    let asked_again = CallBody::Node(NodeCall::Backup { name: "again".into() });
    let times = nodes.iter().map(|node| node.calls().iter().filter(|call| **call == asked_again).count());
    assert_eq!(times.collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test]
async fn a_refusal_is_told_as_not_applied_and_a_silent_node_as_unreachable() {
    let mut cluster = TestCluster::new(2);
    let refusal = BackupRefusal::NameTaken { place: "/data/1.backups/tonight".into() };
    let refused = RequestError { outcome: Outcome::NotApplied, reason: Reason::Backup(refusal) };
    let _node = FakeNode::start(&mut cluster, NodeId(1), move |_| {
        Reaction::Answer(AnswerBody::Node(NodeAnswer::Failed(refused.clone())))
    });
    let output = starling(&cluster.bundle(), &["--node", "a", "backup", "tonight"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("choose another name"), "{output:?}");
    let output = starling(&cluster.bundle(), &["backup", "tonight", "--all"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = stderr(&output);
    assert!(told.contains("a refused") && told.contains("b could not be reached"), "{output:?}");
    let output = starling(&cluster.bundle(), &["--node", "b", "backup", "tonight"]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(stderr(&output).contains("b could not be reached, and no backup was begun"), "{output:?}");
}

#[tokio::test]
async fn of_which_node_must_be_said() {
    let cluster = TestCluster::new(2);
    for arguments in [vec!["backup", "tonight"], vec!["--node", "a", "backup", "tonight", "--all"], vec!["backup"]] {
        let output = starling(&cluster.bundle(), &arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn restoring_is_handed_over_to_the_program_of_the_node_or_says_where_it_is_done() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("starling-node");
    std::fs::write(&program, "#!/bin/sh\necho \"$@\"\nexit 10\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let copy = place.path().join("starling");
    std::fs::copy(env!("CARGO_BIN_EXE_starling"), &copy).unwrap();
    let run = |program: &std::path::Path| {
        let mut command = std::process::Command::new(program);
        command
            .env_clear()
            .args(["restore", "--from", "a/tonight", "--cluster", "new", "--out", "data"])
            .output()
            .unwrap()
    };
    let output = run(&copy);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    assert_eq!(stdout(&output), "restore --from a/tonight --cluster new --out data\n");
    std::fs::remove_file(&program).unwrap();
    let output = run(&copy);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("starling-node"), "{output:?}");
}
