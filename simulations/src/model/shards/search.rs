//! Searches: random histories, each a function of its seed, until one fails.

use std::fmt;

use super::cluster::{Cluster, Finding};
use super::draw::Mood;
use super::instance::Instance;
use super::shrink;
use super::step::Step;
use super::trace::Failure;
use crate::panics;
use crate::world::chance::{Chance, Use};

/// What a search has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Histories.
    pub histories: u64,
    /// Steps that were possible, and happened.
    pub steps: u64,
    /// Requests of clients.
    pub requests: u64,
    /// Starts of processes after the first.
    pub restarts: u64,
    /// Settlements of a partition by an owner.
    pub compactions: u64,
    /// Folds of baselines by an owner.
    pub folds: u64,
    /// Messages that were refused because they would change what is frozen.
    pub refusals: u64,
    /// Hints that were delivered and dropped.
    pub hints: u64,
    /// Layouts after the first.
    pub layouts: u64,
}

impl Seen {
    /// Adds what a cluster has seen.
    fn add(&mut self, cluster: &Cluster, steps: usize) {
        let count = |kind: &str| cluster.record.facts.get(kind).copied().unwrap_or(0);
        self.histories += 1;
        self.steps += steps as u64;
        self.requests += cluster.clients.asked() as u64;
        self.compactions += count("compacted");
        self.folds += count("folded");
        self.refusals += count("frozen refused");
        self.hints += count("hint dropped");
        self.layouts += count("layouts");
    }
}

/// Random histories from a seed on, until one fails; that one is made short.
pub fn random(instance: &Instance, histories: u64, first: u64, seen: &mut Seen) -> Option<Failure> {
    let failure = (first..first.saturating_add(histories)).find_map(|seed| one(instance, seed, seen))?;
    Some(shrink::shrink(instance, failure))
}

/// Random histories of every instance in turn, until one fails, however long it is.
pub fn anywhere(histories: u64, first: u64, seen: &mut Seen) -> Option<Failure> {
    let instances = super::instance::all();
    (first..first.saturating_add(histories))
        .find_map(|seed| instances.iter().find_map(|instance| one(instance, seed, seen)))
}

/// The history of a seed, if it fails, as long as it is.
pub fn one(instance: &Instance, seed: u64, seen: &mut Seen) -> Option<Failure> {
    let (steps, found) = history(instance, seed, seen);
    Some(Failure { instance: instance.name, seed, steps, found: found? })
}

/// One random history: its steps, and what was wrong.
pub fn history(instance: &Instance, seed: u64, seen: &mut Seen) -> (Vec<Step>, Option<Finding>) {
    let mut steps = Vec::new();
    let outcome = panics::catch(|| {
        let mut cluster = new_cluster(instance, seed);
        let mut chance = Chance::new(seed, Use::Faults);
        let mut mood = Mood::draw(instance, &mut chance);
        for _ in 0..instance.length {
            let step = mood.step(&cluster, &mut chance);
            if cluster.apply(step) {
                seen.restarts += u64::from(matches!(step, Step::Start { .. }));
                steps.push(step);
            }
            if cluster.found.is_some() {
                break;
            }
        }
        end(&mut cluster, seed);
        seen.add(&cluster, steps.len());
        cluster.found
    });
    (steps, found(outcome))
}

/// The same steps again, as far as they are possible: those that were, up to the first finding, and the finding.
pub fn replay(instance: &Instance, seed: u64, steps: &[Step]) -> (Vec<Step>, Option<Finding>) {
    let mut taken = Vec::new();
    let outcome = panics::catch(|| {
        let mut cluster = new_cluster(instance, seed);
        for step in steps {
            if cluster.found.is_none() && cluster.apply(*step) {
                taken.push(*step);
            }
        }
        end(&mut cluster, seed);
        cluster.found
    });
    (taken, found(outcome))
}

/// What happens in a history, line by line.
pub fn told(instance: &Instance, seed: u64, steps: &[Step]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut cluster = new_cluster(instance, seed);
    let _ = panics::catch(|| {
        for (number, step) in steps.iter().enumerate() {
            cluster.lines = Some(Vec::new());
            cluster.apply(*step);
            lines.push(format!("{number:>4}  {:>8} ms  {step}", cluster.now.0 / 1_000));
            lines.extend(cluster.lines.take().unwrap_or_default());
        }
        lines.push("      everything is made well".to_owned());
        cluster.lines = Some(Vec::new());
        end(&mut cluster, seed);
    });
    lines.extend(cluster.lines.take().unwrap_or_default());
    lines
}

fn new_cluster(instance: &Instance, seed: u64) -> Cluster {
    match Cluster::new(instance, seed) {
        Ok(cluster) => cluster,
        Err(error) => panic!("the layout of {} is refused: {error}", instance.name),
    }
}

/// Nothing fails any more; what is under way arrives after every other seed, and is lost after the others.
fn end(cluster: &mut Cluster, seed: u64) {
    if cluster.found.is_none() {
        cluster.come_to_rest(seed.is_multiple_of(2));
    }
    if cluster.found.is_none() {
        cluster.check_finals();
    }
}

fn found(outcome: Result<Option<Finding>, String>) -> Option<Finding> {
    match outcome {
        Ok(found) => found,
        Err(panic) => Some(Finding { promise: "panics", text: panic }),
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { histories, steps, requests, restarts, compactions, folds, refusals, hints, layouts } = self;
        write!(
            f,
            "{histories} histories, {steps} steps, {requests} requests, {restarts} restarts, {compactions} settlements, \
             {folds} folds, {refusals} refusals of what is frozen, {hints} hints, {layouts} layouts"
        )
    }
}
