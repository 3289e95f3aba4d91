//! A plan in the virtual world: the same file as a drill's, the same report, in a second of real time.
//!
//! ```text
//! Plan ─→ World (LAN, good disks) ─ founding ─→ load + timeline + samples ─→ settling + samples ─→ Measured
//! ```
//!
//! What a drill asks of real nodes is read here from all disks at one instant, so a write on its way counts as
//! divergence. Everything is a function of the plan and the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{Command, Options, Request, Response};
use starling::storage::RowKey;
use starling::time::Timestamp;
use starling::value::Beside;

use crate::plan::{Configuration, Fault, Mix, NodeIndex, Pace, Plan};
use crate::report::{self, DivergenceSample, FinalCount, Measured, OpKind, OpOutcome, ViewSample};
use crate::workload::key;
use crate::world::chance::{Chance, Use};
use crate::world::history::{Op, OpNumber};
use crate::world::network::{Cut, NetworkOptions};
use crate::world::node::Damage;
use crate::world::options::WorldOptions;
use crate::world::{StoredRows, World};

/// Time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// Pause of a client of a closed loop after a refusal.
const PAUSE: Duration = Duration::from_millis(10);

/// How finely a closed loop looks for answers.
const GRAIN: Duration = Duration::from_micros(500);

/// Facts that a report mentions.
const NOTEWORTHY: [&str; 5] = ["amnesia", "malformed", "conflict", "needs repair", "clock ahead"];

/// Runs one configuration of a plan.
pub fn rehearse(plan: &Plan, configuration: &Configuration, seed: u64) -> Measured {
    let mut rehearsal = Rehearsal::open(plan, configuration, seed);
    rehearsal.load();
    rehearsal.settle();
    rehearsal.measured()
}

struct Rehearsal<'a> {
    plan: &'a Plan,
    configuration: &'a Configuration,
    seed: u64,
    world: World,
    chance: Chance,
    /// The load begins here.
    start: Timestamp,
    keys: BTreeMap<String, Key>,
    watched: String,
    /// Index of the plan's next event.
    next_event: usize,
    next_sample: Timestamp,
    asked: Vec<(OpNumber, OpKind, String)>,
    events: Vec<(usize, Duration)>,
    divergence: Vec<DivergenceSample>,
    views: Vec<ViewSample>,
}

impl<'a> Rehearsal<'a> {
    fn open(plan: &'a Plan, configuration: &'a Configuration, seed: u64) -> Rehearsal<'a> {
        let cluster = &plan.cluster;
        let options = WorldOptions {
            nodes: cluster.nodes.len(),
            partitions: cluster.partitions,
            replicas: cluster.replicas,
            fallbacks: cluster.fallbacks,
            config: configuration.node.shard_config(configuration.quorums),
            network: NetworkOptions::CALM,
            ..WorldOptions::calm(seed)
        };
        let mut world = match World::new(options) {
            Ok(world) => world,
            Err(error) => panic!("the layout of plan {} is refused: {error}", plan.name),
        };
        let is_founded = |world: &World| {
            (0..world.nodes().len()).all(|node| world.status(node).iter().all(|status| status.newborn_partitions == 0))
        };
        let give_up = world.after(Duration::from_secs(60));
        while !is_founded(&world) && world.now() < give_up {
            world.run_for(Duration::from_millis(100));
        }
        let names = plan.counters().into_iter().chain(plan.texts());
        let keys: BTreeMap<String, Key> = names.map(|name| (name.clone(), key(&name))).collect();
        let watched = plan.watched_key(|name| owners(&world, &key(name)));
        let start = world.now();
        Rehearsal {
            plan,
            configuration,
            seed,
            chance: Chance::new(seed, Use::Workload),
            start,
            keys,
            watched,
            next_event: 0,
            next_sample: start,
            asked: Vec::new(),
            events: Vec::new(),
            divergence: Vec::new(),
            views: Vec::new(),
            world,
        }
    }

    fn load(&mut self) {
        let end = self.start.after(self.plan.duration);
        match self.plan.workload.pace {
            Pace::PerSecond(rate) => {
                let mean = Duration::from_secs_f64(1.0 / rate.max(1e-6));
                let mut at = self.start.after(self.chance.exponential(mean));
                while at < end {
                    self.run_until(at);
                    let client = self.chance.below(self.plan.workload.clients as u64) as usize;
                    self.ask(client);
                    at = at.after(self.chance.exponential(mean));
                }
            }
            Pace::ClosedLoop => self.closed_loop(end),
        }
        self.run_until(end);
    }

    /// Every client asks again as soon as it was answered.
    fn closed_loop(&mut self, end: Timestamp) {
        let mut waiting: Vec<(Timestamp, Option<OpNumber>)> = vec![(self.start, None); self.plan.workload.clients];
        while self.world.now() < end {
            for (client, (free_at, open)) in waiting.iter_mut().enumerate() {
                if let Some(op) = open.map(|number| self.world.history.op(number)) {
                    if !op.is_refused && op.ended_at().is_none() {
                        continue;
                    }
                    let is_served = op.known() == crate::world::history::Known::Applied;
                    *free_at = if is_served { self.world.now() } else { self.world.now().after(PAUSE) };
                    *open = None;
                }
                if *free_at <= self.world.now() {
                    *open = Some(self.ask(client));
                }
            }
            self.run_until(self.world.after(GRAIN));
        }
    }

    /// Lets the world run, with the plan's events and the samples on the way.
    fn run_until(&mut self, until: Timestamp) {
        loop {
            let event_at = self.plan.timeline.events().get(self.next_event).map(|event| self.start.after(event.at));
            let next = event_at.unwrap_or(Timestamp(u64::MAX)).min(self.next_sample);
            if next > until {
                return self.world.run_until(until);
            }
            self.world.run_until(next);
            if event_at == Some(next) {
                self.happen();
            } else {
                self.sample();
                self.next_sample = next.after(SAMPLE_EVERY);
            }
        }
    }

    /// The plan's next event.
    fn happen(&mut self) {
        let Some(event) = self.plan.timeline.events().get(self.next_event) else { return };
        self.events.push((self.next_event, self.since_start()));
        self.next_event += 1;
        match event.fault {
            Fault::Kill(node) => self.world.crash(node, Damage::UnsyncedTail),
            Fault::Restart(node) => self.world.start(node),
            Fault::Split(_) | Fault::OneWay { .. } | Fault::Delay { .. } | Fault::Heal => {
                let links = self.plan.timeline.links_at(event.at);
                for (from, to) in pairs(self.plan.cluster.nodes.len()) {
                    let link = links.link(from, to);
                    if link.is_cut {
                        self.world.cut(from, to, Cut::Loses);
                    } else {
                        self.world.heal(from, to);
                        self.world.network.degrade(from, to, 0, link.delay);
                    }
                }
            }
        }
    }

    fn ask(&mut self, client: usize) -> OpNumber {
        let workload = &self.plan.workload;
        let quorums = self.configuration.quorums;
        let options = Options {
            r: Some(quorums.r),
            w: Some(quorums.w),
            strict: quorums.strict,
            deadline_ms: u32::try_from(quorums.deadline.as_millis()).ok(),
            ..Options::default()
        };
        let number = self.chance.below(workload.keys as u64);
        let (low, high) = workload.deltas;
        let step = low.saturating_add_unsigned(self.chance.below(high.abs_diff(low) + 1));
        let (name, kind, command) = match drawn(workload.mix, &mut self.chance) {
            OpKind::Increment(_) => {
                (format!("likes:{number}"), OpKind::Increment(step), Command::Increment { by: step })
            }
            OpKind::Read => (format!("likes:{number}"), OpKind::Read, Command::Get),
            OpKind::Put => {
                let value = Bytes::from(format!("{:?}", self.since_start()));
                (format!("title:{number}"), OpKind::Put, Command::Put { value })
            }
        };
        let node = client % self.plan.cluster.nodes.len();
        let request = Request { key: key(&name), command, options };
        let op = self.world.request(node, client as u64, request);
        self.asked.push((op, kind, name));
        op
    }

    /// Until the settling time of the plan is over; five quiet seconds are enough.
    fn settle(&mut self) {
        let end = self.start.after(self.plan.quiet_from() + self.plan.settle);
        let quiet_from = self.start.after(self.plan.quiet_from());
        self.run_until(quiet_from);
        let mut rested_since = None;
        while self.world.now() < end {
            let step = self.world.after(SAMPLE_EVERY).min(end);
            self.run_until(step);
            if !self.world.unrest(1).is_empty() {
                rested_since = None;
                continue;
            }
            let since = *rested_since.get_or_insert(self.world.now());
            if self.world.now().since(since) >= Duration::from_secs(5) {
                return;
            }
        }
    }

    fn since_start(&self) -> Duration {
        self.world.now().since(self.start)
    }

    fn sample(&mut self) {
        let rows = self.world.stored_rows();
        let at = self.since_start();
        let (mut compared, mut differing) = (0, 0);
        for key in self.keys.values() {
            let owners = owners(&self.world, key);
            if owners.iter().all(|owner| self.world.node(*owner).is_up()) {
                let mut states = owners.iter().map(|owner| state_hash(&rows, key, *owner));
                let first = states.next();
                compared += 1;
                differing += u32::from(states.any(|state| Some(state) != first));
            }
        }
        self.divergence.push(DivergenceSample { at, compared, differing });
        let watched = key(&self.watched);
        let counts = (0..self.plan.cluster.nodes.len())
            .map(|node| self.world.node(node).is_up().then(|| count(&rows, &watched, node)))
            .collect();
        self.views.push(ViewSample { at, counts });
    }

    fn measured(mut self) -> Measured {
        self.sample();
        let rows = self.world.stored_rows();
        let final_counts = self
            .plan
            .counters()
            .into_iter()
            .flat_map(|name| {
                let key = key(&name);
                let owned = owners(&self.world, &key);
                let rows = &rows;
                owned.into_iter().map(move |owner| FinalCount {
                    key: name.clone(),
                    owner,
                    count: Some(count(rows, &key, owner)),
                    state_hash: format!("{:032x}", state_hash(rows, &key, owner)),
                })
            })
            .collect();
        let ops = self.asked.iter().map(|(number, kind, name)| self.told(*number, *kind, name)).collect();
        let is_noteworthy = |kind: &str| NOTEWORTHY.contains(&kind);
        let facts = self.world.facts.counts.iter().filter(|(kind, _)| is_noteworthy(kind));
        let notes = facts.map(|(kind, count)| format!("{kind}: {count}")).collect();
        Measured {
            configuration: self.configuration.name.clone(),
            world: report::World::Virtual,
            seed: self.seed,
            ops,
            divergence: self.divergence,
            watched_owners: owners(&self.world, &key(&self.watched)),
            watched_key: self.watched,
            views: self.views,
            events: self.events,
            final_counts,
            notes,
        }
    }

    fn told(&self, number: OpNumber, kind: OpKind, name: &str) -> report::Op {
        let op: &Op = self.world.history.op(number);
        let start = op.invoked_at.since(self.start);
        let (ended, outcome) = match &op.answer {
            _ if op.is_refused => (op.invoked_at, OpOutcome::Refused("the node is not reachable".into())),
            Some((at, Response::Failed(error))) => (*at, OpOutcome::failed(error)),
            Some((at, _)) => (*at, OpOutcome::Ok),
            None => {
                let ended = op.broken_at.unwrap_or(op.invoked_at.after(op.deadline));
                (ended, OpOutcome::Unknown("no answer".into()))
            }
        };
        report::Op { node: op.node, kind, key: name.to_owned(), start, end: ended.since(self.start), outcome }
    }
}

fn drawn(mix: Mix, chance: &mut Chance) -> OpKind {
    let at = chance.below(u64::from(mix.increment) + u64::from(mix.read) + u64::from(mix.put));
    if at < u64::from(mix.increment) {
        OpKind::Increment(0)
    } else if at < u64::from(mix.increment) + u64::from(mix.read) {
        OpKind::Read
    } else {
        OpKind::Put
    }
}

fn pairs(nodes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

fn owners(world: &World, key: &Key) -> Vec<NodeIndex> {
    let ring = world.ring();
    ring.owners(ring.partition_of(key)).iter().map(|id| world.number_of(*id)).collect()
}

fn stored<'r>(rows: &'r StoredRows, key: &Key, node: usize) -> Option<&'r starling::replica::StoredRow> {
    rows.get(&RowKey::main(key))?.get(&WorldOptions::id(node))
}

fn count(rows: &StoredRows, key: &Key, node: usize) -> i128 {
    stored(rows, key, node).and_then(|stored| stored.row.counter_sum_text(&Beside::NONE).parse().ok()).unwrap_or(0)
}

fn state_hash(rows: &StoredRows, key: &Key, node: usize) -> u128 {
    stored(rows, key, node).map_or(0, |stored| stored.row.state_hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_plan_shows_in_the_virtual_world_what_it_expects() {
        for name in Plan::shipped() {
            let plan = Plan::load(name).unwrap();
            let runs = plan.configurations.iter().map(|configuration| rehearse(&plan, configuration, 1)).collect();
            let report = report::Report::new(plan, runs);
            assert!(report.holds(), "{name}:\n{}", report.table());
        }
    }

    #[test]
    fn a_rehearsal_is_a_function_of_the_plan_and_the_seed() {
        let plan = Plan::load("demo").unwrap();
        let configuration = plan.configurations.first().unwrap();
        let run = |seed| rehearse(&plan, configuration, seed).ops;
        assert!(run(3) == run(3) && run(3) != run(4));
    }
}
