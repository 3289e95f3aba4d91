//! `starling cluster candidates`: nodes that wait to be let join.

use clap::Args;
use serde_json::json;
use starling::membership::Member;
use starling::message::client::{ClusterAnswer, ClusterCall};
use starling_client::Client;

use super::{keeper, zone_text};
use crate::cli::args::Global;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Show the nodes that wait to be let join
///
/// They run with a bundle that starling-node issue-member made, and have announced
/// themselves to a member.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling cluster candidates
  starling --json cluster candidates | jq -r '.[].name'")]
pub(crate) struct Candidates {}

impl Candidates {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let waiting = all(client, global).await?;
        if global.json {
            let shown = waiting.iter().map(|member| {
                json!({
                    "name": member.name,
                    "id": member.id.0,
                    "address": member.address,
                    "zone": member.zone,
                    "weight": member.weight,
                })
            });
            output::json(&shown.collect());
            return Ok(());
        }
        if waiting.is_empty() {
            output::line("no node waits to be let join");
            return Ok(());
        }
        let mut table = output::table(["candidate", "id", "address", "zone", "weight"]);
        for member in &waiting {
            table.add_row(vec![
                member.name.clone(),
                member.id.to_string(),
                member.address.clone(),
                zone_text(&member.zone).to_owned(),
                member.weight.to_string(),
            ]);
        }
        output::line(&table.to_string());
        Ok(())
    }
}

/// Those that any member knows. Fails only if nobody answers.
pub(super) async fn all(client: &Client, global: &Global) -> Result<Vec<Member>, Failure> {
    let answers = keeper::ask_all(client, global, ClusterCall::Candidates).await?;
    let (mut waiting, mut error, mut is_told): (Vec<Member>, _, _) = (Vec::new(), None, false);
    for (_, answer) in answers {
        match answer {
            Ok(ClusterAnswer::Candidates(members)) => {
                is_told = true;
                waiting.extend(members);
            }
            Ok(_) => {}
            Err(failed) => error = error.or(Some(failed)),
        }
    }
    match error {
        Some(error) if !is_told => return Err(error.into()),
        _ => {}
    }
    waiting.sort_by_key(|member| member.id);
    waiting.dedup_by_key(|member| member.id);
    Ok(waiting)
}
