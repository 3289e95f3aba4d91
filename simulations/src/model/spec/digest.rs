//! What owners of the specification compare before they settle.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Row;
use super::counter::{Sum, is_old};
use crate::model::machine::rules::{Rule, Rules};
use crate::model::machine::values::{Actor, Stamp};

/// What owners compare: a hash in the store, the things themselves here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Digest {
    sums: Vec<Sum>,
    events: Vec<(Actor, u8)>,
    seen: Vec<(Actor, u8)>,
    tombstone: Option<Stamp>,
}

impl Digest {
    pub(super) fn hash(&self) -> u128 {
        let of = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            Hash::hash(self, &mut hasher);
            hasher.finish()
        };
        u128::from(of(1)) << 64 | u128::from(of(2))
    }
}

impl Row {
    /// R8: what of ticks ≤ `through` is to be settled; nothing that a later write can take away.
    pub(super) fn digest_of(&self, through: u8, rules: Rules) -> Digest {
        let old = ..Actor::after(through);
        let mut digest = Digest {
            sums: vec![self.counter.settled],
            events: self.counter.entries.range(old).map(|(actor, entry)| (*actor, entry.event)).collect(),
            seen: self.dotted.seen.range(old).map(|(actor, event)| (*actor, *event)).collect(),
            tombstone: None,
        };
        if !rules.has(Rule::DigestSeen) {
            digest.seen.clear();
        }
        digest
    }

    /// R10: covers, baselines of ticks ≤ `through`, and the tombstones that may go.
    pub(super) fn baseline_digest_of(&self, through: u8, lease: u8, rules: Rules) -> Digest {
        let old = ..Actor::after(through);
        Digest {
            sums: vec![self.counter.covered],
            events: self.counter.baselines.range(old).map(|(actor, entry)| (*actor, entry.event)).collect(),
            seen: vec![],
            tombstone: self
                .register
                .filter(|it| {
                    rules.has(Rule::DigestTombstones) && it.value.is_none() && is_old(it.stamp, through, lease)
                })
                .map(|it| it.stamp),
        }
    }
}
