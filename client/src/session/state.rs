//! The session as a machine without I/O: which event to send, what an answer means, when to take another name.
//!
//! ```text
//!              add                        event free, lease fresh               acknowledged
//!   (caller) ───────→ waiting for its key ─────────────────────────→ under way ──────────────→ applied
//!                        │ withdraw                                   │  │  └─ refused, never in doubt → not applied
//!                        ▼                            no answer: retry│  └─ lease over, or expired ───→ unknown
//!                     not applied                                     └──┘ (from then on in doubt)
//! ```
//!
//! An event carries everything that its session ever added to the key, so a repetition changes nothing and the larger
//! event contains the smaller. Rules that make each acknowledged increment count once:
//!
//! - a key has at most one event under way in a session; what comes meanwhile waits, and goes into the next together;
//! - an event is sent again unchanged, until it is acknowledged, or certainly not applied, or its session is over;
//! - what went into an event never goes into another one, and never into another session;
//! - event numbers are never used twice: a session that knows too many keys takes a new name instead of forgetting
//!   one, and the number of an event that was refused is not given again.
//!
//! Costs one tree lookup per step. Waiting increments and events under way are bounded by [`Bounds`].
//! Source: `semantics.md` section 2 (the client's session is the actor).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use starling::causality::ActorId;
use starling::ids::Key;
use starling::message::client::SessionWrite;
use starling::time::WallTime;

use super::event::{Answer, Send, Settled, Ticket, UnderWay, Waiting, take_batch};
use super::lease::Lease;
use super::names::{Kept, Named};

/// How much a session may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Keys under one name; at this many the session takes another.
    pub(crate) keys_max: usize,
    /// Bytes of these keys; at so many the session takes another name. A name has at least one key.
    pub(crate) key_bytes_max: usize,
    /// Increments that wait or are under way; a further one is refused.
    pub(crate) increments_max: usize,
    /// How long after its lease an event is still asked for: clocks of nodes may be behind.
    pub(crate) grace: Duration,
}

/// What is to be done after a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Effects<T> {
    /// Send these.
    pub(crate) sends: Vec<Send<T>>,
    /// Send this again after a pause.
    pub(crate) retry: Option<Send<T>>,
    /// Tell these callers.
    pub(crate) settled: Vec<(Ticket, Settled)>,
    /// Get a new lease.
    pub(crate) open: bool,
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Effects { sends: Vec::new(), retry: None, settled: Vec::new(), open: false }
    }
}

/// The session holds as many increments as it may; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The machine. `T` is how increments want to be carried out; only equal ones share an event.
#[derive(Debug)]
pub(crate) struct SessionState<T> {
    bounds: Bounds,
    /// The name under which new events are made.
    current: Option<Named>,
    /// Earlier names that have events under way.
    old: Vec<Named>,
    /// Increments in no event yet.
    waiting: BTreeMap<Key, VecDeque<Waiting<T>>>,
    /// Events under way.
    under_way: BTreeMap<(ActorId, Key), UnderWay<T>>,
    /// Increments that wait or are under way.
    increments: usize,
    next_ticket: u64,
    is_opening: bool,
}

impl<T: Clone + PartialEq> SessionState<T> {
    /// A session without a name: the first increment asks for one.
    pub(crate) fn new(bounds: Bounds) -> SessionState<T> {
        SessionState {
            bounds,
            current: None,
            old: Vec::new(),
            waiting: BTreeMap::new(),
            under_way: BTreeMap::new(),
            increments: 0,
            next_ticket: 0,
            is_opening: false,
        }
    }

    /// An increment comes.
    pub(crate) fn add(&mut self, key: &Key, by: i64, terms: T, now: WallTime) -> Result<(Ticket, Effects<T>), Full> {
        if self.increments >= self.bounds.increments_max {
            return Err(Full);
        }
        let ticket = self.next_ticket();
        self.waiting.entry(key.clone()).or_default().push_back(Waiting { ticket, by, terms });
        let mut effects = Effects::default();
        self.pump(key, now, &mut effects);
        Ok((ticket, effects))
    }

    /// A caller gives up. `true`: its increment was in no event yet, and is forgotten: not applied.
    pub(crate) fn withdraw(&mut self, key: &Key, ticket: Ticket) -> bool {
        let Some(queue) = self.waiting.get_mut(key) else { return false };
        let before = queue.len();
        queue.retain(|waiting| waiting.ticket != ticket);
        let found = queue.len() < before;
        if queue.is_empty() {
            self.waiting.remove(key);
        }
        self.increments -= usize::from(found);
        found
    }

    /// A new lease is there.
    pub(crate) fn opened(&mut self, lease: Lease, now: WallTime) -> Effects<T> {
        self.is_opening = false;
        self.retire();
        self.current = Some(Named::new(lease));
        let mut effects = Effects::default();
        let keys = self.waiting.keys().cloned().collect::<Vec<_>>();
        for key in keys {
            self.pump(&key, now, &mut effects);
        }
        effects
    }

    /// No lease can be had: what waits for one was not applied.
    pub(crate) fn not_opened(&mut self) -> Effects<T> {
        self.is_opening = false;
        let mut effects = Effects::default();
        for waiting in std::mem::take(&mut self.waiting).into_values().flatten() {
            self.increments -= 1;
            effects.settled.push((waiting.ticket, Settled::NotApplied));
        }
        effects
    }

    /// What came of a send.
    pub(crate) fn answered(&mut self, send: &Send<T>, answer: Answer, now: WallTime) -> Effects<T> {
        let mut effects = Effects::default();
        let id = (send.write.actor, send.key.clone());
        let Some(event) = self.under_way.get_mut(&id) else { return effects };
        if event.write.event != send.write.event {
            return effects;
        }
        let is_over = |lease: Option<Lease>| lease.is_none_or(|lease| lease.is_over(now, self.bounds.grace));
        let settled = match answer {
            Answer::Acknowledged => Settled::Applied,
            // An old answer says nothing about the send that is under way now.
            _ if event.attempt != send.attempt => return effects,
            Answer::Expired => Settled::Expired,
            Answer::NotApplied if !event.is_in_doubt => Settled::NotApplied,
            Answer::NotApplied | Answer::MaybeApplied => {
                event.is_in_doubt = true;
                let lease = self.old.iter().chain(&self.current).find(|named| named.lease.actor == id.0);
                if is_over(lease.map(|named| named.lease)) {
                    Settled::Expired
                } else {
                    event.attempt += 1;
                    effects.retry = Some(event.send(&send.key));
                    return effects;
                }
            }
        };
        self.settle(&id, settled, &mut effects);
        if answer == Answer::Expired {
            self.abandon(send.write.actor);
        }
        self.pump(&send.key, now, &mut effects);
        effects
    }

    /// Nothing new under this name: a node refuses it for good. Its events under way go on.
    pub(crate) fn abandon(&mut self, actor: ActorId) {
        if self.current.as_ref().is_some_and(|named| named.lease.actor == actor) {
            self.retire();
        }
    }

    /// By how much an event that is under way changes its key: what it adds, and what it subtracts.
    pub(crate) fn amount(&self, actor: ActorId, key: &Key) -> Option<(u128, u128)> {
        let event = self.under_way.get(&(actor, key.clone()))?;
        let named = self.old.iter().chain(&self.current).find(|named| named.lease.actor == actor)?;
        let base = named.totals(key);
        Some((event.write.p.saturating_sub(base.p), event.write.n.saturating_sub(base.n)))
    }

    /// Increments that have no outcome yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.increments
    }

    /// All that must be kept for another process to go on: names, totals, events under way. Increments that wait are
    /// in no event, so they are not part of it.
    pub(crate) fn snapshot(&self) -> Vec<Kept<T>> {
        let kept = |named: &Named, is_current| {
            let event = |key: &Key| {
                let event = self.under_way.get(&(named.lease.actor, key.clone()))?;
                Some((key.clone(), event.write, event.terms.clone()))
            };
            Kept {
                named: named.clone(),
                is_current,
                under_way: named.keys().filter_map(|(key, _)| event(key)).collect(),
            }
        };
        let old = self.old.iter().map(|named| kept(named, false));
        old.chain(self.current.iter().map(|named| kept(named, true))).collect()
    }

    /// Goes on where another process ended. Its events under way are in doubt: they may have been sent. Each is told
    /// with a ticket by which its outcome will be known.
    pub(crate) fn restore(bounds: Bounds, kept: Vec<Kept<T>>) -> (SessionState<T>, Vec<(Ticket, Send<T>)>) {
        let mut session = SessionState::new(bounds);
        let mut resumed = Vec::new();
        for Kept { named, is_current, under_way } in kept {
            for (key, write, terms) in under_way {
                let ticket = session.next_ticket();
                let event = UnderWay { write, terms, attempt: 1, is_in_doubt: true, tickets: vec![ticket] };
                resumed.push((ticket, event.send(&key)));
                session.under_way.insert((named.lease.actor, key), event);
            }
            // An old name has forgotten keys, so no new event may be made under it.
            session.current = Some(named);
            if !is_current {
                session.retire();
            }
        }
        (session, resumed)
    }

    fn next_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.increments += 1;
        ticket
    }

    /// Makes the next event of a key, if it may go out.
    fn pump(&mut self, key: &Key, now: WallTime, effects: &mut Effects<T>) {
        if !self.waiting.contains_key(key) {
            return;
        }
        let bounds = &self.bounds;
        let usable = self.current.as_mut().filter(|named| named.lease.is_fresh(now) && named.has_room_for(key, bounds));
        let Some(named) = usable else {
            effects.open |= !std::mem::replace(&mut self.is_opening, true);
            return;
        };
        let actor = named.lease.actor;
        let id = (actor, key.clone());
        if self.under_way.contains_key(&id) {
            return;
        }
        let Some(queue) = self.waiting.get_mut(key) else { return };
        let totals = named.totals_mut(key);
        let Some((batch, added, taken)) = take_batch(queue) else { return };
        if queue.is_empty() {
            self.waiting.remove(key);
        }
        totals.event += 1;
        let (p, n) = (totals.p.saturating_add(added), totals.n.saturating_add(taken));
        let write = SessionWrite { actor, event: totals.event, p, n };
        let Some(first) = batch.first() else { return };
        let event = UnderWay {
            write,
            terms: first.terms.clone(),
            attempt: 1,
            is_in_doubt: false,
            tickets: batch.iter().map(|waiting| waiting.ticket).collect(),
        };
        effects.sends.push(event.send(key));
        self.under_way.insert(id, event);
    }

    /// An event is done: its callers learn it, and what it added stays in the totals unless it certainly does not count.
    fn settle(&mut self, id: &(ActorId, Key), settled: Settled, effects: &mut Effects<T>) {
        let Some(event) = self.under_way.remove(id) else { return };
        self.increments -= event.tickets.len();
        effects.settled.extend(event.tickets.into_iter().map(|ticket| (ticket, settled)));
        match self.current.as_mut().filter(|named| named.lease.actor == id.0) {
            Some(named) => {
                if settled != Settled::NotApplied {
                    let totals = named.totals_mut(&id.1);
                    (totals.p, totals.n) = (event.write.p, event.write.n);
                }
            }
            // Nothing new comes under an old name, so its totals are needed no more.
            None => {
                self.old.iter_mut().filter(|named| named.lease.actor == id.0).for_each(|named| {
                    named.retain(|key| *key != id.1);
                });
                self.old.retain(|named| !named.is_empty());
            }
        }
    }

    /// The present name becomes an old one; it is forgotten when nothing of it is under way.
    fn retire(&mut self) {
        let Some(mut named) = self.current.take() else { return };
        let actor = named.lease.actor;
        let under_way = &self.under_way;
        named.retain(|key| under_way.contains_key(&(actor, key.clone())));
        if !named.is_empty() {
            self.old.push(named);
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
