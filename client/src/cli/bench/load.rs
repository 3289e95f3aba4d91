//! The callers. Each calls, waits, records, and calls again, until it is told to stop.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::ThreadRng;
use starling::ids::Key;
use starling::message::client::Options;
use starling_client::{Client, Error, Session, SessionConfig};
use tokio::task::JoinSet;

use super::tally::Tally;
use super::{Bench, Op};

/// Callers share this many tallies: enough to be seldom in each other's way, few enough to stay small.
const TALLIES: usize = 16;

/// Pause after a call that was not applied, so that a cluster that is away is not asked a million times.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(10);

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// Callers at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
    started: Option<Instant>,
}

/// Callers that were told to stop.
pub(crate) struct Stopped {
    load: Load,
    window: Duration,
}

/// What was measured.
pub(crate) struct Measured {
    pub(crate) window: Duration,
    pub(crate) reads: Tally,
    pub(crate) writes: Tally,
}

struct Shared {
    phase: AtomicU8,
    tallies: Vec<Mutex<(Tally, Tally)>>,
    client: Client,
    /// Who increments; none: nobody, untagged.
    sessions: Vec<Session>,
    options: Options,
    op: Op,
    write_ratio: f64,
    keys: u64,
    prefix: String,
    value_bytes: usize,
}

impl Load {
    /// Starts the callers; nothing is recorded before [`Load::measure`].
    pub(crate) fn start(bench: &Bench, client: &Client, options: Options) -> Load {
        let shared = Arc::new(Shared {
            phase: AtomicU8::new(WARM_UP),
            tallies: (0..TALLIES).map(|_| Mutex::new((Tally::new(), Tally::new()))).collect(),
            client: client.clone(),
            sessions: (0..bench.session_count()).map(|_| client.session(SessionConfig::default())).collect(),
            options,
            op: bench.op,
            write_ratio: bench.write_ratio,
            keys: bench.keys,
            prefix: bench.prefix.clone(),
            value_bytes: usize::try_from(bench.value_bytes).unwrap_or(usize::MAX),
        });
        let mut callers = JoinSet::new();
        for number in 0..bench.in_flight as usize {
            callers.spawn(shared.clone().run(number % TALLIES));
        }
        Load { shared, callers, started: None }
    }

    /// From now on calls that end are recorded.
    pub(crate) fn measure(&mut self) {
        self.started = Some(Instant::now());
        self.shared.phase.store(MEASURE, Ordering::Release);
    }

    /// From now on nothing is recorded any more.
    pub(crate) fn stop(self) -> Stopped {
        self.shared.phase.store(STOP, Ordering::Release);
        let window = self.started.map(|started| started.elapsed()).unwrap_or_default();
        Stopped { load: self, window }
    }
}

impl Stopped {
    /// Waits for the last calls and adds up.
    pub(crate) async fn finish(self) -> Measured {
        self.load.callers.join_all().await;
        let mut measured = Measured { window: self.window, reads: Tally::new(), writes: Tally::new() };
        for tally in &self.load.shared.tallies {
            let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            measured.reads.merge(&tally.0);
            measured.writes.merge(&tally.1);
        }
        measured
    }
}

impl Shared {
    async fn run(self: Arc<Self>, tally: usize) {
        while self.phase.load(Ordering::Acquire) != STOP {
            let (key, is_write, value, session) = self.choose(&mut rand::rng());
            let Some(key) = key else { return };
            let started = Instant::now();
            let outcome = match (is_write, self.op) {
                (false, _) | (_, Op::Get) => self.client.get(&key, &self.options).await.map(|_| ()),
                (true, Op::Incr) => self.increment(&key, session).await,
                (true, Op::Put) => self.client.put(&key, value, &self.options).await.map(|_| ()),
            };
            let error = outcome.err();
            if self.phase.load(Ordering::Acquire) == MEASURE {
                self.record(tally, is_write, started.elapsed(), error.as_ref());
            }
            if matches!(error, Some(Error::Refused { .. } | Error::Unreachable { .. } | Error::NotSent { .. })) {
                tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }

    async fn increment(&self, key: &Key, session: usize) -> Result<(), Error> {
        match self.sessions.get(session) {
            Some(session) => session.increment(key, 1, &self.options).await.map(|_| ()),
            None => self.client.increment_untagged(key, 1, &self.options).await.map(|_| ()),
        }
    }

    /// The next call, and the session that it uses. No key: the prefix is too long for one.
    fn choose(&self, random: &mut ThreadRng) -> (Option<Key>, bool, Bytes, usize) {
        let key = format!("{}{}", self.prefix, random.random_range(0..self.keys));
        let is_write = self.op != Op::Get && random.random_bool(self.write_ratio);
        let value = match (self.op, is_write) {
            (Op::Put, true) => {
                let stamp = format!("{:016x}", random.random::<u64>());
                stamp.bytes().cycle().take(self.value_bytes).collect()
            }
            _ => Bytes::new(),
        };
        let session = random.random_range(0..self.sessions.len().max(1));
        (Key::new(key).ok(), is_write, value, session)
    }

    fn record(&self, tally: usize, is_write: bool, latency: Duration, error: Option<&Error>) {
        if let Some(tally) = self.tallies.get(tally) {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            let (reads, writes) = &mut *tally;
            let class = if is_write { writes } else { reads };
            class.record(latency, error);
        }
    }
}
