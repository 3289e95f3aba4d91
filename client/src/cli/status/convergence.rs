//! How far the replicas are apart, in a line, and for programs.

use serde_json::{Value, json};
use starling::ids::NodeId;
use starling::message::client::PeerLag;
use starling_client::{Client, Convergence};

use super::super::output;
use super::uptime;

/// `convergence: 4 rows not confirmed, the oldest 61 s old (c: 4, 61 s); 50.0 % of copies equal when last compared`.
pub(super) fn text(client: &Client, sum: &Convergence) -> String {
    let behind = |(peer, lag): (&NodeId, &PeerLag)| {
        let age = lag.oldest_ms.map_or(String::new(), |ms| format!(", {}", uptime(ms / 1000)));
        (lag.operations > 0).then(|| format!("{}: {}{age}", client.name_of(*peer), lag.operations))
    };
    // The one that is furthest behind comes first.
    let mut peers: Vec<_> = sum.peers.iter().collect();
    peers.sort_by_key(|(_, lag)| std::cmp::Reverse((lag.oldest_ms, lag.operations)));
    let behind = peers.into_iter().filter_map(behind).collect::<Vec<_>>();
    let rows = match sum.cluster.operations {
        0 => "every write that was answered is confirmed by all its owners".to_owned(),
        rows => format!(
            "{} not confirmed{} ({})",
            output::count(rows, "row"),
            sum.cluster.oldest_ms.map_or(String::new(), |ms| format!(", the oldest {} old", uptime(ms / 1000))),
            behind.join("; "),
        ),
    };
    let compared = match (sum.equal_share(), sum.cluster.compared_ms_ago) {
        (Some(share), Some(ms)) => format!(
            "; {:.1} % of {}copies equal when last compared, at most {} ago{}",
            share * 100.0,
            if sum.silent.is_empty() { "" } else { "their " },
            uptime(ms / 1000),
            match sum.cluster.uncompared_partitions {
                0 => String::new(),
                pairs => format!(" ({} not compared yet)", output::count(pairs.into(), "pair")),
            }
        ),
        (_, None) | (None, _) => "; nothing compared yet".to_owned(),
    };
    let silent: Vec<String> = sum.silent.iter().map(|node| client.name_of(*node)).collect();
    if silent.is_empty() {
        return format!("convergence: {rows}{compared}");
    }
    if sum.answering == 0 {
        return "convergence: nobody answers, so nothing is known".to_owned();
    }
    let answering = sum.answering as u64;
    format!(
        "convergence, as far as the {} know{}: {rows}{compared}; what {} alone know{} is not in here, and nobody is compared with \
         {} now",
        if answering == 1 { "1 node that answers".to_owned() } else { format!("{answering} nodes that answer") },
        if answering == 1 { "s" } else { "" },
        silent.join(" and "),
        if silent.len() == 1 { "s" } else { "" },
        if silent.len() == 1 { "it" } else { "them" },
    )
}

pub(super) fn lag_json(lag: &PeerLag) -> Value {
    json!({
        "operations": lag.operations,
        "oldest_ms": lag.oldest_ms,
        "compared_ms_ago": lag.compared_ms_ago,
        "uncompared_partitions": lag.uncompared_partitions,
    })
}

pub(super) fn json_of(client: &Client, sum: &Convergence) -> Value {
    let peers = sum.peers.iter().map(|(node, lag)| (client.name_of(*node), lag_json(lag)));
    json!({
        "cluster": lag_json(&sum.cluster),
        "peers": peers.collect::<serde_json::Map<_, _>>(),
        "owned_partitions": sum.owned_partitions,
        "equal_partitions": sum.equal_partitions,
        "equal_share": sum.equal_share(),
        "needs_repair_partitions": sum.needs_repair_partitions,
        "answering": sum.answering,
        "max": {
            "operations": sum.peers.values().map(|lag| lag.operations).max().unwrap_or(0),
            "oldest_ms": sum.cluster.oldest_ms,
        },
        "silent": sum.silent.iter().map(|node| client.name_of(*node)).collect::<Vec<_>>(),
    })
}
