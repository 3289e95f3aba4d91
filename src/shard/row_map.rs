//! A map by row key whose order nobody sees.
//!
//! A turn looks each of its rows up a dozen times; in an ordered map that was a sixth of the core's work. Looking up is
//! all it can do in a row's way: there is no iteration but [`RowMap::retain`], which must not depend on the order. The
//! hash is seeded with the start's epoch, so nobody outside can choose keys that collide, and the same inputs still give
//! the same effects.

use std::hash::{BuildHasher, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::causality::Epoch;
use crate::storage::RowKey;

/// Values by row key.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "its order is not to be seen; see the front page")]
pub(super) struct RowMap<V>(std::collections::HashMap<RowKey, V, Seed>);

impl<V> RowMap<V> {
    /// An empty map of a start.
    #[expect(clippy::disallowed_types, reason = "its order is not to be seen; see the front page")]
    pub fn new(epoch: Epoch) -> RowMap<V> {
        RowMap(std::collections::HashMap::with_hasher(Seed(epoch.0)))
    }

    /// How many.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of a row.
    pub fn get(&self, row: &RowKey) -> Option<&V> {
        self.0.get(row)
    }

    /// The value of a row, to change.
    pub fn get_mut(&mut self, row: &RowKey) -> Option<&mut V> {
        self.0.get_mut(row)
    }

    /// Gives a row a value.
    pub fn insert(&mut self, row: RowKey, value: V) {
        self.0.insert(row, value);
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: &RowKey) -> Option<V> {
        self.0.remove(row)
    }

    /// Looks at each value once, in an order that says nothing, and keeps those that are to be kept.
    pub fn retain(&mut self, keep: impl FnMut(&RowKey, &mut V) -> bool) {
        self.0.retain(keep);
    }
}

#[derive(Clone, Copy, Debug)]
struct Seed(u64);

impl BuildHasher for Seed {
    type Hasher = Hashing;

    fn build_hasher(&self) -> Hashing {
        Hashing(self.0)
    }
}

/// A row key is hashed as one string of bytes.
struct Hashing(u64);

impl Hasher for Hashing {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length in front of the bytes: one key per hash, so it tells nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Key;

    #[test]
    fn what_is_put_in_is_found_and_what_is_taken_out_is_not() {
        let mut map = RowMap::new(Epoch(7));
        let row = |number: u32| RowKey::main(&Key::new(number.to_string()).unwrap());
        (0..1000).for_each(|number| map.insert(row(number), number));
        map.retain(|_, number| *number % 2 == 0);
        assert_eq!(map.len(), 500);
        assert_eq!((map.get(&row(10)), map.get(&row(11))), (Some(&10), None));
        *map.get_mut(&row(10)).unwrap() = 3;
        assert_eq!((map.remove(&row(10)), map.remove(&row(10))), (Some(3), None));
    }

    #[test]
    fn another_start_hashes_otherwise() {
        let row = RowKey::main(&Key::new("k").unwrap());
        assert_ne!(Seed(1).hash_one(&row), Seed(2).hash_one(&row));
    }
}
