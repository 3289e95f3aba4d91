//! The contract of a [`Store`], as a suite of tests that every store must pass: the store in memory here, RocksDB in the
//! node. Public so that tests of other crates can run it; it panics where the contract is broken, and nothing but a test
//! should call it.
//!
//! ```text
//! contract::check(&mut |reopen| match reopen {
//!     Reopen::New => …,          // an empty directory
//!     Reopen::AfterClose => …,   // the same directory, closed in good order
//!     Reopen::AfterCrash => …,   // the same directory, as a crash left it
//! });
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::keyspace::after;
use super::{Batch, Lookup, Page, PageLimit, Range, Space, Store};

/// How the suite wants a store opened. It has dropped every handle on the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopen {
    /// In a new, empty directory.
    New,
    /// In the directory of the store before, which was closed in good order.
    AfterClose,
    /// In the directory of the store before, as a crash left it. Unsynced batches may be gone.
    AfterCrash,
}

/// Opens stores for the suite.
pub type Open<'a> = &'a mut dyn FnMut(Reopen) -> Arc<dyn Store>;

/// Runs the whole suite. Takes a few seconds and some 30 MB of directory.
pub fn check(open: Open) {
    reads_show_what_was_written(&*open(Reopen::New));
    spaces_are_apart(&*open(Reopen::New));
    any_bytes_are_keys_and_values(&*open(Reopen::New));
    scans_stay_within_their_range(&*open(Reopen::New));
    pages_end_where_their_limit_says(&*open(Reopen::New));
    a_closed_store_keeps_everything(open);
    a_crash_keeps_a_prefix_with_all_synced_batches(open);
}

/// The value of a key, asked as a shard and its jobs do; all ways to ask must agree.
fn read(store: &dyn Store, space: Space, key: &[u8]) -> Option<Bytes> {
    let fetched = store.fetch(space, key).expect("a fetch succeeds");
    match store.get(space, key) {
        Lookup::Found(value) => assert_eq!(Some(value), fetched, "get and fetch of {key:?} in {space:?}"),
        Lookup::Absent => assert_eq!(None, fetched, "get says absent, fetch of {key:?} in {space:?} does not"),
        Lookup::NotInMemory => {}
        Lookup::Failed(error) => panic!("{key:?} in {space:?}: {error}"),
    }
    let page = scan(store, space, key, Some(&after(&Bytes::copy_from_slice(key))), usize::MAX, usize::MAX);
    assert!(page.is_last && page.entries.len() <= 1, "one key is one page: {page:?}");
    assert_eq!(page.entries.into_iter().next().map(|(_, value)| value), fetched, "scan and fetch of {key:?}");
    fetched
}

fn scan(store: &dyn Store, space: Space, start: &[u8], end: Option<&[u8]>, rows: usize, bytes: usize) -> Page {
    let range = Range { start: Bytes::copy_from_slice(start), end: end.map(Bytes::copy_from_slice) };
    store.scan(space, &range, PageLimit { rows, bytes }).expect("a scan succeeds")
}

fn keys(page: &Page) -> Vec<&[u8]> {
    page.entries.iter().map(|(key, _)| key.as_ref()).collect()
}

fn put(store: &dyn Store, entries: &[(Space, &[u8], &[u8])]) {
    let mut batch = Batch::default();
    for (space, key, value) in entries {
        batch.put(*space, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }
    store.write(&batch).expect("a write succeeds");
}

fn reads_show_what_was_written(store: &dyn Store) {
    assert_eq!(read(store, Space::Rows, b"k"), None, "a new store is empty");
    store.write(&Batch::default()).expect("a batch of nothing succeeds");
    store.sync().expect("a sync of nothing succeeds");
    for value in [&b"1"[..], b"22", b""] {
        put(store, &[(Space::Rows, b"k", value)]);
        assert_eq!(read(store, Space::Rows, b"k").as_deref(), Some(value));
    }
    let mut batch = Batch::default();
    batch.put(Space::Rows, Bytes::from_static(b"j"), Bytes::from_static(b"3"));
    batch.delete(Space::Rows, Bytes::from_static(b"k"));
    batch.delete(Space::Rows, Bytes::from_static(b"never"));
    store.write(&batch).expect("a write succeeds");
    assert_eq!(read(store, Space::Rows, b"j").as_deref(), Some(&b"3"[..]));
    assert_eq!(read(store, Space::Rows, b"k"), None, "deleted");
    assert_eq!(read(store, Space::Rows, b"never"), None);
    store.sync().expect("a sync succeeds");
    put(store, &[(Space::Rows, b"k", b"again")]);
    assert_eq!(read(store, Space::Rows, b"k").as_deref(), Some(&b"again"[..]), "a deleted key can come back");
}

fn spaces_are_apart(store: &dyn Store) {
    put(store, &[(Space::Rows, b"k", b"row"), (Space::Debts, b"k", b"debt"), (Space::Meta, b"k", b"meta")]);
    let mut batch = Batch::default();
    batch.delete(Space::Debts, Bytes::from_static(b"k"));
    store.write(&batch).expect("a write succeeds");
    assert_eq!(read(store, Space::Rows, b"k").as_deref(), Some(&b"row"[..]));
    assert_eq!(read(store, Space::Debts, b"k"), None);
    assert_eq!(read(store, Space::Meta, b"k").as_deref(), Some(&b"meta"[..]));
}

fn any_bytes_are_keys_and_values(store: &dyn Store) {
    let large = vec![0xab; 8 * 1024 * 1024];
    let long = vec![b'x'; 66_000];
    let all: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"a", &long, b"\xff\xff"];
    for key in all {
        put(store, &[(Space::Rows, key, key)]);
    }
    put(store, &[(Space::Rows, b"large", &large)]);
    for key in all {
        assert_eq!(read(store, Space::Rows, key).as_deref(), Some(key));
    }
    assert!(read(store, Space::Rows, b"large").is_some_and(|value| value == large), "8 MiB come back");
    let page = scan(store, Space::Rows, b"", None, 100, usize::MAX);
    let order: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"a", b"large", &long, b"\xff\xff"];
    assert_eq!(keys(&page), order, "byte order");
}

fn scans_stay_within_their_range(store: &dyn Store) {
    for key in [b"a", b"b", b"c", b"d"] {
        put(store, &[(Space::Rows, key, b"")]);
    }
    put(store, &[(Space::Debts, b"bb", b"")]);
    let found = |start: &[u8], end: Option<&[u8]>| {
        let page = scan(store, Space::Rows, start, end, 100, usize::MAX);
        assert!(page.is_last);
        String::from_utf8_lossy(&keys(&page).concat()).into_owned()
    };
    assert_eq!(found(b"", None), "abcd");
    assert_eq!(found(b"b", Some(b"d")), "bc", "the start belongs to it, the end does not");
    assert_eq!(found(b"aa", Some(b"cc")), "bc", "bounds need not be keys");
    assert_eq!(found(b"d", None), "d");
    assert_eq!(found(b"e", None), "");
    assert_eq!(found(b"b", Some(b"b")), "", "an empty range");
    assert_eq!(found(b"c", Some(b"a")), "", "a reversed range is empty");
}

fn pages_end_where_their_limit_says(store: &dyn Store) {
    for number in 0..10_u8 {
        put(store, &[(Space::Rows, &[number], &[number; 99])]);
    }
    let page = |start: u8, end: u8, rows, bytes| {
        let page = scan(store, Space::Rows, &[start], Some(&[end]), rows, bytes);
        (page.entries.len(), page.is_last)
    };
    assert_eq!(page(0, 10, 3, usize::MAX), (3, false));
    assert_eq!(page(0, 3, 3, usize::MAX), (3, true), "a full page that ends with its range is the last");
    assert_eq!(page(0, 10, 10, usize::MAX), (10, true));
    assert_eq!(page(0, 10, 100, 300), (3, false), "each entry has 100 bytes");
    assert_eq!(page(0, 10, 100, 301), (4, false), "the page ends with the entry that reaches the limit");
    assert_eq!(page(0, 10, 100, 1), (1, false), "at least one entry");
    assert_eq!(page(0, 10, 0, 0), (1, false), "at least one entry, whatever the limit");
    assert_eq!(page(9, 10, 1, 1), (1, true));

    let (mut start, mut seen) = (Bytes::new(), Vec::new());
    loop {
        let page = scan(store, Space::Rows, &start, None, 3, usize::MAX);
        seen.extend(page.entries.iter().flat_map(|(key, _)| key.to_vec()));
        let Some((last, _)) = page.entries.last().filter(|_| !page.is_last) else { break };
        start = after(last);
    }
    assert_eq!(seen, (0..10).collect::<Vec<u8>>(), "pages join without gap or overlap");
}

/// Batch `number` of the tests that reopen: it overwrites, adds to two spaces, and deletes what batch `number - 1` added.
fn numbered(number: u32) -> Batch {
    let bytes = |number: u32| Bytes::copy_from_slice(&number.to_be_bytes());
    let mut batch = Batch::default();
    batch.put(Space::Rows, bytes(number), Bytes::from(vec![number as u8; 1000]));
    batch.put(Space::Debts, bytes(number), Bytes::new());
    batch.put(Space::Meta, Bytes::from_static(b"newest"), bytes(number));
    if let Some(previous) = number.checked_sub(1) {
        batch.delete(Space::Debts, bytes(previous));
    }
    batch
}

/// How many of the [`numbered`] batches a store holds, after checking that they are a prefix and each is whole.
fn prefix(store: &dyn Store, written: u32) -> u32 {
    let newest = read(store, Space::Meta, b"newest");
    let held = newest.map_or(0, |bytes| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) + 1);
    for number in 0..written {
        let key = number.to_be_bytes();
        let row = read(store, Space::Rows, &key);
        assert_eq!(row.is_some(), number < held, "batch {number} of {held}: a hole, or half a batch");
        assert!(row.is_none_or(|row| row == vec![number as u8; 1000]), "row {number} changed");
        assert_eq!(read(store, Space::Debts, &key).is_some(), number + 1 == held, "debt {number} of {held}");
    }
    held
}

fn a_closed_store_keeps_everything(open: Open) {
    let store = open(Reopen::New);
    for number in 0..300 {
        store.write(&numbered(number)).expect("a write succeeds");
        if number == 200 {
            store.sync().expect("a sync succeeds");
        }
    }
    drop(store);
    for _ in 0..2 {
        let store = open(Reopen::AfterClose);
        assert_eq!(prefix(&*store, 300), 300, "closing in good order loses nothing, synced or not");
    }
}

fn a_crash_keeps_a_prefix_with_all_synced_batches(open: Open) {
    for unsynced in [0, 1, 40] {
        let store = open(Reopen::New);
        let mut synced = 0;
        let mut written = 0;
        for round in 1..=4 {
            for number in written..written + 20 {
                store.write(&numbered(number)).expect("a write succeeds");
            }
            written += 20;
            if round < 4 || unsynced == 0 {
                store.sync().expect("a sync succeeds");
                synced = written;
            }
        }
        for number in written..written + unsynced {
            store.write(&numbered(number)).expect("a write succeeds");
        }
        written += unsynced;
        drop(store);
        let store = open(Reopen::AfterCrash);
        let held = prefix(&*store, written);
        assert!(held >= synced, "{held} batches survived, {synced} were synced");
        for number in held..written {
            store.write(&numbered(number)).expect("a write succeeds");
        }
        assert_eq!(prefix(&*store, written), written, "a store works on after a crash");
    }
}
