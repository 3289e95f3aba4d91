//! The writes of every type. Each returns the delta to replicate, which the row itself already contains.
//!
//! ```text
//! increment              the actor's entry, and `touched`               never more
//! put, reset, delete     all that was observed, with the write on top    a baseline never travels without its entry
//! siblings, flag, …      the whole field                                 a part of it would swallow the rest (see `dotted`)
//! sketch                 the registers of the items
//! ```
//!
//! Dots must be fresh, and stamps larger than [`Row::latest_stamp`] of the row and of what was observed. What was observed
//! is the merge of several replicas, the own row among them; it is merged here, so the amnesia check comes first.

use bytes::Bytes;

use super::Row;
use super::beside::Beside;
use super::counter::Counter;
use super::error::ValueError;
use super::expiry::Expiry;
use super::kind::ValueType;
use super::others::Others;
use super::register::Stamp;
use super::score::{Given, Score};
use super::sketch::Sketch;
use super::string::StringState;
use crate::causality::{Context, Dot};
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::time::{Hlc, WallTime};

/// The string: register and counter.
impl Row {
    /// Adds to the number. The delta is the actor's entry and `touched`. On an error the row stays as it was.
    ///
    /// # Panics
    /// If the counter has the dot already: every peer would drop the increment as one that it has seen.
    pub fn increment(&mut self, dot: Dot, stamp: Hlc, by: i64, beside: &Beside) -> Result<Row, ValueError> {
        let string = self.string.increment(dot, stamp, by, beside)?;
        Ok(Row { string, ..Row::default() })
    }

    /// Merges what `observed` says of the string, writes the register, and covers exactly the increments of `observed`. A deadline that was seen
    /// goes. Sent again with the same stamp and the same observed row, it changes nothing more.
    ///
    /// # Panics
    /// If the event of the dot is zero.
    pub fn put(&mut self, dot: Dot, stamp: Hlc, value: Bytes, observed: &Row) -> Row {
        let mut delta = observed.clone();
        delta.string.write(dot, stamp, Some(value));
        delta.stay(Stamp::new(stamp, dot));
        self.cover(delta, dot)
    }

    /// Merges what `observed` says of the string, empties the register, and covers exactly the increments of `observed`: the number is zero, and
    /// shows as nothing. Sent again with the same stamp and the same observed row, it changes nothing more.
    ///
    /// # Panics
    /// If the event of the dot is zero.
    pub fn reset(&mut self, dot: Dot, stamp: Hlc, observed: &Row) -> Row {
        let mut delta = observed.clone();
        delta.string.write(dot, stamp, None);
        self.cover(delta, dot)
    }

    /// What the second step of a reset or of setting a number needs of this row, and no more: the counter's entries and its
    /// settled sum, and the deadline that a number which is set takes away.
    pub fn counter_seen(&self) -> Row {
        let counter = self.string.counter.without_baselines();
        let mut seen = Row { string: StringState { counter, ..StringState::default() }, ..Row::default() };
        if self.deadline().is_some() {
            let expiry = self.others.as_ref().map(|others| others.expiry.clone()).unwrap_or_default();
            seen.change_others(|others| others.expiry = expiry);
        }
        seen
    }
}

/// Removal of everything.
impl Row {
    /// Merges `observed`, and takes away all of it, of every type, with the deadline: a delete by a client. Elements stand in
    /// rows of their own. See [`Row::put`].
    ///
    /// # Panics
    /// If the event of the dot is zero, or `observed` has seen it.
    pub fn delete(&mut self, dot: Dot, stamp: Hlc, observed: &Row) -> Row {
        let mut delta = observed.clone();
        delta.clear(dot, stamp);
        delta.stay(Stamp::new(stamp, dot));
        self.cover(delta, dot)
    }

    /// Merges `observed`, and takes away all of it, of every type; the deadline stays, so that what comes late stays hidden:
    /// the sweep of an expired key. Nobody asked for it, so what was put at the same time, unseen, wins over it. See
    /// [`Row::put`].
    ///
    /// # Panics
    /// If the event of the dot is zero, or `observed` has seen it.
    pub fn sweep(&mut self, dot: Dot, stamp: Hlc, observed: &Row) -> Row {
        self.cover(observed.swept(dot, stamp), dot)
    }

    fn swept(&self, dot: Dot, stamp: Hlc) -> Row {
        let mut swept = self.clone();
        swept.clear(dot, self.latest_stamp().next());
        swept.string.touched = swept.string.touched.max(stamp);
        swept
    }

    /// Sweeps, and takes the deadline away: what a write to an expired key begins with.
    ///
    /// # Panics
    /// If the event of the dot is zero, or `observed` has seen it.
    pub fn begin_anew(&mut self, dot: Dot, stamp: Hlc, observed: &Row) -> Row {
        let mut delta = observed.swept(dot, stamp);
        delta.stay(Stamp::new(stamp, dot));
        self.cover(delta, dot)
    }

    /// Sets the moment at which the key goes; `None`: it stays.
    pub fn set_expiry(&mut self, dot: Dot, stamp: Hlc, deadline: Option<WallTime>) -> Row {
        self.write_others(|others| others.expiry = Expiry::of(Stamp::new(stamp, dot), deadline))
    }

    fn clear(&mut self, dot: Dot, stamp: Hlc) {
        self.string.write(dot, stamp, None);
        self.change_others(|others| others.clear(dot, Stamp::new(stamp, dot)));
    }

    /// Takes a deadline away, if there is one.
    fn stay(&mut self, stamp: Stamp) {
        if self.others.as_ref().is_some_and(|others| others.expiry.deadline().is_some()) {
            self.change_others(|others| {
                others.expiry.merge(&Expiry::of(stamp, None));
            });
        }
    }

    /// Merges what was observed of the types that the write has changed, and of newer programs' fields, of which nobody here
    /// knows what changes them. The other types are as old as they are, and whoever may no longer take old things would refuse
    /// the write with them.
    fn cover(&mut self, mut delta: Row, dot: Dot) -> Row {
        delta.change_others(|others| others.keep_only(dot));
        self.merge(&delta);
        if mutation::is_off(Mutation::ResetWithoutEntries) {
            delta.string.counter = Counter::of(Default::default(), delta.string.counter.baselines);
        }
        delta
    }
}

/// The other types.
impl Row {
    /// Notes that a type was written, where what was written stands beside this row: an element, a session's entry.
    pub fn touch(&mut self, kind: ValueType, stamp: Hlc) -> Row {
        let mut delta = Row::default();
        match kind {
            ValueType::String => delta.string.touched = stamp,
            other => delta.change_others(|others| others.touch(other, stamp)),
        }
        self.merge(&delta);
        delta
    }

    /// Whether a value may be put beside those that `seen` has not seen.
    pub fn can_put_sibling(&self, value: &Bytes, seen: &Context) -> Result<(), ValueError> {
        let live = self.others.as_ref().map_or(&[][..], |others| others.siblings.live());
        let others: Vec<&Bytes> = live.iter().filter(|(dot, _)| !seen.has_seen(*dot)).map(|(_, other)| other).collect();
        let count = others.len() + 1;
        if count > limits::SIBLINGS_MAX {
            return Err(ValueError::TooManySiblings { count });
        }
        let bytes = value.len() + others.iter().map(|other| other.len()).sum::<usize>();
        if bytes > limits::SIBLING_BYTES_MAX {
            return Err(ValueError::SiblingsTooLarge { bytes });
        }
        if value.len() > limits::VALUE_BYTES_MAX {
            return Err(ValueError::TooLarge { bytes: value.len() });
        }
        Ok(())
    }

    /// Puts a value in place of those that `seen` has seen, beside the others. Refused if too many would stand then.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn put_sibling(&mut self, dot: Dot, stamp: Hlc, value: Bytes, seen: &Context) -> Result<Row, ValueError> {
        self.can_put_sibling(&value, seen)?;
        let mut siblings = self.others.as_ref().map(|others| others.siblings.clone()).unwrap_or_default();
        siblings.put(dot, value, seen);
        Ok(self.write_others(|others| {
            others.siblings = siblings;
            others.touch(ValueType::Siblings, stamp);
        }))
    }

    /// Raises the flag. A lowering that does not see this leaves it raised.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn set_flag(&mut self, dot: Dot, stamp: Hlc) -> Row {
        let mut flag = self.others.as_ref().map(|others| others.flag.clone()).unwrap_or_default();
        let seen = flag.context().clone();
        flag.put(dot, (), &seen);
        self.write_others(|others| {
            others.flag = flag;
            others.touch(ValueType::Flag, stamp);
        })
    }

    /// Lowers the flag that `observed` shows.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn clear_flag(&mut self, dot: Dot, stamp: Hlc, observed: &Row) -> Row {
        let mut flag = observed.others.as_ref().map(|others| others.flag.clone()).unwrap_or_default();
        flag.clear(dot);
        self.write_others(|others| {
            others.flag = flag;
            others.touch(ValueType::Flag, stamp);
        })
    }

    /// Adds items to the sketch.
    pub fn add_to_sketch(&mut self, dot: Dot, stamp: Hlc, items: impl IntoIterator<Item: AsRef<[u8]>>) -> Row {
        let nothing = Sketch::default();
        let known = self.others.as_ref().map_or(&nothing, |others| &others.sketch);
        let delta = known.delta(Stamp::new(stamp, dot), items);
        self.write_others(|others| {
            others.sketch = delta;
            others.touch(ValueType::Sketch, stamp);
        })
    }

    /// Adds the member whose row this is.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn add_member(&mut self, dot: Dot) -> Row {
        let mut presence = self.others.as_ref().map(|others| others.presence.clone()).unwrap_or_default();
        let seen = presence.context().clone();
        presence.put(dot, (), &seen);
        self.write_others(|others| others.presence = presence)
    }

    /// Removes the member whose row this is, as `observed` shows it.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn remove_member(&mut self, dot: Dot, observed: &Row) -> Row {
        let mut presence = observed.others.as_ref().map(|others| others.presence.clone()).unwrap_or_default();
        presence.clear(dot);
        self.write_others(|others| others.presence = presence)
    }

    /// Gives the member whose row this is a score, in place of those that stand here.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn put_score(&mut self, dot: Dot, stamp: Hlc, score: Score) -> Row {
        let mut scored = self.others.as_ref().map(|others| others.scored.clone()).unwrap_or_default();
        let seen = scored.context().clone();
        scored.put(dot, Given { hlc: stamp, score }, &seen);
        self.write_others(|others| others.scored = scored)
    }

    /// Removes the member whose row this is, as `observed` shows it.
    ///
    /// # Panics
    /// If the dot is not fresh.
    pub fn remove_score(&mut self, dot: Dot, observed: &Row) -> Row {
        let mut scored = observed.others.as_ref().map(|others| others.scored.clone()).unwrap_or_default();
        scored.clear(dot);
        self.write_others(|others| others.scored = scored)
    }

    /// Makes a delta of the other types, and merges it.
    fn write_others(&mut self, write: impl FnOnce(&mut Others)) -> Row {
        let mut delta = Row::default();
        delta.change_others(write);
        self.merge(&delta);
        delta
    }
}
