//! A seed is the whole truth: two processes that run it leave the same trace.

use std::process::Command;

fn replayed(seed: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_starling-sim"))
        .args(["replay", seed, "--minutes", "0.5"])
        .output()
        .expect("starling-sim runs");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    assert!(text.contains("trace "), "{text}");
    text
}

#[test]
fn the_same_seed_leaves_the_same_trace_in_two_processes() {
    for seed in ["5", "6"] {
        assert_eq!(replayed(seed), replayed(seed));
    }
    assert_ne!(replayed("5"), replayed("6"));
}
