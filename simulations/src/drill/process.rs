//! One node process: started, watched, killed or stopped by its own process id.
//!
//! ```text
//! started ─"ready on" in its output─→ ready ─stop (SIGTERM)─→ ended
//!    └─ ended by itself: error            └─ kill (SIGKILL) ─→ ended ─start─→ …
//! ```
//!
//! Its output goes to `NAME.log`. Dropping it kills the process.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::DrillError;

/// A started node that says nothing for this long is given up.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// A node that was asked to stop and still runs after this long is killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of a log that an error shows.
const LAST_WORDS: usize = 12;

/// A node of a drill.
#[derive(Debug)]
pub struct NodeProcess {
    name: String,
    command: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
    /// Bytes of the log that were written by earlier starts.
    seen: u64,
}

impl NodeProcess {
    /// A node that is not started yet.
    pub fn new(name: &str, command: &Path, arguments: Vec<String>, log: PathBuf) -> NodeProcess {
        NodeProcess { name: name.to_owned(), command: command.to_owned(), arguments, log, child: None, seen: 0 }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it logs.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it was started and not ended by us.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// What starts it, to be typed into a shell.
    pub fn command_line(&self) -> String {
        let quoted = |word: &str| match word.contains(|c: char| !(c.is_ascii_alphanumeric() || "-_./=:".contains(c))) {
            true => format!("'{}'", word.replace('\'', r"'\''")),
            false => word.to_owned(),
        };
        let words = std::iter::once(self.command.to_string_lossy()).chain(self.arguments.iter().map(Into::into));
        words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
    }

    /// Starts the process. It is not ready yet.
    pub fn start(&mut self) -> Result<(), DrillError> {
        let io = |cause| DrillError::Io { path: self.log.clone(), cause };
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(io)?;
        self.seen = log.metadata().map_err(io)?.len();
        let errors = log.try_clone().map_err(io)?;
        let child = Command::new(&self.command)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|cause| DrillError::Io { path: self.command.clone(), cause })?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the node says that it is ready.
    pub async fn wait_until_ready(&mut self) -> Result<(), DrillError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if self.said().contains(" ready on ") {
                return Ok(());
            }
            self.check()?;
            if Instant::now() >= deadline {
                return Err(self.failed(format!("was not ready after {READY_WITHIN:?}")));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// An error if the process ended by itself.
    pub fn check(&mut self) -> Result<(), DrillError> {
        let Some(child) = &mut self.child else { return Ok(()) };
        match child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                self.child = None;
                Err(self.failed(format!("ended by itself ({status})")))
            }
            Err(cause) => Err(DrillError::Io { path: self.command.clone(), cause }),
        }
    }

    /// SIGKILL: no chance to write anything. Returns once the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if it is gone already.
            let _gone = child.kill();
            let _status = child.wait();
        }
    }

    /// SIGTERM.
    pub fn ask_to_stop(&self) {
        if let Some(child) = &self.child {
            // The standard library has no SIGTERM; every POSIX system has this program.
            let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
            if !asked.is_ok_and(|status| status.success()) {
                eprintln!("node {} could not be asked to stop; it will be killed", self.name);
            }
        }
    }

    /// Waits until a node that was asked to stop has ended; kills it if it does not. `Ok(true)`: it ended cleanly.
    pub async fn wait_until_stopped(&mut self) -> Result<bool, DrillError> {
        let deadline = Instant::now() + STOPPED_WITHIN;
        while let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(Some(status)) => {
                    self.child = None;
                    return Ok(status.success());
                }
                Ok(None) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                Ok(None) => {
                    self.kill();
                    return Ok(false);
                }
                Err(cause) => return Err(DrillError::Io { path: self.command.clone(), cause }),
            }
        }
        Ok(true)
    }

    /// Lines of its log, since this start, that hold this text.
    pub fn count_in_log(&self, text: &str) -> usize {
        self.said().lines().filter(|line| line.contains(text)).count()
    }

    fn said(&self) -> String {
        use std::io::{Read, Seek, SeekFrom};
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.seen))?;
            let mut bytes = Vec::new();
            // A log is read for its first or last lines; what lies beyond is not needed.
            file.take(4 * 1024 * 1024).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn failed(&self, what: String) -> DrillError {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        let last_words = lines.get(lines.len().saturating_sub(LAST_WORDS)..).unwrap_or_default().join("\n");
        DrillError::Node { node: self.name.clone(), what, log: self.log.clone(), last_words }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> NodeProcess {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        NodeProcess::new("a", Path::new("/bin/sh"), arguments, directory.join("a.log"))
    }

    fn check<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_node_is_ready_when_it_says_so_and_stops_when_it_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let mut node = shell("trap 'exit 0' TERM; echo starling-node a ready on x; sleep 30 & wait", directory.path());
        check(async {
            node.start().unwrap();
            node.wait_until_ready().await.unwrap();
            node.check().unwrap();
            node.ask_to_stop();
            assert!(node.wait_until_stopped().await.unwrap());
        });
        assert!(!node.is_running());
    }

    #[test]
    fn a_node_that_ends_by_itself_is_an_error_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let mut node = shell("echo the disk is gone >&2; exit 5", directory.path());
        let error = check(async {
            node.start().unwrap();
            node.wait_until_ready().await.unwrap_err().to_string()
        });
        assert!(error.contains("node a ended by itself") && error.contains("the disk is gone"), "{error}");
    }

    #[test]
    fn readiness_of_an_earlier_start_does_not_count_after_a_kill() {
        let directory = tempfile::tempdir().unwrap();
        let script = "if [ -e gone ]; then exit 1; fi; echo starling-node a ready on x; exec sleep 30";
        let mut node =
            shell(&script.replace("gone", directory.path().join("gone").to_str().unwrap()), directory.path());
        check(async {
            node.start().unwrap();
            node.wait_until_ready().await.unwrap();
            node.kill();
            std::fs::write(directory.path().join("gone"), "").unwrap();
            node.start().unwrap();
            assert!(node.wait_until_ready().await.is_err());
        });
    }
}
