//! The keys of this shard that will expire, by their deadlines, so that what they held is swept soon after.
//!
//! Readers never wait for this: what has expired is hidden at once. A key is swept by the first of its owners that is
//! reachable, as an ordinary covering write, so it is hashed, owed and repaired like any other. Filled as rows change and
//! as surveys pass them; bounded by [`DEADLINES_MAX`], beyond which the latest deadlines are left to later surveys.

use std::collections::BTreeSet;

use crate::replica::StoredRow;
use crate::storage::{RowKey, RowKind};
use crate::time::WallTime;

/// Deadlines that are remembered. A survey finds the others again.
pub const DEADLINES_MAX: usize = 65_536;

/// Keys that are swept at one firing of the timer; the others follow at the next.
const SWEEPS_PER_ROUND_MAX: usize = 64;

/// Which keys expire when.
#[derive(Debug, Default)]
pub struct Deadlines {
    by_time: BTreeSet<(WallTime, RowKey)>,
}

impl Deadlines {
    /// A row is written, or was passed by a survey. A deadline that was moved or taken away stays noted, and its sweep
    /// does nothing.
    pub fn note(&mut self, row: &RowKey, stored: &StoredRow) {
        let Some(deadline) = stored.row.deadline() else { return };
        if row.kind() != RowKind::Main || !stored.row.has_anything(&stored.header.beside) {
            return;
        }
        self.insert(row, deadline);
    }

    fn insert(&mut self, row: &RowKey, deadline: WallTime) {
        self.by_time.insert((deadline, row.clone()));
        if self.by_time.len() > DEADLINES_MAX {
            self.by_time.pop_last();
        }
    }

    /// Takes the keys whose deadline has passed, the oldest first, a bounded number.
    pub fn take_due(&mut self, now: WallTime) -> Vec<RowKey> {
        let mut due = Vec::new();
        while due.len() < SWEEPS_PER_ROUND_MAX
            && let Some((deadline, _)) = self.by_time.first()
            && *deadline <= now
        {
            due.extend(self.by_time.pop_first().map(|(_, row)| row));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Key;

    #[test]
    fn the_oldest_deadlines_come_first_and_those_to_come_stay() {
        let row = |name: &str| RowKey::main(&Key::new(name.to_owned()).unwrap());
        let mut deadlines = Deadlines::default();
        for (name, at) in [("c", 30), ("a", 10), ("b", 20), ("a", 25)] {
            deadlines.insert(&row(name), WallTime(at));
        }
        assert_eq!(deadlines.take_due(WallTime(5)), []);
        assert_eq!(deadlines.take_due(WallTime(20)), [row("a"), row("b")]);
        assert_eq!(deadlines.take_due(WallTime(40)), [row("a"), row("c")]);
    }
}
