//! `starling`: the command line of a cluster. Everything stands in [`cli`]; this file only starts it.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
