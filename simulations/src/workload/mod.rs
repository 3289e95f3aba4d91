//! What virtual clients ask: an open loop of increments, puts, deletes and reads on a few hot and many cold keys.
//!
//! ```text
//! up/…   increments above zero, reads          the sum says exactly what is missing
//! pn/…   increments of both signs, reads       likewise
//! reg/…  puts of texts that name their write   the text says which write won
//! mix/…  everything                            bounds only, and convergence
//! ```
//!
//! Steps are random and large, so that a sum tells which of them it contains; every text is written once.
//! Open loop: the next request does not wait for the last, as users do not wait for each other (reliability, 3.1).

use std::time::Duration;

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{Command, Observe, Options, Request};

use crate::world::World;
use crate::world::chance::{Chance, Use};

/// Connections of one node's clients.
const CONNECTIONS: u64 = 8;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadOptions {
    /// Requests per second over all nodes.
    pub rate: u32,
    /// Keys of each kind that get half of the requests.
    pub hot_keys: u64,
    /// Keys of each kind that get the rest.
    pub cold_keys: u64,
    /// Requests name quorums, deadlines and the rest at random; else all take the cluster's settings.
    pub varies_options: bool,
}

impl WorkloadOptions {
    /// So many requests per second, all with the cluster's settings.
    pub fn plain(rate: u32) -> WorkloadOptions {
        WorkloadOptions { varies_options: false, ..WorkloadOptions::of_rate(rate) }
    }

    /// So many requests per second, with varying options.
    pub fn of_rate(rate: u32) -> WorkloadOptions {
        WorkloadOptions { rate, hot_keys: 2, cold_keys: 40, varies_options: true }
    }
}

/// The clients.
#[derive(Debug)]
pub struct Workload {
    options: WorkloadOptions,
    chance: Chance,
    texts: u64,
}

impl Workload {
    /// The clients of a world, drawing from its seed.
    pub fn new(seed: u64, options: WorkloadOptions) -> Workload {
        Workload { options, chance: Chance::new(seed, Use::Workload), texts: 0 }
    }

    /// The same clients, asking otherwise from now on.
    pub fn change(&mut self, options: WorkloadOptions) {
        self.options = options;
    }

    /// Time until the next request: a Poisson process.
    pub fn gap(&mut self) -> Duration {
        self.chance.exponential(Duration::from_micros(1_000_000 / u64::from(self.options.rate.max(1))))
    }

    /// One client of one node asks something.
    pub fn ask(&mut self, world: &mut World) {
        let node = self.chance.below(world.nodes().len() as u64) as usize;
        let connection = self.chance.below(CONNECTIONS);
        let request = self.request();
        world.request(node, connection, request);
    }

    fn request(&mut self) -> Request {
        let (prefix, command) = match self.chance.below(100) {
            0..40 => ("up", self.up()),
            40..60 => ("pn", self.up_or_down()),
            60..75 => ("reg", self.register()),
            _ => ("mix", self.anything()),
        };
        let number = if self.chance.happens(500) {
            self.chance.below(self.options.hot_keys)
        } else {
            self.options.hot_keys + self.chance.below(self.options.cold_keys)
        };
        let options = if self.options.varies_options { self.options() } else { Options::default() };
        Request { key: key(&format!("{prefix}/{number}")), command, options }
    }

    fn up(&mut self) -> Command {
        if self.chance.happens(250) { Command::Get } else { Command::Increment { by: self.step() } }
    }

    fn up_or_down(&mut self) -> Command {
        match self.chance.below(4) {
            0 => Command::Get,
            1 => Command::Increment { by: -self.step() },
            _ => Command::Increment { by: self.step() },
        }
    }

    fn register(&mut self) -> Command {
        match self.chance.below(8) {
            0..3 => Command::Get,
            3 => Command::Delete,
            _ => Command::Put { value: self.text() },
        }
    }

    fn anything(&mut self) -> Command {
        match self.chance.below(10) {
            0 | 1 => Command::Get,
            2 => Command::Put { value: self.text() },
            3 => Command::Put { value: Bytes::from(self.chance.below(1_000_000).to_string()) },
            4 | 5 => Command::Delete,
            6 => Command::Increment { by: -self.step() },
            _ => Command::Increment { by: self.step() },
        }
    }

    /// Ten thousand steps of one key still fit a signed 64-bit number.
    fn step(&mut self) -> i64 {
        self.chance.between(1, 1 << 46) as i64
    }

    fn text(&mut self) -> Bytes {
        self.texts += 1;
        // Some are long enough that their row does not stay decoded.
        let padding = if self.chance.happens(30) { 6_000 } else { 0 };
        Bytes::from(format!("text {}{:padding$}", self.texts, ""))
    }

    fn options(&mut self) -> Options {
        let quorum = |chance: &mut Chance| match chance.below(10) {
            0 => Some(1),
            1 => Some(2),
            2 => Some(3),
            _ => None,
        };
        Options {
            r: quorum(&mut self.chance),
            w: quorum(&mut self.chance),
            strict: self.chance.happens(100),
            deadline_ms: self.chance.happens(200).then(|| self.chance.between(20, 4_000) as u32),
            observe: if self.chance.happens(200) { Observe::Local } else { Observe::Quorum },
            token: None,
        }
    }
}

/// A key with this name.
pub fn key(name: &str) -> Key {
    Key::new(Bytes::copy_from_slice(name.as_bytes())).expect("names of keys are short")
}
