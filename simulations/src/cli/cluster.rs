//! `starling-sim cluster`: nodes in the foreground, to play with.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use starling::membership::Fallbacks;

use super::exit;
use crate::drill::{self, Addresses, ClusterSpec, DrillError, ProcessCluster};

/// Starts a cluster on this machine in the foreground; Ctrl-C stops it cleanly
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many nodes, named a, b, c …
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// First UDP port of 127.0.0.1; the others follow
    #[arg(long, default_value_t = 7401, value_parser = clap::value_parser!(u16).range(1..=65000))]
    port: u16,
    /// Where bundles, data and logs lie; a cluster that is there already goes on
    #[arg(long, value_name = "DIR", default_value = ".starling/cluster")]
    dir: PathBuf,
    /// The starling-node program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    nodes_binary: Option<PathBuf>,
}

/// Starts the nodes, says what to type, and waits for Ctrl-C.
pub fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("starling-sim cluster: no runtime could be started: {error}");
            return ExitCode::from(exit::USAGE);
        }
    };
    match runtime.block_on(foreground(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("starling-sim cluster: {error}");
            ExitCode::from(exit::USAGE)
        }
    }
}

async fn foreground(args: &Args) -> Result<(), DrillError> {
    let binary = drill::node_binary(args.nodes_binary.as_deref())?;
    let spec = ClusterSpec {
        name: "playground".into(),
        nodes: (b'a'..).take(usize::from(args.nodes)).map(|letter| char::from(letter).to_string()).collect(),
        replicas: args.nodes.min(3),
        partitions: 256,
        fallbacks: Fallbacks::Next(2),
        addresses: Addresses::From(args.port),
        settings: vec!["--drills".into(), "--suspect-after=500ms".into(), "--exchange-interval=5s".into()],
    };
    let is_there = args.dir.join("cluster").is_dir();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let started = async {
        let mut cluster = if is_there {
            ProcessCluster::open(&binary, &args.dir, &spec).await?
        } else {
            ProcessCluster::found(&binary, &args.dir, spec).await?
        };
        cluster.wait_until_ready(Duration::from_secs(30)).await?;
        Ok::<_, DrillError>(cluster)
    };
    let mut cluster = tokio::select! {
        cluster = started => cluster?,
        _ = &mut interrupted => return Ok(()),
    };
    println!("{}", instructions(&cluster, &binary, args));
    loop {
        tokio::select! {
            _ = &mut interrupted => break,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                for index in 0..cluster.ids().len() {
                    if let Some(node) = cluster.node_mut(index) {
                        node.check()?;
                    }
                }
            }
        }
    }
    eprintln!("\nstopping …");
    let unclean = cluster.stop_nodes().await?;
    if unclean.is_empty() {
        eprintln!("all nodes stopped cleanly; `make cluster` goes on where they were");
    } else {
        eprintln!("did not stop cleanly: {}; see {}", unclean.join(", "), args.dir.join("logs").display());
    }
    Ok(())
}

fn instructions(cluster: &ProcessCluster, binary: &Path, args: &Args) -> String {
    let absolute = |path: PathBuf| path.canonicalize().unwrap_or(path);
    let ring = cluster.admin().ring();
    let mut lines = vec![format!("{} nodes are running:", cluster.nodes().len())];
    for (node, id) in cluster.nodes().iter().zip(cluster.ids()) {
        let address = ring.layout().member(*id).map(|member| member.address.clone()).unwrap_or_default();
        lines.push(format!("  {}  {address}  log: {}", node.name(), node.log().display()));
    }
    let tools = binary.parent().map(|path| absolute(path.to_owned())).unwrap_or_default();
    let client = absolute(cluster.client_bundle());
    let admin = client.with_file_name("admin");
    let split = if args.nodes == 5 { "a,b/c,d,e" } else { "a/…" };
    lines.push(format!(
        "
In another terminal:
  export PATH=\"{}:$PATH\" STARLING_BUNDLE=\"{}\"
  starling incr likes            count a like
  starling get likes             read it
  starling status                who sees whom, and who owes what
  starling ring likes            where the key lies
  starling compare likes         every replica's own view, side by side
  starling --bundle \"{}\" fault split {split} --for 60s
                                 cut the network; go on counting on both sides
  starling --bundle \"{}\" fault heal

Ctrl-C stops the nodes; their data stays in {}.",
        tools.display(),
        client.display(),
        admin.display(),
        admin.display(),
        absolute(args.dir.clone()).display()
    ));
    lines.join("\n")
}
