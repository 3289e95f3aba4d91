//! Rows as values: what merging, encoding and reading them back costs.

use std::hint::black_box;

use bytes::Bytes;
use starling::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use starling::time::{Hlc, WallTime};
use starling::value::{Beside, Row, Totals};

use super::{Cost, time_of};

/// Calls that are timed together.
const CALLS: u64 = 20_000;

/// Sessions beside a hot counter.
const SESSIONS: u64 = 1_000;

/// Measures each in so many rounds.
pub fn values(rounds: usize) -> Vec<Cost> {
    let mut stopwatch = Stopwatch { rounds, costs: Vec::new() };
    counters(&mut stopwatch);
    texts(&mut stopwatch);
    sessions(&mut stopwatch);
    stopwatch.costs
}

struct Stopwatch {
    rounds: usize,
    costs: Vec<Cost>,
}

impl Stopwatch {
    fn time<T>(&mut self, name: &str, mut call: impl FnMut() -> T) {
        let mut calls = || {
            (0..CALLS).for_each(|_| {
                black_box(call());
            });
        };
        let rounds = (0..self.rounds).map(|_| time_of(CALLS as usize, &mut calls)).collect();
        self.costs.push(Cost { name: name.to_owned(), rounds });
    }
}

fn dot(actor: u64, event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(5), epoch: Epoch(actor), tenure: Tenure(0) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

fn counters(stopwatch: &mut Stopwatch) {
    let mut row = Row::default();
    for actor in 1..=3 {
        increment(&mut row, dot(actor, 1), 1_000);
    }
    let bytes = row.encode();
    let delta = increment(&mut row.clone(), dot(2, 2), 7);
    let mut merged = row.clone();
    stopwatch.time("counter of 3 actors: merge an increment", || merged.merge(black_box(&delta)));
    stopwatch.time("counter of 3 actors: decode, merge and encode", || {
        let mut row = Row::decode(black_box(&bytes)).expect("what was encoded can be decoded");
        row.merge(&delta);
        row.encode()
    });
    let mut event = 1;
    stopwatch.time("counter of 3 actors: increment", || {
        event += 1;
        increment(&mut row, dot(2, event), 1)
    });
}

fn increment(row: &mut Row, dot: Dot, by: i64) -> Row {
    row.increment(dot, at(dot.event), by, &Beside::NONE).expect("a small number")
}

fn texts(stopwatch: &mut Stopwatch) {
    let mut text = Row::default();
    text.put(dot(1, 1), at(1), Bytes::from_static(b"hello, world"), &Row::default());
    let bytes = text.encode();
    let mut put = text.clone();
    let mut event = 1;
    stopwatch.time("text: put", || {
        event += 1;
        put.put(dot(1, event), at(event), Bytes::from_static(b"hello, moon"), &text)
    });
    stopwatch.time("text: decode, merge and encode", || {
        let mut row = Row::decode(black_box(&bytes)).expect("what was encoded can be decoded");
        row.merge(&put);
        row.encode()
    });
    stopwatch.time("text: show", || put.visible(&Beside::NONE, WallTime(1)));
}

fn sessions(stopwatch: &mut Stopwatch) {
    let session_of = |number: u64| {
        let actor = ActorId { expires: Tick(9 + number as u32 % 6), epoch: Epoch(number), tenure: Tenure::SESSION };
        let mut row = Row::default();
        row.increment_as(actor, 1, Totals { p: 1, n: 0 }).expect("a small number");
        (actor, row)
    };
    let mut beside = Beside::NONE;
    for (actor, row) in (0..SESSIONS).map(session_of) {
        beside.replace_session(None, Some(&row), actor);
    }
    let (actor, mut row) = session_of(0);
    let mut event = 1;
    stopwatch.time("session among 1,000: increment", || {
        event += 1;
        let before = row.clone();
        let delta = row.increment_as(actor, event, Totals { p: event.into(), n: 0 }).expect("a small number");
        beside.replace_session(Some(&before), Some(&row), actor);
        delta
    });
    let mut bytes = Vec::new();
    stopwatch.time("session among 1,000: encode what they add up to", || {
        bytes.clear();
        beside.encode_into(&mut bytes);
    });
}
