//! A small swarm: every seed must pass every checker, and come to rest.

use std::time::Duration;

use starling_sim::cli::swarm::run_seeds;
use starling_sim::swarm::{SwarmOptions, Verdict};

#[test]
fn two_dozen_seeds_of_random_faults_lose_nothing_and_converge() {
    let options = SwarmOptions::of(Duration::from_secs(120), 50);
    let reports = run_seeds(1..25, 2, options, |_| {});
    let mut failed = String::new();
    for report in reports.iter().filter(|report| report.verdict != Verdict::Passed) {
        failed += &format!("\nseed {}: {}\n  made of {}", report.seed, report.verdict, report.shape);
    }
    assert!(failed.is_empty(), "replay with `starling-sim replay SEED --minutes 2`:{failed}");

    // The swarm must have met what it is about; otherwise it proves nothing.
    for kind in ["debt recorded", "debt struck", "hint dropped", "established", "exchange done", "peer suspected"] {
        let met = reports.iter().flat_map(|report| &report.statistics.facts).any(|(seen, _)| *seen == kind);
        assert!(met, "no seed met {kind:?}");
    }
}
