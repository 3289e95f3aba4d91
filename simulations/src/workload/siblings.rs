//! Clients of siblings: they look, and later put in the place of what they saw; or put blindly beside everything.

use std::collections::BTreeMap;

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{Command, Response};

use crate::world::World;
use crate::world::chance::Chance;
use crate::world::history::OpNumber;

/// Looks that a client remembers for each key.
const LOOKS_MAX: usize = 3;

/// What clients have seen, by key.
#[derive(Debug, Default)]
pub struct SiblingClients {
    looks: BTreeMap<Key, Vec<OpNumber>>,
}

impl SiblingClients {
    /// What one client asks next of a key.
    pub fn next(&self, world: &World, chance: &mut Chance, key: &Key, text: Bytes) -> Command {
        let looks = self.looks.get(key).map(Vec::as_slice).unwrap_or_default();
        let context = chance.pick(looks).and_then(|number| match world.answer(*number) {
            Some(Response::Observed(reply)) => Some(reply.context.clone()),
            _ => None,
        });
        match chance.below(20) {
            0..8 => Command::Siblings,
            8..11 => Command::PutSibling { value: text, context: None },
            11 => Command::Delete,
            _ if context.is_some() => Command::PutSibling { value: text, context },
            _ => Command::Siblings,
        }
    }

    /// Remembers a look.
    pub fn remember(&mut self, chance: &mut Chance, key: &Key, number: OpNumber) {
        let looks = self.looks.entry(key.clone()).or_default();
        if looks.len() == LOOKS_MAX {
            // Any of them may be forgotten, so that some contexts are old when they are used.
            let place = chance.below(LOOKS_MAX as u64) as usize;
            looks.remove(place);
        }
        looks.push(number);
    }
}
