//! Rows as they stand in a directory: the family of a key, and the sums in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use starling::replica::StoredRow;
use starling::storage::memory::{MemoryFaults, MemoryStore};
use starling::storage::{PageLimit, Range, RowKey, RowKind, Space, Store};
use starling::value::Row;

use super::asks::element_name;
use super::record::is_negative;

const EVERYTHING: PageLimit = PageLimit { rows: usize::MAX, bytes: usize::MAX };

/// The rows of one key: in one directory, or in one write.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// By key; not those of sessions that the main row's sum holds.
    rows: BTreeMap<RowKey, Row>,
}

/// The sums of a counter: what was counted, and what resets took away; of each what was added (`p`) and what was taken
/// (`n`). Every increment of the history has a digit to base 4 in one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digits {
    counted: [u128; 2],
    covered: [u128; 2],
}

impl Family {
    /// Reads it from a directory.
    pub fn of(store: &MemoryStore, main: &RowKey) -> Family {
        let decoded = all(store, Space::Rows).into_iter().filter_map(|(key, bytes)| {
            let key = RowKey::parse(key).ok()?;
            (key.main_row() == *main).then_some(())?;
            Some((key, StoredRow::decode(&bytes).ok()?.row))
        });
        Family::of_rows(main, decoded)
    }

    /// Of these rows.
    pub fn of_rows(main: &RowKey, rows: impl IntoIterator<Item = (RowKey, Row)>) -> Family {
        let mut rows: BTreeMap<RowKey, Row> = rows.into_iter().collect();
        let settled = rows.get(main).map(Row::settled_tick).unwrap_or_default();
        rows.retain(|key, _| key.actor().is_none_or(|actor| actor.expires > settled));
        Family { rows }
    }

    /// One of its rows.
    pub fn row(&self, row: &RowKey) -> Option<&Row> {
        self.rows.get(row)
    }

    /// All of them.
    pub fn rows(&self) -> impl Iterator<Item = (&RowKey, &Row)> {
        self.rows.iter()
    }

    /// What the key's counter holds, or that of an element.
    pub fn digits(&self, element: Option<u8>) -> Digits {
        let name = element.map(element_name);
        let mut digits = Digits::default();
        for (key, row) in &self.rows {
            let is_its = match (key.kind(), &name) {
                (RowKind::Main | RowKind::Session, None) => true,
                (RowKind::Element(_), Some(name)) => key.sub_key() == *name,
                _ => false,
            };
            if is_its {
                digits.add(row);
            }
        }
        digits
    }
}

impl Digits {
    fn add(&mut self, row: &Row) {
        let [p, n] = &mut self.counted;
        for part in row.counted_parts() {
            *p += part.p;
            *n += part.n;
        }
        let [p, n] = &mut self.covered;
        for part in row.covered_parts() {
            *p += part.p;
            *n += part.n;
        }
    }

    /// How often an increment was counted.
    pub fn counted(&self, increment: usize) -> u128 {
        digit(self.counted, increment)
    }

    /// How often an increment was taken away by resets.
    pub fn covered(&self, increment: usize) -> u128 {
        digit(self.covered, increment)
    }

    /// Whether the other shows nothing that this one covers: it covers it too, or has forgotten that it was ever counted.
    pub fn is_covered_by(&self, other: Digits) -> bool {
        let mut increments = 0..super::record::INCREMENTS_MAX;
        increments.all(|it| self.covered(it) <= other.covered(it) || other.counted(it) == 0)
    }
}

fn digit([p, n]: [u128; 2], increment: usize) -> u128 {
    let sum = if is_negative(increment) { n } else { p };
    sum >> (2 * increment) & 3
}

/// Everything in a space, without the store's faults.
pub fn all(store: &MemoryStore, space: Space) -> Vec<(Bytes, Bytes)> {
    let faults = store.faults();
    store.set_faults(MemoryFaults::default());
    let page = store.scan(space, &Range { start: Bytes::new(), end: None }, EVERYTHING);
    store.set_faults(faults);
    page.map(|page| page.entries).unwrap_or_default()
}
