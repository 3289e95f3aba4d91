//! `starling-sim mutants`: switches each protection of the core off and sees that somebody notices.

use std::process::ExitCode;

use super::exit;
use crate::mutants::{hunt, hunted};

/// Hunts every mutant; one that nobody notices is a failure.
pub fn run() -> ExitCode {
    let mut survivors = 0;
    for protection in hunted() {
        match hunt(protection) {
            Some(noticed) => {
                let finding: String = noticed.finding.chars().take(160).collect();
                println!("{:<24} noticed by {}: {finding}", format!("{protection:?}"), noticed.by);
            }
            None => {
                println!("{:<24} SURVIVED", format!("{protection:?}"));
                survivors += 1;
            }
        }
    }
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::MUTANT_SURVIVED) }
}
