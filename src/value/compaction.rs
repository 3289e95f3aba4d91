//! Forgetting by proof: what a row does once all that may change it up to a tick is known to be known everywhere.
//!
//! ```text
//! compact          entries of expired actors become one sum               all owners have equal digests
//! fold_baselines   baselines of expired actors become one sum             … and later equal baseline digests
//! retire           what only remembers a removal goes                     … and every write that it shadows has expired
//! touches          would a message change what is frozen? Then it is refused whole
//! ignore_settled   what an exchange brings of ticks that are settled here is dropped
//! ignore_retired   … and what would be forgotten here at once, if nothing of it is left here
//! ```
//!
//! Nothing is left of a key that was deleted or has expired, whatever it was: two leases after the last write (and the
//! deadline), and the settling of those ticks, its rows are gone. What is in use keeps, beside its value: a counter the
//! sums of expired actors, and once it was reset what resets saw of them (about 20 bytes each); a text, number or deadline
//! its stamp (37 bytes), and a deadline that a put has ended without seeing it, until the next write that covers; siblings,
//! flags and members the floor of their context (4 bytes).
//!
//! The proof is `stability`'s, by the digests of `digest`; here is what it allows. Nothing here looks at a clock.
//!
//! Source: rules R2 and R7 to R10 of the counters that count exactly once.

use std::time::Duration;

use super::beside::Beside;
use super::counter::{Counter, Totals};
use super::dotted::Dotted;
use super::kind::ValueType;
use super::others::Others;
use super::per_actor::{Content, PerActor, Record};
use super::register::Stamp;
use super::settled::Settled;
use super::string::StringState;
use super::{Row, others};
use crate::causality::{ActorId, Context, Tick};
use crate::time::{Hlc, WallTime};

impl Row {
    /// Adds up the entries of actors that expired by `through`, and leaves such actors out of the contexts. Only at
    /// stability, and only for a row beside which no session's row stands: for others see [`super::Beside::settle`]. Never
    /// changes the value. Returns whether the row changed.
    pub fn compact(&mut self, through: Tick) -> bool {
        self.settle(through, Settled::default(), PerActor::default())
    }

    /// Compacts, and takes in what sessions beside the row did.
    pub(super) fn settle(&mut self, through: Tick, sessions: Settled, baselines: PerActor<Totals>) -> bool {
        let counter = &mut self.string.counter;
        let mut changed = counter.compact(through, sessions);
        let covered = counter.covered().tick;
        changed |= counter.baselines.merge_above(&baselines, covered);
        if let Some(others) = &mut self.others {
            changed |= others.siblings.compact(through);
            changed |= others.flag.compact(through);
            changed |= others.presence.compact(through);
            changed |= others.scored.compact(through);
        }
        changed
    }

    /// Adds up the baselines of actors that expired by `through`, which is at most the tick that was compacted. Returns
    /// whether the row changed.
    pub fn fold_baselines(&mut self, through: Tick) -> bool {
        self.string.counter.fold_baselines(through)
    }

    /// Drops what only remembers a removal that everybody knows, and stamps of types that hold nothing. `through` is the
    /// tick up to which baselines were folded. A tombstone under a stamp goes if its actor has expired and so has every
    /// actor that may have written below the stamp (an actor lives for at most two leases); one under dots goes if all of
    /// its dots have settled. Returns whether the row changed; one that is empty now is to be deleted, unless something
    /// stands beside it.
    pub fn retire(&mut self, through: Tick, tick: Duration, lease_ticks: u32, beside: &Beside) -> bool {
        let is_past = |touched: Hlc| is_past(touched.wall, through, tick, lease_ticks);
        let has_expired = |stamp: &Stamp| is_retirable(stamp, through, tick, lease_ticks);
        let before = self.clone();
        let string = &mut self.string;
        if string.has_spent_counter(through, has_expired, is_past) {
            string.counter = Counter::default();
        }
        if string.register.tombstone().is_some_and(has_expired) {
            string.register = Default::default();
        }
        if string.is_untouched_but_for_its_stamp() && beside.sessions().rows == 0 && is_past(string.touched) {
            string.touched = Default::default();
        }
        self.change_others(|others| {
            retire_dotted(&mut others.siblings, through);
            retire_dotted(&mut others.flag, through);
            retire_dotted(&mut others.presence, through);
            retire_dotted(&mut others.scored, through);
            if others.sketch.tombstone().is_some_and(has_expired) {
                others.sketch = Default::default();
            }
            for (place, kind) in others::TOUCHABLE.iter().enumerate() {
                let is_empty = is_empty(others, *kind, beside);
                if let Some(touched) = others.touched.get_mut(place)
                    && is_empty
                    && is_past(*touched)
                {
                    *touched = Default::default();
                }
            }
        });
        // A deadline that is over goes last: until then it hides what comes late.
        if self.has_spent_expiry(self.has_anything(beside), has_expired, is_past) {
            self.change_others(|others| others.expiry = Default::default());
        }
        *self != before
    }

    fn holds_nothing_but_expiry(&self) -> bool {
        let mut rest = self.clone();
        rest.change_others(|others| others.expiry = Default::default());
        rest.is_empty()
    }

    /// Of an incoming row, drops what is settled here: entries up to `compacted`, baselines up to `folded`, and removals
    /// under dots that `ours` has retired. Sums and what is live stay.
    pub fn ignore_settled(&mut self, ours: &Row, compacted: Tick, folded: Tick) {
        let string = &mut self.string;
        string.counter.entries.forget(compacted);
        let theirs = string.counter.settled().tick;
        if ours.settled_tick() < theirs {
            // A sum that was retired here comes back with all that covers it: what the sender has not yet added up too.
            string.counter.fold_baselines(folded.min(theirs));
        }
        string.counter.baselines.forget(folded);
        if self.others.is_none() {
            return;
        }
        let nothing = Others::default();
        let ours = ours.others.as_deref().unwrap_or(&nothing);
        self.change_others(|others| {
            ignore_dotted(&mut others.siblings, &ours.siblings, compacted);
            ignore_dotted(&mut others.flag, &ours.flag, compacted);
            ignore_dotted(&mut others.presence, &ours.presence, compacted);
            ignore_dotted(&mut others.scored, &ours.scored, compacted);
        });
    }

    /// Of an incoming row, drops what [`Row::retire`] would drop of it, if `ours` has nothing of that: it was retired here,
    /// and would go to and fro between owners for ever. What is younger is news, or the other owner has not yet retired it.
    pub fn ignore_retired(&mut self, ours: &Row, through: Tick, tick: Duration, lease_ticks: u32, beside: &Beside) {
        let is_past = |touched: Hlc| is_past(touched.wall, through, tick, lease_ticks);
        let has_expired = |stamp: &Stamp| is_retirable(stamp, through, tick, lease_ticks);
        if ours.string.counter.is_empty() && self.string.has_spent_counter(through, has_expired, is_past) {
            self.string.counter = Counter::default();
        }
        if self.string.register.tombstone().is_some_and(has_expired) && ours.string.register.is_unwritten() {
            self.string.register = Default::default();
        }
        let is_retired = ours.string.touched == Hlc::default() && beside.sessions().rows == 0;
        if is_retired && self.string.is_untouched_but_for_its_stamp() && is_past(self.string.touched) {
            self.string.touched = Hlc::default();
        }
        if self.others.is_none() {
            return;
        }
        let stands_here = ours.has_anything(beside);
        let nothing = Others::default();
        let ours = ours.others.as_deref().unwrap_or(&nothing);
        self.change_others(|others| {
            if others.sketch.tombstone().is_some_and(has_expired) && ours.sketch.is_unwritten() {
                others.sketch = Default::default();
            }
            for (place, kind) in others::TOUCHABLE.iter().enumerate() {
                let is_empty = is_empty(others, *kind, beside);
                let is_retired = ours.touched.get(place).is_some_and(|touched| *touched == Hlc::default());
                if let Some(touched) = others.touched.get_mut(place)
                    && is_empty
                    && is_retired
                    && is_past(*touched)
                {
                    *touched = Hlc::default();
                }
            }
        });
        if ours.expiry.is_unwritten() && self.has_spent_expiry(stands_here, has_expired, is_past) {
            self.change_others(|others| others.expiry = Default::default());
        }
    }

    /// Whether the deadline has nothing to hide any more, or there is only the word that there is none. `hides` is whether
    /// anything stands that it hides.
    fn has_spent_expiry(
        &self,
        hides: bool,
        has_expired: impl Fn(&Stamp) -> bool,
        is_past: impl Fn(Hlc) -> bool,
    ) -> bool {
        let Some(expiry) = self.others.as_ref().map(|others| &others.expiry) else { return false };
        let is_over = match expiry.deadline() {
            None => true,
            Some(deadline) => {
                !hides && is_past(Hlc { wall: deadline.0, logical: 0 }) && self.holds_nothing_but_expiry()
            }
        };
        is_over && expiry.stamp().is_some_and(has_expired)
    }

    /// Whether it has entries or baselines of actors that expire by `through`.
    pub fn has_records_through(&self, through: Tick) -> bool {
        let counter = &self.string.counter;
        [&counter.entries, &counter.baselines].iter().any(|records| !records.through(through).is_empty())
    }

    /// Whether a sibling of an actor that expires by `through` stands here that `seen` has not seen.
    pub fn has_siblings_through(&self, through: Tick, seen: &Context) -> bool {
        let live = self.others.as_ref().map_or(&[][..], |others| others.siblings.live());
        live.iter().any(|(dot, _)| dot.actor.expires <= through && !seen.has_seen(*dot))
    }

    /// Of an observed row, drops entries and baselines of ticks after `from` up to `through` that `knows` tells nothing of:
    /// who covers them would bring what is frozen. Returns whether anything that no reset has seen is among them.
    pub fn leave_out(&mut self, from: Tick, through: Tick, knows: impl Fn(ActorId, u64) -> bool) -> bool {
        let is_strange = |record: &Record<Totals>| {
            let expires = record.actor.expires;
            expires > from && expires <= through && !knows(record.actor, record.event)
        };
        let counter = &mut self.string.counter;
        let is_live = |entry: &Record<Totals>| {
            counter.baselines.get(entry.actor).is_none_or(|baseline| baseline.event < entry.event)
        };
        let leaves_live = counter.entries.iter().any(|entry| is_strange(entry) && is_live(entry));
        counter.entries.take(is_strange);
        counter.baselines.take(is_strange);
        leaves_live
    }

    /// Whether a merge of `incoming` would bring anything that is closed here: then it is refused whole. A fresh write that
    /// takes away what is closed brings nothing of it, and is welcome; so is a sum, unless it was forgotten here and is not
    /// covered whole by what comes with it.
    pub fn touches(&self, incoming: &Row, closed: Closed) -> bool {
        let (ours, theirs) = (&self.string, &incoming.string);
        let is_news = |known: &PerActor<Totals>, floor: Tick, record: &Record<Totals>| {
            record.actor.expires > floor && known.get(record.actor).is_none_or(|known| known.event < record.event)
        };
        let entries = theirs.counter.entries.through(closed.through);
        let (settled, covered) = (ours.counter.settled().tick, ours.counter.covered().tick);
        // The entry of a baseline is dropped here if a sum is as young, and may not stand in it.
        let baselines = theirs.counter.baselines.through(closed.baselines.max(settled));
        let their_sum = theirs.counter.settled().tick;
        let is_late = |ours: Option<&Stamp>, theirs: Option<&Stamp>| {
            theirs.is_some_and(|stamp| stamp.actor.expires <= closed.through) && ours < theirs
        };
        if entries.iter().any(|entry| is_news(&ours.counter.entries, settled, entry))
            || baselines.iter().any(|baseline| is_news(&ours.counter.baselines, covered, baseline))
            || (settled < their_sum && their_sum <= closed.sums && !theirs.counter.has_covered_sum())
            || is_late(ours.register.stamp(), theirs.register.stamp())
        {
            return true;
        }
        if self.unknown.is_touched_by(&incoming.unknown, closed.through, closed.sums) {
            return true;
        }
        let Some(theirs) = &incoming.others else { return false };
        let nothing = Others::default();
        let ours = self.others.as_deref().unwrap_or(&nothing);
        is_late(ours.expiry.stamp(), theirs.expiry.stamp())
            || ours.siblings.is_touched_by(&theirs.siblings, closed.through)
            || ours.flag.is_touched_by(&theirs.flag, closed.through)
            || ours.presence.is_touched_by(&theirs.presence, closed.through)
            || ours.scored.is_touched_by(&theirs.scored, closed.through)
            || ours.sketch.is_touched_by(&theirs.sketch, closed.through)
    }

    /// Largest tick that stands in the settled sum; 0 if there is none. Session rows up to it are absent.
    pub fn settled_tick(&self) -> Tick {
        self.string.counter.settled().tick
    }

    /// Up to which tick the row says that something is settled: its sums and floors. Nobody settles what is not sealed.
    pub fn settled_until(&self) -> Tick {
        let of_others = self.others.iter().flat_map(|others| {
            [others.siblings.context(), others.flag.context(), others.presence.context(), others.scored.context()]
                .map(|context| context.floor())
        });
        of_others.fold(self.settled_tick().max(self.covered_tick()), Tick::max)
    }

    /// Largest tick that stands in the covered sum; 0 if there is none.
    pub fn covered_tick(&self) -> Tick {
        self.string.counter.covered().tick
    }
}

/// Up to which ticks a partition takes nothing new, except by an exchange between owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Entries, dots and stamps.
    pub through: Tick,
    /// Baselines. Who covers an entry has seen it, so an owner takes covers of what is frozen until it is summed up.
    pub baselines: Tick,
    /// Sums: those that are not here were forgotten.
    pub sums: Tick,
}

impl Closed {
    /// To an owner that has frozen and compacted so far.
    pub fn to_owner(frozen: Tick, compacted: Tick) -> Closed {
        Closed { through: frozen, baselines: compacted, sums: compacted }
    }

    /// To a fallback that has sealed so far: it must not come to hold what owners may have summed up when they take it.
    pub fn to_fallback(sealed: Tick) -> Closed {
        Closed { through: sealed, baselines: sealed, sums: Tick(0) }
    }
}

/// Whether every actor that may have written at this wall time has expired by `through`: one lives for at most two leases.
fn is_past(wall: u64, through: Tick, tick: Duration, lease_ticks: u32) -> bool {
    Tick(Tick::at(WallTime(wall), tick).0.saturating_add(lease_ticks.saturating_mul(2))) <= through
}

/// Whether a removal under this stamp may be forgotten: its actor has expired, and so has every one that may have written
/// below the stamp.
pub(super) fn is_retirable(stamp: &Stamp, through: Tick, tick: Duration, lease_ticks: u32) -> bool {
    stamp.actor.expires <= through && is_past(stamp.hlc.wall, through, tick, lease_ticks)
}

/// Whether nothing of a type stands, dead or alive.
fn is_empty(others: &Others, kind: ValueType, beside: &Beside) -> bool {
    match kind {
        ValueType::String => false,
        ValueType::Siblings => others.siblings.is_empty(),
        ValueType::Flag => others.flag.is_empty(),
        ValueType::Sketch => others.sketch.is_unwritten(),
        ValueType::Collection(kind) => beside.elements(kind).rows == 0,
    }
}

impl StringState {
    /// Whether resets have seen all of the counter, and everybody knows them. Every reset touches the string and writes the
    /// register: where both are old, the covers are known everywhere.
    fn has_spent_counter(
        &self,
        through: Tick,
        has_expired: impl Fn(&Stamp) -> bool,
        is_past: impl Fn(Hlc) -> bool,
    ) -> bool {
        let covers_are_known = self.register.is_unwritten() || self.register.tombstone().is_some_and(has_expired);
        covers_are_known
            && is_past(self.touched)
            && self.counter.settled().tick <= through
            && self.counter.is_fully_covered()
    }
}

fn retire_dotted<V: Content>(dotted: &mut Dotted<V>, through: Tick) {
    if dotted.is_settled_tombstone() && dotted.context().floor() <= through {
        *dotted = Dotted::default();
    }
}

/// Drops a tombstone of settled dots that is no longer here.
fn ignore_dotted<V: Content>(theirs: &mut Dotted<V>, ours: &Dotted<V>, compacted: Tick) {
    let has_settled = theirs.context().seen().dots().all(|(actor, _)| actor.expires <= compacted);
    if ours.is_empty() && !theirs.is_live() && has_settled && theirs.context().floor() <= compacted {
        *theirs = Dotted::default();
    }
}

#[cfg(test)]
#[path = "compaction_tests.rs"]
mod tests;
