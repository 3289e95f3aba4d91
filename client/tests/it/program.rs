//! The `starling` program, run as a user runs it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command as Process, Output, Stdio};

use serde_json::Value;

/// Runs the program; the fake nodes go on meanwhile.
pub async fn starling<S: AsRef<OsStr>>(bundle: &Path, arguments: &[S]) -> Output {
    let mut process = Process::new(env!("CARGO_BIN_EXE_starling"));
    let state = bundle.parent().unwrap().join("state");
    process.env("STARLING_BUNDLE", bundle).env("STARLING_STATE_DIR", state).args(arguments).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn stdout_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
