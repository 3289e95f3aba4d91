//! The keys in which this node has met a conflict: two types live at once; a text beside increments that it did not see; a
//! put or a delete, and increments that did not see each other, so that it is undone or added to. And the fields of maps of
//! which one of the last two is true.
//!
//! A row is listed when a write or a merge leaves a conflict in it, and goes from the list when one leaves none. That
//! something was missed only the merge of the two shows (see [`crate::value::Missed`]): the row stays listed until nothing
//! is counted in it any more. What is only suspected counts once it has lasted for [`SUSPECTED`]: rows of one key travel one
//! by one. Bounded: [`limits::CONFLICTS_LISTED_MAX`] rows, the newest; one that was pushed out is counted again when it is
//! written again. Only in memory: after a restart, two types and texts are listed when they are next written or merged.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::Replica;
use crate::limits;
use crate::message::client::{ConflictKind, ConflictStatus};
use crate::shard::{Env, Observation, Turn};
use crate::storage::{RowKey, RowKind};
use crate::time::Timestamp;
use crate::value::Missed;

/// Keys of which it is remembered that this node took increments of sessions.
const COUNTED_MAX: usize = 4096;

/// How long rows of a key may be on their way behind its main row.
const SUSPECTED: Duration = Duration::from_secs(10);

/// The conflicts of one shard.
#[derive(Debug, Default)]
pub struct Conflicts {
    /// Met since the start.
    met: u64,
    /// Newest first.
    listed: VecDeque<Listed>,
    /// Hashes of the main rows under which this node took increments of sessions of late.
    counted: BTreeSet<u64>,
    /// The same, in the order in which they came.
    counted_first: VecDeque<u64>,
}

#[derive(Debug)]
struct Listed {
    row: RowKey,
    since: Timestamp,
    kind: ConflictKind,
    /// Not counted yet.
    is_suspected: bool,
}

/// What a write or a merge has left in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// Two types are live, or a text stands beside increments.
    stands_together: bool,
    /// Increments that nothing has covered.
    counts: bool,
    missed: Missed,
}

impl Conflicts {
    /// This node took an increment of a session.
    pub fn count(&mut self, main: &RowKey) {
        let hash = xxhash_rust::xxh3::xxh3_64(main.as_bytes());
        if self.counted.insert(hash) {
            self.counted_first.push_back(hash);
            if self.counted_first.len() > COUNTED_MAX
                && let Some(oldest) = self.counted_first.pop_front()
            {
                self.counted.remove(&oldest);
            }
        }
    }

    /// Whether it did.
    pub fn has_counted(&self, main: &RowKey) -> bool {
        !self.counted.is_empty() && self.counted.contains(&xxhash_rust::xxh3::xxh3_64(main.as_bytes()))
    }

    /// Takes note of what a write or a merge has left in a row. Returns the rows whose conflict counts from now on.
    fn note(&mut self, row: &RowKey, left: Left, now: Timestamp) -> Vec<RowKey> {
        let place = self.listed.iter().position(|listed| listed.row == *row);
        let was = place.and_then(|place| self.listed.get(place)).map(|listed| listed.kind);
        let kind = match left {
            Left { stands_together: true, .. } => Some(ConflictKind::Together),
            Left { counts: true, missed, .. } if missed > Missed::No || was == Some(ConflictKind::Missed) => {
                Some(ConflictKind::Missed)
            }
            _ => None,
        };
        let is_sure = kind == Some(ConflictKind::Together) || left.missed == Missed::Surely;
        let mut found = self.ripen(now);
        match (kind, place) {
            (Some(kind), None) => {
                self.listed.truncate(limits::CONFLICTS_LISTED_MAX - 1);
                self.listed.push_front(Listed { row: row.clone(), since: now, kind, is_suspected: !is_sure });
                found.extend(is_sure.then(|| row.clone()));
            }
            (Some(kind), Some(place)) => {
                if let Some(listed) = self.listed.get_mut(place) {
                    listed.kind = kind;
                    found.extend((listed.is_suspected && is_sure).then(|| row.clone()));
                    listed.is_suspected &= !is_sure;
                }
            }
            (None, Some(place)) => {
                self.listed.remove(place);
            }
            (None, None) => {}
        }
        self.met += found.len() as u64;
        found
    }

    /// What has been suspected for long enough.
    fn ripen(&mut self, now: Timestamp) -> Vec<RowKey> {
        let ripe = self.listed.iter_mut().filter(|listed| listed.is_suspected && listed.is_ripe(now));
        ripe.map(|listed| {
            listed.is_suspected = false;
            listed.row.clone()
        })
        .collect()
    }

    /// How many were met since the start.
    pub fn met(&self, now: Timestamp) -> u64 {
        self.met + self.listed.iter().filter(|listed| listed.is_suspected && listed.is_ripe(now)).count() as u64
    }

    /// The keys, newest first.
    pub fn status(&self, now: Timestamp) -> Vec<ConflictStatus> {
        let one = |listed: &Listed| {
            let ms_ago = u64::try_from(now.since(listed.since).as_millis()).unwrap_or(u64::MAX);
            let field = matches!(listed.row.kind(), RowKind::Element(_)).then(|| listed.row.sub_key());
            ConflictStatus { key: listed.row.key(), field, kind: listed.kind, ms_ago }
        };
        self.listed.iter().filter(|listed| listed.is_ripe(now)).map(one).collect()
    }
}

impl Listed {
    fn is_ripe(&self, now: Timestamp) -> bool {
        !self.is_suspected || now.since(self.since) >= SUSPECTED
    }
}

impl Replica {
    /// Takes note of what a step has left in a loaded main row, with all that stands beside it, or in a field of a map. No
    /// other row holds what can be in conflict by itself.
    pub(super) fn note_conflict(&mut self, env: &Env<'_>, turn: &mut Turn, row: &RowKey, missed: Missed) {
        let left = turn.row(row).map_or_else(Left::default, |stored| {
            let (state, beside) = (&stored.row, &stored.header.beside);
            // What has expired is hidden, and swept.
            let counts = !state.is_expired(env.now.wall) && state.has_live_counter(beside);
            Left { stands_together: state.has_conflict(beside), counts, missed }
        });
        for row in self.conflicts.note(row, left, env.now.mono) {
            turn.out.observe(Observation::Conflict { row });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Key;

    const NONE: Left = Left { stands_together: false, counts: false, missed: Missed::No };
    const TYPES: Left = Left { stands_together: true, ..NONE };

    fn row(number: usize) -> RowKey {
        RowKey::main(&Key::new(format!("k{number}")).unwrap())
    }

    fn second(number: u64) -> Timestamp {
        Timestamp(1).after(Duration::from_secs(number))
    }

    #[test]
    fn a_key_is_counted_once_until_its_conflict_is_covered() {
        let mut conflicts = Conflicts::default();
        assert!(conflicts.note(&row(1), NONE, second(1)).is_empty());
        assert_eq!(conflicts.note(&row(1), TYPES, second(2)), [row(1)]);
        assert!(conflicts.note(&row(1), TYPES, second(3)).is_empty(), "it is listed");
        assert_eq!((conflicts.met(second(3)), conflicts.status(second(3)).len()), (1, 1));
        assert!(conflicts.note(&row(1), NONE, second(4)).is_empty());
        assert_eq!((conflicts.met(second(4)), conflicts.status(second(4))), (1, Vec::new()));
        assert_eq!(conflicts.note(&row(1), TYPES, second(5)), [row(1)]);
        assert_eq!(conflicts.met(second(5)), 2);
    }

    #[test]
    fn the_newest_are_listed_and_all_are_counted() {
        let mut conflicts = Conflicts::default();
        let all = limits::CONFLICTS_LISTED_MAX + 3;
        for number in 0..all {
            conflicts.note(&row(number), TYPES, second(1));
        }
        let listed = conflicts.status(second(1));
        assert_eq!((conflicts.met(second(1)), listed.len()), (all as u64, limits::CONFLICTS_LISTED_MAX));
        assert_eq!(listed.first().map(|one| one.key.clone()), Some(row(all - 1).key()));
    }

    #[test]
    fn what_was_missed_stays_listed_while_it_counts() {
        let mut conflicts = Conflicts::default();
        let counts = Left { counts: true, ..NONE };
        assert!(conflicts.note(&row(1), counts, second(1)).is_empty(), "a counter is no conflict");
        assert_eq!(conflicts.note(&row(1), Left { missed: Missed::Surely, ..counts }, second(2)), [row(1)]);
        assert!(conflicts.note(&row(1), counts, second(3)).is_empty());
        assert_eq!(conflicts.status(second(3)).first().map(|one| one.kind), Some(ConflictKind::Missed));
        conflicts.note(&row(1), NONE, second(4));
        conflicts.note(&row(1), counts, second(5));
        assert_eq!((conflicts.met(second(5)), conflicts.status(second(5)).len()), (1, 0));
    }

    #[test]
    fn what_is_suspected_counts_when_nothing_has_covered_it_for_a_while() {
        let mut conflicts = Conflicts::default();
        let suspected = Left { counts: true, missed: Missed::Perhaps, ..NONE };
        for number in [1, 2, 3] {
            assert!(conflicts.note(&row(number), suspected, second(0)).is_empty());
        }
        assert_eq!((conflicts.met(second(5)), conflicts.status(second(5)).len()), (0, 0));
        conflicts.note(&row(1), NONE, second(5));
        assert_eq!(conflicts.note(&row(2), Left { missed: Missed::Surely, ..suspected }, second(6)), [row(2)]);
        assert_eq!((conflicts.met(second(11)), conflicts.status(second(11)).len()), (2, 2));
        assert_eq!(conflicts.note(&row(4), NONE, second(12)), [row(3)], "whatever is written tells of it");
        assert_eq!(conflicts.met(second(12)), 2);
    }
}
