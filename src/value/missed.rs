//! A cover and an increment that did not see each other, as a merge finds them.
//!
//! A put or a delete covers the increments that it saw. One that it did not see survives, so that a deleted key may show a
//! number again, and a number that was put have an old one added. The state afterwards does not tell such an increment from
//! one that came later; the merge of the two does:
//!
//! ```text
//! a cover comes to a row that counts   surely  of what this node has counted itself: nobody else continues its actor
//!                                      surely  if the row was last touched before the cover was written
//!                                      perhaps if that is so, or this node took increments of sessions of late: their rows
//!                                              have no stamps, and what covers them may come after the main row
//! increments come to a cover           surely  if the row that brings them was last touched before it was written
//! ```
//!
//! So of two sides of a split at least the one that counted knows, unless it was a fallback, which keeps nothing. A reset is
//! no such cover: it takes away what it saw, and says nothing of the rest.

use super::Row;
use super::counter::Totals;
use super::per_actor::Record;
use super::register::Register;
use crate::causality::ActorId;
use crate::time::Hlc;

/// Whether a cover and an increment have met that did not see each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missed {
    /// Not as far as can be told.
    #[default]
    No,
    /// If the counter still counts when all rows of the key are there.
    Perhaps,
    /// Yes.
    Surely,
}

impl Row {
    /// Looks at a merge before it is done. `own` is the actor that this node's row may continue; `has_counted`, that it took
    /// increments of sessions of late.
    pub fn missed(&self, incoming: &Row, own: Option<ActorId>, has_counted: bool) -> Missed {
        let (ours, theirs) = (&self.string, &incoming.string);
        let is_open = |entry: &&Record<Totals>| {
            let event_of = |row: &Row| row.string.counter.baselines.get(entry.actor).map_or(0, |seen| seen.event);
            let settled = self.settled_tick().max(incoming.settled_tick());
            entry.actor.expires > settled && entry.event > event_of(self).max(event_of(incoming))
        };
        let brings = |entry: &&Record<Totals>| {
            entry.event > ours.counter.entries.get(entry.actor).map_or(0, |known| known.event)
        };
        let (mine, new) = (cover(&ours.register), cover(&theirs.register));
        if let Some(at) = new.filter(|_| theirs.register.stamp() > ours.register.stamp()) {
            let is_older = ours.touched < at;
            let mut open = ours.counter.entries.iter().filter(is_open);
            return match open.any(|entry| is_older || Some(entry.actor) == own) {
                true => Missed::Surely,
                false if (is_older || has_counted) && !theirs.counter.entries.iter().any(|entry| brings(&entry)) => {
                    Missed::Perhaps
                }
                false => Missed::No,
            };
        }
        match mine {
            Some(at) if theirs.touched != Hlc::default() && theirs.touched < at => {
                let is_news = |entry: &Record<Totals>| is_open(&entry) && brings(&entry);
                if theirs.counter.entries.iter().any(is_news) { Missed::Surely } else { Missed::No }
            }
            Some(_) | None => Missed::No,
        }
    }
}

/// When the register was last put or deleted. The second step of a reset has a session's name.
fn cover(register: &Register) -> Option<Hlc> {
    let stamp = register.stamp()?;
    let is_reset = stamp.actor.is_session() && register.value().is_none();
    (!is_reset).then_some(stamp.hlc)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::causality::{Dot, Epoch, Tenure, Tick};
    use crate::value::Beside;

    fn actor(number: u64) -> ActorId {
        ActorId { expires: Tick(9), epoch: Epoch(number), tenure: Tenure(0) }
    }

    fn dot(number: u64, event: u64) -> Dot {
        Dot { actor: actor(number), event }
    }

    fn at(wall: u64) -> Hlc {
        Hlc { wall, logical: 0 }
    }

    /// A row that this actor incremented at these moments.
    fn counted(number: u64, moments: &[u64]) -> Row {
        let mut row = Row::default();
        for (event, moment) in (1..).zip(moments) {
            row.increment(dot(number, event), at(*moment), 1, &Beside::NONE).unwrap();
        }
        row
    }

    fn put(moment: u64, seen: &Row) -> Row {
        Row::default().put(dot(7, 1), at(moment), Bytes::from_static(b"100"), seen)
    }

    #[test]
    fn what_a_cover_saw_is_not_missed() {
        let row = counted(1, &[1, 2]);
        assert!(row.missed(&put(5, &row), Some(actor(1)), false) < Missed::Surely);
        assert_eq!(put(5, &row).missed(&row, None, false), Missed::No);
    }

    #[test]
    fn an_increment_from_before_the_cover_is_missed_on_both_sides() {
        let row = counted(1, &[1, 2]);
        let cover = put(5, &counted(1, &[1]));
        assert_eq!(row.missed(&cover, None, false), Missed::Surely);
        assert_eq!(cover.missed(&row, None, false), Missed::Surely);
    }

    #[test]
    fn an_increment_from_after_the_cover_is_missed_where_it_was_made_and_only_there() {
        let row = counted(1, &[8]);
        let cover = put(5, &Row::default());
        assert_eq!(row.missed(&cover, Some(actor(1)), false), Missed::Surely);
        // It may have been made by somebody who knew the cover.
        assert_eq!((row.missed(&cover, None, false), cover.missed(&row, None, false)), (Missed::No, Missed::No));
    }

    #[test]
    fn what_is_known_is_not_missed_again() {
        let row = counted(1, &[1]);
        let cover = put(5, &Row::default());
        let mut merged = row.clone();
        merged.merge(&cover);
        for again in [&row, &cover, &merged.clone()] {
            assert_eq!(merged.missed(again, Some(actor(1)), false), Missed::No);
        }
    }

    #[test]
    fn a_reset_misses_nothing() {
        let row = counted(1, &[1]);
        let session = Dot { actor: ActorId { tenure: Tenure::SESSION, ..actor(3) }, event: 1 };
        let reset = Row::default().reset(session, at(5), &Row::default());
        assert_eq!(
            (row.missed(&reset, Some(actor(1)), false), reset.missed(&row, None, false)),
            (Missed::No, Missed::No)
        );
        let number = Row::default().put(session, at(5), Bytes::from_static(b"3"), &Row::default());
        assert_eq!(row.missed(&number, None, false), Missed::Surely);
    }

    #[test]
    fn a_cover_that_comes_alone_to_a_row_touched_before_may_have_missed_sessions() {
        let mut row = Row::default();
        row.touch(crate::value::ValueType::String, at(1));
        assert_eq!(row.missed(&put(5, &Row::default()), None, false), Missed::Perhaps);
        assert_eq!(
            row.missed(&put(5, &counted(1, &[2])), None, true),
            Missed::No,
            "it brings what may have come later"
        );
        row.touch(crate::value::ValueType::String, at(8));
        let here = |has_counted| row.missed(&put(5, &Row::default()), None, has_counted);
        assert_eq!((here(false), here(true)), (Missed::No, Missed::Perhaps));
    }
}
