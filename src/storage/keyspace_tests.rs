//! Keys on disk: their bytes never change, and their ranges hold what they say.

use super::*;
use crate::causality::{Epoch, Tenure};

fn key(name: &[u8]) -> Key {
    Key::new(Bytes::copy_from_slice(name)).unwrap()
}

fn is_in(range: &Range, key: &Bytes) -> bool {
    *key >= range.start && range.end.as_ref().is_none_or(|end| key < end)
}

#[test]
fn the_bytes_of_a_row_key_never_change() {
    let hex: String = RowKey::main(&key(b"foo")).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "2f965f64077e7d8a0003666f6f00", "slot 12182, hash, length 3, the key, kind 0");
}

#[test]
fn a_row_key_reads_back_as_it_was_written() {
    for name in [&b""[..], b"likes", b"{tag}likes", b"\0\xff", &vec![b'x'; limits::KEY_BYTES_MAX]] {
        let row = RowKey::main(&key(name));
        let back = RowKey::parse(row.as_bytes().clone()).unwrap();
        assert_eq!(back, row);
        assert_eq!(back.key().as_bytes(), name);
        assert_eq!(back.slot(), slot::of_key(name));
    }
}

#[test]
fn damaged_bytes_are_no_row_key() {
    let whole = RowKey::main(&key(b"likes")).as_bytes().to_vec();
    for length in 0..whole.len() {
        assert!(RowKey::parse(Bytes::copy_from_slice(&whole[..length])).is_err(), "cut to {length} bytes");
    }
    // The last byte is the kind: another one may be that of an element without bytes.
    for bit in 0..(whole.len() - 1) * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(RowKey::parse(damaged.into()).is_err(), "bit {bit} flipped");
    }
    let mut longer = whole;
    longer.push(0);
    assert!(RowKey::parse(longer.into()).is_err(), "a byte too many");
}

#[test]
fn the_rows_of_a_family_stand_together_sessions_by_their_expiry() {
    let main = RowKey::main(&key(b"cart"));
    let session = |tick: u32, epoch: u64| {
        main.session(ActorId { expires: Tick(tick), epoch: Epoch(epoch), tenure: Tenure(u32::MAX) })
    };
    let member = main.element(CollectionKind::Set, b"apple");
    let field = main.element(CollectionKind::Map, b"");
    let rows = [main.clone(), session(7, 9), session(8, 1), member.clone(), field.clone()];
    assert!(rows.is_sorted());
    for row in &rows {
        assert_eq!(RowKey::parse(row.as_bytes().clone()).unwrap(), *row);
        assert_eq!((row.main_row(), row.key()), (main.clone(), key(b"cart")));
    }
    assert_eq!(member.kind(), RowKind::Element(CollectionKind::Set));
    assert_eq!(member.sub_key().as_ref(), b"apple");
    assert_eq!(rows[1].actor().unwrap().expires, Tick(7));
    let sessions =
        |settled| rows.iter().filter(|row| is_in(&sessions_after(&main, Tick(settled)), row.as_bytes())).count();
    assert_eq!((sessions(0), sessions(7), sessions(8), sessions(u32::MAX)), (2, 1, 0, 0));
    let banana = main.element(CollectionKind::Set, b"banana");
    assert!(is_in(&elements_after(&main, CollectionKind::Set, None), member.as_bytes()));
    assert!(!is_in(&elements_after(&main, CollectionKind::Set, None), field.as_bytes()));
    let rest = elements_after(&main, CollectionKind::Set, Some(b"apple"));
    assert!(!is_in(&rest, member.as_bytes()) && is_in(&rest, banana.as_bytes()));
}

#[test]
fn partitions_are_ranges_that_follow_each_other_and_hold_their_rows() {
    for partitions in [1, 2, 256, 16_384] {
        let ranges: Vec<Range> = (0..partitions).map(|p| partition_range(PartitionId(p), partitions)).collect();
        assert_eq!(ranges[0].start.as_ref(), [0, 0]);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].end.as_ref(), Some(&pair[1].start));
        }
        for number in 0..1000 {
            let row = RowKey::main(&key(format!("key {number}").as_bytes()));
            let home = usize::from(row.partition(partitions).0);
            assert!(is_in(&ranges[home], row.as_bytes()), "{row} of {partitions}");
        }
        // The greatest row key that can be: of the last slot.
        let greatest = Bytes::from([&[0x3f, 0xff][..], &[0xff; 70_000]].concat());
        assert!(is_in(ranges.last().unwrap(), &greatest));
    }
}

#[test]
fn debts_stand_by_owner_and_name_their_row() {
    let rows: Vec<RowKey> = (0..50).map(|number| RowKey::main(&key(format!("{number}").as_bytes()))).collect();
    for owner in [NodeId(0), NodeId(1), NodeId(255), NodeId(256), NodeId(u64::MAX)] {
        for row in &rows {
            let debt = debt_key(owner, row);
            assert_eq!(row_of_debt(&debt).as_ref(), Ok(row));
            assert!(is_in(&debt_range(owner), &debt));
            assert!(!is_in(&debt_range(NodeId(owner.0 ^ 1)), &debt));
        }
    }
    for length in 0..8 {
        assert!(row_of_debt(&Bytes::from(vec![0; length])).is_err());
    }
}

#[test]
fn nothing_lies_between_a_key_and_the_one_after_it() {
    let key = Bytes::from_static(b"ab");
    assert!(after(&key) > key);
    assert!(after(&key) < Bytes::from_static(b"ab\0\0"));
    assert!(after(&key) < Bytes::from_static(b"ac"));
    assert_eq!(after(&Bytes::new()).as_ref(), [0]);
}

#[test]
fn the_keys_of_meta_are_distinct() {
    assert_eq!(partition_key(PartitionId(0x0102)).as_ref(), [b'P', 1, 2]);
    assert_ne!(partition_key(PartitionId(0)), directory_key());
}
