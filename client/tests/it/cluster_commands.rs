//! `starling cluster`: what it shows of the layout that a node tells, what it stages where, and how it decides.

use std::sync::Mutex;

use serde_json::{Value, json};
use starling::ids::{NodeId, PartitionId};
use starling::membership::{Layout, LayoutEpoch, Member, Phase, Plan};
use starling::message::client::{
    AnswerBody, CallBody, ClusterAnswer, ClusterCall, ClusterError, MemberProgress, MoveWait, NodeAnswer, NodeCall,
    PlanView, Progress,
};
use starling::message::peer::{MoveState, MoveStep, PartitionMove, Passed};
use starling::ring::RingView;

use crate::cluster::TestCluster;
use crate::fake_node::{FakeNode, Reaction, status};
use crate::program::{starling, stderr, stdout, stdout_json};

/// Only the second of the members answers, and tells this layout.
fn teller(cluster: &mut TestCluster, told: Layout) -> FakeNode {
    FakeNode::start(cluster, NodeId(2), move |body| match body {
        CallBody::Node(NodeCall::Layout) => {
            Reaction::Answer(AnswerBody::Node(NodeAnswer::Layout(Box::new(told.clone()))))
        }
        CallBody::Node(NodeCall::Status) => {
            let mut told = status(2);
            told.rows_bytes = 64 << 20;
            Reaction::Answer(AnswerBody::Node(NodeAnswer::Status(Box::new(told))))
        }
        CallBody::Node(NodeCall::Cluster(call)) => {
            Reaction::Answer(AnswerBody::Node(NodeAnswer::Cluster(match call {
                ClusterCall::Plan => ClusterAnswer::Plan(None),
                ClusterCall::Candidates => ClusterAnswer::Candidates(vec![candidate()]),
                other => panic!("nobody asks {other:?} in this test"),
            })))
        }
        other => panic!("nobody asks {other:?} in this test"),
    })
}

/// A node that waits.
fn candidate() -> Member {
    Member { zone: "berlin".into(), ..Member::new(NodeId(7), "f", "127.0.0.1:7") }
}

/// A node that keeps a plan as nodes do, and commits it.
fn keeper(cluster: &mut TestCluster) -> FakeNode {
    let layout = cluster.layout.clone();
    let plan: Mutex<Option<Plan>> = Mutex::new(None);
    FakeNode::start(cluster, NodeId(1), move |body| {
        let CallBody::Node(call) = body else { panic!("nobody asks {body:?} in this test") };
        let mut plan = plan.lock().unwrap();
        let view = |plan: &Option<Plan>| {
            let plan = plan.clone()?;
            let next = plan.apply(&RingView::new(layout.clone()).unwrap());
            Some(Box::new(PlanView { plan, present: layout.clone(), next }))
        };
        let answer = match call {
            NodeCall::Layout => NodeAnswer::Layout(Box::new(layout.clone())),
            NodeCall::Status => NodeAnswer::Status(Box::new(status(1))),
            NodeCall::Cluster(call) => NodeAnswer::Cluster(match call {
                ClusterCall::Plan => ClusterAnswer::Plan(view(&plan)),
                ClusterCall::Candidates => ClusterAnswer::Candidates(vec![candidate()]),
                ClusterCall::DropPlan => {
                    *plan = None;
                    ClusterAnswer::PlanDropped
                }
                ClusterCall::Stage { change, accepts_loss } => {
                    let staged =
                        plan.get_or_insert(Plan { base: layout.epoch, changes: Vec::new(), accepts_loss: false });
                    staged.changes.push(change.clone());
                    staged.accepts_loss |= accepts_loss;
                    ClusterAnswer::Plan(view(&plan))
                }
                ClusterCall::Commit { base, content } => {
                    let next = view(&plan).unwrap().next.unwrap();
                    match (*base == layout.epoch, *content == next.epoch.content) {
                        (true, true) => ClusterAnswer::Committed(next.epoch),
                        _ => ClusterAnswer::Refused(ClusterError::OtherPlan { now: next.epoch.content }),
                    }
                }
                ClusterCall::Revert => ClusterAnswer::Refused(ClusterError::Unknown),
                other => panic!("nobody asks {other:?} in this test"),
            }),
            other => panic!("nobody asks {other:?} in this test"),
        };
        Reaction::Answer(AnswerBody::Node(answer))
    })
}

#[tokio::test]
async fn what_is_staged_is_kept_by_one_node_and_committed_there_as_it_was_shown() {
    let mut cluster = TestCluster::new(4);
    let node = keeper(&mut cluster);
    let bundle = cluster.bundle();
    let shown = stdout_json(&starling(&bundle, &["--json", "cluster", "join", "f"]).await);
    assert_eq!((&shown["staged"], &shown["committed"]), (&json!(1), &json!(false)));
    assert_eq!((&member(&shown, "f")["what"], &member(&shown, "f")["zone"]), (&json!("joins"), &json!("berlin")));
    let text = stdout(&starling(&bundle, &["cluster", "leave", "c"]).await);
    assert!(text.contains("STAGED at a: 2 changes") && text.contains("leaves"), "{text}");
    let shown = stdout_json(&starling(&bundle, &["--json", "cluster", "plan"]).await);
    let hash = shown["content"].as_str().unwrap();
    let other = starling(&bundle, &["cluster", "commit", "--plan", "0123456789abcdef"]).await;
    assert_eq!(other.status.code(), Some(2), "{other:?}");
    let committed = stdout_json(&starling(&bundle, &["--json", "cluster", "commit", "--plan", hash]).await);
    assert_eq!((&committed["committed"], &committed["number"]), (&json!(true), &json!(2)));
    let unknown = starling(&bundle, &["cluster", "revert"]).await;
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");
    assert!(stderr(&unknown).contains("commit again"), "{unknown:?}");
    assert_eq!(starling(&bundle, &["cluster", "unstage"]).await.status.code(), Some(0));
    let nothing = starling(&bundle, &["cluster", "commit"]).await;
    assert_eq!((nothing.status.code(), stderr(&nothing).contains("nothing is staged")), (Some(4), true));
    let commits = node
        .calls()
        .into_iter()
        .filter(|call| matches!(call, CallBody::Node(NodeCall::Cluster(ClusterCall::Commit { .. }))));
    assert_eq!(commits.count(), 1, "nothing that decides is sent twice");
}

#[tokio::test]
async fn progress_is_asked_of_the_member_that_drives_and_says_whom_the_change_waits_for() {
    let mut cluster = TestCluster::new(3);
    let epoch = LayoutEpoch { number: 2, ..cluster.layout.epoch };
    let member = |id: u64, unsynced: u32, wait: Option<MoveWait>| MemberProgress {
        node: NodeId(id),
        adopted: (wait != Some(MoveWait::Silent)).then_some(2),
        is_fenced: false,
        state: MoveState {
            moved: 8,
            asked: 8,
            unsynced,
            rows: 3,
            bytes: 2048,
            taken_from: vec![Passed { node: NodeId(1), rows: 3, bytes: 2048 }],
            ..MoveState::default()
        },
        wait,
    };
    let waiting = |id: u16, step, peer| PartitionMove {
        partition: PartitionId(id),
        step,
        peer,
        rows: 30,
        bytes: 1024,
        rows_of: Some(40),
        full: None,
    };
    let mut taker = member(2, 6, Some(MoveWait::Takes));
    (taker.state.rows_to_come, taker.state.bytes_to_come) = (Some(9), Some(6144));
    taker.state.waiting = vec![
        waiting(17, MoveStep::Loading { done: 1, of: 3 }, Some(NodeId(1))),
        waiting(3, MoveStep::WaitsFor(NodeId(3)), None),
        waiting(4, MoveStep::WaitsForDisk, None),
    ];
    let progress = Progress {
        layout: epoch,
        phase: Phase::Moving,
        is_paused: false,
        driver: Some(NodeId(2)),
        members: vec![member(1, 0, None), taker, member(3, 0, Some(MoveWait::Silent))],
        rival: None,
        lacks_majority: true,
    };
    let nodes: Vec<FakeNode> = (1..=2)
        .map(|id| {
            let mut progress = progress.clone();
            if id == 1 {
                // It does not ask the others, so it does not know.
                progress.members.iter_mut().for_each(|member| member.wait = None);
            }
            FakeNode::start(&mut cluster, NodeId(id), move |body| match body {
                CallBody::Node(NodeCall::Cluster(ClusterCall::Progress)) => {
                    let answer = ClusterAnswer::Progress(Box::new(progress.clone()));
                    Reaction::Answer(AnswerBody::Node(NodeAnswer::Cluster(answer)))
                }
                other => panic!("nobody asks {other:?} in this test"),
            })
        })
        .collect();
    let bundle = cluster.bundle();
    let text = stdout(&starling(&bundle, &["cluster", "progress"]).await);
    for expected in [
        "layout 2, moving, as b tells it; b drives the change",
        "all  ███████████████░░░░░  75 %  18 of 24; 9 rows, 6.0 KiB of about 12.0 KiB came; 0 B/s",
        "100 %  8 of 8",
        "25 %  2 of 8",
        "3 rows, 2.0 KiB of about 8.0 KiB",
        "a 2.0 KiB",
        "p17    b ← a  ███████████████░░░░░  75 %  30 of about 40 rows, 1.0 KiB; 1 of 3 owners done",
        "waits for b to take over its data: 6 partitions left; its disk is below the reserve",
        "no answer to it from c",
        "waits for c to answer: start it, or declare it lost",
        "a majority of the voters does not answer",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    let shown = stdout_json(&starling(&bundle, &["--json", "cluster", "progress"]).await);
    assert_eq!((&shown["waits_for"], &shown["is_steady"]), (&json!(["b", "c"]), &json!(false)));
    let of_one = stdout_json(&starling(&bundle, &["--json", "--node", "a", "cluster", "progress"]).await);
    assert_eq!((&of_one["told_by"], &of_one["waits_for"]), (&json!("a"), &json!([])));
    let (of_b, of_p17) = (&shown["members"][1], &shown["members"][1]["waiting"][0]);
    assert_eq!(
        (&of_b["share"], &of_b["bytes_to_come"], &of_b["from"][0]["name"]),
        (&json!(0.25), &json!(6144), &json!("a"))
    );
    assert_eq!((&of_p17["peer"], &of_p17["rows"], &of_p17["rows_of"]), (&json!("a"), &json!(30), &json!(40)));
    assert_eq!((&shown["share_of_bytes"], &shown["bytes_per_second"]), (&json!(0.5), &json!(0.0)));
    assert_eq!(nodes[1].calls().len(), 4, "twice each time, for a rate");
}

#[tokio::test]
async fn declaring_members_lost_says_what_is_lost_and_wants_to_be_confirmed() {
    let mut cluster = TestCluster::new(4);
    let node = keeper(&mut cluster);
    let bundle = cluster.bundle();
    let name = candidate().name;
    for arguments in [
        &["cluster", "fence", "d"][..],
        &["cluster", "replace", "d", &name, "--dead"],
        &["cluster", "recover", "--survivors", "a,b"],
    ] {
        let refused = starling(&bundle, arguments).await;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let text = stderr(&refused);
        assert!(text.contains("eclared lost") && text.contains("Confirm with") && text.contains('d'), "{text}");
    }
    let staged = |call: &CallBody| matches!(call, CallBody::Node(NodeCall::Cluster(ClusterCall::Stage { .. })));
    assert!(!node.calls().iter().any(staged), "nothing is staged before it is confirmed");
    let contradicts = starling(&bundle, &["cluster", "replace", "d", &name, "--declare-lost"]).await;
    assert!(contradicts.status.code() == Some(2) && stderr(&contradicts).contains("--dead"), "{contradicts:?}");
    assert!(!node.calls().iter().any(staged), "nor by who means to hand over");
    let confirmed = starling(&bundle, &["cluster", "fence", "d", "--declare-lost"]).await;
    assert_eq!(confirmed.status.code(), Some(0), "{confirmed:?}");
    assert!(node.calls().iter().any(staged) && stdout(&confirmed).contains("is given up"), "{confirmed:?}");
}

fn member<'a>(shown: &'a Value, name: &str) -> &'a Value {
    shown["members"].as_array().unwrap().iter().find(|member| member["name"] == json!(name)).unwrap()
}

#[tokio::test]
async fn show_tells_the_members_of_the_layout_that_a_node_has() {
    let mut cluster = TestCluster::new(5);
    let mut told = cluster.layout.clone();
    told.members[4].weight = 0;
    told.members[0].zone = "berlin".into();
    told.epoch.number = 2;
    let _node = teller(&mut cluster, told.seal().unwrap());
    let bundle = cluster.bundle();
    let shown = stdout_json(&starling(&bundle, &["--json", "cluster", "show"]).await);
    assert_eq!((&shown["told_by"], &shown["layout"], &shown["phase"]), (&json!("b"), &json!(2), &json!("steady")));
    assert_eq!(member(&shown, "e")["partitions"], json!(0));
    assert_eq!(member(&shown, "a")["fair_share"], json!(192.0));
    let owned: u64 = shown["members"].as_array().unwrap().iter().map(|one| one["partitions"].as_u64().unwrap()).sum();
    assert_eq!(owned, 768);
    let toml = stdout(&starling(&bundle, &["cluster", "show", "--toml"]).await);
    assert_eq!(toml::from_str::<Layout>(&toml).unwrap().epoch.number, 2);
    let text = stdout(&starling(&bundle, &["cluster", "show"]).await);
    assert!(text.contains("berlin") && text.contains("this bundle has layout 1, b has 2"), "{text}");
}

#[tokio::test]
async fn a_plan_is_a_preview_and_says_so() {
    let mut cluster = TestCluster::new(5);
    let told = cluster.layout.clone();
    let node = teller(&mut cluster, told);
    let bundle = cluster.bundle();
    let join = ["--json", "cluster", "plan", "--join", "f:berlin:1", "--leave", "c"];
    let shown = stdout_json(&starling(&bundle, &join).await);
    assert_eq!((&shown["preview"], &shown["committed"]), (&json!(true), &json!(false)));
    assert_eq!(shown["next"], json!({ "number": 2, "phase": "moving" }));
    assert_eq!((&member(&shown, "f")["what"], &member(&shown, "f")["id"]), (&json!("joins"), &json!(6)));
    assert_eq!(member(&shown, "c")["partitions_then"], json!(0));
    assert_eq!(member(&shown, "f")["takes"], member(&shown, "f")["partitions_then"]);
    assert!(shown["score"].as_f64().unwrap() > 0.8 && shown["balance"].as_f64().unwrap() <= 1.11, "{shown}");
    let text = stdout(&starling(&bundle, &["cluster", "plan", "--replace", "c=g"]).await);
    assert!(text.contains("nothing was staged") && text.contains("joins") && text.contains("leaves"), "{text}");
    // Node b says that its 256 partitions take 64 MiB.
    assert!(shown["bytes_about"].as_u64().is_some_and(|bytes| bytes > 0 && bytes % (256 << 10) == 0), "{shown}");
    let looks = [CallBody::Node(NodeCall::Layout), CallBody::Node(NodeCall::Status)];
    assert!(node.calls().iter().all(|call| looks.contains(call)), "nothing else is asked");
}

#[tokio::test]
async fn a_plan_that_cannot_be_is_refused_with_names() {
    let mut cluster = TestCluster::new(3);
    let told = cluster.layout.clone();
    let _node = teller(&mut cluster, told);
    let bundle = cluster.bundle();
    let contradiction = ["cluster", "plan", "--leave", "b", "--weight", "b=2"];
    for (arguments, words) in [
        (&["cluster", "join", "g"][..], "no node called \"g\" waits to be let join (there are f)"),
        (&["cluster", "stage", "--fence", "a"], "members are declared lost"),
        (&["cluster", "plan", "--leave", "z"], "there is no member \"z\"; there are a, b, c"),
        (&["cluster", "plan", "--leave", "b"], "2 members would carry data, 3 replicas need as many"),
        (&["cluster", "plan", "--weight", "b"], "lacks a ="),
        (&["cluster", "plan", "--weight", "b=x"], "is no weight"),
        (&["cluster", "plan", "--join", "f::x"], "is no weight"),
        (&["cluster", "plan", "--join", "b"], "a member is called \"b\" already"),
        (&contradiction, "two of the changes of b do not go together"),
    ] {
        let output = starling(&bundle, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
    let unheard = starling(&bundle, &["cluster", "plan"]).await;
    assert_eq!(unheard.status.code(), Some(4), "{unheard:?}");
    assert!(stderr(&unheard).contains("nothing is staged at those who answer; a, c did not"), "{unheard:?}");
}
