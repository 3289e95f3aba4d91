//! `starling-sim replay SEED`: one seed of the swarm again, exactly as it was, or with less and less trouble.

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use super::swarm::{exit_code, topics};
use crate::swarm::{Part, Shape, SwarmOptions, Verdict, Without, run_seed};
use crate::workload::Topic;

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
    /// Parts of the trouble to leave out
    #[arg(long, value_delimiter = ',')]
    without: Vec<Part>,
    /// What the keys are about, as in the swarm's run
    #[arg(long, value_delimiter = ',')]
    topics: Vec<Topic>,
    /// Print every event
    #[arg(long)]
    trace: bool,
    /// Leave out whatever the failure does not need, and print the command that remains
    #[arg(long, conflicts_with = "trace")]
    shrink: bool,
}

/// Replays a seed and says what came of it.
pub fn run(args: &Args) -> ExitCode {
    let lasts = Duration::from_secs_f64(args.minutes.clamp(0.01, 1e5) * 60.0);
    let without = Without::of(&args.without);
    let mut options = SwarmOptions {
        without,
        topics: topics(&args.topics),
        prints: args.trace,
        ..SwarmOptions::of(lasts, args.rate)
    };
    if args.shrink {
        options = shrunk(args.seed, options);
        println!("{}", command(args.seed, options));
    }
    let report = run_seed(args.seed, options);
    println!("seed {}: {}", report.seed, report.shape);
    println!("{}", report.statistics);
    println!("{}", report.verdict);
    exit_code(&report.verdict)
}

/// The command that replays a seed under these options.
pub fn command(seed: u64, options: SwarmOptions) -> String {
    let parts: Vec<String> = Part::value_variants()
        .iter()
        .filter(|part| options.without.has(**part))
        .filter_map(|part| part.to_possible_value())
        .map(|value| value.get_name().to_owned())
        .collect();
    let without = if parts.is_empty() { String::new() } else { format!(" --without {}", parts.join(",")) };
    let topics = options.topics.map(|topics| format!(" --topics {topics}")).unwrap_or_default();
    let minutes = options.lasts.as_secs_f64() / 60.0;
    format!("starling-sim replay {seed} --minutes {minutes} --rate {}{without}{topics}", options.rate)
}

/// The least trouble with which the seed still comes to the same kind of verdict: parts left out, less load, less time.
fn shrunk(seed: u64, options: SwarmOptions) -> SwarmOptions {
    let kind = |options| std::mem::discriminant(&run_seed(seed, options).verdict);
    let wanted = kind(options);
    let mut least = options;
    if wanted == std::mem::discriminant(&Verdict::Passed) {
        return least;
    }
    let mut try_it = |tried: SwarmOptions| {
        let fails = kind(tried) == wanted;
        if fails {
            least = tried;
        }
        least
    };
    let mut best = options;
    for part in Part::value_variants() {
        best = try_it(SwarmOptions { without: best.without.and(*part), ..best });
    }
    // A topic left out leaves its share of the requests to the others.
    let topics = Shape::draw(seed, options).topics;
    for topic in topics.list() {
        let fewer = best.topics.unwrap_or(topics).without(topic);
        if !fewer.list().is_empty() {
            best = try_it(SwarmOptions { topics: Some(fewer), ..best });
        }
    }
    for _ in 0..6 {
        best = try_it(SwarmOptions { lasts: best.lasts / 2, ..best });
    }
    for _ in 0..4 {
        best = try_it(SwarmOptions { lasts: best.lasts * 4 / 5, ..best });
        best = try_it(SwarmOptions { rate: best.rate / 2, ..best });
    }
    best
}
