//! A set that grows: adding to it costs the same however many members it has, since each member is a row of its own.
//!
//! Measured as the bytes that nodes send for a hundred adds, and checked by reading all of it page by page. In the end it
//! is deleted, while two owners come and go in turn, so that pages of removals are held by different nodes: whoever deletes is told
//! how many went, and by how many nodes that is held.

use std::time::Duration;

use bytes::Bytes;
use starling::ids::{CollectionKind, Key};
use starling::message::client::{CollectionCommand, Command, ElementChange, ElementWrite, Options, Response, Visible};

use super::stage::Stage;
use super::{Scenario, Setting};
use crate::world::network::Cut;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "big_set",
    story: "a set grows to five thousand members: an add costs what it cost at ten, pages bring every member \
            once, and a delete tells what it removed",
    play,
};

const MEMBERS: usize = 5_000;

fn play(setting: Setting) -> Stage {
    let mut stage = Stage::open(setting, |options| options.config.exchange_interval = Duration::from_secs(600));
    let key = stage.key_of(&[0, 1, 2]);
    let name = |number: usize| Bytes::from(format!("member {number:06}"));
    let mut next = 10;
    add(&mut stage, &key, (0..next).map(name).collect());
    let small = cost_of_a_hundred(&mut stage, &key, &mut next, name);
    while next < MEMBERS {
        add(&mut stage, &key, (next..next + 100).map(name).collect());
        next += 100;
    }
    let large = cost_of_a_hundred(&mut stage, &key, &mut next, name);
    stage.note(format!("a hundred adds move {small} bytes at ten members, {large} at {MEMBERS}"));
    stage
        .must(large <= small + small / 5, || format!("a hundred adds moved {small} bytes at first, and {large} later"));

    let mut found = Vec::new();
    let mut after = None;
    loop {
        let command = CollectionCommand::Page { after: after.clone(), count: 300 };
        let command = Command::Collection { kind: CollectionKind::Set, command };
        match stage.ask_and_wait(4, &key, command, Options::default()) {
            Some(Response::Page(page)) if !page.elements.is_empty() => {
                found.extend(page.elements.into_iter().map(|(element, _)| element));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            other => {
                stage.must(false, || format!("a page must come, but: {other:?}"));
                break;
            }
        }
    }
    let mut expected: Vec<Bytes> = (0..next).map(name).collect();
    expected.sort();
    stage.must(found == expected, || format!("{} members are listed, {} were added", found.len(), expected.len()));
    delete(&mut stage, &key, next as u64);
    stage
}

fn add(stage: &mut Stage, key: &Key, members: Vec<Bytes>) {
    let changes = members.into_iter().map(|element| ElementWrite { element, change: ElementChange::Add }).collect();
    let command = CollectionCommand::Write { changes };
    stage.write(0, key, Command::Collection { kind: CollectionKind::Set, command });
}

/// Deletes all of it, while now one and now another of the owners is cut off.
fn delete(stage: &mut Stage, key: &Key, members: u64) {
    let options = Options { deadline_ms: Some(60_000), ..Options::default() };
    let number = stage.ask(0, key, Command::Delete, options);
    let give_up = stage.world.after(Duration::from_secs(60));
    let mut steps = 0_u32;
    while stage.world.answer(number).is_none() && stage.world.now() < give_up {
        steps += 1;
        stage.world.heal_all();
        stage.world.isolate(if steps.is_multiple_of(2) { 1 } else { 2 }, Cut::Loses);
        stage.run_ms(1);
    }
    stage.world.heal_all();
    let answer = stage.world.answer(number).cloned();
    let tells = matches!(&answer, Some(Response::Written(reply)) if reply.removed == members && reply.acks.len() >= 2);
    stage.must(tells, || format!("the delete must tell that it removed {members} and who holds that, but: {answer:?}"));
    stage.note(format!("deleted in {steps} ms"));
    stage.run_ms(10_000);
    for node in [0, 1, 2] {
        stage.must_show(node, key, &Visible::Nothing, "after the delete");
    }
}

fn cost_of_a_hundred(stage: &mut Stage, key: &Key, next: &mut usize, name: impl Fn(usize) -> Bytes) -> u64 {
    let before = stage.world.network.counters.bytes;
    for _ in 0..100 {
        add(stage, key, vec![name(*next)]);
        *next += 1;
    }
    stage.world.network.counters.bytes - before
}
