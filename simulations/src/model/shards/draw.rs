//! What happens next, by chance: every history has a mood, so that some are calm and long, and others all trouble.

use std::collections::VecDeque;

use super::cluster::Cluster;
use super::instance::{Faults, Instance, SKEW_MAX, Topic};
use super::step::{Ask, Change, Step, Talk};
use crate::world::chance::Chance;

/// Elements of a collection.
const ELEMENTS: u64 = 2;

/// How often each kind of step is drawn in a history.
#[derive(Debug)]
pub struct Mood {
    weights: Vec<(Kind, u64)>,
    total: u64,
    /// The one node whose directory may be lost.
    wiped: u8,
    /// Of 1000 frames that arrive, how many are not the oldest.
    overtakes: u16,
    /// Of 1000 times that nodes go on, how often one kind of message stays under way.
    holds: u16,
    /// What follows by all means.
    plan: VecDeque<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ask,
    Deliver,
    Repeat,
    Lose,
    Delay,
    Late,
    Orphan,
    Break,
    Sync,
    Read,
    Job,
    Fire,
    Pass,
    Flow,
    Split,
    Crash,
    Kill,
    Wipe,
    Start,
    Clock,
    Adopt,
    Tell,
    Change,
    Revert,
}

impl Mood {
    /// The mood of a history.
    pub fn draw(instance: &Instance, chance: &mut Chance) -> Mood {
        let Faults { crashes, wipes, clocks } = instance.faults;
        let mut some =
            |is_possible: bool, most: u64| if is_possible && chance.happens(500) { chance.below(most + 1) } else { 0 };
        let weights = vec![
            (Kind::Ask, 60 + some(true, 120)),
            (Kind::Deliver, 120 + some(true, 300)),
            (Kind::Sync, 60 + some(true, 60)),
            (Kind::Job, 30),
            (Kind::Fire, 30 + some(true, 60)),
            (Kind::Flow, 20 + some(true, 80)),
            (Kind::Start, 30),
            (Kind::Repeat, some(true, 40)),
            (Kind::Lose, some(true, 60)),
            (Kind::Delay, some(true, 40)),
            (Kind::Late, 10),
            (Kind::Orphan, some(crashes, 30)),
            (Kind::Break, some(true, 20)),
            (Kind::Read, some(true, 30)),
            (Kind::Pass, some(true, 20)),
            (Kind::Split, some(true, 80)),
            (Kind::Crash, some(crashes, 20)),
            (Kind::Kill, some(crashes, 12)),
            (Kind::Wipe, some(wipes, 10)),
            (Kind::Clock, some(clocks, 10)),
            (Kind::Adopt, if instance.changes { 60 } else { 0 }),
            (Kind::Tell, if instance.changes { 90 } else { 0 }),
            (Kind::Change, if instance.changes { 30 } else { 0 }),
            (Kind::Revert, some(instance.changes, 2)),
        ];
        let total = weights.iter().map(|(_, weight)| weight).sum();
        let wiped = chance.below(instance.nodes as u64) as u8;
        let overtakes = if chance.happens(500) { 300 } else { 0 };
        let holds = if chance.happens(600) { 600 } else { 0 };
        Mood { weights, total, wiped, overtakes, holds, plan: VecDeque::new() }
    }

    /// The next step. It may turn out not to be possible.
    pub fn step(&mut self, cluster: &Cluster, chance: &mut Chance) -> Step {
        if let Some(step) = self.plan.pop_front() {
            return step;
        }
        let nodes = cluster.nodes.len() as u64;
        let node = chance.below(nodes) as u8;
        let mut drawn = chance.below(self.total);
        let kind = self.weights.iter().find(|(_, weight)| {
            let is_it = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_it
        });
        let kind = kind.map_or(Kind::Flow, |(kind, _)| *kind);
        let busy = cluster.busy_links();
        let (from, to) = chance.pick(&busy).copied().unwrap_or((node, node));
        let nth = if chance.happens(self.overtakes) { chance.below(64) as u8 } else { 0 };
        let holds = if chance.happens(self.holds) { chance.pick(&Talk::ALL).copied() } else { None };
        let holds = holds.unwrap_or(Talk::Nothing);
        let everybody = ((1_u16 << nodes) - 1) as u8;
        match kind {
            Kind::Ask => Step::Ask { node, ask: ask(&cluster.instance, chance) },
            Kind::Deliver => Step::Deliver { from, to, nth },
            Kind::Repeat => Step::Repeat { from, to, nth },
            Kind::Lose => Step::Lose { from, to, nth },
            Kind::Delay => Step::Delay { from, to, nth },
            Kind::Late => Step::Late { nth: chance.below(64) as u8 },
            Kind::Orphan => {
                // A write that its coordinator loses while the messages that bring it to others are held up.
                self.plan.extend((0..nodes as u8).map(|to| Step::Delay { from: node, to, nth: Step::NEWEST }));
                self.plan.extend([Step::Crash { node, kept: 0 }, Step::Start { node }]);
                Step::Ask { node, ask: ask(&cluster.instance, chance) }
            }
            Kind::Break => Step::Break { from: node, to: chance.below(nodes) as u8, comes_back: chance.happens(500) },
            Kind::Sync => Step::Sync { node, lag: if chance.happens(200) { chance.below(3) as u8 } else { 0 } },
            Kind::Read => Step::Read { node },
            Kind::Job => Step::Job { node },
            Kind::Fire => Step::Fire { node },
            Kind::Pass => Step::Pass { millis: chance.between(1, 3_000) as u16 },
            Kind::Flow => Step::Flow { among: everybody, millis: millis(chance), holds },
            Kind::Split => {
                Step::Flow { among: chance.between(1, u64::from(everybody)) as u8, millis: millis(chance), holds }
            }
            Kind::Crash => Step::Crash { node, kept: chance.below(6) as u8 },
            Kind::Kill => Step::Kill { node },
            Kind::Wipe => Step::Wipe { node: self.wiped },
            Kind::Start => Step::Start { node },
            Kind::Adopt => Step::Adopt { node },
            Kind::Tell => Step::Tell { node },
            Kind::Change => Step::Change { drained: node },
            Kind::Revert => Step::Revert,
            Kind::Clock => Step::Clock {
                node,
                off: (chance.below(2 * SKEW_MAX as u64 + 1) as i64 - SKEW_MAX).div_euclid(1_000) as i16,
            },
        }
    }
}

fn millis(chance: &mut Chance) -> u16 {
    let most = *chance.pick(&[50, 400, 1_200, 4_000]).unwrap_or(&50);
    chance.between(1, most) as u16
}

fn ask(instance: &Instance, chance: &mut Chance) -> Ask {
    let key = chance.below(instance.keys.len() as u64) as u8;
    let client = chance.below(instance.sessions.into()) as u8;
    let element = chance.below(ELEMENTS) as u8;
    let drawn = chance.below(100);
    let topic = instance.keys.get(usize::from(key)).copied().unwrap_or(Topic::Counter);
    let change = match drawn {
        0..50 => Change::Put,
        50..70 if topic == Topic::Map => Change::Add,
        _ => Change::Remove,
    };
    match (topic, drawn) {
        (Topic::Counter, 0..70) | (Topic::String, 0..40) => Ask::Count { client, key },
        (Topic::Counter, 70..95) | (Topic::String, 40..55) => Ask::Add { key },
        (Topic::String, 55..63) => Ask::Put { key },
        (Topic::String, 63..71) => Ask::Observe { key },
        (Topic::String, 71..85) => Ask::Overwrite { key },
        (Topic::String, 93..97) => Ask::Expire { key, millis: if chance.happens(300) { 0 } else { millis(chance) } },
        (Topic::Set | Topic::Map | Topic::SortedSet, 0..90) => Ask::Element { key, element, change },
        (Topic::Siblings, 0..30) => Ask::Siblings { key },
        (Topic::Siblings, 30..90) => Ask::PutSibling { key, has_read: chance.happens(700) },
        (Topic::Flag, 0..90) => Ask::Flag { key, on: chance.happens(500) },
        (Topic::String | Topic::Set | Topic::Map | Topic::SortedSet | Topic::Siblings | Topic::Flag, 85..95) => {
            Ask::Delete { key }
        }
        _ => Ask::Get { key },
    }
}
