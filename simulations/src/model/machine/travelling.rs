//! What travels between nodes, and what its receiver takes of it: deltas, exchanges, debts.

use super::apply::sync;
use super::rules::Rule;
use super::values::{Closed, Values};
use super::world::{Data, Ghosts, Instance, Message, Node, World};
use super::writing::delta;

impl Instance {
    /// Takes what a message carries, without asking whether it may.
    pub(super) fn merge<V: Values>(&self, node: &mut Node<V>, message: &Message<V::Part>) {
        let (settled, is_established) = (node.now.settled, !node.is_newborn);
        let key = &mut node.now.keys[usize::from(message.key)];
        key.row.merge(&message.parts, settled, is_established, self.rules);
        // A dot that is taken for dead was not taken; if it was alive elsewhere, the closure will say so.
        let ignored = message.live & !key.row.shown().live & !key.ghosts.added;
        key.ghosts.added |= message.added & !ignored;
        key.ghosts.removed |= message.removed;
        key.note();
    }

    /// A message that is not an exchange: refused whole when it would change what is frozen.
    pub(super) fn receive<V: Values>(&self, node: &mut Node<V>, at: u8, message: &Message<V::Part>) -> bool {
        let (bound, rule) = if self.is_fallback(at) {
            (node.sealed.max(node.refusing), Rule::SealedHints)
        } else {
            (node.frozen, Rule::Freeze)
        };
        let covers = match self.is_fallback(at) {
            true if self.has(Rule::SealedCovers) => bound,
            false if self.has(Rule::CompactedCovers) => node.now.settled.w,
            true | false => 0,
        };
        let closed = Closed { through: bound, covers };
        let row = &node.now.keys[usize::from(message.key)].row;
        if node.is_newborn && (self.has(Rule::NewbornOnlyPages) || self.is_fallback(at))
            || self.has(rule) && row.touches(&message.parts, closed, node.now.settled, self.rules)
        {
            return false;
        }
        self.merge(node, message);
        true
    }

    pub(super) fn deliver<V: Values>(&self, world: &mut World<V>, message: u8, at: u8) -> bool {
        world.used.deliveries += 1;
        let Some(mut message) = world.net.iter().nth(usize::from(message)).cloned() else { return false };
        let node = &mut world.nodes[usize::from(at)];
        let before = node.now.clone();
        let may = match message.exchange {
            None => self.receive(node, at, &message),
            Some((from, life, folded)) => {
                let is_known = !self.has(Rule::KnownIncarnation)
                    || node.heard[usize::from(from)].as_ref().is_some_and(|heard| heard.life == life);
                if self.is_fallback(at) || from == at || node.is_newborn && self.has(Rule::NewbornOnlyPages) {
                    return false;
                }
                if self.hear_fold(node, folded) {
                    return true;
                }
                if is_known && self.is_vouched::<V>(node.now.settled.v, folded) {
                    self.leave_forgotten::<V>(node.now.settled.v, &mut message, folded);
                    self.merge(node, &message);
                    true
                } else {
                    self.receive(node, at, &message)
                }
            }
        };
        may && node.now != before
    }

    pub(super) fn knows<V: Values>(&self, world: &World<V>, owner: u8, other: u8) -> bool {
        let life = world.nodes[usize::from(other)].life;
        let heard = &world.nodes[usize::from(owner)].heard[usize::from(other)];
        !self.has(Rule::KnownIncarnation) || heard.as_ref().is_some_and(|heard| heard.life == life)
    }

    /// The first takes the state of the second; false if that changed nothing.
    pub(super) fn exchange<V: Values>(&self, world: &mut World<V>, to: u8, from: u8) -> bool {
        if world.nodes[usize::from(from)].is_newborn || world.nodes[usize::from(to)].is_newborn {
            return false;
        }
        if self.compare_marks(world, to, from) {
            return true;
        }
        if self.has(Rule::ShipSynced) {
            sync(world, from);
        }
        let source = world.nodes[usize::from(from)].now.clone();
        let node = &mut world.nodes[usize::from(to)];
        let before = node.now.clone();
        for key in 0..self.keys {
            let mut message = message(key, &source);
            if self.is_vouched::<V>(node.now.settled.v, source.settled.v) {
                self.leave_forgotten::<V>(node.now.settled.v, &mut message, source.settled.v);
                self.merge(node, &message);
            } else {
                let _ = self.receive(node, to, &message);
            }
        }
        node.now != before
    }

    pub(super) fn ship<V: Values>(&self, world: &mut World<V>, from: u8, key: u8) -> bool {
        world.used.ships += 1;
        if self.has(Rule::ShipSynced) {
            sync(world, from);
        }
        let node = &world.nodes[usize::from(from)];
        let whole = message(key, &node.now);
        if node.is_newborn || whole.parts.is_empty() {
            return false;
        }
        // Debts travel row by row: the main row and each session's are messages of their own.
        let exchange = Some((from, node.life, node.now.settled.v));
        let mut is_new = false;
        for part in &whole.parts {
            let row = match V::has_dots(part) {
                true => whole.clone(),
                false => delta(key, vec![]),
            };
            is_new |= world.net.insert(Message { parts: vec![part.clone()], exchange, ..row });
        }
        is_new
    }

    /// What an exchange from before the receiver's fold brings of things that the receiver may have forgotten.
    pub(super) fn leave_forgotten<V: Values>(&self, v: u8, message: &mut Message<V::Part>, folded: u8) {
        if self.has(Rule::Generation) && folded < v {
            message.parts = V::leave_forgotten(std::mem::take(&mut message.parts), v, self.lease);
        }
    }

    /// Whether an exchange of an owner that had folded so far may change what is frozen.
    pub(super) fn is_vouched<V: Values>(&self, v: u8, folded: u8) -> bool {
        !V::VOUCHED_ONLY || !self.has(Rule::Generation) || folded >= v
    }
}

/// The whole state of a key.
pub(super) fn message<V: Values>(key: u8, data: &Data<V>) -> Message<V::Part> {
    let state = &data.keys[usize::from(key)];
    let Ghosts { added, removed, .. } = state.ghosts;
    Message { key, parts: state.row.parts(), added, removed, live: state.row.shown().live, exchange: None }
}
