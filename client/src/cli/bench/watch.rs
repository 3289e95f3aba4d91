//! What the nodes do meanwhile: their CPU time, and how long their disks sync.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use starling::ids::NodeId;
use starling::message::client::Options;
use starling_client::Client;
use tokio::task::JoinHandle;

/// Linux counts the CPU time that it shows to programs in hundredths of a second, on every architecture.
const CPU_TICK: Duration = Duration::from_millis(10);

/// How often the nodes are asked for their last sync.
const SYNC_SAMPLE_INTERVAL: Duration = Duration::from_millis(200);

/// CPU time of processes over a while.
pub(crate) struct CpuWatch {
    started: Vec<(u32, Duration)>,
}

/// CPU time per process; `None`: the process has ended.
pub(crate) type CpuTimes = Vec<(u32, Option<Duration>)>;

impl CpuWatch {
    /// Refuses a process that is not there.
    pub(crate) fn start(pids: &[u32]) -> Result<CpuWatch, String> {
        let started = pids.iter().map(|pid| Ok((*pid, cpu_time(*pid)?))).collect::<Result<_, String>>()?;
        Ok(CpuWatch { started })
    }

    pub(crate) fn stop(self) -> CpuTimes {
        let used = |(pid, before): (u32, Duration)| (pid, cpu_time(pid).ok().map(|now| now.saturating_sub(before)));
        self.started.into_iter().map(used).collect()
    }
}

/// User and system time of a process so far.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, String> {
    let file = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("--pid {pid}: cannot read {file} ({error}); is it a process of this machine?"))?;
    parse_stat(&text).ok_or_else(|| format!("--pid {pid}: {file} has another form than on Linux"))
}

/// Fields 14 and 15; the second field is a name in brackets that may hold spaces and brackets itself.
fn parse_stat(text: &str) -> Option<Duration> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    CPU_TICK.checked_mul(user.checked_add(system)?)
}

/// Samples of the nodes' last sync times. Unit: microseconds.
pub(crate) struct SyncWatch {
    sampler: JoinHandle<()>,
    samples: Arc<Mutex<BTreeMap<NodeId, Vec<u64>>>>,
}

/// A node's sync times. Unit: microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyncTimes {
    pub(crate) node: String,
    pub(crate) median_us: u64,
    pub(crate) max_us: u64,
    pub(crate) samples: usize,
}

impl SyncWatch {
    pub(crate) fn start(client: &Client) -> SyncWatch {
        let samples = Arc::new(Mutex::new(BTreeMap::<NodeId, Vec<u64>>::new()));
        let (client, shared) = (client.clone(), samples.clone());
        let sampler = tokio::spawn(async move {
            let mut tick = tokio::time::interval(SYNC_SAMPLE_INTERVAL);
            loop {
                tick.tick().await;
                let ring = client.ring();
                for member in &ring.layout().members {
                    let Ok(status) = client.status(member.id, &Options::default()).await else { continue };
                    if status.last_sync_us > 0 {
                        let mut samples = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        samples.entry(member.id).or_default().push(status.last_sync_us);
                    }
                }
            }
        });
        SyncWatch { sampler, samples }
    }

    pub(crate) async fn stop(self, client: &Client) -> Vec<SyncTimes> {
        self.sampler.abort();
        let _ = self.sampler.await;
        let samples = std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner));
        samples.into_iter().filter_map(|(node, times)| summary(client.name_of(node), times)).collect()
    }
}

fn summary(node: String, mut times: Vec<u64>) -> Option<SyncTimes> {
    times.sort_unstable();
    let median_us = *times.get(times.len() / 2)?;
    Some(SyncTimes { node, median_us, max_us: *times.last()?, samples: times.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_hold_brackets_and_spaces() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 9 0 100 1000 10";
        assert_eq!(parse_stat(stat), Some(Duration::from_millis(120)));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn this_process_has_a_cpu_time_and_a_missing_one_is_an_error() {
        assert!(cpu_time(std::process::id()).is_ok());
        assert!(cpu_time(u32::MAX).unwrap_err().contains("--pid"));
    }
}
