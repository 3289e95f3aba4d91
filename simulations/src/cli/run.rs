//! `starling-sim run NAME`: a scenario or a plan in the virtual world.

use std::path::PathBuf;
use std::process::ExitCode;

use super::exit;
use crate::plan::Plan;
use crate::rehearsal::rehearse;
use crate::report::Report;
use crate::report::convergence::{self, Convergence};
use crate::scenario::{self, Scenario, Setting};

/// Violations of one scenario that are printed.
const VIOLATIONS_SHOWN: usize = 12;

/// What to run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  starling-sim run all                    every scenario
  starling-sim run fallback_twice --trace
  starling-sim run demo                   a plan, with the same report as a drill

Exit codes: 0 as expected; 1 wrong use; 10 a checker or the plan's expectations say no; 11 a plan did not converge though
it should.")]
pub struct Args {
    /// A scenario or a plan of `starling-sim list`, a TOML file, or `all` scenarios
    name: String,
    /// Print every event (scenarios)
    #[arg(long)]
    trace: bool,
    /// Where the page and the raw samples of a plan go [default: report/PLAN-virtual]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Seed of a plan's run
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs it and says what came of it.
pub fn run(args: &Args) -> ExitCode {
    let chosen: Vec<&Scenario> =
        scenario::ALL.iter().filter(|scenario| args.name == "all" || scenario.name == args.name).collect();
    if !chosen.is_empty() {
        return play(&chosen, args.trace);
    }
    match run_plan(args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("starling-sim run: {message}; `starling-sim list` shows every scenario and plan");
            ExitCode::from(exit::USAGE)
        }
    }
}

fn play(chosen: &[&Scenario], prints: bool) -> ExitCode {
    let mut failed = false;
    for scenario in chosen {
        let outcome = scenario.run(Setting { prints });
        let word = if outcome.violations.is_empty() { "passed" } else { "FAILED" };
        println!("{:<24} {word}  trace {:016x}", scenario.name, outcome.hash);
        for note in &outcome.notes {
            println!("  {note}");
        }
        for violation in outcome.violations.iter().take(VIOLATIONS_SHOWN) {
            println!("  {violation}");
        }
        let more = outcome.violations.len().saturating_sub(VIOLATIONS_SHOWN);
        if more > 0 {
            println!("  and {more} more");
        }
        failed |= !outcome.violations.is_empty();
    }
    if failed { ExitCode::from(exit::WRONG_ANSWER) } else { ExitCode::SUCCESS }
}

fn run_plan(args: &Args) -> Result<ExitCode, String> {
    let plan = Plan::load(&args.name).map_err(|error| error.to_string())?;
    let directory =
        args.report.clone().unwrap_or_else(|| PathBuf::from("report").join(format!("{}-virtual", plan.name)));
    let measured = plan.configurations.iter().map(|configuration| rehearse(&plan, configuration, args.seed)).collect();
    let report = Report::new(plan, measured);
    let page = report.write(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    println!("{}", report.table());
    println!("Report: {}", page.display());
    if report.holds() {
        return Ok(ExitCode::SUCCESS);
    }
    let stays_apart = report.runs.iter().any(|run| {
        run.configuration.expect.converges == Some(true)
            && !matches!(convergence::convergence(&report.plan, &run.measured), Convergence::After(_))
    });
    Ok(ExitCode::from(if stays_apart { exit::NOT_CONVERGED } else { exit::WRONG_ANSWER }))
}
