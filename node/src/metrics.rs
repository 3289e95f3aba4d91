//! Figures for monitoring: `GET /metrics` over HTTP, in the text form of Prometheus.
//!
//! ```text
//! scraper ─HTTP→ listener ─→ every shard is asked once ─→ status + counters ─→ text
//! ```
//!
//! Reads one request line and answers it; no keep-alive, no other paths. On the loopback unless another address is set:
//! there are no certificates here, and nothing can be changed. Costs one status of the node per scrape. At most
//! [`SCRAPES_MAX`] at once; a slow one is cut off after [`PATIENCE`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use starling::ids::NodeId;
use starling::membership::{Layout, Phase};
use starling::message::client::{NodeStatus, PeerStatus};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tracing::{debug, info};

use crate::runtime::Router;
use crate::runtime::counters::Counters;

/// Scrapes at once; further ones are closed unread.
pub const SCRAPES_MAX: usize = 4;

/// Time for one scrape.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Longest request line that is read. Unit: bytes.
const LINE_BYTES_MAX: u64 = 4096;

/// Listens, and answers for as long as the task runs. The error names the address that is taken.
pub fn serve(address: SocketAddr, router: Router, counters: Arc<Counters>) -> io::Result<tokio::task::JoinHandle<()>> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    info!(address = %listener.local_addr()?, "metrics are served at /metrics");
    Ok(tokio::spawn(accept(listener, router, counters)))
}

async fn accept(listener: TcpListener, router: Router, counters: Arc<Counters>) {
    let scrapes = Arc::new(Semaphore::new(SCRAPES_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No file handles, for example: others may free some.
                debug!(%error, "a scrape was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = scrapes.clone().try_acquire_owned() else { continue };
        let (router, counters) = (router.clone(), counters.clone());
        tokio::spawn(async move {
            let outcome = timeout(PATIENCE, answer(stream, &router, &counters)).await;
            if let Ok(Err(error)) = outcome {
                debug!(%error, "a scrape went away");
            }
            drop(permit);
        });
    }
}

async fn answer(mut stream: TcpStream, router: &Router, counters: &Counters) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(LINE_BYTES_MAX));
    reading.read_line(&mut line).await?;
    // What is left unread when the connection closes would cut the answer off.
    let mut header = String::new();
    while reading.read_line(&mut header).await? > "\r\n".len() {
        header.clear();
    }
    let mut words = line.split(' ');
    let (status, body) = match (words.next(), words.next()) {
        (Some("GET"), Some("/metrics")) => match ask(router).await {
            Some((status, layout)) => ("200 OK", text(&status, &layout, counters)),
            None => ("503 Service Unavailable", "the node is busy or stopping\n".to_owned()),
        },
        (Some("GET"), Some(_)) => ("404 Not Found", "there is only /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "there is only GET /metrics\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: \
         close\r\n\r\n",
        body.len()
    );
    writing.write_all(head.as_bytes()).await?;
    writing.write_all(body.as_bytes()).await?;
    writing.shutdown().await
}

async fn ask(router: &Router) -> Option<(NodeStatus, Arc<Layout>)> {
    let (sender, receiver) = oneshot::channel();
    let layout = router.layout();
    // Nobody waits any more if the scrape was cut off.
    router.status(move |status| drop(sender.send(status))).ok()?;
    Some((receiver.await.ok()?, layout))
}

/// All figures. Names end in their unit; what only grows ends in `_total`.
fn text(status: &NodeStatus, layout: &Layout, counters: &Counters) -> String {
    let mut page = Page::default();
    let shards = &status.shards;
    let name = |node: NodeId| layout.member(node).map_or_else(|| node.to_string(), |member| member.name.clone());

    page.gauge("uptime_seconds", "Since the process started.", status.uptime_s as f64);
    page.gauge("layout_number", "Number of the layout in force.", status.layout.number as f64);
    let phase = match layout.phase {
        Phase::Steady => 0,
        Phase::Moving => 1,
        Phase::Switched => 2,
        Phase::Closing => 3,
    };
    page.gauge("layout_phase", "0 steady, 1 moving, 2 switched, 3 closing.", f64::from(phase));
    page.gauge("layout_members", "Members of the layout.", layout.members.len() as f64);
    page.gauge("layout_rival", "1: two layouts of one number are about.", flag(shards.rival_layout.is_some()));

    let of = |figure: fn(&PeerStatus) -> Option<f64>| {
        let told = shards.peers.iter().filter_map(|peer| Some((name(peer.node), figure(peer)?)));
        told.collect::<BTreeMap<String, f64>>()
    };
    let by_peer = "peer";
    page.gauges(
        "lag_operations",
        "Rows written here that the peer has not confirmed.",
        by_peer,
        &of(|peer| Some(peer.lag.operations as f64)),
    );
    page.gauges(
        "lag_seconds",
        "Age of the oldest of them; 0 if there is none.",
        by_peer,
        &of(|peer| Some(peer.lag.oldest_ms.unwrap_or(0) as f64 / 1e3)),
    );
    page.gauges(
        "compared_ago_seconds",
        "Since the last comparison with the peer of the partition for which it is longest ago.",
        by_peer,
        &of(|peer| Some(peer.lag.compared_ms_ago? as f64 / 1e3)),
    );
    page.gauges(
        "hints_rows",
        "Rows held for the peer until it takes them.",
        by_peer,
        &of(|peer| Some(peer.owed_rows as f64)),
    );
    page.gauges("peer_reachable", "1: the peer answers.", by_peer, &of(|peer| Some(flag(peer.is_reachable))));

    page.gauge("partitions_owned", "Partitions of this node.", f64::from(shards.owned_partitions));
    page.gauge("partitions_newborn", "Of these, not taken over yet.", f64::from(shards.newborn_partitions));
    page.gauge(
        "partitions_equal",
        "Of these, equal to every other copy when last compared, not long ago.",
        f64::from(shards.equal_partitions),
    );
    let owned = f64::from(shards.owned_partitions);
    let share = if owned > 0.0 { f64::from(shards.equal_partitions) / owned } else { 1.0 };
    page.gauge("partitions_equal_ratio", "The same as a share, 0 to 1.", share);
    page.gauge(
        "partitions_needing_repair",
        "Partitions of which a co-owner may lack what nobody has written down.",
        f64::from(shards.needs_repair_partitions),
    );
    page.gauge(
        "moves_partitions",
        "Partitions that the present change moves to or from this node.",
        f64::from(shards.moves.moved),
    );
    page.gauge("moves_unsynced", "Of these, not yet taken over.", f64::from(shards.moves.unsynced));
    page.gauge("moves_uncleared", "Of these, not yet handed over.", f64::from(shards.moves.uncleared));
    page.gauge("moves_bytes", "Taken over since the change began.", shards.moves.bytes as f64);
    page.gauge("moves_paused", "1: an operator has halted the moving of data.", flag(shards.is_move_paused));
    page.gauge(
        "settling_partitions",
        "Partitions with something not yet summed up.",
        f64::from(shards.settling_partitions),
    );
    page.gauge("open_requests", "Requests under way.", shards.open_ops as f64);
    page.gauge("disk_free_bytes", "Free in the file system of the data.", status.disk_free_bytes as f64);
    page.gauge("rows_bytes", "What the rows take on disk, about.", status.rows_bytes as f64);
    page.gauge("last_sync_seconds", "Time of the last sync of the disk.", status.last_sync_us as f64 / 1e6);

    let repairs = shards.read_repairs;
    let reasons = [
        ("missing", repairs.missing),
        ("outdated", repairs.outdated),
        ("left_out", repairs.left_out),
        ("not_taken", repairs.not_taken),
    ];
    let reasons = reasons.map(|(reason, count)| (reason.to_owned(), count as f64)).into_iter().collect();
    page.add(
        "read_repairs_total",
        "Rows that a read found owners to lack, and owners that it left to the exchange.",
        "counter",
        "reason",
        &reasons,
    );
    for (name, help, count) in [
        ("exchanges_total", "Comparisons of partitions completed.", shards.exchanges),
        ("exchanged_rows_total", "Rows that they brought or sent.", shards.exchanged_rows),
        ("tree_walks_total", "Comparisons that began with trees.", shards.tree_walks),
        ("tree_differences_total", "Ranges that differed twice and were exchanged.", shards.tree_differences),
        ("amnesia_alarms_total", "Own writes met that this node does not remember.", shards.amnesia_alarms),
        ("conflicts_total", "Writes and merges that left two types under a key.", shards.conflicts),
    ] {
        page.add(name, help, "counter", "", &BTreeMap::from([(String::new(), count as f64)]));
    }
    for (name, count) in counters.all() {
        let what = name.replace('_', " ");
        page.add(&format!("node_{name}_total"), &what, "counter", "", &BTreeMap::from([(String::new(), count as f64)]));
    }
    page.text
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

/// The text as it grows.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.add(name, help, "gauge", "", &BTreeMap::from([(String::new(), value)]));
    }

    fn gauges(&mut self, name: &str, help: &str, label: &str, values: &BTreeMap<String, f64>) {
        self.add(name, help, "gauge", label, values);
    }

    /// A figure with one label (none: the one value stands alone). Names of members hold nothing that must be escaped.
    fn add(&mut self, name: &str, help: &str, kind: &str, label: &str, values: &BTreeMap<String, f64>) {
        let _infallible = write!(self.text, "# HELP starling_{name} {help}\n# TYPE starling_{name} {kind}\n");
        for (of, value) in values {
            let labels = if label.is_empty() { String::new() } else { format!("{{{label}=\"{of}\"}}") };
            let _infallible = writeln!(self.text, "starling_{name}{labels} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use starling::ids::ClusterId;
    use starling::membership::Member;
    use starling::message::client::{PeerLag, ShardStatus};

    use super::*;
    use crate::status::tests::status;

    #[test]
    fn every_figure_has_help_a_type_and_the_names_of_members() {
        let members = ["a", "b"].iter().zip(1..).map(|(name, id)| Member::new(NodeId(id), *name, format!("h:{id}")));
        let layout = Layout::founding(ClusterId([1; 16]), "shop", members.collect()).seal().unwrap();
        let lag = PeerLag { operations: 3, oldest_ms: Some(1500), compared_ms_ago: None, uncompared_partitions: 4 };
        let peer = PeerStatus {
            node: NodeId(2),
            is_reachable: true,
            heard_ms_ago: None,
            owed_rows: 7,
            is_contested: false,
            lag,
        };
        let shards =
            ShardStatus { peers: vec![peer], owned_partitions: 4, equal_partitions: 3, ..ShardStatus::default() };
        let text = text(&status(shards), &layout, &Counters::default());
        for line in [
            "starling_lag_operations{peer=\"b\"} 3",
            "starling_lag_seconds{peer=\"b\"} 1.5",
            "starling_hints_rows{peer=\"b\"} 7",
            "starling_partitions_equal_ratio 0.75",
            "starling_layout_number 1",
            "starling_read_repairs_total{reason=\"missing\"} 0",
            "starling_node_syncs_total 0",
            "# TYPE starling_exchanges_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("compared_ago_seconds{"), "what is not known is not told");
        let is_well_formed = |line: &str| {
            line.starts_with('#') || line.split_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok())
        };
        assert!(text.lines().all(is_well_formed));
    }
}
