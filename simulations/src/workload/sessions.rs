//! Clients that count exactly once: each has a session, which is the actor of what it counts.
//!
//! ```text
//! add ─→ nothing unanswered on the key? ─ yes ─→ event + 1, cumulative totals ─→ sent until it is answered
//!                                        └ no ─→ waits, and joins the next event
//! the lease ends ─→ a new session; what the old one sent is sent on under the old name, never under the new one
//! ```
//!
//! Leases are a few ticks long, so sessions roll over all the time, and rows of sessions come and go.

use std::collections::BTreeMap;
use std::time::Duration;

use starling::causality::{ActorId, Epoch, Tenure, Tick};
use starling::ids::Key;
use starling::message::client::{Command, Options, Request, SessionWrite};
use starling::time::{Timestamp, WallTime, micros};

use super::resend::{Progress, Resend};
use crate::world::World;
use crate::world::chance::Chance;
use crate::world::clock::WORLD_START;

/// Sessions that are open at a time.
const CLIENTS: u64 = 6;

/// How long a client still sends under a session that has expired: a request may be late.
const AFTER_EXPIRY: Duration = Duration::from_secs(4);

/// The clients.
#[derive(Debug, Default)]
pub struct SessionClients {
    /// By client, the session that is open; older ones stay until nothing of them is unanswered.
    sessions: Vec<Session>,
}

/// One session.
#[derive(Debug)]
struct Session {
    client: u64,
    actor: ActorId,
    /// No new event after that.
    ends_at: Timestamp,
    keys: BTreeMap<Key, OnKey>,
}

/// What a session did to a key.
#[derive(Debug, Default)]
struct OnKey {
    event: u64,
    p: u128,
    n: u128,
    /// Steps that wait for the answer to the last event.
    waiting: Vec<i64>,
    open: Option<Resend>,
}

impl SessionClients {
    /// Some client adds to a key.
    pub fn add(&mut self, world: &mut World, chance: &mut Chance, key: &Key, by: i64) {
        let client = chance.below(CLIENTS);
        let now = world.now();
        let open = self.sessions.iter().position(|session| session.client == client && session.ends_at > now);
        let place = open.unwrap_or_else(|| {
            self.sessions.push(Session::begin(world, chance, client));
            self.sessions.len() - 1
        });
        if let Some(session) = self.sessions.get_mut(place) {
            session.add(world, chance, key, by);
        }
    }

    /// Looks for answers, sends again, and sends what has waited.
    pub fn go_on(&mut self, world: &mut World, chance: &mut Chance) {
        for session in &mut self.sessions {
            session.go_on(world, chance);
        }
        let now = world.now();
        self.sessions.retain(|session| session.ends_at > now || session.keys.values().any(|on| on.open.is_some()));
    }

    /// Whether nothing is unanswered.
    pub fn is_quiet(&self) -> bool {
        self.sessions.iter().all(|session| session.keys.values().all(|on| on.open.is_none()))
    }
}

impl Session {
    fn begin(world: &World, chance: &mut Chance, client: u64) -> Session {
        let config = &world.options.config;
        let now = Tick::at(WallTime(WORLD_START + world.now().0), config.tick);
        let ticks = chance.between(2, 10).min(u64::from(config.actor_lease_ticks.max(2))) as u32;
        let expires = Tick(now.0 + ticks);
        let actor = ActorId { expires, epoch: Epoch(chance.number()), tenure: Tenure(u32::MAX) };
        let ends_at = Timestamp((u64::from(expires.0) * micros(config.tick)).saturating_sub(WORLD_START));
        Session { client, actor, ends_at, keys: BTreeMap::new() }
    }

    fn add(&mut self, world: &mut World, chance: &mut Chance, key: &Key, by: i64) {
        let on = self.keys.entry(key.clone()).or_default();
        on.waiting.push(by);
        self.send_waiting(world, chance, key);
    }

    fn send_waiting(&mut self, world: &mut World, chance: &mut Chance, key: &Key) {
        let gives_up_at = self.ends_at.after(AFTER_EXPIRY);
        let Some(on) = self.keys.get_mut(key) else { return };
        if on.open.is_some() || on.waiting.is_empty() {
            return;
        }
        on.event += 1;
        for by in on.waiting.drain(..) {
            let total = if by < 0 { &mut on.n } else { &mut on.p };
            *total += u128::from(by.unsigned_abs());
        }
        let write = SessionWrite { actor: self.actor, event: on.event, p: on.p, n: on.n };
        let request = Request { key: key.clone(), command: Command::IncrementAs(write), options: Options::default() };
        on.open = Some(Resend::begin(world, chance, self.client, request, gives_up_at));
    }

    fn go_on(&mut self, world: &mut World, chance: &mut Chance) {
        let is_over = world.now() >= self.ends_at;
        let keys: Vec<Key> = self.keys.iter().filter(|(_, on)| on.open.is_some()).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(on) = self.keys.get_mut(&key) else { continue };
            let Some(open) = &mut on.open else { continue };
            match open.go_on(world, chance) {
                Progress::Open => {}
                Progress::Answered(_) if !is_over => {
                    on.open = None;
                    self.send_waiting(world, chance, &key);
                }
                Progress::Answered(_) | Progress::GivenUp => {
                    on.open = None;
                    on.waiting.clear();
                }
            }
        }
    }
}
