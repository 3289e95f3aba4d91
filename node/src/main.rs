//! The `starling-node` program: `run` a member of a cluster, or `init-cluster` to make one.

use std::fmt;
use std::process::ExitCode;

use starling_node::command_line::{self, Asked};
use starling_node::config::Sources;
use starling_node::exit::Exit;
use starling_node::founding;

fn main() -> ExitCode {
    let asked = match command_line::parse(std::env::args_os()) {
        Ok(asked) => asked,
        Err(error) => error.exit(),
    };
    let done = match asked {
        Asked::InitCluster(plan) => founding::found(&plan)
            .map(|layout| print!("{}", founding::next_steps(&plan, &layout)))
            .map_err(|error| failure(Exit::Bundle, &error)),
        Asked::Run { flags, config } => Sources::gather(flags, config)
            .and_then(Sources::resolve)
            .map(|effective| eprint!("{effective}"))
            .map_err(|error| failure(Exit::Config, &error)),
    };
    done.map_or_else(|exit| exit, |()| ExitCode::SUCCESS)
}

fn failure(exit: Exit, error: &dyn fmt::Display) -> ExitCode {
    eprintln!("starling-node: {error}");
    ExitCode::from(exit as u8)
}
