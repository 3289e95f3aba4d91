//! The command line: parse, connect, run one subcommand, tell what happened.
//!
//! ```text
//! args      what can be said            incr reset get put del expire     one key
//! exit      what the exit code means    set map zset flag sketch          one key of a type with commands of its own
//! output    text, tables, JSON          status ring compare cluster       looking at the cluster
//! state     a session that is kept      backup restore                    keeping a copy of it, and using that
//! token     what earlier runs have seen fault bench                       shaking it, measuring it
//! ```
//!
//! Results go to stdout, errors and remarks to stderr, both as JSON under `--json`. Each subcommand is one file with
//! its arguments, its work and its printing.

mod args;
mod backup;
mod bench;
mod cluster;
mod compare;
mod conflicts;
mod del;
mod elements;
mod everyone;
mod exit;
mod expire;
mod fault;
mod flag;
mod get;
mod incr;
mod map;
mod output;
mod put;
mod read;
mod reset;
mod restore;
mod ring;
mod set;
mod sketch;
mod state;
mod status;
mod token;
mod write;
mod zset;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use starling_client::Client;

use args::Global;
use exit::{EXIT_CODES, Failure};

/// Talks to a Starling cluster: counters and values that stay writable while the network is split.
#[derive(Debug, Parser)]
#[command(name = "starling", version, max_term_width = 120, after_long_help = EXAMPLES, propagate_version = true)]
#[command(
    after_help = "`starling --help` shows examples and exit codes; `starling COMMAND --help` those of a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

const EXAMPLES: &str = "\
Examples:
  export STARLING_BUNDLE=shop/client     where init-cluster put the client's bundle
  starling incr likes:42                 add 1 and print the new value
  starling --w 3 incr likes:42 10        add 10; three nodes must hold it
  starling get likes:42                  the merged value
  starling set add tags:42 red           sets; maps, sorted sets, flags, sketches likewise
  starling status                        the nodes, and who sees whom
  starling compare likes:42              each replica's own view, side by side
  starling bench --keys 1 --in-flight 1000 --seconds 10

Exit codes:
  0  done
  1  not applied: the cluster refused it, it was never sent, or a read failed; nothing was changed (backup: not at the
     nodes that refused)
  2  usage: the arguments, the bundle or a file cannot be used; nothing was sent
  3  unknown: a write may have been applied, or may still be; read before sending it again
  4  unreachable: no node could be reached, and nothing was changed (status, compare, fault, backup: not every node
     that was asked; compare: not every element)
  5  certificate refused, ours by the nodes or theirs by us
  6  compare: the owners differ
  7  stale: no replica in reach shows all that the session token has seen; nothing was shown
  8  done, but the file of --session-token could not be written: do not send it again
  9  done, but the result could not be written to stdout (a full disk): do not send a write again

Results go to stdout, errors to stderr. With --json each is one JSON document.";

#[derive(Debug, Subcommand)]
enum Command {
    Incr(incr::Incr),
    Decr(incr::Decr),
    Reset(reset::Reset),
    SetTo(reset::SetTo),
    Get(get::Get),
    Put(put::Put),
    Del(del::Del),
    Expire(expire::Expire),
    Persist(expire::Persist),
    Set(set::Set),
    Map(map::Map),
    Zset(zset::Zset),
    Flag(flag::Flag),
    Sketch(sketch::Sketch),
    Status(status::Status),
    Ring(ring::Ring),
    Cluster(cluster::Cluster),
    Compare(compare::Compare),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Fault(fault::Fault),
    Bench(bench::Bench),
}

/// Runs the program's arguments.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let command = Cli::command().mut_subcommands(|command| {
        let help = help_of(&command);
        command.after_long_help(help)
    });
    let cli = match command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && (json || error.to_string().len() > exit::MESSAGE_BYTES_MAX) => {
            let text = error.to_string();
            let text = text.trim_end().trim_start_matches("error: ");
            return exit::report(&Failure::Usage(text.to_owned()), json);
        }
        Err(error) => {
            // Nothing can be told about a closed stdout or stderr.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::DONE });
        }
    };
    match run(cli).and_then(|()| output::written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit::report(&failure, json),
    }
}

/// The examples of a command, and the exit codes below them.
fn help_of(command: &clap::Command) -> String {
    match command.get_after_long_help() {
        Some(examples) => format!("{examples}\n\n{EXIT_CODES}"),
        None => EXIT_CODES.to_owned(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = match cli.command {
        Command::Bench(_) => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.map_err(|error| Failure::Usage(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let global = cli.global;
        match cli.command {
            Command::Incr(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Decr(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Reset(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::SetTo(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Get(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Put(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Del(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Expire(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Persist(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Set(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Map(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Zset(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Flag(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Sketch(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Status(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Ring(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Cluster(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Compare(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Backup(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Fault(command) => with(&global, async |client| command.run(client, &global).await).await,
            Command::Restore(restore) => Err(restore.run()),
            Command::Bench(bench) => bench.run(&global).await,
        }
    })
}

/// Runs work with a client, and closes it afterwards, so that the nodes need not wait for a silent connection.
async fn with(global: &Global, work: impl AsyncFnOnce(&Client) -> Result<(), Failure>) -> Result<(), Failure> {
    let client = global.client(starling_client::ClientConfig::default()).await?;
    let token = global.session_token.as_deref().map(token::open).transpose()?;
    let follower = match &token {
        Some(file) => client.following(file.token()),
        None => client.clone(),
    };
    let outcome = work(&follower).await;
    let kept = match token {
        Some(file) => file.keep().await,
        None => Ok(()),
    };
    drop(follower);
    client.close().await;
    // What became of the data matters more than what became of the file.
    outcome.and(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:") && help.contains("starling "), "{} has no example", command.get_name());
        }
    }
}
