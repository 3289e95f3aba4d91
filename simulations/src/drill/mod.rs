//! Drills: the plans of the virtual world on real node processes of this machine.
//!
//! ```text
//! plan ─→ per configuration:  init-cluster, start the processes            cluster, process, binary
//!                             ├─ load     clients, each attached to a node ─→ ops
//!                             ├─ faults   the timeline, by an admin        ─→ when each really came
//!                             ├─ sampler  every owner's own view, 5 times a second
//!                             └─ settle   until equal, or the settling time is over; then every final count
//!                          ─→ report::Measured
//! ```
//!
//! Everything goes through the client library, as users would: nothing here looks into a node. Link faults are
//! injected in the nodes' transport (they were started with `--drills`), kills are SIGKILL. Nodes listen on free
//! loopback ports; they are ended by their own process ids, at the end of the run, on an error, on Ctrl-C and on SIGTERM.
//!
//! Costs: one process per node with its own RocksDB, and as long as the plan lasts per configuration.

mod binary;
mod cluster;
mod faults;
mod interrupt;
mod load;
mod process;
mod sampler;
mod settle;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

pub use binary::node_binary;
pub use cluster::{Addresses, ClusterSpec, ProcessCluster};
pub use interrupt::interrupted;
pub use process::NodeProcess;

use crate::plan::{Configuration, Plan};
use crate::report::{Measured, World};

/// A drill that could not be carried out. What was measured until then is lost; the nodes are ended.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// There is no program to start.
    #[error("there is no starling-node at {}; build it (`make build`), or name it with --nodes-binary", .0.display())]
    NoBinary(PathBuf),
    /// A file or directory of the drill.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// A program failed.
    #[error("{what} failed: {said}")]
    Program {
        /// Which, with its arguments.
        what: String,
        /// Its last words.
        said: String,
    },
    /// The cluster that is there is another one.
    #[error("the cluster in {} has the nodes {members}; name as many, or make a new one with --fresh", .directory.display())]
    OtherNodes {
        /// Where it is.
        directory: PathBuf,
        /// Its nodes.
        members: String,
    },
    /// A node did not come up, or ended by itself.
    #[error("node {node} {what}; its log is {}, and ends with:\n{last_words}", .log.display())]
    Node {
        /// Its name.
        node: String,
        /// What it did.
        what: String,
        /// Where it logs.
        log: PathBuf,
        /// The end of the log.
        last_words: String,
    },
    /// The nodes run, but did not become a cluster.
    #[error("the cluster was not ready after {waited:?}: {why}; the logs are in {}", .logs.display())]
    NotReady {
        /// How long.
        waited: Duration,
        /// What was missing.
        why: String,
        /// Where they log.
        logs: PathBuf,
    },
    /// The client library refused its bundle or settings.
    #[error(transparent)]
    Connect(#[from] starling_client::ConnectError),
    /// A fault could not be injected.
    #[error("at {at:?} the fault could not be injected on node {node}: {cause}")]
    Fault {
        /// Since the load began.
        at: Duration,
        /// Which node.
        node: String,
        /// Why.
        cause: Box<starling_client::Error>,
    },
}

/// How a drill is carried out.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `starling-node` program.
    pub binary: PathBuf,
    /// Where the nodes' data and logs go; `NAME/` per configuration. Data is removed afterwards, logs stay.
    pub directory: PathBuf,
    /// Seed of arrivals, keys and steps. What the operating system does with it is not repeatable.
    pub seed: u64,
}

/// Runs one configuration of a plan on processes. Tells its progress on stderr.
pub async fn run(plan: &Plan, configuration: &Configuration, options: &Options) -> Result<Measured, DrillError> {
    let name = &configuration.name;
    let spec = ClusterSpec {
        name: plan.name.replace('_', "-"),
        nodes: plan.cluster.nodes.clone(),
        replicas: plan.cluster.replicas,
        partitions: plan.cluster.partitions,
        fallbacks: plan.cluster.fallbacks,
        addresses: Addresses::Free,
        settings: cluster::flags(configuration),
    };
    eprintln!("{name}: starting {} nodes ({})", plan.cluster.nodes.len(), configuration.title);
    let begun = Instant::now();
    let mut cluster = ProcessCluster::found(&options.binary, &options.directory.join(name), spec).await?;
    cluster.wait_until_ready(Duration::from_secs(30)).await?;
    eprintln!(
        "{name}: ready after {:.1} s; load for {:.0} s",
        begun.elapsed().as_secs_f64(),
        plan.duration.as_secs_f64()
    );
    let result = measure(plan, configuration, options, &mut cluster).await;
    let stopped = cluster.stop().await;
    let measured = result?;
    stopped?;
    Ok(measured)
}

async fn measure(
    plan: &Plan,
    configuration: &Configuration,
    options: &Options,
    cluster: &mut ProcessCluster,
) -> Result<Measured, DrillError> {
    let view = sampler::View::of(plan, cluster)?;
    let clients = load::connect(plan, cluster).await?;
    let start = Instant::now();
    let load = load::Load::begin(plan, configuration, clients, options.seed, start);
    let sampler = sampler::Sampler::begin(view.clone(), start);
    let timeline = faults::carry_out(plan, &configuration.name, cluster, start, &load).await;
    let (events, load) = match timeline {
        Ok(events) => (events, load),
        Err(error) => {
            load.give_up();
            sampler.give_up();
            return Err(error);
        }
    };
    tokio::time::sleep_until(start + plan.quiet_from()).await;
    let ops = load.finish().await;
    settle::wait(plan, &configuration.name, &sampler, start).await;
    let (divergence, views) = sampler.finish().await;
    let final_counts = settle::final_counts(&view).await;
    let notes = settle::notes(cluster).await?;
    Ok(Measured {
        configuration: configuration.name.clone(),
        world: World::Processes,
        seed: options.seed,
        ops,
        divergence,
        watched_key: view.watched.name.clone(),
        views,
        watched_owners: view.watched.owners.clone(),
        events,
        final_counts,
        notes,
    })
}
