//! The row: the replicated state of one key, or of one row beside it.
//!
//! A product of the states of all types, and of the fields of newer programs; see `encoding` for its bytes. Merge is
//! pointwise, so it is always defined, whatever two sides of a split did.
//!
//! A row of one text and three actors takes some 150 bytes encoded; merge, encode and decode of it take less than a
//! microsecond. In memory a row takes at most 192 bytes, 64 for each actor of its counter, and its texts; the types beside
//! the string stand in a box that most rows do not have. A merge never fails; whether the result is still within the limits of a row, [`Row::is_within_limits`]
//! says.

use super::beside::Beside;
use super::others::Others;
use super::string::StringState;
use super::unknown::Unknown;
use crate::causality::{ActorId, Dot, VersionVector};
use crate::time::Hlc;

/// The replicated state of a key. The default is the state of a key that was never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub(super) string: StringState,
    /// The other types; `None` if there is nothing of them, as in most rows.
    pub(super) others: Option<Box<Others>>,
    /// Fields of newer programs.
    pub(super) unknown: Unknown,
}

/// Merging and showing.
impl Row {
    /// Whether nothing was ever written. A deleted key is not empty: it remembers what was deleted.
    pub fn is_empty(&self) -> bool {
        self.string.is_empty() && self.others.is_none() && self.unknown.is_empty()
    }

    /// Takes over all that `other` knows: a delta or a whole row. Returns whether anything changed.
    pub fn merge(&mut self, other: &Row) -> bool {
        let mut changed = self.string.merge(&other.string);
        match (&mut self.others, &other.others) {
            (_, None) => {}
            (Some(ours), Some(theirs)) => changed |= ours.merge(theirs),
            (ours @ None, Some(theirs)) => {
                *ours = Some(theirs.clone());
                changed = true;
            }
        }
        self.unknown.merge(&other.unknown) || changed
    }

    /// Whether there is an increment that no put or delete has seen.
    pub fn has_live_counter(&self, beside: &Beside) -> bool {
        self.string.counter.is_live(beside)
    }

    /// Sum of the counter alone, exact, as decimal text.
    pub fn counter_sum_text(&self, beside: &Beside) -> String {
        self.string.counter.sum(beside).to_string()
    }

    /// Whether it holds fields of newer programs.
    pub fn has_newer_fields(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// The largest stamp anywhere in the row; the default if there is none. A new stamp must be larger.
    pub fn latest_stamp(&self) -> Hlc {
        let others = self.others.as_ref().map(|others| others.latest_stamp()).unwrap_or_default();
        self.string.latest_stamp().max(self.unknown.latest_stamp()).max(others)
    }

    /// Every actor with an event that it reached, in no order; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        let others = self.others.iter().flat_map(|others| others.actors());
        self.string.actors().chain(others).chain(self.unknown.actors())
    }

    /// Per actor the largest event seen anywhere in the row. A put or a delete that a later one replaced leaves no
    /// trace, so this may name fewer events than were ever seen; of increments it names every one.
    pub fn version_vector(&self) -> VersionVector {
        let mut seen = VersionVector::default();
        for (actor, event) in self.actors() {
            seen.observe(Dot { actor, event });
        }
        seen
    }
}

impl Row {
    /// Changes the other types, and keeps nothing that says nothing.
    pub(super) fn change_others(&mut self, change: impl FnOnce(&mut Others)) {
        let mut others = self.others.take().unwrap_or_default();
        change(&mut others);
        self.others = (*others != Others::default()).then_some(others);
    }
}

/// `validate_merge` never refuses: merge is defined for all states.
impl crdts::CvRDT for Row {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Row::merge(self, &other);
    }
}
