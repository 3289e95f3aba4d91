//! Taking backups of a store, without a node around it.

use std::sync::mpsc::channel;

use bytes::Bytes;
use starling::config::Durability;
use starling::ids::ClusterId;
use starling::membership::Member;
use starling::ring::RingView;
use starling::storage::{Batch, Space, Store};

use super::*;
use crate::backup::ManifestError;

struct Place {
    backups: Backups,
    store: Arc<RocksStore>,
    disk: Arc<DiskGauge>,
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place::at(tempfile::tempdir().unwrap())
    }

    fn at(directory: tempfile::TempDir) -> Place {
        let store = Arc::new(RocksStore::open(&directory.path().join("data"), Durability::Fsync).unwrap());
        let members = vec![Member::new(NodeId(1), "a", "a:1")];
        let layout = Layout::founding(ClusterId([7; 16]), "test", members).seal().unwrap();
        let ring = Arc::new(PresentRing::new(Arc::new(RingView::new(layout).unwrap())));
        let disk = Arc::new(DiskGauge::default());
        let kept = directory.path().join("kept");
        let backups = Backups::new(kept, &store, (NodeId(1), ring), (Duration::from_secs(10), 360), disk.clone());
        Place { backups, store, disk, directory }
    }

    fn put(&self, key: &'static str) {
        let mut batch = Batch::default();
        batch.put(Space::Rows, Bytes::from_static(key.as_bytes()), Bytes::from_static(b"value"));
        self.store.write(&batch).unwrap();
    }

    fn take(&self, name: &str) -> Result<BackupTaken, BackupRefusal> {
        let (sender, receiver) = channel();
        self.backups.begin(name.to_owned(), Box::new(move |outcome| sender.send(outcome).unwrap()));
        receiver.recv().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("kept").join(name)
    }
}

#[test]
fn a_backup_shows_what_was_written_before_and_nothing_later() {
    let place = Place::new();
    place.put("before");
    let taken = place.take("one").unwrap();
    place.put("after");
    assert_eq!(Manifest::check(&place.path("one")).unwrap().files.len() as u64, taken.files);
    let copy = RocksStore::open_read_only(&place.path("one").join(DATA)).unwrap();
    assert_eq!(copy.fetch(Space::Rows, b"before"), Ok(Some(Bytes::from_static(b"value"))));
    assert_eq!(copy.fetch(Space::Rows, b"after"), Ok(None));
    let mut batch = Batch::default();
    batch.delete(Space::Rows, Bytes::from_static(b"before"));
    assert!(copy.write(&batch).is_err(), "a backup is only read");
    drop(copy);
    assert!(Manifest::check(&place.path("one")).is_ok(), "looking at it changes nothing");
}

#[test]
fn what_a_stop_cut_short_is_replaced_and_never_taken_for_a_backup() {
    let place = Place::new();
    place.put("row");
    let partial = place.path("one.partial");
    fs::create_dir_all(partial.join(DATA)).unwrap();
    assert!(matches!(Manifest::check(&partial), Err(ManifestError::BackupIncomplete { .. })));
    place.take("one").unwrap();
    assert!(!partial.exists() && Manifest::check(&place.path("one")).is_ok());
}

#[test]
fn what_a_stop_cut_short_is_removed_by_the_next_start_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("kept");
    for name in ["old.partial/data", "whole/data", "notes"] {
        fs::create_dir_all(kept.join(name)).unwrap();
    }
    let place = Place::at(directory);
    let left = |name: &str| place.path(name).exists();
    assert_eq!(["old.partial", "whole", "notes"].map(left), [false, true, true]);
}

#[test]
fn who_asks_again_under_the_same_name_is_told_that_it_is_there_and_anything_else_is_not_touched() {
    let place = Place::new();
    place.put("row");
    let taken = place.take("one").unwrap();
    place.put("later");
    let again = place.take("one").unwrap();
    assert!(taken.already_ms_ago.is_none() && again.already_ms_ago.is_some(), "{again:?}");
    assert_eq!((again.place, again.files, again.bytes), (taken.place, taken.files, taken.bytes));
    fs::create_dir(place.path("other")).unwrap();
    assert!(matches!(place.take("other"), Err(BackupRefusal::NameTaken { .. })));
    let manifest = place.path("one").join(MANIFEST);
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace("node = 1", "node = 2")).unwrap();
    assert!(matches!(place.take("one"), Err(BackupRefusal::NameTaken { .. })), "it is another node's");
}

#[test]
fn a_file_is_read_no_faster_than_its_pace() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), vec![7; 300_000]).unwrap();
    let began = Instant::now();
    let paced = FileEntry::paced(directory.path(), "file", 1_000_000).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(paced, FileEntry::of(directory.path(), "file").unwrap());
}

#[test]
fn a_full_disk_a_stopped_node_and_a_place_that_is_none_are_told_apart() {
    let place = Place::new();
    place.disk.note(10, 1_000);
    let Err(BackupRefusal::NoSpace { detail }) = place.take("one") else { panic!("the disk is full") };
    assert!(detail.contains("10 bytes"), "{detail}");
    place.disk.note(10_000, 1_000);
    fs::write(place.directory.path().join("kept"), "a file").unwrap();
    assert!(matches!(place.take("one"), Err(BackupRefusal::Failed { .. })));
    fs::remove_file(place.directory.path().join("kept")).unwrap();
    assert!(place.take("one").is_ok(), "the one that failed is not under way any more");
    let full = io::Error::from(ErrorKind::StorageFull);
    assert!(matches!(refusal(&full), BackupRefusal::NoSpace { .. }));
    let Place { backups, store, directory, .. } = place;
    drop(store);
    let (sender, receiver) = channel();
    backups.begin("two".into(), Box::new(move |outcome| sender.send(outcome).unwrap()));
    let Err(BackupRefusal::Failed { detail }) = receiver.recv().unwrap() else { panic!("there is no store") };
    assert!(detail.contains("stopping") && !directory.path().join("kept/two.partial").exists(), "{detail}");
}

#[test]
fn only_one_is_taken_at_a_time() {
    let place = Place::new();
    place.backups.admit("one").unwrap();
    assert_eq!(place.take("two"), Err(BackupRefusal::UnderWay { name: "one".into() }));
    place.backups.shared.end();
    assert!(place.take("two").is_ok());
}
