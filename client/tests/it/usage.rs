//! Typing things wrong: nonsense, too much, too little, bytes that are no text. Nothing is sent, nothing is shown on
//! stdout, the exit code is 2, and with `--json` the error is one document.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::message::client::Command;

use crate::cluster::TestCluster;
use crate::fake_node::{FakeNode, commands, obliging};
use crate::program::{starling, stderr};

async fn must_be_refused<S: AsRef<OsStr>>(bundle: &Path, arguments: &[S]) {
    let mut arguments: Vec<OsString> = arguments.iter().map(|argument| argument.as_ref().to_owned()).collect();
    let name = format!("{:.300}", format!("{arguments:?}"));
    let output = starling(bundle, &arguments).await;
    assert_eq!(output.status.code(), Some(2), "{name}: {:.2000}", format!("{output:?}"));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{name}: {output:?}");
    assert!(output.stderr.len() < 8_000, "{name}: {} bytes", output.stderr.len());
    arguments.insert(0, "--json".into());
    let output = starling(bundle, &arguments).await;
    let error: Value = serde_json::from_slice(&output.stderr).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((&error["error"]["exit_code"], &error["error"]["kind"]), (&json!(2), &json!("usage")), "{name}");
}

#[tokio::test]
async fn usage_errors_have_code_2_and_send_nothing() {
    let mut cluster = TestCluster::new(2);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let long_key = "k".repeat(65_536);
    for arguments in [
        vec!["incr"],
        vec!["incr", "k", "many"],
        vec!["incr", "k", "99999999999999999999"],
        vec!["decr", "k", "-9223372036854775808"],
        vec!["incr", &long_key],
        vec!["--deadline", "5", "get", "k"],
        vec!["--node", "zebra", "get", "k"],
        vec!["--r", "300", "get", "k"],
        vec!["--bundle", "/nowhere", "get", "k"],
        vec!["bench", "--keys", "0"],
        vec!["bench", "--write-ratio", "2"],
        vec!["bench", "--pid", "4294967295"],
        vec!["fault", "split", "a"],
        vec!["fault", "split", "a/b", "--for", "11m"],
        vec!["fault", "split", "a/b", "--delay", "61s"],
        vec!["fly"],
        vec!["bench", "--prefix", &long_key, "--seconds", "1"],
        vec!["bench", "--session-token", "/tmp/never-made"],
    ] {
        must_be_refused(&bundle, &arguments).await;
    }
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn options_of_every_command_take_no_nonsense() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let (huge, words) = ("9".repeat(40), "w".repeat(100_000));
    let durations = ["", "0s", "-1s", "1.5s", "1", "s", "25h", "1y", "\u{661}s", &huge, &words];
    let counts = ["", "-1", "256", "1.0", "one", &huge, &words];
    let nonsense: [(&str, &[&str]); 7] = [
        ("--deadline", &durations),
        ("--r", &counts),
        ("--w", &counts),
        ("--observe", &["", "all", "QUORUM ", &words]),
        ("--node", &["", "zebra", "a,b"]),
        ("--bundle", &["", "/nowhere", "/", "/dev/null"]),
        ("--session-token", &["", "/", "/dev/null", "/nowhere/at/all"]),
    ];
    for (option, values) in nonsense {
        for value in values {
            must_be_refused(&bundle, &[option, value, "put", "k", "v"]).await;
        }
        must_be_refused(&bundle, &["put", "k", "v", option]).await;
        if option != "--session-token" {
            let no_text = OsStr::from_bytes(b"\xff\xfe");
            must_be_refused(&bundle, &[OsStr::new(option), no_text, OsStr::new("get"), OsStr::new("k")]).await;
        }
    }
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn arguments_of_commands_take_no_nonsense() {
    let mut cluster = TestCluster::new(2);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let (huge, long) = ("9".repeat(40), "x".repeat(100_000));
    let numbers = ["", "1.5", "0x10", "1e3", "- 1", &huge, &long];
    let mut refused: Vec<Vec<&str>> = Vec::new();
    for command in ["incr", "decr", "reset", "set-to", "get", "put", "del", "expire", "persist", "ring", "compare"] {
        refused.extend([vec![command], vec![command, &long, "1s"], vec![command, "k", "1s", "1", "1", "1"]]);
    }
    for group in ["set", "map", "zset", "flag", "sketch", "fault"] {
        refused.extend([vec![group], vec![group, "fly", "k"], vec![group, ""]]);
    }
    for command in [
        ["set", "add"],
        ["set", "rem"],
        ["set", "has"],
        ["map", "get"],
        ["map", "rem"],
        ["zset", "rem"],
        ["sketch", "add"],
    ] {
        refused.push([command.as_slice(), &["k"]].concat());
        refused.push([command.as_slice(), &[&long, "m"]].concat());
    }
    for number in numbers {
        refused.extend([vec!["incr", "k", number], vec!["decr", "k", number], vec!["set-to", "k", number]]);
        refused.extend([vec!["map", "incr", "k", "f", number], vec!["zset", "top", "k", number]]);
        for list in ["set", "map", "zset"] {
            refused.push(vec![list, "list", "k", "--limit", number]);
        }
    }
    refused.extend([vec!["set", "list", "k", "--limit", "0"], vec!["zset", "top", "k", "0"]]);
    refused.extend([vec!["zset", "top", "k", "100001"], vec!["zset", "incr", "k", "much", "m"]]);
    refused.extend([
        vec!["zset", "add", "k", "ann", "1"],
        vec!["zset", "add", "k", "1"],
        vec!["map", "put", "m", "f", "v", "g"],
    ]);
    refused.extend([vec!["zset", "add", "k", &long, "m"], vec!["zset", "add", "k", "", "m"]]);
    for span in ["", "0s", "1.5h", "3651d", "1w", "d", &huge, "18446744073709551615d"] {
        refused.push(vec!["expire", "k", span]);
    }
    for context in ["", "0", "zz", "+f", "-1", "0x0f", "\u{fc}\u{fc}", &long] {
        refused.push(vec!["put", "--context", context, "k", "v"]);
    }
    refused.push(vec!["put", "--sibling", "--context", "00", "k", "v"]);
    for sides in ["", "/", "a", "a/", "a,a/b", "a/b/a", "a b/c", "a/zebra", &long] {
        refused.push(vec!["fault", "split", sides]);
    }
    refused.push(vec!["fault", "split", "a/b", "--for", "0s"]);
    for (option, values) in [
        ("--keys", ["0", "-1", "many"]),
        ("--in-flight", ["0", "1000001", "1.5"]),
        ("--seconds", ["0", "86401", "1s"]),
        ("--warm-up", ["-1", "3601", ""]),
        ("--op", ["", "fly", "INCR "]),
        ("--sessions", ["-1", "1000001", "all"]),
        ("--write-ratio", ["nan", "-0.1", "inf"]),
        ("--value-bytes", ["0", "1048577", "1k"]),
        ("--connections", ["0", "1025", "-1"]),
        ("--pid", ["x", "-1", "4294967296"]),
    ] {
        refused.extend(values.map(|value| vec!["bench", option, value]));
    }
    for arguments in &refused {
        must_be_refused(&bundle, arguments).await;
    }
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn what_stands_behind_two_dashes_is_data() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    assert_eq!(starling(&bundle, &["put", "--", "k", "--json"]).await.status.code(), Some(0));
    assert_eq!(commands(&node), [Command::Put { value: "--json".into() }]);
    let output = starling(&bundle, &["get", "--", "--json", "k"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!stderr(&output).starts_with('{'), "errors are JSON where --json is an option: {output:?}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_data_where_data_is_taken() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let bundle = cluster.bundle();
    let odd = OsString::from_vec(b"\xff\n\x01".to_vec());
    let word = |text: &str| OsString::from(text);
    for arguments in [
        vec![word("set"), word("add"), odd.clone(), odd.clone()],
        vec![word("map"), word("put"), odd.clone(), odd.clone(), odd.clone()],
        vec![word("zset"), word("add"), odd.clone(), word("1"), odd.clone()],
        vec![word("sketch"), word("add"), odd.clone(), odd.clone()],
        vec![word("incr"), odd.clone()],
    ] {
        let output = starling(&bundle, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    }
    must_be_refused(&bundle, &[word("zset"), word("add"), word("k"), odd.clone(), word("m")]).await;
    must_be_refused(&bundle, &[word("incr"), word("k"), odd.clone()]).await;
    must_be_refused(&bundle, &[word("fault"), word("split"), odd.clone()]).await;
    must_be_refused(&bundle, &[word("bench"), word("--prefix"), odd]).await;
    assert_eq!(commands(&node).len(), 5);
}
