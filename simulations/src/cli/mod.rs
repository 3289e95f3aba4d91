//! The command line, one subcommand per file.
//!
//! Exit codes: 0 all well; 1 wrong use or an I/O failure; see [`exit`] for what a run found.

pub mod cluster;
pub mod cost;
pub mod drill;
pub mod list;
pub mod model;
#[cfg(feature = "mutations")]
pub mod mutants;
pub mod replay;
pub mod run;
pub mod swarm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the exit code of a run says.
pub mod exit {
    /// Wrong use, or a file that could not be read or written.
    pub const USAGE: u8 = 1;
    /// A checker found a wrong answer or lost data.
    pub const WRONG_ANSWER: u8 = 10;
    /// The cluster did not converge within the stated time.
    pub const NOT_CONVERGED: u8 = 11;
    /// The core panicked or stopped.
    pub const CRASHED: u8 = 12;
    /// A protection was switched off and nothing noticed.
    pub const MUTANT_SURVIVED: u8 = 13;
}

/// Starling under faults.
#[derive(Debug, Parser)]
#[command(name = "starling-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every scenario and plan by name, one a line
    List,
    Drill(drill::Args),
    Cluster(cluster::Args),
    Cost(cost::Args),
    /// A scenario or a plan in the virtual world
    Run(run::Args),
    /// Many seeds: a random cluster, random faults, every checker
    Swarm(swarm::Args),
    Model(model::Args),
    /// One seed of a swarm again
    Replay(replay::Args),
    /// Switches each protection of the core off and sees that somebody notices
    #[cfg(feature = "mutations")]
    Mutants(mutants::Args),
}

/// Reads the command line and runs it.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::List => list::run(),
        Command::Drill(args) => drill::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Cost(args) => cost::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Swarm(args) => swarm::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Replay(args) => replay::run(&args),
        #[cfg(feature = "mutations")]
        Command::Mutants(args) => mutants::run(&args),
    }
}
