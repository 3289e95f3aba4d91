//! Names of a session: what was done under each of them, key by key.

use std::collections::BTreeMap;

use starling::ids::Key;
use starling::message::client::SessionWrite;

use super::lease::Lease;
use super::state::Bounds;

/// One name of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) lease: Lease,
    /// Per key the last event number that was given, and the totals without the event under way.
    keys: BTreeMap<Key, Totals>,
    /// Of these keys.
    key_bytes: usize,
}

impl Named {
    /// A name that has done nothing yet.
    pub(crate) fn new(lease: Lease) -> Named {
        Named { lease, keys: BTreeMap::new(), key_bytes: 0 }
    }

    /// What it did, key by key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Key, &Totals)> {
        self.keys.iter()
    }

    /// Whether it did anything to a key.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.keys.contains_key(key)
    }

    /// What it did to a key.
    pub(crate) fn totals(&self, key: &Key) -> Totals {
        self.keys.get(key).copied().unwrap_or_default()
    }

    /// The same, to be changed.
    pub(crate) fn totals_mut(&mut self, key: &Key) -> &mut Totals {
        if !self.knows(key) {
            self.key_bytes += key.as_bytes().len();
        }
        self.keys.entry(key.clone()).or_default()
    }

    /// Whether it may do something to this key: it knows the key, or has room for one more.
    pub(crate) fn has_room_for(&self, key: &Key, bounds: &Bounds) -> bool {
        let bytes = self.key_bytes.saturating_add(key.as_bytes().len());
        let is_first = self.keys.is_empty();
        let has_room = is_first || (self.keys.len() < bounds.keys_max && bytes <= bounds.key_bytes_max);
        has_room || self.knows(key)
    }

    /// Forgets the keys that are not needed any more. Nothing new may be done under the name then.
    pub(crate) fn retain(&mut self, is_needed: impl Fn(&Key) -> bool) {
        self.keys.retain(|key, _| is_needed(key));
        self.key_bytes = self.keys.keys().map(|key| key.as_bytes().len()).sum();
    }

    /// Whether it knows no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// One name of a session as it is kept for a later process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept<T> {
    pub(crate) named: Named,
    /// New events may be made under it.
    pub(crate) is_current: bool,
    pub(crate) under_way: Vec<(Key, SessionWrite, T)>,
}

/// What a session has done to one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Last event number that was given.
    pub(crate) event: u64,
    /// Sum of the increments that may count.
    pub(crate) p: u128,
    /// Sum of the decrements that may count.
    pub(crate) n: u128,
}
