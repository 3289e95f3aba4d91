//! Files that rot or are gone, on a real disk.

use bytes::Bytes;
use starling::storage::{Batch, Lookup, PageLimit, Range, Space, Store, StoreError};
use tempfile::TempDir;

use super::*;

const SMALL: Tuning = Tuning { block_cache_bytes: 1 << 20, memtable_bytes: 64 << 10, log_bytes_max: 256 << 10 };

/// A directory of two thousand rows, most of them in table files.
fn filled() -> (TempDir, PathBuf) {
    let above = TempDir::new().unwrap();
    let data = above.path().join("data");
    let store = RocksStore::open_tuned(&data, Durability::Wal, &SMALL).unwrap();
    for number in 0..2_000_u32 {
        let mut batch = Batch::default();
        let value: Vec<u8> =
            (0..500_u32).map(|place| (number.wrapping_mul(2_654_435_761).rotate_left(place) >> 7) as u8).collect();
        batch.put(Space::Rows, Bytes::copy_from_slice(&number.to_be_bytes()), value.into());
        store.write(&batch).unwrap();
    }
    drop(store);
    (above, data)
}

/// The table files of rows, largest first.
fn tables(data: &Path) -> Vec<PathBuf> {
    let mut files: Vec<(u64, PathBuf)> = fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "sst"))
        .map(|entry| (entry.metadata().unwrap().len(), entry.path()))
        .collect();
    files.sort();
    files.into_iter().rev().map(|(_, path)| path).collect()
}

fn flip_a_byte(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    // In the first block of rows.
    bytes[1_000] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

/// Reads every row; the first error, or how many there are.
fn read_all(store: &RocksStore) -> Result<usize, StoreError> {
    for number in 0..2_000_u32 {
        let key = number.to_be_bytes();
        assert_ne!(store.get(Space::Rows, &key), Lookup::Absent, "a row that was written is never taken for absent");
        assert!(store.fetch(Space::Rows, &key)?.is_some(), "a row that was written is never taken for absent");
    }
    let range = Range { start: Bytes::new(), end: None };
    Ok(store.scan(Space::Rows, &range, PageLimit { rows: usize::MAX, bytes: usize::MAX })?.entries.len())
}

#[test]
fn a_byte_that_flips_in_a_table_is_told_as_damage_and_read_by_nobody() {
    let (_above, data) = filled();
    flip_a_byte(&tables(&data)[0]);
    let store = open(&data, Durability::Wal, &SMALL, true).unwrap();
    let error = read_all(&store).unwrap_err();
    assert!(error.is_corrupt(), "{error:?}");
    let range = Range { start: Bytes::new(), end: None };
    let page = store.scan(Space::Rows, &range, PageLimit { rows: usize::MAX, bytes: usize::MAX });
    assert!(page.is_err_and(|error| error.is_corrupt()));
}

#[test]
fn a_table_that_is_gone_is_damage_whether_it_is_missed_at_the_start_or_later() {
    let (_above, data) = filled();
    let table = tables(&data)[0].clone();
    let store = open(&data, Durability::Wal, &Tuning { block_cache_bytes: 64 << 10, ..SMALL }, true).unwrap();
    let copy = data.with_file_name("copy");
    fs::create_dir(&copy).unwrap();
    drop(store);
    for entry in fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    fs::remove_file(copy.join(table.file_name().unwrap())).unwrap();
    match RocksStore::open_tuned(&copy, Durability::Wal, &SMALL) {
        Err(error) => assert!(matches!(error, OpenStoreError::Damaged { .. }), "{error:?}"),
        Ok(store) => assert!(read_all(&store).is_err_and(|error| error.is_corrupt())),
    }
}

#[test]
fn a_damaged_directory_is_set_aside_one_is_kept_and_the_next_begins_empty() {
    let (above, data) = filled();
    let damaged = |number: u32| data.with_file_name(format!("data.damaged-{number}"));
    mark(&data, "a checksum").unwrap();
    let rows = |store: &RocksStore| read_count(store);
    let store = open(&data, Durability::Wal, &SMALL, false).unwrap();
    assert_eq!(rows(&store), 2_000, "where nobody else has the data nothing is set aside");
    drop(store);
    let store = open(&data, Durability::Wal, &SMALL, true).unwrap();
    assert_eq!(rows(&store), 0);
    assert!(!tables(&damaged(1)).is_empty());
    drop(store);
    fs::create_dir(data.join(MARK)).unwrap();
    let unreadable = open(&data, Durability::Wal, &SMALL, true);
    assert!(matches!(unreadable, Err(OpenStoreError::Io { .. })), "a mark that cannot be read is not no mark");
    fs::remove_dir(data.join(MARK)).unwrap();
    fs::write(data.join(MARK), [0xff, 0xfe]).unwrap();
    let store = open(&data, Durability::Wal, &SMALL, true).unwrap();
    assert!(damaged(2).is_dir() && !damaged(1).exists());
    drop(store);
    drop(open(&data, Durability::Wal, &SMALL, true).unwrap());
    assert!(!damaged(3).exists(), "it is well");
    fs::write(data.join("CURRENT"), "nothing").unwrap();
    assert!(matches!(open(&data, Durability::Wal, &SMALL, false), Err(OpenStoreError::Damaged { .. })));
    assert_eq!(rows(&open(&data, Durability::Wal, &SMALL, true).unwrap()), 0);
    assert!(damaged(3).exists() && !damaged(2).exists(), "one is kept");
    assert_eq!(fs::read_dir(above.path()).unwrap().count(), 2);
}

fn read_count(store: &RocksStore) -> usize {
    let range = Range { start: Bytes::new(), end: None };
    store.scan(Space::Rows, &range, PageLimit { rows: usize::MAX, bytes: usize::MAX }).unwrap().entries.len()
}
