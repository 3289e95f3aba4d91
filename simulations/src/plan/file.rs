//! From the text of a plan to a [`Plan`]: every check before one is run.
//!
//! Serde refuses unknown keys and wrong types with the line; what it cannot see (names that do not exist, quorums
//! beyond N, a split that forgets a node, a fault that is never healed) is refused here with the key's name.

use std::collections::BTreeSet;
use std::time::Duration;

use starling::membership::Fallbacks;

use super::shape::{
    AllWord, BoundFile, ClusterFile, ConfigurationFile, DelayFile, FallbacksFile, FaultFile, OneWayFile, PlanFile,
    WorkloadFile,
};
use super::timeline::{Event, Fault, Timeline};
use super::{
    AvailabilityBound, Cluster, Configuration, Expectations, Mix, NodeIndex, NodeSettings, Pace, Plan, Quorums,
    Workload,
};

/// Most nodes of a plan: a person's machine has to carry them as processes.
const NODES_MAX: usize = 16;
/// Most clients of a plan.
const CLIENTS_MAX: usize = 1_000;
/// Most requests per second of a plan.
const RATE_MAX: f64 = 20_000.0;
/// Most keys of a plan.
const KEYS_MAX: usize = 100_000;
/// Longest plan.
const SECONDS_MAX: f64 = 86_400.0;

/// A plan that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not TOML, an unknown key, or a value of the wrong type; the text shows the line.
    #[error("the plan cannot be read: {0}")]
    Malformed(Box<toml::de::Error>),
    /// No file could be read.
    #[error("cannot read the plan {file}: {cause}")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// Neither a shipped plan nor a file.
    #[error("there is no plan {name:?}; there are {shipped}, and any file that ends in .toml")]
    NoSuchPlan {
        /// What was asked for.
        name: String,
        /// What there is.
        shipped: String,
    },
    /// A value that makes no sense.
    #[error("the plan is refused: {key}: {reason}")]
    Refused {
        /// Which key.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

fn refuse<T>(key: impl Into<String>, reason: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError::Refused { key: key.into(), reason: reason.into() })
}

impl Plan {
    /// Reads and checks a plan. No side effects; the error says what to change.
    pub fn parse(text: &str) -> Result<Plan, PlanError> {
        let file: PlanFile = toml::from_str(text).map_err(|error| PlanError::Malformed(Box::new(error)))?;
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if file.name.is_empty() || !plain(&file.name) {
            return refuse("name", format!("{:?}; letters, digits and _ are possible", file.name));
        }
        let cluster = cluster(file.cluster)?;
        let workload = workload(file.workload, cluster.replicas)?;
        let duration = seconds("duration_s", file.duration_s)?;
        let settle = seconds("settle_s", file.settle_s)?;
        let timeline = timeline(file.fault, &cluster)?;
        if timeline.last_change() > duration + settle {
            return refuse("fault.at_s", "a fault lies after the end of the run (duration_s + settle_s)");
        }
        let node = file.node.settings();
        let mut configurations = Vec::new();
        let mut names = BTreeSet::new();
        for one in file.configuration {
            if !plain(&one.name) || !names.insert(one.name.clone()) {
                return refuse("configuration.name", format!("{:?} is not a new plain name", one.name));
            }
            configurations.push(configuration(one, &cluster, &workload, node, &timeline, duration)?);
        }
        if configurations.is_empty() {
            return refuse("configuration", "at least one is needed");
        }
        Ok(Plan {
            name: file.name,
            description: file.description,
            cluster,
            workload,
            timeline,
            duration,
            settle,
            configurations,
        })
    }
}

fn seconds(key: &str, value: f64) -> Result<Duration, PlanError> {
    if !(0.0..=SECONDS_MAX).contains(&value) {
        return refuse(key, format!("{value}; 0 to {SECONDS_MAX} seconds are possible"));
    }
    Ok(Duration::from_secs_f64(value))
}

fn cluster(file: ClusterFile) -> Result<Cluster, PlanError> {
    if file.nodes.is_empty() || file.nodes.len() > NODES_MAX {
        return refuse("cluster.nodes", format!("{} nodes; 1 to {NODES_MAX} are possible", file.nodes.len()));
    }
    let mut seen = BTreeSet::new();
    for name in &file.nodes {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if name.is_empty() || !plain || !seen.insert(name) {
            return refuse("cluster.nodes", format!("{name:?} is not a new name of letters, digits and -"));
        }
    }
    if file.replicas == 0 || usize::from(file.replicas) > file.nodes.len() {
        let nodes = file.nodes.len();
        return refuse("cluster.replicas", format!("{}; 1 to {nodes} (the nodes) are possible", file.replicas));
    }
    if !file.partitions.is_power_of_two() || file.partitions > starling::limits::SLOTS {
        return refuse("cluster.partitions", format!("{}; a power of two up to 16384 is needed", file.partitions));
    }
    let fallbacks = match file.fallbacks {
        FallbacksFile::Next(count) => Fallbacks::Next(count),
        FallbacksFile::All(AllWord::All) => Fallbacks::All,
    };
    Ok(Cluster { nodes: file.nodes, replicas: file.replicas, partitions: file.partitions, fallbacks })
}

fn quorum(key: &str, value: u8, replicas: u8) -> Result<u8, PlanError> {
    if value == 0 || value > replicas {
        return refuse(key, format!("{value}; 1 to {replicas} (cluster.replicas) are possible"));
    }
    Ok(value)
}

fn workload(file: WorkloadFile, replicas: u8) -> Result<Workload, PlanError> {
    if file.clients == 0 || file.clients > CLIENTS_MAX {
        return refuse("workload.clients", format!("{}; 1 to {CLIENTS_MAX} are possible", file.clients));
    }
    if file.keys == 0 || file.keys > KEYS_MAX {
        return refuse("workload.keys", format!("{}; 1 to {KEYS_MAX} are possible", file.keys));
    }
    let pace = match file.rate_per_second {
        None => Pace::ClosedLoop,
        Some(rate) if rate > 0.0 && rate <= RATE_MAX => Pace::PerSecond(rate),
        Some(rate) => return refuse("workload.rate_per_second", format!("{rate}; up to {RATE_MAX} is possible")),
    };
    let [low, high] = file.deltas;
    if low > high || low < -1_000_000 || high > 1_000_000 {
        return refuse("workload.deltas", format!("[{low}, {high}]; smallest, then largest, within ±1000000"));
    }
    let mix = Mix { increment: file.mix.increment, read: file.mix.read, put: file.mix.put };
    let weights = [mix.increment, mix.read, mix.put];
    if weights.iter().all(|weight| *weight == 0) || weights.iter().any(|weight| *weight > 1_000_000) {
        return refuse("workload.mix", "at least one weight above 0, each at most 1000000");
    }
    if file.deadline_ms == 0 || file.deadline_ms > 60_000 {
        return refuse("workload.deadline_ms", format!("{}; 1 to 60000 are possible", file.deadline_ms));
    }
    let quorums = Quorums {
        r: quorum("workload.r", file.r, replicas)?,
        w: quorum("workload.w", file.w, replicas)?,
        strict: file.strict,
        deadline: Duration::from_millis(file.deadline_ms),
    };
    Ok(Workload { clients: file.clients, pace, keys: file.keys, deltas: (low, high), mix, quorums })
}

fn node_named(key: &str, name: &str, cluster: &Cluster) -> Result<NodeIndex, PlanError> {
    match cluster.nodes.iter().position(|node| node == name) {
        Some(index) => Ok(index),
        None => refuse(key, format!("there is no node {name:?} in cluster.nodes ({})", cluster.nodes.join(", "))),
    }
}

fn timeline(files: Vec<FaultFile>, cluster: &Cluster) -> Result<Timeline, PlanError> {
    let mut events = Vec::new();
    for file in files {
        let at = seconds("fault.at_s", file.at_s)?;
        events.push(Event { at, fault: fault(file, cluster)? });
    }
    let timeline = Timeline::new(cluster.nodes.len(), events);
    let mut down = BTreeSet::new();
    for event in timeline.events() {
        let fits = match event.fault {
            Fault::Kill(node) => down.insert(node),
            Fault::Restart(node) => down.remove(&node),
            Fault::Split(_) | Fault::OneWay { .. } | Fault::Delay { .. } | Fault::Heal => true,
        };
        if !fits {
            return refuse("fault", format!("at {:?} a node is killed or restarted twice in a row", event.at));
        }
    }
    if !down.is_empty() {
        return refuse("fault.restart", "every killed node must be restarted, or nothing can be said of its replicas");
    }
    if !timeline.links_at(timeline.last_change()).is_whole() {
        return refuse("fault.heal", "the timeline must end with `heal = true`, or replicas can never become equal");
    }
    Ok(timeline)
}

fn fault(file: FaultFile, cluster: &Cluster) -> Result<Fault, PlanError> {
    let at = file.at_s;
    let mut found = Vec::new();
    if let Some(groups) = file.split {
        found.push(split(&groups, cluster)?);
    }
    if let Some(name) = file.isolate {
        let alone = node_named("fault.isolate", &name, cluster)?;
        if cluster.nodes.len() < 2 {
            return refuse("fault.isolate", "a cluster of one cannot be cut");
        }
        let others = (0..cluster.nodes.len()).filter(|index| *index != alone).collect();
        found.push(Fault::Split(vec![vec![alone], others]));
    }
    if let Some(OneWayFile { from, to }) = file.one_way {
        let (from, to) =
            (node_named("fault.one_way.from", &from, cluster)?, node_named("fault.one_way.to", &to, cluster)?);
        if from == to {
            return refuse("fault.one_way", "from and to must differ");
        }
        found.push(Fault::OneWay { from, to });
    }
    if let Some(DelayFile { between: [one, other], ms }) = file.delay {
        let between =
            (node_named("fault.delay.between", &one, cluster)?, node_named("fault.delay.between", &other, cluster)?);
        if between.0 == between.1 || ms > 60_000 {
            return refuse("fault.delay", "two different nodes and at most 60000 ms are possible");
        }
        found.push(Fault::Delay { between, by: Duration::from_millis(ms) });
    }
    if let Some(name) = file.kill {
        found.push(Fault::Kill(node_named("fault.kill", &name, cluster)?));
    }
    if let Some(name) = file.restart {
        found.push(Fault::Restart(node_named("fault.restart", &name, cluster)?));
    }
    match file.heal {
        Some(true) => found.push(Fault::Heal),
        Some(false) => return refuse("fault.heal", "only `true` is possible"),
        None => {}
    }
    let count = found.len();
    match found.pop() {
        Some(fault) if count == 1 => Ok(fault),
        _ => refuse(
            "fault",
            format!(
                "at_s = {at} names {count} faults; exactly one of split, isolate, one_way, delay, kill, restart, heal is needed"
            ),
        ),
    }
}

fn split(groups: &[Vec<String>], cluster: &Cluster) -> Result<Fault, PlanError> {
    let mut seen = BTreeSet::new();
    let mut split = Vec::new();
    for names in groups {
        let mut group = Vec::new();
        for name in names {
            let index = node_named("fault.split", name, cluster)?;
            if !seen.insert(index) {
                return refuse("fault.split", format!("node {name:?} is in two groups"));
            }
            group.push(index);
        }
        group.sort_unstable();
        split.push(group);
    }
    if seen.len() != cluster.nodes.len() || split.len() < 2 || split.iter().any(Vec::is_empty) {
        return refuse("fault.split", "two or more groups that together name every node once are needed");
    }
    Ok(Fault::Split(split))
}

fn configuration(
    file: ConfigurationFile,
    cluster: &Cluster,
    workload: &Workload,
    node: NodeSettings,
    timeline: &Timeline,
    duration: Duration,
) -> Result<Configuration, PlanError> {
    let base = workload.quorums;
    let quorums = Quorums {
        r: quorum("configuration.r", file.r.unwrap_or(base.r), cluster.replicas)?,
        w: quorum("configuration.w", file.w.unwrap_or(base.w), cluster.replicas)?,
        strict: file.strict.unwrap_or(base.strict),
        deadline: base.deadline,
    };
    let node = node.overridden_by(file.node.settings());
    if let Err(error) = node.shard_config(quorums).validate() {
        return refuse(format!("configuration {:?} node", file.name), error.to_string());
    }
    let mut availability = Vec::new();
    for bound in file.expect.availability {
        availability.push(availability_bound(bound, cluster, timeline, duration)?);
    }
    let expect =
        Expectations { converges: file.expect.converges, exact_counts: file.expect.exact_counts, availability };
    Ok(Configuration { name: file.name, title: file.title, quorums, node, expect })
}

fn availability_bound(
    file: BoundFile,
    cluster: &Cluster,
    timeline: &Timeline,
    duration: Duration,
) -> Result<AvailabilityBound, PlanError> {
    const KEY: &str = "configuration.expect.availability";
    let mut side = Vec::new();
    for name in &file.side {
        side.push(node_named(&format!("{KEY}.side"), name, cluster)?);
    }
    side.sort_unstable();
    if !timeline.phases(duration).iter().any(|phase| phase.sides.len() > 1 && phase.sides.contains(&side)) {
        return refuse(format!("{KEY}.side"), format!("{:?} is not a side of a split under load", file.side));
    }
    let (at_least, at_most) = (file.at_least.unwrap_or(0.0), file.at_most.unwrap_or(1.0));
    if !(0.0..=1.0).contains(&at_least) || !(0.0..=1.0).contains(&at_most) || at_least > at_most {
        return refuse(KEY, format!("at_least = {at_least} and at_most = {at_most}; 0 to 1, the smaller first"));
    }
    Ok(AvailabilityBound { side, of: file.of, at_least, at_most })
}
