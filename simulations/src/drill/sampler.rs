//! What every owner shows by itself, five times a second: the divergence over time, and one counter on every node.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use starling::ids::{Key, NodeId};
use starling::message::client::{Options, ReplicaView};
use starling_client::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::{DrillError, ProcessCluster};
use crate::plan::{NodeIndex, Plan};
use crate::report::{DivergenceSample, ViewSample};

/// Time between two samples.
pub(super) const EVERY: Duration = Duration::from_millis(200);
/// An owner that does not answer within this time is left out of the sample, and its keys with it.
const PATIENCE_MS: u32 = 1_000;

/// A key and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) name: String,
    key: Key,
    pub(super) owners: Vec<NodeIndex>,
}

/// Whom to ask for what.
#[derive(Clone)]
pub(super) struct View {
    client: Client,
    ids: Vec<NodeId>,
    /// Every key of the workload.
    pub(super) keys: Arc<Vec<Watched>>,
    /// The counter that is followed on every node.
    pub(super) watched: Watched,
}

/// A sampler at work.
pub(super) struct Sampler {
    samples: Arc<Mutex<Samples>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Samples {
    divergence: Vec<DivergenceSample>,
    views: Vec<ViewSample>,
}

impl View {
    pub(super) fn of(plan: &Plan, cluster: &ProcessCluster) -> Result<View, DrillError> {
        let client = cluster.client()?;
        let watch = |name: String| {
            let key = Key::new(name.clone()).ok()?;
            let ring = client.ring();
            let owners = ring.owners(ring.partition_of(&key)).iter();
            let owners = owners.filter_map(|id| cluster.index_of(*id)).collect();
            Some(Watched { name, key, owners })
        };
        let keys: Vec<_> = plan.counters().into_iter().chain(plan.texts()).filter_map(watch).collect();
        let owners_of = |name: &str| watch(name.to_owned()).map(|watched| watched.owners).unwrap_or_default();
        let chosen = plan.watched_key(owners_of);
        let no_key = || DrillError::Program { what: "the workload".into(), said: "it has no keys".into() };
        let watched = keys.iter().find(|key| key.name == chosen).cloned().ok_or_else(no_key)?;
        Ok(View { client, ids: cluster.ids().to_vec(), keys: Arc::new(keys), watched })
    }

    /// One node's own view of a key; `None` if it does not answer.
    pub(super) async fn inspect(&self, node: NodeIndex, key: &Watched) -> Option<ReplicaView> {
        let options = Options { deadline_ms: Some(PATIENCE_MS), ..Options::default() };
        self.client.inspect(*self.ids.get(node)?, &key.key, &options).await.ok()
    }

    /// Keys whose owners all answered, and those of them whose owners differ.
    async fn compare(&self) -> (u32, BTreeSet<usize>) {
        let mut asked = JoinSet::new();
        for (index, key) in self.keys.iter().enumerate() {
            for owner in key.owners.clone() {
                let (view, key) = (self.clone(), key.clone());
                asked.spawn(async move { (index, view.inspect(owner, &key).await.map(|found| found.state_hash)) });
            }
        }
        let mut hashes: Vec<Vec<Option<String>>> = vec![Vec::new(); self.keys.len()];
        for (index, hash) in asked.join_all().await {
            if let Some(found) = hashes.get_mut(index) {
                found.push(hash);
            }
        }
        let complete = hashes.iter().enumerate().filter(|(_, found)| found.iter().all(Option::is_some));
        let mut compared = 0;
        let mut differing = BTreeSet::new();
        for (index, found) in complete {
            compared += 1;
            if found.iter().any(|hash| Some(hash) != found.first()) {
                differing.insert(index);
            }
        }
        (compared, differing)
    }

    /// The watched counter on every node.
    async fn counts(&self) -> Vec<Option<i128>> {
        let mut counts = Vec::new();
        for node in 0..self.ids.len() {
            let found = self.inspect(node, &self.watched).await;
            counts.push(found.and_then(|view| view.counter.parse().ok()));
        }
        counts
    }
}

impl Sampler {
    /// Begins to sample.
    pub(super) fn begin(view: View, start: Instant) -> Sampler {
        let samples = Arc::new(Mutex::new(Samples::default()));
        let kept = samples.clone();
        let task = tokio::spawn(async move {
            let mut clock = tokio::time::interval(EVERY);
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let mut before = BTreeSet::new();
            loop {
                clock.tick().await;
                let at = start.elapsed();
                let ((compared, differing), counts) = tokio::join!(view.compare(), view.counts());
                let stayed = u32::try_from(differing.intersection(&before).count()).unwrap_or(u32::MAX);
                before = differing;
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.divergence.push(DivergenceSample { at, compared, differing: stayed });
                kept.views.push(ViewSample { at, counts });
            }
        });
        Sampler { samples, task }
    }

    /// Whether every key was compared and equal in the last `count` samples, all taken after `since`.
    pub(super) fn has_been_equal(&self, count: usize, since: Duration) -> bool {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let last = samples.divergence.iter().rev().take(count);
        let equal = last.filter(|s| s.at > since && s.differing == 0 && s.compared > 0).count();
        equal == count
    }

    /// Ends the sampling and gives what was seen.
    pub(super) async fn finish(self) -> (Vec<DivergenceSample>, Vec<ViewSample>) {
        self.task.abort();
        let ended = self.task.await;
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut samples.divergence), std::mem::take(&mut samples.views))
    }

    /// Ends the sampling at once.
    pub(super) fn give_up(self) {
        self.task.abort();
    }
}
