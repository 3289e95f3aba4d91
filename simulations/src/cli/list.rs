//! `starling-sim list`: what can be run by name.

use std::process::ExitCode;

use crate::plan::Plan;
use crate::scenario;

/// Prints every name, one a line: scenarios first, then plans.
pub fn run() -> ExitCode {
    for scenario in scenario::ALL {
        println!("{:<24} {}", scenario.name, scenario.story);
    }
    for name in Plan::shipped() {
        let description = Plan::load(name).map(|plan| plan.description).unwrap_or_default();
        println!("{name:<24} {description}");
    }
    ExitCode::SUCCESS
}
