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

use super::counter::Counter;
use super::error::ValueError;
use super::register::{Held, Register, Stamp, Write};
use super::sum::ExactSum;
use crate::causality::{ActorId, Dot};
use crate::message::client::Visible;
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
    pub fn visible(&self) -> Visible {
        match (self.number(), self.register.held()) {
            (None, Held::Text(text)) => Visible::Text(text.clone()),
            (None, _) => Visible::Nothing,
            (Some(sum), _) => Visible::Integer { value: sum.saturated(), saturated: sum.exact().is_none() },
        }
    }

    /// The exact number that is shown; `None` if it is none (nothing, or a text).
    fn number(&self) -> Option<ExactSum> {
        match self.register.held() {
            Held::Nothing => self.counter.is_live().then(|| self.counter.sum()),
            Held::Integer(integer) => {
                let mut sum = self.counter.sum();
                sum.add_signed(integer);
                Some(sum)
            }
            Held::Text(_) => None,
        }
    }

    /// A text with uncovered increments beside it.
    pub fn has_conflict(&self) -> bool {
        matches!(self.register.held(), Held::Text(_)) && self.counter.is_live()
    }

    /// Whether an increment by so much would be applied.
    pub fn can_increment(&self, by: i64) -> Result<(), ValueError> {
        if matches!(self.register.held(), Held::Text(_)) {
            return Err(ValueError::NotANumber);
        }
        let mut sum = self.number().unwrap_or_default();
        sum.add_signed(by);
        sum.exact().map(|_| ()).ok_or(ValueError::Overflow)
    }

    /// Adds under a fresh dot. Returns the delta: the actor's entry and `touched`. On an error nothing changed.
    pub fn increment(&mut self, dot: Dot, stamp: Hlc, by: i64) -> Result<StringState, ValueError> {
        self.can_increment(by)?;
        let counter = self.counter.increment(dot, by)?;
        self.touched = self.touched.max(stamp);
        Ok(StringState { touched: stamp, register: Register::default(), counter })
    }

    /// Writes the register (`None` deletes) and covers every increment in this state.
    pub fn write(&mut self, dot: Dot, stamp: Hlc, value: Option<Bytes>) {
        self.touched = self.touched.max(stamp);
        self.register.merge(&Register::of(Write { stamp: Stamp::new(stamp, dot), value }));
        self.counter.cover();
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
