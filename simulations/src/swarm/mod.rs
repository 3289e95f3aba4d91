//! Swarms: many seeds, each a cluster, a workload and faults of its own (Groce et al., "Swarm Testing", 2012).
//!
//! ```text
//! seed ─shape─→ cluster, network, faults ─→ load + faults ─→ everything made well ─→ at rest? ─→ load ─→ forgets ─→ probes,
//!                                          └─ --minutes ──┘  └───── within a stated bound ─────┘  served?            checkers
//! ```
//!
//! A seed draws N of 1 to 5, R and W, zones and quorums of zones too; where members change, operators drain several, move members
//! to other zones and addresses, halt the moving of data, and declare a zone lost or recover from the loss of a majority
//! ([`crate::faults::operator`]). Not drawn: two live processes of one member, restores from backups, and recoveries while the rest
//! of the cluster lives; those are scenarios.
//!
//! A seed decides everything, so a failed one replays exactly (`starling-sim replay SEED`).

pub mod changes;
mod part;
pub mod probe;
pub mod rest;
mod shape;

use std::fmt;
use std::time::{Duration, Instant};

use starling::message::client::{Reason, Response};
use starling::time::Timestamp;

pub use part::{Part, Without};
pub use shape::{Shape, TROUBLES};

use crate::checker::{self, Violation};
use crate::faults::atlas;
use crate::panics;
use crate::workload::{Topics, Workload, WorkloadOptions};
use crate::world::World;
use crate::world::history::{Known, Op};

/// How a swarm is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwarmOptions {
    /// Simulated time under load and faults.
    pub lasts: Duration,
    /// Requests per second.
    pub rate: u32,
    /// Parts of the trouble that are left out.
    pub without: Without,
    /// What the keys are about; `None`: each seed draws for itself.
    pub topics: Option<Topics>,
    /// Print every event.
    pub prints: bool,
}

impl SwarmOptions {
    /// All the trouble and every topic that the seed draws.
    pub fn of(lasts: Duration, rate: u32) -> SwarmOptions {
        SwarmOptions { lasts, rate, without: Without::NOTHING, topics: None, prints: false }
    }
}

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All checkers are content.
    Passed,
    /// Checkers found something.
    Wrong(Vec<Violation>),
    /// The cluster was not at rest within the bound: what kept it.
    NotConverged(Vec<String>),
    /// The core panicked.
    Crashed(String),
}

/// What a run did: shows that it exercised something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStatistics {
    /// Hash of the trace.
    pub hash: u64,
    /// Events in the trace.
    pub events: u64,
    /// Virtual time that passed.
    pub simulated: Duration,
    /// From the moment when everything was made well until the cluster was at rest.
    pub settled_after: Duration,
    /// Requests that were done, refused as not applied, unknown.
    pub outcomes: [u64; 3],
    /// Frames sent.
    pub frames: u64,
    /// How often each kind of fact was reported.
    pub facts: Vec<(&'static str, u64)>,
    /// How much each checker has judged.
    pub judged: Vec<(&'static str, u64)>,
    /// How often the members changed, by kind.
    pub changes: Vec<(&'static str, u64)>,
    /// What the keys were about.
    pub topics: Topics,
}

/// A seed's run.
#[derive(Clone, Debug)]
pub struct SeedReport {
    /// Which.
    pub seed: u64,
    /// What it was made of.
    pub shape: String,
    /// Kinds of trouble that it had.
    pub troubles: Vec<&'static str>,
    /// What came of it.
    pub verdict: Verdict,
    /// What it did (nothing, after a panic).
    pub statistics: RunStatistics,
    /// Real time that it took.
    pub took: Duration,
}

/// Runs one seed.
pub fn run_seed(seed: u64, options: SwarmOptions) -> SeedReport {
    let mut shape = Shape::draw(seed, options);
    options.without.apply(&mut shape);
    let began = Instant::now();
    let (text, troubles) = (shape.to_string(), shape.troubles());
    let (verdict, statistics) = match panics::catch(|| run_shape(&shape, options)) {
        Ok(outcome) => outcome,
        Err(panic) => (Verdict::Crashed(panic), RunStatistics::default()),
    };
    SeedReport { seed, shape: text, troubles, verdict, statistics, took: began.elapsed() }
}

/// Runs a shape that was drawn or made.
pub fn run_shape(shape: &Shape, options: SwarmOptions) -> (Verdict, RunStatistics) {
    let mut world = match World::new(shape.world.clone()) {
        Ok(world) => world,
        Err(error) => panic!("the layout of the world is refused: {error}"),
    };
    let mut workload = Workload::new(shape.world.seed, WorkloadOptions::of_rate(options.rate, shape.topics));
    load(&mut world, &mut workload, shape, options);
    let too_many = if shape.is_quiet() { checker::actors_bounded::check_now(&world) } else { None };
    rest::end_dialogues(&mut world, &mut workload);
    let (mut restless, settled_after) = rest::settle(&mut world, shape.settles_within());
    let mut violations = Vec::from_iter(too_many);
    if restless.is_empty() {
        violations.extend(aftermath(&mut world, &mut workload, shape, options));
        rest::end_dialogues(&mut world, &mut workload);
        rest::forget(&mut world);
        restless = rest::settle(&mut world, shape.settles_within()).0;
    }
    let mut judged = Vec::new();
    let verdict = if restless.is_empty() {
        violations.extend(probe::probe(&mut world));
        // Owners differ for a moment whenever they settle what has expired meanwhile.
        rest::settle(&mut world, shape.settles_within());
        let (found, judgement) = checker::judge(&world);
        violations.extend(found);
        judged = judgement.counts();
        if violations.is_empty() { Verdict::Passed } else { Verdict::Wrong(violations) }
    } else {
        // What is wrong besides is worth more than that it did not come to rest.
        match checker::dot_uniqueness::check(&checker::Evidence::of(&world)) {
            violations if violations.is_empty() => Verdict::NotConverged(restless),
            violations => Verdict::Wrong(violations),
        }
    };
    (verdict, RunStatistics { judged, topics: shape.topics, ..statistics(&world, settled_after) })
}

/// Load and faults, side by side.
fn load(world: &mut World, workload: &mut Workload, shape: &Shape, options: SwarmOptions) {
    let end = Timestamp(0).after(options.lasts);
    let mut faults = atlas::draw(&shape.world, shape.faults, end).sorted().into_iter().peekable();
    let mut ask_at = world.now().after(workload.gap());
    loop {
        let fault_at = faults.peek().map(|(at, _)| *at).filter(|at| *at <= ask_at);
        let next = fault_at.unwrap_or(ask_at);
        if next >= end {
            return world.run_until(end);
        }
        world.run_until(next);
        match fault_at.and_then(|_| faults.next()) {
            Some((_, action)) => action.apply(world),
            None => {
                workload.ask(world);
                ask_at = world.now().after(workload.gap());
            }
        }
    }
}

/// Load again once all is well: the cluster must serve it, whatever it went through (nothing stays broken).
fn aftermath(world: &mut World, workload: &mut Workload, shape: &Shape, options: SwarmOptions) -> Vec<Violation> {
    workload.change(WorkloadOptions::plain(options.rate, shape.topics));
    let first = world.history.ops().len();
    let end = world.after(Duration::from_secs(5));
    while world.now() < end {
        workload.ask(world);
        let gap = workload.gap();
        world.run_for(gap);
    }
    world.run_for(world.options.config.request_deadline + Duration::from_secs(1));
    let asked = world.history.ops().get(first..).unwrap_or_default();
    let is_about_its_value = |op: &Op| {
        matches!(&op.answer, Some((_, Response::Failed(error)))
            if matches!(error.reason, Reason::NotANumber | Reason::Overflow | Reason::WrongType { .. }
                | Reason::TooMany { .. } | Reason::SessionExpired | Reason::ContextSettled))
    };
    let failed: Vec<&Op> = asked.iter().filter(|op| op.known() != Known::Applied && !is_about_its_value(op)).collect();
    // A heavy-tailed network still loses a few to their deadlines, and late notices of old breaks are believed.
    if failed.len() * 20 <= asked.len() {
        return Vec::new();
    }
    let examples: Vec<String> = failed.iter().take(3).map(|op| format!("{:?}", op.answer)).collect();
    let text = format!("all is well, yet {} of {} requests failed: {}", failed.len(), asked.len(), examples.join("; "));
    vec![Violation { checker: "aftermath", text }]
}

fn statistics(world: &World, settled_after: Duration) -> RunStatistics {
    let mut outcomes = [0; 3];
    for op in world.history.ops() {
        let place = match op.known() {
            Known::Applied => 0,
            Known::NotApplied => 1,
            Known::Unknown => 2,
        };
        if let Some(count) = outcomes.get_mut(place) {
            *count += 1;
        }
    }
    RunStatistics {
        hash: world.trace.hash(),
        events: world.trace.events(),
        simulated: world.now().since(Timestamp(0)),
        settled_after,
        outcomes,
        frames: world.network.counters.sent,
        facts: world
            .facts
            .counts
            .iter()
            .map(|(kind, count)| (*kind, *count))
            .chain([("layouts", world.layouts().len() as u64)])
            .collect(),
        judged: Vec::new(),
        changes: changes::count(world),
        topics: Topics::default(),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => write!(f, "passed"),
            Verdict::Wrong(violations) => {
                write!(f, "WRONG ANSWER")?;
                violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
            }
            Verdict::NotConverged(differences) => {
                write!(f, "NOT CONVERGED")?;
                differences.iter().try_for_each(|difference| write!(f, "\n  {difference}"))
            }
            Verdict::Crashed(panic) => write!(f, "CRASHED\n  {panic}"),
        }
    }
}

impl fmt::Display for RunStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, refused, unknown] = self.outcomes;
        write!(
            f,
            "trace {:016x} over {} events; {done} requests done, {refused} refused, {unknown} unknown; {} frames; \
             at rest after {:.1} s;",
            self.hash,
            self.events,
            self.frames,
            self.settled_after.as_secs_f64()
        )?;
        self.facts.iter().try_for_each(|(kind, count)| write!(f, " {kind} {count}"))?;
        self.changes.iter().try_for_each(|(kind, count)| write!(f, " {kind} {count}"))
    }
}
