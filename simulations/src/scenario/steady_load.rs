//! Clients never pause: what has expired must be settled meanwhile, not when they are quiet.
//!
//! Two things would betray a settling that only ends when nobody writes: a step that takes ever longer, and rows that name
//! ever more actors. Both are watched all the time, while clients write every type on a few hot keys and many cold ones: on
//! a good network, on one that loses and repeats messages, and with hundreds of resets and removals of counters, which take
//! away what owners are about to report. With everybody there no write may fail for what is being settled.

use std::collections::BTreeMap;
use std::time::Duration;

use starling::causality::Tick;
use starling::ids::{NodeId, PartitionId};
use starling::message::client::{Reason, Response};
use starling::time::Timestamp;

use super::stage::{Stage, short_leases};
use super::{Scenario, Setting};
use crate::checker::actors_bounded;
use crate::swarm::rest;
use crate::workload::{Topic, Topics, Workload, WorkloadOptions};
use crate::world::World;

pub(super) const CALM: Scenario = Scenario {
    name: "steady_load",
    story: "writes of every type go on without a pause: steps of settling end in time, and rows name few actors",
    play: |setting| play(setting, Topics::all(), 0),
};

pub(super) const LOSSY: Scenario = Scenario {
    name: "steady_load_lossy",
    story: "the same where three messages of a hundred are lost, and as many come twice",
    play: |setting| play(setting, Topics::all(), 30),
};

pub(super) const RESETS: Scenario = Scenario {
    name: "steady_resets",
    story: "counters are reset and deleted without a pause: steps of settling end in time, and what is reset stays reset",
    play: |setting| play(setting, Topics::of(&[Topic::Resets, Topic::Mix]), 0),
};

/// How long clients write.
const LASTS: Duration = Duration::from_secs(45);

/// Requests per second.
const RATE: u32 = 120;

/// How often the world is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Intervals of settling that a step may take; where messages are lost, rounds are repeated, and exchanges too.
const STEP_MAX: u32 = 10;

/// The same of what is forgotten: it waits until two looks at a partition in which counters are reset find the same.
const FOLD_MAX: u32 = 40;

fn play(setting: Setting, topics: Topics, per_mille: u16) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        short_leases(options);
        options.partitions = 8;
        options.network.loss_per_mille = per_mille;
        options.network.duplicate_per_mille = per_mille;
    });
    let mut workload = Workload::new(1, WorkloadOptions::plain(RATE, topics));
    let end = stage.world.after(LASTS);
    let mut watch = Watch::default();
    let mut look_at = stage.world.now();
    while stage.world.now() < end {
        workload.ask(&mut stage.world);
        let gap = workload.gap();
        stage.world.run_for(gap);
        if stage.world.now() >= look_at {
            watch.look(&stage.world);
            look_at = stage.world.after(LOOK_EVERY);
        }
    }
    stage.run_ms(2_500);
    let failed: Vec<String> = stage.world.history.ops().iter().filter_map(failed_for_settling).collect();
    rest::end_dialogues(&mut stage.world, &mut workload);
    let (step, fold) = (watch.steps.slowest, watch.folds.slowest);
    stage.note(format!("slowest step {step:?}, slowest fold {fold:?}, {} actors at most", watch.actors));
    let bound = actors_bounded::names_max(&stage.world.options.config, stage.world.nodes().len());
    stage.must(watch.actors <= bound, || format!("a row named {} actors, at most {bound} may be", watch.actors));
    let interval = stage.world.options.config.stability_interval;
    let patience = if per_mille > 0 { 4 } else { 1 };
    stage.must(step <= interval * STEP_MAX * patience, || format!("a step took {step:?}"));
    stage.must(fold <= interval * FOLD_MAX * patience, || format!("what was to be forgotten waited for {fold:?}"));
    let compacted = stage.world.facts.count("compacted");
    stage.must(compacted > 100, || format!("only {compacted} steps were done"));
    stage.must(failed.len() * 200 <= stage.world.history.ops().len(), || {
        format!("{} writes failed for what was being settled, such as {:?}", failed.len(), failed.first())
    });
    stage
}

/// A request that was refused, or not done, because something old was in its way.
fn failed_for_settling(op: &crate::world::history::Op) -> Option<String> {
    let Some((_, Response::Failed(error))) = &op.answer else { return None };
    let is_old = match &error.reason {
        Reason::ContextSettled | Reason::Unsettled => true,
        Reason::QuorumFailed { last_refusal, .. } => last_refusal.contains("sealed"),
        _ => false,
    };
    is_old.then(|| format!("{op:?}"))
}

/// How long something is due that must go on.
#[derive(Default)]
struct Due {
    since: BTreeMap<(NodeId, PartitionId), (Tick, Timestamp)>,
    slowest: Duration,
}

#[derive(Default)]
struct Watch {
    steps: Due,
    folds: Due,
    actors: usize,
}

impl Watch {
    fn look(&mut self, world: &World) {
        self.actors = self.actors.max(actors_bounded::most(world).map_or(0, |(_, names)| names));
        let now = world.now();
        for (number, node) in world.nodes().iter().enumerate() {
            for settling in world.status(number).iter().flat_map(|status| &status.settling) {
                let place = (node.id, settling.partition);
                self.steps.note(place, (settling.sealed > settling.compacted).then_some(settling.compacted), now);
                self.folds.note(place, (settling.compacted > settling.folded).then_some(settling.folded), now);
            }
        }
    }
}

impl Due {
    /// The tick that has been reached, if there is more to reach.
    fn note(&mut self, place: (NodeId, PartitionId), reached: Option<Tick>, now: Timestamp) {
        let Some(reached) = reached else {
            self.since.remove(&place);
            return;
        };
        let (tick, since) = self.since.entry(place).or_insert((reached, now));
        if *tick != reached {
            (*tick, *since) = (reached, now);
        }
        self.slowest = self.slowest.max(now.since(*since));
    }
}
