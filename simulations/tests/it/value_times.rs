//! How long the paths of an increment and of a put take, printed; nothing is asserted, because machines differ.
//!
//! It stands here because the core names no clock:
//! `cargo test --release -p starling-sim --test it value_times -- --ignored --nocapture`

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;

use starling::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use starling::time::{Hlc, WallTime};
use starling::value::{Beside, Row, Totals};

const ROUNDS: u64 = 200_000;

/// Prints the best of five runs. Unit: nanoseconds per call.
fn time<T>(what: &str, mut call: impl FnMut() -> T) {
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                black_box(call());
            }
            start.elapsed().as_nanos() as u64 / ROUNDS
        })
        .min();
    println!("{what:<48} {:>6} ns", best.unwrap_or_default());
}

fn dot(actor: u64, event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(5), epoch: Epoch(actor), tenure: Tenure(0) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

#[test]
#[ignore = "prints times, asserts nothing"]
fn print_the_times_of_rows() {
    println!("{:<48} {:>6} bytes", "a row in memory", size_of::<Row>());
    let mut row = Row::default();
    for actor in 1..=3 {
        row.increment(dot(actor, 1), at(actor), 1_000, &Beside::NONE).unwrap();
    }
    let bytes = row.encode();
    println!("{:<48} {:>6} bytes", "a counter of 3 actors, encoded", bytes.len());
    let delta = row.clone().increment(dot(2, 2), at(9), 7, &Beside::NONE).unwrap();
    let small = delta.encode();
    let mut merged = row.clone();
    time("merge of an increment", || merged.merge(black_box(&delta)));
    let mut full = row.clone();
    time("merge of a counter of 3 actors", || full.merge(black_box(&row)));
    time("encode a counter of 3 actors", || black_box(&row).encode());
    time("decode a counter of 3 actors", || Row::decode(black_box(&bytes)).unwrap());
    time("decode of a delta, merge, encode", || {
        let delta = Row::decode(black_box(&small)).unwrap();
        merged.merge(&delta);
        merged.encode()
    });
    time("decode, merge and encode a counter of 3 actors", || {
        let mut row = Row::decode(black_box(&bytes)).unwrap();
        row.merge(&Row::decode(&bytes).unwrap());
        row.encode()
    });
    let mut event = 1;
    let mut own = row.clone();
    time("increment", || {
        event += 1;
        own.increment(dot(2, event), at(event), 1, &Beside::NONE).unwrap()
    });
    time("visible", || own.visible(&Beside::NONE, WallTime(1)));

    let mut text = Row::default();
    text.put(dot(1, 1), at(1), Bytes::from_static(b"hello, world"), &Row::default());
    let text_bytes = text.encode();
    let mut put = text.clone();
    time("put a text", || put.put(dot(1, 2), at(2), Bytes::from_static(b"hello, moon"), &text));
    let mut merged = text.clone();
    time("merge of a text", || merged.merge(black_box(&put)));
    time("encode a text", || black_box(&text).encode());
    time("decode a text", || Row::decode(black_box(&text_bytes)).unwrap());

    let mut settled = row.clone();
    settled.compact(Tick(5));
    let settled_bytes = settled.encode();
    time("decode a counter that has settled", || Row::decode(black_box(&settled_bytes)).unwrap());

    let mut beside = Beside::NONE;
    for number in 0..1_000 {
        let actor = ActorId { expires: Tick(9 + number as u32 % 6), epoch: Epoch(number), tenure: Tenure::SESSION };
        let mut session = Row::default();
        session.increment_as(actor, 1, Totals { p: 1, n: 0 }).unwrap();
        beside.replace_session(None, Some(&session), actor);
    }
    let actor = ActorId { expires: Tick(9), epoch: Epoch(0), tenure: Tenure::SESSION };
    let mut session = Row::default();
    session.increment_as(actor, 1, Totals { p: 1, n: 0 }).unwrap();
    let mut event = 1;
    time("increment as one of 1,000 sessions", || {
        event += 1;
        let before = session.clone();
        row.can_increment(1, &beside).unwrap();
        let delta = session.increment_as(actor, event, Totals { p: event.into(), n: 0 }).unwrap();
        beside.replace_session(Some(&before), Some(&session), actor);
        delta
    });
    let mut bytes = Vec::new();
    time("encode what 1,000 sessions add up to", || {
        bytes.clear();
        beside.encode_into(&mut bytes);
    });
    println!("{:<48} {:>6} bytes", "what 1,000 sessions add up to", bytes.len());
    time("decode what 1,000 sessions add up to", || Beside::decode(&bytes).unwrap());
}
