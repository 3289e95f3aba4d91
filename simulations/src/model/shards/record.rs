//! The record: what is known from outside of each increment and of each write. Nothing in the cluster reads it.
//!
//! The `nth` increment of a counter adds 4^nth, or takes it away: the digits of its sums to base 4 tell which increments
//! they hold, and how often.

use std::collections::BTreeMap;

use starling::causality::{ActorId, Dot};
use starling::shard::Observation;
use starling::storage::RowKey;

use super::cluster::Cluster;
use super::writes::Write;
use crate::world::facts;

/// Increments of a counter: more would not fit the digits of an i64.
pub const INCREMENTS_MAX: usize = 30;

/// Where a counter is: a key, or an element of a map.
pub type Place = (u8, Option<u8>);

/// What a client was told of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Done.
    Acknowledged,
    /// Not done, and never will be.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Whether something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It does.
    Must,
    /// It may.
    May,
    /// It does not.
    MustNot,
}

/// One increment.
#[derive(Clone, Debug, Default)]
pub struct Increment {
    /// The session that made it.
    pub session: Option<ActorId>,
    sent: u32,
    refused: u32,
    is_acknowledged: bool,
}

/// What is known.
#[derive(Debug, Default)]
pub struct Record {
    increments: BTreeMap<Place, Vec<Increment>>,
    minted: BTreeMap<(RowKey, Dot), u64>,
    /// What coordinators wrote, in order.
    pub writes: Vec<Write>,
    /// How often each kind of fact was reported.
    pub facts: BTreeMap<&'static str, u64>,
}

impl Record {
    /// A new increment of a counter: its number, and how much it adds. `None`: there are as many as digits.
    pub fn begin(&mut self, place: Place, session: Option<ActorId>) -> Option<(usize, i64)> {
        let increments = self.increments.entry(place).or_default();
        let number = increments.len();
        if number >= INCREMENTS_MAX {
            return None;
        }
        increments.push(Increment { session, ..Increment::default() });
        let amount = 1_i64 << (2 * number);
        Some((number, if is_negative(number) { -amount } else { amount }))
    }

    /// It is sent, perhaps again.
    pub fn sent(&mut self, place: Place, increment: usize) {
        if let Some(it) = self.increment(place, increment) {
            it.sent += 1;
        }
    }

    /// One of the times that it was sent was answered.
    pub fn answered(&mut self, place: Place, increment: usize, fate: Fate) {
        if let Some(it) = self.increment(place, increment) {
            match fate {
                Fate::Acknowledged => it.is_acknowledged = true,
                Fate::Refused => it.refused += 1,
                Fate::Unknown => {}
            }
        }
    }

    /// The increments of every counter, by number.
    pub fn counters(&self) -> impl Iterator<Item = (Place, &[Increment])> {
        self.increments.iter().map(|(place, increments)| (*place, increments.as_slice()))
    }

    fn increment(&mut self, place: Place, increment: usize) -> Option<&mut Increment> {
        self.increments.get_mut(&place)?.get_mut(increment)
    }
}

impl Increment {
    /// Whether it counts.
    pub fn certainty(&self) -> Certainty {
        match self {
            Increment { is_acknowledged: true, .. } => Certainty::Must,
            Increment { sent, refused, .. } if sent == refused => Certainty::MustNot,
            _ => Certainty::May,
        }
    }
}

/// Whether the increment of this number takes away instead of adding.
pub fn is_negative(number: usize) -> bool {
    number % 4 == 3
}

impl Cluster {
    /// A node reports a fact.
    pub(super) fn on_fact(&mut self, node: u8, fact: Observation) {
        *self.record.facts.entry(facts::kind(&fact)).or_default() += 1;
        self.say(|| format!("    n{} observes {fact:?}", node + 1));
        self.check_rule(node, &fact);
        match fact {
            Observation::Minted { row, dot, delta_hash } => {
                if let Some(before) = self.record.minted.insert((row.clone(), dot), delta_hash) {
                    let text = format!("{dot:?} of {row} is minted twice, for {before:x} and for {delta_hash:x}");
                    self.wrong("dots", text);
                }
            }
            Observation::ForeignLayout { .. } if self.instance.changes => {}
            Observation::Amnesia { .. } | Observation::Malformed { .. } | Observation::ForeignLayout { .. } => {
                self.wrong("dots", format!("n{} reports what nothing explains: {fact:?}", node + 1));
            }
            _ => {}
        }
    }
}
