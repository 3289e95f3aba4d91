//! Rows on disk outlive programs: the bytes in `golden/` never change, and mean what they always meant.
//!
//! A new version of the encoding adds files; none is ever edited. Everything behind `#` in a line is for the reader.

use bytes::Bytes;

use super::history::future_row;
use super::{Beside, MergeKind, Row, Score, Totals, ValueType};
use crate::causality::{ActorId, Context, Dot, Epoch, Tenure, Tick};
use crate::ids::CollectionKind;
use crate::time::{Hlc, WallTime};

pub(crate) fn unhex(text: &str) -> Vec<u8> {
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

/// Whether something is still written in its old bytes.
pub(crate) fn check_bytes(old: &str, now: &[u8]) {
    assert_eq!(hex(now), hex(&unhex(old)), "the bytes changed");
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

/// Of an actor that has expired by tick 7.
fn old(event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(7), ..dot(0x77, event).actor }, event }
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
fn a_counter_that_has_settled_has_its_old_bytes() {
    let mut row = Row::default();
    row.increment(old(1), at(1), 5, &Beside::NONE).unwrap();
    row.compact(Tick(7));
    let whole = row.clone();
    row.reset(dot(0xAA, 1), at(2), &whole);
    row.increment(dot(0x11, 1), at(3), 2, &Beside::NONE).unwrap();
    check_golden(include_str!("golden/settled.hex"), 0x5612e990_b68ab943_37873d80_51167dc6, &row);
}

#[test]
fn siblings_have_their_old_bytes() {
    let mut row = Row::default();
    row.put_sibling(old(1), at(1), Bytes::from_static(b"gone"), &Context::default()).unwrap();
    let seen = row.siblings_context();
    row.put_sibling(dot(0x11, 1), at(2), Bytes::from_static(b"milk"), &seen).unwrap();
    row.put_sibling(dot(0x11, 2), at(3), Bytes::from_static(b"eggs"), &Context::default()).unwrap();
    row.compact(Tick(7));
    check_golden(include_str!("golden/siblings.hex"), 0x58aaedaa_732292e8_aeff6249_0d7540a5, &row);
}

#[test]
fn a_flag_has_its_old_bytes() {
    let mut row = Row::default();
    row.set_flag(dot(0x11, 1), at(1));
    let whole = row.clone();
    row.clear_flag(dot(0x11, 2), at(2), &whole);
    row.set_flag(dot(0xAA, 1), at(3));
    check_golden(include_str!("golden/flag.hex"), 0xcf6a83fc_abff3d5b_5447d1db_9bfa64b3, &row);
}

#[test]
fn a_sketch_has_its_old_bytes() {
    let mut row = Row::default();
    row.add_to_sketch(dot(0x11, 1), at(1), ["gone"]);
    let whole = row.clone();
    row.delete(dot(0x11, 2), at(2), &whole);
    row.add_to_sketch(dot(0x11, 3), at(3), ["milk", "eggs", "milk"]);
    check_golden(include_str!("golden/sketch.hex"), 0x966a5e16_57179727_5755f886_12a806b6, &row);
}

#[test]
fn a_large_sketch_has_its_old_hash() {
    let mut row = Row::default();
    row.add_to_sketch(dot(0x11, 1), at(1), (0..20_000u32).map(u32::to_be_bytes));
    assert_eq!(Row::decode(&row.encode()).as_ref(), Ok(&row));
    assert_eq!(
        row.state_hash(),
        0x930ece25_7e80e497_83132994_476f52dd,
        "the hash of a state changed: {:#034x}",
        row.state_hash()
    );
}

#[test]
fn a_key_that_expires_has_its_old_bytes() {
    let mut row = Row::default();
    row.put(dot(0x11, 1), at(1), Bytes::from_static(b"x"), &Row::default());
    row.set_expiry(dot(0x11, 2), at(2), Some(WallTime(0x0006_0000_0000_FFFF)));
    check_golden(include_str!("golden/expiry.hex"), 0x618b3f40_b3f43d16_9f68f286_b02dbaaf, &row);
}

#[test]
fn the_rows_of_elements_have_their_old_bytes() {
    let mut member = Row::default();
    member.add_member(dot(0x11, 1));
    check_golden(include_str!("golden/member.hex"), 0xec14db5b_6aec8c0c_0c197a5e_61ef140c, &member);
    let mut scored = Row::default();
    scored.put_score(dot(0x11, 1), at(1), Score::new(-1.5).unwrap());
    check_golden(include_str!("golden/scored.hex"), 0xae004bbe_f0826ea8_c434ebe7_a0a0a4e8, &scored);
    let whole = member.clone();
    member.remove_member(dot(0x11, 2), &whole);
    check_golden(include_str!("golden/removed.hex"), 0xd410a204_18b9d821_96298284_7ea7c799, &member);
}

#[test]
fn the_main_row_of_a_collection_has_its_old_bytes() {
    let mut row = Row::default();
    for (wall, kind) in (1..).zip([CollectionKind::Set, CollectionKind::Map, CollectionKind::SortedSet]) {
        row.touch(ValueType::Collection(kind), at(wall));
    }
    check_golden(include_str!("golden/collection.hex"), 0xd7c04f99_9f1055f5_cd2dc700_8dc8e7fb, &row);
}

#[test]
fn the_row_of_a_session_has_its_old_bytes() {
    let actor = ActorId { tenure: Tenure::SESSION, ..dot(0x11, 1).actor };
    let mut row = Row::default();
    row.increment_as(actor, 3, Totals { p: 300, n: 1 }).unwrap();
    check_golden(include_str!("golden/session.hex"), 0x76662cbb_b49002ca_4b724964_efe7decc, &row);
}

#[test]
fn what_stands_beside_a_row_has_its_old_bytes() {
    let actor = ActorId { tenure: Tenure::SESSION, ..dot(0x11, 1).actor };
    let mut row = Row::default();
    row.increment_as(actor, 3, Totals { p: 300, n: 1 }).unwrap();
    let whole = row.clone();
    let delta = Row::default().reset(dot(0xAA, 1), at(1), &whole);
    let (_, sessions) = delta.split_sessions();
    let mut beside = Beside::NONE;
    for (actor, row) in &sessions {
        beside.replace_session(None, Some(row), *actor);
    }
    beside.replace_element(CollectionKind::Set, false, true, false, true);
    beside.replace_element(CollectionKind::SortedSet, false, false, false, true);
    let old = unhex(include_str!("golden/beside.hex"));
    assert_eq!(hex(&beside.encode()), hex(&old), "the bytes of a state changed");
    assert_eq!(Beside::decode(&old), Ok(beside), "old bytes mean another state");
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
fn fields_of_a_newer_program_of_later_kinds_keep_their_bytes() {
    let mut row = Row::default();
    for (tag, kind) in (100..).zip([MergeKind::Floor, MergeKind::Dotted, MergeKind::Sketch]) {
        for content in [2, 1] {
            row.merge(&Row::decode(&future_row(tag, kind, dot(content, 9), at(9), content)).unwrap());
        }
    }
    check_golden(include_str!("golden/future_kinds.hex"), 0xeda0c62f_20a76f58_fdd356e5_62463eaa, &row);
}

#[test]
fn nothing_has_its_old_hash() {
    check_golden("", 0x99aa06d3_014798d8_6001c324_468d497f, &Row::default());
}
