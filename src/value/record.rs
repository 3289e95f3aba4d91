//! The row: the replicated state of one key, or of one row beside it.
//!
//! A product of the states of all types, and of the fields of newer programs; see `encoding` for its bytes. Merge is
//! pointwise, so it is always defined, whatever two sides of a split did.
//!
//! A row of one text and three actors takes some 150 bytes; merge, encode and decode of it take less than a
//! microsecond. A merge never fails; whether the result is still within the limits of a row, [`Row::is_within_limits`]
//! says.

use bytes::Bytes;

use super::beside::Beside;
use super::error::ValueError;
use super::string::StringState;
use super::unknown::Unknown;
use super::visible::Visible;
use crate::causality::{ActorId, Dot, VersionVector};
use crate::mutation::{self, Mutation};
use crate::time::{Hlc, WallTime};

/// The replicated state of a key. The default is the state of a key that was never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub(super) string: StringState,
    /// Fields of newer programs.
    pub(super) unknown: Unknown,
}

/// Merging and showing.
impl Row {
    /// Whether nothing was ever written. A deleted key is not empty: it remembers what was deleted.
    pub fn is_empty(&self) -> bool {
        *self == Row::default()
    }

    /// Takes over all that `other` knows: a delta or a whole row. Returns whether anything changed.
    pub fn merge(&mut self, other: &Row) -> bool {
        let changed = self.string.merge(&other.string);
        self.unknown.merge(&other.unknown) || changed
    }

    /// What a client is shown. `beside` is what stands beside a main row; [`Beside::NONE`] for a row that stands alone.
    pub fn visible(&self, beside: &Beside, _now: WallTime) -> Visible {
        self.string.visible(beside)
    }

    /// A text stands beside increments that it did not see; the next put or delete covers them.
    pub fn has_conflict(&self, beside: &Beside) -> bool {
        self.string.has_conflict(beside)
    }

    /// Whether there is an increment that no put or delete has seen.
    pub fn has_live_counter(&self, beside: &Beside) -> bool {
        self.string.counter.is_live(beside)
    }

    /// Sum of the counter alone, exact, as decimal text.
    pub fn counter_sum_text(&self, beside: &Beside) -> String {
        self.string.counter.sum(beside).to_string()
    }

    /// The largest stamp anywhere in the row; the default if there is none. A new stamp must be larger.
    pub fn latest_stamp(&self) -> Hlc {
        self.string.latest_stamp().max(self.unknown.latest_stamp())
    }

    /// Every actor with an event that it reached, in no order; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.string.actors().chain(self.unknown.actors())
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

/// Writing. Each returns the delta to replicate, which the row itself already contains.
/// Dots must be fresh, and stamps larger than [`Row::latest_stamp`] of the row and of what was observed.
impl Row {
    /// Whether an increment by so much would be applied.
    pub fn can_increment(&self, by: i64, beside: &Beside) -> Result<(), ValueError> {
        self.string.can_increment(by, beside)
    }

    /// Adds to the number. The delta is the actor's entry and `touched`. On an error the row stays as it was.
    ///
    /// # Panics
    /// If the counter has the dot already: every peer would drop the increment as one that it has seen.
    pub fn increment(&mut self, dot: Dot, stamp: Hlc, by: i64, beside: &Beside) -> Result<Row, ValueError> {
        let string = self.string.increment(dot, stamp, by, beside)?;
        Ok(Row { string, ..Row::default() })
    }

    /// Merges `observed`, writes the register, and covers exactly the increments of `observed`. The delta is all that
    /// was observed with the write on top: a baseline never travels without its entry. What others sent stands in
    /// `observed` and is merged here: the amnesia check comes first.
    ///
    /// # Panics
    /// If the event of the dot is zero.
    pub fn put(&mut self, dot: Dot, stamp: Hlc, value: Bytes, observed: &Row) -> Row {
        self.cover(dot, stamp, Some(value), observed)
    }

    /// Merges `observed`, empties the register, and covers exactly the increments of `observed`; see [`Row::put`].
    ///
    /// # Panics
    /// If the event of the dot is zero.
    pub fn delete(&mut self, dot: Dot, stamp: Hlc, observed: &Row) -> Row {
        self.cover(dot, stamp, None, observed)
    }

    fn cover(&mut self, dot: Dot, stamp: Hlc, value: Option<Bytes>, observed: &Row) -> Row {
        let mut delta = observed.clone();
        delta.string.write(dot, stamp, value);
        self.merge(&delta);
        if mutation::is_off(Mutation::ResetWithoutEntries) {
            delta.string.counter.entries = Default::default();
        }
        delta
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
