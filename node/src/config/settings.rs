//! The settings of a node: one table of names, defaults and meanings, from which flags, environment variables, file keys
//! and `--help` are made.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use starling::config::{Durability, ShardConfig};

use super::units;

/// Everything that a node may choose for itself. What the cluster shares stands in the bundle's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory that `init-cluster` made for this member.
    pub bundle: PathBuf,
    /// Where the data lies.
    pub data: PathBuf,
    /// Where backups go, if not beside the data.
    pub backups: Option<PathBuf>,
    /// Where to listen, if not at the member's address of the layout.
    pub listen: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: MetricsAt,
    /// Shards, each with a thread.
    pub shards: usize,
    /// Writes are refused while fewer bytes are free. Unit: bytes.
    pub disk_reserve: u64,
    /// Cache of blocks read from disk. Unit: bytes.
    pub block_cache: u64,
    /// Admins may inject faults.
    pub drills: bool,
    /// How long open requests may take at a stop.
    pub stop_timeout: Duration,
    /// Which log lines.
    pub log: String,
    /// In which form.
    pub log_format: LogFormat,
    /// The shards' knobs.
    pub shard: ShardConfig,
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAt {
    /// On the loopback, under the number of the door's port.
    DoorPort,
    /// There.
    Address(SocketAddr),
    /// Not at all.
    Nowhere,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One setting.
pub struct Setting {
    /// As it stands in the file; in capitals, behind a prefix, in the environment.
    pub key: &'static str,
    /// As a flag, without the dashes in front: the key with dashes within.
    pub flag: &'static str,
    /// What kind of value, for `--help`.
    pub value: &'static str,
    /// What holds if nobody says otherwise; `None`: it must be given.
    pub default: Option<&'static str>,
    /// One or two sentences.
    pub help: &'static str,
    /// Reads a value. The error says what is wrong and what would be right.
    pub set: fn(&mut Settings, &str) -> Result<(), String>,
}

impl Setting {
    /// Whether the flag may stand without a value.
    pub fn is_switch(&self) -> bool {
        self.value == SWITCH
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("{}{}", super::sources::PREFIX, self.key.to_uppercase())
    }
}

const SWITCH: &str = "true|false";

macro_rules! setting {
    ($key:literal, $flag:literal, $value:expr, $default:expr, $help:literal, |$settings:ident, $text:ident| $set:expr) => {
        Setting {
            key: $key,
            flag: $flag,
            value: $value,
            default: $default,
            help: $help,
            set: |$settings, $text| {
                $set;
                Ok(())
            },
        }
    };
}

/// All settings, in the order of `--help`.
pub const SETTINGS: &[Setting] = &[
    setting!("bundle", "bundle", "DIR", None, "Directory that init-cluster made for this member", |to, text| to
        .bundle =
        directory(text)?),
    setting!("data", "data", "DIR", None, "Data directory; made if it is not there", |to, text| to.data =
        directory(text)?),
    setting!(
        "backups",
        "backups",
        "DIR|auto",
        Some("auto"),
        "Where `starling backup` writes, best on the file system of the data, to share files; auto: DATA.backups",
        |to, text| to.backups = if text == "auto" { None } else { Some(directory(text)?) }
    ),
    setting!(
        "listen",
        "listen",
        "IP:PORT|auto",
        Some("auto"),
        "UDP address to listen on; auto: the member's address in the layout",
        |to, text| to.listen = listen(text)?
    ),
    setting!(
        "metrics",
        "metrics",
        "IP:PORT|PORT|auto|off",
        Some("auto"),
        "TCP address of GET /metrics (Prometheus); auto: 127.0.0.1, under the number of the UDP port; without certificates",
        |to, text| to.metrics = metrics(text)?
    ),
    setting!("shards", "shards", "N", Some("1"), "Shard threads; each node may have its own number", |to, text| to
        .shards =
        number(text, 1, 64)? as usize),
    setting!(
        "durability",
        "durability",
        "fsync|wal",
        Some("fsync"),
        "What an acknowledgement means: fsync survives a power cut, wal only a killed process",
        |to, text| to.shard.durability = choice(text, &[("fsync", Durability::Fsync), ("wal", Durability::Wal)])?
    ),
    setting!(
        "disk_reserve",
        "disk-reserve",
        "SIZE",
        Some("1GiB"),
        "Writes are refused while the file system has fewer bytes free",
        |to, text| to.disk_reserve = units::size(text)?
    ),
    setting!("block_cache", "block-cache", "SIZE", Some("256MiB"), "Memory for blocks read from disk", |to, text| to
        .block_cache =
        units::size(text)?),
    setting!(
        "row_cache",
        "row-cache",
        "SIZE",
        Some("128MiB"),
        "Memory for decoded rows in each shard; more memory, fewer reads",
        |to, text| to.shard.row_cache_bytes = usize::try_from(units::size(text)?).unwrap_or(usize::MAX)
    ),
    setting!(
        "strict",
        "strict",
        SWITCH,
        Some("false"),
        "Only owners count for quorums, in every request: fewer writes during a split, fresher reads",
        |to, text| to.shard.strict = switch(text)?
    ),
    setting!(
        "request_deadline",
        "request-deadline",
        "DURATION",
        Some("2s"),
        "Deadline of requests that bring none",
        |to, text| to.shard.request_deadline = units::duration(text)?
    ),
    setting!(
        "widen_after",
        "widen-after",
        "DURATION",
        Some("100ms"),
        "Without a quorum after this long, further nodes are asked too",
        |to, text| to.shard.widen_after = units::duration(text)?
    ),
    setting!(
        "ping_interval",
        "ping-interval",
        "DURATION",
        Some("250ms"),
        "A peer that was silent for this long is pinged",
        |to, text| to.shard.ping_interval = units::duration(text)?
    ),
    setting!(
        "suspect_after",
        "suspect-after",
        "DURATION",
        Some("1s"),
        "A peer that was silent for this long is suspected; at least twice the ping interval",
        |to, text| to.shard.suspect_after = units::duration(text)?
    ),
    setting!(
        "exchange_interval",
        "exchange-interval",
        "DURATION",
        Some("30s"),
        "How often each partition is compared with each co-owner; 0: only at start and reconnect",
        |to, text| to.shard.exchange_interval = units::duration(text)?
    ),
    setting!(
        "stability_interval",
        "stability-interval",
        "DURATION",
        Some("5s"),
        "How often what can be settled, and how far a change of the members is, is asked about",
        |to, text| to.shard.stability_interval = units::duration(text)?
    ),
    setting!(
        "exchange",
        "exchange",
        SWITCH,
        Some("true"),
        "Whether partitions are compared at all; off only in experiments",
        |to, text| to.shard.exchange = switch(text)?
    ),
    setting!(
        "trees",
        "trees",
        SWITCH,
        Some("true"),
        "Whether comparisons begin with trees of hashes; off only in experiments",
        |to, text| to.shard.trees = switch(text)?
    ),
    setting!(
        "tree_rebuild_interval",
        "tree-rebuild-interval",
        "DURATION",
        Some("24h"),
        "How often each tree is checked against the disk, which finds rows that are gone; 0: never",
        |to, text| to.shard.tree_rebuild_interval = units::duration(text)?
    ),
    setting!(
        "repair_bytes_per_second",
        "repair-bytes-per-second",
        "SIZE",
        Some("16MiB"),
        "What comparing and moving may read and send in each shard, a quarter while clients are busy; 0: no limit",
        |to, text| to.shard.repair_bytes_per_second = units::size(text)?
    ),
    setting!(
        "repair_rows_per_second",
        "repair-rows-per-second",
        "N",
        Some("20000"),
        "Rows that comparing and moving may take and send in each shard, a quarter while clients are busy; 0: no limit",
        |to, text| to.shard.repair_rows_per_second = number(text, 0, u64::from(u32::MAX))? as u32
    ),
    setting!(
        "read_repairs_per_second",
        "read-repairs-per-second",
        "N",
        Some("64"),
        "Repairs that the reads of each shard send at most; what is beyond is left to the comparison",
        |to, text| to.shard.read_repairs_per_second = number(text, 0, u64::from(u32::MAX))? as u32
    ),
    setting!(
        "read_repair_bytes_per_second",
        "read-repair-bytes-per-second",
        "SIZE",
        Some("4MiB"),
        "What the repairs of each shard's reads may send; what is beyond is left to the comparison",
        |to, text| to.shard.read_repair_bytes_per_second = units::size(text)?
    ),
    setting!(
        "read_repair",
        "read-repair",
        SWITCH,
        Some("true"),
        "Whether a read sends owners what it found them to lack; off only in experiments",
        |to, text| to.shard.read_repair = switch(text)?
    ),
    setting!(
        "handoff",
        "handoff",
        SWITCH,
        Some("true"),
        "Whether what is owed to a node is delivered when it is back; off only in experiments",
        |to, text| to.shard.handoff = switch(text)?
    ),
    setting!(
        "actor_lease",
        "actor-lease",
        "DURATION",
        Some("1h"),
        "How long a node writes under one actor, a whole number of ticks of 10s; the same on all nodes, else nothing is \
         forgotten",
        |to, text| to.shard.actor_lease_ticks = lease(text, to.shard.tick)?
    ),
    setting!(
        "drills",
        "drills",
        SWITCH,
        Some("false"),
        "Lets admins inject network faults (`starling fault`); never in production",
        |to, text| to.drills = switch(text)?
    ),
    setting!(
        "stop_timeout",
        "stop-timeout",
        "DURATION",
        Some("2s"),
        "How long open requests may take after SIGTERM or SIGINT",
        |to, text| to.stop_timeout = units::duration(text)?
    ),
    setting!(
        "log",
        "log",
        "FILTER",
        Some("info"),
        "Log lines on stderr: error, warn, info, debug, trace, or per module as in info,starling_node::transport=debug",
        |to, text| to.log = log_filter(text)?
    ),
    setting!("log_format", "log-format", "text|json", Some("text"), "Form of the log lines", |to, text| to
        .log_format =
        choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])?),
];

impl Settings {
    /// Where backups go.
    pub fn backups_directory(&self) -> PathBuf {
        self.backups.clone().unwrap_or_else(|| {
            let mut name = self.data.file_name().unwrap_or_default().to_owned();
            name.push(".backups");
            self.data.with_file_name(name)
        })
    }

    /// Settings before any value was read; every field is overwritten by [`SETTINGS`].
    pub(super) fn blank() -> Settings {
        Settings {
            bundle: PathBuf::new(),
            data: PathBuf::new(),
            backups: None,
            listen: None,
            metrics: MetricsAt::Nowhere,
            shards: 1,
            disk_reserve: 0,
            block_cache: 0,
            drills: false,
            stop_timeout: Duration::ZERO,
            log: String::new(),
            log_format: LogFormat::Text,
            shard: ShardConfig::default(),
        }
    }
}

fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a directory is needed, the text is empty".into()) } else { Ok(text.into()) }
}

fn listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let wrong = |_| format!("{text:?} is not IP:PORT, like 0.0.0.0:7001 or [::]:7001 (or auto)");
    text.parse().map(Some).map_err(wrong)
}

fn metrics(text: &str) -> Result<MetricsAt, String> {
    match text {
        "auto" => return Ok(MetricsAt::DoorPort),
        "off" => return Ok(MetricsAt::Nowhere),
        _ => {}
    }
    let on_loopback = text.parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
    let wrong =
        |_| format!("{text:?} is neither IP:PORT, like 127.0.0.1:9101, nor a port of the loopback, nor auto, nor off");
    on_loopback.or_else(|_| text.parse()).map(MetricsAt::Address).map_err(wrong)
}

fn number(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a whole number from {min} to {max}"))
}

fn switch(text: &str) -> Result<bool, String> {
    choice(text, &[("true", true), ("false", false)])
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| format!("{text:?} is none of: {}", names.join(", ")))
}

fn lease(text: &str, tick: Duration) -> Result<u32, String> {
    let lease = units::duration(text)?.as_micros();
    let tick_micros = tick.as_micros().max(1);
    let ticks = u32::try_from(lease / tick_micros).unwrap_or(u32::MAX);
    if lease == 0 || lease % tick_micros != 0 || ticks > 1_000_000 {
        return Err(format!("{text:?} is not a multiple of {tick:?} between {tick:?} and 100 days"));
    }
    Ok(ticks)
}

fn log_filter(text: &str) -> Result<String, String> {
    match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{text:?} is not a log filter ({error}); try info or debug")),
    }
}
