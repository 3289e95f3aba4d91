//! A cell: the smallest thing that is written as a whole, such as a register, a counter, or one member of a set. What its
//! writes were decides what it may show at the end.
//!
//! ```text
//! write     ├─ invoked ───────── minted by ─┤          it takes effect at some moment in between
//! cover                  ├─ invoked ──────────── minted by ─┤
//!
//! could have observed    the write may have been minted before the cover looked: invoked ≤ the cover's "minted by"
//! surely observed        the write was acknowledged before the cover was invoked, and the owners that hold it and
//!                        those that the cover looked at must overlap: acknowledging owners + R > N
//! ```
//!
//! A cover that could have observed a write may have removed it; one that surely did must have. What lies between may
//! be there or not, and the checkers accept both.

use std::time::Duration;

use bytes::Bytes;
use starling::message::client::Observe;
use starling::time::Timestamp;

use super::subset_sum::SubsetSums;
use super::{Certainty, Evidence, written};
use crate::world::history::{Op, OpNumber};

/// One write of a cell.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The operation.
    pub number: OpNumber,
    /// The operation.
    pub op: &'a Op,
    /// Whether it took effect.
    pub certainty: Certainty,
    /// What it does to the cell.
    pub what: What,
}

/// What a write does to its cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Adds to a counter.
    Add(i128),
    /// Writes a register; the last writer wins.
    Write(Bytes),
    /// Makes present: a member, a flag.
    Raise,
    /// Removes all that it observed.
    Cover,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must be.
    Must,
    /// It may be.
    May,
    /// It must not be.
    MustNot,
}

/// The events of a cell, as `what` reads them from the operations on its key.
pub fn events<'a>(
    evidence: &'a Evidence<'_>,
    key: &starling::ids::Key,
    what: impl Fn(&'a Op) -> Option<What>,
) -> Vec<Event<'a>> {
    evidence
        .ops(key)
        .filter_map(|(number, op)| {
            let what = what(op)?;
            Some(Event { number, op, certainty: evidence.certainty(op), what })
        })
        .collect()
}

impl Event<'_> {
    fn is_cover(&self) -> bool {
        self.what == What::Cover
    }

    fn may_be(&self) -> bool {
        self.certainty != Certainty::MustNot
    }
}

/// Whether `cover` may have seen `write`.
pub fn could_observe(evidence: &Evidence<'_>, cover: &Event<'_>, write: &Event<'_>) -> bool {
    cover.may_be() && write.op.invoked_at <= evidence.minted_by(cover.op)
}

/// Whether `cover` must have seen `write`.
pub fn surely_observed(evidence: &Evidence<'_>, cover: &Event<'_>, write: &Event<'_>) -> bool {
    let Some((acked_at, ack)) = written(write.op) else { return false };
    let Some((_, covered)) = written(cover.op) else { return false };
    if cover.certainty != Certainty::Must || covered.partial || cover.op.request.options.observe == Observe::Local {
        return false;
    }
    evidence.must_meet((write.op.invoked_at, acked_at, ack), cover.op, cover.op.request.options.r)
}

/// Whether the cell must be there: a write that nothing can have covered; or must not: every write was surely covered.
/// Where the later stamp decides, a cover that did not see the write may still outdate it, if it came no more than
/// `ahead` before.
pub fn presence(evidence: &Evidence<'_>, events: &[Event<'_>], ahead: Duration) -> Presence {
    let covers: Vec<&Event<'_>> = events.iter().filter(|event| event.is_cover() && event.may_be()).collect();
    let raises: Vec<&Event<'_>> = events.iter().filter(|event| !event.is_cover() && event.may_be()).collect();
    let survives = |raise: &&&Event<'_>| {
        let is_out_of_reach = |cover: &&Event<'_>| raise.op.invoked_at > evidence.minted_by(cover.op).after(ahead);
        raise.certainty == Certainty::Must && covers.iter().all(is_out_of_reach)
    };
    let is_gone = |raise: &&Event<'_>| covers.iter().any(|cover| surely_observed(evidence, cover, raise));
    if raises.iter().any(|raise| survives(&raise)) {
        Presence::Must
    } else if raises.iter().all(is_gone) {
        Presence::MustNot
    } else {
        Presence::May
    }
}

/// What is wrong about a counter that shows `sum`.
///
/// Increments that nothing can have covered are in it, those that were surely covered are not, and of the others any
/// may be. With few enough of these the sum is searched exactly, else it must lie between the extremes.
pub fn wrong_sum(evidence: &Evidence<'_>, events: &[Event<'_>], sum: i128) -> Option<String> {
    let covers: Vec<&Event<'_>> = events.iter().filter(|event| event.is_cover() && event.may_be()).collect();
    let (mut required, mut optional) = (0, Vec::new());
    for event in events {
        let What::Add(by) = event.what else { continue };
        if !event.may_be() || covers.iter().any(|cover| surely_observed(evidence, cover, event)) {
            continue;
        }
        let is_safe = !covers.iter().any(|cover| could_observe(evidence, cover, event));
        if event.certainty == Certainty::Must && is_safe {
            required += by;
        } else {
            optional.push(by);
        }
    }
    wrong_rest(required, &optional, sum)
}

/// What is wrong about a sum that must hold `required`, and may hold any of `optional`.
pub fn wrong_rest(required: i128, optional: &[i128], sum: i128) -> Option<String> {
    let rest = sum - required;
    let is_good = match SubsetSums::of(optional) {
        Some(sums) => sums.contains(rest),
        None => {
            let least: i128 = optional.iter().filter(|by| **by < 0).sum();
            let most: i128 = optional.iter().filter(|by| **by > 0).sum();
            (least..=most).contains(&rest)
        }
    };
    (!is_good).then(|| {
        format!(
            "counts {sum}; {required} must be in it, and {} more that may or may not be cannot make up the rest of {rest}",
            optional.len()
        )
    })
}

/// What is wrong about a register that shows `shown`. The last writer wins by stamp, and stamps follow clocks that are
/// off by at most a known bound: a write that ended before another was invoked, by more than twice that bound, never
/// wins over it. A cover writes "nothing".
pub fn wrong_last(evidence: &Evidence<'_>, events: &[Event<'_>], shown: Option<&Bytes>) -> Option<String> {
    let is_winner = |event: &&Event<'_>| match (&event.what, shown) {
        (What::Write(value), Some(shown)) => event.may_be() && value == shown,
        (What::Cover, None) => event.may_be(),
        _ => false,
    };
    let latest: Option<Timestamp> = events.iter().filter(is_winner).map(|event| evidence.minted_by(event.op)).max();
    let certain = || events.iter().filter(|event| event.certainty == Certainty::Must);
    let Some(latest) = latest else {
        let is_untouched = shown.is_none() && certain().next().is_none();
        return (!is_untouched).then(|| format!("shows {shown:?}, which no write that may be applied has written"));
    };
    let margin = evidence.world.skew_bound() * 2 + Duration::from_secs(1);
    certain().find(|event| event.op.invoked_at > latest.after(margin)).map(|later| {
        format!("shows {shown:?}, but {:?} of {:?} was acknowledged and came later", later.what, later.number)
    })
}
