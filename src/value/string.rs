//! The visible type *string*: a register and a counter under one name.
//!
//! ```text
//! register            counter (uncovered increments)    shows                      an increment
//! nothing, deleted    none                              nothing                    starts from 0
//! nothing, deleted    some                              Σ counter                  adds
//! integer i           any                               i + Σ counter              adds
//! text                none                              the text                   is refused
//! text                some (a split made both)          the text, and a conflict   is refused
//!
//! merge(x, y) = pointwise: touched by maximum, register and counter by theirs
//! ```
//!
//! A put or a delete writes the register and covers the increments that it observed; those that it did not observe
//! survive and add to what it wrote. A sum beyond an i64, which only a merge can make, shows the nearest i64 and says so.

use bytes::Bytes;

use super::beside::Beside;
use super::counter::Counter;
use super::error::ValueError;
use super::register::{Held, Register, Stamp, Write};
use super::sum::ExactSum;
use super::visible::Visible;
use crate::causality::{ActorId, Dot};
use crate::time::Hlc;

/// The state of a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringState {
    /// Largest stamp of any write.
    pub touched: Hlc,
    /// What was put last.
    pub register: Register,
    /// What was added to it.
    pub counter: Counter,
}

impl StringState {
    /// Merges pointwise. Returns whether anything changed.
    pub fn merge(&mut self, other: &StringState) -> bool {
        let is_later = other.touched > self.touched;
        if is_later {
            self.touched = other.touched;
        }
        let is_put = self.register.merge(&other.register);
        self.counter.merge(&other.counter) || is_put || is_later
    }

    /// What a client is shown.
    pub fn visible(&self, beside: &Beside) -> Visible {
        match (self.number(beside), self.register.held()) {
            (None, Held::Text(text)) => Visible::Text(text.clone()),
            (None, _) => Visible::Nothing,
            (Some(sum), _) => Visible::Integer { value: sum.saturated(), saturated: sum.exact().is_none() },
        }
    }

    /// The exact number that is shown; `None` if it is none (nothing, or a text).
    fn number(&self, beside: &Beside) -> Option<ExactSum> {
        match self.register.held() {
            Held::Nothing => self.counter.is_live(beside).then(|| self.counter.sum(beside)),
            Held::Integer(integer) => {
                let mut sum = self.counter.sum(beside);
                sum.add_signed(integer);
                Some(sum)
            }
            Held::Text(_) => None,
        }
    }

    /// A text with uncovered increments beside it.
    pub fn has_conflict(&self, beside: &Beside) -> bool {
        matches!(self.register.held(), Held::Text(_)) && self.counter.is_live(beside)
    }

    /// Whether an increment by so much would be applied.
    pub fn can_increment(&self, by: i64, beside: &Beside) -> Result<(), ValueError> {
        if matches!(self.register.held(), Held::Text(_)) {
            return Err(ValueError::NotANumber);
        }
        let mut sum = self.number(beside).unwrap_or_default();
        sum.add_signed(by);
        sum.exact().map(|_| ()).ok_or(ValueError::Overflow)
    }

    /// Adds under a fresh dot. Returns the delta: the actor's entry and `touched`. On an error nothing changed.
    pub fn increment(&mut self, dot: Dot, stamp: Hlc, by: i64, beside: &Beside) -> Result<StringState, ValueError> {
        self.can_increment(by, beside)?;
        let counter = self.counter.increment(dot, by)?;
        self.touched = self.touched.max(stamp);
        Ok(StringState { touched: stamp, register: Register::default(), counter })
    }

    /// Writes the register (`None` deletes) and covers every increment in this state.
    ///
    /// # Panics
    /// If the event is zero: events count from 1, and every peer would refuse the row as malformed.
    pub fn write(&mut self, dot: Dot, stamp: Hlc, value: Option<Bytes>) {
        assert!(dot.event > 0, "events count from 1");
        self.touched = self.touched.max(stamp);
        self.register.merge(&Register::of(Write { stamp: Stamp::new(stamp, dot), value }));
        self.counter.cover();
    }

    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.touched == Hlc::default() && self.is_untouched_but_for_its_stamp()
    }

    /// Whether it holds nothing, except perhaps when it was touched.
    pub fn is_untouched_but_for_its_stamp(&self) -> bool {
        self.register.is_unwritten() && self.counter.is_empty()
    }

    /// Every actor with an event, in no order; an actor may come several times.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        let register = self.register.stamp().map(|stamp| (stamp.actor, stamp.event));
        self.counter.entries.dots().chain(self.counter.baselines.dots()).chain(register)
    }

    /// The largest stamp.
    pub fn latest_stamp(&self) -> Hlc {
        self.register.stamp().map_or(self.touched, |stamp| stamp.hlc.max(self.touched))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{Epoch, Tenure, Tick};

    fn dot(event: u64) -> Dot {
        Dot { actor: ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) }, event }
    }

    fn at(wall: u64) -> Hlc {
        Hlc { wall, logical: 0 }
    }

    /// A register with `value`, and beside it increments that it did not see.
    fn split(value: Option<&'static str>, uncovered: &[i64]) -> StringState {
        let mut state = StringState::default();
        for (event, by) in (1..).zip(uncovered) {
            state.increment(dot(event), at(event), *by, &Beside::NONE).unwrap();
        }
        let mut other = StringState::default();
        other.write(dot(100), at(100), value.map(Bytes::from));
        state.merge(&other);
        state
    }

    fn integer(value: i64) -> Visible {
        Visible::Integer { value, saturated: false }
    }

    #[test]
    fn a_counter_shows_alone_where_nothing_was_ever_put() {
        let mut state = StringState::default();
        assert_eq!(state.visible(&Beside::NONE), Visible::Nothing);
        state.increment(dot(1), at(1), 5, &Beside::NONE).unwrap();
        state.increment(dot(2), at(2), -5, &Beside::NONE).unwrap();
        assert_eq!(state.visible(&Beside::NONE), integer(0));
    }

    #[test]
    fn a_deleted_register_shows_the_increments_that_the_delete_did_not_see() {
        assert_eq!(split(None, &[]).visible(&Beside::NONE), Visible::Nothing);
        assert_eq!(split(None, &[3, 4]).visible(&Beside::NONE), integer(7));
    }

    #[test]
    fn an_integer_adds_the_increments_that_it_did_not_see() {
        assert_eq!(split(Some("10"), &[]).visible(&Beside::NONE), integer(10));
        assert_eq!(split(Some("10"), &[1]).visible(&Beside::NONE), integer(11));
        assert_eq!(split(Some("-10"), &[1]).can_increment(5, &Beside::NONE), Ok(()));
    }

    #[test]
    fn a_text_shows_itself_and_refuses_increments() {
        let plain = split(Some("hello"), &[]);
        assert_eq!(
            (plain.visible(&Beside::NONE), plain.has_conflict(&Beside::NONE)),
            (Visible::Text("hello".into()), false)
        );
        assert_eq!(plain.can_increment(1, &Beside::NONE), Err(ValueError::NotANumber));
    }

    #[test]
    fn a_text_beside_increments_is_a_conflict_that_the_next_write_covers() {
        for value in [Some("text"), Some("7"), None] {
            let mut state = split(Some("hello"), &[3]);
            assert_eq!(
                (state.visible(&Beside::NONE), state.has_conflict(&Beside::NONE)),
                (Visible::Text("hello".into()), true)
            );
            assert_eq!(state.clone().increment(dot(9), at(200), 1, &Beside::NONE), Err(ValueError::NotANumber));
            state.write(dot(9), at(200), value.map(Bytes::from));
            assert!(!state.has_conflict(&Beside::NONE) && !state.counter.is_live(&Beside::NONE));
            let shown = value.map_or(Visible::Nothing, |v| v.parse().map_or(Visible::Text(v.into()), integer));
            assert_eq!(state.visible(&Beside::NONE), shown);
        }
    }

    #[test]
    fn an_increment_beyond_the_range_is_refused_and_changes_nothing() {
        let mut state = split(Some("9223372036854775806"), &[]);
        state.increment(dot(1), at(200), 1, &Beside::NONE).unwrap();
        let before = state.clone();
        assert_eq!(state.increment(dot(2), at(201), 1, &Beside::NONE), Err(ValueError::Overflow));
        assert_eq!(state, before);
        assert_eq!(state.visible(&Beside::NONE), integer(i64::MAX));
        let mut bottom = StringState::default();
        bottom.increment(dot(1), at(1), i64::MIN, &Beside::NONE).unwrap();
        assert_eq!(bottom.increment(dot(2), at(2), -1, &Beside::NONE), Err(ValueError::Overflow));
        assert_eq!(bottom.visible(&Beside::NONE), integer(i64::MIN));
    }

    #[test]
    fn a_sum_that_a_merge_pushes_over_shows_the_nearest_and_can_come_back() {
        let mut state = split(Some("9223372036854775807"), &[5]);
        assert_eq!(state.visible(&Beside::NONE), Visible::Integer { value: i64::MAX, saturated: true });
        assert_eq!(state.can_increment(-4, &Beside::NONE), Err(ValueError::Overflow));
        state.increment(dot(9), at(200), -5, &Beside::NONE).unwrap();
        assert_eq!(state.visible(&Beside::NONE), integer(i64::MAX));
        let low = split(Some("-9223372036854775808"), &[-1]);
        assert_eq!(low.visible(&Beside::NONE), Visible::Integer { value: i64::MIN, saturated: true });
    }
}
