//! The end of a run: waiting until the owners are equal, every final count, and what else deserves a line.

use starling::message::client::Options;
use tokio::time::{Instant, sleep};

use super::sampler::{EVERY, Sampler, View};
use super::{DrillError, ProcessCluster};
use crate::plan::Plan;
use crate::report::FinalCount;

/// Samples in a row without a difference after which the owners are taken to be equal: about two seconds.
const EQUAL_SAMPLES: usize = 10;

/// Waits until all owners of all keys are equal and stay so, or until the settling time is over.
pub(super) async fn wait(plan: &Plan, name: &str, sampler: &Sampler, start: Instant) {
    let quiet = plan.quiet_from();
    let end = start + quiet + plan.settle;
    while Instant::now() < end {
        if sampler.has_been_equal(EQUAL_SAMPLES, quiet) {
            eprintln!("{name}: {:5.1} s  all owners are equal", start.elapsed().as_secs_f64());
            return;
        }
        sleep(EVERY).await;
    }
    eprintln!("{name}: {:5.1} s  the settling time is over, and owners still differ", start.elapsed().as_secs_f64());
}

/// Every counter on every of its owners.
pub(super) async fn final_counts(view: &View) -> Vec<FinalCount> {
    let mut counts = Vec::new();
    for key in view.keys.iter().filter(|key| key.name.starts_with("likes:")) {
        for owner in &key.owners {
            let found = view.inspect(*owner, key).await;
            counts.push(FinalCount {
                key: key.name.clone(),
                owner: *owner,
                count: found.as_ref().and_then(|view| view.counter.parse().ok()),
                state_hash: found.map(|view| view.state_hash).unwrap_or_default(),
            });
        }
    }
    counts
}

/// Facts of the nodes that a reader should know of. An error if a node has ended by itself.
pub(super) async fn notes(cluster: &mut ProcessCluster) -> Result<Vec<String>, DrillError> {
    let mut notes = Vec::new();
    let options = Options { deadline_ms: Some(2_000), ..Options::default() };
    for index in 0..cluster.ids().len() {
        let Some(id) = cluster.ids().get(index).copied() else { continue };
        let status = cluster.admin().status(id, &options).await;
        let Some(node) = cluster.node_mut(index) else { continue };
        node.check()?;
        let name = node.name().to_owned();
        let errors = node.count_in_log("ERROR");
        if errors > 0 {
            notes.push(format!("node {name} logged {errors} errors; see {}", node.log().display()));
        }
        match status {
            Ok(status) if status.shards.amnesia_alarms > 0 => {
                notes.push(format!("node {name} raised {} amnesia alarms", status.shards.amnesia_alarms));
            }
            Ok(status) if !status.faults.links.is_empty() => {
                notes.push(format!("node {name} still had faults injected at the end"));
            }
            Ok(_) => {}
            Err(error) => notes.push(format!("node {name} did not tell its status at the end: {error}")),
        }
    }
    Ok(notes)
}
