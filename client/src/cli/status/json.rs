//! Everything, for programs.

use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::message::client::NodeStatus;
use starling_client::{Client, Error};

use super::super::{conflicts, everyone, fault, output};
use super::{Asked, convergence, settling};

pub(super) fn of(client: &Client, asked: &[Asked]) -> Value {
    let ring = client.ring();
    let layout = ring.layout();
    json!({
        "cluster": layout.name,
        "cluster_id": layout.cluster.to_string(),
        "layout": layout.epoch.number,
        "replicas": layout.replicas,
        "read_quorum": layout.read_quorum,
        "write_quorum": layout.write_quorum,
        "partitions": layout.partitions,
        "convergence": convergence::json_of(client, &super::sum(asked)),
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
        "conflicting": conflicts::list_json(&status.shards.conflicting),
        "claim_alarms": status.shards.claim_alarms,
        "rival": status.shards.rival,
        "hears_two_of": status.shards.peers.iter().filter(|peer| peer.is_contested).map(|peer| client.name_of(peer.node))
            .collect::<Vec<_>>(),
        "clock_ahead_ms": status.shards.clock_ahead_ms,
        "tick_us": status.sessions.tick_us,
        "lease_ticks_max": status.sessions.lease_ticks_max,
        "settling_partitions": status.shards.settling_partitions,
        "settling": status.shards.settling.iter().map(|one| settling::json_of(client, &status.sessions, one)).collect::<Vec<_>>(),
    });
    if let Value::Object(fields) = &mut all {
        fields.insert("convergence".into(), convergence_of(client, status));
        fields.insert("is_move_paused".into(), json!(status.shards.is_move_paused));
        fields.insert("rival_layout".into(), json!(status.shards.rival_layout.map(|rival| rival.other.number)));
        let candidates = status.shards.candidates.iter().map(|candidate| candidate.name.as_str());
        fields.insert("candidates".into(), candidates.collect());
        fields.insert("read_repairs".into(), read_repairs_json(status));
    }
    all
}

/// What a node itself says of how far its peers are behind.
fn convergence_of(client: &Client, status: &NodeStatus) -> Value {
    let shards = &status.shards;
    let lag = shards.peers.iter().map(|peer| (client.name_of(peer.node), convergence::lag_json(&peer.lag)));
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
        "not_taken": repairs.not_taken,
        "taken": repairs.taken,
    })
}
