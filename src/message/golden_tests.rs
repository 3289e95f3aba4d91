//! What clients keep for the cluster outlives programs: the bytes in `golden/` never change, and mean what they always
//! meant. A new version adds files; none is ever edited.

use bytes::Bytes;

use super::contexts::{CounterContext, open_siblings, seal_siblings};
use super::token::Token;
use crate::causality::{ActorId, Context, Dot, Epoch, Tenure, Tick};
use crate::ids::Key;
use crate::sealed::SealKey;
use crate::storage::RowKey;
use crate::time::{Hlc, WallTime};
use crate::value::golden_tests::{check_bytes, unhex};
use crate::value::{Beside, Row, Score};

const KEY: SealKey = SealKey([7; 32]);

fn row_key(name: &str) -> RowKey {
    RowKey::main(&Key::new(name.to_owned()).unwrap())
}

fn dot(actor: u8, event: u64) -> Dot {
    let epoch = Epoch(u64::from_be_bytes([actor; 8]));
    Dot { actor: ActorId { expires: Tick(0x0102_0304), epoch, tenure: Tenure(7) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall: 0x0006_0000_0000_0000 + wall, logical: 3 }
}

/// A row in which every part of what is seen is there.
fn full() -> Row {
    let mut row = Row::default();
    row.increment(dot(0xAA, 3), at(1), 5, &Beside::NONE).unwrap();
    row.reset(dot(0xAA, 4), at(2), &row.clone());
    row.put(dot(0xBB, 1), at(3), Bytes::from("text"), &row.clone());
    row.set_expiry(dot(0xBB, 2), at(4), Some(WallTime(9)));
    row.put_sibling(dot(0xCC, 1), at(5), Bytes::from("milk"), &Context::default()).unwrap();
    row.set_flag(dot(0xCC, 2), at(6));
    row.add_member(dot(0xCC, 3));
    row.put_score(dot(0xCC, 4), at(7), Score::new(1.5).unwrap());
    row.add_to_sketch(dot(0xCC, 5), at(8), [b"a"]);
    row
}

#[test]
fn a_token_has_its_old_bytes() {
    let mut token = Token::default();
    token.add(&row_key("likes"), &full().seen());
    token.add(&row_key("carts"), &Row::default().seen());
    let old = include_str!("golden/token.hex");
    check_bytes(old, &token.seal(&KEY));
    assert_eq!(Token::open(&KEY, &unhex(old).into()), Ok(token));
}

#[test]
fn the_context_of_a_counter_has_its_old_bytes() {
    let context = CounterContext { stamp: at(9), dot: dot(0xDD, 1), seen: full() };
    let old = include_str!("golden/counter_context.hex");
    check_bytes(old, &context.seal(&KEY, &row_key("likes")));
    assert_eq!(CounterContext::open(&KEY, &row_key("likes"), &unhex(old).into()), Ok(context));
}

#[test]
fn the_context_of_siblings_has_its_old_bytes() {
    let seen = full().siblings_context();
    let old = include_str!("golden/sibling_context.hex");
    check_bytes(old, &seal_siblings(&KEY, &row_key("cart"), &seen));
    assert_eq!(open_siblings(&KEY, &row_key("cart"), &unhex(old).into()), Ok(seen));
}
