//! The types beside the string, and what belongs to a key whatever its type: together, because most rows have none of it.
//!
//! ```text
//! touched      per type the largest stamp of a write          decides which type is shown
//! siblings     Dotted<Bytes>                                  values that are concurrent
//! flag         Dotted<()>                                     raised where anything is live
//! sketch       Sketch                                         distinct items
//! expiry       Expiry                                         when the key goes
//! presence     Dotted<()>                                     of a set's member, in the member's own row
//! scored       Dotted<Given>                                  of a sorted set's member, in the member's own row
//!
//! merge(x, y) = pointwise
//! ```

use bytes::Bytes;

use super::dotted::Dotted;
use super::expiry::Expiry;
use super::kind::ValueType;
use super::per_actor::Content;
use super::register::Stamp;
use super::score::Given;
use super::sketch::Sketch;
use crate::causality::{ActorId, Dot};
use crate::ids::CollectionKind;
use crate::time::Hlc;

/// The state of everything but the string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Per type but the string, in the order of [`TOUCHABLE`], the largest stamp of a write.
    pub touched: [Hlc; TOUCHABLE.len()],
    /// Values that stand beside each other.
    pub siblings: Dotted<Bytes>,
    /// Raised where anything is live.
    pub flag: Dotted<()>,
    /// Distinct items.
    pub sketch: Sketch,
    /// When the key goes.
    pub expiry: Expiry,
    /// Of a set's member.
    pub presence: Dotted<()>,
    /// Of a sorted set's member.
    pub scored: Dotted<Given>,
}

/// The types that have their stamp here.
pub const TOUCHABLE: [ValueType; 6] = [
    ValueType::Siblings,
    ValueType::Flag,
    ValueType::Sketch,
    ValueType::Collection(CollectionKind::Set),
    ValueType::Collection(CollectionKind::Map),
    ValueType::Collection(CollectionKind::SortedSet),
];

impl Others {
    /// Merges pointwise. Returns whether anything changed.
    pub fn merge(&mut self, other: &Others) -> bool {
        let mut changed = false;
        for (ours, theirs) in self.touched.iter_mut().zip(&other.touched) {
            changed |= theirs > ours;
            *ours = (*ours).max(*theirs);
        }
        changed |= self.siblings.merge(&other.siblings);
        changed |= self.flag.merge(&other.flag);
        changed |= self.sketch.merge(&other.sketch);
        changed |= self.expiry.merge(&other.expiry);
        changed |= self.presence.merge(&other.presence);
        changed |= self.scored.merge(&other.scored);
        changed
    }

    /// When a type was touched; the string is none of these.
    pub fn touched(&self, kind: ValueType) -> Hlc {
        TOUCHABLE
            .iter()
            .zip(&self.touched)
            .find(|(touchable, _)| **touchable == kind)
            .map(|(_, stamp)| *stamp)
            .unwrap_or_default()
    }

    /// Notes a write of a type.
    pub fn touch(&mut self, kind: ValueType, stamp: Hlc) {
        for (touchable, touched) in TOUCHABLE.iter().zip(&mut self.touched) {
            if *touchable == kind {
                *touched = (*touched).max(stamp);
            }
        }
    }

    /// Takes away everything that stands here, under one dot; the expiry stays. What was never written is left alone.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn clear(&mut self, dot: Dot, stamp: Stamp) {
        if self.siblings.is_live() {
            self.siblings.clear(dot);
        }
        if self.flag.is_live() {
            self.flag.clear(dot);
        }
        if self.presence.is_live() {
            self.presence.clear(dot);
        }
        if self.scored.is_live() {
            self.scored.clear(dot);
        }
        if self.sketch.is_live() {
            self.sketch.merge(&Sketch::cleared(stamp));
        }
    }

    /// Keeps only what was written under this dot.
    pub fn keep_only(&mut self, dot: Dot) {
        fn keep<V: Content>(dotted: &mut Dotted<V>, dot: Dot) {
            if !dotted.context().has_seen(dot) {
                *dotted = Dotted::default();
            }
        }
        let is_other = |stamp: &Stamp| (stamp.actor, stamp.event) != (dot.actor, dot.event);
        keep(&mut self.siblings, dot);
        keep(&mut self.flag, dot);
        keep(&mut self.presence, dot);
        keep(&mut self.scored, dot);
        if self.sketch.latest().is_some_and(is_other) {
            self.sketch = Sketch::default();
        }
        if self.expiry.stamp().is_some_and(is_other) {
            self.expiry = Expiry::default();
        }
        self.touched = Default::default();
    }

    /// Every actor with an event, in no order; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        let expiry = self.expiry.stamp().map(|stamp| (stamp.actor, stamp.event));
        self.siblings
            .actors()
            .chain(self.flag.actors())
            .chain(self.presence.actors())
            .chain(self.scored.actors())
            .chain(self.sketch.actors())
            .chain(expiry)
    }

    /// The largest stamp.
    pub fn latest_stamp(&self) -> Hlc {
        let scores = self.scored.live().iter().map(|(_, given)| given.hlc);
        let expiry = self.expiry.stamp().map(|stamp| stamp.hlc);
        self.touched.iter().copied().chain(scores).chain(expiry).chain([self.sketch.hlc()]).max().unwrap_or_default()
    }

    /// Whether the fields could be read back.
    pub fn is_within_limits(&self) -> bool {
        self.siblings.is_within_limits()
            && self.flag.is_within_limits()
            && self.presence.is_within_limits()
            && self.scored.is_within_limits()
    }
}
