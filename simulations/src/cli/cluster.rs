//! `starling-sim cluster`: nodes in the foreground, to play with.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use starling::membership::Fallbacks;

use super::exit;
use crate::drill::{self, Addresses, ClusterSpec, DrillError, NodeProcess, ProcessCluster};

/// Starts a cluster on this machine in the foreground; Ctrl-C stops it cleanly
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  starling-sim cluster
  starling-sim cluster --nodes 3 --fresh --dir /tmp/three -- starling bench --seconds 5

A command gets STARLING_BUNDLE, STARLING_PIDS (the nodes' process ids, with commas between) and a PATH on which the
programs are. Its exit code becomes this program's.")]
pub struct Args {
    /// How many nodes, named a, b, c …
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// First UDP port of 127.0.0.1; the others follow
    #[arg(long, default_value_t = 7401, value_parser = clap::value_parser!(u16).range(1..=65000))]
    port: u16,
    /// Where bundles, data and logs lie; a cluster that is there already goes on
    #[arg(long, value_name = "DIR", default_value = ".starling")]
    dir: PathBuf,
    /// The starling-node program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    nodes_binary: Option<PathBuf>,
    /// Remove the cluster that is there, its data too, and make a new one
    #[arg(long)]
    fresh: bool,
    /// Run this once the nodes are ready, then stop them, instead of waiting for Ctrl-C
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
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
        Ok(code) => code,
        Err(error) => {
            eprintln!("starling-sim cluster: {error}");
            ExitCode::from(exit::USAGE)
        }
    }
}

async fn foreground(args: &Args) -> Result<ExitCode, DrillError> {
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
    let is_there = !args.fresh && args.dir.join("cluster").is_dir();
    let interrupted = drill::interrupted();
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
        () = &mut interrupted => return Ok(ExitCode::SUCCESS),
    };
    let code = if args.command.is_empty() {
        println!("{}", instructions(&cluster, &binary, args));
        watch(&mut cluster, interrupted).await?;
        eprintln!("\nstopping …");
        ExitCode::SUCCESS
    } else {
        let done = command(&cluster, &binary, &args.command)?;
        tokio::select! {
            code = done => code?,
            () = interrupted => ExitCode::from(130),
        }
    };
    let unclean = cluster.stop_nodes().await?;
    if !unclean.is_empty() {
        eprintln!("did not stop cleanly: {}; see {}", unclean.join(", "), args.dir.join("logs").display());
    } else if args.command.is_empty() {
        eprintln!("all nodes stopped cleanly; `make cluster` goes on where they were");
    }
    Ok(code)
}

/// Waits for Ctrl-C. The others go on when a node ends; an error if none is left.
async fn watch(
    cluster: &mut ProcessCluster,
    mut interrupted: impl Future<Output = ()> + Unpin,
) -> Result<(), DrillError> {
    loop {
        tokio::select! {
            () = &mut interrupted => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                look(cluster.nodes_mut())?.iter().for_each(|ended| eprintln!("\n{ended}"));
            }
        }
    }
}

/// What to say of the nodes that have ended since the last look; an error if no node runs any more.
fn look(nodes: &mut [NodeProcess]) -> Result<Vec<String>, DrillError> {
    let mut ended = Vec::new();
    let mut last = None;
    for node in nodes.iter_mut() {
        if let Err(error) = node.check() {
            let (name, again) = (node.name(), node.command_line());
            ended.push(format!("{error}\nThe others go on. To start {name} again, in another terminal:\n  {again}"));
            last = Some(error);
        }
    }
    match last {
        Some(error) if nodes.iter().all(|node| !node.is_running()) => Err(error),
        _ => Ok(ended),
    }
}

/// Runs a command against the cluster; the future gives its exit code.
fn command(
    cluster: &ProcessCluster,
    binary: &Path,
    words: &[String],
) -> Result<impl Future<Output = Result<ExitCode, DrillError>> + use<>, DrillError> {
    let io = |path: &str, cause| DrillError::Io { path: PathBuf::from(path), cause };
    let (program, arguments) = words.split_first().unzip();
    let program = program.cloned().unwrap_or_default();
    let pids: Vec<String> = cluster.nodes().iter().filter_map(NodeProcess::pid).map(|pid| pid.to_string()).collect();
    let tools = binary.parent().map(Path::to_owned).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path)))
        .map_err(|cause| io("PATH", std::io::Error::other(cause)))?;
    let mut command = std::process::Command::new(&program);
    command.args(arguments.unwrap_or_default());
    command.env("STARLING_BUNDLE", cluster.client_bundle()).env("STARLING_PIDS", pids.join(",")).env("PATH", path);
    let mut child = command.spawn().map_err(|cause| io(&program, cause))?;
    Ok(async move {
        let status = tokio::task::spawn_blocking(move || child.wait()).await;
        let status =
            status.map_err(std::io::Error::other).and_then(|status| status).map_err(|cause| io(&program, cause))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::USAGE);
        Ok(ExitCode::from(code))
    })
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
    let names: Vec<&str> = cluster.nodes().iter().map(NodeProcess::name).collect();
    let (left, right) = names.split_at(names.len() * 2 / 5);
    let split = format!("{}/{}", left.join(","), right.join(","));
    let last = names.last().copied().unwrap_or_default();
    let first = names.first().copied().unwrap_or_default();
    let pid = cluster.nodes().first().and_then(NodeProcess::pid).unwrap_or_default();
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
  starling --node a incr likes   cut the network, and go on counting, on one side
  starling --node {last} incr likes   and on the other; `compare` shows what each has not seen
  starling --bundle \"{}\" fault heal
  kill -9 {pid}                  node {first} is gone, and the others go on; how to start it again is said here

Ctrl-C stops the nodes; their data stays in {}.",
        tools.display(),
        client.display(),
        admin.display(),
        admin.display(),
        absolute(args.dir.clone()).display()
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_go_on_when_a_node_ends_until_none_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let node = |name: &str, script: &str| {
            let arguments = vec!["-c".to_owned(), script.to_owned()];
            let log = directory.path().join(format!("{name}.log"));
            NodeProcess::new(name, Path::new("/bin/sh"), arguments, log)
        };
        let mut nodes = [node("a", "exec sleep 30"), node("b", "exit 5")];
        for node in &mut nodes {
            node.start().unwrap();
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let said = loop {
            let said = look(&mut nodes).unwrap();
            if !said.is_empty() {
                break said;
            }
            assert!(std::time::Instant::now() < deadline, "b ends at once");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(said[0].contains("node b ended by itself") && said[0].contains("/bin/sh -c 'exit 5'"), "{said:?}");
        assert!(look(&mut nodes).unwrap().is_empty(), "it is said once");
        let pid = nodes[0].pid().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        while look(&mut nodes).is_ok() {
            assert!(std::time::Instant::now() < deadline, "nobody runs any more");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
