//! The keys of a plan file, as serde reads them: unknown ones are refused here, and nothing else is checked.

use std::time::Duration;

use serde::Deserialize;
use starling::config::Durability;

use super::{NodeSettings, OpClass};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) duration_s: f64,
    pub(super) settle_s: f64,
    pub(super) cluster: ClusterFile,
    pub(super) workload: WorkloadFile,
    #[serde(default)]
    pub(super) node: NodeFile,
    #[serde(default)]
    pub(super) fault: Vec<FaultFile>,
    pub(super) configuration: Vec<ConfigurationFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterFile {
    pub(super) nodes: Vec<String>,
    pub(super) replicas: u8,
    pub(super) partitions: u16,
    pub(super) fallbacks: FallbacksFile,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number of stand-ins, or \"all\"")]
pub(super) enum FallbacksFile {
    Next(u8),
    All(AllWord),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AllWord {
    All,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadFile {
    pub(super) clients: usize,
    /// Left out: closed loop.
    pub(super) rate_per_second: Option<f64>,
    pub(super) keys: usize,
    pub(super) deltas: [i64; 2],
    pub(super) mix: MixFile,
    pub(super) r: u8,
    pub(super) w: u8,
    #[serde(default)]
    pub(super) strict: bool,
    pub(super) deadline_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MixFile {
    #[serde(default)]
    pub(super) increment: u32,
    #[serde(default)]
    pub(super) read: u32,
    #[serde(default)]
    pub(super) put: u32,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeFile {
    pub(super) durability: Option<Durability>,
    pub(super) handoff: Option<bool>,
    pub(super) exchange: Option<bool>,
    pub(super) exchange_interval_ms: Option<u64>,
    pub(super) ping_interval_ms: Option<u64>,
    pub(super) suspect_after_ms: Option<u64>,
    pub(super) widen_after_ms: Option<u64>,
}

/// `at_s` and exactly one of the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultFile {
    pub(super) at_s: f64,
    pub(super) split: Option<Vec<Vec<String>>>,
    pub(super) isolate: Option<String>,
    pub(super) one_way: Option<OneWayFile>,
    pub(super) delay: Option<DelayFile>,
    pub(super) kill: Option<String>,
    pub(super) restart: Option<String>,
    pub(super) heal: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneWayFile {
    pub(super) from: String,
    pub(super) to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DelayFile {
    pub(super) between: [String; 2],
    pub(super) ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigurationFile {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) r: Option<u8>,
    pub(super) w: Option<u8>,
    pub(super) strict: Option<bool>,
    #[serde(default)]
    pub(super) node: NodeFile,
    #[serde(default)]
    pub(super) expect: ExpectFile,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectFile {
    pub(super) converges: Option<bool>,
    pub(super) exact_counts: Option<bool>,
    #[serde(default)]
    pub(super) availability: Vec<BoundFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BoundFile {
    pub(super) side: Vec<String>,
    pub(super) of: OpClass,
    pub(super) at_least: Option<f64>,
    pub(super) at_most: Option<f64>,
}

impl NodeFile {
    /// The settings that it names.
    pub(super) fn settings(self) -> NodeSettings {
        let span = |ms: Option<u64>| ms.map(Duration::from_millis);
        NodeSettings {
            durability: self.durability,
            handoff: self.handoff,
            exchange: self.exchange,
            exchange_interval: span(self.exchange_interval_ms),
            ping_interval: span(self.ping_interval_ms),
            suspect_after: span(self.suspect_after_ms),
            widen_after: span(self.widen_after_ms),
        }
    }
}
