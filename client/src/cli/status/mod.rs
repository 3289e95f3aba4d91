//! `starling status`: every node asked directly, so that one sees what each one sees.
//!
//! ```text
//! this one     the question, the table          convergence  how far the replicas are apart, in a line
//! remarks      what needs a sentence            settling     who waits for whom before anything is forgotten
//! json         all of it, for programs
//! ```

mod convergence;
mod json;
mod remarks;
mod settling;

use clap::Args;
use comfy_table::Table;
use starling::ids::NodeId;
use starling::message::client::{NodeStatus, PeerStatus};
use starling_client::{Client, Convergence, Error};

use super::args::Global;
use super::exit::Failure;
use super::{everyone, output};

/// Show the nodes: up or not, whom each one sees, what it owes to whom.
///
/// Its epoch and layout and injected faults, too. Asks every node directly (with --node, only that one).
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling status
  starling --node a status
  starling --json status | jq '.nodes[] | {name, sees}'
  watch -n1 starling status

Columns:
  epoch     random number of this start of the node; it changes with every start
  owns      partitions that belong to the node; in brackets those that it has not yet taken over
  sees      the peers that answer it; !name is one that does not
  owes      rows that it holds for others until they are back
  settling  own partitions in which something has not been summed up and forgotten yet; who is waited for, and until
            when, stands below (after a write one to two hours: so long a node writes under one actor)
  sync      time of the disk's last sync

The line below the table says how far the replicas are apart: writes that were answered and that some owner has not
confirmed (a row that is owed counts once), the age of the oldest, and the share of copies of partitions that were equal
to all others when they were last compared, within three intervals of the exchange.")]
pub(crate) struct Status {}

type Asked = (NodeId, Result<NodeStatus, Error>);

impl Status {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        global.refresh(client).await;
        let nodes = match global.pinned(client)? {
            Some(node) => vec![node],
            None => everyone::members(client),
        };
        let options = global.options();
        let asked = everyone::ask(&nodes, |node| {
            let (client, options) = (client.clone(), options.clone());
            async move { client.status(node, &options).await }
        })
        .await;
        if global.json {
            output::json(&json::of(client, &asked));
        } else {
            output::line(&headline(client));
            output::line(&as_table(client, &asked).to_string());
            output::line(&convergence::text(client, &sum(&asked)));
            for remark in asked.iter().flat_map(|(node, status)| remarks::of(client, *node, status)) {
                output::line(&remark);
            }
        }
        verdict(client, &asked)
    }
}

/// Fails if nobody answered for one reason (certificates, say), or if some did not.
fn verdict(client: &Client, asked: &[Asked]) -> Result<(), Failure> {
    let failed = asked.iter().filter_map(|(node, status)| Some((node, status.as_ref().err()?))).collect::<Vec<_>>();
    if failed.is_empty() {
        return Ok(());
    }
    if let Some((_, error)) = failed.first()
        && failed.len() == asked.len()
        && failed.iter().all(|(_, error)| error.is_certificate_refused())
    {
        return Err(Failure::Call((*error).clone()));
    }
    let names = failed.iter().map(|(node, _)| client.name_of(**node)).collect::<Vec<_>>().join(", ");
    Err(Failure::Incomplete(format!("{} of {} nodes did not answer: {names}", failed.len(), asked.len())))
}

fn sum(asked: &[Asked]) -> Convergence {
    Convergence::of(asked.iter().map(|(node, status)| (*node, status.as_ref().ok())))
}

fn headline(client: &Client) -> String {
    let ring = client.ring();
    let layout = ring.layout();
    format!(
        "cluster {} ({}): layout {}, N={} R={} W={}, {} partitions, {}",
        layout.name,
        layout.cluster,
        layout.epoch.number,
        layout.replicas,
        layout.read_quorum,
        layout.write_quorum,
        layout.partitions,
        output::count(layout.members.len() as u64, "member"),
    )
}

fn as_table(client: &Client, asked: &[Asked]) -> Table {
    let mut table =
        output::table(["node", "address", "state", "epoch", "layout", "owns", "sees", "owes", "settling", "sync"]);
    for (node, status) in asked {
        let address = client.ring().layout().member(*node).map(|member| member.address.clone()).unwrap_or_default();
        let name = client.name_of(*node);
        match status {
            Ok(status) => table.add_row(vec![
                name,
                address,
                format!("up {} (start {})", uptime(status.uptime_s), status.starts),
                status.epoch.clone(),
                status.layout.number.to_string(),
                owns(status),
                sees(client, &status.shards.peers),
                owes(client, &status.shards.peers),
                settling::unsettled(status),
                output::micros(status.last_sync_us),
            ]),
            Err(_) => table.add_row(vec![name.into(), address.into(), output::alarm("UNREACHABLE")]),
        };
    }
    table
}

fn owns(status: &NodeStatus) -> String {
    match status.shards.newborn_partitions {
        0 => status.shards.owned_partitions.to_string(),
        newborn => format!("{} ({newborn} newborn)", status.shards.owned_partitions),
    }
}

fn sees(client: &Client, peers: &[PeerStatus]) -> String {
    let one = |peer: &PeerStatus| {
        let mark = if peer.is_reachable { "" } else { "!" };
        format!("{mark}{}", client.name_of(peer.node))
    };
    peers.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn owes(client: &Client, peers: &[PeerStatus]) -> String {
    let owed = peers.iter().filter(|peer| peer.owed_rows > 0);
    let text = owed.map(|peer| format!("{} to {}", peer.owed_rows, client.name_of(peer.node))).collect::<Vec<_>>();
    if text.is_empty() { "-".into() } else { text.join(", ") }
}

pub(super) fn uptime(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
