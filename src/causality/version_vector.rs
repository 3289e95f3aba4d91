//! The version vector: per actor the largest event seen. Merge is the pointwise maximum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ActorId, Dot};

/// Per actor the largest event seen; actors with event 0 do not stand in it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VersionVector {
    events: BTreeMap<ActorId, u64>,
}

impl VersionVector {
    /// Adds a dot and all earlier events of its actor.
    pub fn observe(&mut self, dot: Dot) {
        if dot.event > 0 {
            let event = self.events.entry(dot.actor).or_default();
            *event = (*event).max(dot.event);
        }
    }

    /// The largest event seen of an actor; 0 if none.
    pub fn event(&self, actor: ActorId) -> u64 {
        self.events.get(&actor).copied().unwrap_or(0)
    }

    /// Pointwise maximum.
    pub fn merge(&mut self, other: &VersionVector) {
        for (actor, event) in other.dots() {
            self.observe(Dot { actor, event });
        }
    }

    /// Per actor of `other`, how many events `self` has not seen.
    pub fn missing_from(&self, other: &VersionVector) -> Vec<(ActorId, u64)> {
        other
            .dots()
            .filter_map(|(actor, event)| {
                let missing = event.saturating_sub(self.event(actor));
                (missing > 0).then_some((actor, missing))
            })
            .collect()
    }

    /// Every actor with its largest event, in the order of the actors.
    pub fn dots(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.events.iter().map(|(actor, event)| (*actor, *event))
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}
