//! The last reads of a run: at rest every read must be served, and whoever is asked must show the same.
//!
//! What is read here is the evidence of the checkers ([`crate::checker::Finals`]): what clients see at the end through
//! two coordinators, and what every owner shows by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{CollectionCommand, CollectionKind, Command, Options, Request, Response};

use crate::checker::Violation;
use crate::world::World;
use crate::world::history::OpNumber;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Elements of the first page: few, so that small collections are read in several. Later pages grow.
const PAGE: u16 = 5;

/// Elements of the largest page.
const PAGE_MAX: u16 = 320;

/// Reads every key.
pub fn probe(world: &mut World) -> Vec<Violation> {
    // The last notices of links that broke long ago may still be under way, and make a node suspect another once more.
    world.run_for(Duration::from_secs(4));
    world.history.begin_rest();
    let mut keys: BTreeMap<Key, Asked> = BTreeMap::new();
    for op in world.history.ops() {
        keys.entry(op.request.key.clone()).or_default().note(&op.request.command);
    }
    let mut probe = Probe { world, found: Vec::new() };
    for (place, (key, asked)) in keys.into_iter().enumerate() {
        probe.read(place, &key, &asked);
        if probe.found.len() >= 3 {
            break;
        }
    }
    probe.found
}

/// What clients asked of a key: decides which reads show all of it.
#[derive(Debug, Default)]
struct Asked {
    siblings: bool,
    kinds: BTreeSet<CollectionKind>,
}

impl Asked {
    fn note(&mut self, command: &Command) {
        match command {
            Command::Siblings | Command::PutSibling { .. } => self.siblings = true,
            Command::Collection { kind, .. } => {
                self.kinds.insert(*kind);
            }
            _ => {}
        }
    }
}

struct Probe<'a> {
    world: &'a mut World,
    found: Vec<Violation>,
}

impl Probe<'_> {
    fn read(&mut self, place: usize, key: &Key, asked: &Asked) {
        let doors = self.world.doors();
        let nodes = doors.len();
        let door = |place: usize| doors.get(place % nodes).copied().unwrap_or(0);
        let (one, other) = (door(place), door(place / nodes + place + 1));
        self.read_twice(key, one, other, Command::Get);
        if asked.siblings {
            self.read_twice(key, one, other, Command::Siblings);
        }
        for kind in &asked.kinds {
            self.read_pages(key, one, *kind);
        }
        let ring = self.world.ring().clone();
        let owners: Vec<usize> =
            ring.owners(ring.partition_of(key)).iter().map(|owner| self.world.number_of(*owner)).collect();
        for owner in owners {
            let answer = self.ask(owner, key, Command::Inspect);
            if !matches!(answer, Some(Response::Inspected(_))) {
                self.wrong(format!("an owner of {key} was asked what it holds, and answered {answer:?}"));
            }
        }
    }

    fn read_twice(&mut self, key: &Key, one: usize, other: usize, command: Command) {
        let mut shown = Vec::new();
        for node in [one, other] {
            match self.ask(node, key, command.clone()) {
                Some(Response::Value(reply)) if !reply.partial => shown.push(reply.value),
                Some(Response::Observed(reply)) if !reply.partial => shown.push(reply.value),
                answer if is_of_another_type(answer.as_ref()) => {}
                answer => self.wrong(format!("{command:?} of {key} at rest came to {answer:?}")),
            }
        }
        if let [first, second] = shown.as_slice()
            && first != second
        {
            self.wrong(format!("{command:?} of {key} shows {first:?} through one node, {second:?} through another"));
        }
    }

    fn read_pages(&mut self, key: &Key, node: usize, kind: CollectionKind) {
        let mut after: Option<Bytes> = None;
        // Runs hold a few dozen elements per key.
        for page in 0..1_000_u16 {
            let count = if page < 10 { PAGE } else { PAGE_MAX };
            let command = CollectionCommand::Page { after: after.clone(), count };
            match self.ask(node, key, Command::Collection { kind, command }) {
                Some(Response::Page(page)) => match page.next {
                    Some(next) if after.as_ref().is_none_or(|after| *after < next) => after = Some(next),
                    Some(next) => {
                        return self.wrong(format!("the pages of {key} do not go on: {next:?} follows {after:?}"));
                    }
                    None => return,
                },
                answer if is_of_another_type(answer.as_ref()) => return,
                answer => return self.wrong(format!("a page of {key} at rest came to {answer:?}")),
            }
        }
        self.wrong(format!("the pages of {key} do not end"));
    }

    fn ask(&mut self, node: usize, key: &Key, command: Command) -> Option<Response> {
        // Where a member was declared lost and too few are left to take its place, fewer than N own the partition.
        let ring = self.world.ring();
        let r = u8::try_from(ring.readers(ring.partition_of(key)).len()).ok();
        let request = Request { key: key.clone(), command, options: Options { r, ..Options::default() } };
        let number: OpNumber = self.world.request(node, 0, request);
        let give_up = self.world.after(PATIENCE);
        while self.world.history.op(number).ended_at().is_none() && self.world.now() < give_up {
            self.world.run_for(Duration::from_millis(2));
        }
        self.world.answer(number).cloned()
    }

    fn wrong(&mut self, text: String) {
        self.found.push(Violation { checker: "probe", text });
    }
}

/// A key shows one type; who asks for another is told so.
fn is_of_another_type(answer: Option<&Response>) -> bool {
    use starling::message::client::Reason;
    matches!(answer, Some(Response::Failed(error)) if matches!(error.reason, Reason::WrongType { .. }))
}
