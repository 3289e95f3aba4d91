//! Rows on disk outlive programs: the bytes in `golden/` never change, and mean what they always meant.
//!
//! A new version of the encoding adds files; none is ever edited. Everything behind `#` in a line is for the reader.

use bytes::Bytes;

use super::history::future_row;
use super::{Beside, MergeKind, Row};
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::time::Hlc;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().chars())
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_golden(text: &str, hash: u128, row: &Row) {
    let old = unhex(text);
    assert_eq!(hex(&row.encode()), hex(&old), "the bytes of a state changed");
    assert_eq!(Row::decode(&old).as_ref(), Ok(row), "old bytes mean another state");
    assert_eq!(row.state_hash(), hash, "the hash of a state changed: {:#034x}", row.state_hash());
}

fn dot(actor: u8, event: u64) -> Dot {
    let epoch = Epoch(u64::from_be_bytes([actor; 8]));
    Dot { actor: ActorId { expires: Tick(0x0102_0304), epoch, tenure: Tenure(0x0A0B_0C0D) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall: 0x0006_0000_0000_0000 + wall, logical: 3 }
}

#[test]
fn a_counter_has_its_old_bytes() {
    let mut row = Row::default();
    row.increment(dot(0xAA, 1), at(1), 239, &Beside::NONE).unwrap();
    row.increment(dot(0xAA, 240), at(2), -240, &Beside::NONE).unwrap();
    row.increment(dot(0x11, 65_536), at(3), 1_000_000, &Beside::NONE).unwrap();
    check_golden(include_str!("golden/counter.hex"), 0xe4f2a07a_b9e412fc_de4204c3_2fe1f5f2, &row);
}

#[test]
fn a_number_that_was_put_and_incremented_has_its_old_bytes() {
    let mut row = Row::default();
    row.increment(dot(0x11, 1), at(1), 5, &Beside::NONE).unwrap();
    row.put(dot(0xAA, 1), at(2), Bytes::from_static(b"10"), &row.clone());
    row.increment(dot(0x11, 2), at(3), 1, &Beside::NONE).unwrap();
    check_golden(include_str!("golden/number.hex"), 0xcda6cf97_c4ba578e_63101c26_fa5c2cfd, &row);
}

#[test]
fn a_text_has_its_old_bytes() {
    let mut row = Row::default();
    row.put(dot(0x11, 7), at(1), Bytes::from_static(b"hello"), &Row::default());
    check_golden(include_str!("golden/text.hex"), 0xc59286ea_2f0f5a6f_41b37667_5d8645f2, &row);
}

#[test]
fn a_deleted_key_has_its_old_bytes() {
    let mut row = Row::default();
    row.increment(dot(0x11, 1), at(1), -1, &Beside::NONE).unwrap();
    row.delete(dot(0x11, 2), at(2), &row.clone());
    check_golden(include_str!("golden/deleted.hex"), 0xb9429d61_e52eb3d6_1c8d714a_475f852a, &row);
}

#[test]
fn fields_of_a_newer_program_keep_their_bytes() {
    let mut row = Row::default();
    row.increment(dot(0x11, 1), at(1), 1, &Beside::NONE).unwrap();
    let kinds = [MergeKind::LargestBytes, MergeKind::LatestStamp, MergeKind::LargestEventPerActor, MergeKind::Union];
    for (tag, kind) in (100..).zip(kinds) {
        for content in [2, 1] {
            row.merge(&Row::decode(&future_row(tag, kind, dot(content, 9), at(9), content)).unwrap());
        }
    }
    check_golden(include_str!("golden/future.hex"), 0x7f7d96e5_f23bbd8c_f122168d_c782c061, &row);
}

#[test]
fn nothing_has_its_old_hash() {
    check_golden("", 0x99aa06d3_014798d8_6001c324_468d497f, &Row::default());
}
