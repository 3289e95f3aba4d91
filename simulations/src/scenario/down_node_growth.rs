//! A node is down: what grows meanwhile, where, and up to which bound.
//!
//! Compaction of a partition waits for every node that may accept its writes, so rows of sessions stay while one of them
//! is down, and go when it is back. Partitions without that node go on as ever, and no write stops: of the keys that lie
//! where the node may accept writes, none fails once its peers have noticed. One key is filled up to the bound on its rows
//! meanwhile: new sessions are refused there, and nothing else is. The same at five nodes and, with few partitions for each,
//! at a hundred.

use std::collections::BTreeSet;
use std::time::Duration;

use starling::ids::Key;
use starling::limits;
use starling::message::client::{Command, Options, Outcome, Reason, Response, SessionWrite};
use starling::storage::{RowKey, RowKind, Space};

use super::stage::{Stage, short_leases, step};
use super::{Scenario, Setting};
use crate::workload;
use crate::world::World;
use crate::world::history::OpNumber;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "down_node_growth",
    story: "five nodes, one down for a minute: session rows grow only where it may accept writes, and go when it is back",
    play: |setting| play(setting, 5),
};

pub(super) const WIDE: Scenario = Scenario {
    name: "down_node_growth_wide",
    story: "the same with a hundred nodes",
    play: |setting| play(setting, 100),
};

/// Keys that are counted on.
const KEYS: u64 = 60;

/// How long the node is down.
const DOWN: Duration = Duration::from_secs(60);

/// The node that goes down.
const AWAY: usize = 4;

/// Until the peers of a node that went down have noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

/// Increments per second, each of a session of its own.
const RATE: u64 = 40;

fn play(setting: Setting, nodes: usize) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        short_leases(options);
        options.nodes = nodes;
        options.partitions = if nodes > 5 { 128 } else { 32 };
        options.fallbacks = starling::membership::Fallbacks::Next(1);
        // A hundred nodes ping ten thousand links.
        options.config.ping_interval = Duration::from_millis(if nodes > 5 { 2_000 } else { 250 });
        options.config.stability_interval = Duration::from_millis(if nodes > 5 { 2_000 } else { 500 });
        options.config.suspect_after = options.config.ping_interval * 3;
        options.config.exchange_interval = Duration::from_secs(if nodes > 5 { 30 } else { 5 });
    });
    let keys: Vec<Key> = (0..KEYS).map(|number| workload::key(&format!("growth/{number}"))).collect();
    let with: BTreeSet<&Key> = keys
        .iter()
        .filter(|key| stage.world.ring().accepts(stage.world.ring().partition_of(key), WorldOptions::id(AWAY)))
        .collect();
    stage.note(format!("{nodes} nodes; {} of {KEYS} keys lie where the node may accept writes", with.len()));
    stage.note("   second   rows with it    bytes with it   rows elsewhere   bytes elsewhere".to_owned());
    let mut clients = Clients { asked: Vec::new(), while_down: Vec::new(), number: 0 };
    let mut most_elsewhere = [0; 2];
    let mut with_it = Vec::new();
    let began = stage.world.now();
    for phase in 0..12 {
        match phase {
            3 => stage.world.crash(AWAY, Damage::None),
            9 => {
                fill(&mut stage);
                stage.world.start(AWAY);
            }
            _ => {}
        }
        let is_first = phase == 3;
        if is_first {
            clients.count(&mut stage, &keys, NOTICED_WITHIN);
        }
        let before = clients.asked.len();
        clients.count(&mut stage, &keys, if is_first { DOWN / 6 - NOTICED_WITHIN } else { DOWN / 6 });
        if (3..9).contains(&phase) {
            let asked = clients.asked.iter().skip(before);
            clients
                .while_down
                .extend(asked.filter(|number| with.contains(&stage.world.history.op(**number).request.key)));
        }
        let [inside, outside] = measured(&stage.world, &with);
        let second = stage.world.now().since(began).as_secs();
        stage.note(format!("{second:>9} {:>14} {:>16} {:>16} {:>17}", inside.0, inside.1, outside.0, outside.1));
        with_it.push(inside.0);
        let is_down = usize::from((3..9).contains(&phase));
        if let Some(most) = most_elsewhere.get_mut(is_down) {
            *most = outside.0.max(*most);
        }
    }
    let [usual, while_down] = most_elsewhere;
    stage.must(while_down <= usual * 2 + 50, || {
        format!("elsewhere at most {usual} rows stood before, and {while_down} while a node was down that has no part in them")
    });
    let (before, down) = (with_it.get(2).copied().unwrap_or(0), with_it.get(8).copied().unwrap_or(0));
    stage
        .must(down > before, || format!("{before} rows stood before, and only {down} after a minute without the node"));
    let (asked, failed) = (clients.while_down.len(), failed(&stage.world, &clients.while_down));
    stage.note(format!("{asked} increments of the keys with it while it was down, {} failed", failed.len()));
    stage.must(asked > 0 && failed.is_empty(), || {
        format!("{} of {asked} increments failed while a node was down, such as {:?}", failed.len(), failed.first())
    });
    let (asked, failed) = (clients.asked.len(), self::failed(&stage.world, &clients.asked));
    stage.must(failed.len() * 50 <= asked, || {
        format!("{} of all {asked} increments failed, such as {:?}", failed.len(), failed.first())
    });
    stage.wait_long("the rows of the sessions go", Duration::from_secs(90), |world| world.session_rows() == 0);
    stage.note("all gone once it is back, and leases have ended".to_owned());
    stage
}

/// Clients that each count once and leave.
struct Clients {
    asked: Vec<OpNumber>,
    /// Of these, those about the keys that lie where the node may accept writes, from when its peers had noticed that it was
    /// down until it was back.
    while_down: Vec<OpNumber>,
    number: u64,
}

impl Clients {
    fn count(&mut self, stage: &mut Stage, keys: &[Key], span: Duration) {
        let end = stage.world.after(span);
        while stage.world.now() < end {
            self.number += 1;
            let key = keys.get((self.number % KEYS) as usize).expect("the remainder is below the number of keys");
            let up: Vec<usize> =
                (0..stage.world.nodes().len()).filter(|node| stage.world.node(*node).is_up()).collect();
            let node = up.get(self.number as usize % up.len()).copied().unwrap_or(0);
            let write = step(stage.session(self.number, 2), 1, 1);
            self.asked.push(stage.ask(node, key, write, Options::default()));
            stage.world.run_for(Duration::from_micros(1_000_000 / RATE));
        }
    }
}

/// The answers of those that were not carried out.
fn failed(world: &World, asked: &[OpNumber]) -> Vec<String> {
    let is_failed = |number: &&OpNumber| !matches!(world.answer(**number), Some(Response::Written(_)));
    asked.iter().filter(is_failed).map(|number| format!("{:?}", world.history.op(*number).answer)).collect()
}

/// Fills a key that lies where the node may accept writes, up to the bound on the rows of its sessions.
fn fill(stage: &mut Stage) {
    let away = WorldOptions::id(AWAY);
    let ring = stage.world.ring().clone();
    let lies_there = |key: &Key| ring.accepts(ring.partition_of(key), away);
    let mut found = (0..).map(|number| workload::key(&format!("full/{number}"))).filter(lies_there);
    let (Some(key), Some(other)) = (found.next(), found.next()) else { return };
    let owners = ring.owners(ring.partition_of(&key));
    let node = owners.iter().find(|owner| **owner != away).map_or(0, |owner| stage.world.number_of(*owner));
    // Large totals of both signs make large rows.
    let fat = |actor, event: u64| {
        Command::IncrementAs(SessionWrite { actor, event, p: (1 << 95) + u128::from(event), n: 1 << 95 })
    };
    let mut known = stage.session(5_000_000, 2);
    let mut asked = Vec::new();
    let is_refused = |world: &World, number: &OpNumber| matches!(world.answer(*number), Some(Response::Failed(_)));
    for number in 0..limits::SESSION_BYTES_PER_KEY_MAX / 20 {
        if number % 500 == 0 && asked.last().is_none_or(|last| !is_refused(&stage.world, last)) {
            // Leases are short, and whoever goes on must have begun before the bound is met.
            known = stage.session(5_000_000 + number, 2);
            stage.write(node, &key, fat(known, 1));
        }
        asked.push(stage.ask(node, &key, fat(stage.session(6_000_000 + number, 2), 1), Options::default()));
        stage.world.run_for(Duration::from_micros(250));
        if asked
            .len()
            .checked_sub(100)
            .and_then(|place| asked.get(place))
            .is_some_and(|number| is_refused(&stage.world, number))
        {
            break;
        }
    }
    stage.write(node, &key, fat(known, 2));
    stage.write(node, &key, Command::Increment { by: 5 });
    let session = stage.session(7_000_000, 2);
    stage.write(node, &other, fat(session, 1));
    let refused = stage.ask_and_wait(node, &key, fat(session, 1), Options::default());
    let is_told = matches!(&refused, Some(Response::Failed(error))
        if error.outcome == Outcome::NotApplied && error.reason == Reason::TooManySessions);
    stage.must(is_told, || format!("a session beyond the bound must be refused, but: {refused:?}"));
    let taken = asked.iter().filter(|number| !is_refused(&stage.world, number)).count();
    stage.note(format!(
        "bound: after {taken} sessions, {} bytes, the rows of one key were at it: new sessions were refused, and nothing else",
        limits::SESSION_BYTES_PER_KEY_MAX
    ));
}

/// Rows of sessions and their bytes, on all nodes together: of these keys, and of all others.
fn measured(world: &World, with: &BTreeSet<&Key>) -> [(usize, usize); 2] {
    let mut sums = [(0, 0); 2];
    for node in world.nodes() {
        for (stored, value) in world.entries_of(node.id, Space::Rows) {
            let bytes = stored.len() + value.len();
            let Ok(row) = RowKey::parse(stored) else { continue };
            let [inside, outside] = &mut sums;
            let sum = if with.contains(&row.key()) { inside } else { outside };
            if row.kind() == RowKind::Session {
                *sum = (sum.0 + 1, sum.1 + bytes);
            }
        }
    }
    sums
}
