//! Rows as they stand in a directory: the family of a key, and all of a partition.

use std::collections::BTreeMap;

use bytes::Bytes;
use starling::causality::{ActorId, Tick};
use starling::replica::StoredRow;
use starling::storage::memory::{MemoryFaults, MemoryStore};
use starling::storage::{PageLimit, Range, RowKey, Space, Store, keyspace};
use starling::value::Row;

use super::record::is_negative;

const EVERYTHING: PageLimit = PageLimit { rows: usize::MAX, bytes: usize::MAX };

/// The rows of one key in one directory.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// The main row.
    pub main: Row,
    /// The rows of sessions that the main row's sum does not hold.
    pub sessions: BTreeMap<ActorId, Row>,
}

/// What a counter is made of: sums, in which every increment of the history has a digit to base 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digits {
    counted: [u128; 2],
    covered: [u128; 2],
}

impl Family {
    /// Reads it.
    pub fn of(store: &MemoryStore, main: &RowKey) -> Family {
        let read = |bytes: Option<Bytes>| bytes.and_then(|bytes| StoredRow::decode(&bytes).ok()).map(|it| it.row);
        let row = store.fetch(Space::Rows, main.as_bytes()).ok().and_then(read).unwrap_or_default();
        let settled = row.settled_tick();
        let side = scan(store, &keyspace::sessions_after(main, settled), Space::Rows);
        let sessions = side.into_iter().filter_map(|(key, bytes)| {
            let actor = RowKey::parse(key).ok()?.actor()?;
            Some((actor, read(Some(bytes))?))
        });
        Family { sessions: sessions.filter(|(actor, _)| actor.expires > settled.max(Tick(0))).collect(), main: row }
    }

    /// All that was counted and covered.
    pub fn digits(&self) -> Digits {
        let mut digits = Digits::default();
        for row in std::iter::once(&self.main).chain(self.sessions.values()) {
            for part in row.counted_parts() {
                digits.counted = [digits.counted[0] + part.p, digits.counted[1] + part.n];
            }
            for part in row.covered_parts() {
                digits.covered = [digits.covered[0] + part.p, digits.covered[1] + part.n];
            }
        }
        digits
    }

    /// Whether an increment was counted here, covered since or not.
    pub fn has_counted(&self, increment: usize) -> bool {
        self.digits().counted(increment) > 0
    }
}

impl Digits {
    /// How often an increment was counted.
    pub fn counted(&self, increment: usize) -> u128 {
        digit(self.counted, increment)
    }

    /// How often an increment was taken away by resets.
    pub fn covered(&self, increment: usize) -> u128 {
        digit(self.covered, increment)
    }
}

fn digit([p, n]: [u128; 2], increment: usize) -> u128 {
    let sum = if is_negative(increment) { n } else { p };
    sum >> (2 * increment) & 3
}

/// Everything in a range of a space, without the store's faults.
pub fn scan(store: &MemoryStore, range: &Range, space: Space) -> Vec<(Bytes, Bytes)> {
    let faults = store.faults();
    store.set_faults(MemoryFaults::default());
    let page = store.scan(space, range, EVERYTHING);
    store.set_faults(faults);
    page.map(|page| page.entries).unwrap_or_default()
}

/// Everything in a space.
pub fn all(store: &MemoryStore, space: Space) -> Vec<(Bytes, Bytes)> {
    scan(store, &Range { start: Bytes::new(), end: None }, space)
}
