//! `starling-sim mutants`: switches each protection of the core off and sees that somebody notices.

use std::process::ExitCode;

use starling::mutation::Mutation;

use super::exit;
use crate::mutants::{hunt, hunted};

/// Switches each protection of the core off and sees that somebody notices.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these protections, by name, those among them that are otherwise left to stories of the core; without any, all others
    only: Vec<String>,
}

/// Hunts every mutant; one that nobody notices is a failure.
pub fn run(args: &Args) -> ExitCode {
    let mut survivors = 0;
    let is_meant = |name: &str| args.only.iter().any(|only| only == name);
    let meant: Vec<Mutation> = match args.only.is_empty() {
        true => hunted().collect(),
        false => Mutation::ALL.into_iter().filter(|protection| is_meant(&format!("{protection:?}"))).collect(),
    };
    for protection in meant {
        match hunt(protection) {
            Some(noticed) => {
                let finding: String = noticed.finding.chars().take(160).collect();
                let checkers: Vec<&str> = noticed.checkers.into_iter().collect();
                let name = format!("{protection:?}");
                println!("{name:<24} noticed by {} ({}): {finding}", noticed.by, checkers.join(", "));
            }
            None => {
                println!("{:<24} SURVIVED", format!("{protection:?}"));
                survivors += 1;
            }
        }
    }
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::MUTANT_SURVIVED) }
}
