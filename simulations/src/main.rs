//! `starling-sim`: worlds, swarms, scenarios and drills from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    starling_sim::cli::main()
}
