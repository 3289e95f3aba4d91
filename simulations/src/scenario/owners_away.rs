//! Two of three owners are away for many ticks, and went in the middle of a step: what fell due then is sealed everywhere
//! and summed up nowhere, for as long as they are away.
//!
//! Writes of every kind and type go on, on the third owner and on fallbacks, over rows that are full of what is sealed. The
//! few that a fallback may not take, because they cover increments that are not summed up or stand beside siblings as old,
//! are refused before anything is done, and succeed once the owners are back.

use bytes::Bytes;
use starling::causality::Tick;
use starling::ids::{CollectionKind, Key, PartitionId};
use starling::message::client::{
    CollectionCommand, Command, ElementChange, ElementWrite, Options, Outcome, Reason, Response,
};
use starling::storage::RowKey;

use super::stage::{Stage, short_leases, step, text};
use super::{Scenario, Setting};
use crate::workload;
use crate::world::World;
use crate::world::node::Damage;
use crate::world::options::WorldOptions;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "owners_away",
    story: "two of three owners go in the middle of a step: writes of every type go on, but covers of what is not summed up",
    play,
};

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, short_leases);
    let first = stage.key_of(&[0, 1, 2]);
    let partition = stage.world.ring().partition_of(&first);
    let set = stage.accept_set(&first);
    let (owners, fallbacks) = set.split_at(3);
    let (stays, fallback) = (owners.first().copied().unwrap_or(0), fallbacks.first().copied().unwrap_or(0));
    let ring = stage.world.ring().clone();
    let mut names = (0..).map(|number| workload::key(&format!("away/{number}")));
    let keys = Keys::of(&mut || names.find(|key| ring.partition_of(key) == partition).expect("names do not end"));
    for node in [stays, owners.last().copied().unwrap_or(0), fallback] {
        keys.fill(&mut stage, node);
    }
    let due = newest(&stage.world, stays, &keys.counter);
    stage.wait_until("what was written is frozen, and not summed up", |world| {
        let step = step_of(world, stays, partition);
        step.is_some_and(|(frozen, compacted)| compacted < due && due <= frozen)
    });
    for away in owners.iter().skip(1) {
        stage.world.crash(*away, Damage::None);
    }
    // Long enough to be suspected.
    stage.run_ms(2_500);
    for round in 0..8_u64 {
        for node in [stays, fallback] {
            keys.change(&mut stage, node, round);
        }
        stage.run_ms(1_000);
    }
    stage.must(step_of(&stage.world, stays, partition).is_some_and(|(_, compacted)| compacted < due), || {
        "nothing can be summed up while two owners are away".into()
    });
    let refused = keys.covers();
    for (key, command) in &refused {
        let minted = stage.world.facts.count("minted");
        let answer = stage.ask_and_wait(stays, key, command.clone(), Options::default());
        let is_told = matches!(&answer, Some(Response::Failed(error))
            if error.outcome == Outcome::NotApplied && error.reason == Reason::Unsettled);
        stage.must(is_told, || format!("{command:?} must be refused before it is done, but: {answer:?}"));
        let more = stage.world.facts.count("minted") - minted;
        stage.must(more == 0, || format!("{command:?} was refused, and minted {more} dots"));
    }
    for away in owners.iter().skip(1) {
        stage.world.start(*away);
    }
    stage.wait_long("what waited is summed up", std::time::Duration::from_secs(30), |world| {
        step_of(world, stays, partition).is_none_or(|(_, compacted)| compacted >= due)
    });
    for (key, command) in refused {
        stage.write(stays, &key, command);
    }
    stage
}

/// One key for each story.
struct Keys {
    counter: Key,
    session: Key,
    number: Key,
    text: Key,
    siblings: Key,
    crowd: Key,
    flag: Key,
    sketch: Key,
    set: Key,
    map: Key,
    sorted: Key,
    expiring: Key,
}

impl Keys {
    fn of(key: &mut impl FnMut() -> Key) -> Keys {
        Keys {
            counter: key(),
            session: key(),
            number: key(),
            text: key(),
            siblings: key(),
            crowd: key(),
            flag: key(),
            sketch: key(),
            set: key(),
            map: key(),
            sorted: key(),
            expiring: key(),
        }
    }

    /// What falls due while the owners are away.
    fn fill(&self, stage: &mut Stage, node: usize) {
        let name = |what: &str| text(&format!("{what} of {node}"));
        stage.write(node, &self.counter, Command::Increment { by: 1 << node });
        stage.write(node, &self.number, Command::Increment { by: 1 << node });
        stage.write(node, &self.text, Command::Put { value: name("text") });
        stage.write(node, &self.siblings, Command::PutSibling { value: name("sibling"), context: None });
        stage.write(node, &self.crowd, Command::PutSibling { value: name("sibling"), context: None });
        stage.write(node, &self.flag, Command::SetFlag { on: true });
        stage.write(node, &self.sketch, Command::AddToSketch { items: vec![name("item")] });
        stage.write(node, &self.expiring, Command::Put { value: name("text") });
        let deadline = Some(stage.moment(600_000));
        stage.write(node, &self.expiring, Command::Expire { deadline });
        for element in ["old", "older"] {
            stage.write(node, &self.set, change(CollectionKind::Set, element, ElementChange::Add));
            let put = ElementChange::Put(name("field"));
            stage.write(node, &self.map, change(CollectionKind::Map, element, put));
            let score = ElementChange::Score(1.5_f64.to_bits());
            stage.write(node, &self.sorted, change(CollectionKind::SortedSet, element, score));
        }
        stage.write(node, &self.set, change(CollectionKind::Set, "older", ElementChange::Remove));
        stage.write(node, &self.map, change(CollectionKind::Map, "count", ElementChange::Increment(5)));
    }

    /// Writes of every kind, over what was sealed when the owners went.
    fn change(&self, stage: &mut Stage, node: usize, round: u64) {
        let name = |what: &str| text(&format!("{what} {round} of {node}"));
        stage.write(node, &self.counter, Command::Increment { by: 1 << (10 + round) });
        let actor = stage.session(1_000 + 10 * round + node as u64, 2);
        stage.write(node, &self.session, step(actor, 1, 1 + node as i64));
        stage.write(node, &self.text, Command::Put { value: name("text") });
        if round == 3 {
            stage.write(node, &self.text, Command::Delete);
        }
        if let Some(seen) = stage.observe(node, &self.siblings, Command::Siblings) {
            let context = Some(seen.context);
            stage.write(node, &self.siblings, Command::PutSibling { value: name("sibling"), context });
            stage.write(node, &self.siblings, Command::PutSibling { value: name("beside"), context: None });
        }
        stage.write(node, &self.flag, Command::SetFlag { on: !round.is_multiple_of(2) });
        stage.write(node, &self.sketch, Command::AddToSketch { items: vec![name("item")] });
        let deadline = round.is_multiple_of(2).then(|| stage.moment(900_000));
        stage.write(node, &self.expiring, Command::Expire { deadline });
        let (set, map, sorted) = (CollectionKind::Set, CollectionKind::Map, CollectionKind::SortedSet);
        let comes = round.is_multiple_of(2);
        for element in ["old", "older", "new"] {
            stage.write(
                node,
                &self.set,
                change(set, element, if comes { ElementChange::Add } else { ElementChange::Remove }),
            );
            let put = if comes { ElementChange::Put(name("field")) } else { ElementChange::Remove };
            stage.write(node, &self.map, change(map, element, put));
            let more = if comes { ElementChange::AddToScore(2.5_f64.to_bits()) } else { ElementChange::Remove };
            stage.write(node, &self.sorted, change(sorted, element, more));
        }
        stage.write(node, &self.map, change(map, "count", ElementChange::Increment(1)));
    }

    /// What a fallback may not take.
    fn covers(&self) -> Vec<(Key, Command)> {
        vec![
            (self.number.clone(), Command::Put { value: text("7") }),
            (self.number.clone(), Command::Delete),
            (self.map.clone(), change(CollectionKind::Map, "count", ElementChange::Remove)),
            (self.crowd.clone(), Command::PutSibling { value: text("late"), context: None }),
        ]
    }
}

fn change(kind: CollectionKind, element: &str, change: ElementChange) -> Command {
    let changes = vec![ElementWrite { element: Bytes::copy_from_slice(element.as_bytes()), change }];
    Command::Collection { kind, command: CollectionCommand::Write { changes } }
}

/// The largest tick of any actor that a node's row names.
fn newest(world: &World, node: usize, key: &Key) -> Tick {
    let rows = world.stored_rows();
    let stored = rows.get(&RowKey::main(key)).and_then(|by_node| by_node.get(&WorldOptions::id(node)));
    stored.and_then(|stored| stored.row.actors().map(|(actor, _)| actor.expires).max()).unwrap_or_default()
}

/// How far a node has frozen and compacted a partition, if that is not settled.
fn step_of(world: &World, node: usize, partition: PartitionId) -> Option<(Tick, Tick)> {
    let status = world.status(node);
    let mut settling = status.iter().flat_map(|status| &status.settling);
    settling.find(|settling| settling.partition == partition).map(|settling| (settling.frozen, settling.compacted))
}
