//! Changes of elements: each on its own row, so a set of a million members is as cheap to add to as one of ten.
//!
//! The main row is told which type was written, at most once in [`TOUCH_EVERY`]: which of two types was touched last is
//! only asked after a split, and a set that grows quickly need not write its main row each time.

use std::time::Duration;

use super::writing::{Pen, check_bytes, refused};
use crate::ids::CollectionKind;
use crate::message::client::{ElementChange, ElementWrite, Reason};
use crate::shard::{NotMinted, Observed, not_applied};
use crate::storage::RowKey;
use crate::time::{Hlc, micros};
use crate::value::{Beside, Row, Score, ValueType};

/// A type that was touched longer ago than this is touched anew.
const TOUCH_EVERY: Duration = Duration::from_secs(10);

/// More than the dot and the stamp of a change take in a delta. Unit: bytes.
const DELTA_BYTES: usize = 128;

impl Pen<'_> {
    /// Changes elements, all or none.
    pub(super) fn write_elements(
        &mut self,
        kind: CollectionKind,
        changes: &[ElementWrite],
        observed: Option<&Observed>,
    ) -> Result<(), NotMinted> {
        let mut steps = Vec::with_capacity(changes.len());
        let mut bytes = 0;
        for write in changes {
            let row = self.main.element(kind, &write.element);
            let own = self.turn.row(&row).map_or_else(Row::default, |stored| stored.row.clone());
            let mut seen = own.clone();
            if let Some(observed) = observed.and_then(|observed| observed.elements.get(&row)) {
                seen.merge(observed);
            }
            let covers = matches!(write.change, ElementChange::Remove | ElementChange::Put(_));
            if covers && observed.is_none() && !self.owed.is_empty() && own.has_live_counter(&Beside::NONE) {
                // What a fallback holds of a field's counter is a part of it.
                return Err(not_applied(Reason::NoOwner).into());
            }
            let change = match &write.change {
                ElementChange::Remove if !seen.is_live_element(kind) => continue,
                ElementChange::Increment(by) => {
                    own.can_increment(*by, &Beside::NONE).map_err(refused)?;
                    Change::Increment(*by)
                }
                ElementChange::Add => Change::Add,
                ElementChange::Remove => {
                    self.may_cover(&seen)?;
                    Change::Remove
                }
                ElementChange::Put(value) => {
                    self.may_cover(&seen)?;
                    Change::Put(value.clone())
                }
                ElementChange::Score(bits) => Change::Score(Score::try_from(*bits).map_err(refused)?),
                ElementChange::AddToScore(bits) => {
                    let more = Score::try_from(*bits).map_err(refused)?;
                    let old = seen.score().map_or_else(|| Score::new(0.0).map_err(refused), Ok)?;
                    Change::Score(old.plus(more).map_err(refused)?)
                }
            };
            // A delta may hold all that was seen, and what is new.
            bytes += row.as_bytes().len() + seen.encoded_bytes_max() + change.bytes() + DELTA_BYTES;
            steps.push((row, seen, change));
        }
        check_bytes(bytes)?;
        let adds = steps.iter().any(|(_, _, change)| !matches!(change, Change::Remove));
        for (row, seen, change) in steps {
            self.change_element(kind, &row, &seen, change)?;
        }
        if adds {
            self.touch(ValueType::Collection(kind))?;
        }
        Ok(())
    }

    fn change_element(
        &mut self,
        kind: CollectionKind,
        row: &RowKey,
        seen: &Row,
        change: Change,
    ) -> Result<(), NotMinted> {
        let latest = self.latest_stamp(row).max(seen.latest_stamp());
        self.mint(row, latest, |own, dot, stamp, _| {
            Ok(match change {
                Change::Add => own.add_member(dot),
                Change::Put(value) => own.put(dot, stamp, value, seen),
                Change::Increment(by) => own.increment(dot, stamp, by, &Beside::NONE)?,
                Change::Score(score) => {
                    own.merge(seen);
                    own.put_score(dot, stamp, score)
                }
                Change::Remove => match kind {
                    CollectionKind::Set => own.remove_member(dot, seen),
                    CollectionKind::Map => own.delete(dot, stamp, seen),
                    CollectionKind::SortedSet => own.remove_score(dot, seen),
                },
            })
        })
        .map_err(refused)
    }

    /// Notes in the main row that a type was written.
    pub(super) fn touch(&mut self, kind: ValueType) -> Result<(), NotMinted> {
        let wall = self.env.now.wall.0;
        let touched = self.turn.row(self.main).map_or_else(Hlc::default, |stored| stored.row.touched(kind));
        let is_shown = self
            .turn
            .row(self.main)
            .is_some_and(|stored| stored.row.visible_type(&stored.header.beside, self.env.now.wall) == Some(kind));
        if is_shown && wall.saturating_sub(touched.wall) < micros(TOUCH_EVERY) {
            return Ok(());
        }
        let stamp = self.clock.stamp(self.env.now.wall, self.latest_stamp(self.main));
        let mut state = self.turn.row(self.main).map_or_else(Row::default, |stored| stored.row.clone());
        let delta = state.touch(kind, stamp);
        let main = self.main;
        self.take(main, state, delta);
        Ok(())
    }
}

/// A change that can be made.
enum Change {
    Add,
    Remove,
    Put(bytes::Bytes),
    Increment(i64),
    Score(Score),
}

impl Change {
    /// Of what it carries.
    fn bytes(&self) -> usize {
        if let Change::Put(value) = self { value.len() } else { 0 }
    }
}
