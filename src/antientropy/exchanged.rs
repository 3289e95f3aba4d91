//! Up to when this replica knows what its co-owners have: the ground of the staleness bound.
//!
//! ```text
//! the initiator   begins at t ──→ exchange … ──complete──→ has all that the co-owner held at t
//! the responder   its clock shows t ──told before──→ the initiator begins … ──Done(t)──→ has all that the initiator held at t
//! ```
//!
//! Both times are the own clock's, read before the exchange began, so no delay of a message makes a bound too small. They are
//! kept in memory, of this start only: after a restart the bound is unknown until the next exchange. What the own clock
//! showed before it was set back says nothing of how long ago that was: for a while then, the word of initiators is not
//! taken, and the bounds grow until this node has begun an exchange itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::causality::Epoch;
use crate::ids::{NodeId, PartitionId};
use crate::message::peer::ExchangeDone;
use crate::shard::Env;
use crate::time::{Now, Timestamp, WallTime, micros};

/// Per partition and co-owner the start of the last exchange that was complete.
#[derive(Debug, Default)]
pub struct Exchanged {
    since: BTreeMap<(PartitionId, NodeId), Timestamp>,
    /// Wall clock minus monotonic clock when last looked at. Unit: microseconds.
    offset: Option<i128>,
    /// Until then, what the wall clock showed earlier is not compared with what it shows.
    set_back_until: Timestamp,
}

/// A wall clock that loses more against the monotonic one, from one input to the next, was set back. What is corrected
/// more gently makes a bound wrong by less than that in any exchange.
const SET_BACK_MIN: Duration = Duration::from_millis(100);

/// Longer than any exchange: whoever began it before the clock was set back has ended it by then.
const SET_BACK_DOUBT: Duration = Duration::from_secs(600);

/// When an exchange began, on both sides' clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// Here.
    pub at: Timestamp,
    /// There: the start that was heard last, and what its clock showed when it told it last. `None` if what is here is not
    /// sent there, or the clock was never told.
    pub there: Option<(Epoch, WallTime)>,
}

impl Began {
    /// An exchange begins now.
    pub fn now(env: &Env<'_>, peer: NodeId, pushes: bool) -> Began {
        let there = env.liveness.epoch_of(peer).zip(env.liveness.clock_told_by(peer)).filter(|_| pushes);
        Began { at: env.now.mono, there }
    }

    /// What the other side is told at the end: so many rows were moved, either way; `layout` is the number of the one under
    /// which both began, if they did.
    pub fn done(&self, rows: u64, layout: Option<u64>) -> Option<ExchangeDone> {
        self.there.map(|(to, since)| ExchangeDone { to, since, rows: Some(rows), layout: layout.unwrap_or(0) })
    }
}

impl Exchanged {
    /// Everything that the co-owner held at this time is here.
    pub fn note(&mut self, partition: PartitionId, peer: NodeId, at: Timestamp) {
        let since = self.since.entry((partition, peer)).or_default();
        *since = (*since).max(at);
    }

    /// Forgets the other pairs.
    pub fn retain(&mut self, is_pair: impl Fn(PartitionId, NodeId) -> bool) {
        self.since.retain(|(partition, peer), _| is_pair(*partition, *peer));
    }

    /// Looks at both clocks; to be called with every input.
    pub fn on_clocks(&mut self, now: Now) {
        let offset = i128::from(now.wall.0) - i128::from(now.mono.0);
        let lost = self.offset.replace(offset).map_or(0, |before| before - offset);
        if lost > i128::from(micros(SET_BACK_MIN)) {
            self.set_back_until = now.mono.after(SET_BACK_DOUBT);
        }
    }

    /// A co-owner has ended an exchange with this start. Tells when it began, by the own clock, if that is known.
    pub fn on_done(&mut self, now: Now, partition: PartitionId, peer: NodeId, done: ExchangeDone) -> Option<Timestamp> {
        if now.mono < self.set_back_until || done.since > now.wall {
            return None;
        }
        let age = Duration::from_micros(now.wall.0.saturating_sub(done.since.0));
        let began = Timestamp(now.mono.0.saturating_sub(micros(age)));
        self.note(partition, peer, began);
        Some(began)
    }

    /// How long ago it was, for each co-owner of which it is known. Unit: milliseconds, rounded up.
    pub fn ages(&self, partition: PartitionId, now: Timestamp) -> Vec<(NodeId, u64)> {
        let of_partition = (partition, NodeId(u64::MIN))..=(partition, NodeId(u64::MAX));
        let age = |since: &Timestamp| u64::try_from(now.since(*since).as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        self.since.range(of_partition).map(|((_, peer), since)| (*peer, age(since))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_exchanges_counts_and_a_late_word_of_the_earlier_changes_nothing() {
        let mut exchanged = Exchanged::default();
        let (partition, peer) = (PartitionId(3), NodeId(2));
        assert_eq!(exchanged.ages(partition, Timestamp(9)), []);
        let now = Now { mono: Timestamp(50_000), wall: WallTime(1_000_000) };
        exchanged.on_done(
            now,
            partition,
            peer,
            ExchangeDone { to: Epoch(1), since: WallTime(990_000), rows: None, layout: 0 },
        );
        exchanged.on_done(
            now,
            partition,
            peer,
            ExchangeDone { to: Epoch(1), since: WallTime(970_000), rows: None, layout: 0 },
        );
        exchanged.note(PartitionId(4), peer, Timestamp(50_000));
        assert_eq!(exchanged.ages(partition, now.mono), [(peer, 10)]);
        assert_eq!(exchanged.ages(partition, Timestamp(50_001)), [(peer, 11)], "rounded up");
    }

    #[test]
    fn what_the_clock_showed_before_it_was_set_back_makes_no_bound() {
        let mut exchanged = Exchanged::default();
        let (partition, peer) = (PartitionId(3), NodeId(2));
        let at = |mono: u64, wall: u64| Now { mono: Timestamp(mono * 1_000_000), wall: WallTime(wall * 1_000_000) };
        let done = |wall: u64| ExchangeDone { to: Epoch(1), since: WallTime(wall * 1_000_000), rows: None, layout: 0 };
        exchanged.on_clocks(at(100, 5_000));
        exchanged.on_clocks(at(101, 5_001));
        // Told 5,001; then the clock is set back by 29 seconds, and the exchange ends 30 seconds after it began.
        exchanged.on_clocks(at(131, 5_002));
        exchanged.on_done(at(131, 5_002), partition, peer, done(5_001));
        assert_eq!(exchanged.ages(partition, Timestamp(131_000_000)), [], "it was 30 seconds ago, and not one");
        exchanged.on_done(at(900, 5_771), partition, peer, done(9_000));
        assert_eq!(exchanged.ages(partition, Timestamp(900_000_000)), [], "nobody was told of what is still to come");
        exchanged.on_done(at(900, 5_771), partition, peer, done(5_770));
        assert_eq!(exchanged.ages(partition, Timestamp(900_000_000)), [(peer, 1_000)]);
    }
}
