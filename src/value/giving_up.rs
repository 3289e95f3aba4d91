//! Giving up: what a row keeps that has slept through the forgetting of others.
//!
//! A directory that was replaced by an earlier copy holds what its co-owners have deleted since, and have forgotten since.
//! They cannot tell it that: nothing is left of the deletion. But of what they have forgotten they can show all that still
//! stands, and everything up to the tick that they folded was known to every owner, this one among them. So
//!
//! ```text
//! here, up to that tick, and not with them   ──→ it was deleted: given up
//! here, of later ticks                       ──→ nobody can have forgotten it: kept
//! ```
//!
//! Called by the replica for each row of a partition that a newborn owner takes over. What it costs: a write up to that
//! tick that no other owner ever had, which only a register, a deadline or a sketch can be, is given up too.

use std::time::Duration;

use super::Row;
use super::beside::Beside;
use super::dotted::Dotted;
use super::others::Others;
use super::per_actor::Content;
use super::register::Stamp;
use super::settled::{Covered, Settled, Sums};
use crate::causality::{Dot, Tick};

impl Row {
    /// Gives up what a co-owner has forgotten: everything up to the tick that it has folded, unless it stands in `theirs`,
    /// the co-owner's row in its normal form. The sums of expired actors are among that: theirs hold them. To be called
    /// before `theirs` is merged. `beside` is what stands beside the own row. Returns whether the row changed.
    pub fn give_up(&mut self, theirs: &Row, folded: Tick, tick: Duration, lease_ticks: u32, beside: &Beside) -> bool {
        let before = self.clone();
        let counter = &mut self.string.counter;
        counter.entries.forget(folded);
        counter.baselines.forget(folded);
        let (mut settled, mut covered) = (counter.settled(), counter.covered());
        if settled.tick <= folded {
            settled = Settled::default();
        }
        if covered.tick <= folded {
            covered = Covered::default();
        }
        counter.set_sums(Sums { settled, covered });
        let is_old = |stamp: &Stamp| stamp.actor.expires <= folded;
        if self.string.register.stamp().is_some_and(is_old) && theirs.string.register.is_unwritten() {
            self.string.register = Default::default();
        }
        if self.others.is_some() {
            let nothing = Others::default();
            let theirs = theirs.others.as_deref().unwrap_or(&nothing);
            self.change_others(|others| {
                give_up_dots(&mut others.siblings, &theirs.siblings, folded);
                give_up_dots(&mut others.flag, &theirs.flag, folded);
                give_up_dots(&mut others.presence, &theirs.presence, folded);
                give_up_dots(&mut others.scored, &theirs.scored, folded);
                if others.sketch.latest().is_some_and(is_old) && theirs.sketch.is_unwritten() {
                    others.sketch = Default::default();
                }
                if others.expiry.stamp().is_some_and(is_old) && theirs.expiry.is_unwritten() {
                    others.expiry = Default::default();
                }
            });
        }
        self.ignore_retired(theirs, folded, tick, lease_ticks, beside);
        *self != before
    }

    /// Gives up everything up to a tick, whoever else has it: what a fallback holds of ticks that it had sealed once. Returns
    /// whether the row changed.
    pub fn keep_younger(&mut self, than: Tick) -> bool {
        let before = self.clone();
        let is_old = |stamp: &Stamp| stamp.actor.expires <= than;
        let counter = &mut self.string.counter;
        counter.set_sums(Sums::default());
        counter.entries.forget(than);
        counter.baselines.forget(than);
        if self.string.register.stamp().is_some_and(is_old) {
            self.string.register = Default::default();
        }
        self.change_others(|others| {
            others.siblings.keep_younger(than);
            others.flag.keep_younger(than);
            others.presence.keep_younger(than);
            others.scored.keep_younger(than);
            if others.sketch.latest().is_some_and(is_old) {
                others.sketch = Default::default();
            }
            if others.expiry.stamp().is_some_and(is_old) {
                others.expiry = Default::default();
            }
        });
        *self != before
    }

    /// Whether nothing is left but when types were touched.
    pub fn holds_only_touches(&self) -> bool {
        let mut rest = self.clone();
        rest.string.touched = Default::default();
        rest.change_others(|others| others.touched = Default::default());
        rest.is_empty()
    }
}

/// A dot that does not live there is dead, and stays seen; where only the memory of dead dots is left, and there is none
/// there, it goes too.
fn give_up_dots<V: Content>(ours: &mut Dotted<V>, theirs: &Dotted<V>, folded: Tick) {
    let stands = |dot: &Dot| theirs.live().binary_search_by_key(dot, |(dot, _)| *dot).is_ok();
    ours.kill(|dot| dot.actor.expires <= folded && !stands(dot));
    let has_settled = ours.context().seen().dots().all(|(actor, _)| actor.expires <= folded);
    if theirs.is_empty() && !ours.is_live() && has_settled && ours.context().floor() <= folded {
        *ours = Dotted::default();
    }
}

#[cfg(test)]
#[path = "giving_up_tests.rs"]
mod tests;
