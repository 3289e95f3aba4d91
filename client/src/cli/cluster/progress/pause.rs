//! `starling cluster pause` and `resume`.

use clap::Args;
use serde_json::json;
use starling::message::client::{ClusterAnswer, ClusterCall};
use starling_client::Client;

use super::ask;
use crate::cli::args::Global;
use crate::cli::cluster::misfit;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Halt the moving of data, until `resume` or a restart of the nodes
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster pause

Reads and writes go on, and what a change has moved so far stays where it is.")]
pub(crate) struct Pause {}

/// Let the moving of data go on
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster resume")]
pub(crate) struct Resume {}

impl Pause {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        pause(client, global, true).await
    }
}

impl Resume {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        pause(client, global, false).await
    }
}

async fn pause(client: &Client, global: &Global, is_paused: bool) -> Result<(), Failure> {
    let (node, _) = ask(client, global).await?;
    match client.cluster(node, ClusterCall::PauseMoves(is_paused), &global.options()).await? {
        ClusterAnswer::Paused(is_paused) if global.json => {
            output::json(&json!({ "is_paused": is_paused, "told_by": client.name_of(node) }));
            Ok(())
        }
        ClusterAnswer::Paused(true) => {
            output::line(
                "no data moves now; requests go on. `starling cluster resume`, or a restart of the nodes, ends it",
            );
            Ok(())
        }
        ClusterAnswer::Paused(false) => {
            output::line("data moves");
            Ok(())
        }
        _ => Err(misfit(client, node)),
    }
}
