//! The store on RocksDB: the contract of every store, killed processes, torn and flipped logs, directories in use.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, process};

use starling::storage::contract::{self, Reopen};
use tempfile::TempDir;

use super::*;

const SMALL: Tuning = Tuning { block_cache_bytes: 8 << 20, memtable_bytes: 1 << 20, log_bytes_max: 8 << 20 };

fn open(dir: &Path) -> RocksStore {
    RocksStore::open_tuned(dir, Durability::Fsync, &SMALL).unwrap()
}

/// The files of a directory as they are now, also while a store has it open: what a crash would leave.
fn copied(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[test]
fn the_store_on_disk_keeps_the_contract_of_a_store() {
    let mut dir = TempDir::new().unwrap();
    let mut held: Option<Arc<RocksStore>> = None;
    contract::check(&mut |reopen| {
        let crashed = (reopen == Reopen::AfterCrash).then(|| copied(dir.path()));
        held = None;
        match reopen {
            Reopen::New => dir = TempDir::new().unwrap(),
            Reopen::AfterClose => {}
            Reopen::AfterCrash => dir = crashed.unwrap(),
        }
        let store = Arc::new(open(dir.path()));
        held = Some(Arc::clone(&store));
        store
    });
}

/// Batch `number`: a row of its own in two spaces, and the number of the newest batch. Forty of them span several blocks
/// of the log.
fn numbered(number: u32) -> Batch {
    let key = || Bytes::copy_from_slice(&number.to_be_bytes());
    let mut batch = Batch::default();
    batch.put(Space::Rows, key(), Bytes::from(vec![number as u8; 3000]));
    batch.put(Space::Debts, key(), Bytes::new());
    batch.put(Space::Meta, Bytes::from_static(b"newest"), key());
    batch
}

/// How many [`numbered`] batches a store holds, after checking that they are a prefix and whole.
fn prefix(store: &RocksStore) -> u32 {
    let newest = store.fetch(Space::Meta, b"newest").unwrap();
    let held = newest.map_or(0, |bytes| u32::from_be_bytes(bytes.as_ref().try_into().unwrap()) + 1);
    for space in [Space::Rows, Space::Debts] {
        let range = Range { start: Bytes::new(), end: None };
        let page = store.scan(space, &range, PageLimit { rows: usize::MAX, bytes: usize::MAX }).unwrap();
        let keys: Vec<u32> =
            page.entries.iter().map(|(key, _)| u32::from_be_bytes(key.as_ref().try_into().unwrap())).collect();
        assert_eq!(keys, (0..held).collect::<Vec<u32>>(), "{space:?}: a hole, or half a batch");
    }
    held
}

const CHILD_DIR: &str = "STARLING_TEST_STORE_DIR";

/// The child of the tests below: writes for ever and tells what it has written and synced.
#[test]
fn a_child_that_writes_until_it_is_killed() {
    let Some(dir) = env::var_os(CHILD_DIR) else { return };
    let store = open(Path::new(&dir));
    for number in prefix(&store).. {
        store.write(&numbered(number)).unwrap();
        println!("\nwritten {number}");
        if number % 7 == 6 {
            store.sync().unwrap();
        }
        if number % 1000 == 999 {
            process::abort();
        }
    }
}

/// Runs the child on a directory, kills it after so many batches (or lets it abort), and answers the last batch that it
/// said was written.
fn written_by_child(dir: &Path, killed_after: usize) -> u32 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "storage::rocks::tests::a_child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut numbers = lines.filter_map(|line| line.strip_prefix("written ")?.parse::<u32>().ok());
    let mut last = numbers.by_ref().take(killed_after).last();
    child.kill().unwrap();
    last = numbers.last().or(last);
    assert!(!child.wait().unwrap().success(), "the child died");
    last.expect("the child wrote")
}

#[test]
fn a_killed_process_loses_nothing_that_it_wrote() {
    let dir = TempDir::new().unwrap();
    let mut held = 0;
    for killed_after in [1, 40, 333, usize::MAX] {
        let written = written_by_child(dir.path(), killed_after);
        let store = open(dir.path());
        let now = prefix(&store);
        assert!(now > written && now > held, "{now} batches survived, {written} was said to be written");
        held = now;
    }
    assert_eq!(held % 1000, 0, "the last child aborted by itself, right after a write");
}

/// The log of a directory that has one.
fn log_of(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs[0].clone()
}

/// A directory with 20 synced and 20 unsynced batches, and the length of its log when it was synced.
fn half_synced() -> (TempDir, u64) {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..20).for_each(|number| store.write(&numbered(number)).unwrap());
    store.sync().unwrap();
    let synced = fs::metadata(log_of(dir.path())).unwrap().len();
    (20..40).for_each(|number| store.write(&numbered(number)).unwrap());
    (copied(dir.path()), synced)
}

#[test]
fn a_log_that_was_torn_anywhere_after_the_sync_shows_a_prefix_with_all_synced_batches() {
    let (dir, synced) = half_synced();
    let whole = fs::metadata(log_of(dir.path())).unwrap().len();
    let mut seen = Vec::new();
    for length in (synced..=whole).step_by(997).chain([whole]) {
        let torn = copied(dir.path());
        File::options().write(true).open(log_of(torn.path())).unwrap().set_len(length).unwrap();
        let held = prefix(&open(torn.path()));
        assert!(held >= 20, "{held} batches survived a log torn at {length} of {whole}, synced to {synced}");
        seen.push(held);
    }
    assert!(seen.is_sorted() && seen[0] == 20 && *seen.last().unwrap() == 40, "{seen:?}");
}

#[test]
fn a_flipped_bit_in_the_log_ends_it_there_instead_of_changing_a_row() {
    let (dir, synced) = half_synced();
    let whole = fs::read(log_of(dir.path())).unwrap();
    for position in (synced as usize..whole.len()).step_by(1511) {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x10;
        let damaged = copied(dir.path());
        fs::write(log_of(damaged.path()), flipped).unwrap();
        let held = prefix(&open(damaged.path()));
        assert!((20..40).contains(&held), "{held} batches, flipped at {position}");
    }
}

#[test]
fn a_directory_that_is_in_use_is_named_as_such() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path());
    let text = RocksStore::open(dir.path(), Durability::Fsync).expect_err("it is in use").to_string();
    assert!(text.contains("is another node running on it?") && text.contains(dir.path().to_str().unwrap()), "{text}");
    drop(first);
    open(dir.path());
}

#[test]
fn a_directory_that_another_process_uses_is_named_as_such() {
    let dir = TempDir::new().unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "storage::rocks::tests::a_child_that_holds_a_directory", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "open"));
    let error = RocksStore::open(dir.path(), Durability::Fsync).expect_err("it is in use");
    assert!(matches!(error, OpenStoreError::InUse { .. }), "{error}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    open(dir.path());
}

/// The child of the test above: holds a directory until its input ends.
#[test]
fn a_child_that_holds_a_directory() {
    let Some(dir) = env::var_os(CHILD_DIR) else { return };
    let _store = open(Path::new(&dir));
    println!("\nopen");
    io::stdin().lines().for_each(drop);
}

#[test]
fn other_reasons_not_to_open_say_what_to_do() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));

    let foreign = copied(dir.path());
    let mut options = rocksdb::Options::default();
    options.create_missing_column_families(true);
    drop(DB::open_cf(&options, foreign.path(), ["rows", "debts", "meta", "trees", "later"]).unwrap());
    let error = RocksStore::open(foreign.path(), Durability::Fsync).expect_err("an unknown column family");
    assert!(matches!(error, OpenStoreError::Unknown { .. }), "{error:?}");

    let damaged = copied(dir.path());
    fs::write(damaged.path().join("CURRENT"), "nothing").unwrap();
    let error = RocksStore::open(damaged.path(), Durability::Fsync).expect_err("no manifest");
    assert!(matches!(error, OpenStoreError::Damaged { .. }), "{error:?}");

    let file = dir.path().join("CURRENT");
    let error = RocksStore::open(&file, Durability::Fsync).expect_err("a file");
    assert!(matches!(error, OpenStoreError::Io { .. }), "{error:?}");
}

#[test]
fn what_rows_take_is_told_also_while_their_files_overlap() {
    let (dir, copies) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(dir.path());
    let (files, rows, row_bytes) = (4u64, 500u64, 300u64);
    for file in 0..files {
        let mut batch = Batch::default();
        for row in 0..rows {
            // Nothing that compresses.
            let mut state = row * files + file + 1;
            let bytes: Vec<u8> = (0..row_bytes).map(|_| noise(&mut state)).collect();
            batch.put(Space::Rows, Bytes::copy_from_slice(&(row * files + file).to_be_bytes()), Bytes::from(bytes));
        }
        store.write(&batch).unwrap();
        // Writes what is in memory to a file that spans the keys of the others.
        store.checkpoint(&copies.path().join(file.to_string())).unwrap();
    }
    let (told, written) = (store.rows_bytes(), files * rows * row_bytes);
    assert!(told >= written && told < 2 * written + (1 << 20), "{told} of {written} bytes");
}

/// The next byte of a sequence without a pattern (xorshift).
fn noise(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u8
}

#[test]
fn a_new_directory_belongs_to_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let above = TempDir::new().unwrap();
    let dir = above.path().join("new/data");
    drop(RocksStore::open(&dir, Durability::Wal).unwrap());
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}

/// A store whose 20,000 rows are in files, none of them read yet.
fn cold() -> (TempDir, RocksStore) {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    for hundred in 0..200 {
        let mut batch = Batch::default();
        for row in 0..100 {
            batch.put(Space::Rows, format!("row {:06}", hundred * 100 + row).into(), Bytes::from(vec![7; 100]));
        }
        store.write(&batch).unwrap();
    }
    store.db.flush_cf(store.family(Space::Rows).unwrap()).unwrap();
    drop(store);
    let store = open(dir.path());
    (dir, store)
}

#[test]
fn a_cold_row_is_not_in_memory_until_it_was_fetched() {
    let (_dir, store) = cold();
    assert_eq!(store.get(Space::Rows, b"row 000123"), Lookup::NotInMemory);
    let fetched = store.fetch(Space::Rows, b"row 000123").unwrap().unwrap();
    assert_eq!(store.get(Space::Rows, b"row 000123"), Lookup::Found(fetched));
}

#[test]
fn most_absent_keys_are_known_to_be_absent_without_the_disk() {
    let (_dir, store) = cold();
    let answers = |store: &RocksStore| {
        let answers = (0..10_000).map(|number| store.get(Space::Rows, format!("row {number:06} not").as_bytes()));
        let unknown = answers.filter(|answer| match answer {
            Lookup::Absent => false,
            Lookup::NotInMemory => true,
            other => panic!("{other:?}"),
        });
        unknown.count()
    };
    let unknown = answers(&store);
    assert!(unknown < 300, "{unknown} of 10,000 absent keys need the disk");

    let dir = TempDir::new().unwrap();
    assert_eq!(answers(&open(dir.path())), 0, "an empty store knows that it is empty");
}

#[test]
fn a_damaged_file_is_an_error_and_never_an_absent_row() {
    let (dir, store) = cold();
    drop(store);
    let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|kind| kind == "sst")) {
        let mut bytes = fs::read(&path).unwrap();
        // The blocks of rows stand first.
        let blocks = bytes.len() / 2;
        bytes[..blocks].iter_mut().step_by(500).for_each(|byte| *byte ^= 0xff);
        fs::write(&path, bytes).unwrap();
    }
    let store = open(dir.path());
    let error = store.fetch(Space::Rows, b"row 000123").expect_err("its block is damaged");
    assert!(error.to_string().contains("could not be read"), "{error}");
    assert!(!matches!(store.get(Space::Rows, b"row 000123"), Lookup::Absent | Lookup::Found(_)));
    let range = Range { start: Bytes::new(), end: None };
    store.scan(Space::Rows, &range, PageLimit { rows: 10, bytes: 1000 }).expect_err("a page of it is an error too");
}

#[test]
fn after_a_failure_nothing_is_written_or_synced_any_more() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    store.write(&numbered(0)).unwrap();
    let refused = DB::open(&rocksdb::Options::default(), dir.path()).expect_err("it is in use");
    let failure = store.failed("the log could not be synced", refused);
    assert!(failure.to_string().contains("the node must stop"), "{failure}");
    assert_eq!(store.write(&numbered(1)), Err(failure.clone()));
    assert_eq!(store.sync(), Err(failure));
    assert_eq!(prefix(&store), 1, "reads go on");
}

/// What they see never goes back, and both keys of a page are of one batch.
#[test]
fn readers_on_other_threads_see_whole_batches() {
    let dir = TempDir::new().unwrap();
    let store = &open(dir.path());
    let write = |number: u64| {
        let value = number.to_be_bytes();
        let mut batch = Batch::default();
        for (space, key) in [(Space::Rows, "a"), (Space::Rows, "b"), (Space::Debts, "a")] {
            batch.put(space, Bytes::from(key), Bytes::copy_from_slice(&value));
        }
        store.write(&batch).unwrap();
    };
    write(0);
    let is_over = &AtomicBool::new(false);
    let number = |value: &Bytes| u64::from_be_bytes(value.as_ref().try_into().expect("a whole value"));
    let get = || match store.get(Space::Rows, b"a") {
        Lookup::Found(value) => Some(number(&value)),
        Lookup::NotInMemory => None,
        other => panic!("a key that is always there: {other:?}"),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !is_over.load(Ordering::Acquire) {
                let now = get().unwrap_or(last);
                assert!(now >= last, "a reader went back from {last} to {now}");
                last = now;
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                let all = Range { start: Bytes::new(), end: None };
                let page = store.scan(Space::Rows, &all, PageLimit { rows: 10, bytes: usize::MAX }).unwrap();
                let seen: Vec<u64> = page.entries.iter().map(|(_, value)| number(value)).collect();
                assert!(matches!(seen.as_slice(), [a, b] if a == b), "half a batch in one page: {seen:?}");
            }
        });
        // Also when the writer panics, or its readers would go on for ever.
        let _end = SetOnDrop(is_over);
        for number in 1..=2000 {
            write(number);
            assert!(get().is_none_or(|seen| seen == number), "the writer reads its own write");
        }
    });
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
