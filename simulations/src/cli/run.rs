//! `starling-sim run NAME`: a scenario in the virtual world.

use std::process::ExitCode;

use super::exit;
use crate::scenario::{self, Setting};

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A scenario of `starling-sim list`, or `all` of them
    name: String,
    /// Print every event
    #[arg(long)]
    trace: bool,
}

/// Runs it and says what came of it.
pub fn run(args: &Args) -> ExitCode {
    let chosen: Vec<_> =
        scenario::ALL.iter().filter(|scenario| args.name == "all" || scenario.name == args.name).collect();
    if chosen.is_empty() {
        eprintln!("no scenario or plan is called {:?}; `starling-sim list` shows all", args.name);
        return ExitCode::from(exit::USAGE);
    }
    let mut failed = false;
    for scenario in chosen {
        let outcome = scenario.run(Setting { prints: args.trace });
        let word = if outcome.violations.is_empty() { "passed" } else { "FAILED" };
        println!("{:<24} {word}  trace {:016x}", scenario.name, outcome.hash);
        for violation in &outcome.violations {
            println!("  {violation}");
        }
        failed |= !outcome.violations.is_empty();
    }
    if failed { ExitCode::from(exit::WRONG_ANSWER) } else { ExitCode::SUCCESS }
}
