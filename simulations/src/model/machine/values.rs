//! What the machine asks of the values that it moves about: the specification's, or the store's own.
//!
//! Amounts are single bits: the event with ghost g adds, or takes away, 2^g. So a total *is* the set of the events in it,
//! and what counts twice shows.

use std::fmt::Debug;
use std::hash::Hash;

use super::rules::Rules;

/// A set of ghosts.
pub type Bits = u64;

/// Who mints: ordered by the tick at which it expires, so actors of old ticks are a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Actor {
    /// The tick at which it expires.
    pub tick: u8,
    /// 0 a client's session, 1 a node.
    pub kind: u8,
    /// Which session or node.
    pub number: u8,
    /// The epoch of a node's start.
    pub epoch: u8,
}

impl Actor {
    /// The first of all actors of later ticks.
    pub fn after(tick: u8) -> Actor {
        Actor { tick: tick + 1, ..Actor::default() }
    }
}

/// Of a stamp: (wall tick, logical, actor).
pub type Stamp = (u8, u8, Actor);

/// A fresh dot of a node with its stamp.
#[derive(Clone, Copy, Debug)]
pub struct Mint {
    /// Who mints.
    pub actor: Actor,
    /// Which event.
    pub event: u8,
    /// When: the wall tick and the logical part.
    pub at: (u8, u8),
}

impl Mint {
    /// The stamp of the write.
    pub fn stamp(&self) -> Stamp {
        (self.at.0, self.at.1, self.actor)
    }
}

/// What a client's session did up to an event.
#[derive(Clone, Copy, Debug)]
pub struct SessionEvent {
    /// The session.
    pub actor: Actor,
    /// Its event.
    pub event: u8,
    /// All that it added.
    pub p: Bits,
    /// All that it took away.
    pub n: Bits,
}

/// What bounds a merge: how far a partition is settled, and whether its owner is established.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Settled {
    /// w: everything of ticks ≤ this is summed.
    pub w: u8,
    /// v: baselines of ticks ≤ this are folded.
    pub v: u8,
}

/// Up to which ticks a node takes nothing new, except by an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Entries, dots, registers.
    pub through: u8,
    /// Covers of entries.
    pub covers: u8,
}

/// What can be seen in the state of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// The counter's value.
    pub value: i128,
    /// Events in its entries and sums.
    pub counted: Bits,
    /// Events in its baselines and covers.
    pub reset: Bits,
    /// Adds that are live.
    pub live: Bits,
    /// The register's write: its place in the order of writes, and its value.
    pub register: Option<(u128, Option<u8>)>,
}

/// The state of one key at one node.
pub trait Values: Clone + Default + PartialEq + Eq + Debug {
    /// One physical row as it travels.
    type Part: Clone + PartialEq + Eq + PartialOrd + Ord + Hash + Debug;

    /// Whether every write but an add covers the counter too, as the store's string does.
    const SET_COVERS: bool = false;

    /// Whether an exchange of an owner that has folded less is taken like any other message (else row by row: see
    /// [`Values::leave_forgotten`]).
    const VOUCHED_ONLY: bool = false;

    /// A session's event. Each of these returns what is sent; nothing if it was refused.
    fn request(&mut self, event: SessionEvent) -> Vec<Self::Part>;
    /// Adds a ghost under the node's own actor.
    fn increment(&mut self, mint: Mint, ghost: Bits) -> Vec<Self::Part>;
    /// Covers what the node holds, and what another showed as far as it may.
    fn reset(
        &mut self,
        mint: Mint,
        other: Option<&Self>,
        frozen: u8,
        settled: Settled,
        rules: Rules,
    ) -> Vec<Self::Part>;
    /// Adds a dot with a ghost, removes what is live, or both.
    fn write_dots(&mut self, mint: Mint, adds: Option<u8>, removes: bool) -> Vec<Self::Part>;
    /// Writes the register, or deletes it.
    fn set(&mut self, mint: Mint, value: Option<u8>) -> Vec<Self::Part>;
    /// The largest stamp: wall tick and logical part.
    fn latest(&self) -> Option<(u8, u8)>;

    /// Whether this physical row carries dots: a cover carries only what it changed.
    fn has_dots(part: &Self::Part) -> bool;
    /// The whole state, as it travels.
    fn parts(&self) -> Vec<Self::Part>;
    /// Takes what comes. Owners that are established leave out what they have settled.
    fn merge(&mut self, parts: &[Self::Part], settled: Settled, is_established: bool, rules: Rules);
    /// R7.
    fn touches(&self, parts: &[Self::Part], closed: Closed, settled: Settled, rules: Rules) -> bool;
    /// Leaves out of an exchange from before the fold v what the receiver may have forgotten.
    fn leave_forgotten(parts: Vec<Self::Part>, v: u8, lease: u8) -> Vec<Self::Part>;

    /// Gives up everything up to `v` that does not stand in the row of an owner that has folded so far.
    fn give_up(&mut self, theirs: &Self, v: u8);
    /// Gives up everything up to a tick.
    fn keep_younger(&mut self, than: u8);

    /// Brings what is settled into its settled form.
    fn normalise(&mut self, settled: Settled);
    /// Forgets what may be forgotten; true if that was something.
    fn retire(&mut self, settled: Settled, lease: u8, rules: Rules) -> bool;
    /// R8, of a state in its settled form.
    fn digest(&self, through: u8, rules: Rules) -> u128;
    /// R10, of a state in its settled form.
    fn baseline_digest(&self, through: u8, lease: u8, rules: Rules) -> u128;
    /// Whether a fallback that holds this owes something of ticks ≤ `through`.
    fn has_old(&self, through: u8, rules: Rules) -> bool;
    /// What can be seen.
    fn shown(&self) -> Shown;

    /// Whether the state is as if never written.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
