//! The causal context: which dots were seen, whether what they wrote still stands or not.
//!
//! ```text
//! seen(d) = d's actor expired by the floor, or d.event ≤ the version vector's event of d's actor
//! merge   = the union of what was seen: the larger floor, the pointwise maximum above it
//! ```
//!
//! Actors come and go, and a vector that names them all would grow for ever. Once everybody is known to have seen the same
//! dots of ticks up to `t` (see `stability`), those actors are left out and the floor says that all of theirs were seen.
//! The floor is the largest tick that was really left out, so a context in which nothing expired stays as it is.
//!
//! Encoding: `floor u32 │ actors │ (actor 16 │ event)*`, in the order of the actors.

use serde::{Deserialize, Serialize};

use super::{ActorId, Dot, Tick, VersionVector};

/// The dots that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Tick, VersionVector)", into = "(Tick, VersionVector)")]
pub struct Context {
    floor: Tick,
    seen: VersionVector,
}

impl Context {
    /// A context with this floor; what the vector says of older actors is left out. Tick 0 is no floor.
    pub fn new(floor: Tick, mut seen: VersionVector) -> Context {
        seen.forget(floor);
        Context { floor, seen }
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.floor == Tick(0) && self.seen.is_empty()
    }

    /// Up to which tick all dots were seen; 0 if none.
    pub fn floor(&self) -> Tick {
        self.floor
    }

    /// What was seen of actors above the floor.
    pub fn seen(&self) -> &VersionVector {
        &self.seen
    }

    /// Whether the dot was seen.
    pub fn has_seen(&self, dot: Dot) -> bool {
        self.has_settled(dot.actor) || self.seen.event(dot.actor) >= dot.event
    }

    /// Whether everything of the actor was seen.
    pub fn has_settled(&self, actor: ActorId) -> bool {
        self.floor > Tick(0) && actor.expires <= self.floor
    }

    /// Adds a dot and all earlier ones of its actor.
    pub fn observe(&mut self, dot: Dot) {
        if !self.has_settled(dot.actor) {
            self.seen.observe(dot);
        }
    }

    /// Adds what the other has seen. Returns whether that was more.
    pub fn merge(&mut self, other: &Context) -> bool {
        let mut grew = other.floor > self.floor;
        if grew {
            self.floor = other.floor;
            self.seen.forget(self.floor);
        }
        for (actor, event) in other.seen.dots() {
            if !self.has_seen(Dot { actor, event }) {
                self.seen.observe(Dot { actor, event });
                grew = true;
            }
        }
        grew
    }

    /// Leaves out the actors that expired by `through`: everybody has seen the same of them. Returns whether there were
    /// any.
    pub fn compact(&mut self, through: Tick) -> bool {
        let last = self.seen.through(through).map(|(actor, _)| actor.expires).last().unwrap_or_default();
        // Tick 0 is no floor, and no actor's tick either.
        if last == Tick(0) {
            return false;
        }
        self.floor = self.floor.max(last);
        self.seen.forget(through);
        true
    }
}

impl From<(Tick, VersionVector)> for Context {
    fn from((floor, seen): (Tick, VersionVector)) -> Context {
        Context::new(floor, seen)
    }
}

impl From<Context> for (Tick, VersionVector) {
    fn from(context: Context) -> (Tick, VersionVector) {
        (context.floor, context.seen)
    }
}

/// `validate_merge` never refuses: merge is defined for all states.
impl crdts::CvRDT for Context {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Context::merge(self, &other);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::causality::{Epoch, Tenure};
    use crate::value::laws;

    fn actor(tick: u32, epoch: u64) -> ActorId {
        ActorId { expires: Tick(tick), epoch: Epoch(epoch), tenure: Tenure(0) }
    }

    fn any_context() -> impl Strategy<Value = Context> {
        let dot = (1..5u32, 0..2u64, 0..4u64).prop_map(|(tick, epoch, event)| (actor(tick, epoch), event));
        (0..4u32, proptest::collection::vec(dot, 0..6))
            .prop_map(|(floor, seen)| Context::new(Tick(floor), VersionVector::from(seen)))
    }

    fn all_dots() -> impl Iterator<Item = Dot> {
        (1..5).flat_map(|tick| {
            (0..2).flat_map(move |epoch| (1..5).map(move |event| Dot { actor: actor(tick, epoch), event }))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_merge_laws_hold(a in any_context(), b in any_context(), c in any_context()) {
            laws::check_merge(&a, &b, &c);
        }

        #[test]
        fn a_merge_has_seen_what_either_has_seen(a in any_context(), b in any_context()) {
            let mut merged = a.clone();
            let grew = merged.merge(&b);
            prop_assert_eq!(grew, merged != a);
            for dot in all_dots() {
                prop_assert_eq!(merged.has_seen(dot), a.has_seen(dot) || b.has_seen(dot));
            }
        }

        #[test]
        fn compaction_forgets_nothing_and_claims_only_expired_actors(a in any_context(), through in 0..6u32) {
            let mut compacted = a.clone();
            let changed = compacted.compact(Tick(through));
            prop_assert_eq!(changed, compacted != a);
            for dot in all_dots().filter(|dot| a.has_seen(*dot) || dot.actor.expires > Tick(through)) {
                prop_assert_eq!(compacted.has_seen(dot), a.has_seen(dot));
            }
            let mut again = compacted.clone();
            prop_assert!(!again.compact(Tick(through)), "a second time changes nothing");
            let mut merged = a.clone();
            merged.merge(&compacted);
            prop_assert_eq!(merged, compacted, "who has not compacted adopts it");
        }

        #[test]
        fn it_comes_back_from_its_bytes(a in any_context()) {
            let bytes = rmp_serde::to_vec_named(&a).unwrap();
            prop_assert_eq!(rmp_serde::from_slice::<Context>(&bytes).unwrap(), a);
        }
    }

    #[test]
    fn what_stands_below_the_floor_from_outside_is_dropped() {
        let bytes = rmp_serde::to_vec(&(Tick(3), vec![(actor(2, 1), 5u64), (actor(4, 1), 5)])).unwrap();
        let context: Context = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(context.seen().dots().collect::<Vec<_>>(), [(actor(4, 1), 5)]);
    }
}
