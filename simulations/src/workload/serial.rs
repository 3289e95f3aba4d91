//! Keys with one client each, that asks one thing at a time: what a read must show then follows from what came before.

use std::collections::BTreeMap;

use starling::ids::Key;

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

    /// The key's client has asked.
    pub fn asked(&mut self, key: &Key, number: OpNumber) {
        self.open.insert(key.clone(), number);
    }
}
