//! Lag: how much each peer has not confirmed, and since when.
//!
//! ```text
//! ledger (writes answered, in memory) ─┐
//! debts (rows, on disk, each with its moment) ─┴─→ PeerLag { operations, oldest }        + when it was last compared with
//! ```
//!
//! [`Owed`] counts the debts of a shard by owner and by the second in which each arose. It is built once, from the index of debts,
//! and changes with it. Bounded: [`SECONDS_MAX`] seconds per owner; beyond it neighbours are counted together, as if they had all
//! arisen in the earlier one, so an age may be told too large, never too small. Called by the turn; shown by `starling status`.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::{NodeId, RowVersion};
use crate::time::WallTime;

/// Seconds that are told apart, per owner.
pub const SECONDS_MAX: usize = 1024;

/// Rows owed to each owner.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    by_owner: BTreeMap<NodeId, Rows>,
}

#[derive(Clone, Debug, Default)]
struct Rows {
    count: u64,
    /// How many arose in which second; those of which it is not known are in none.
    seconds: BTreeMap<u64, u64>,
}

impl Owed {
    /// A row is owed since then; `WallTime(0)`: since nobody knows when.
    pub fn add(&mut self, owner: NodeId, since: WallTime) {
        let rows = self.by_owner.entry(owner).or_default();
        rows.count += 1;
        if since > WallTime(0) {
            *rows.seconds.entry(second(since)).or_insert(0) += 1;
            if rows.seconds.len() > SECONDS_MAX {
                rows.coarsen();
            }
        }
    }

    /// It is owed no longer.
    pub fn remove(&mut self, owner: NodeId, since: WallTime) {
        let Some(rows) = self.by_owner.get_mut(&owner) else { return };
        rows.count = rows.count.saturating_sub(1);
        if since > WallTime(0) {
            rows.take(second(since));
        }
        if rows.count == 0 {
            self.by_owner.remove(&owner);
        }
    }

    /// How many rows are owed to an owner.
    pub fn rows(&self, owner: NodeId) -> u64 {
        self.by_owner.get(&owner).map_or(0, |rows| rows.count)
    }

    /// Everybody who is owed something.
    pub fn owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.by_owner.keys().copied()
    }

    /// When the oldest of them arose, as far as it is known.
    pub fn oldest(&self, owner: NodeId) -> Option<WallTime> {
        let (second, _) = self.by_owner.get(&owner)?.seconds.first_key_value()?;
        Some(WallTime(second.saturating_mul(1_000_000)))
    }
}

impl Rows {
    /// One fewer of the second that it is counted in.
    fn take(&mut self, second: u64) {
        let counted_in = self.seconds.range(..=second).next_back().or_else(|| self.seconds.first_key_value());
        let Some(counted_in) = counted_in.map(|(second, _)| *second) else { return };
        if let Some(count) = self.seconds.get_mut(&counted_in) {
            *count -= 1;
            if *count == 0 {
                self.seconds.remove(&counted_in);
            }
        }
    }

    /// Counts every second one together with the one before it.
    fn coarsen(&mut self) {
        let mut coarse: BTreeMap<u64, u64> = BTreeMap::new();
        for (place, (second, count)) in std::mem::take(&mut self.seconds).into_iter().enumerate() {
            match coarse.last_entry() {
                Some(mut earlier) if place % 2 == 1 => *earlier.get_mut() += count,
                Some(_) | None => {
                    coarse.insert(second, count);
                }
            }
        }
        self.seconds = coarse;
    }
}

/// The value of an entry of the index of debts: version u64, since u64 (unit: microseconds), big-endian.
pub fn index_value(version: RowVersion, since: WallTime) -> Bytes {
    let mut bytes = Vec::with_capacity(16);
    bytes.extend_from_slice(&version.0.to_be_bytes());
    bytes.extend_from_slice(&since.0.to_be_bytes());
    bytes.into()
}

/// Since when the debt of such an entry stands; an older program wrote the version alone.
pub fn since_of(value: &[u8]) -> WallTime {
    let since = value.get(8..).and_then(|since| since.try_into().ok());
    WallTime(since.map_or(0, u64::from_be_bytes))
}

fn second(at: WallTime) -> u64 {
    at.0 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn at(second: u64) -> WallTime {
        WallTime(second * 1_000_000 + 5)
    }

    #[test]
    fn the_oldest_debt_that_still_stands_tells_the_age() {
        let mut owed = Owed::default();
        for second in [30, 10, 20, 10] {
            owed.add(PEER, at(second));
        }
        owed.add(PEER, WallTime(0));
        assert_eq!((owed.rows(PEER), owed.oldest(PEER)), (5, Some(WallTime(10_000_000))));
        owed.remove(PEER, at(10));
        assert_eq!(owed.oldest(PEER), Some(WallTime(10_000_000)), "there was another one");
        owed.remove(PEER, at(10));
        owed.remove(PEER, at(30));
        assert_eq!((owed.rows(PEER), owed.oldest(PEER)), (2, Some(WallTime(20_000_000))));
        owed.remove(PEER, at(20));
        assert_eq!((owed.rows(PEER), owed.oldest(PEER)), (1, None), "of the last one nobody knows since when");
        owed.remove(PEER, WallTime(0));
        assert_eq!((owed.rows(PEER), owed.oldest(NodeId(9))), (0, None));
    }

    #[test]
    fn a_flood_of_seconds_takes_bounded_memory_and_is_never_told_too_young() {
        let mut owed = Owed::default();
        let seconds = 100..100 + 20 * SECONDS_MAX as u64;
        seconds.clone().for_each(|second| owed.add(PEER, at(second)));
        assert!(owed.by_owner[&PEER].seconds.len() <= SECONDS_MAX);
        for second in seconds.clone() {
            assert!(owed.oldest(PEER).unwrap() <= at(second), "{second}");
            owed.remove(PEER, at(second));
        }
        assert_eq!((owed.rows(PEER), owed.oldest(PEER)), (0, None));
        seconds.clone().for_each(|second| owed.add(PEER, at(second)));
        seconds.rev().for_each(|second| owed.remove(PEER, at(second)));
        assert_eq!((owed.rows(PEER), owed.oldest(PEER)), (0, None), "in whatever order they are paid");
    }

    #[test]
    fn an_entry_of_an_older_program_is_read_as_of_unknown_age() {
        assert_eq!(since_of(&index_value(RowVersion(7), at(3))), at(3));
        assert_eq!(since_of(&7_u64.to_be_bytes()), WallTime(0));
    }
}
