//! Which node keeps the plan: it is staged at one, and the others know nothing of it.

use std::time::Duration;

use starling::ids::NodeId;
use starling::message::client::{ClusterAnswer, ClusterCall, Options, PlanView};
use starling_client::{Client, Error};

use super::misfit;
use crate::cli::args::Global;
use crate::cli::everyone;
use crate::cli::exit::Failure;

/// How long deciding may take if no --deadline is given: longer than a node tries, which then says how it stands.
const PATIENCE: Duration = Duration::from_secs(15);

/// How requests are to be carried out, with the patience that deciding needs.
pub(super) fn options(global: &Global) -> Options {
    let options = global.options();
    Options { deadline_ms: options.deadline_ms.or(Some(PATIENCE.as_millis() as u32)), ..options }
}

/// What every member answers to a call, or the one that `--node` names.
pub(super) async fn ask_all(
    client: &Client,
    global: &Global,
    call: ClusterCall,
) -> Result<Vec<(NodeId, Result<ClusterAnswer, Error>)>, Failure> {
    let nodes: Vec<NodeId> = match global.pinned(client)? {
        Some(node) => vec![node],
        None => everyone::members(client),
    };
    let options = global.options();
    let ask = |node| {
        let (client, call, options) = (client.clone(), call.clone(), options.clone());
        async move { client.cluster(node, call, &options).await }
    };
    Ok(everyone::ask(&nodes, ask).await)
}

/// The node that keeps a plan, or where one is best staged.
pub(super) struct Found {
    pub(super) node: NodeId,
    /// What it keeps.
    pub(super) view: Option<PlanView>,
    /// Names of members that did not answer, and are not declared lost: they may keep a plan, too.
    pub(super) silent: Vec<String>,
}

/// The node that keeps a plan, with it; without a plan anywhere the one where one is best staged. `--node` decides.
pub(super) async fn find(client: &Client, global: &Global) -> Result<Found, Failure> {
    let answers = ask_all(client, global, ClusterCall::Plan).await?;
    let (mut without, mut with, mut silent, mut refused) = (Vec::new(), Vec::new(), Vec::new(), None);
    let ring = client.ring();
    for (node, answer) in answers {
        match answer {
            Ok(ClusterAnswer::Plan(Some(view))) => with.push((node, *view)),
            Ok(ClusterAnswer::Plan(None)) => without.push(node),
            Ok(_) => return Err(misfit(client, node)),
            Err(error) => {
                if !ring.is_fenced(node) {
                    silent.push(client.name_of(node));
                }
                refused = refused.or(Some(error));
            }
        }
    }
    if with.len() > 1 {
        let names: Vec<String> = with.iter().map(|(node, _)| client.name_of(*node)).collect();
        return Err(Failure::Usage(format!(
            "{} each keep a plan of their own; say which with --node, and forget the other with `starling --node … cluster \
             unstage`",
            names.join(" and ")
        )));
    }
    match (with.pop(), without.first(), refused) {
        (Some((node, view)), _, _) => Ok(Found { node, view: Some(view), silent }),
        (None, Some(node), _) => Ok(Found { node: *node, view: None, silent }),
        (None, None, Some(error)) => Err(error.into()),
        (None, None, None) => Err(Failure::Usage("the layout has no members".into())),
    }
}

/// The plan that is kept somewhere, or that there is none.
pub(super) async fn plan(client: &Client, global: &Global) -> Result<(NodeId, PlanView), Failure> {
    match find(client, global).await? {
        Found { node, view: Some(view), .. } => Ok((node, view)),
        Found { silent, .. } if silent.is_empty() => {
            Err(Failure::Usage("nothing is staged; see `starling cluster stage --help`".into()))
        }
        Found { silent, .. } => Err(Failure::Incomplete(format!(
            "nothing is staged at those who answer; {} did not, and may keep a plan",
            silent.join(", ")
        ))),
    }
}
