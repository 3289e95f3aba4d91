//! Plans: what is done to a cluster, and what must come of it; the same file for the virtual world and for real
//! processes.
//!
//! ```text
//! plans/*.toml ─Plan::parse─→ Plan ─┬─ starling-sim run   (virtual world) ─→ report::Measured ─┐
//!                                   └─ starling-sim drill (processes)     ─→ report::Measured ─┴─→ report, verdicts
//! ```
//!
//! A plan names a cluster, a workload, a timeline of faults, the configurations to compare (each runs the whole plan
//! once) and, per configuration, what is expected. Expectations are asserted: a run that breaks one fails.
//! Unknown keys are errors; every refusal names the key, the value and what would be right.
//! `library.rs` finds a plan by name, `shape.rs` lists the keys, `file.rs` checks them, `timeline.rs` says what a list of faults means for every link.

mod file;
mod library;
mod shape;
mod timeline;

use std::time::Duration;

use starling::config::{Durability, ShardConfig};
use starling::membership::Fallbacks;

pub use file::PlanError;
pub use timeline::{Event, Fault, Link, Links, Phase, Timeline};

/// Index of a node in [`Cluster::nodes`].
pub type NodeIndex = usize;

/// One plan, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What `starling-sim list` shows and `run` takes.
    pub name: String,
    /// One or two sentences for people; stands on top of the report.
    pub description: String,
    /// Who takes part.
    pub cluster: Cluster,
    /// What the clients do.
    pub workload: Workload,
    /// What goes wrong, and when.
    pub timeline: Timeline,
    /// The load starts at 0 and stops here; no fault comes later than the end of the settling.
    pub duration: Duration,
    /// After the last fault is healed and the load has stopped, replicas have this long to become equal.
    pub settle: Duration,
    /// Runs of the same plan that are compared; at least one.
    pub configurations: Vec<Configuration>,
}

/// Who takes part in a plan.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Names; a node's index is its place here.
    pub nodes: Vec<String>,
    /// N.
    pub replicas: u8,
    /// Q.
    pub partitions: u16,
    /// F.
    pub fallbacks: Fallbacks,
}

/// What the clients of a plan do. Client `i` speaks to node `i mod nodes` and to no other, so that what a side of a
/// split answers is what its own users see.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How many clients.
    pub clients: usize,
    /// When they ask.
    pub pace: Pace,
    /// Counters `likes:0` …, chosen uniformly; texts `title:0` … for puts.
    pub keys: usize,
    /// Smallest and largest step of an increment; uniform in between.
    pub deltas: (i64, i64),
    /// What they ask.
    pub mix: Mix,
    /// How they ask it.
    pub quorums: Quorums,
}

/// When the clients ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop: Poisson arrivals, this many per second over all clients, whether or not answers came.
    PerSecond(f64),
    /// Closed loop: every client asks again as soon as it was answered.
    ClosedLoop,
}

/// Relative weights of what the clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Increments of `likes:…`.
    pub increment: u32,
    /// Reads of `likes:…`.
    pub read: u32,
    /// Puts of `title:…`.
    pub put: u32,
}

/// Options of every request of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorums {
    /// R.
    pub r: u8,
    /// W.
    pub w: u8,
    /// Owners only.
    pub strict: bool,
    /// A request that was not answered after this long counts as not served.
    pub deadline: Duration,
}

/// One run of the plan.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Short name: `sloppy`.
    pub name: String,
    /// What a reader of the report sees: `Sloppy quorum, handoff and exchange`.
    pub title: String,
    /// Quorums of this run: the workload's, with this configuration's changes.
    pub quorums: Quorums,
    /// Settings of every node of this run.
    pub node: NodeSettings,
    /// What must come of it.
    pub expect: Expectations,
}

/// Node settings of a run; what a plan leaves out keeps the node's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSettings {
    /// What acknowledgements mean.
    pub durability: Option<Durability>,
    /// Hints and debts are delivered.
    pub handoff: Option<bool>,
    /// Co-owners compare their partitions.
    pub exchange: Option<bool>,
    /// How often.
    pub exchange_interval: Option<Duration>,
    /// Silence before a ping.
    pub ping_interval: Option<Duration>,
    /// Silence before a peer is suspected.
    pub suspect_after: Option<Duration>,
    /// Silence before a coordinator asks further nodes.
    pub widen_after: Option<Duration>,
}

/// What must come of a run. `None` and empty: nothing is asserted.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// All owners of every key become equal within the settling time, without help.
    pub converges: Option<bool>,
    /// On every owner, every final count lies in what was acknowledged plus what was unknown.
    pub exact_counts: Option<bool>,
    /// Bounds of the availability of the sides of a split while it lasts.
    pub availability: Vec<AvailabilityBound>,
}

/// A bound on the share of requests that one side of a split serves within the deadline.
#[derive(Clone, Debug)]
pub struct AvailabilityBound {
    /// The nodes of the side, in order.
    pub side: Vec<NodeIndex>,
    /// Which requests.
    pub of: OpClass,
    /// 0 to 1.
    pub at_least: f64,
    /// 0 to 1.
    pub at_most: f64,
}

/// Which requests a bound is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpClass {
    /// Increments and puts.
    Writes,
    /// Reads.
    Reads,
    /// Both.
    All,
}

impl Plan {
    /// Index of the node with this name.
    pub fn node_named(&self, name: &str) -> Option<NodeIndex> {
        self.cluster.nodes.iter().position(|node| node == name)
    }

    /// The configuration with this name.
    pub fn configuration(&self, name: &str) -> Option<&Configuration> {
        self.configurations.iter().find(|configuration| configuration.name == name)
    }

    /// Names of these nodes, joined: `a b`.
    pub fn names(&self, nodes: &[NodeIndex]) -> String {
        let names: Vec<&str> =
            nodes.iter().filter_map(|index| self.cluster.nodes.get(*index)).map(String::as_str).collect();
        names.join(" ")
    }

    /// End of the load or of the last fault, whichever is later: the settling time counts from here.
    pub fn quiet_from(&self) -> Duration {
        self.duration.max(self.timeline.last_change())
    }
}

impl NodeSettings {
    /// A shard's settings for the virtual world.
    pub fn shard_config(&self, quorums: Quorums) -> ShardConfig {
        let default = ShardConfig::default();
        ShardConfig {
            durability: self.durability.unwrap_or(default.durability),
            strict: quorums.strict,
            handoff: self.handoff.unwrap_or(default.handoff),
            exchange: self.exchange.unwrap_or(default.exchange),
            exchange_interval: self.exchange_interval.unwrap_or(default.exchange_interval),
            ping_interval: self.ping_interval.unwrap_or(default.ping_interval),
            suspect_after: self.suspect_after.unwrap_or(default.suspect_after),
            widen_after: self.widen_after.unwrap_or(default.widen_after),
            ..default
        }
    }

    /// This, with what `over` sets in its place.
    pub fn overridden_by(self, over: NodeSettings) -> NodeSettings {
        NodeSettings {
            durability: over.durability.or(self.durability),
            handoff: over.handoff.or(self.handoff),
            exchange: over.exchange.or(self.exchange),
            exchange_interval: over.exchange_interval.or(self.exchange_interval),
            ping_interval: over.ping_interval.or(self.ping_interval),
            suspect_after: over.suspect_after.or(self.suspect_after),
            widen_after: over.widen_after.or(self.widen_after),
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
