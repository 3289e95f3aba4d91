//! Increments: untagged, or exactly once by sessions; on many keys, and on one hot key.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use starling::causality::{ActorId, Epoch, Tenure, Tick};
use starling::ids::Key;
use starling::message::client::{Command, SessionWrite};

use super::{Bus, Cost, time_of};

/// Keys of the loads that spread.
const KEYS: usize = 20_000;

/// Operations under way on many keys.
const SPREAD: usize = 64;

/// Operations under way on the hot key, and sessions that write it.
const HOT: usize = 1000;

/// Measures them; the first is what the others are compared with, pair by pair.
pub fn increments(rounds: usize, per_round: usize) -> Vec<Cost> {
    let mut bus = Bus::new();
    let mut loads = [
        Load::new("random keys, untagged", "r", KEYS, 0, SPREAD),
        Load::new("random keys, 1 session", "s", KEYS, 1, SPREAD),
        Load::new("random keys, 64 sessions", "m", KEYS, 64, SPREAD),
        Load::new("one hot key, untagged", "h", 1, 0, HOT),
        Load::new("one hot key, 1,000 sessions", "t", 1, HOT, HOT),
        Load::new("the same after all were covered", "c", 1, HOT, HOT),
    ];
    for load in &mut loads {
        // Every row is there, and every session has written.
        load.touch_all(&mut bus);
    }
    if let Some(covered) = loads.last() {
        bus.run(covered.keys.iter().map(|key| (key.clone(), Command::Put { value: "0".into() })));
    }
    let mut costs: Vec<Cost> = loads.iter().map(|load| Cost { name: load.name.to_owned(), rounds: vec![] }).collect();
    for _ in 0..rounds {
        for (load, cost) in loads.iter_mut().zip(&mut costs) {
            cost.rounds.push(time_of(per_round, || load.run(&mut bus, per_round)));
        }
    }
    costs
}

/// A load: which keys, by which sessions.
struct Load {
    name: &'static str,
    keys: Vec<Key>,
    /// By session and key, how often it has incremented.
    events: Vec<Vec<u64>>,
    under_way: usize,
    chance: ChaCha8Rng,
}

impl Load {
    fn new(name: &'static str, prefix: &str, keys: usize, sessions: usize, under_way: usize) -> Load {
        let key = |number: usize| Key::new(format!("{prefix}{number}")).expect("a short key");
        Load {
            name,
            keys: (0..keys).map(key).collect(),
            events: vec![vec![0; keys]; sessions],
            under_way,
            chance: ChaCha8Rng::seed_from_u64(1),
        }
    }

    fn touch_all(&mut self, bus: &mut Bus) {
        let sessions = self.events.len().max(1);
        // Of many sessions on many keys, each key gets one; of the hot key, all write it.
        let pairs: Vec<(usize, usize)> =
            (0..self.keys.len().max(sessions)).map(|number| (number % self.keys.len(), number % sessions)).collect();
        for chunk in pairs.chunks(256) {
            let commands: Vec<_> = chunk.iter().map(|(key, session)| self.increment(*key, *session)).collect();
            bus.run(commands);
        }
    }

    fn run(&mut self, bus: &mut Bus, count: usize) {
        let mut done = 0;
        while done < count {
            let sessions = self.events.len();
            let batch: Vec<_> = (0..self.under_way.min(count - done))
                .map(|number| {
                    let key = self.chance.random_range(0..self.keys.len());
                    self.increment(key, (done + number).checked_rem(sessions).unwrap_or(0))
                })
                .collect();
            done += batch.len();
            bus.run(batch);
        }
    }

    fn increment(&mut self, key: usize, session: usize) -> (Key, Command) {
        let name = self.keys[key].clone();
        let Some(events) = self.events.get_mut(session) else { return (name, Command::Increment { by: 1 }) };
        events[key] += 1;
        let event = events[key];
        let epoch = Epoch(1 + session as u64);
        let actor = ActorId { expires: Tick(170_000_300), epoch, tenure: Tenure::SESSION };
        (name, Command::IncrementAs(SessionWrite { actor, event, p: event.into(), n: 0 }))
    }
}
