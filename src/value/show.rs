//! What a row shows: the visible type, and the conflicts that a split left.
//!
//! A key has one visible type: of those that are live, the one that was touched last. The others stay as they are; a
//! delete covers them all. A write of another type than the visible one is refused before it is minted, so two types are
//! live only where two writers did not see each other (a split, a slow replica), and the conflict is shown, counted and
//! listed until somebody covers one of them.

use super::beside::Beside;
use super::error::ValueError;
use super::kind::ValueType;
use super::others::Others;
use super::score::Score;
use super::visible::Visible;
use super::{Row, others};
use crate::causality::Context;
use crate::ids::CollectionKind;
use crate::time::{Hlc, WallTime};

impl Row {
    /// What a client is shown. `beside` is what stands beside a main row; [`Beside::NONE`] for a row that stands alone,
    /// as those of sessions and elements do.
    pub fn visible(&self, beside: &Beside, now: WallTime) -> Visible {
        if self.others.is_none() && !beside.has_elements() {
            return self.string.visible(beside);
        }
        let nothing = Others::default();
        let others = self.others.as_deref().unwrap_or(&nothing);
        if self.is_expired(now) {
            return Visible::Nothing;
        }
        if let Some(score) = self.score() {
            return Visible::Score(score);
        }
        if others.presence.is_live() {
            return Visible::Member;
        }
        match self.visible_type(beside, now) {
            None => Visible::Nothing,
            Some(ValueType::String) => self.string.visible(beside),
            Some(ValueType::Siblings) => {
                Visible::Siblings(others.siblings.live().iter().map(|(_, value)| value.clone()).collect())
            }
            Some(ValueType::Flag) => Visible::Flag,
            Some(ValueType::Sketch) => Visible::Estimate(others.sketch.estimate()),
            Some(ValueType::Collection(kind)) => Visible::Collection { kind, size: beside.elements(kind).live },
        }
    }

    /// The type that the key shows; `None` if nothing is live.
    pub fn visible_type(&self, beside: &Beside, now: WallTime) -> Option<ValueType> {
        if self.is_expired(now) {
            return None;
        }
        self.live_types(beside).max_by_key(|kind| (self.touched(*kind), *kind))
    }

    /// Whether a write of this type may be minted: nothing is shown, or this type.
    pub fn can_write(&self, kind: ValueType, beside: &Beside, now: WallTime) -> Result<(), ValueType> {
        match self.visible_type(beside, now) {
            Some(held) if held != kind => Err(held),
            Some(_) | None => Ok(()),
        }
    }

    /// Two types are live, or a text stands beside increments that it did not see: two writers did not see each other. A put
    /// covers the increments of the second; a delete covers both.
    pub fn has_conflict(&self, beside: &Beside) -> bool {
        self.string.has_conflict(beside) || self.live_types(beside).count() > 1
    }

    /// Whether the deadline has passed: the row shows nothing, and what stands is to be covered.
    pub fn is_expired(&self, now: WallTime) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When the key goes. A put ends a deadline also if it did not see it: the later of the two counts.
    pub fn deadline(&self) -> Option<WallTime> {
        let expiry = &self.others.as_ref()?.expiry;
        let put = self.string.register.value().and(self.string.register.stamp());
        expiry.deadline().filter(|_| put < expiry.stamp())
    }

    /// Whether anything stands that a removal would take away, expired or not.
    pub fn has_anything(&self, beside: &Beside) -> bool {
        self.live_types(beside).next().is_some()
            || self.others.as_ref().is_some_and(|others| others.presence.is_live() || others.scored.is_live())
    }

    /// Whether the row of an element shows an element.
    pub fn is_live_element(&self, kind: CollectionKind) -> bool {
        match kind {
            CollectionKind::Set => self.others.as_ref().is_some_and(|others| others.presence.is_live()),
            CollectionKind::Map => self.string.visible(&Beside::NONE) != Visible::Nothing,
            CollectionKind::SortedSet => self.others.as_ref().is_some_and(|others| others.scored.is_live()),
        }
    }

    /// The score of a sorted set's member, in the member's row: of several that were given at once, the latest.
    pub fn score(&self) -> Option<Score> {
        let scores = self.others.as_ref()?.scored.live();
        scores.iter().max_by_key(|(dot, given)| (given.hlc, *dot)).map(|(_, given)| given.score)
    }

    /// What a put of a sibling needs to take the place of all that stand here.
    pub fn siblings_context(&self) -> Context {
        self.others.as_ref().map(|others| others.siblings.context().clone()).unwrap_or_default()
    }

    /// How many siblings stand here.
    pub fn siblings(&self) -> usize {
        self.others.as_ref().map_or(0, |others| others.siblings.live().len())
    }

    /// When a type was last written.
    pub fn touched(&self, kind: ValueType) -> Hlc {
        match kind {
            ValueType::String => self.string.touched,
            other => self.others.as_ref().map(|others| others.touched(other)).unwrap_or_default(),
        }
    }

    fn live_types(&self, beside: &Beside) -> impl Iterator<Item = ValueType> {
        let string = (self.string.visible(beside) != Visible::Nothing).then_some(ValueType::String);
        let others = others::TOUCHABLE.into_iter().filter(move |kind| match (kind, self.others.as_deref()) {
            (ValueType::Collection(kind), _) => beside.elements(*kind).live > 0,
            (_, None) | (ValueType::String, _) => false,
            (ValueType::Siblings, Some(Others { siblings, .. })) => siblings.is_live(),
            (ValueType::Flag, Some(Others { flag, .. })) => flag.is_live(),
            (ValueType::Sketch, Some(Others { sketch, .. })) => sketch.is_live(),
        });
        string.into_iter().chain(others)
    }

    /// Whether an increment by so much would be applied.
    pub fn can_increment(&self, by: i64, beside: &Beside) -> Result<(), ValueError> {
        self.string.can_increment(by, beside)
    }
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
