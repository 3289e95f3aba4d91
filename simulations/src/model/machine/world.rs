//! The state of the world: owners, a fallback, what is in flight, and the ghosts.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::Rules;
use super::values::{Actor, Bits, SessionEvent, Settled, Values};

/// What a crash takes back to its last durable form.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Data<V> {
    /// The keys.
    pub keys: Vec<Key<V>>,
    /// What this owner has settled.
    pub settled: Settled,
}

/// One key at one node.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Key<V> {
    /// Its state.
    pub row: V,
    /// The newest own event by actor (the row's header).
    pub minted: BTreeMap<Actor, u8>,
    /// Ghosts of what it has taken.
    pub ghosts: Ghosts,
    /// Ghosts of what a copy brought back: only that may be given up.
    pub copied: Ghosts,
}

/// What a replica of a key has taken, by the meaning of the operations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Ghosts {
    /// Events counted.
    pub counted: Bits,
    /// Events that a known reset had observed.
    pub reset: Bits,
    /// Adds.
    pub added: Bits,
    /// Adds that a known removal had observed.
    pub removed: Bits,
    /// The register write with the largest stamp.
    pub newest: Option<(u128, Option<u8>)>,
}

/// A report of an owner (R8, R10).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Report {
    /// Through which tick.
    pub tick: u8,
    /// Of what.
    pub digest: u128,
    /// The incarnations of all owners as the reporter knew them.
    pub tags: Vec<u8>,
}

/// What a node answers to a round of an owner.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Answer {
    /// Its incarnation.
    pub life: u8,
    /// Whether it accepts.
    pub is_established: bool,
    /// What it has sealed.
    pub sealed: u8,
    /// What it has settled.
    pub settled: Settled,
    /// Its report.
    pub report: Option<Report>,
    /// Its report of baselines.
    pub baselines: Option<Report>,
}

/// A node of the accept set.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Node<V> {
    /// Now.
    pub now: Data<V>,
    /// After a crash.
    pub durable: Data<V>,
    /// The incarnation of its directory.
    pub life: u8,
    /// The epoch of its start.
    pub epoch: u8,
    /// f: it refuses events of ticks ≤ this.
    pub sealed: u8,
    /// z: ticks ≤ this change by exchange only.
    pub frozen: u8,
    /// Not established: it accepts nothing.
    pub is_newborn: bool,
    /// The sync under way.
    pub source: Option<Sync>,
    /// What it heard last of each node in its rounds; lost by a crash.
    pub heard: Vec<Option<Answer>>,
    /// Its own report.
    pub report: Option<Report>,
    /// Its own report of baselines.
    pub baselines: Option<Report>,
    /// How often it was started.
    pub start: u8,
    /// In which start it last heard each other node.
    pub starts: BTreeMap<u8, u8>,
    /// What its clock has shown, which no copy takes back: as far as it has ever sealed.
    pub wall: u8,
    /// A fallback that has lost the memory of its seals refuses up to here.
    pub refusing: u8,
    /// An earlier copy of its directory.
    pub copy: Option<Box<Copy<V>>>,
}

/// A directory as it was: all that is durable.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Copy<V> {
    /// Rows, and how far they are settled.
    pub data: Data<V>,
    /// Which directory.
    pub life: u8,
    /// f.
    pub sealed: u8,
    /// z.
    pub frozen: u8,
    /// Whether it was established.
    pub is_newborn: bool,
}

/// A complete exchange that a newborn, or an owner that is behind, takes from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Sync {
    /// From whom.
    pub owner: u8,
    /// In which incarnation.
    pub life: u8,
    /// What it had settled at the first page.
    pub first: Settled,
    /// The key that comes next.
    pub next: u8,
}

/// Something in flight: deliverable at any time, any number of times, or never.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Message<P> {
    /// Of which key.
    pub key: u8,
    /// What it carries.
    pub parts: Vec<P>,
    /// Ghosts of the adds that its sender knew.
    pub added: Bits,
    /// Of those, removed.
    pub removed: Bits,
    /// Live in it.
    pub live: Bits,
    /// An exchange of this owner in this incarnation that had folded so far; else a delta, or a stale state.
    pub exchange: Option<(u8, u8, u8)>,
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct World<V: Values> {
    /// The owners, then the fallback if there is one.
    pub nodes: Vec<Node<V>>,
    /// Everything ever sent.
    pub net: BTreeSet<Message<V::Part>>,
    /// Last words of incarnations that are no more.
    pub late: Vec<(u8, Answer)>,
    /// How many counted ghosts there are.
    pub counted: u8,
    /// Those of them that take away.
    pub negative: Bits,
    /// How many adds and register writes there were.
    pub writes: u8,
    /// How much of each budget is used.
    pub used: Budget,
}

/// How often each kind of step may happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Budget {
    /// Requests of sessions.
    pub requests: u8,
    /// Untagged increments.
    pub increments: u8,
    /// Resets.
    pub resets: u8,
    /// Resets that observe another owner too.
    pub observed: u8,
    /// Adds of dots.
    pub adds: u8,
    /// Removals of dots.
    pub removals: u8,
    /// Register writes.
    pub sets: u8,
    /// Register deletions.
    pub deletes: u8,
    /// Deliveries that changed something.
    pub deliveries: u8,
    /// Exchanges that changed something.
    pub exchanges: u8,
    /// Exchanges that travel.
    pub ships: u8,
    /// Whole states that travel without being exchanges.
    pub snapshots: u8,
    /// Crashes.
    pub crashes: u8,
    /// Wipes.
    pub wipes: u8,
    /// Directories that are replaced by earlier copies.
    pub restores: u8,
}

/// An instance: how large the world is, and which rules hold.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its name in reports.
    pub name: &'static str,
    /// Owners.
    pub owners: usize,
    /// Whether there is a fallback.
    pub has_fallback: bool,
    /// Keys.
    pub keys: u8,
    /// Sessions: their tick and whether their events add (or take away). They write the keys in turn.
    pub sessions: Vec<(u8, Vec<bool>)>,
    /// The largest tick that is ever sealed.
    pub ticks: u8,
    /// The longest lease of an actor, in ticks.
    pub lease: u8,
    /// Whether every step is durable at once.
    pub is_durable: bool,
    /// Whether baselines are folded and settled things forgotten.
    pub forgets: bool,
    /// How often each kind of step may happen.
    pub budget: Budget,
    /// The rules.
    pub rules: Rules,
}

impl Instance {
    /// How the world begins: everybody is established, and nobody has heard of anybody.
    pub fn world<V: Values>(&self) -> World<V> {
        let nodes = self.owners + usize::from(self.has_fallback);
        let key =
            Key { row: V::default(), minted: BTreeMap::new(), ghosts: Ghosts::default(), copied: Ghosts::default() };
        let data = Data { keys: vec![key; usize::from(self.keys)], settled: Settled::default() };
        let node = Node { heard: vec![None; nodes], now: data.clone(), durable: data, ..Node::default() };
        let events = self.sessions.iter().flat_map(|session| &session.1);
        World {
            nodes: vec![node; nodes],
            counted: events.clone().count() as u8,
            negative: events.enumerate().fold(0, |all, (ghost, adds)| if *adds { all } else { all | 1 << ghost }),
            net: BTreeSet::new(),
            late: vec![],
            writes: 0,
            used: Budget::default(),
        }
    }

    /// What a client sends for an event (from 1) of a session, and for which key.
    pub fn session_event(&self, session: usize, event: u8) -> (u8, SessionEvent) {
        let first: usize = self.sessions[..session].iter().map(|session| session.1.len()).sum();
        let (tick, events) = &self.sessions[session];
        let actor = Actor { tick: *tick, kind: 0, number: session as u8, epoch: 0 };
        let mut sent = SessionEvent { actor, event, p: 0, n: 0 };
        for (index, adds) in events[..usize::from(event)].iter().enumerate() {
            if *adds {
                sent.p |= 1 << (first + index);
            } else {
                sent.n |= 1 << (first + index);
            }
        }
        (session as u8 % self.keys, sent)
    }
}
