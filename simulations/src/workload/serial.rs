//! Keys with one client each, that asks one thing at a time: what a read must show then follows from what came before.

use std::collections::BTreeMap;

use starling::ids::Key;
use starling::message::client::{Command, Response};

use crate::world::World;
use crate::world::history::OpNumber;

/// The last request of each key's client.
#[derive(Debug, Default)]
pub struct Serial {
    open: BTreeMap<Key, OpNumber>,
}

impl Serial {
    /// Whether the key's client waits for nothing.
    pub fn is_free(&self, world: &World, key: &Key) -> bool {
        self.open.get(key).is_none_or(|number| {
            let op = world.history.op(*number);
            op.ended_at().is_some() || op.is_refused || world.now() > op.invoked_at.after(op.deadline * 2)
        })
    }

    /// What the key's client asked last, and how that was answered.
    pub fn last<'a>(&self, world: &'a World, key: &Key) -> Option<(&'a Command, Option<&'a Response>)> {
        let op = world.history.op(*self.open.get(key)?);
        Some((&op.request.command, op.answer.as_ref().map(|(_, response)| response)))
    }

    /// The key's client has asked.
    pub fn asked(&mut self, key: &Key, number: OpNumber) {
        self.open.insert(key.clone(), number);
    }
}
