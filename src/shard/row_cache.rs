//! The rows that a shard holds decoded: those of the open turn, and those of earlier turns while there is room.
//!
//! ```text
//! store ──keep──→ clean ──soil──→ dirty ──written──→ clean, until its ticket is durable: unsynced
//!                   └────────────── trim: not used in this generation ────────────────→ forgotten (its ticket is not)
//! ```
//!
//! A generation ends when the rows that were used in it fill half of the room; all others are forgotten then. So what is
//! used often stays, and a scan of cold rows costs half of the room at most. Used by `turn` alone. This shard is the only
//! writer of its rows, so none can go stale. Costs: a look into a hash map. Bounded in bytes between turns; within one,
//! by what a turn may hold.

use std::collections::BTreeMap;

use super::row_map::RowMap;
use crate::causality::Epoch;
use crate::ids::{NodeId, Ticket};
use crate::replica::StoredRow;
use crate::storage::RowKey;
use crate::time::WallTime;

/// A decoded row takes about so many times its encoded bytes.
const DECODED_RATIO: usize = 3;

/// A row that takes more than this share of the room is forgotten after each turn.
const LARGE_SHARE: usize = 16;

/// Decoded rows.
#[derive(Debug)]
pub(super) struct RowCache {
    rows: RowMap<LoadedRow>,
    /// What they take, about.
    bytes: usize,
    bytes_max: usize,
    generation: u64,
    /// Of `bytes`, what belongs to rows that were used in this generation.
    used_bytes: usize,
    /// Changed since the last write.
    dirty: Vec<RowKey>,
    /// Too large to keep.
    large: Vec<RowKey>,
    durable: Ticket,
    /// Rows that are held no more, by the ticket that makes their last change durable.
    unsynced: BTreeMap<RowKey, Ticket>,
}

/// What the store holds of a row; by default nothing.
#[derive(Debug, Default)]
pub(super) struct ReadRow {
    /// `None`: absent, or as good as absent.
    pub stored: Option<StoredRow>,
    /// Owners with an entry in the debt index, and since when.
    pub indexed: Vec<(NodeId, WallTime)>,
    /// What the bytes add to the tree of the partition.
    pub on_disk: Option<u128>,
    /// How many there are.
    pub encoded_bytes: usize,
}

/// A row in memory.
#[derive(Debug)]
pub(super) struct LoadedRow {
    /// `None`: absent.
    pub stored: Option<StoredRow>,
    /// Owners with an entry in the debt index on disk, and since when.
    pub indexed: Vec<(NodeId, WallTime)>,
    /// What the row on disk adds to the tree of its partition, as of the last sealed turn.
    pub on_disk: Option<u128>,
    is_dirty: bool,
    /// Makes the last write durable.
    ticket: Ticket,
    bytes: usize,
    /// When it was used last.
    generation: u64,
}

impl RowCache {
    /// An empty cache of a start, with room for so many bytes.
    pub fn new(epoch: Epoch, bytes_max: usize) -> RowCache {
        RowCache {
            rows: RowMap::new(epoch),
            bytes: 0,
            bytes_max,
            generation: 0,
            used_bytes: 0,
            dirty: Vec::new(),
            large: Vec::new(),
            durable: Ticket(0),
            unsynced: BTreeMap::new(),
        }
    }

    /// Whether a row is held, be it as absent. It is used then.
    pub fn touch(&mut self, row: &RowKey) -> bool {
        let Some(loaded) = self.rows.get_mut(row) else { return false };
        if loaded.generation != self.generation {
            loaded.generation = self.generation;
            self.used_bytes += loaded.bytes;
        }
        true
    }

    /// A row that is held.
    pub fn get(&self, row: &RowKey) -> Option<&LoadedRow> {
        self.rows.get(row)
    }

    /// Takes in what the store holds of a row.
    pub fn keep(&mut self, row: &RowKey, read: ReadRow) {
        let ReadRow { stored, indexed, on_disk, encoded_bytes } = read;
        let unsynced = self.unsynced.remove(row).unwrap_or_default();
        let (is_dirty, ticket) = match self.rows.remove(row) {
            Some(loaded) => {
                self.lighten(&loaded);
                (loaded.is_dirty, loaded.ticket)
            }
            None => (false, unsynced),
        };
        let generation = self.generation;
        let loaded = LoadedRow { stored, indexed, on_disk, is_dirty, ticket, bytes: 0, generation };
        self.rows.insert(row.clone(), loaded);
        self.weigh(row, encoded_bytes);
    }

    /// A row that is held, to change.
    pub fn soil(&mut self, row: &RowKey) -> Option<&mut LoadedRow> {
        let loaded = self.rows.get_mut(row)?;
        if !loaded.is_dirty {
            loaded.is_dirty = true;
            self.dirty.push(row.clone());
        }
        Some(loaded)
    }

    /// The rows that were changed since the last call, in order; they are clean now.
    pub fn take_dirty(&mut self) -> Vec<RowKey> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty
    }

    /// Who is owed a row that was changed since the last of those calls.
    pub fn unwritten_debtees(&self) -> impl Iterator<Item = NodeId> + '_ {
        let changed = self.dirty.iter().filter_map(|row| self.rows.get(row)?.stored.as_ref());
        changed.flat_map(|stored| &stored.header.debts).map(|debt| debt.owner)
    }

    /// A changed row that is being written under this ticket.
    pub fn write(&mut self, row: &RowKey, ticket: Ticket) -> Option<&mut LoadedRow> {
        let loaded = self.rows.get_mut(row)?;
        (loaded.is_dirty, loaded.ticket) = (false, ticket);
        Some(loaded)
    }

    /// A row that was used now has so many encoded bytes.
    pub fn weigh(&mut self, row: &RowKey, encoded_bytes: usize) {
        let Some(loaded) = self.rows.get_mut(row) else { return };
        let bytes = size_of::<LoadedRow>() + 2 * row.as_bytes().len() + DECODED_RATIO * encoded_bytes;
        let before = std::mem::replace(&mut loaded.bytes, bytes);
        self.bytes = self.bytes - before + bytes;
        self.used_bytes = self.used_bytes - before + bytes;
        if bytes > self.bytes_max / LARGE_SHARE {
            self.large.push(row.clone());
        }
    }

    /// What must be durable before anybody may show the row; `open` if this turn has changed it.
    pub fn ticket_of(&self, row: &RowKey, open: Ticket) -> Ticket {
        match self.rows.get(row) {
            Some(loaded) if loaded.is_dirty => open,
            Some(loaded) if loaded.ticket > self.durable => loaded.ticket,
            Some(_) => Ticket(0),
            None => self.unsynced.get(row).copied().unwrap_or_default(),
        }
    }

    /// Everything up to the ticket is durable.
    pub fn on_durable(&mut self, ticket: Ticket) {
        self.durable = self.durable.max(ticket);
        self.unsynced.retain(|_, unsynced| *unsynced > ticket);
    }

    /// Forgets those of these rows that are not about to be written; whether none of them is.
    pub fn forget(&mut self, is_one: impl Fn(&RowKey) -> bool) -> bool {
        let mut is_clean = true;
        let generation = self.generation;
        let RowCache { rows, bytes, used_bytes, durable, unsynced, .. } = self;
        rows.retain(|row, loaded| {
            if !is_one(row) {
                return true;
            }
            if loaded.is_dirty {
                is_clean = false;
                return true;
            }
            *bytes -= loaded.bytes;
            if loaded.generation == generation {
                *used_bytes -= loaded.bytes;
            }
            if loaded.ticket > *durable {
                unsynced.insert(row.clone(), loaded.ticket);
            }
            false
        });
        is_clean
    }

    /// Changes every row that is held, in no order.
    pub fn for_each(&mut self, mut change: impl FnMut(&RowKey, &mut LoadedRow)) {
        self.rows.retain(|row, loaded| {
            change(row, loaded);
            true
        });
    }

    /// Makes room, when a turn was written and all rows are clean.
    pub fn trim(&mut self) {
        for row in std::mem::take(&mut self.large) {
            if let Some(loaded) = self.rows.remove(&row) {
                self.lighten(&loaded);
                if loaded.ticket > self.durable {
                    self.unsynced.insert(row, loaded.ticket);
                }
            }
        }
        if self.used_bytes > self.bytes_max / 2 || self.bytes > self.bytes_max {
            let RowCache { rows, generation, durable, unsynced, .. } = self;
            rows.retain(|row, loaded| {
                let is_used = loaded.generation == *generation;
                if !is_used && loaded.ticket > *durable {
                    unsynced.insert(row.clone(), loaded.ticket);
                }
                is_used
            });
            self.bytes = self.used_bytes;
            self.generation += 1;
            self.used_bytes = 0;
        }
    }

    /// A row is taken out.
    fn lighten(&mut self, loaded: &LoadedRow) {
        self.bytes -= loaded.bytes;
        if loaded.generation == self.generation {
            self.used_bytes -= loaded.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Key;

    const ROOM: usize = 64 * 1024;

    fn row(number: usize) -> RowKey {
        RowKey::main(&Key::new(format!("{number:06}")).unwrap())
    }

    fn keep_of(cache: &mut RowCache, number: usize, encoded_bytes: usize) {
        let stored = Some(StoredRow::default());
        cache.keep(&row(number), ReadRow { stored, encoded_bytes, ..ReadRow::default() });
    }

    fn keep(cache: &mut RowCache, number: usize) {
        keep_of(cache, number, 50);
    }

    #[test]
    fn what_is_used_stays_and_the_room_is_never_passed() {
        let mut cache = RowCache::new(Epoch(1), ROOM);
        for number in 0..10_000 {
            keep(&mut cache, number);
            assert!(number == 0 || cache.touch(&row(0)), "row 0 is gone at {number}");
            cache.trim();
            assert!(cache.bytes <= ROOM, "{} bytes at {number}", cache.bytes);
        }
        assert!(cache.rows.len() > 50, "{} rows", cache.rows.len());
        let held = (0..10_000).filter(|number| cache.get(&row(*number)).is_some());
        let bytes: usize = held.map(|number| cache.get(&row(number)).unwrap().bytes).sum();
        assert_eq!(bytes, cache.bytes);
    }

    #[test]
    fn a_row_that_is_forgotten_still_waits_for_its_sync() {
        let mut cache = RowCache::new(Epoch(1), 0);
        keep(&mut cache, 1);
        cache.soil(&row(1)).unwrap();
        assert_eq!(cache.ticket_of(&row(1), Ticket(9)), Ticket(9));
        assert_eq!(cache.take_dirty(), [row(1)]);
        cache.write(&row(1), Ticket(9)).unwrap();
        cache.trim();
        assert!(cache.get(&row(1)).is_none(), "there is room for nothing");
        assert_eq!(cache.ticket_of(&row(1), Ticket(10)), Ticket(9));
        keep(&mut cache, 1);
        assert_eq!(cache.ticket_of(&row(1), Ticket(10)), Ticket(9));
        cache.on_durable(Ticket(9));
        assert_eq!(cache.ticket_of(&row(1), Ticket(10)), Ticket(0));
    }

    #[test]
    fn what_is_in_doubt_is_forgotten_but_for_what_is_about_to_be_written() {
        let mut cache = RowCache::new(Epoch(1), ROOM);
        for number in 1..=3 {
            keep(&mut cache, number);
        }
        let before = cache.bytes;
        cache.soil(&row(2)).unwrap();
        assert!(!cache.forget(|one| *one != row(3)));
        let held = [1, 2, 3].map(|number| cache.get(&row(number)).is_some());
        assert_eq!(held, [false, true, true]);
        assert!(cache.bytes < before && cache.bytes == cache.used_bytes);
        cache.take_dirty();
        cache.write(&row(2), Ticket(4)).unwrap();
        assert!(cache.forget(|_| true), "it is written");
        assert_eq!(cache.bytes, 0);
        assert_eq!(cache.ticket_of(&row(2), Ticket(5)), Ticket(4), "and still to be synced");
    }

    #[test]
    fn a_large_row_is_forgotten_at_once_and_the_others_stay() {
        let mut cache = RowCache::new(Epoch(1), ROOM);
        keep(&mut cache, 1);
        keep_of(&mut cache, 2, ROOM);
        cache.trim();
        assert!(cache.get(&row(1)).is_some() && cache.get(&row(2)).is_none());
    }
}
