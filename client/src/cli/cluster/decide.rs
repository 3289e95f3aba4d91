//! `starling cluster commit` and `revert`: deciding on a layout.

use clap::Args;
use serde_json::json;
use starling::ids::NodeId;
use starling::membership::LayoutEpoch;
use starling::message::client::{ClusterAnswer, ClusterCall};
use starling_client::Client;

use super::changes::with_names;
use super::{keeper, misfit};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Decide on what is staged: a majority of the voters agrees, and data begins to move
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster plan                          look at it first
  starling cluster commit
  starling cluster commit --plan 3f1c09aa12bc7d40    only if it is still what was shown (plan --json: content)

Exit code 3 says that it is not known whether it was decided: commit again, which finishes it or says what was decided.")]
pub(crate) struct Commit {
    /// Only if the layout to come has this hash
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
}

/// Take back the change that is under way, while it is moving
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster revert

Nothing that was written meanwhile is lost. Once the new owners are read it is refused: stage the opposite change then.
That a member is lost is not taken back: if the change said so, others take over what that one owned.")]
pub(crate) struct Revert {}

impl Commit {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (node, view) = keeper::plan(client, global).await?;
        let next = view.next.map_err(|refused| {
            let text = with_names(&refused.to_string(), &view.present);
            Failure::Usage(format!("what is staged cannot be committed: {text}. `starling cluster unstage` forgets it"))
        })?;
        let shown = format!("{:016x}", next.epoch.content);
        if let Some(expected) = &self.plan
            && *expected != shown
        {
            return Err(Failure::Usage(format!("the layout to come has the hash {shown} now; look at the plan again")));
        }
        let call = ClusterCall::Commit { base: view.plan.base, content: next.epoch.content };
        decide(client, global, node, call).await
    }
}

impl Revert {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let node = match global.pinned(client)? {
            Some(node) => node,
            None => client.present_ring(&global.options()).await?.0,
        };
        decide(client, global, node, ClusterCall::Revert).await
    }
}

async fn decide(client: &Client, global: &Global, node: NodeId, call: ClusterCall) -> Result<(), Failure> {
    match client.cluster(node, call, &keeper::options(global)).await? {
        ClusterAnswer::Committed(epoch) => {
            committed(client, global, node, epoch);
            Ok(())
        }
        _ => Err(misfit(client, node)),
    }
}

/// Says what was decided.
pub(super) fn committed(client: &Client, global: &Global, node: NodeId, epoch: LayoutEpoch) {
    if global.json {
        output::json(&json!({
            "committed": true,
            "number": epoch.number,
            "content": format!("{:016x}", epoch.content),
            "told_by": client.name_of(node),
        }));
        return;
    }
    output::line(&format!(
        "layout {} was decided ({} says so); `starling cluster progress --watch` shows how far it is",
        epoch.number,
        client.name_of(node)
    ));
}
