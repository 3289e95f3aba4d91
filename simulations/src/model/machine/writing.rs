//! What a client's write does at the node that takes it: a session's event, an increment, a reset, a set, dots.

use super::rules::Rule;
use super::values::{Actor, Bits, Mint, Values};
use super::world::{Ghosts, Instance, Key, Message, Node, World};

impl Instance {
    /// Whether a node takes events now.
    pub(super) fn accepts<V>(&self, node: &Node<V>) -> bool {
        !node.is_newborn || !self.has(Rule::NewbornWaits)
    }

    pub(super) fn request<V: Values>(&self, world: &mut World<V>, session: u8, event: u8, at: u8) -> bool {
        world.used.requests += 1;
        let (key, event) = self.session_event(usize::from(session), event);
        let node = &mut world.nodes[usize::from(at)];
        let late = if self.has(Rule::SessionClock) { node.wall } else { 0 };
        let refused = node.sealed.max(node.refusing).max(late);
        if !self.accepts(node) || self.has(Rule::Seal) && event.actor.tick <= refused {
            return false;
        }
        let key_state = &mut node.now.keys[usize::from(key)];
        let before = key_state.row.clone();
        let parts = key_state.row.request(event);
        key_state.note();
        // It was answered as applied.
        key_state.ghosts.counted |= event.p | event.n;
        let is_new = key_state.row != before;
        !parts.is_empty() && (world.net.insert(delta(key, parts)) || is_new)
    }

    /// The next dot of a node on a key.
    pub(super) fn mint<V: Values>(&self, node: &mut Node<V>, number: u8, ahead: u8, key: u8) -> Mint {
        let wall = node.sealed.max(node.now.settled.w).max(node.wall).max(node.refusing);
        let actor = Actor { tick: wall + ahead, kind: 1, number, epoch: node.epoch };
        let key = &mut node.now.keys[usize::from(key)];
        let event = key.minted.entry(actor).or_default();
        *event += 1;
        let at = match key.row.latest() {
            Some((seen, logical)) if seen >= wall => (seen, logical + 1),
            _ => (wall, 0),
        };
        Mint { actor, event: *event, at }
    }

    pub(super) fn increment<V: Values>(&self, world: &mut World<V>, at: u8, ahead: u8, key: u8) -> bool {
        world.used.increments += 1;
        let ghost = 1 << world.counted;
        world.counted += 1;
        let node = &mut world.nodes[usize::from(at)];
        if !self.accepts(node) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let state = &mut node.now.keys[usize::from(key)];
        let parts = state.row.increment(mint, ghost);
        state.note();
        if !parts.is_empty() {
            state.ghosts.counted |= ghost;
        }
        !parts.is_empty() && world.net.insert(delta(key, parts))
    }

    pub(super) fn reset<V: Values>(
        &self,
        world: &mut World<V>,
        at: u8,
        ahead: u8,
        key: u8,
        observed: Option<u8>,
    ) -> bool {
        match observed {
            Some(_) => world.used.observed += 1,
            None => world.used.resets += 1,
        }
        if observed.is_some_and(|other| world.nodes[usize::from(other)].is_newborn) {
            return false;
        }
        let other = observed.map(|other| world.nodes[usize::from(other)].now.keys[usize::from(key)].row.clone());
        let node = &mut world.nodes[usize::from(at)];
        if !self.may_cover(node, at, key) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let (frozen, settled) = (node.frozen, node.now.settled);
        let state = &mut node.now.keys[usize::from(key)];
        let parts = state.row.reset(mint, other.as_ref(), frozen, settled, self.rules);
        state.note();
        !parts.is_empty() && world.net.insert(fresh(key, parts, state))
    }

    /// Whether a node takes a covering operation now.
    pub(super) fn may_cover<V: Values>(&self, node: &Node<V>, at: u8, key: u8) -> bool {
        let shown = node.now.keys[usize::from(key)].row.shown();
        let is_live = shown.value != 0 || shown.counted != shown.reset;
        self.accepts(node) && !(self.is_fallback(at) && self.has(Rule::FallbackNoReset) && is_live)
    }

    pub(super) fn dotted<V: Values>(
        &self,
        world: &mut World<V>,
        at: u8,
        ahead: u8,
        key: u8,
        what: (bool, bool),
    ) -> bool {
        let (adds, removes) = what;
        world.used.adds += u8::from(adds);
        world.used.removals += u8::from(removes);
        let ghost = world.writes;
        world.writes += u8::from(adds);
        let node = &mut world.nodes[usize::from(at)];
        let covers = V::SET_COVERS && removes && !adds;
        if !self.accepts(node) || covers && !self.may_cover(node, at, key) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let state = &mut node.now.keys[usize::from(key)];
        let live = state.row.shown().live;
        let parts = state.row.write_dots(mint, adds.then_some(ghost), removes);
        if parts.is_empty() {
            return false;
        }
        state.ghosts.removed |= if removes { live } else { 0 };
        state.ghosts.added |= Bits::from(adds) << ghost;
        state.note();
        world.net.insert(fresh(key, parts, state))
    }

    pub(super) fn set<V: Values>(&self, world: &mut World<V>, at: u8, ahead: u8, key: u8, is_value: bool) -> bool {
        let value = is_value.then_some(world.writes);
        world.writes += 1;
        world.used.sets += u8::from(is_value);
        world.used.deletes += u8::from(!is_value);
        let node = &mut world.nodes[usize::from(at)];
        if !self.accepts(node) || V::SET_COVERS && !self.may_cover(node, at, key) {
            return false;
        }
        let mint = self.mint(node, at, ahead, key);
        let state = &mut node.now.keys[usize::from(key)];
        let parts = state.row.set(mint, value);
        state.note();
        !parts.is_empty() && world.net.insert(fresh(key, parts, state))
    }
}

impl<V: Values> Key<V> {
    /// Whatever a row contains, it has taken.
    pub(super) fn note(&mut self) {
        let shown = self.row.shown();
        self.ghosts.counted |= shown.counted;
        self.ghosts.reset |= shown.reset;
        self.ghosts.newest = self.ghosts.newest.max(shown.register);
    }
}

/// A fresh write's delta.
pub(super) fn delta<P>(key: u8, parts: Vec<P>) -> Message<P> {
    Message { key, parts, added: 0, removed: 0, live: 0, exchange: None }
}

/// A fresh write's delta, with the dots that it carries.
fn fresh<V: Values>(key: u8, parts: Vec<V::Part>, state: &Key<V>) -> Message<V::Part> {
    if !parts.iter().any(V::has_dots) {
        return delta(key, parts);
    }
    let Ghosts { added, removed, .. } = state.ghosts;
    Message { added, removed, live: state.row.shown().live, ..delta(key, parts) }
}
