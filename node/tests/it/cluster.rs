//! A cluster of real processes in a temporary directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use starling::message::client::Options;
use starling_client::{Bundle, Client, ClientConfig};

/// Longer than any start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Longer than any stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than any recovery on a busy machine.
pub const HEAL_TIMEOUT: Duration = Duration::from_secs(60);

/// The program under test, with nothing of the caller's environment.
pub fn starling_node() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-node"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A cluster whose nodes are started one by one. Everything ends and goes away with it.
pub struct Cluster {
    pub place: tempfile::TempDir,
    addresses: BTreeMap<String, String>,
}

impl Cluster {
    /// Makes the files of a cluster with these members on free ports, and with more options for `init-cluster`.
    pub fn found(name: &str, members: &[&str], options: &[&str]) -> Cluster {
        let place = tempfile::tempdir().unwrap();
        // All sockets are held until every port is known, so that none is given twice.
        let sockets: Vec<UdpSocket> = members.iter().map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut addresses = BTreeMap::new();
        for (member, socket) in members.iter().zip(&sockets) {
            addresses.insert((*member).to_owned(), socket.local_addr().unwrap().to_string());
        }
        drop(sockets);
        let made = starling_node()
            .current_dir(place.path())
            .args(["init-cluster", name, "--out", "cluster"])
            .args(addresses.iter().map(|(member, address)| format!("{member}={address}")))
            .args(options)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Cluster { place, addresses }
    }

    /// Makes the bundle of one more member, on a free port.
    pub fn issue(&mut self, member: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        drop(socket);
        let made = starling_node()
            .current_dir(self.place.path())
            .args(["issue-member", member, &address, "--ca", "cluster"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        self.addresses.insert(member.to_owned(), address);
    }

    /// An admin of the cluster. Within a tokio runtime.
    pub fn admin(&self) -> Client {
        Client::connect(Bundle::load(self.directory().join("admin")).unwrap(), ClientConfig::default()).unwrap()
    }

    pub fn address(&self, member: &str) -> &str {
        &self.addresses[member]
    }

    pub fn directory(&self) -> PathBuf {
        self.place.path().join("cluster")
    }

    pub fn bundle(&self, member: &str) -> PathBuf {
        self.directory().join("members").join(member)
    }

    pub fn data(&self, member: &str) -> PathBuf {
        self.place.path().join("data").join(member)
    }

    /// `starling-node run` for a member, with more flags.
    pub fn command(&self, member: &str, flags: &[&str]) -> Command {
        let mut command = starling_node();
        command.arg("run").arg("--bundle").arg(self.bundle(member)).arg("--data").arg(self.data(member)).args(flags);
        command
    }

    /// A client of the cluster. Within a tokio runtime.
    pub fn client(&self) -> Client {
        Client::connect(Bundle::load(self.directory().join("client")).unwrap(), ClientConfig::default()).unwrap()
    }

    /// Starts a member and waits until it is ready.
    pub fn start(&self, member: &str, flags: &[&str]) -> Node {
        let log = self.place.path().join(format!("{member}.log"));
        let mut node = Node::spawn(self.command(member, flags), &log);
        node.wait_until_ready();
        node
    }
}

/// A process that is killed when its test ends.
pub struct Node {
    child: Child,
    ready: Receiver<String>,
    log: PathBuf,
}

impl Node {
    pub fn spawn(mut command: Command, log: &Path) -> Node {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, ready) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Node { child, ready, log: log.to_owned() }
    }

    pub fn wait_until_ready(&mut self) -> String {
        match self.ready.recv_timeout(START_TIMEOUT) {
            Ok(line) => line,
            Err(_) => panic!("not ready ({:?}); its log:\n{}", self.child.try_wait(), self.log()),
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -SIGNAL`.
    pub fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success(), "kill -{signal}");
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process goes on; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and a clean end.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "its log:\n{}", self.log());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _killed = self.child.kill().and_then(|()| self.child.wait()).is_ok();
        }
    }
}

/// Waits until every node serves, sees every other, and has taken over all its partitions.
pub async fn settle(client: &Client) {
    let deadline = Instant::now() + HEAL_TIMEOUT;
    for member in &client.ring().layout().members {
        loop {
            let status = client.status(member.id, &Options::default()).await;
            let is_settled = status.as_ref().is_ok_and(|status| {
                status.shards.newborn_partitions == 0 && status.shards.peers.iter().all(|peer| peer.is_reachable)
            });
            if is_settled {
                break;
            }
            assert!(Instant::now() < deadline, "node {} does not settle: {status:?}", member.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Asserts that a program refused, with this code and these words on stderr.
pub fn check_refused(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}
