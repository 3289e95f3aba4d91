//! The keys of this shard that will expire, by their deadlines, so that what they held is swept soon after.
//!
//! Readers never wait for this: what has expired is hidden at once. A key is swept by the first of its owners that is
//! reachable, as an ordinary covering write, so it is hashed, owed and repaired like any other. Filled as rows change and
//! as surveys pass them, one entry for each row; bounded by [`DEADLINES_MAX`] and [`DEADLINE_BYTES_MAX`], beyond which the
//! latest deadlines are left to later surveys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::replica::StoredRow;
use crate::storage::{RowKey, RowKind};
use crate::time::{WallTime, micros};

/// Deadlines that are remembered. A survey finds the others again.
pub const DEADLINES_MAX: usize = 65_536;

/// Bytes of the row keys whose deadlines are remembered. A survey finds the others again. Unit: bytes.
pub const DEADLINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Keys that are swept at one firing of the timer; the others follow at the next.
const SWEEPS_PER_ROUND_MAX: usize = 64;

/// What is not swept after so long is swept again.
const SWEPT_WITHIN: Duration = Duration::from_secs(10);

/// Which keys expire when.
#[derive(Debug, Default)]
pub struct Deadlines {
    by_time: BTreeSet<(WallTime, RowKey)>,
    /// The same entries; each row has one.
    by_row: BTreeMap<RowKey, WallTime>,
    /// Of the row keys.
    bytes: usize,
}

impl Deadlines {
    /// A row is written: what was noted of it before counts no longer.
    pub fn note(&mut self, row: &RowKey, stored: &StoredRow) {
        match deadline_of(row, stored) {
            Some(deadline) => self.insert(row, deadline),
            None => self.remove(row),
        }
    }

    /// A survey has passed a row. Its page may be older than what was noted since.
    pub fn note_passed(&mut self, row: &RowKey, stored: &StoredRow) {
        if let Some(deadline) = deadline_of(row, stored)
            && !self.by_row.contains_key(row)
        {
            self.insert(row, deadline);
        }
    }

    fn insert(&mut self, row: &RowKey, deadline: WallTime) {
        self.remove(row);
        self.bytes += row.as_bytes().len();
        self.by_time.insert((deadline, row.clone()));
        self.by_row.insert(row.clone(), deadline);
        while self.by_row.len() > DEADLINES_MAX || self.bytes > DEADLINE_BYTES_MAX {
            let Some((_, latest)) = self.by_time.last().cloned() else { return };
            self.remove(&latest);
        }
    }

    /// A row is gone.
    pub fn remove(&mut self, row: &RowKey) {
        if let Some((row, deadline)) = self.by_row.remove_entry(row) {
            self.bytes -= row.as_bytes().len();
            self.by_time.remove(&(deadline, row));
        }
    }

    /// The keys whose deadline has passed, the oldest first, a bounded number. Each is due again after a while, unless it
    /// is swept by then: whoever should do it may fail.
    pub fn take_due(&mut self, now: WallTime) -> Vec<RowKey> {
        let is_due = |(deadline, _): &&(WallTime, RowKey)| *deadline <= now;
        let due = self.by_time.iter().take_while(is_due).take(SWEEPS_PER_ROUND_MAX);
        let due: Vec<RowKey> = due.map(|(_, row)| row.clone()).collect();
        let again = WallTime(now.0.saturating_add(micros(SWEPT_WITHIN)));
        for row in &due {
            self.insert(row, again);
        }
        due
    }
}

/// When something that stands under a key is to go.
fn deadline_of(row: &RowKey, stored: &StoredRow) -> Option<WallTime> {
    let is_main = row.kind() == RowKind::Main;
    stored.row.deadline().filter(|_| is_main && stored.row.has_anything(&stored.header.beside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
    use crate::ids::Key;
    use crate::time::Hlc;

    fn row(name: &str) -> RowKey {
        RowKey::main(&Key::new(name.to_owned()).unwrap())
    }

    /// A raised flag with this deadline.
    fn expiring(deadline: Option<u64>) -> StoredRow {
        let actor = ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) };
        let stamp = |logical| Hlc { wall: 1, logical };
        let mut stored = StoredRow::default();
        stored.row.set_flag(Dot { actor, event: 1 }, stamp(1));
        stored.row.set_expiry(Dot { actor, event: 2 }, stamp(2), deadline.map(WallTime));
        stored
    }

    #[test]
    fn the_oldest_deadlines_come_first_and_those_to_come_stay() {
        let mut deadlines = Deadlines::default();
        for (name, at) in [("c", 30), ("a", 10), ("b", 20)] {
            deadlines.note(&row(name), &expiring(Some(at)));
        }
        assert_eq!(deadlines.take_due(WallTime(5)), []);
        assert_eq!(deadlines.take_due(WallTime(20)), [row("a"), row("b")]);
        assert_eq!(deadlines.take_due(WallTime(40)), [row("c")]);
    }

    #[test]
    fn a_key_is_due_again_until_it_is_swept_or_gone() {
        let mut deadlines = Deadlines::default();
        for name in ["swept", "gone", "left"] {
            deadlines.note(&row(name), &expiring(Some(10)));
        }
        assert_eq!(deadlines.take_due(WallTime(20)).len(), 3);
        assert_eq!(deadlines.take_due(WallTime(30)), [], "that may be under way");
        let mut swept = expiring(Some(10));
        let seen = swept.row.clone();
        let actor = ActorId { expires: Tick(9), epoch: Epoch(2), tenure: Tenure(0) };
        swept.row.sweep(Dot { actor, event: 1 }, Hlc { wall: 2, logical: 0 }, &seen);
        deadlines.note(&row("swept"), &swept);
        deadlines.remove(&row("gone"));
        let later = WallTime(30 + micros(SWEPT_WITHIN));
        assert_eq!(deadlines.take_due(later), [row("left")]);
        deadlines.remove(&row("left"));
        assert_eq!((deadlines.bytes, deadlines.by_time.len()), (0, 0));
    }

    #[test]
    fn a_key_whose_deadline_moves_has_one_entry_and_pushes_no_other_out() {
        let mut deadlines = Deadlines::default();
        deadlines.note(&row("other"), &expiring(Some(90)));
        for at in 10..50 {
            deadlines.note(&row("sliding"), &expiring(Some(at)));
        }
        assert_eq!((deadlines.by_time.len(), deadlines.by_row.len()), (2, 2));
        deadlines.note_passed(&row("sliding"), &expiring(Some(5)));
        assert_eq!(deadlines.take_due(WallTime(20)), [], "a survey's page may be old");
        deadlines.note(&row("sliding"), &expiring(None));
        deadlines.note_passed(&row("found"), &expiring(Some(95)));
        assert_eq!(deadlines.take_due(WallTime(100)), [row("other"), row("found")], "none of what was taken back");
    }

    #[test]
    fn long_keys_are_bounded_in_bytes_and_the_latest_deadlines_go() {
        let mut deadlines = Deadlines::default();
        let long = |number: u64| row(&format!("{number:060000}"));
        let count = DEADLINE_BYTES_MAX as u64 / 60_000 + 10;
        for number in 0..count {
            deadlines.note(&long(number), &expiring(Some(1_000 + number)));
        }
        assert!(deadlines.bytes <= DEADLINE_BYTES_MAX, "{}", deadlines.bytes);
        assert!(deadlines.by_row.contains_key(&long(0)) && !deadlines.by_row.contains_key(&long(count - 1)));
    }
}
