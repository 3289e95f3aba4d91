//! The `starling-node` program: `run` a member of a cluster, `init-cluster` to make one, `issue-member` for one member
//! more, or `restore` to make one of backups.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use starling_node::command_line::{self, Asked};
use starling_node::config::{Effective, Settings, Sources};
use starling_node::exit::{self, Exit};
use starling_node::runtime::clock;
use starling_node::runtime::node::Node;
use starling_node::{backup, founding, issuing, logging};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Turns allocate many small things.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let asked = match command_line::parse(std::env::args_os()) {
        Ok(asked) => asked,
        Err(error) => error.exit(),
    };
    let done = match asked {
        Asked::InitCluster(plan) => founding::found(&plan)
            .map(|layout| print(&founding::next_steps(&plan, &layout)))
            .map_err(|error| failure(Exit::Bundle, &error)),
        Asked::IssueMember(plan) => issuing::issue(&plan)
            .map(|member| print(&issuing::next_steps(&plan, &member)))
            .map_err(|error| failure(Exit::Bundle, &error)),
        Asked::Restore(plan) => backup::restore(&plan)
            .map(|(layout, read, restored)| {
                print(&backup::next_steps(&plan, &layout, &read, clock::wall(), &restored));
            })
            .map_err(|error| failure(Exit::Restore, &error)),
        Asked::Run { flags, config } => Sources::gather(flags, config)
            .and_then(Sources::resolve)
            .map_err(|error| failure(Exit::Config, &error))
            .and_then(run),
    };
    done.map_or_else(|exit| exit, |()| ExitCode::SUCCESS)
}

fn run(effective: Effective) -> Result<(), ExitCode> {
    logging::start(&effective.settings);
    logging::show(&effective);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("net").build();
    let runtime = runtime.map_err(|error| failure(Exit::Internal, &error))?;
    runtime.block_on(serve(&effective.settings))
}

/// Runs the node until a signal, then stops it; a second signal does not wait.
async fn serve(settings: &Settings) -> Result<(), ExitCode> {
    let mut signals = Signals::new().map_err(|error| failure(Exit::Internal, &error))?;
    let node = Node::start(settings).map_err(|error| failure(error.exit(), &error))?;
    print(&format!("starling-node {} ready on {}\n", node.name(), node.address()));
    let ending = tokio::select! {
        () = signals.next() => None,
        ending = node.ended() => Some(ending),
    };
    tokio::select! {
        () = node.stop() => match ending {
            None => Ok(()),
            Some(ending) => Err(failure(ending.exit(), &ending)),
        },
        () = signals.next() => exit::stop_now(Exit::Forced, "a second signal came before the first one's work was done"),
    }
}

/// What asks a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Writes to stdout. Whoever started the program may have closed its end; what was done is done all the same.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _is_read = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok();
}

fn failure(exit: Exit, error: &dyn fmt::Display) -> ExitCode {
    logging::remark(format_args!("starling-node: {error}\n"));
    ExitCode::from(exit as u8)
}
