//! The memory store: what a crash, a lying disk and a failed read or sync leave behind, and the contract of every store.

use super::*;

fn batch(changes: &[(&'static str, Option<&'static str>)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => {
                batch.put(Space::Rows, Bytes::from_static(key.as_bytes()), Bytes::from_static(value.as_bytes()))
            }
            None => batch.delete(Space::Rows, Bytes::from_static(key.as_bytes())),
        }
    }
    batch
}

fn shown(store: &MemoryStore) -> Vec<(String, String)> {
    let range = Range { start: Bytes::new(), end: None };
    let page = store.scan(Space::Rows, &range, PageLimit { rows: usize::MAX, bytes: usize::MAX }).unwrap();
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    page.entries.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// A store with `synced` synced batches and then `unsynced` others; batch i overwrites `last` and adds `key i`.
fn with_batches(seed: u64, synced: usize, unsynced: usize) -> MemoryStore {
    let store = MemoryStore::new(seed);
    for number in 0..synced + unsynced {
        let mut batch = Batch::default();
        batch.put(Space::Rows, format!("key {number:05}").into(), Bytes::new());
        batch.put(Space::Meta, Bytes::from_static(b"last"), number.to_string().into());
        store.write(&batch).unwrap();
        if number + 1 == synced {
            store.sync().unwrap();
        }
    }
    store
}

/// How many batches a store of [`with_batches`] shows, after checking that they are a prefix and whole.
fn prefix(store: &MemoryStore) -> usize {
    let rows = shown(store);
    for (number, (key, _)) in rows.iter().enumerate() {
        assert_eq!(*key, format!("key {number:05}"), "a hole in what survived");
    }
    let last = store.fetch(Space::Meta, b"last").unwrap().map(|text| String::from_utf8(text.to_vec()).unwrap());
    assert_eq!(last, rows.len().checked_sub(1).map(|last| last.to_string()), "a batch survived by half");
    rows.len()
}

#[test]
fn a_crash_keeps_a_prefix_with_all_synced_batches() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let store = with_batches(seed, 5, 4);
        let loss = store.crash(Survivors::Random);
        let kept = prefix(&store);
        assert_eq!((kept, loss), (9 - loss.unsynced, Loss { unsynced: 9 - kept, synced: 0 }));
        seen.insert(kept);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8, 9], "every possible prefix is met");
}

#[test]
fn a_crash_keeps_exactly_the_batches_that_it_was_told_to_keep() {
    for kept in 0..=4 {
        let store = with_batches(1, 3, 4);
        assert_eq!(store.crash(Survivors::First(kept)), Loss { unsynced: 4 - kept, synced: 0 });
        assert_eq!(prefix(&store), 3 + kept);
        assert_eq!(store.unsynced(), 0, "what a start finds on disk stays there");
    }
    let store = with_batches(1, 3, 4);
    assert_eq!(store.crash(Survivors::First(usize::MAX)), Loss::default());
}

#[test]
fn undoing_restores_overwritten_and_deleted_values_in_the_right_order() {
    let store = MemoryStore::new(0);
    store.write(&batch(&[("a", Some("1")), ("b", Some("1"))])).unwrap();
    store.sync().unwrap();
    store.write(&batch(&[("a", Some("2")), ("b", None), ("c", Some("2"))])).unwrap();
    store.write(&batch(&[("a", None), ("b", Some("3"))])).unwrap();
    store.crash(Survivors::First(0));
    assert_eq!(shown(&store), [("a".into(), "1".into()), ("b".into(), "1".into())]);
}

#[test]
fn a_lying_disk_loses_synced_batches_too() {
    let store = with_batches(1, 6, 2);
    assert_eq!(store.lose_synced_tail(4), Loss { unsynced: 2, synced: 4 });
    assert_eq!(prefix(&store), 2);
    assert_eq!(store.lose_synced_tail(100), Loss { unsynced: 0, synced: 2 });
    assert_eq!(prefix(&store), 0);
}

#[test]
fn the_log_stays_bounded_with_and_without_syncs() {
    let never_synced = with_batches(1, 0, UNSYNCED_BATCHES_MAX + 400);
    assert_eq!(never_synced.unsynced(), UNSYNCED_BATCHES_MAX);
    assert_eq!(never_synced.disk().log.len(), UNSYNCED_BATCHES_MAX + SYNCED_BATCHES_KEPT);
    never_synced.crash(Survivors::First(0));
    assert_eq!(prefix(&never_synced), 400, "the oldest were written back without a sync");

    let synced = with_batches(1, 1000, 0);
    assert_eq!(synced.lose_synced_tail(1000), Loss { unsynced: 0, synced: SYNCED_BATCHES_KEPT });
    assert_eq!(prefix(&synced), 1000 - SYNCED_BATCHES_KEPT);
}

#[test]
fn a_sync_covers_only_what_was_written_before_it_began() {
    let store = with_batches(1, 0, 3);
    let begun = store.written();
    store.write(&batch(&[("later", Some("x"))])).unwrap();
    store.sync_through(begun).unwrap();
    assert_eq!(store.unsynced(), 1);
    store.sync_through(BatchNumber::default()).unwrap();
    assert_eq!(store.unsynced(), 1, "an older sync takes nothing back");
    store.crash(Survivors::First(0));
    assert_eq!(prefix(&store), 3);
}

#[test]
fn rows_are_not_in_memory_as_often_as_asked_and_the_same_for_equal_seeds() {
    let answers = |seed| {
        let store = with_batches(seed, 1, 0);
        store.set_faults(MemoryFaults { not_in_memory_per_mille: 250, ..MemoryFaults::default() });
        let gets = (0..4000).map(|number| {
            let (key, there) = if number % 2 == 0 { ("key 00000", true) } else { ("nothing", false) };
            match store.get(Space::Rows, key.as_bytes()) {
                Lookup::NotInMemory => true,
                Lookup::Found(_) => {
                    assert!(there);
                    false
                }
                Lookup::Absent => {
                    assert!(!there);
                    false
                }
                Lookup::Failed(error) => panic!("{error}"),
            }
        });
        let gets: Vec<bool> = gets.collect();
        let misses = gets.iter().filter(|is_miss| **is_miss).count();
        assert!((800..1200).contains(&misses), "{misses} of 4000");
        assert_eq!(store.counters().not_in_memory, misses as u64);
        gets
    };
    assert_eq!(answers(7), answers(7));
    assert_ne!(answers(7), answers(8));
}

#[test]
fn a_failed_read_is_never_an_absent_one() {
    let store = with_batches(1, 1, 0);
    store.set_faults(MemoryFaults { failed_reads_per_mille: 1000, ..MemoryFaults::default() });
    assert!(matches!(store.get(Space::Rows, b"key 00000"), Lookup::Failed(_)));
    assert!(matches!(store.get(Space::Rows, b"nothing"), Lookup::Failed(_)));
    assert!(store.fetch(Space::Rows, b"nothing").is_err());
    let range = Range { start: Bytes::new(), end: None };
    assert!(store.scan(Space::Rows, &range, PageLimit { rows: 1, bytes: 1 }).is_err());
    store.set_faults(MemoryFaults::default());
    assert!(matches!(store.get(Space::Rows, b"key 00000"), Lookup::Found(_)));
}

#[test]
fn after_a_failed_sync_nothing_succeeds_until_the_next_start() {
    let store = with_batches(1, 2, 2);
    store.set_faults(MemoryFaults { fail_syncs: true, ..MemoryFaults::default() });
    assert!(store.sync().is_err());
    store.set_faults(MemoryFaults::default());
    assert!(store.sync().is_err(), "pages that failed once may be gone: a second sync proves nothing");
    assert!(store.write(&batch(&[("x", Some("y"))])).is_err());
    assert_eq!(store.crash(Survivors::First(0)), Loss { unsynced: 2, synced: 0 });
    assert_eq!(prefix(&store), 2);
    store.write(&batch(&[("x", Some("y"))])).unwrap();
    store.sync().unwrap();
}

#[test]
fn a_failed_write_may_or_may_not_be_on_disk() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..32 {
        let store = MemoryStore::new(seed);
        store.set_faults(MemoryFaults { fail_writes: true, ..MemoryFaults::default() });
        assert!(store.write(&batch(&[("a", Some("1")), ("b", Some("1"))])).is_err());
        store.crash(Survivors::First(1));
        assert!(matches!(store.len(Space::Rows), 0 | 2), "never by half");
        seen.insert(store.len(Space::Rows));
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_copy_lives_on_by_itself() {
    let store = with_batches(1, 2, 2);
    let backup = store.copy(9);
    store.write(&batch(&[("later", Some("x"))])).unwrap();
    backup.write(&batch(&[("elsewhere", Some("x"))])).unwrap();
    assert!(matches!(backup.get(Space::Rows, b"later"), Lookup::Absent));
    assert!(matches!(store.get(Space::Rows, b"elsewhere"), Lookup::Absent));
    assert_eq!(backup.crash(Survivors::First(0)), Loss { unsynced: 1, synced: 0 });
    assert_eq!(prefix(&backup), 4, "what was copied is certain in the copy");
}

#[test]
fn a_wiped_store_is_empty_and_works() {
    let store = with_batches(1, 2, 2);
    let handle = store.clone();
    store.wipe();
    assert!(handle.is_empty());
    assert_eq!(handle.crash(Survivors::Random), Loss::default());
    handle.write(&batch(&[("a", Some("1"))])).unwrap();
    assert_eq!(store.len(Space::Rows), 1);
}

#[test]
fn the_store_in_memory_keeps_the_contract_of_a_store() {
    use std::sync::Arc;

    use crate::storage::contract::{self, Reopen};
    for (seed, not_in_memory_per_mille) in [(1, 0), (2, 300), (3, 1000)] {
        let mut store = MemoryStore::new(seed);
        contract::check(&mut |reopen| {
            match reopen {
                Reopen::New => store = MemoryStore::new(seed),
                Reopen::AfterClose => {}
                Reopen::AfterCrash => drop(store.crash(Survivors::Random)),
            }
            store.set_faults(MemoryFaults { not_in_memory_per_mille, ..MemoryFaults::default() });
            Arc::new(store.clone())
        });
    }
}

#[test]
fn what_has_rotted_is_an_error_for_every_reader_until_it_is_written_again() {
    let store = MemoryStore::new(1);
    let key = |name: &'static str| Bytes::from_static(name.as_bytes());
    let mut batch = Batch::default();
    for name in ["a", "b", "c"] {
        batch.put(Space::Rows, key(name), key("value"));
    }
    store.write(&batch).unwrap();
    let range = |start, end| Range { start: key(start), end: Some(key(end)) };
    assert_eq!(store.rot(Space::Rows, &range("b", "z"), 1), 1);
    assert!(matches!(store.get(Space::Rows, b"b"), Lookup::Failed(error) if error.is_corrupt()));
    assert!(store.fetch(Space::Rows, b"b").is_err_and(|error| error.is_corrupt()));
    let limit = PageLimit { rows: 10, bytes: 1_000 };
    assert!(store.scan(Space::Rows, &range("a", "c"), limit).is_err_and(|error| error.is_corrupt()));
    assert!(store.scan(Space::Rows, &range("c", "z"), limit).is_ok() && store.fetch(Space::Rows, b"a").is_ok());
    store.set_faults(MemoryFaults { sees_through_rot: true, ..MemoryFaults::default() });
    assert_eq!(store.fetch(Space::Rows, b"b"), Ok(Some(key("value"))));
    store.set_faults(MemoryFaults::default());
    let mut batch = Batch::default();
    batch.put(Space::Rows, key("b"), key("new"));
    store.write(&batch).unwrap();
    assert_eq!(store.fetch(Space::Rows, b"b"), Ok(Some(key("new"))));
}
