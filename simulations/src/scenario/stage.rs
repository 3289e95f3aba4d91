//! The stage of a scenario: a world, with the few moves that stories are made of.

use std::time::Duration;

use starling::ids::Key;
use starling::message::client::{Command, Observe, Options, Request, Response};
use starling::storage::{RowKey, Space};
use starling::value::Beside;

use super::{Outcome, Setting};
use crate::checker::{self, Violation};
use crate::swarm::{probe, rest};
use crate::workload;
use crate::world::World;
use crate::world::history::OpNumber;
use crate::world::options::WorldOptions;

/// Longest wait for one thing to happen in a story.
const PATIENCE: Duration = Duration::from_secs(20);

/// A world in which a story is played.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub world: World,
    violations: Vec<Violation>,
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
        let mut stage = Stage { world, violations: Vec::new() };
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
        let within = Duration::from_secs(30) + self.world.options.config.exchange_interval * 3;
        let (restless, _) = rest::settle(&mut self.world, within);
        let hash = self.world.trace.hash();
        let restless =
            restless.into_iter().map(|text| Violation { checker: "rest", text: format!("not at rest: {text}") });
        self.violations.extend(restless);
        if self.violations.is_empty() {
            rest::forget(&mut self.world);
            self.violations.extend(probe::probe(&mut self.world));
        }
        self.violations.extend(checker::check_all(&self.world));
        Outcome { violations: self.violations, hash }
    }
}

/// Options of a write that `w` nodes must hold, covering the coordinator's own row.
pub fn quorum(w: u8) -> Options {
    Options { w: Some(w), observe: Observe::Local, ..Options::default() }
}
