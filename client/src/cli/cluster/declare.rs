//! What declares members lost: `replace --dead`, `fence`, `zone-lost`, `recover`. Each says what that means, and does
//! nothing before that is confirmed.

use clap::Args;
use starling::ids::NodeId;
use starling::membership::{Change, ChangeError, Layout, Plan};
use starling::message::client::{ClusterAnswer, ClusterCall};
use starling::ring::RingView;
use starling::ring::change::{Preview, PreviewError};
use starling_client::Client;

use super::changes::{Newcomers, id_of, with_names};
use super::{candidates, decide, keeper, misfit, preview, stage};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Stage: a new member takes exactly what another one has
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster replace c g                   c hands over to g, and goes
  starling cluster replace c g --dead            says what would be lost if c never comes back
  starling cluster replace c g --dead --declare-lost     stages it: g takes over from the other owners

With --dead, writes that only c had acknowledged are lost: none of those that two nodes hold.")]
pub(crate) struct Replace {
    /// Who goes
    old: String,
    /// Who comes; it waits to be let join
    new: String,
    /// The old one never comes back under this id; what only it has is lost
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    declaration: Declaration,
}

/// How far a declaration of loss is meant.
#[derive(Clone, Copy, Debug, Args)]
struct Declaration {
    /// Without it, only says what would be lost
    #[arg(long)]
    declare_lost: bool,
    /// Go on although partitions lose their last owner, or a quorum, by it
    #[arg(long)]
    accept_loss: bool,
}

/// Stage: a member is declared lost: it may never speak again under its id
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster fence c                       says what would be lost
  starling cluster fence c --declare-lost        stages it; then: starling cluster commit

Its machine can come back only as a new member (starling-node issue-member) with an empty directory.")]
pub(crate) struct Fence {
    /// Who
    name: String,
    #[command(flatten)]
    declaration: Declaration,
}

/// Stage: every member of a zone is declared lost
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster zone-lost berlin              says what would be lost
  starling cluster zone-lost berlin --declare-lost")]
pub(crate) struct ZoneLost {
    /// Which
    zone: String,
    #[command(flatten)]
    declaration: Declaration,
}

/// Decide without a majority of the voters: only the survivors are left, all others are declared lost
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster recover --survivors a,b --i-accept-loss shop

Only for a majority of voters that is lost for ever: if it lives on somewhere, there are two clusters afterwards, and the
nodes of one of them must be wiped. Refused while a majority answers. Name every node that is left.")]
pub(crate) struct Recover {
    /// Every member that is left
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', required = true)]
    survivors: Vec<String>,
    /// The cluster's name: what only the others had is lost
    #[arg(long, value_name = "CLUSTER")]
    i_accept_loss: Option<String>,
}

impl Replace {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (_, ring) = client.present_ring(&global.options()).await?;
        let old = id_of(ring.layout(), &self.old)?;
        let new = Newcomers::Waiting(candidates::all(client, global).await?).named(&self.new)?;
        let change = Change::Replace { old, new, is_dead: self.dead };
        if self.dead {
            return declare(client, global, &ring, change, self.declaration).await;
        }
        if self.declaration.declare_lost {
            let why = "who is declared lost does not hand over: say --dead too";
            return Err(Failure::Usage(format!("{why}; nothing was staged")));
        }
        stage::stage(client, global, vec![change], self.declaration.accept_loss).await
    }
}

impl Fence {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (_, ring) = client.present_ring(&global.options()).await?;
        let change = Change::Fence(id_of(ring.layout(), &self.name)?);
        declare(client, global, &ring, change, self.declaration).await
    }
}

impl ZoneLost {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (_, ring) = client.present_ring(&global.options()).await?;
        let change = Change::ZoneLost(self.zone.clone());
        declare(client, global, &ring, change, self.declaration).await
    }
}

impl Recover {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        global.refresh(client).await;
        let survivors: Result<Vec<NodeId>, _> = self.survivors.iter().map(|name| client.node_named(name)).collect();
        let survivors = survivors?;
        let ring = client.ring();
        let is_lost = |node: &NodeId| !survivors.contains(node) && !ring.layout().is_fenced(*node);
        let lost = ring.layout().members.iter().filter(|member| is_lost(&member.id));
        let lost: Vec<&str> = lost.map(|member| member.name.as_str()).collect();
        if lost.is_empty() {
            let why = "every member would survive, so nobody is lost; a change needs only a majority (starling cluster commit)";
            return Err(Failure::Usage(format!("{why}; nothing was changed")));
        }
        let gone = ring.partitions().filter(|partition| ring.readers(*partition).iter().all(is_lost)).count();
        let says = format!(
            "{} may never speak again under this id, and may come back only as new members with empty directories. Declared \
             lost with it: {}. If a majority of the voters lives on somewhere, there will be two clusters",
            lost.join(", "),
            lost_with(gone as u64)
        );
        let Some(cluster) = self.i_accept_loss.clone() else {
            return Err(Failure::Usage(format!(
                "{says}. Confirm with --i-accept-loss {}; nothing was changed",
                ring.layout().name
            )));
        };
        output::remark(&says);
        let node = match global.pinned(client)? {
            Some(node) => node,
            None => *survivors.first().ok_or_else(|| Failure::Usage("name the survivors".into()))?,
        };
        let call = ClusterCall::Recover { survivors, cluster };
        match client.cluster(node, call, &keeper::options(global)).await? {
            ClusterAnswer::Committed(epoch) => {
                decide::committed(client, global, node, epoch);
                Ok(())
            }
            _ => Err(misfit(client, node)),
        }
    }
}

async fn declare(
    client: &Client,
    global: &Global,
    ring: &RingView,
    change: Change,
    Declaration { declare_lost, accept_loss }: Declaration,
) -> Result<(), Failure> {
    let says = statement(ring, std::slice::from_ref(&change), accept_loss)?;
    if !declare_lost {
        return Err(Failure::Usage(format!("{says}. Confirm with --declare-lost; nothing was staged")));
    }
    output::remark(&says);
    stage::stage(client, global, vec![change], accept_loss).await
}

/// What is declared lost by these changes.
fn statement(ring: &RingView, changes: &[Change], accepts_loss: bool) -> Result<String, Failure> {
    let layout = ring.layout();
    let plan = Plan { base: layout.epoch, changes: changes.to_vec(), accepts_loss };
    let preview = Preview::of(ring, &plan).map_err(|refused| {
        let text = with_names(&refused.to_string(), layout);
        let is_loss = matches!(
            refused,
            PreviewError::Change(ChangeError::LastHolder { .. } | ChangeError::WouldBreakQuorum { .. })
        );
        let accept = if is_loss { " (--accept-loss says so)" } else { "" };
        Failure::Usage(format!("{text}{accept}; nothing was staged"))
    })?;
    let lost = newly_lost(&preview, layout);
    let partitions = preview::declared_lost(&preview, layout);
    let what = lost_with(partitions);
    Ok(format!("{} may never speak again under this id. Declared lost with it: {what}", lost.join(", ")))
}

/// What goes with members of which so many partitions have no other owner.
fn lost_with(partitions: u64) -> String {
    match partitions {
        0 => "writes that nobody else holds; of every partition another owner is left".to_owned(),
        partitions => format!("{} of which no owner is left, whole", output::count(partitions, "partition")),
    }
}

fn newly_lost(preview: &Preview, layout: &Layout) -> Vec<String> {
    let lost = preview.next.fenced.iter().filter(|fenced| !layout.is_fenced(fenced.node));
    lost.map(|fenced| layout.member(fenced.node).map_or_else(|| fenced.node.to_string(), |member| member.name.clone()))
        .collect()
}
