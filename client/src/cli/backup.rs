//! `starling backup`: nodes keep a copy of their directory as it is, while they run.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use starling::ids::NodeId;
use starling::message::client::{BackupTaken, Options};
use starling_client::{Client, Error};

use super::args::Global;
use super::exit::Failure;
use super::{everyone, output};

/// How long is waited for the word of a node whether it owes anything. Unit: milliseconds.
const STATUS_MS: u32 = 2_000;

/// How long is waited for a backup if no --deadline is given.
const PATIENCE: Duration = Duration::from_secs(60);

/// Take a backup of one node, or of all, while they run.
///
/// Needs an admin bundle. Each node writes to its own machine, into the directory of its setting `backups`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling --bundle shop/admin backup nightly-1 --all           each node into its own DATA.backups/nightly-1
  starling --bundle shop/admin --node a backup before-upgrade

A backup is true to its node's own log: all that the node had acknowledged before is in it. Those of several nodes are not of
one moment; if it is said that rows are owed, take a second round under another name. Copy them to another machine, and turn them into a new cluster with `starling-node restore`: --help says how.
If no answer comes in time, the node goes on: ask again under the same name, and it says that it is there, and how old it is.

Exit code 0: every node that was asked has a backup of this name. 1: one that was asked refused. 4: one could not be reached, or
did not answer in time. What the others did stands in the output, in each case.")]
pub(crate) struct Backup {
    /// Name of the backup: 1 to 63 of a-z, A-Z, 0-9, '-', '_', '.'
    #[arg(value_name = "NAME")]
    name: String,
    /// Ask every node of the layout
    #[arg(long)]
    all: bool,
}

impl Backup {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        global.refresh(client).await;
        let nodes: Vec<NodeId> = match (&global.node, self.all) {
            (Some(name), false) => vec![client.node_named(name)?],
            (None, true) => everyone::members(client),
            (Some(_), true) => return Err(Failure::Usage("either --node NAME or --all, not both".into())),
            (None, false) => return Err(Failure::Usage("say of which node: --node NAME, or --all".into())),
        };
        let mut options = global.options();
        options.deadline_ms = options.deadline_ms.or(Some(PATIENCE.as_millis() as u32));
        let owed = owed(client, &options).await;
        if owed > 0 {
            output::remark(&format!(
                "{owed} rows are owed to nodes that were away: what is delivered while backups are taken may be in none of \
                 them; take a second round under another name, and restore both together"
            ));
        }
        let answers = everyone::ask(&nodes, |node| {
            let (client, name, options) = (client.clone(), self.name.clone(), options.clone());
            async move { client.backup(node, &name, &options).await }
        })
        .await;
        self.show(client, global, &answers);
        verdict(client, &answers)
    }

    fn show(&self, client: &Client, global: &Global, answers: &[(NodeId, Result<BackupTaken, Error>)]) {
        if global.json {
            let nodes = answers.iter().map(|(node, answer)| match answer {
                Ok(BackupTaken { place, files, bytes, took_ms, already_ms_ago }) => json!({
                    "name": client.name_of(*node), "place": place, "files": files, "bytes": bytes, "took_ms": took_ms,
                    "already_ms_ago": already_ms_ago,
                }),
                Err(error) => json!({ "name": client.name_of(*node), "error": everyone::reason(error) }),
            });
            return output::json(&json!({ "backup": self.name, "nodes": nodes.collect::<Vec<_>>() }));
        }
        for (node, answer) in answers {
            let text = match answer {
                Ok(BackupTaken { place, files, bytes, took_ms, already_ms_ago }) => {
                    let (files, bytes) = (output::count(*files, "file"), output::count(*bytes, "byte"));
                    match already_ms_ago {
                        None => format!("{place} ({files}, {bytes}, {took_ms} ms)"),
                        Some(ms) => format!("{place} was there already, taken {} s ago ({files}, {bytes})", ms / 1000),
                    }
                }
                Err(error) => format!("NO BACKUP: {}", everyone::reason(error)),
            };
            output::line(&format!("{}: {text}", client.name_of(*node)));
        }
    }
}

/// What nodes hold for others at this moment, as far as they answer.
async fn owed(client: &Client, options: &Options) -> u64 {
    let members = everyone::members(client);
    let options = Options { deadline_ms: Some(STATUS_MS), ..options.clone() };
    let answers = everyone::ask(&members, |node| {
        let (client, options) = (client.clone(), options.clone());
        async move { client.status(node, &options).await }
    })
    .await;
    let shards = answers.into_iter().filter_map(|(_, answer)| Some(answer.ok()?.shards));
    shards.map(|shard| shard.ledger_entries + shard.peers.iter().map(|peer| peer.owed_rows).sum::<u64>()).sum()
}

/// A refusal of the one node that was asked speaks for itself; of several nodes it is told what each of them did.
fn verdict(client: &Client, answers: &[(NodeId, Result<BackupTaken, Error>)]) -> Result<(), Failure> {
    let errors = || answers.iter().filter_map(|(node, answer)| Some((*node, answer.as_ref().err()?)));
    if let Some((_, error)) = errors().find(|(_, error)| error.is_certificate_refused()) {
        return Err(Failure::Call(error.clone()));
    }
    let names = |which: &dyn Fn(&Error) -> bool| -> Vec<String> {
        errors().filter(|(_, error)| which(error)).map(|(node, _)| client.name_of(node)).collect()
    };
    let is_refusal = |error: &Error| matches!(error, Error::Refused { .. });
    let is_unasked = |error: &Error| matches!(error, Error::Unreachable { .. } | Error::NotSent { .. });
    let refused = names(&is_refusal);
    let unasked = names(&is_unasked);
    let silent = names(&|error| !is_refusal(error) && !is_unasked(error));
    if let ([(_, Err(error))], [_]) = (answers, refused.as_slice()) {
        return Err(Failure::Call(error.clone()));
    }
    let mut told = Vec::new();
    if !refused.is_empty() {
        told.push(format!("{} refused, for the reason that stands above", refused.join(", ")));
    }
    if !unasked.is_empty() {
        told.push(format!("{} could not be reached, and no backup was begun there", unasked.join(", ")));
    }
    if !silent.is_empty() {
        told.push(format!(
            "no answer came from {}: a backup may be under way there, ask again under the same name",
            silent.join(", ")
        ));
    }
    let taken: Vec<String> =
        answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(node, _)| client.name_of(*node)).collect();
    if !taken.is_empty() && !told.is_empty() {
        told.push(format!("{} have theirs", taken.join(", ")));
    }
    match (told.is_empty(), refused.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::Incomplete(told.join("; "))),
        (false, false) => Err(Failure::Refused(told.join("; "))),
    }
}
