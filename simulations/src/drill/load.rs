//! The workload on real processes: clients through the client library, each attached to one node.
//!
//! Open loop: one task draws Poisson arrivals and starts each request at its time, whether or not answers came; the
//! latency of a request counts from the time it was meant to start (the timer adds up to a millisecond). Closed loop:
//! one task per client. Requests under way are bounded by the clients' own bound; the deadline ends each of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use starling::ids::Key;
use starling::message::client::{Options, Outcome};
use starling_client::{Client, Error};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::{DrillError, ProcessCluster};
use crate::plan::{Configuration, NodeIndex, Pace, Plan, Workload};
use crate::report::{Op, OpKind, OpOutcome};

/// A running workload.
#[derive(Debug)]
pub(super) struct Load {
    done: Arc<Mutex<Done>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Done {
    ops: Vec<Op>,
    /// How many of them were told already.
    told: usize,
}

/// A client and the one node that it speaks to.
#[derive(Clone)]
pub(super) struct Attached {
    node: NodeIndex,
    client: Client,
}

/// What every request needs.
struct Setting {
    options: Options,
    start: Instant,
    done: Arc<Mutex<Done>>,
}

/// The clients of a plan, each connected to its node, so that no request waits for a handshake.
pub(super) async fn connect(plan: &Plan, cluster: &ProcessCluster) -> Result<Vec<Attached>, DrillError> {
    let nodes = cluster.ids().len().max(1);
    let options = Options { deadline_ms: Some(5_000), ..Options::default() };
    let mut clients = Vec::new();
    for index in 0..plan.workload.clients {
        let node = index % nodes;
        let Some(id) = cluster.ids().get(node) else { continue };
        let client = cluster.client()?.on(*id);
        client.status(*id, &options).await.map_err(|error| DrillError::Program {
            what: format!("the first call to node {}", plan.names(&[node])),
            said: error.to_string(),
        })?;
        clients.push(Attached { node, client });
    }
    Ok(clients)
}

impl Load {
    /// Begins to ask.
    pub(super) fn begin(
        plan: &Plan,
        configuration: &Configuration,
        clients: Vec<Attached>,
        seed: u64,
        start: Instant,
    ) -> Load {
        let quorums = configuration.quorums;
        let options = Options {
            r: Some(quorums.r),
            w: Some(quorums.w),
            strict: quorums.strict,
            deadline_ms: u32::try_from(quorums.deadline.as_millis()).ok(),
            ..Options::default()
        };
        let done = Arc::new(Mutex::new(Done::default()));
        let setting = Arc::new(Setting { options, start, done: done.clone() });
        let workload = plan.workload.clone();
        let until = start + plan.duration;
        let task = tokio::spawn(async move {
            match workload.pace {
                Pace::PerSecond(rate) => open_loop(&workload, rate, clients, setting, seed, until).await,
                Pace::ClosedLoop => closed_loop(&workload, clients, setting, seed, until).await,
            }
        });
        Load { done, task }
    }

    /// What came of the requests since the last time this was asked, in words.
    pub(super) fn since_last(&self) -> String {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut ok, mut refused, mut unknown) = (0, 0, 0);
        for op in done.ops.iter().skip(done.told) {
            match op.outcome {
                OpOutcome::Ok => ok += 1,
                OpOutcome::Refused(_) => refused += 1,
                OpOutcome::Unknown(_) => unknown += 1,
            }
        }
        done.told = done.ops.len();
        format!("(until now: {ok} served, {refused} refused, {unknown} unknown)")
    }

    /// Waits for the last answers and gives every request.
    pub(super) async fn finish(self) -> Vec<Op> {
        if let Err(error) = self.task.await {
            std::panic::resume_unwind(error.into_panic());
        }
        std::mem::take(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner).ops)
    }

    /// Ends the load at once.
    pub(super) fn give_up(self) {
        self.task.abort();
    }
}

async fn open_loop(
    workload: &Workload,
    rate: f64,
    clients: Vec<Attached>,
    setting: Arc<Setting>,
    seed: u64,
    until: Instant,
) {
    let mut chance = ChaCha12Rng::seed_from_u64(seed);
    let mut requests = JoinSet::new();
    let mut at = setting.start;
    loop {
        at += pause(rate, &mut chance);
        if at >= until {
            break;
        }
        let client = clients.get(chance.random_range(0..clients.len().max(1))).cloned();
        let (kind, key) = draw(workload, &mut chance);
        tokio::time::sleep_until(at).await;
        if let Some(client) = client {
            let setting = setting.clone();
            requests.spawn(async move { ask(&setting, &client, kind, key, at).await });
        }
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
}

async fn closed_loop(workload: &Workload, clients: Vec<Attached>, setting: Arc<Setting>, seed: u64, until: Instant) {
    let mut loops = JoinSet::new();
    for (index, client) in clients.into_iter().enumerate() {
        let mut chance = ChaCha12Rng::seed_from_u64(seed.wrapping_add(index as u64));
        let (setting, workload) = (setting.clone(), workload.clone());
        loops.spawn(async move {
            while Instant::now() < until {
                let (kind, key) = draw(&workload, &mut chance);
                let is_refused = ask(&setting, &client, kind, key, Instant::now()).await;
                if is_refused {
                    // A refusal comes at once; without a pause a refused client would ask nothing else all the time.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    loops.join_all().await;
}

/// Time to the next arrival: exponentially distributed.
fn pause(rate: f64, chance: &mut ChaCha12Rng) -> Duration {
    let uniform: f64 = chance.random();
    Duration::from_secs_f64(-(1.0 - uniform).ln() / rate)
}

/// What the next request asks.
fn draw(workload: &Workload, chance: &mut ChaCha12Rng) -> (OpKind, String) {
    let mix = workload.mix;
    let key = chance.random_range(0..workload.keys.max(1));
    let by = chance.random_range(workload.deltas.0..=workload.deltas.1);
    let at = chance.random_range(0..(mix.increment + mix.read + mix.put).max(1));
    if at < mix.increment {
        (OpKind::Increment(by), format!("likes:{key}"))
    } else if at < mix.increment + mix.read {
        (OpKind::Read, format!("likes:{key}"))
    } else {
        (OpKind::Put, format!("title:{key}"))
    }
}

/// Makes one request and writes down what came of it. Returns whether it was refused.
async fn ask(setting: &Setting, client: &Attached, kind: OpKind, key: String, meant: Instant) -> bool {
    let Ok(name) = Key::new(key.clone()) else { return false };
    let result = match kind {
        OpKind::Increment(by) => client.client.increment(&name, by, &setting.options).await.map(|_| ()),
        OpKind::Read => client.client.get(&name, &setting.options).await.map(|_| ()),
        OpKind::Put => {
            let value = Bytes::from(format!("{:?}", meant.duration_since(setting.start)));
            client.client.put(&name, value, &setting.options).await.map(|_| ())
        }
    };
    let outcome = match result {
        Ok(()) => OpOutcome::Ok,
        Err(error) => failed(&error),
    };
    let is_refused = matches!(outcome, OpOutcome::Refused(_));
    let (from, to) = (meant.duration_since(setting.start), setting.start.elapsed());
    let op = Op { node: client.node, kind, key, start: from, end: to, outcome };
    setting.done.lock().unwrap_or_else(PoisonError::into_inner).ops.push(op);
    is_refused
}

/// What a failed call did to the data, with the reason in countable words.
fn failed(error: &Error) -> OpOutcome {
    let words = match error {
        Error::Refused { error, .. } | Error::Invalid { error } => return OpOutcome::failed(error),
        Error::Cluster { .. } => "not about a key",
        Error::Unknown { .. } | Error::InDoubt { .. } => "no answer",
        Error::SessionOver { .. } => "the session has ended",
        Error::NoAnswer { .. } => "no answer to a read",
        Error::NotSent { .. } => "not sent",
        Error::Unreachable { .. } => "the node is not reachable",
        Error::UnknownNode { .. } => "no such node",
    };
    match error.outcome() {
        Outcome::NotApplied => OpOutcome::Refused(words.to_owned()),
        Outcome::Unknown => OpOutcome::Unknown(words.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_at_the_rate_of_the_plan() {
        let mut chance = ChaCha12Rng::seed_from_u64(7);
        let total: Duration = (0..20_000).map(|_| pause(200.0, &mut chance)).sum();
        assert!((95.0..105.0).contains(&total.as_secs_f64()), "20000 arrivals at 200/s took {total:?}");
    }

    #[test]
    fn requests_follow_the_mix_and_stay_in_the_bounds() {
        let workload = Plan::load("demo").unwrap().workload;
        let mut chance = ChaCha12Rng::seed_from_u64(7);
        let mut reads = 0;
        for _ in 0..10_000 {
            let (kind, key) = draw(&workload, &mut chance);
            let index: usize = key.strip_prefix("likes:").unwrap().parse().unwrap();
            assert!(index < workload.keys);
            match kind {
                OpKind::Increment(by) => assert!((1..=5).contains(&by)),
                OpKind::Read => reads += 1,
                OpKind::Put => panic!("the demo makes no puts"),
            }
        }
        assert!((1_800..2_200).contains(&reads), "{reads} of 10000 are reads, 20 % were asked for");
    }
}
