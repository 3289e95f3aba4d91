//! Events: what is sent for increments, and which increments may share one.

use std::collections::VecDeque;

use starling::ids::Key;
use starling::message::client::SessionWrite;

/// Names one increment of one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// An increment in no event yet.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub(crate) ticket: Ticket,
    pub(crate) by: i64,
    pub(crate) terms: T,
}

/// An event that has no outcome yet.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay<T> {
    pub(crate) write: SessionWrite,
    pub(crate) terms: T,
    /// Of the last send.
    pub(crate) attempt: u32,
    /// Some send of it may have been applied.
    pub(crate) is_in_doubt: bool,
    pub(crate) tickets: Vec<Ticket>,
}

/// An event to be sent. It may be sent any number of times, through any node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Send<T> {
    pub(crate) key: Key,
    pub(crate) write: SessionWrite,
    /// How it is to be carried out: all increments in it want the same.
    pub(crate) terms: T,
    /// Counts the sends of this event.
    pub(crate) attempt: u32,
}

/// What came of one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is applied.
    Acknowledged,
    /// This send changed nothing, and never will.
    NotApplied,
    /// It may have been applied, or may still be.
    MaybeApplied,
    /// A node says that the session has expired, and cannot tell what became of other sends.
    Expired,
}

/// What became of increments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// They count, once each.
    Applied,
    /// They do not count, and never will.
    NotApplied,
    /// The session is over: they count if one of their sends was applied. They are never sent again.
    Expired,
}

impl<T: Clone> UnderWay<T> {
    /// The event as it is sent now.
    pub(crate) fn send(&self, key: &Key) -> Send<T> {
        Send { key: key.clone(), write: self.write, terms: self.terms.clone(), attempt: self.attempt }
    }
}

/// Takes from the front what may share an event: equal terms, and sums that a node accepts as one increment. Gives the
/// sum of the increments and that of the decrements.
pub(crate) fn take_batch<T: PartialEq>(queue: &mut VecDeque<Waiting<T>>) -> Option<(Vec<Waiting<T>>, u128, u128)> {
    const SUM_MAX: u128 = i64::MAX as u128;
    let first = queue.pop_front()?;
    let amounts =
        |by: i64| if by < 0 { (0, u128::from(by.unsigned_abs())) } else { (u128::from(by.unsigned_abs()), 0) };
    let (mut added, mut taken) = amounts(first.by);
    let mut batch = vec![first];
    while let (Some(next), Some(head)) = (queue.front(), batch.first()) {
        let (p, n) = amounts(next.by);
        if next.terms != head.terms || added + p > SUM_MAX || taken + n > SUM_MAX {
            break;
        }
        (added, taken) = (added + p, taken + n);
        batch.extend(queue.pop_front());
    }
    Some((batch, added, taken))
}
