//! What virtual clients ask: an open loop of requests of every type on a few hot and many cold keys.
//!
//! ```text
//! topic.rs      what keys are about; a seed has one topic alone, some, or all
//! resend.rs     a request that is sent again through other nodes until it is answered
//! sessions.rs   increments that count once          two_steps.rs  see, then write in the place of what was seen
//! siblings.rs   see, then put, perhaps much later   readers.rs    clients with tokens
//! elements.rs   sets, maps, sorted sets             serial.rs     keys with one client each
//! expiring.rs   keys with deadlines, emptied and written again
//! ```
//!
//! Steps are random and large, so that a sum tells which of them it contains; every text is written once.
//! Open loop: the next request does not wait for the last, as users do not wait for each other (reliability, 3.1); a
//! client that has a dialogue under way goes on with it whenever the next request comes.

mod elements;
mod expiring;
pub mod readers;
mod resend;
mod serial;
mod sessions;
mod siblings;
mod topic;
mod two_steps;

use std::time::Duration;

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{CollectionKind, Command, Observe, Options, Request};
use starling::time::WallTime;

pub use topic::{Topic, Topics};

use crate::world::World;
use crate::world::chance::{Chance, Use};
use crate::world::clock::WORLD_START;
use crate::world::options::WorldOptions;

/// Connections of one node's clients.
const CONNECTIONS: u64 = 8;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadOptions {
    /// Requests per second over all nodes.
    pub rate: u32,
    /// Keys of each topic that get half of the requests.
    pub hot_keys: u64,
    /// Keys of all topics together that get the rest.
    pub cold_keys: u64,
    /// Requests name quorums, deadlines and the rest at random; else all take the cluster's settings.
    pub varies_options: bool,
    /// What the keys are about.
    pub topics: Topics,
}

impl WorkloadOptions {
    /// So many requests per second, with varying options.
    pub fn of_rate(rate: u32, topics: Topics) -> WorkloadOptions {
        WorkloadOptions { rate, hot_keys: 2, cold_keys: 160, varies_options: true, topics }
    }

    /// So many requests per second, all with the cluster's settings.
    pub fn plain(rate: u32, topics: Topics) -> WorkloadOptions {
        WorkloadOptions { varies_options: false, ..WorkloadOptions::of_rate(rate, topics) }
    }
}

/// The clients.
#[derive(Debug)]
pub struct Workload {
    options: WorkloadOptions,
    topics: Vec<Topic>,
    chance: Chance,
    zones: Chance,
    texts: u64,
    sessions: sessions::SessionClients,
    two_steps: two_steps::TwoSteps,
    siblings: siblings::SiblingClients,
    readers: readers::Readers,
    serial: serial::Serial,
}

impl Workload {
    /// The clients of a world, drawing from its seed.
    pub fn new(seed: u64, options: WorkloadOptions) -> Workload {
        Workload {
            options,
            topics: options.topics.list(),
            chance: Chance::new(seed, Use::Workload),
            zones: Chance::new(seed, Use::Zones),
            texts: 0,
            sessions: sessions::SessionClients::default(),
            two_steps: two_steps::TwoSteps::default(),
            siblings: siblings::SiblingClients::default(),
            readers: readers::Readers::default(),
            serial: serial::Serial::default(),
        }
    }

    /// The same clients, asking otherwise from now on.
    pub fn change(&mut self, options: WorkloadOptions) {
        self.options = options;
        self.topics = options.topics.list();
    }

    /// Time until the next request: a Poisson process.
    pub fn gap(&mut self) -> Duration {
        self.chance.exponential(Duration::from_micros(1_000_000 / u64::from(self.options.rate.max(1))))
    }

    /// Goes on with the dialogues under way.
    pub fn go_on(&mut self, world: &mut World) {
        self.sessions.go_on(world, &mut self.chance);
        self.two_steps.go_on(world, &mut self.chance);
    }

    /// Whether every dialogue has come to its end.
    pub fn is_quiet(&self) -> bool {
        self.sessions.is_quiet() && self.two_steps.is_quiet()
    }

    /// One client of one node asks something.
    pub fn ask(&mut self, world: &mut World) {
        self.go_on(world);
        let topic = self.chance.pick(&self.topics).copied().unwrap_or(Topic::Up);
        let cold = (self.options.cold_keys / self.topics.len().max(1) as u64).max(4);
        let number = if self.chance.happens(500) {
            self.chance.below(self.options.hot_keys)
        } else {
            self.options.hot_keys + self.chance.below(cold)
        };
        self.ask_of(world, topic, &format!("{}/{number}", topic.prefix()));
    }

    fn ask_of(&mut self, world: &mut World, topic: Topic, name: &str) {
        let asked = key(name);
        let command = match topic {
            Topic::Up => self.up(),
            Topic::Pn => self.up_or_down(),
            Topic::Register => self.register(),
            Topic::Mix => self.anything(),
            Topic::Sessions | Topic::Resets => match self.count(world, topic, &asked) {
                Some(command) => command,
                None => return,
            },
            Topic::Siblings => {
                let text = self.text();
                let command = self.siblings.next(world, &mut self.chance, &asked, text);
                let looks = command == Command::Siblings;
                let number = self.send(world, asked.clone(), command);
                if looks {
                    self.siblings.remember(&mut self.chance, &asked, number);
                }
                return;
            }
            Topic::Flags => match self.chance.below(8) {
                0..3 => Command::Get,
                3 => Command::Delete,
                4..6 => Command::SetFlag { on: false },
                _ => Command::SetFlag { on: true },
            },
            Topic::Sketches => match self.chance.below(40) {
                0..8 => Command::Get,
                // Some keys are never deleted: there nothing may be missing.
                8 if name.ends_with(['1', '3', '5', '7', '9']) => Command::Delete,
                _ => Command::AddToSketch { items: self.items() },
            },
            Topic::Sets => self.elements(CollectionKind::Set),
            Topic::Maps => self.elements(CollectionKind::Map),
            Topic::Sorted => self.elements(CollectionKind::SortedSet),
            Topic::Expiry => {
                if self.serial.is_free(world, &asked) {
                    let (moment, text, step) = (self.moment(world), self.text(), self.step());
                    let draw = expiring::Draw { chance: &mut self.chance, moment, text, step };
                    let kind = expiring::Kind::of(name);
                    let (command, options) = expiring::next(world, &self.serial, &asked, kind, draw);
                    let request = Request { key: asked.clone(), command, options };
                    let number = self.send_plain(world, request);
                    self.serial.asked(&asked, number);
                }
                return;
            }
            Topic::Tokens => {
                let by = self.step();
                return self.readers.ask(world, &mut self.chance, name, by);
            }
            Topic::Everything => self.everything(world, &asked),
        };
        self.send(world, asked, command);
    }

    fn send(&mut self, world: &mut World, key: Key, command: Command) -> crate::world::history::OpNumber {
        let options = if self.options.varies_options { self.options(&world.options) } else { Options::default() };
        self.send_plain(world, Request { key, command, options })
    }

    fn send_plain(&mut self, world: &mut World, request: Request) -> crate::world::history::OpNumber {
        let node = self.chance.pick(world.doors()).copied().unwrap_or(0);
        let connection = self.chance.below(CONNECTIONS);
        world.request(node, connection, request)
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

    /// A step of a session, or of a dialogue; `None`: its client sends it.
    fn count(&mut self, world: &mut World, topic: Topic, key: &Key) -> Option<Command> {
        let by = if self.chance.happens(200) { -self.step() } else { self.step() };
        match self.chance.below(20) {
            0..3 => Some(Command::Get),
            3..6 => Some(Command::Increment { by }),
            6..9 if topic == Topic::Resets => {
                let to = self.chance.happens(400).then_some(by);
                self.two_steps.begin(world, &mut self.chance, key, to);
                None
            }
            _ => {
                self.sessions.add(world, &mut self.chance, key, by);
                None
            }
        }
    }

    fn items(&mut self) -> Vec<Bytes> {
        let count = if self.chance.happens(100) { 200 } else { self.chance.between(1, 8) };
        (0..count).map(|_| Bytes::from(format!("item {}", self.chance.below(3_000)))).collect()
    }

    fn elements(&mut self, kind: CollectionKind) -> Command {
        if self.chance.happens(20) {
            return Command::Delete;
        }
        let texts = &mut self.texts;
        elements::request(&mut self.chance, kind, &mut |_| {
            *texts += 1;
            Bytes::from(format!("text {texts}"))
        })
    }

    /// A moment from just past to a few seconds ahead.
    fn moment(&mut self, world: &World) -> WallTime {
        WallTime(WORLD_START + world.now().0 + self.chance.below(7_000_000) - 500_000)
    }

    fn everything(&mut self, world: &mut World, key: &Key) -> Command {
        match self.chance.below(24) {
            0..10 => self.anything(),
            10 => Command::SetFlag { on: self.chance.happens(600) },
            11 => Command::AddToSketch { items: self.items() },
            12 => Command::PutSibling { value: self.text(), context: None },
            13 => Command::Siblings,
            14 => Command::Expire { deadline: Some(self.moment(world)) },
            15 => Command::Expire { deadline: None },
            16 | 17 => self.elements(CollectionKind::Set),
            18 | 19 => self.elements(CollectionKind::Map),
            20 | 21 => self.elements(CollectionKind::SortedSet),
            _ => {
                let by = self.step();
                self.sessions.add(world, &mut self.chance, key, by);
                Command::Get
            }
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

    fn options(&mut self, world: &WorldOptions) -> Options {
        let n = world.replicas;
        let quorum = |chance: &mut Chance| match chance.below(10) {
            0 => Some(1),
            1 => Some(2.min(n)),
            2 => Some(n),
            _ => None,
        };
        Options {
            r: quorum(&mut self.chance),
            w: quorum(&mut self.chance),
            strict: self.chance.happens(100),
            deadline_ms: self.chance.happens(200).then(|| self.chance.between(20, 4_000) as u32),
            observe: if self.chance.happens(200) { Observe::Local } else { Observe::Quorum },
            token: None,
            zones: self.zone_quorum(world.zones),
        }
    }

    /// Where there are zones, some requests ask for answers from several of them, or from all.
    fn zone_quorum(&mut self, zones: usize) -> Option<u8> {
        let asks = zones > 0 && self.zones.happens(150);
        asks.then(|| self.zones.between(2, zones as u64) as u8)
    }
}

/// A key with this name.
pub fn key(name: &str) -> Key {
    Key::new(Bytes::copy_from_slice(name.as_bytes())).expect("names of keys are short")
}
