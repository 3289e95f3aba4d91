//! Tokens: what was seen is shown again, or the answer is that it cannot be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::message::client::{
    AnswerBody, CallBody, Command, Options, Outcome, Reason, Response, ValueReply, Visible, WriteReply,
};
use starling_client::{Error, Token};

use crate::cluster::{TestCluster, key};
use crate::fake_node::{FakeNode, Reaction, obliging, refused};
use crate::program::{starling, stderr, stdout};

/// A cluster whose token is the number of calls that it has seen; a read with a later one is stale.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<u64>>);

impl Seen {
    fn serve(&self, body: &CallBody) -> Reaction {
        let CallBody::Key(request) = body else { return obliging(body) };
        let Some(token) = &request.options.token else { return obliging(body) };
        let seen: u64 = if token.is_empty() { 0 } else { std::str::from_utf8(token).unwrap().parse().unwrap() };
        let mut now = self.0.lock().unwrap();
        if seen > *now {
            return Reaction::Answer(refused(Outcome::NotApplied, Reason::Stale));
        }
        *now += 1;
        let token = Some(Bytes::from(now.to_string()));
        let value = Visible::Integer { value: *now as i64, saturated: false };
        let response = if request.command.is_write() {
            Response::Written(WriteReply { value, acks: Vec::new(), removed: 0, partial: false, token })
        } else {
            let answered = vec![NodeId(1)];
            Response::Value(ValueReply { value, partial: false, conflict: false, answered, stale_ms: Some(0), token })
        };
        Reaction::Later(Duration::from_millis(20), AnswerBody::Key(response))
    }
}

fn tokens(node: &FakeNode) -> Vec<Option<Bytes>> {
    let token = |body: &CallBody| match body {
        CallBody::Key(request) => Some(request.options.token.clone()),
        CallBody::Node(_) => None,
    };
    node.calls().iter().filter_map(token).collect()
}

#[tokio::test]
async fn each_call_of_a_follower_brings_what_the_one_before_saw() {
    let mut cluster = TestCluster::new(1);
    let seen = Seen::default();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| seen.serve(body));
    let client = cluster.client();
    let token = Token::new();
    let follower = client.following(&token);
    follower.put(&key("k"), Bytes::from("v"), &Options::default()).await.unwrap();
    follower.increment(&key("k"), 1, &Options::default()).await.unwrap();
    // Asked at the same time, answered one after the other.
    let (k, options) = (key("k"), Options::default());
    let (first, second) = tokio::join!(follower.get(&k, &options), follower.get(&k, &options));
    assert!(first.is_ok() && second.is_ok());
    let sent = ["", "1", "2", "3"].map(|text| Some(Bytes::from(text)));
    assert_eq!(tokens(&node), sent);
    assert_eq!(token.bytes().await, Bytes::from("4"));
    client.delete(&k, &options).await.unwrap();
    assert_eq!(tokens(&node).pop(), Some(None), "the client itself follows nothing");
}

#[tokio::test]
async fn a_follower_goes_on_with_the_token_of_another_process() {
    let mut cluster = TestCluster::new(1);
    let seen = Seen::default();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| seen.serve(body));
    let follower = cluster.client().following(&Token::from_bytes("7"));
    let error = follower.get(&key("k"), &Options::default()).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), ("stale", Some(&Reason::Stale)));
    assert_eq!(tokens(&node), [Some(Bytes::from("7"))]);
}

#[tokio::test]
async fn a_stale_node_is_passed_over_for_one_that_shows_enough() {
    let mut cluster = TestCluster::new(2);
    let k = key("k");
    let order = cluster.preference(&k);
    let _behind =
        FakeNode::start(&mut cluster, order[0], |_| Reaction::Answer(refused(Outcome::NotApplied, Reason::Stale)));
    let seen = Seen(Arc::new(Mutex::new(9)));
    let _ahead = FakeNode::start(&mut cluster, order[1], move |body| seen.serve(body));
    let follower = cluster.client().following(&Token::from_bytes("7"));
    let reply = follower.get(&k, &Options::default()).await.unwrap();
    assert_eq!(reply.value, Visible::Integer { value: 10, saturated: false });
}

#[tokio::test]
async fn a_node_that_knows_no_tokens_is_not_believed() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let follower = cluster.client().following(&Token::new());
    let error = follower.get(&key("k"), &Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::NoAnswer { cause, .. } if cause.contains("token")), "{error:?}");
}

#[tokio::test]
async fn the_program_keeps_a_token_in_a_file_and_says_stale() {
    let mut cluster = TestCluster::new(1);
    let seen = Seen::default();
    let served = seen.clone();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| served.serve(body));
    let bundle = cluster.bundle();
    let file = bundle.parent().unwrap().join("token");
    let path = file.to_str().unwrap();
    assert_eq!(starling(&bundle, &["--session-token", path, "put", "k", "v"]).await.status.code(), Some(0));
    assert_eq!(std::fs::read(&file).unwrap(), b"1");
    assert_eq!(stdout(&starling(&bundle, &["get", "k", "--session-token", path]).await), "2\n");
    assert_eq!(stdout(&starling(&bundle, &["incr", "k", "--session-token", path]).await), "3\n");
    assert_eq!(tokens(&node).pop(), Some(Some(Bytes::from("2"))));
    *seen.0.lock().unwrap() = 1;
    let output = starling(&bundle, &["--json", "--session-token", path, "get", "k"]).await;
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&error["error"]["kind"], &error["error"]["reason"]), (&json!("stale"), &json!("stale")));
    assert_eq!(std::fs::read(&file).unwrap(), b"3", "what was seen stays seen");
    let beside = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let beside = beside.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("token"));
    assert_eq!(beside.count(), 1, "nothing is left beside the file");
}

#[tokio::test]
async fn a_token_that_is_no_token_is_refused_by_the_cluster() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start(&mut cluster, NodeId(1), |body| match body {
        CallBody::Key(request) if request.command == Command::Get => {
            Reaction::Answer(refused(Outcome::NotApplied, Reason::ForeignToken { what: "token".into() }))
        }
        other => obliging(other),
    });
    let bundle = cluster.bundle();
    let file = bundle.parent().unwrap().join("token");
    std::fs::write(&file, "forged").unwrap();
    let output = starling(&bundle, &["--json", "--session-token", file.to_str().unwrap(), "get", "k"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("foreign_token"), "{output:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"forged");
}

#[tokio::test]
async fn only_a_regular_file_is_replaced_by_a_token_and_links_are_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let mut cluster = TestCluster::new(1);
    let seen = Seen::default();
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| seen.serve(body));
    let bundle = cluster.bundle();
    let directory = bundle.parent().unwrap().join("tokens");
    std::fs::create_dir(&directory).unwrap();
    let at = |name: &str| directory.join(name);
    let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    symlink(at("socket"), at("to-socket")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    for refused in ["/dev/null".into(), at("socket"), at("to-socket"), at("dangling"), at("no/such/directory")] {
        let output = starling(&bundle, &["--session-token", refused.to_str().unwrap(), "put", "k", "v"]).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains("nothing was sent"), "{output:?}");
    }
    assert!(node.calls().is_empty());
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    drop(socket);

    std::fs::write(at("token"), "").unwrap();
    symlink(at("token"), at("link")).unwrap();
    let output = starling(&bundle, &["--session-token", at("link").to_str().unwrap(), "put", "k", "v"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(std::fs::read(at("token")).unwrap(), b"1");
    assert_eq!(std::fs::metadata(at("token")).unwrap().permissions().mode() & 0o777, 0o600);
    let names = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.filter(|name| name.to_str().unwrap().contains("new")).collect();
    assert!(names.is_empty(), "nothing is left beside it: {names:?}");
}

#[tokio::test]
async fn a_write_whose_token_could_not_be_kept_has_an_exit_code_of_its_own() {
    let mut cluster = TestCluster::new(1);
    let bundle = cluster.bundle();
    let directory = bundle.parent().unwrap().join("tokens");
    std::fs::create_dir(&directory).unwrap();
    let (seen, gone) = (Seen::default(), directory.clone());
    let node = FakeNode::start(&mut cluster, NodeId(1), move |body| {
        // The directory goes while the call is under way.
        if matches!(body, CallBody::Key(_)) {
            std::fs::remove_dir_all(&gone).unwrap();
        }
        seen.serve(body)
    });
    let path = directory.join("token");
    let output = starling(&bundle, &["--json", "--session-token", path.to_str().unwrap(), "put", "k", "v"]).await;
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&error["error"]["kind"], &error["error"]["exit_code"]), (&json!("token_lost"), &json!(8)));
    assert!(error["error"]["message"].as_str().unwrap().contains("do not send it again"), "{error}");
    assert_eq!(tokens(&node).len(), 1, "the write was carried out");
}
