//! The version vector: per actor the largest event seen. Merge is the pointwise maximum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ActorId, Dot, Tick};

/// Per actor the largest event seen; actors with event 0 do not stand in it.
/// On the wire a sequence of pairs: JSON has no maps with such keys, and a zero from outside is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(ActorId, u64)>", into = "Vec<(ActorId, u64)>")]
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

    /// The actors that expired by this tick, with their largest events, in the order of the actors; none at tick 0.
    pub fn through(&self, tick: Tick) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.dots().take_while(move |(actor, _)| tick > Tick(0) && actor.expires <= tick)
    }

    /// Drops the actors that expired by this tick; none at tick 0.
    pub fn forget(&mut self, tick: Tick) {
        if tick > Tick(0) {
            self.events.retain(|actor, _| actor.expires > tick);
        }
    }

    /// How many actors were seen.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl From<Vec<(ActorId, u64)>> for VersionVector {
    fn from(dots: Vec<(ActorId, u64)>) -> VersionVector {
        let mut seen = VersionVector::default();
        for (actor, event) in dots {
            seen.observe(Dot { actor, event });
        }
        seen
    }
}

impl From<VersionVector> for Vec<(ActorId, u64)> {
    fn from(seen: VersionVector) -> Vec<(ActorId, u64)> {
        seen.events.into_iter().collect()
    }
}

/// `validate_merge` never refuses: merge is defined for all states.
impl crdts::CvRDT for VersionVector {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        VersionVector::merge(self, &other);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::causality::{Epoch, Tenure, Tick};
    use crate::value::laws;

    fn any_vector() -> impl Strategy<Value = VersionVector> {
        let actor = (0..4u64).prop_map(|epoch| ActorId { expires: Tick(1), epoch: Epoch(epoch), tenure: Tenure(0) });
        proptest::collection::vec((actor, 0..5u64), 0..6).prop_map(VersionVector::from)
    }

    #[test]
    fn an_event_zero_from_outside_is_dropped() {
        let actor = ActorId { expires: Tick(1), epoch: Epoch(2), tenure: Tenure(3) };
        let bytes = rmp_serde::to_vec(&vec![(actor, 0u64)]).unwrap();
        assert_eq!(rmp_serde::from_slice::<VersionVector>(&bytes).unwrap(), VersionVector::default());
    }

    proptest! {
        /// Each step observes a dot at a replica, or (event 0) merges the other into it.
        #[test]
        fn it_sees_what_the_clock_of_crdts_sees(steps in proptest::collection::vec((0..2usize, 0..3u64, 0..5u64), 1..30)) {
            use crdts::{CmRDT, CvRDT, VClock};
            let mut ours = [VersionVector::default(), VersionVector::default()];
            let mut theirs = [VClock::<ActorId>::new(), VClock::new()];
            for (at, number, event) in steps {
                let actor = ActorId { expires: Tick(1), epoch: Epoch(number), tenure: Tenure(0) };
                if event > 0 {
                    ours[at].observe(Dot { actor, event });
                    theirs[at].apply(crdts::Dot::new(actor, event));
                } else {
                    let (vector, clock) = (ours[1 - at].clone(), theirs[1 - at].clone());
                    ours[at].merge(&vector);
                    CvRDT::merge(&mut theirs[at], clock);
                }
                let seen: Vec<(ActorId, u64)> = theirs[at].iter().map(|dot| (*dot.actor, dot.counter)).collect();
                prop_assert_eq!(ours[at].dots().collect::<Vec<_>>(), seen);
            }
        }

        #[test]
        fn the_merge_laws_hold(a in any_vector(), b in any_vector(), c in any_vector()) {
            laws::check_merge(&a, &b, &c);
        }

        #[test]
        fn after_a_merge_nothing_is_missing(a in any_vector(), b in any_vector()) {
            let mut merged = a.clone();
            merged.merge(&b);
            prop_assert!(merged.missing_from(&a).is_empty() && merged.missing_from(&b).is_empty());
            for (actor, count) in a.missing_from(&b) {
                prop_assert_eq!(a.event(actor) + count, merged.event(actor));
            }
        }

        #[test]
        fn it_comes_back_from_its_bytes(a in any_vector()) {
            let bytes = rmp_serde::to_vec_named(&a).unwrap();
            prop_assert_eq!(rmp_serde::from_slice::<VersionVector>(&bytes).unwrap(), a);
        }
    }
}
