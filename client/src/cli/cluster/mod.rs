//! `starling cluster show|plan`: the members, and what a change of them would move.
//!
//! Both ask one node for the committed layout and compute the rest here. Nothing is staged and nothing is changed: this
//! version cannot commit a change of the members.

mod plan;
mod show;

use clap::{Args, Subcommand};
use starling::ids::NodeId;
use starling::ring::RingView;
use starling_client::Client;

use super::args::Global;
use super::exit::Failure;

/// The members of the cluster, and what a change of them would move.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster show                          the members, their zones, weights and partitions
  starling --node b cluster show                 as node b has them
  starling cluster plan --join f:berlin          what would move if f joined in zone berlin")]
pub(crate) struct Cluster {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Show(show::Show),
    Plan(plan::Plan),
}

impl Cluster {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (teller, ring) = client.present_ring(&global.options()).await?;
        match &self.action {
            Action::Show(show) => show.run(client, global, teller, &ring),
            Action::Plan(plan) => plan.run(client, global, teller, &ring),
        }
    }
}

/// Which layout it is, and who told it.
fn headline(client: &Client, teller: NodeId, ring: &RingView) -> String {
    let layout = ring.layout();
    format!(
        "cluster {} ({}): layout {}, {}, N={} R={} W={}, {} partitions, as {} tells it",
        layout.name,
        layout.cluster,
        layout.epoch.number,
        layout.phase,
        layout.replicas,
        layout.read_quorum,
        layout.write_quorum,
        layout.partitions,
        client.name_of(teller),
    )
}

/// A zone for people.
fn zone_text(zone: &str) -> &str {
    if zone.is_empty() { "(its own)" } else { zone }
}
