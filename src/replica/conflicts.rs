//! The keys in which this node has met a conflict: two types live at once, or a text beside increments that it did not see;
//! and the fields of maps that hold such a text.
//!
//! A row is listed when a write or a merge leaves a conflict in it, and goes from the list when one leaves none. Bounded:
//! [`limits::CONFLICTS_LISTED_MAX`] rows, the newest; one that was pushed out is counted again when it is written again.
//! Only in memory: after a restart, a row is listed when it is next written or merged.

use std::collections::VecDeque;

use super::Replica;
use crate::limits;
use crate::message::client::ConflictStatus;
use crate::shard::{Env, Observation, Turn};
use crate::storage::{RowKey, RowKind};
use crate::time::Timestamp;

/// The conflicts of one shard.
#[derive(Debug, Default)]
pub struct Conflicts {
    /// Met since the start.
    met: u64,
    /// Newest first.
    listed: VecDeque<(RowKey, Timestamp)>,
}

impl Conflicts {
    /// Takes note of what a write or a merge has left in a row. Returns whether a conflict is new.
    pub fn note(&mut self, row: &RowKey, has_conflict: bool, now: Timestamp) -> bool {
        let place = self.listed.iter().position(|(listed, _)| listed == row);
        match (has_conflict, place) {
            (true, None) => {
                self.met += 1;
                self.listed.truncate(limits::CONFLICTS_LISTED_MAX - 1);
                self.listed.push_front((row.clone(), now));
            }
            (false, Some(place)) => {
                self.listed.remove(place);
            }
            (true, Some(_)) | (false, None) => {}
        }
        has_conflict && place.is_none()
    }

    /// How many were met since the start.
    pub fn met(&self) -> u64 {
        self.met
    }

    /// The keys, newest first.
    pub fn status(&self, now: Timestamp) -> Vec<ConflictStatus> {
        let one = |(row, since): &(RowKey, Timestamp)| {
            let ms_ago = u64::try_from(now.since(*since).as_millis()).unwrap_or(u64::MAX);
            let field = matches!(row.kind(), RowKind::Element(_)).then(|| row.sub_key());
            ConflictStatus { key: row.key(), field, ms_ago }
        };
        self.listed.iter().map(one).collect()
    }
}

impl Replica {
    /// Takes note of what a step has left in a loaded main row, with all that stands beside it, or in a field of a map. No
    /// other row holds what can be in conflict by itself.
    pub(super) fn note_conflict(&mut self, env: &Env<'_>, turn: &mut Turn, row: &RowKey) {
        let has_conflict = turn.row(row).is_some_and(|stored| stored.row.has_conflict(&stored.header.beside));
        if self.conflicts.note(row, has_conflict, env.now.mono) {
            turn.out.observe(Observation::Conflict { row: row.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Key;

    fn row(number: usize) -> RowKey {
        RowKey::main(&Key::new(format!("k{number}")).unwrap())
    }

    #[test]
    fn a_key_is_counted_once_until_its_conflict_is_covered() {
        let mut conflicts = Conflicts::default();
        assert!(!conflicts.note(&row(1), false, Timestamp(1)));
        assert!(conflicts.note(&row(1), true, Timestamp(2)));
        assert!(!conflicts.note(&row(1), true, Timestamp(3)), "it is listed");
        assert_eq!((conflicts.met(), conflicts.status(Timestamp(2)).len()), (1, 1));
        assert!(!conflicts.note(&row(1), false, Timestamp(4)));
        assert_eq!((conflicts.met(), conflicts.status(Timestamp(4))), (1, Vec::new()));
        assert!(conflicts.note(&row(1), true, Timestamp(5)));
        assert_eq!(conflicts.met(), 2);
    }

    #[test]
    fn the_newest_are_listed_and_all_are_counted() {
        let mut conflicts = Conflicts::default();
        let all = limits::CONFLICTS_LISTED_MAX + 3;
        for number in 0..all {
            conflicts.note(&row(number), true, Timestamp(1));
        }
        let listed = conflicts.status(Timestamp(1));
        assert_eq!((conflicts.met(), listed.len()), (all as u64, limits::CONFLICTS_LISTED_MAX));
        assert_eq!(listed.first().map(|one| one.key.clone()), Some(row(all - 1).key()));
    }
}
