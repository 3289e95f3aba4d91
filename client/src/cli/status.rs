//! `starling status`: every node asked directly, so that one sees what each one sees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use serde_json::{Value, json};
use starling::causality::Tick;
use starling::ids::NodeId;
use starling::message::client::{Need, NodeStatus, PartitionStability, PeerLag, PeerStatus, SessionTerms};
use starling_client::{Client, Convergence, Error};

use super::args::Global;
use super::exit::Failure;
use super::{everyone, fault, output};

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
        let nodes = match global.pinned(client)? {
            Some(node) => vec![node],
            None => client.ring().layout().members.iter().map(|member| member.id).collect(),
        };
        let options = global.options();
        let asked = everyone::ask(&nodes, |node| {
            let (client, options) = (client.clone(), options.clone());
            async move { client.status(node, &options).await }
        })
        .await;
        if global.json {
            output::json(&as_json(client, &asked));
        } else {
            output::line(&headline(client));
            output::line(&as_table(client, &asked).to_string());
            output::line(&convergence_text(client, &convergence(&asked)));
            for remark in asked.iter().flat_map(|(node, status)| remarks(client, *node, status)) {
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

fn headline(client: &Client) -> String {
    let layout = client.ring().layout();
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
                unsettled(status),
                output::micros(status.last_sync_us),
            ]),
            Err(_) => table.add_row(vec![name.into(), address.into(), output::alarm("UNREACHABLE")]),
        };
    }
    table
}

/// What needs a sentence: silent peers, faults, alarms.
fn remarks(client: &Client, node: NodeId, status: &Result<NodeStatus, Error>) -> Vec<String> {
    let name = client.name_of(node);
    let status = match status {
        Ok(status) => status,
        Err(error) => return vec![format!("{name} is unreachable: {}", everyone::reason(error))],
    };
    let mut remarks = Vec::new();
    let silent = status.shards.peers.iter().filter(|peer| !peer.is_reachable);
    let silent = silent.map(|peer| match peer.heard_ms_ago {
        Some(ms) => format!("{} (answered {} ago)", client.name_of(peer.node), output::micros(ms.saturating_mul(1000))),
        None => format!("{} (never answered)", client.name_of(peer.node)),
    });
    let silent = silent.collect::<Vec<_>>();
    if !silent.is_empty() {
        remarks.push(format!("{name} does not see {}", silent.join(", ")));
    }
    if !status.faults.links.is_empty() {
        remarks.push(format!("{name}: injected faults: {}", fault::describe(client, &status.faults)));
    }
    if status.layout != client.ring().epoch() {
        remarks.push(format!(
            "{name} has layout {}, this bundle has {}: copy the bundle again",
            layout_text(status.layout),
            layout_text(client.ring().epoch()),
        ));
    }
    if status.is_below_reserve {
        remarks.push(format!(
            "{name}: the disk is below its reserve ({} MiB free): writes are refused",
            status.disk_free_bytes >> 20
        ));
    }
    if status.shards.amnesia_alarms > 0 {
        remarks.push(format!(
            "{name}: {} since its start: it met what it once did and does not remember, so its directory is an earlier copy, \
             or its disk lost what was synced; the log says what was taken over anew",
            output::count(status.shards.amnesia_alarms, "amnesia alarm")
        ));
    }
    if let Some(newest) = status.shards.conflicting.first() {
        let others = match status.shards.conflicting.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more (--json lists them)"),
        };
        remarks.push(format!(
            "{name}: {} since its start, last in {}{others}: two types are live there, or a text beside increments; del covers \
             all of it",
            output::count(status.shards.conflicts, "conflict"),
            newest.key,
        ));
    }
    if let Some(rival) = &status.shards.rival {
        remarks.push(format!(
            "{name}: ALARM: another live process claims to be {name} too (this one is start {}, the other {rival}): both refuse \
             writes; end the one that runs on a copy",
            status.epoch
        ));
    }
    let contested = status.shards.peers.iter().filter(|peer| peer.is_contested);
    let contested = contested.map(|peer| client.name_of(peer.node)).collect::<Vec<_>>();
    if !contested.is_empty() {
        remarks.push(format!("{name}: ALARM: it hears two live processes that claim to be {}", contested.join(", ")));
    }
    if status.shards.claim_alarms > 0 {
        let alarms = output::count(status.shards.claim_alarms, "alarm");
        remarks.push(format!("{name}: {alarms} since its start about two processes of one member"));
    }
    remarks.extend(needs_repair(client, &name, status));
    remarks.extend(read_repairs(&name, status));
    remarks.extend(settling(client, &name, status));
    if status.shards.clock_ahead_ms.abs() >= 1000 {
        remarks.push(format!("{name}: its clock differs by {} ms from its peers'", status.shards.clock_ahead_ms));
    }
    remarks
}

/// What reads found to be missing at owners, once there is something.
fn read_repairs(name: &str, status: &NodeStatus) -> Option<String> {
    let repairs = status.shards.read_repairs;
    let left_out = match repairs.left_out {
        0 => String::new(),
        owners => format!(" ({} left to the exchange)", output::count(owners, "owner")),
    };
    (repairs.missing + repairs.outdated + repairs.left_out > 0).then(|| {
        format!(
            "{name}: its reads since the start repaired {} that owners lacked and {} of which they lacked a part{left_out}",
            output::count(repairs.missing, "row"),
            output::count(repairs.outdated, "row"),
        )
    })
}

/// Who waits for whom before what has expired can be summed up and forgotten, and until when for time. Nodes that wait for
/// their own work need no sentence.
fn settling(client: &Client, name: &str, status: &NodeStatus) -> Vec<String> {
    let mut waits: BTreeMap<(NodeId, Need), u32> = BTreeMap::new();
    for waiting in status.shards.settling.iter().flat_map(|partition| &partition.waiting) {
        *waits.entry((waiting.node, waiting.need)).or_default() += 1;
    }
    let sentence = |((node, need), partitions): ((NodeId, Need), u32)| {
        format!(
            "{name} cannot settle {}: waits for {} {}",
            output::count(partitions.into(), "partition"),
            client.name_of(node),
            need_text(need)
        )
    };
    waits.into_iter().map(sentence).chain(waits_for_time(name, status)).collect()
}

/// Partitions that wait for nobody but for the last actor in them to expire.
fn waits_for_time(name: &str, status: &NodeStatus) -> Option<String> {
    let waiting = status.shards.settling.iter().filter(|partition| partition.waiting.is_empty());
    let left = waiting.filter_map(|partition| expires_in(&status.sessions, partition.newest)).collect::<Vec<_>>();
    let last = left.iter().max()?;
    let (number, is_all) =
        (left.len() as u64, status.shards.settling.len() as u64 >= status.shards.settling_partitions.into());
    Some(format!(
        "{name}: {}{} for time: writers that are still at work can be summed up and forgotten once they have expired, \
         the last of them in {}",
        if is_all { "" } else { "at least " },
        if number == 1 { "1 partition waits".to_owned() } else { format!("{number} partitions wait") },
        uptime(last.as_secs().max(1)),
    ))
}

/// Until the tick is over, by the node's clock; `None` if it is.
fn expires_in(terms: &SessionTerms, tick: Tick) -> Option<Duration> {
    let end_us = (u64::from(tick.0) + 1).checked_mul(terms.tick_us)?;
    end_us.checked_sub(terms.wall.0).filter(|left| *left > 0).map(Duration::from_micros)
}

fn need_text(need: Need) -> &'static str {
    match need {
        Need::Answer => "to answer",
        Need::Data => "to take over its data",
        Need::Seal => "to seal what has expired (its clock, or hints that it cannot deliver, hold it back)",
        Need::Freeze => "to learn that all have sealed",
        Need::Report => "to report its rows",
        Need::Directories => "to learn of a new directory",
        Need::Exchange => "to become equal by exchange",
        Need::Compaction => "to sum up, too",
        Need::Fold => "to fold baselines, too",
        Need::Move => "for the change of the members: the partition moves",
        Need::Lifetimes => "to be started with the same --tick and --actor-lease",
    }
}

fn settling_json(client: &Client, terms: &SessionTerms, partition: &PartitionStability) -> Value {
    let waiting =
        partition.waiting.iter().map(|waiting| json!({ "node": client.name_of(waiting.node), "need": waiting.need }));
    json!({
        "partition": partition.partition.0,
        "sealed": partition.sealed.0,
        "frozen": partition.frozen.0,
        "compacted": partition.compacted.0,
        "folded": partition.folded.0,
        "newest": partition.newest.0,
        "newest_expires_in_s": expires_in(terms, partition.newest).map_or(0, |left| left.as_secs().max(1)),
        "unsettled_rows": partition.unsettled_rows,
        "unsettled_bytes": partition.unsettled_bytes,
        "waits_for": waiting.collect::<Vec<_>>(),
    })
}

/// `12 (3 KiB)`: partitions with something unsettled, and what of it is known.
fn unsettled(status: &NodeStatus) -> String {
    let bytes: u64 = status.shards.settling.iter().filter_map(|partition| partition.unsettled_bytes).sum();
    match (status.shards.settling_partitions, bytes) {
        (0, _) => "-".into(),
        (partitions, 0) => partitions.to_string(),
        (partitions, bytes) => format!("{partitions} ({} KiB)", bytes.div_ceil(1024)),
    }
}

fn convergence(asked: &[Asked]) -> Convergence {
    Convergence::of(asked.iter().map(|(node, status)| (*node, status.as_ref().ok())))
}

/// `convergence: 4 writes not confirmed, the oldest 61 s old (c: 4, 61 s); 50.0 % of copies equal when last compared`.
fn convergence_text(client: &Client, sum: &Convergence) -> String {
    let behind = |(peer, lag): (&NodeId, &PeerLag)| {
        let age = lag.oldest_ms.map_or(String::new(), |ms| format!(", {}", uptime(ms / 1000)));
        (lag.operations > 0).then(|| format!("{}: {}{age}", client.name_of(*peer), lag.operations))
    };
    let behind = sum.peers.iter().filter_map(behind).collect::<Vec<_>>();
    let writes = match sum.cluster.operations {
        0 => "every write that was answered is confirmed by all its owners".to_owned(),
        writes => format!(
            "{} not confirmed{} ({})",
            output::count(writes, "write"),
            sum.cluster.oldest_ms.map_or(String::new(), |ms| format!(", the oldest {} old", uptime(ms / 1000))),
            behind.join("; "),
        ),
    };
    let compared = match (sum.equal_share(), sum.cluster.compared_ms_ago) {
        (Some(share), Some(ms)) => format!(
            "; {:.1} % of copies equal when last compared, at most {} ago{}",
            share * 100.0,
            uptime(ms / 1000),
            match sum.cluster.uncompared_partitions {
                0 => String::new(),
                pairs => format!(" ({} not compared yet)", output::count(pairs.into(), "pair")),
            }
        ),
        (_, None) | (None, _) => "; nothing compared yet".to_owned(),
    };
    format!("convergence: {writes}{compared}")
}

/// Partitions of which somebody may lack what is not owed.
fn needs_repair(client: &Client, name: &str, status: &NodeStatus) -> Option<String> {
    let owners: BTreeSet<NodeId> = status.shards.needs_repair.iter().flat_map(|one| &one.owners).copied().collect();
    let owners = owners.into_iter().map(|owner| client.name_of(owner)).collect::<Vec<_>>().join(", ");
    let number = status.shards.needs_repair_partitions;
    (number > 0).then(|| {
        format!(
            "{name}: {} in need of repair: more was owed to {owners} than there is room for; an exchange closes it and takes this \
             mark away",
            output::count(number.into(), "partition"),
        )
    })
}

fn lag_json(lag: &PeerLag) -> Value {
    json!({
        "operations": lag.operations,
        "oldest_ms": lag.oldest_ms,
        "compared_ms_ago": lag.compared_ms_ago,
        "uncompared_partitions": lag.uncompared_partitions,
    })
}

fn convergence_json(client: &Client, sum: &Convergence) -> Value {
    let peers = sum.peers.iter().map(|(node, lag)| (client.name_of(*node), lag_json(lag)));
    json!({
        "cluster": lag_json(&sum.cluster),
        "peers": peers.collect::<serde_json::Map<_, _>>(),
        "owned_partitions": sum.owned_partitions,
        "equal_partitions": sum.equal_partitions,
        "equal_share": sum.equal_share(),
        "needs_repair_partitions": sum.needs_repair_partitions,
        "silent": sum.silent.iter().map(|node| client.name_of(*node)).collect::<Vec<_>>(),
    })
}

fn layout_text(epoch: starling::membership::LayoutEpoch) -> String {
    format!("{}/{:016x}", epoch.number, epoch.content)
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

fn uptime(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn as_json(client: &Client, asked: &[Asked]) -> Value {
    let layout = client.ring().layout();
    json!({
        "cluster": layout.name,
        "cluster_id": layout.cluster.to_string(),
        "layout": layout.epoch.number,
        "replicas": layout.replicas,
        "read_quorum": layout.read_quorum,
        "write_quorum": layout.write_quorum,
        "partitions": layout.partitions,
        "convergence": convergence_json(client, &convergence(asked)),
        "nodes": asked.iter().map(|(node, status)| node_json(client, *node, status)).collect::<Vec<_>>(),
    })
}

fn node_json(client: &Client, node: NodeId, status: &Result<NodeStatus, Error>) -> Value {
    let address = client.ring().layout().member(node).map(|member| member.address.clone());
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            return json!({
                "name": client.name_of(node),
                "address": address,
                "is_reachable": false,
                "error": everyone::reason(error),
            });
        }
    };
    let peers = |wanted: bool| {
        let peers = status.shards.peers.iter().filter(move |peer| peer.is_reachable == wanted);
        peers.map(|peer| client.name_of(peer.node)).collect::<Vec<_>>()
    };
    let owed = status.shards.peers.iter().map(|peer| (client.name_of(peer.node), json!(peer.owed_rows)));
    let mut all = json!({
        "name": client.name_of(node),
        "address": address,
        "is_reachable": true,
        "version": status.version,
        "epoch": status.epoch,
        "layout": status.layout.number,
        "layout_content": format!("{:016x}", status.layout.content),
        "starts": status.starts,
        "uptime_s": status.uptime_s,
        "durability": output::durability(status.durability),
        "disk_free_bytes": status.disk_free_bytes,
        "is_below_reserve": status.is_below_reserve,
        "last_sync_us": status.last_sync_us,
        "drills": status.drills,
        "faults": fault::as_json(client, &status.faults),
        "sees": peers(true),
        "does_not_see": peers(false),
        "owes_rows": owed.collect::<serde_json::Map<_, _>>(),
        "open_ops": status.shards.open_ops,
        "ledger_entries": status.shards.ledger_entries,
        "owned_partitions": status.shards.owned_partitions,
        "newborn_partitions": status.shards.newborn_partitions,
        "exchanges": status.shards.exchanges,
        "exchanged_rows": status.shards.exchanged_rows,
        "tree_walks": status.shards.tree_walks,
        "tree_differences": status.shards.tree_differences,
        "trees_waiting": status.shards.trees_waiting,
        "tree_bytes": status.shards.tree_bytes,
        "amnesia_alarms": status.shards.amnesia_alarms,
        "conflicts": status.shards.conflicts,
        "conflicting": status.shards.conflicting.iter().map(|conflict| {
            json!({ "key": output::key_json(&conflict.key), "ms_ago": conflict.ms_ago })
        }).collect::<Vec<_>>(),
        "claim_alarms": status.shards.claim_alarms,
        "rival": status.shards.rival,
        "hears_two_of": status.shards.peers.iter().filter(|peer| peer.is_contested).map(|peer| client.name_of(peer.node))
            .collect::<Vec<_>>(),
        "clock_ahead_ms": status.shards.clock_ahead_ms,
        "tick_us": status.sessions.tick_us,
        "lease_ticks_max": status.sessions.lease_ticks_max,
        "settling_partitions": status.shards.settling_partitions,
        "settling": status.shards.settling.iter().map(|one| settling_json(client, &status.sessions, one)).collect::<Vec<_>>(),
    });
    if let Value::Object(fields) = &mut all {
        fields.insert("convergence".into(), convergence_of(client, status));
        fields.insert("read_repairs".into(), read_repairs_json(status));
    }
    all
}

/// What a node itself says of how far its peers are behind.
fn convergence_of(client: &Client, status: &NodeStatus) -> Value {
    let shards = &status.shards;
    let lag = shards.peers.iter().map(|peer| (client.name_of(peer.node), lag_json(&peer.lag)));
    let needs_repair = shards.needs_repair.iter().map(|one| {
        let owners = one.owners.iter().map(|owner| client.name_of(*owner)).collect::<Vec<_>>();
        json!({ "partition": one.partition.0, "owners": owners })
    });
    json!({
        "lag": lag.collect::<serde_json::Map<_, _>>(),
        "equal_partitions": shards.equal_partitions,
        "needs_repair_partitions": shards.needs_repair_partitions,
        "needs_repair": needs_repair.collect::<Vec<_>>(),
    })
}

fn read_repairs_json(status: &NodeStatus) -> Value {
    let repairs = status.shards.read_repairs;
    json!({
        "missing": repairs.missing,
        "outdated": repairs.outdated,
        "left_out": repairs.left_out,
        "taken": repairs.taken,
    })
}

#[cfg(test)]
mod tests {
    use starling::time::WallTime;

    use super::*;

    #[test]
    fn a_tick_is_over_when_the_next_one_begins() {
        let terms = |wall| SessionTerms { tick_us: 10_000_000, lease_ticks_max: 6, wall: WallTime(wall) };
        assert_eq!(expires_in(&terms(55_000_000), Tick(5)), Some(Duration::from_secs(5)));
        assert_eq!(expires_in(&terms(60_000_000), Tick(5)), None);
        assert_eq!(expires_in(&terms(70_000_000), Tick(5)), None);
        assert_eq!(expires_in(&SessionTerms::default(), Tick(5)), None, "a node that does not tell");
    }
}
