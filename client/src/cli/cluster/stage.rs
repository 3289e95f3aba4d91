//! `starling cluster stage`, and the commands that stage one change: nothing moves before the commit.

use clap::Args;
use starling::membership::{Change, Plan};
use starling::message::client::{ClusterAnswer, ClusterCall};
use starling_client::Client;

use super::changes::{Changes, Newcomers, id_of, pair, weight_of, with_names};
use super::keeper::Found;
use super::{candidates, keeper, misfit, preview};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Stage changes of the members; nothing moves before `commit`
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster stage --join f --leave c --weight b=2    together: one change, one move
  starling cluster stage --join f:berlin                    f, in another zone than its bundle says

What is staged is kept by one node, also over restarts. More can be staged beside it.")]
pub(crate) struct Stage {
    #[command(flatten)]
    changes: Changes,
    /// Members may be declared lost although partitions lose their last owner, or a quorum, by it
    #[arg(long)]
    accept_loss: bool,
}

/// Forget what is staged
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster unstage")]
pub(crate) struct Unstage {}

/// Stage: a node that waits joins the cluster
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster join f                        as its bundle says
  starling cluster join f --zone berlin --weight 2")]
pub(crate) struct Join {
    /// Its name; `starling cluster candidates` lists those that wait
    name: String,
    /// Another zone than its bundle says
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Another share of the data than its bundle says
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
}

/// Stage: a member goes, after it has handed over
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster leave c

Its process ends by itself when all it had is with the others; keep it running until then.")]
pub(crate) struct Leave {
    /// Who
    name: String,
}

/// Stage: a member hands over all it has, and stays a member without data
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster drain c                       the same as: starling cluster weight c=0")]
pub(crate) struct Drain {
    /// Who
    name: String,
}

/// Stage: another share of the data
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster weight c=2")]
pub(crate) struct Weight {
    /// Whose, and how much; 1 is normal, 0 drains
    #[arg(value_name = "NAME=WEIGHT")]
    what: String,
}

/// Stage: another zone
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster zone c=berlin
  starling cluster zone c=                       a zone of its own")]
pub(crate) struct Zone {
    /// Whose, and which
    #[arg(value_name = "NAME=ZONE")]
    what: String,
}

/// Stage: another address of the same member, with the same directory
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster address c=db9.example:7001")]
pub(crate) struct Address {
    /// Whose, and where
    #[arg(value_name = "NAME=HOST:PORT")]
    what: String,
}

impl Stage {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        if self.changes.declares_lost() && !self.accept_loss {
            return Err(Failure::Usage(
                "members are declared lost by this; use `starling cluster fence` or `zone-lost`, which say what is lost, or add \
                 --accept-loss; nothing was staged"
                    .into(),
            ));
        }
        let (_, ring) = client.present_ring(&global.options()).await?;
        let mut newcomers = Newcomers::Waiting(match self.changes.join.is_empty() && self.changes.replace.is_empty() {
            true => Vec::new(),
            false => candidates::all(client, global).await?,
        });
        let changes = self.changes.read(ring.layout(), &mut newcomers)?;
        stage(client, global, changes, self.accept_loss).await
    }
}

impl Unstage {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (node, _) = keeper::plan(client, global).await?;
        match client.cluster(node, ClusterCall::DropPlan, &keeper::options(global)).await? {
            ClusterAnswer::PlanDropped => {
                output::line(&format!("{} has forgotten its plan; nothing was changed", client.name_of(node)));
                Ok(())
            }
            _ => Err(misfit(client, node)),
        }
    }
}

impl Join {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let mut member = Newcomers::Waiting(candidates::all(client, global).await?).named(&self.name)?;
        member.zone = self.zone.clone().unwrap_or(member.zone);
        member.weight = self.weight.unwrap_or(member.weight);
        stage(client, global, vec![Change::Join(member)], false).await
    }
}

impl Leave {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        one(client, global, &self.name, Change::Leave).await
    }
}

impl Drain {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        one(client, global, &self.name, |node| Change::Weight { node, weight: 0 }).await
    }
}

impl Weight {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (name, weight) = pair("weight", &self.what, "2")?;
        let weight = weight_of(weight)?;
        one(client, global, name, |node| Change::Weight { node, weight }).await
    }
}

impl Zone {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (name, zone) = pair("zone", &self.what, "berlin")?;
        one(client, global, name, |node| Change::Zone { node, zone: zone.to_owned() }).await
    }
}

impl Address {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (name, address) = pair("address", &self.what, "db9.example:7001")?;
        one(client, global, name, |node| Change::Address { node, address: address.to_owned() }).await
    }
}

/// Stages one change of a member, and shows what is staged then.
async fn one(
    client: &Client,
    global: &Global,
    name: &str,
    change: impl FnOnce(starling::ids::NodeId) -> Change,
) -> Result<(), Failure> {
    let (_, ring) = client.present_ring(&global.options()).await?;
    let node = id_of(ring.layout(), name)?;
    stage(client, global, vec![change(node)], false).await
}

/// Stages changes at the node that keeps the plan, and shows what is staged then.
pub(super) async fn stage(
    client: &Client,
    global: &Global,
    changes: Vec<Change>,
    accepts_loss: bool,
) -> Result<(), Failure> {
    let Found { node, view: staged, silent } = keeper::find(client, global).await?;
    if staged.is_none() && !silent.is_empty() {
        output::remark(&format!("{} did not answer, and may keep a plan, too", silent.join(", ")));
    }
    if staged.as_ref().is_some_and(|staged| changes.iter().any(|change| staged.plan.changes.contains(change))) {
        return Err(Failure::Usage(
            "that is staged already: `starling cluster plan` shows it, `commit` decides on it, `unstage` forgets it"
                .into(),
        ));
    }
    if changes.len() > 1 {
        // They are staged one by one: whether all of them can be is looked at before the first.
        let (_, ring) = client.present_ring(&global.options()).await?;
        let empty = || Plan { base: ring.epoch(), changes: Vec::new(), accepts_loss };
        let mut plan = staged.as_ref().map_or_else(empty, |staged| staged.plan.clone());
        plan.accepts_loss |= accepts_loss;
        for change in &changes {
            plan.changes.push(change.clone());
            plan.apply(&ring).map_err(|refused| {
                let text = with_names(&refused.to_string(), ring.layout());
                Failure::Refused(format!("not applied: {text}; nothing was staged"))
            })?;
        }
    }
    let mut view = None;
    for change in changes {
        let call = ClusterCall::Stage { change, accepts_loss };
        match client.cluster(node, call, &keeper::options(global)).await? {
            ClusterAnswer::Plan(Some(staged)) => view = Some(staged),
            _ => return Err(misfit(client, node)),
        }
    }
    match view {
        Some(view) => preview::staged(client, global, node, &view).await,
        None => Ok(()),
    }
}
