//! `starling-sim`: worlds, swarms, scenarios and drills from the command line.

use std::process::ExitCode;

/// As in the node: what is measured here is what runs there.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    starling_sim::cli::main()
}
