//! `starling bench`: a closed loop of callers, measured after a warm-up.
//!
//! ```text
//! load     callers that call, wait, and call again      tally   latencies and outcomes
//! watch    the disk's syncs and the nodes' CPU time     report  text and JSON
//! ```
//!
//! A closed loop offers exactly `--in-flight` calls at a time: its latencies are those of a system that is never asked
//! for more than it answers, so they say nothing about an overload (coordinated omission).

mod load;
mod report;
mod tally;
mod watch;

use std::time::Duration;

use clap::{Args, ValueEnum};
use starling::ids::Key;
use starling_client::ClientConfig;

use super::args::Global;
use super::exit::Failure;
use super::output;
use load::Load;
use report::Report;

/// Measure throughput and latency.
///
/// A closed loop: every caller waits for its answer before it calls again. Writes to keys that begin with --prefix. Exit code 4 if no call at all succeeded.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling bench --keys 100000 --in-flight 64 --seconds 10        increments of random keys
  starling bench --keys 1 --in-flight 1000 --seconds 10           one hot key
  starling bench --keys 1 --in-flight 64 --sessions 1000          one hot key that 1,000 live sessions write
  starling bench --session                                        as the first, but each increment counts once
  starling bench --op get --in-flight 256
  starling bench --op incr --write-ratio 0.5                      half increments, half gets
  starling --w 1 bench --pid $(pidof -s starling-node)            with the node's CPU time per operation
  starling --node a --json bench > bench.json                     everything through node a")]
pub(crate) struct Bench {
    /// Keys, chosen at random for each call; 1 makes one hot key
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Calls in flight
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    in_flight: u32,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How long to run before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    warm_up: u64,
    /// What to call
    #[arg(long, value_enum, default_value_t = Op::Incr)]
    op: Op,
    /// Increments count exactly once, by so many sessions that are all in use; 0: untagged, not sent again
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    sessions: u32,
    /// The same, with a session for each call in flight
    #[arg(long, conflicts_with = "sessions")]
    session: bool,
    /// With --op incr or put: the share of calls that write; the others are gets
    #[arg(long, value_name = "0..1", default_value_t = 1.0, value_parser = parse_share)]
    write_ratio: f64,
    /// With --op put: length of the values
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    value_bytes: u32,
    /// Connections to each node
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// What the keys begin with
    #[arg(long, value_name = "TEXT", default_value = "bench:")]
    prefix: String,
    /// Process ids of nodes on this machine, whose CPU time is measured; may be given several times
    #[arg(long = "pid", alias = "pids", value_name = "PID", value_delimiter = ',')]
    pids: Vec<u32>,
}

/// What a caller calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Op {
    /// Increments by 1
    Incr,
    /// Gets
    Get,
    /// Puts of random text
    Put,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Op::Incr => "incr",
            Op::Get => "get",
            Op::Put => "put",
        }
    }
}

impl Bench {
    /// Sessions that increment; none: untagged.
    fn session_count(&self) -> usize {
        let count = if self.session { self.in_flight } else { self.sessions };
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    pub(crate) async fn run(&self, global: &Global) -> Result<(), Failure> {
        if global.session_token.is_some() {
            return Err(Failure::Usage("--session-token: calls that follow a token go one after the other".into()));
        }
        if let Err(error) = Key::new(format!("{}{}", self.prefix, self.keys - 1)) {
            return Err(Failure::Usage(format!("--prefix: {error}; nothing was sent")));
        }
        let in_flight = usize::try_from(self.in_flight).unwrap_or(usize::MAX);
        let client = global
            .client(ClientConfig {
                in_flight_max: in_flight.clamp(1, 1 << 20),
                connections_per_node: self.connections.into(),
                ..ClientConfig::default()
            })
            .await?;
        for pid in &self.pids {
            watch::cpu_time(*pid).map_err(Failure::Usage)?;
        }
        let mut load = Load::start(self, &client, global.options());
        tokio::time::sleep(Duration::from_secs(self.warm_up)).await;
        let cpu = watch::CpuWatch::start(&self.pids).map_err(Failure::Usage)?;
        let syncs = watch::SyncWatch::start(&client);
        load.measure();
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let stopped = load.stop();
        let report =
            Report { bench: self, syncs: syncs.stop(&client).await, cpu: cpu.stop(), measured: stopped.finish().await };
        if global.json {
            output::json(&report.as_json());
        } else {
            report.print();
        }
        client.close().await;
        report.verdict()
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1 is needed".into()),
    }
}
