//! `starling cluster`: the members, a plan of changes, deciding on it, and how far a change is.
//!
//! ```text
//! show, candidates            who is there, who waits
//! stage, join, leave, …  ─→   the plan of one node ─→ plan shows it, unstage forgets it
//! commit  revert  recover     decide on a layout                     (decide.rs, declare.rs)
//! progress  pause  resume     a change under way
//! ```
//!
//! What is staged is kept by one node, durably; the others do not know it. So these commands look for the node that has
//! a plan ([`keeper`]). Previews are computed here, from the layouts that a node tells ([`preview`]).

mod candidates;
mod changes;
mod decide;
mod declare;
mod keeper;
mod losses;
mod plan;
mod preview;
mod progress;
mod show;
mod stage;

use clap::{Args, Subcommand};
use starling::ids::NodeId;
use starling::ring::RingView;
use starling_client::Client;

use super::args::Global;
use super::exit::Failure;

/// The members of the cluster: look at them, change them, watch a change.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster show                     the members, their zones, weights and partitions
  starling cluster plan --join f:berlin     what would move if f joined in zone berlin; changes nothing
  starling cluster join f                   stage it; f runs and waits (starling-node issue-member made its bundle)
  starling cluster commit                   decide on what is staged; data begins to move
  starling cluster progress --watch         until it is through
  starling cluster replace c g --dead       what would be lost if c never comes back; --declare-lost: g takes what it had

A change is staged, looked at, and committed; nothing moves before. One change at a time. Staging and
committing need an admin bundle, looking does not.")]
pub(crate) struct Cluster {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Show(show::Show),
    Candidates(candidates::Candidates),
    Plan(plan::Plan),
    Stage(stage::Stage),
    Unstage(stage::Unstage),
    Join(stage::Join),
    Leave(stage::Leave),
    Drain(stage::Drain),
    Weight(stage::Weight),
    Zone(stage::Zone),
    Address(stage::Address),
    Replace(declare::Replace),
    Fence(declare::Fence),
    ZoneLost(declare::ZoneLost),
    Commit(decide::Commit),
    Revert(decide::Revert),
    Recover(declare::Recover),
    Progress(progress::ProgressOf),
    Pause(progress::Pause),
    Resume(progress::Resume),
}

impl Cluster {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        global.refresh(client).await;
        match &self.action {
            Action::Show(show) => {
                let (teller, ring) = client.present_ring(&global.options()).await?;
                show.run(client, global, teller, &ring)
            }
            Action::Candidates(action) => action.run(client, global).await,
            Action::Plan(action) => action.run(client, global).await,
            Action::Stage(action) => action.run(client, global).await,
            Action::Unstage(action) => action.run(client, global).await,
            Action::Join(action) => action.run(client, global).await,
            Action::Leave(action) => action.run(client, global).await,
            Action::Drain(action) => action.run(client, global).await,
            Action::Weight(action) => action.run(client, global).await,
            Action::Zone(action) => action.run(client, global).await,
            Action::Address(action) => action.run(client, global).await,
            Action::Replace(action) => action.run(client, global).await,
            Action::Fence(action) => action.run(client, global).await,
            Action::ZoneLost(action) => action.run(client, global).await,
            Action::Commit(action) => action.run(client, global).await,
            Action::Revert(action) => action.run(client, global).await,
            Action::Recover(action) => action.run(client, global).await,
            Action::Progress(action) => action.run(client, global).await,
            Action::Pause(action) => action.run(client, global).await,
            Action::Resume(action) => action.run(client, global).await,
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

/// An answer of another kind than the question asks for.
fn misfit(client: &Client, node: NodeId) -> Failure {
    Failure::Incomplete(format!(
        "the answer of {} does not fit the question; its version may differ",
        client.name_of(node)
    ))
}
