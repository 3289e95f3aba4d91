//! Backups of five nodes, taken while clients write, become a cluster of three nodes, and one of four.
//!
//! No two backups are of the same moment. One node is cut off before, so others hold hints for it; of one there is an old
//! backup, from before things were deleted that the others have forgotten since; and once a backup is missing. The history
//! of the old cluster judges the new ones: what was acknowledged before the first backup is there, counts are exact, and
//! nothing comes back.

use std::sync::Arc;
use std::time::Duration;

use starling::causality::ActorId;
use starling::ids::{ClusterId, CollectionKind, Key};
use starling::message::client::{
    CollectionCommand, Command, ElementChange, ElementWrite, Options, Reason, Request, Response, Visible,
};
use starling::restore::{Source, Target, restore};
use starling::storage::memory::MemoryStore;
use starling::time::Timestamp;

use super::stage::{Stage, integer, quorum, short_leases, step, text};
use super::{Scenario, Setting};
use crate::checker::{Evidence, OF_THE_DATA};
use crate::swarm::{probe, rest};
use crate::workload::{Topics, Workload, WorkloadOptions, key};
use crate::world::World;
use crate::world::network::Cut;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "restored_elsewhere",
    story: "backups of five nodes under load, one of them old or missing, are restored to three and to four others",
    play,
};

/// Requests per second.
const RATE: u32 = 80;

/// Between the backups of two nodes.
const APART: Duration = Duration::from_millis(300);

/// The node that is cut off when the backups are taken, and the one of which there is an old backup too.
const CUT_OFF: usize = 4;
const OLD: usize = 2;

/// Directories by node, as they were.
type Backups = Vec<(usize, MemoryStore)>;

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| {
        short_leases(options);
        // Long enough for a session to live through the change of clusters.
        options.config.actor_lease_ticks = 10;
        options.partitions = 8;
    });
    let mut workload = Workload::new(1, WorkloadOptions::plain(RATE, Topics::all()));
    let gone = gone_keys();
    write_gone(&mut stage, &gone);
    run(&mut stage, &mut workload, Duration::from_secs(4));
    let old = copy(&mut stage, OLD);
    for key in &gone {
        stage.write(0, key, Command::Delete);
    }
    run(&mut stage, &mut workload, Duration::from_secs(40));
    let forgotten = gone.iter().all(|key| Stage::rows_of(&stage.world, key) == 0);
    stage.must(forgotten, || "what was deleted should be forgotten before the backups".into());

    // A session that is over when it is heard of again, and one whose last increment no backup has.
    let over = (key("restored/over"), stage.session(902, 2));
    stage.write(1, &over.0, step(over.1, 1, 7));
    run(&mut stage, &mut workload, Duration::from_secs(6));
    stage.world.isolate(CUT_OFF, Cut::Loses);
    run(&mut stage, &mut workload, Duration::from_secs(3));
    let late = (key("restored/late"), stage.session(901, 10));
    stage.write(0, &late.0, step(late.1, 1, 5));
    let since = stage.world.now();
    let mut fresh = Vec::new();
    for node in 0..stage.world.nodes().len() {
        fresh.push((node, copy(&mut stage, node)));
        run(&mut stage, &mut workload, APART);
    }
    stage.write(0, &late.0, step(late.1, 2, 12));
    // Hints are delivered between two rounds.
    stage.world.heal_all();
    run(&mut stage, &mut workload, Duration::from_millis(1_500));
    let again: Backups = (0..stage.world.nodes().len()).map(|node| (node, copy(&mut stage, node))).collect();

    let without = |left_out: usize| fresh.iter().filter(move |(node, _)| *node != left_out).cloned();
    let restorings: [(&str, usize, Backups); 4] = [
        ("one of each", 3, fresh.clone()),
        ("one of them old", 4, without(OLD).chain([(OLD, old)]).collect()),
        ("one missing", 3, without(1).collect()),
        ("two rounds", 3, fresh.iter().cloned().chain(again).collect()),
    ];
    for (what, nodes, backups) in restorings {
        let Some(mut world) = restored(&mut stage, (&backups, since), nodes, what) else { continue };
        resend(&mut stage, &mut world, &late, &over, what);
        for key in &gone {
            let shown = ask(&mut world, 0, key, Command::Get);
            let is_gone = matches!(&shown, Some(Response::Value(reply)) if reply.value == Visible::Nothing);
            stage.must(is_gone, || format!("{what}: {key} was deleted and forgotten, but: {shown:?}"));
        }
        judge(&mut stage, world, what);
    }
    rest::end_dialogues(&mut stage.world, &mut workload);
    stage
}

/// Under one key each: a text, a set and a counter.
fn gone_keys() -> [Key; 3] {
    ["restored/text", "restored/set", "restored/count"].map(key)
}

fn write_gone(stage: &mut Stage, [text_key, set, count]: &[Key; 3]) {
    stage.write(0, text_key, Command::Put { value: text("old") });
    let changes = vec![ElementWrite { element: text("member"), change: ElementChange::Add }];
    let command = CollectionCommand::Write { changes };
    stage.write(1, set, Command::Collection { kind: CollectionKind::Set, command });
    stage.add(2, count, 41, 3);
}

fn run(stage: &mut Stage, workload: &mut Workload, span: Duration) {
    let end = stage.world.after(span);
    while stage.world.now() < end {
        workload.ask(&mut stage.world);
        let gap = workload.gap();
        stage.world.run_for(gap);
    }
}

fn copy(stage: &mut Stage, node: usize) -> MemoryStore {
    stage.world.copy_directory(node);
    stage.world.node(node).copy.clone().expect("it was just taken")
}

/// The cluster that comes of the backups, as it starts.
fn restored(stage: &mut Stage, (backups, since): (&Backups, Timestamp), nodes: usize, what: &str) -> Option<World> {
    let mut options = stage.world.options.clone();
    let layout = options.layout().expect("it was taken before");
    let taken = |(number, (node, store)): (usize, &(usize, MemoryStore))| {
        let (name, layout) = (format!("backup {number} of {node}"), layout.clone());
        Source { name, layout, node: WorldOptions::id(*node), store: Arc::new(store.clone()) }
    };
    let sources: Vec<Source> = backups.iter().enumerate().map(taken).collect();
    let is_whole = (0..options.nodes).all(|node| backups.iter().any(|(of, _)| *of == node));
    (options.cluster, options.nodes, options.seed) = (ClusterId([8; 16]), nodes, 2);
    let directories: Vec<MemoryStore> = (0..nodes).map(|node| MemoryStore::new(node as u64)).collect();
    let target =
        |(node, store): (usize, &MemoryStore)| Target { node: WorldOptions::id(node), store: Arc::new(store.clone()) };
    let targets: Vec<Target> = directories.iter().enumerate().map(target).collect();
    let into = options.layout().expect("three nodes are enough");
    let outcome = match restore(&sources, &into, &targets, &options.config, false) {
        Ok(outcome) => outcome,
        Err(error) => {
            stage.must(false, || format!("{what}: {error}"));
            return None;
        }
    };
    let missing = outcome.missing.iter().filter(|missing| missing.present == 0).count();
    stage.must(missing == 0 && outcome.missing.is_empty() == is_whole, || format!("{what}: {outcome:?}"));
    stage.note(format!("{what}: {} keys, {} rows of {} read", outcome.keys, outcome.rows, outcome.rows_read));
    let at = stage.world.after(Duration::from_millis(500));
    let mut world = World::on(options, at, directories).expect("the layout was taken before");
    world.network.longest_transit = stage.world.network.longest_transit;
    world.history = stage.world.history.kept_until(since, nodes);
    world.run_for(Duration::from_millis(1_500));
    Some(world)
}

/// Both sessions are heard of again, twice and through other nodes.
fn resend(stage: &mut Stage, world: &mut World, late: &(Key, ActorId), over: &(Key, ActorId), what: &str) {
    for node in [0, 2] {
        let (key, actor) = late;
        let answer = ask(world, node, key, step(*actor, 2, 12));
        let is_written = matches!(answer, Some(Response::Written(_)));
        stage.must(is_written, || format!("{what}: a session goes on, but: {answer:?}"));
        let (key, actor) = over;
        let answer = ask(world, node, key, step(*actor, 2, 9));
        let reason = match &answer {
            Some(Response::Failed(error)) => Some(&error.reason),
            _ => None,
        };
        stage.must(reason == Some(&Reason::SessionExpired), || format!("{what}: a session is over, but: {answer:?}"));
    }
    for ((key, _), count) in [(late, 12), (over, 7)] {
        let shown = ask(world, 1, key, Command::Get);
        let is_exact = matches!(&shown, Some(Response::Value(reply)) if reply.value == integer(count));
        stage.must(is_exact, || format!("{what}: {key} must count {count}, but: {shown:?}"));
    }
}

fn ask(world: &mut World, node: usize, key: &Key, command: Command) -> Option<Response> {
    let options = if matches!(command, Command::Get) { Options::default() } else { quorum(2) };
    let number = world.request(node, 77, Request { key: key.clone(), command, options });
    world.run_for(Duration::from_millis(500));
    world.answer(number).cloned()
}

/// The new cluster comes to rest, and answers for what the old one had told.
fn judge(stage: &mut Stage, mut world: World, what: &str) {
    let (restless, _) = rest::settle(&mut world, Duration::from_secs(60));
    for found in restless {
        stage.must(false, || format!("{what}: not at rest: {found}"));
    }
    rest::forget(&mut world);
    let mut found = probe::probe(&mut world);
    rest::settle(&mut world, Duration::from_secs(60));
    let evidence = Evidence::of(&world);
    found.extend(OF_THE_DATA.iter().flat_map(|check| check(&evidence)));
    for violation in found {
        stage.must(false, || format!("{what}: {violation}"));
    }
}
