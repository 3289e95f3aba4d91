//! `starling-sim swarm`: many seeds, several at once, each in a world of its own.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{exit, replay};
use crate::checker::JUDGED;
use crate::swarm::changes::KINDS;
use crate::swarm::{Part, SeedReport, SwarmOptions, Verdict, Without, run_seed};
use crate::workload::{Topic, Topics};

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Simulated minutes under load and faults, per seed
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Requests per simulated second
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Worlds at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Parts of the trouble to leave out
    #[arg(long, value_delimiter = ',')]
    without: Vec<Part>,
    /// What the keys are about [default: each seed draws]
    #[arg(long, value_delimiter = ',')]
    topics: Vec<Topic>,
    /// Say what every seed was made of and did
    #[arg(long)]
    verbose: bool,
}

/// Runs the seeds and prints what failed, with the command that replays it.
pub fn run(args: &Args) -> ExitCode {
    let lasts = Duration::from_secs_f64(args.minutes.clamp(0.01, 1e5) * 60.0);
    let without = Without::of(&args.without);
    let options = SwarmOptions { without, topics: topics(&args.topics), ..SwarmOptions::of(lasts, args.rate) };
    let began = Instant::now();
    let reports = run_seeds(args.first..args.first.saturating_add(args.seeds), args.jobs, options, |report| {
        if args.verbose {
            println!("seed {}: {}\n  {}", report.seed, report.shape, report.statistics);
        }
        if report.verdict != Verdict::Passed {
            println!("seed {}: {}\n  made of {}", report.seed, report.verdict, report.shape);
            println!("  replay: {}", replay::command(report.seed, options));
        }
    });
    summary(&reports, began.elapsed());
    let worst = reports.iter().map(|report| &report.verdict).find(|verdict| **verdict != Verdict::Passed);
    worst.map_or(ExitCode::SUCCESS, exit_code)
}

/// Runs seeds on so many threads, one world per thread at a time; reports come as they are ready, and sorted at the end.
pub fn run_seeds(
    seeds: std::ops::Range<u64>,
    jobs: usize,
    options: SwarmOptions,
    on_report: impl Fn(&SeedReport) + Sync,
) -> Vec<SeedReport> {
    let next = AtomicU64::new(seeds.start);
    let reports = Mutex::new(Vec::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds.end {
            return;
        }
        let report = run_seed(seed, options);
        let mut reports = reports.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        on_report(&report);
        reports.push(report);
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut reports = reports.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    reports.sort_by_key(|report| report.seed);
    reports
}

/// The topics that were named; `None` if none was.
pub fn topics(named: &[Topic]) -> Option<Topics> {
    (!named.is_empty()).then(|| Topics::of(named))
}

fn summary(reports: &[SeedReport], took: Duration) {
    let passed = reports.iter().filter(|report| report.verdict == Verdict::Passed).count();
    let simulated: Duration = reports.iter().map(|report| report.statistics.simulated).sum();
    let busy: Duration = reports.iter().map(|report| report.took).sum();
    let slowest = reports.iter().map(|report| report.statistics.settled_after).max().unwrap_or_default();
    println!(
        "{passed} of {} seeds passed; {:.1} simulated hours in {:.1} s ({:.0} times real time per thread); the slowest \
         to come to rest took {:.1} s",
        reports.len(),
        simulated.as_secs_f64() / 3600.0,
        took.as_secs_f64(),
        simulated.as_secs_f64() / busy.as_secs_f64().max(1e-9),
        slowest.as_secs_f64()
    );
    let mut judged: BTreeMap<&str, u64> = JUDGED.into_iter().map(|name| (name, 0)).collect();
    for (name, count) in reports.iter().flat_map(|report| &report.statistics.judged) {
        *judged.entry(name).or_default() += count;
    }
    let judged: Vec<String> = judged.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("judged: {}", judged.join(", "));
    changes(reports);
}

/// How many seeds met which change of the members, and which other trouble they had beside.
fn changes(reports: &[SeedReport]) {
    let changed: Vec<&SeedReport> =
        reports.iter().filter(|report| report.statistics.changes.iter().any(|(_, count)| *count > 0)).collect();
    let seeds_with = |kind: &str| {
        let met =
            |report: &&&SeedReport| report.statistics.changes.iter().any(|(met, count)| *met == kind && *count > 0);
        changed.iter().filter(met).count()
    };
    let times = |kind: &str| {
        let counts = changed.iter().flat_map(|report| &report.statistics.changes).filter(|(met, _)| *met == kind);
        counts.map(|(_, count)| count).sum::<u64>()
    };
    let kinds = KINDS.map(|kind| format!("{kind} in {} ({})", seeds_with(kind), times(kind)));
    println!("seeds whose members changed: {}; {}", changed.len(), kinds.join(", "));
    let mut beside: BTreeMap<&str, usize> = BTreeMap::new();
    for trouble in changed.iter().flat_map(|report| &report.troubles).filter(|trouble| **trouble != "members") {
        *beside.entry(trouble).or_default() += 1;
    }
    let beside: Vec<String> = beside.iter().map(|(trouble, seeds)| format!("{trouble} in {seeds}")).collect();
    println!("  beside: {}", beside.join(", "));
}

/// The exit code that tells what was found.
pub fn exit_code(verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Wrong(_) => ExitCode::from(exit::WRONG_ANSWER),
        Verdict::NotConverged(_) => ExitCode::from(exit::NOT_CONVERGED),
        Verdict::Crashed(_) => ExitCode::from(exit::CRASHED),
    }
}
