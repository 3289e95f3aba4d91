//! Lost memory: a directory is replaced by an earlier copy of itself, how that is found out, and what is given up then.

use super::rules::Rule;
use super::travelling::message;
use super::values::{Closed, Settled, Values};
use super::world::{Copy, Ghosts, Instance, Key, Node, World};

impl Instance {
    /// Keeps a copy of a node's directory: what is durable of it.
    pub(super) fn copy<V: Values>(&self, world: &mut World<V>, at: u8) -> bool {
        let node = &mut world.nodes[usize::from(at)];
        let Node { durable, life, sealed, frozen, is_newborn, .. } = node;
        let copy =
            Copy { data: durable.clone(), life: *life, sealed: *sealed, frozen: *frozen, is_newborn: *is_newborn };
        node.copy.replace(Box::new(copy)).is_none()
    }

    /// The directory is replaced by the copy, and the node starts on it. The clock goes on.
    pub(super) fn restore<V: Values>(&self, world: &mut World<V>, at: u8) -> bool {
        world.used.restores += 1;
        let node = &mut world.nodes[usize::from(at)];
        let Some(copy) = node.copy.take() else { return false };
        let Copy { mut data, life, sealed, frozen, is_newborn } = *copy;
        for key in &mut data.keys {
            key.copied = key.ghosts;
        }
        *node = Node {
            now: data.clone(),
            durable: data,
            life,
            sealed,
            frozen,
            is_newborn,
            epoch: node.epoch + 1,
            start: node.start + 1,
            wall: node.wall.max(node.sealed),
            heard: vec![None; node.heard.len()],
            ..Node::default()
        };
        true
    }

    /// Two nodes speak with each other: each hears in which start the other is. What was said in rounds that began before
    /// counts no longer.
    pub(super) fn meet<V: Values>(&self, world: &mut World<V>, one: u8, other: u8) {
        for (who, of) in [(one, other), (other, one)] {
            let start = world.nodes[usize::from(of)].start;
            let node = &mut world.nodes[usize::from(who)];
            // Everybody was in its first start once.
            if node.starts.get(&of).copied().unwrap_or(0) != start {
                node.starts.insert(of, start);
                if self.has(Rule::StartEndsRound) {
                    node.heard = vec![None; node.heard.len()];
                }
            }
        }
    }

    /// What they tell of how far they are settled. True if one of them is found to have lost its memory.
    pub(super) fn compare_marks<V: Values>(&self, world: &mut World<V>, one: u8, other: u8) -> bool {
        self.meet(world, one, other);
        let mut is_lost = false;
        for (who, of) in [(one, other), (other, one)] {
            let Node { is_newborn, frozen, now, .. } = &world.nodes[usize::from(of)];
            let (is_newborn, frozen, theirs) = (*is_newborn, *frozen, now.settled);
            if is_newborn || self.is_fallback(of) || !self.has(Rule::ProveLoss) {
                continue;
            }
            let node = &mut world.nodes[usize::from(who)];
            if self.is_fallback(who) {
                let is_behind = !node.is_newborn && frozen > node.sealed.max(node.refusing);
                node.refusing = if is_behind { frozen } else { node.refusing };
            } else if has_lost(node, theirs) {
                lose(node);
                is_lost = true;
            } else if !node.is_newborn {
                node.sealed = node.sealed.max(frozen);
            }
        }
        is_lost
    }

    /// An exchange in flight says how far its sender had folded.
    pub(super) fn hear_fold<V: Values>(&self, node: &mut Node<V>, folded: u8) -> bool {
        let is_lost = self.has(Rule::ProveLoss) && has_lost(node, Settled { w: 0, v: folded });
        if is_lost {
            lose(node);
        }
        is_lost
    }

    /// A newborn gives up what its teacher has forgotten, before it takes the teacher's page of the key.
    pub(super) fn give_up<V: Values>(&self, node: &mut Node<V>, key: u8, teacher: &Node<V>) {
        let v = teacher.now.settled.v;
        if !node.is_newborn || v <= node.now.settled.w || !self.has(Rule::GiveUp) {
            return;
        }
        let theirs = &teacher.now.keys[usize::from(key)];
        let mut shown = theirs.row.clone();
        shown.retire(teacher.now.settled, self.lease, self.rules);
        let own = &mut node.now.keys[usize::from(key)];
        own.row.give_up(&shown, v);
        own.keep_ghosts(theirs.ghosts);
    }

    /// A fallback drops what every owner refuses of what it had sealed once.
    pub(super) fn drop_hint<V: Values>(&self, world: &mut World<V>, key: u8) -> bool {
        let hint = message(key, &world.nodes[self.owners].now);
        let takes = |node: &Node<V>| {
            let row = &node.now.keys[usize::from(key)].row;
            let closed = Closed { through: node.frozen, covers: node.now.settled.w };
            !self.has(Rule::Freeze) || !row.touches(&hint.parts, closed, node.now.settled, self.rules)
        };
        if world.nodes[..self.owners].iter().any(takes) {
            return false;
        }
        let fallback = &mut world.nodes[self.owners];
        let own = &mut fallback.now.keys[usize::from(key)];
        let before = own.clone();
        if fallback.refusing > fallback.sealed {
            own.row.keep_younger(fallback.refusing);
            own.keep_ghosts(Ghosts::default());
        }
        *own != before
    }

    /// The fallback's hint of a key, for the closure: it is offered to every owner, and once more if something was dropped.
    pub(super) fn hint_whole<V: Values>(&self, world: &mut World<V>, key: u8) {
        let _ = self.drop_hint(world, key);
        let hint = message(key, &world.nodes[self.owners].now);
        for owner in 0..self.owners as u8 {
            let _ = self.receive(&mut world.nodes[usize::from(owner)], owner, &hint);
        }
    }
}

/// Whether the owner must have been further once, for another to have settled so far.
fn has_lost<V>(node: &Node<V>, theirs: Settled) -> bool {
    !node.is_newborn && (theirs.w > node.frozen || theirs.v > node.now.settled.w)
}

/// The owner is newborn again.
fn lose<V>(node: &mut Node<V>) {
    node.is_newborn = true;
    node.source = None;
    node.report = None;
    node.baselines = None;
}

impl<V: Values> Key<V> {
    /// After something was given up: what the copy had brought back was taken only if it is left, or if those know it that
    /// were believed. What was taken since counts in any case.
    fn keep_ghosts(&mut self, theirs: Ghosts) {
        let (shown, copied) = (self.row.shown(), self.copied);
        let added = self.ghosts.added & (shown.live | theirs.added | !copied.added);
        let is_left = |newest: (u128, Option<u8>)| shown.register.is_some_and(|shown| shown.0 == newest.0);
        self.ghosts = Ghosts {
            counted: self.ghosts.counted & (shown.counted | theirs.counted | !copied.counted),
            reset: self.ghosts.reset & (shown.reset | theirs.reset | !copied.reset),
            added,
            removed: self.ghosts.removed & added,
            newest: self.ghosts.newest.filter(|newest| is_left(*newest) || Some(*newest) != copied.newest),
        };
    }
}
