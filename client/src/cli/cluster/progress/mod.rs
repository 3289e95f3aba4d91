//! `starling cluster progress`, `pause`, `resume`: a change under way.
//!
//! ```text
//! ask (who drives the change asks all others) ─→ figures ─→ text │ json
//! ```

mod figures;
mod json;
mod pause;
mod text;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use starling::ids::NodeId;
use starling::message::client::{ClusterAnswer, ClusterCall, Progress};
use starling_client::Client;

use self::figures::{Looks, Sum};
pub(crate) use self::pause::{Pause, Resume};
use super::{keeper, misfit};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// So many looks in a row without an answer end a watch.
const FAILURES_MAX: u32 = 30;

/// Show how far the change is, member by member, and whom it waits for
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster progress
  starling cluster progress --watch              until the cluster is steady
  starling --json cluster progress | jq '.waits'

A change goes through phases: moving (new owners take over what the old ones have), switched (the new ones are read),
closing (the old ones hand over what is left), steady. Each begins when every member that is not declared lost is through
with the one before; a member that is down holds it up, and no request.

The bars count partitions: while moving, those that a member is to own afterwards and has exchanged with every owner of
before; while closing, those that it hands over. Of about how much is what the owners of before say they have, known when
the first of them has been asked; bytes are reckoned from rows. What came counts from the node's last start.")]
pub(crate) struct ProgressOf {
    /// Look again every second, until the cluster is steady
    #[arg(long)]
    watch: bool,
}

impl ProgressOf {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let mut looks = Looks::default();
        let is_live = self.watch && !global.json && std::io::stdout().is_terminal();
        if is_live {
            output::bytes(b"\x1b[2J");
        }
        let mut failures = 0;
        loop {
            let (node, mut progress) = match ask(client, global).await {
                Ok(told) => told,
                Err(failure @ Failure::Call(_)) if self.watch && failures < FAILURES_MAX => {
                    failures += 1;
                    output::remark(&format!("{failure}; looking again"));
                    tokio::time::sleep(EVERY).await;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            failures = 0;
            looks.add(Instant::now(), &progress);
            if !self.watch && is_flowing(&progress) {
                // One look has no rate.
                tokio::time::sleep(EVERY).await;
                if let Ok((_, later)) = ask(client, global).await {
                    looks.add(Instant::now(), &later);
                    progress = later;
                }
            }
            if progress.layout.number != client.ring().epoch().number {
                global.refresh(client).await;
            }
            if global.json {
                output::json(&json::value(client, node, &progress, &looks));
            } else {
                show(&text::lines(client, node, &progress, &looks), is_live);
            }
            let is_through = progress.phase.is_steady() && progress.waits_for().next().is_none();
            if !self.watch || is_through {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// On a terminal each look is written over the one before.
fn show(lines: &[String], is_live: bool) {
    if !is_live {
        return lines.iter().for_each(|line| output::line(line));
    }
    let mut screen = String::from("\x1b[H");
    for line in lines.iter().flat_map(|line| line.lines()) {
        screen.push_str(line);
        screen.push_str("\x1b[K\n");
    }
    screen.push_str("\x1b[J");
    output::bytes(screen.as_bytes());
}

/// Whether data is on its way.
fn is_flowing(progress: &Progress) -> bool {
    let sum = Sum::of(progress);
    !progress.phase.is_steady() && !progress.is_paused && sum.bytes_to_come.is_some_and(|left| left > 0)
}

/// What the member knows that drives the change: it asks the others.
async fn ask(client: &Client, global: &Global) -> Result<(NodeId, Progress), Failure> {
    // Members that are down are waited for.
    let options = keeper::options(global);
    let (node, progress) = match client.any_cluster(ClusterCall::Progress, &options).await? {
        (node, ClusterAnswer::Progress(progress)) => (node, *progress),
        (node, _) => return Err(misfit(client, node)),
    };
    let elsewhere = progress.driver.filter(|driver| *driver != node && global.node.is_none());
    let Some(driver) = elsewhere else { return Ok((node, progress)) };
    match client.cluster(driver, ClusterCall::Progress, &options).await {
        Ok(ClusterAnswer::Progress(theirs)) if theirs.layout.number >= progress.layout.number => Ok((driver, *theirs)),
        _ => Ok((node, progress)),
    }
}
