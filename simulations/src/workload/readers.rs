//! Clients that carry a token from answer to answer: each adds to a few keys and reads them through other nodes, one
//! request at a time. What such a client wrote or saw it must see again, or be told that it cannot.

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{Command, Options, Request, Response};

use super::key;
use crate::world::World;
use crate::world::chance::Chance;
use crate::world::history::OpNumber;

/// Such clients; each has a connection number of its own, by which checkers know them.
const CLIENTS: u64 = 4;

/// The first of their connection numbers.
pub const FIRST_CONNECTION: u64 = 1_000;

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
        let command = if chance.happens(600) { Command::Get } else { Command::Increment { by } };
        // A read of one replica is the one that needs the token most.
        let r = chance.happens(700).then_some(1);
        let options = Options { r, token: Some(client.token.clone()), ..Options::default() };
        let asked: Key = key(name);
        client.open = Some(world.request(node, FIRST_CONNECTION + number, Request { key: asked, command, options }));
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
            _ => None,
        };
        if let Some(token) = token {
            self.token = token;
        }
        self.open = None;
        true
    }
}
