//! The specification's dotted structure: what is live, and which dots were seen.

use std::collections::BTreeMap;

use crate::model::machine::rules::{Rule, Rules};
use crate::model::machine::values::Actor;

/// Which write: its actor and event.
pub type Dot = (Actor, u8);

/// Observed-remove state: a dot lives if both sides have it, or one has it and the other has not seen it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Dotted {
    /// The writes that nothing has removed.
    pub live: BTreeMap<Dot, u8>,
    /// Every dot of a tick ≤ this has been seen.
    pub floor: u8,
    /// The newest dot seen of each actor of a later tick.
    pub seen: BTreeMap<Actor, u8>,
}

impl Dotted {
    /// Whether this side knows of the dot.
    pub fn has_seen(&self, dot: &Dot) -> bool {
        dot.0.tick <= self.floor || self.seen.get(&dot.0).is_some_and(|event| *event >= dot.1)
    }

    /// Join.
    pub fn merge(&mut self, other: &Dotted) {
        let mut live = BTreeMap::new();
        for (dot, ghost) in &self.live {
            if other.live.contains_key(dot) || !other.has_seen(dot) {
                live.insert(*dot, *ghost);
            }
        }
        for (dot, ghost) in &other.live {
            if self.live.contains_key(dot) || !self.has_seen(dot) {
                live.insert(*dot, *ghost);
            }
        }
        self.live = live;
        self.floor = self.floor.max(other.floor);
        for (actor, event) in &other.seen {
            let mine = self.seen.entry(*actor).or_default();
            *mine = (*mine).max(*event);
        }
        let floor = self.floor;
        self.seen.retain(|actor, _| actor.tick > floor);
    }

    /// R7 for dots: old adds must not come back, and old dots that are only seen must not come alone. With a fresh dot they
    /// may: whoever knows the fresh dot knows what it removed.
    pub(super) fn touches(&self, other: &Dotted, frozen: u8, w: u8, rules: Rules) -> bool {
        let is_old = |actor: &Actor| actor.tick <= frozen && actor.tick > w;
        let is_new = |dot: &Dot| !self.live.contains_key(dot) && !self.has_seen(dot);
        if other.live.keys().any(|dot| is_old(&dot.0) && is_new(dot)) {
            return true;
        }
        let has_fresh = other.seen.iter().any(|(actor, event)| actor.tick > frozen && is_new(&(*actor, *event)));
        let grows = other.seen.iter().any(|(actor, event)| is_old(actor) && is_new(&(*actor, *event)));
        grows && rules.has(Rule::OldSeenAlone) && (!has_fresh || !rules.has(Rule::SeenWithFresh))
    }

    /// Actors of settled ticks leave the context; the floor stands for them.
    pub fn compact(&mut self, through: u8) {
        if let Some((actor, _)) = self.seen.range(..Actor::after(through)).next_back() {
            self.floor = self.floor.max(actor.tick);
        }
        self.seen.retain(|actor, _| actor.tick > through);
    }

    /// Whether only a settled context is left.
    pub fn is_spent(&self) -> bool {
        self.live.is_empty() && self.seen.is_empty()
    }
}
