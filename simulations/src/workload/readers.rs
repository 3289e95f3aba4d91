//! Clients that carry a token from answer to answer: each writes a few keys and reads them through other nodes, one request
//! at a time. What such a client wrote or saw it must see again, or be told that it cannot.
//!
//! Counters are shared by all clients; texts, sets and flags are each client's own, so that what it must see follows from
//! what it did: its last text, every member that it added, its flag once it is up.

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{
    CollectionCommand, CollectionKind, Command, ElementChange, ElementWrite, Options, Request, Response,
};

use super::key;
use crate::world::World;
use crate::world::chance::Chance;
use crate::world::history::OpNumber;

/// Such clients; each has a connection number of its own, by which checkers know them.
const CLIENTS: u64 = 4;

/// The first of their connection numbers.
pub const FIRST_CONNECTION: u64 = 1_000;

/// Members that a client adds to a set of its own.
const MEMBERS: u64 = 6;

/// The clients.
#[derive(Debug, Default)]
pub struct Readers {
    clients: Vec<Reader>,
}

#[derive(Debug, Default)]
struct Reader {
    token: Bytes,
    open: Option<OpNumber>,
}

impl Readers {
    /// One client asks something, unless its last request is unanswered.
    pub fn ask(&mut self, world: &mut World, chance: &mut Chance, name: &str, by: i64) {
        let number = chance.below(CLIENTS);
        while (self.clients.len() as u64) <= number {
            self.clients.push(Reader::default());
        }
        let Some(client) = usize::try_from(number).ok().and_then(|place| self.clients.get_mut(place)) else { return };
        if !client.is_free(world) {
            return;
        }
        let node = chance.pick(world.doors()).copied().unwrap_or(0);
        let (asked, command) = next(chance, name, number, by);
        // A read of one replica is the one that needs the token most.
        let r = chance.happens(700).then_some(1);
        let options = Options { r, token: Some(client.token.clone()), ..Options::default() };
        client.open = Some(world.request(node, FIRST_CONNECTION + number, Request { key: asked, command, options }));
    }
}

/// The key with this name, or the client's own one, and what to ask of it. A step is never drawn twice, so it makes a text.
fn next(chance: &mut Chance, name: &str, client: u64, by: i64) -> (Key, Command) {
    let reads = chance.happens(600);
    let kind = name.rsplit('/').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) % 4;
    let own = || key(&format!("{name}/{client}"));
    match (kind, reads) {
        (0, true) => (key(name), Command::Get),
        (0, false) => (key(name), Command::Increment { by }),
        (3, _) => {
            let element = Bytes::from(format!("m{}", chance.below(MEMBERS)));
            let command = match reads {
                true => CollectionCommand::Read { elements: vec![element] },
                false => {
                    CollectionCommand::Write { changes: vec![ElementWrite { element, change: ElementChange::Add }] }
                }
            };
            (own(), Command::Collection { kind: CollectionKind::Set, command })
        }
        (_, true) => (own(), Command::Get),
        (1, false) => (own(), Command::Put { value: Bytes::from(format!("text {by}")) }),
        (_, false) => (own(), Command::SetFlag { on: true }),
    }
}

impl Reader {
    /// Whether the last request has come to its end; takes over the token of its answer.
    fn is_free(&mut self, world: &World) -> bool {
        let Some(number) = self.open else { return true };
        let op = world.history.op(number);
        if op.ended_at().is_none() && !op.is_refused {
            return false;
        }
        let token = match &op.answer {
            Some((_, Response::Value(reply))) => reply.token.clone(),
            Some((_, Response::Written(reply))) => reply.token.clone(),
            Some((_, Response::Page(reply))) => reply.token.clone(),
            _ => None,
        };
        if let Some(token) = token {
            self.token = token;
        }
        self.open = None;
        true
    }
}
