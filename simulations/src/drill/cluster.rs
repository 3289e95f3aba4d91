//! A cluster of node processes on this machine.
//!
//! ```text
//! DIRECTORY/cluster/   what init-cluster made: bundles, certificates, layout
//! DIRECTORY/data/a/    one RocksDB per node
//! DIRECTORY/logs/a.log
//! ```

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use starling::ids::NodeId;
use starling::membership::Fallbacks;
use starling::message::client::Options;
use starling_client::{Bundle, Client, ClientConfig};
use tokio::time::{Instant, sleep};

use super::{DrillError, NodeProcess};
use crate::plan::{Configuration, NodeIndex};

/// Where the nodes listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Ports of the loopback that are free now.
    Free,
    /// Loopback ports from this one on.
    From(u16),
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// What the cluster is called.
    pub name: String,
    /// What its nodes are called.
    pub nodes: Vec<String>,
    /// N.
    pub replicas: u8,
    /// Q.
    pub partitions: u16,
    /// F.
    pub fallbacks: Fallbacks,
    /// Where they listen.
    pub addresses: Addresses,
    /// Flags of every node, after `run`.
    pub settings: Vec<String>,
}

/// Running node processes and what is needed to speak to them.
pub struct ProcessCluster {
    directory: PathBuf,
    nodes: Vec<NodeProcess>,
    ids: Vec<NodeId>,
    admin: Client,
}

/// Flags of `starling-node run` for a configuration.
pub fn flags(configuration: &Configuration) -> Vec<String> {
    let node = configuration.node;
    let mut flags = vec!["--drills".to_owned(), "--disk-reserve=64MiB".to_owned(), "--log=warn".to_owned()];
    let mut flag = |name: &str, value: Option<String>| flags.extend(value.map(|value| format!("--{name}={value}")));
    let ms = |span: Option<Duration>| span.map(|span| format!("{}ms", span.as_millis()));
    flag("durability", node.durability.map(|durability| format!("{durability:?}").to_lowercase()));
    flag("handoff", node.handoff.map(|on| on.to_string()));
    flag("exchange", node.exchange.map(|on| on.to_string()));
    flag("exchange-interval", ms(node.exchange_interval));
    flag("ping-interval", ms(node.ping_interval));
    flag("suspect-after", ms(node.suspect_after));
    flag("widen-after", ms(node.widen_after));
    flags
}

impl ProcessCluster {
    /// Makes a new cluster in a directory (what an earlier one left there is removed) and starts its nodes.
    pub async fn found(binary: &Path, directory: &Path, spec: ClusterSpec) -> Result<ProcessCluster, DrillError> {
        for part in ["cluster", "data", "logs"] {
            let path = directory.join(part);
            match fs::remove_dir_all(&path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DrillError::Io { path, cause });
                }
                _ => {}
            }
        }
        init_cluster(binary, directory, &spec)?;
        ProcessCluster::open(binary, directory, &spec).await
    }

    /// Starts the nodes of a cluster that was made in this directory before.
    pub async fn open(binary: &Path, directory: &Path, spec: &ClusterSpec) -> Result<ProcessCluster, DrillError> {
        let logs = directory.join("logs");
        fs::create_dir_all(&logs).map_err(|cause| DrillError::Io { path: logs.clone(), cause })?;
        let bundles = directory.join("cluster");
        let admin = Client::connect(load(&bundles.join("admin"))?, ClientConfig::default())?;
        let ring = admin.ring();
        let members: Vec<&str> = ring.layout().members.iter().map(|member| member.name.as_str()).collect();
        if members != spec.nodes {
            return Err(DrillError::OtherNodes { directory: directory.to_owned(), members: members.join(", ") });
        }
        let mut nodes = Vec::new();
        let mut ids = Vec::new();
        for name in &spec.nodes {
            let path = |part: PathBuf| part.to_string_lossy().into_owned();
            let mut arguments = vec![
                "run".to_owned(),
                "--bundle".to_owned(),
                path(bundles.join("members").join(name)),
                "--data".to_owned(),
                path(directory.join("data").join(name)),
            ];
            arguments.extend(spec.settings.iter().cloned());
            nodes.push(NodeProcess::new(name, binary, arguments, logs.join(format!("{name}.log"))));
            ids.extend(admin.node_named(name));
        }
        let mut cluster = ProcessCluster { directory: directory.to_owned(), nodes, ids, admin };
        for node in &mut cluster.nodes {
            node.start()?;
        }
        for node in &mut cluster.nodes {
            node.wait_until_ready().await?;
        }
        Ok(cluster)
    }

    /// Names, in the order of the spec.
    pub fn nodes(&self) -> &[NodeProcess] {
        &self.nodes
    }

    /// The same, to look at them.
    pub fn nodes_mut(&mut self) -> &mut [NodeProcess] {
        &mut self.nodes
    }

    /// The process of a node.
    pub fn node_mut(&mut self, index: NodeIndex) -> Option<&mut NodeProcess> {
        self.nodes.get_mut(index)
    }

    /// Ids, in the order of the spec.
    pub fn ids(&self) -> &[NodeId] {
        &self.ids
    }

    /// The node with this id.
    pub fn index_of(&self, id: NodeId) -> Option<NodeIndex> {
        self.ids.iter().position(|other| *other == id)
    }

    /// A client that may inject faults.
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// A new client with connections of its own.
    pub fn client(&self) -> Result<Client, DrillError> {
        Ok(Client::connect(load(&self.directory.join("cluster").join("client"))?, ClientConfig::default())?)
    }

    /// Where the clients' bundle is.
    pub fn client_bundle(&self) -> PathBuf {
        self.directory.join("cluster").join("client")
    }

    /// Waits until every node sees every other one and has taken over its partitions.
    pub async fn wait_until_ready(&mut self, limit: Duration) -> Result<(), DrillError> {
        let begun = Instant::now();
        loop {
            for node in &mut self.nodes {
                node.check()?;
            }
            let Some(why) = self.missing().await else { return Ok(()) };
            if begun.elapsed() >= limit {
                return Err(DrillError::NotReady { waited: limit, why, logs: self.directory.join("logs") });
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops all nodes cleanly and removes their data; the logs stay.
    pub async fn stop(mut self) -> Result<(), DrillError> {
        self.stop_nodes().await?;
        let data = self.directory.join("data");
        fs::remove_dir_all(&data).map_err(|cause| DrillError::Io { path: data, cause })
    }

    /// Stops all nodes cleanly and keeps their data. Returns the names of those that did not stop cleanly.
    pub async fn stop_nodes(&mut self) -> Result<Vec<String>, DrillError> {
        for node in &self.nodes {
            node.ask_to_stop();
        }
        let mut unclean = Vec::new();
        for node in &mut self.nodes {
            if !node.wait_until_stopped().await? {
                unclean.push(node.name().to_owned());
            }
        }
        Ok(unclean)
    }

    /// What is still missing for the cluster to be ready.
    async fn missing(&self) -> Option<String> {
        let options = Options { deadline_ms: Some(1_000), ..Options::default() };
        for (node, id) in self.nodes.iter().zip(&self.ids) {
            match self.admin.status(*id, &options).await {
                Err(error) => return Some(format!("node {}: {error}", node.name())),
                Ok(status) if status.shards.newborn_partitions > 0 => {
                    let left = status.shards.newborn_partitions;
                    return Some(format!("node {} has not taken over {left} partitions", node.name()));
                }
                Ok(status) => {
                    let seen = status.shards.peers.iter().filter(|peer| peer.is_reachable).count();
                    if seen + 1 < self.nodes.len() {
                        return Some(format!("node {} sees {seen} of {} peers", node.name(), self.nodes.len() - 1));
                    }
                }
            }
        }
        None
    }
}

fn load(directory: &Path) -> Result<Bundle, DrillError> {
    Bundle::load(directory).map_err(|error| DrillError::Connect(error.into()))
}

fn init_cluster(binary: &Path, directory: &Path, spec: &ClusterSpec) -> Result<(), DrillError> {
    fs::create_dir_all(directory).map_err(|cause| DrillError::Io { path: directory.to_owned(), cause })?;
    let fallbacks = match spec.fallbacks {
        Fallbacks::Next(count) => count.to_string(),
        Fallbacks::All => "all".to_owned(),
    };
    let ports = ports(spec)?;
    let members = spec.nodes.iter().zip(ports).map(|(name, port)| format!("{name}=127.0.0.1:{port}"));
    let mut command = Command::new(binary);
    command.arg("init-cluster").arg(&spec.name).args(members);
    command.arg("--out").arg(directory.join("cluster"));
    command.args(["--replicas", &spec.replicas.to_string(), "--partitions", &spec.partitions.to_string()]);
    command.args(["--fallbacks", &fallbacks]);
    let output = command.output().map_err(|cause| DrillError::Io { path: binary.to_owned(), cause })?;
    if !output.status.success() {
        return Err(DrillError::Program {
            what: "starling-node init-cluster".to_owned(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(())
}

/// One port per node. Free ones are all held at once, so that none is given twice; another program could still take
/// one before the node does, which the node would tell as an address in use.
fn ports(spec: &ClusterSpec) -> Result<Vec<u16>, DrillError> {
    let io = |cause| DrillError::Io { path: PathBuf::from("a free UDP port of 127.0.0.1"), cause };
    match spec.addresses {
        Addresses::From(first) => Ok((first..).take(spec.nodes.len()).collect()),
        Addresses::Free => {
            let sockets: Result<Vec<_>, _> = spec.nodes.iter().map(|_| UdpSocket::bind("127.0.0.1:0")).collect();
            let sockets = sockets.map_err(io)?;
            sockets.iter().map(|socket| socket.local_addr().map(|address| address.port()).map_err(io)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn a_configuration_becomes_flags_that_say_what_it_says() {
        let plan = Plan::load("demo").unwrap();
        let flags = flags(plan.configuration("no_repair").unwrap());
        for flag in ["--drills", "--handoff=false", "--exchange=false", "--suspect-after=400ms", "--durability=fsync"] {
            assert!(flags.iter().any(|other| other == flag), "{flag} is missing in {flags:?}");
        }
    }

    #[test]
    fn free_ports_are_distinct() {
        let plan = Plan::load("demo").unwrap();
        let spec = ClusterSpec {
            name: "x".into(),
            nodes: plan.cluster.nodes.clone(),
            replicas: 3,
            partitions: 64,
            fallbacks: Fallbacks::Next(2),
            addresses: Addresses::Free,
            settings: Vec::new(),
        };
        let found: std::collections::BTreeSet<_> = ports(&spec).unwrap().into_iter().collect();
        assert_eq!(found.len(), 5);
        assert_eq!(ports(&ClusterSpec { addresses: Addresses::From(7401), ..spec }).unwrap()[4], 7405);
    }
}
