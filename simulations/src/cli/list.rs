//! `starling-sim list`: what can be run by name.

use std::process::ExitCode;

/// Prints every name, one a line.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
