//! Clients: the names under which they ask, and what they keep from one request to the next.
//!
//! A session sends an event until it is acknowledged, through whichever node the scheduler picks, and only then begins the
//! next one; after its tick it sends a few times more, for requests may be late, and takes a new name. The second step of
//! a reset is sent as often as the scheduler likes, always with the same context. No other write is sent twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use starling::causality::{ActorId, Epoch, Tenure, Tick};
use starling::ids::Key;
use starling::message::client::{Command, SessionWrite};

use super::cluster::Cluster;
use super::instance::Instance;
use super::record::{Fate, Place};
use super::writes::{Asked, What};

/// How often a session sends an event after its tick has passed.
const LATE_SENDS: u8 = 2;

/// The clients, and what they asked.
#[derive(Debug)]
pub struct Clients {
    pub(super) keys: Vec<Key>,
    sessions: Vec<Option<Session>>,
    /// Names that were given to sessions.
    names: u64,
    pub(super) ops: Vec<Op>,
    /// By key, what was observed last for a reset (`None`) or for setting a number.
    pub(super) contexts: BTreeMap<u8, (Bytes, Option<i64>)>,
    /// By key, which siblings were read last.
    pub(super) read: BTreeMap<u8, Bytes>,
}

#[derive(Debug)]
struct Session {
    actor: ActorId,
    late_sends: u8,
    keys: BTreeMap<u8, OnKey>,
}

/// What a session did to a key.
#[derive(Clone, Copy, Debug, Default)]
struct OnKey {
    event: u64,
    p: u128,
    n: u128,
    /// The increment of the last event, until it is acknowledged.
    open: Option<usize>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Op {
    /// Whom it was sent to.
    pub node: usize,
    /// About which key.
    pub key: u8,
    /// The increment that it brings.
    pub increment: Option<(Place, usize)>,
    /// What else it brings.
    pub asked: Asked,
    /// The client of a session.
    pub client: Option<u8>,
    /// Nothing came yet, and the node has run since.
    pub is_open: bool,
    /// What the client was told.
    pub fate: Option<Fate>,
    /// How often each node's directory had been lost.
    pub wipes: Vec<u32>,
}

impl Clients {
    /// Nobody has asked anything.
    pub fn new(instance: &Instance) -> Clients {
        let key = |number: usize| Key::new(format!("key-{number}")).expect("a short key");
        Clients {
            keys: (0..instance.keys.len()).map(key).collect(),
            sessions: (0..instance.sessions).map(|_| None).collect(),
            names: 0,
            ops: Vec::new(),
            contexts: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// The keys, by number.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.ops.len()
    }

    /// Whether every request to put this value on the key was refused.
    pub fn is_refused(&self, key: u8, value: &Bytes) -> bool {
        let is_it = |op: &&Op| op.key == key && op.asked.what == What::Register(Some(value.clone()));
        let mut puts = self.ops.iter().filter(is_it).peekable();
        puts.peek().is_some() && puts.all(|op| op.fate == Some(Fate::Refused))
    }

    /// A process ended: its clients hear nothing any more.
    pub fn on_stopped(&mut self, node: usize) {
        for op in self.ops.iter_mut().filter(|op| op.node == node) {
            op.is_open = false;
        }
    }

    /// An event of a session was acknowledged.
    pub(super) fn on_acknowledged(&mut self, op: &Op) {
        if let (Some(client), Some((_, increment))) = (op.client, op.increment)
            && let Some(Some(session)) = self.sessions.get_mut(usize::from(client))
            && let Some(on) = session.keys.get_mut(&op.key)
            && on.open == Some(increment)
        {
            on.open = None;
        }
    }
}

impl Cluster {
    /// The next thing that a session sends on a key: which increment, and how.
    pub(super) fn count(&mut self, client: u8, key: u8) -> Option<(usize, Command)> {
        let tick = Tick::at(super::node::wall(self.now), self.instance.config().tick);
        let Clients { sessions, names, .. } = &mut self.clients;
        let place = sessions.get_mut(usize::from(client))?;
        if let Some(session) = place.as_mut().filter(|session| session.actor.expires <= tick) {
            session.late_sends += 1;
            let has_open = session.keys.get(&key).is_some_and(|on| on.open.is_some());
            if !has_open || session.late_sends > LATE_SENDS {
                *place = None;
            }
        }
        let session = place.get_or_insert_with(|| {
            *names += 1;
            // The tick after next, or one more: within the longest lease.
            let expires = Tick(tick.0 + 2 + u32::from(client % 2));
            let actor = ActorId { expires, epoch: Epoch(*names), tenure: Tenure::SESSION };
            Session { actor, late_sends: 0, keys: BTreeMap::new() }
        });
        let on = session.keys.entry(key).or_default();
        let actor = session.actor;
        let increment = match on.open {
            Some(open) => open,
            None => {
                let (increment, by) = self.record.begin((key, None), Some(actor))?;
                on.event += 1;
                let part = if by < 0 { &mut on.n } else { &mut on.p };
                *part += u128::from(by.unsigned_abs());
                on.open = Some(increment);
                increment
            }
        };
        let write = SessionWrite { actor, event: on.event, p: on.p, n: on.n };
        Some((increment, Command::IncrementAs(write)))
    }
}
