//! The stage of a scenario: a world, with the few moves that stories are made of.

use std::time::Duration;

use bytes::Bytes;
use starling::causality::{ActorId, Epoch, Tenure, Tick};
use starling::ids::{CollectionKind, Key};
use starling::message::client::{
    CollectionCommand, Command, Observe, ObservedReply, Options, ReplicaView, Request, Response, SessionWrite,
    ValueReply, Visible,
};
use starling::storage::{RowKey, Space};
use starling::time::WallTime;
use starling::value::Beside;

use super::{Outcome, Setting};
use crate::checker::{self, Violation};
use crate::swarm::{probe, rest};
use crate::workload;
use crate::world::World;
use crate::world::clock::WORLD_START;
use crate::world::history::OpNumber;
use crate::world::options::WorldOptions;

/// Longest wait for one thing to happen in a story.
const PATIENCE: Duration = Duration::from_secs(30);

/// A world in which a story is played.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub world: World,
    violations: Vec<Violation>,
    notes: Vec<String>,
}

impl Stage {
    /// A calm world, changed by `change`, with all partitions founded.
    pub fn open(setting: Setting, change: impl FnOnce(&mut WorldOptions)) -> Stage {
        let mut options = WorldOptions::calm(1);
        change(&mut options);
        options.prints = setting.prints;
        let world = match World::new(options) {
            Ok(world) => world,
            Err(error) => panic!("the layout of a scenario is refused: {error}"),
        };
        let mut stage = Stage { world, violations: Vec::new(), notes: Vec::new() };
        stage.wait_until("every partition is founded", |world| {
            (0..world.nodes().len()).all(|node| world.status(node).iter().all(|status| status.newborn_partitions == 0))
        });
        stage
    }

    /// A key whose accept set begins with these nodes, in any order of the owners.
    pub fn key_of(&self, owners: &[usize]) -> Key {
        let wanted: Vec<_> = owners.iter().map(|node| WorldOptions::id(*node)).collect();
        (0..10_000)
            .map(|number| workload::key(&format!("story/{number}")))
            .find(|key| {
                let found = self.world.ring().owners(self.world.ring().partition_of(key));
                wanted.iter().all(|node| found.contains(node))
            })
            .expect("some partition of a small cluster has these owners")
    }

    /// One of several keys whose owners are these nodes, by number.
    pub fn another_key_of(&self, owners: &[usize], number: usize) -> Key {
        let wanted: Vec<_> = owners.iter().map(|node| WorldOptions::id(*node)).collect();
        (0..100_000)
            .map(|number| workload::key(&format!("story/{number}")))
            .filter(|key| {
                let found = self.world.ring().owners(self.world.ring().partition_of(key));
                wanted.iter().all(|node| found.contains(node))
            })
            .nth(number)
            .expect("some keys of a small cluster have these owners")
    }

    /// The nodes of a key: owners, then fallbacks.
    pub fn accept_set(&self, key: &Key) -> Vec<usize> {
        let ring = self.world.ring();
        ring.accept_set(ring.partition_of(key)).iter().map(|id| self.world.number_of(*id)).collect()
    }

    /// A client asks; the answer may come later.
    pub fn ask(&mut self, node: usize, key: &Key, command: Command, options: Options) -> OpNumber {
        self.world.request(node, 0, Request { key: key.clone(), command, options })
    }

    /// A client asks and waits.
    pub fn ask_and_wait(&mut self, node: usize, key: &Key, command: Command, options: Options) -> Option<Response> {
        let number = self.ask(node, key, command, options);
        self.wait_until("an answer comes", |world| world.history.op(number).ended_at().is_some());
        self.world.answer(number).cloned()
    }

    /// An increment that must be acknowledged by `w` nodes.
    pub fn add(&mut self, node: usize, key: &Key, by: i64, w: u8) {
        let answer = self.ask_and_wait(node, key, Command::Increment { by }, quorum(w));
        self.must(matches!(answer, Some(Response::Written(_))), || {
            format!("adding {by} must succeed, but: {answer:?}")
        });
    }

    /// Something that must hold.
    pub fn must(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(Violation { checker: "story", text: text() });
        }
    }

    /// Lets the world run until something holds; it must within a while.
    pub fn wait_until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        let give_up = self.world.after(PATIENCE);
        while !holds(&self.world) {
            if self.world.now() >= give_up {
                return self.must(false, || format!("{what} should have happened within {PATIENCE:?}"));
            }
            self.world.run_for(Duration::from_millis(1));
        }
    }

    /// As [`Stage::wait_until`] for what takes longer, and costs more to look at.
    pub fn wait_long(&mut self, what: &str, within: Duration, holds: impl Fn(&World) -> bool) {
        let give_up = self.world.after(within);
        while !holds(&self.world) {
            if self.world.now() >= give_up {
                return self.must(false, || format!("{what} should have happened within {within:?}"));
            }
            self.world.run_for(Duration::from_millis(250));
        }
    }

    /// A write that must succeed, with the cluster's quorums.
    pub fn write(&mut self, node: usize, key: &Key, command: Command) {
        self.write_with(node, key, command, Options::default());
    }

    /// A write that must succeed, with these options.
    pub fn write_with(&mut self, node: usize, key: &Key, command: Command, options: Options) {
        let answer = self.ask_and_wait(node, key, command.clone(), options);
        self.must(matches!(answer, Some(Response::Written(_))), || {
            format!("{command:?} must succeed, but: {answer:?}")
        });
    }

    /// What a read through a node shows, with the cluster's quorums.
    pub fn read(&mut self, node: usize, key: &Key) -> Option<ValueReply> {
        match self.ask_and_wait(node, key, Command::Get, Options::default()) {
            Some(Response::Value(reply)) => Some(reply),
            _ => None,
        }
    }

    /// A read that must show a value.
    pub fn must_show(&mut self, node: usize, key: &Key, expected: &Visible, when: &str) {
        let shown = self.read(node, key).map(|reply| reply.value);
        self.must(shown.as_ref() == Some(expected), || format!("{when}: {shown:?} is shown, not {expected:?}"));
    }

    /// What there is now, for a write that can be sent again.
    pub fn observe(&mut self, node: usize, key: &Key, command: Command) -> Option<ObservedReply> {
        match self.ask_and_wait(node, key, command, Options::default()) {
            Some(Response::Observed(reply)) => Some(reply),
            other => {
                self.must(false, || format!("what there is must be shown, but: {other:?}"));
                None
            }
        }
    }

    /// What a node shows by itself.
    pub fn view(&mut self, node: usize, key: &Key) -> Option<ReplicaView> {
        match self.ask_and_wait(node, key, Command::Inspect, Options::default()) {
            Some(Response::Inspected(view)) => Some(view),
            _ => None,
        }
    }

    /// The members of a set, as a page of it through a node lists them; none if the key shows something else.
    pub fn members(&mut self, node: usize, key: &Key) -> Vec<Bytes> {
        let command = CollectionCommand::Page { after: None, count: 100 };
        let command = Command::Collection { kind: CollectionKind::Set, command };
        match self.ask_and_wait(node, key, command, Options::default()) {
            Some(Response::Page(page)) => page.elements.into_iter().map(|(element, _)| element).collect(),
            _ => Vec::new(),
        }
    }

    /// A remark for whoever plays the story.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// A session that expires so many ticks from now, by the world's clock.
    pub fn session(&self, number: u64, ticks: u32) -> ActorId {
        let wall = WallTime(WORLD_START + self.world.now().0);
        let now = Tick::at(wall, self.world.options.config.tick);
        ActorId { expires: Tick(now.0 + ticks), epoch: Epoch(number), tenure: Tenure::SESSION }
    }

    /// The wall time so many milliseconds from now, by the world's clock.
    pub fn moment(&self, ms: u64) -> WallTime {
        WallTime(WORLD_START + self.world.now().0 + ms * 1000)
    }

    /// Rows of a key, main and side rows, on all nodes together.
    pub fn rows_of(world: &World, key: &Key) -> usize {
        let of_key = |stored: &Bytes| RowKey::parse(stored.clone()).is_ok_and(|row| row.key() == *key);
        let rows = world
            .nodes()
            .iter()
            .map(|node| world.entries_of(node.id, Space::Rows).iter().filter(|(stored, _)| of_key(stored)).count());
        rows.sum()
    }

    /// Lets the world run.
    pub fn run_ms(&mut self, ms: u64) {
        self.world.run_for(Duration::from_millis(ms));
    }

    /// Whether a node has a row for a key on its disk.
    pub fn has_row(world: &World, node: usize, key: &Key) -> bool {
        let row = RowKey::main(key);
        world.entries_of(WorldOptions::id(node), Space::Rows).iter().any(|(key, _)| key == row.as_bytes())
    }

    /// What a node's own row counts.
    pub fn count_on(world: &World, node: usize, key: &Key) -> i128 {
        let rows = world.stored_rows();
        let stored = rows.get(&RowKey::main(key)).and_then(|by_node| by_node.get(&WorldOptions::id(node)));
        stored.map_or(0, |stored| stored.row.counter_sum_text(&Beside::NONE).parse().unwrap_or(i128::MIN))
    }

    /// The end: everything is made well, the cluster must come to rest, and every checker is asked.
    pub fn finish(mut self) -> Outcome {
        // Owners differ while they settle what has expired, each in its own time.
        let config = &self.world.options.config;
        let settling = config.tick * 6 + config.clock_ahead_max + config.stability_interval * 4;
        let within = Duration::from_secs(30) + config.exchange_interval * 3 + settling;
        let (restless, _) = rest::settle(&mut self.world, within);
        let hash = self.world.trace.hash();
        let restless =
            restless.into_iter().map(|text| Violation { checker: "rest", text: format!("not at rest: {text}") });
        self.violations.extend(restless);
        if self.violations.is_empty() {
            rest::forget(&mut self.world);
            self.violations.extend(probe::probe(&mut self.world));
            rest::settle(&mut self.world, within);
        }
        self.violations.extend(checker::check_all(&self.world));
        Outcome { violations: self.violations, notes: self.notes, hash }
    }
}

/// Ticks of a second and leases of two of them, so that actors expire and rows are forgotten within a story.
pub fn short_leases(options: &mut WorldOptions) {
    options.config.tick = Duration::from_secs(1);
    options.config.actor_lease_ticks = 2;
    options.config.clock_ahead_max = Duration::from_secs(1);
    options.config.stability_interval = Duration::from_millis(500);
    options.config.exchange_interval = Duration::from_secs(3);
}

/// The steps of a session on one key.
pub fn step(actor: ActorId, event: u64, total: i64) -> Command {
    let (p, n) = (u128::from(total.max(0).unsigned_abs()), u128::from(total.min(0).unsigned_abs()));
    Command::IncrementAs(SessionWrite { actor, event, p, n })
}

/// A number.
pub fn integer(value: i64) -> Visible {
    Visible::Integer { value, saturated: false }
}

/// A text.
pub fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Options of a write that `w` nodes must hold, covering the coordinator's own row.
pub fn quorum(w: u8) -> Options {
    Options { w: Some(w), observe: Observe::Local, ..Options::default() }
}
