//! `starling-sim replay SEED`: one seed of the swarm again, exactly as it was.

use std::process::ExitCode;
use std::time::Duration;

use super::swarm::exit_code;
use crate::swarm::{SwarmOptions, run_seed};

/// What to replay.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The seed that a swarm named
    seed: u64,
    /// Simulated minutes under load and faults, as in the swarm's run
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Requests per simulated second, as in the swarm's run
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Print every event
    #[arg(long)]
    trace: bool,
}

/// Replays a seed and says what came of it.
pub fn run(args: &Args) -> ExitCode {
    let lasts = Duration::from_secs_f64(args.minutes.clamp(0.01, 1e5) * 60.0);
    let report = run_seed(args.seed, SwarmOptions { lasts, rate: args.rate, prints: args.trace });
    println!("seed {}: {}", report.seed, report.shape);
    println!("{}", report.statistics);
    println!("{}", report.verdict);
    exit_code(&report.verdict)
}
