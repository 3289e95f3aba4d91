//! Exactly-once increments: a session has a name of its own in the cluster's counters, and says everything that it ever
//! added to a key, so that repeating it changes nothing.
//!
//! ```text
//! Session (this file)   callers                                 state    what to send next (no I/O)
//! delivery              sends, retries, leases                   event    what is sent for increments
//! kept, form            a session in files, for programs         names    what was done under each name
//!                       that end and come back                   lease    a name, and until when
//!                                                                clock    the cluster's time
//! ```
//!
//! [`crate::Client::increment`] uses a session by itself; open one with [`crate::Client::session`] to set its lease. A
//! caller waits until its deadline; the session goes on sending what may have been applied until the cluster
//! acknowledges it, refuses it, or the lease is over, as long as a handle of the session lives. Costs one question for
//! the terms per lease, and a task per event under way.

mod clock;
mod delivery;
mod event;
mod form;
mod kept;
mod lease;
mod names;
mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starling::ids::{Key, NodeId};
use starling::message::client::{Options, WriteReply};
use tokio::sync::{oneshot, watch};

pub use kept::{KeptError, Resumed};

use crate::caller::Caller;
use crate::error::Error;
use clock::ClusterClock;
use event::Ticket;
use kept::KeptFile;
use state::{Bounds, Effects, SessionState};

/// How long after its lease a session still asks what became of an event: clocks of nodes may be behind.
const GRACE: Duration = Duration::from_secs(30);

/// How a session behaves. Change what you need of the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// How long the session keeps one name, at least, if the cluster allows it; then it takes another by itself. A short
    /// one costs more names, a long one keeps rows of this session in the cluster longer. Default 60 s.
    pub lease: Duration,
    /// Keys under one name; at this many the session takes another. Default 65,536.
    pub keys_max: usize,
    /// Bytes of these keys; at so many the session takes another name. Default 16 MiB.
    pub key_bytes_max: usize,
    /// Increments that have no outcome yet; a further one is refused. Default 65,536.
    pub increments_max: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            lease: Duration::from_secs(60),
            keys_max: 65_536,
            key_bytes_max: 16 * 1024 * 1024,
            increments_max: 65_536,
        }
    }
}

impl SessionConfig {
    /// For a program that increments once and ends: its rows leave the cluster soon.
    pub fn one_shot() -> SessionConfig {
        SessionConfig { lease: Duration::from_secs(10), ..SessionConfig::default() }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            keys_max: self.keys_max,
            key_bytes_max: self.key_bytes_max,
            increments_max: self.increments_max,
            grace: GRACE,
        }
    }
}

/// Increments that count exactly once. Cheap to clone; clones are one session.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    caller: Caller,
    config: SessionConfig,
    inner: Mutex<Inner>,
    /// Where the session is written down before anything is sent.
    kept: Option<KeptFile>,
    /// How many increments have no outcome yet.
    unsettled: watch::Sender<usize>,
}

struct Inner {
    state: SessionState<Terms>,
    callers: HashMap<Ticket, oneshot::Sender<Result<WriteReply, Error>>>,
    /// Why the last send of a key's event has no answer; only of keys with an event in doubt.
    doubts: HashMap<Key, String>,
    clock: ClusterClock,
}

/// How an increment is to be carried out; those that differ share no event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Terms {
    pinned: Option<NodeId>,
    options: Options,
}

impl Session {
    pub(crate) fn new(caller: Caller, config: SessionConfig) -> Session {
        let state = SessionState::new(config.bounds());
        Session::with(caller, config, state, ClusterClock::from_ahead(0), None)
    }

    fn with(
        caller: Caller,
        config: SessionConfig,
        state: SessionState<Terms>,
        clock: ClusterClock,
        kept: Option<KeptFile>,
    ) -> Session {
        let inner = Inner { state, callers: HashMap::new(), doubts: HashMap::new(), clock };
        let (unsettled, _) = watch::channel(0);
        Session { shared: Arc::new(Shared { caller, config, inner: Mutex::new(inner), kept, unsettled }) }
    }

    /// Adds to the number of a key exactly once; `by` may be negative. `Ok`: it counts. An error whose outcome is
    /// *unknown* is [`Error::InDoubt`] (this session goes on asking) or [`Error::SessionOver`]; any other: it does not
    /// count and never will.
    pub async fn increment(&self, key: &Key, by: i64, options: &Options) -> Result<WriteReply, Error> {
        self.increment_on(self.shared.caller.pinned, key, by, options).await
    }

    /// Subtracts, exactly once. See [`Session::increment`].
    pub async fn decrement(&self, key: &Key, by: i64, options: &Options) -> Result<WriteReply, Error> {
        let Some(by) = by.checked_neg() else { return Err(Error::not_negatable(by)) };
        self.increment(key, by, options).await
    }

    /// Waits until every increment of this session has an outcome: at the latest when its lease and a grace of half a
    /// minute are over.
    pub async fn settled(&self) {
        let mut unsettled = self.shared.unsettled.subscribe();
        // The sender lives in `self`.
        let _ = unsettled.wait_for(|count| *count == 0).await;
        self.shared.keep().await.ok();
    }

    /// Increments that have no outcome yet.
    pub fn unsettled(&self) -> usize {
        *self.shared.unsettled.borrow()
    }

    pub(crate) async fn increment_on(
        &self,
        pinned: Option<NodeId>,
        key: &Key,
        by: i64,
        options: &Options,
    ) -> Result<WriteReply, Error> {
        let shared = &self.shared;
        let engine = &shared.caller.engine;
        let wait = shared.caller.allowed(options) + engine.config.deadline_slack * 2;
        let terms = Terms { pinned, options: options.clone() };
        let (sender, receiver) = oneshot::channel();
        let (ticket, effects) = {
            let mut inner = shared.lock();
            let now = inner.clock.now();
            let added = inner.state.add(key, by, terms.clone(), now);
            let Ok((ticket, effects)) = added else {
                let cause = format!("the session has {} increments without an outcome", shared.config.increments_max);
                return Err(Error::NotSent { cause });
            };
            inner.callers.insert(ticket, sender);
            (ticket, effects)
        };
        let patient = Patient { session: self, key, ticket };
        shared.act(effects, None, &terms);
        let outcome = match tokio::time::timeout(wait, receiver).await {
            Ok(Ok(outcome)) => outcome,
            // The sender stays in the table until it is used or withdrawn.
            Ok(Err(_)) => Err(Error::InDoubt { cause: "the session has ended".into() }),
            Err(_) if patient.give_up() => {
                let cause = "an earlier increment of the key had no answer before the deadline".into();
                Err(Error::NotSent { cause })
            }
            Err(_) => {
                let doubt = shared.lock().doubts.get(key).cloned();
                Err(Error::InDoubt { cause: doubt.unwrap_or_else(|| "no acknowledgement before the deadline".into()) })
            }
        };
        // What is not written down now would only be asked for once more by a later process.
        shared.keep().await.ok();
        outcome
    }
}

/// A caller that waits. When it goes away, an increment that was in no event yet is forgotten.
struct Patient<'a> {
    session: &'a Session,
    key: &'a Key,
    ticket: Ticket,
}

impl Patient<'_> {
    /// Whether the increment was in no event yet, and now is certainly not applied.
    fn give_up(&self) -> bool {
        let mut inner = self.session.shared.lock();
        inner.callers.remove(&self.ticket);
        let withdrawn = inner.state.withdraw(self.key, self.ticket);
        self.session.shared.count(&inner);
        withdrawn
    }
}

impl Drop for Patient<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in there can panic half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, inner: &Inner) {
        let count = inner.state.unsettled();
        self.unsettled.send_if_modified(|last| std::mem::replace(last, count) != count);
    }

    /// Does what a step asks for. `cause`: what came of the send that led to it.
    fn act(self: &Arc<Self>, effects: Effects<Terms>, cause: Option<&Result<WriteReply, Error>>, terms: &Terms) {
        {
            let mut inner = self.lock();
            for (ticket, settled) in effects.settled {
                if let Some(caller) = inner.callers.remove(&ticket) {
                    // A caller that went away wants nothing any more.
                    let _ = caller.send(delivery::outcome(settled, cause));
                }
            }
            self.count(&inner);
        }
        for send in effects.sends {
            tokio::spawn(delivery::deliver(Arc::downgrade(self), send));
        }
        if effects.open {
            tokio::spawn(delivery::open(Arc::downgrade(self), terms.clone()));
        }
    }

    /// Writes the session down, if it is kept in a file and has changed since.
    async fn keep(&self) -> Result<(), KeptError> {
        match &self.kept {
            Some(kept) => {
                kept.save(|| {
                    let inner = self.lock();
                    (inner.clock.ahead_us(), inner.state.snapshot())
                })
                .await
            }
            None => Ok(()),
        }
    }
}
