//! Stories of backups made by hand. Those of a whole cluster under load are the scenario `restored_elsewhere`.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::causality::{ActorId, Context, Dot, Epoch, Tenure};
use crate::ids::{CollectionKind, Key};
use crate::membership::Member;
use crate::replica::{Partitions, StoredRow, begin_start};
use crate::storage::memory::MemoryStore;
use crate::storage::{Batch, PageLimit, Range, RowKey, Space};
use crate::time::{Hlc, WallTime};
use crate::value::{Beside, Row, Totals, Visible};

const OLD: ClusterId = ClusterId([7; 16]);
const NEW: ClusterId = ClusterId([8; 16]);

fn layout(cluster: ClusterId, nodes: u64) -> Layout {
    let member = |id| Member::new(NodeId(id), format!("n{id}"), format!("n{id}:1"));
    let mut layout = Layout::founding(cluster, "test", (1..=nodes).map(member).collect());
    layout.partitions = 8;
    layout.seal().unwrap()
}

fn config() -> ShardConfig {
    ShardConfig { tick: Duration::from_secs(1), actor_lease_ticks: 1, ..ShardConfig::default() }
}

/// How far an owner is settled: sealed and frozen, compacted, folded.
fn settled(frozen: u32, compacted: u32, folded: u32) -> PartitionMemory {
    PartitionMemory {
        is_established: true,
        sealed: Tick(frozen),
        frozen: Tick(frozen),
        compacted: Tick(compacted),
        folded: Tick(folded),
        ..PartitionMemory::default()
    }
}

/// The directory of a node of the old cluster, the same in every partition.
fn backup(layout: &Layout, node: u64, memory: PartitionMemory, rows: &[(&RowKey, StoredRow)]) -> Source {
    let store = Arc::new(MemoryStore::new(node));
    begin_start(store.as_ref(), layout, NodeId(node), 1000 + node).unwrap();
    let mut batch = Batch::default();
    for partition in 0..layout.partitions {
        let (key, value) = Partitions::default().set(PartitionId(partition), memory);
        batch.put(Space::Meta, key, value);
    }
    for (row, stored) in rows {
        batch.put(Space::Rows, row.as_bytes().clone(), stored.encode());
    }
    store.write(&batch).unwrap();
    Source { name: format!("b{node}"), layout: layout.clone(), node: NodeId(node), store }
}

fn targets(layout: &Layout) -> Vec<Target> {
    let target = |member: &Member| Target { node: member.id, store: Arc::new(MemoryStore::new(member.id.0)) };
    layout.members.iter().map(target).collect()
}

fn main_row(name: &'static str) -> RowKey {
    RowKey::main(&Key::new(name).unwrap())
}

fn dot(expires: u32, event: u64) -> Dot {
    Dot { actor: ActorId { expires: Tick(expires), epoch: Epoch(1), tenure: Tenure(0) }, event }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

fn stored(row: Row) -> StoredRow {
    StoredRow { row, ..StoredRow::default() }
}

fn counted(expires: u32, by: i64) -> Row {
    let mut row = Row::default();
    row.increment(dot(expires, 1), at(1), by, &Beside::NONE).unwrap();
    row
}

fn rows_in(target: &Target) -> Vec<(Bytes, Bytes)> {
    let all = Range { start: Bytes::new(), end: None };
    let limit = PageLimit { rows: usize::MAX, bytes: usize::MAX };
    target.store.scan(Space::Rows, &all, limit).unwrap().entries
}

/// What the new cluster begins with under a key, on its first node; every node has the same.
fn restored_row(sources: &[Source], row: &RowKey) -> Option<StoredRow> {
    let layout = layout(NEW, 3);
    let targets = targets(&layout);
    // Which owners are missing is told by another story.
    restore(sources, &layout, &targets, &config(), true).unwrap();
    for target in &targets {
        assert_eq!(rows_in(target), rows_in(&targets[0]), "all own everything");
    }
    let bytes = targets[0].store.fetch(Space::Rows, row.as_bytes()).unwrap()?;
    Some(StoredRow::decode(&bytes).unwrap())
}

fn count(stored: &StoredRow) -> String {
    stored.row.counter_sum_text(&stored.header.beside)
}

#[test]
fn what_any_backup_holds_is_there_and_the_main_row_knows_what_stands_beside_it() {
    let old = layout(OLD, 3);
    let (key, set) = (main_row("count"), main_row("set"));
    let session = ActorId { expires: Tick(90), epoch: Epoch(5), tenure: Tenure::SESSION };
    let session_row = key.session(session);
    let mut steps = Row::default();
    steps.increment_as(session, 2, Totals { p: 30, n: 0 }).unwrap();
    let mut earlier = Row::default();
    earlier.increment_as(session, 1, Totals { p: 10, n: 0 }).unwrap();
    let (red, blue) = (set.element(CollectionKind::Set, b"red"), set.element(CollectionKind::Set, b"blue"));
    let mut member = Row::default();
    member.add_member(dot(80, 1));
    let none = StoredRow::default();
    let sources = [
        backup(&old, 1, settled(9, 0, 0), &[(&key, stored(counted(80, 5))), (&session_row, stored(earlier))]),
        backup(&old, 2, settled(9, 0, 0), &[(&key, none.clone()), (&session_row, stored(steps))]),
        backup(&old, 3, settled(9, 0, 0), &[(&set, none), (&red, stored(member.clone())), (&blue, stored(member))]),
    ];
    assert_eq!(count(&restored_row(&sources, &key).unwrap()), "35", "the later step of the session, once");
    let beside = restored_row(&sources, &set).unwrap().header.beside;
    assert_eq!(beside.elements(CollectionKind::Set).live, 2);
}

#[test]
fn the_directories_begin_settled_as_far_as_the_backups_and_without_a_start() {
    let old = layout(OLD, 3);
    let row = main_row("count");
    let sources = [
        backup(&old, 1, settled(20, 9, 5), &[(&row, stored(counted(30, 1)))]),
        backup(&old, 2, settled(25, 9, 5), &[]),
        backup(&old, 3, settled(20, 12, 5), &[]),
    ];
    let layout = layout(NEW, 4);
    let targets = targets(&layout);
    restore(&sources, &layout, &targets, &config(), true).unwrap();
    let ring = RingView::new(layout.clone()).unwrap();
    for Target { node, store } in &targets {
        let memories = Partitions::open(store.as_ref(), &ring, |_| true).unwrap();
        for (partition, memory) in memories.iter() {
            let expected = PartitionMemory {
                is_established: true,
                sealed: Tick(25),
                frozen: Tick(12),
                compacted: Tick(12),
                folded: Tick(5),
                newest: memory.newest,
                is_unswept: true,
                ..PartitionMemory::default()
            };
            let is_owner = ring.is_owner(partition, *node);
            assert_eq!(memory, if is_owner { expected } else { PartitionMemory::default() });
            assert!(partition != row.partition(8) || !is_owner || memory.newest >= Tick(30));
        }
        assert_eq!(begin_start(store.as_ref(), &layout, *node, 77).unwrap().start, 1);
    }
}

/// A backup from before a deletion that the others have forgotten since. What is shown.
fn shown_of_an_older_backup() -> Option<Visible> {
    let old = layout(OLD, 3);
    let row = main_row("text");
    let mut text = Row::default();
    text.put(dot(2, 1), at(1), Bytes::from_static(b"old"), &Row::default());
    let sources = [
        backup(&old, 1, settled(1, 1, 1), &[(&row, stored(text))]),
        backup(&old, 2, settled(40, 30, 30), &[]),
        backup(&old, 3, settled(40, 30, 30), &[]),
    ];
    restored_row(&sources, &row).map(|stored| stored.row.visible(&Beside::NONE, WallTime(0)))
}

#[test]
fn an_older_backup_brings_nothing_back_that_was_forgotten() {
    assert_eq!(shown_of_an_older_backup(), None);
}

#[test]
fn a_reset_that_only_a_backup_in_step_has_seen_holds() {
    let old = layout(OLD, 3);
    let row = main_row("count");
    let mut summed = counted(3, 5);
    summed.compact(Tick(10));
    let mut reset = summed.clone();
    reset.reset(dot(60, 1), at(9), &summed);
    let level = settled(10, 10, 10);
    let sources = [
        backup(&old, 1, level, &[(&row, stored(reset))]),
        backup(&old, 2, level, &[(&row, stored(summed.clone()))]),
        backup(&old, 3, level, &[(&row, stored(summed))]),
    ];
    assert_eq!(count(&restored_row(&sources, &row).unwrap()), "0");
}

#[test]
fn a_counter_is_exact_whichever_backups_had_summed_it_up() {
    let old = layout(OLD, 3);
    let row = main_row("count");
    let mut entries = counted(3, 5);
    entries.merge(&counted(4, 7));
    let mut summed = entries.clone();
    summed.compact(Tick(4));
    summed.merge(&counted(50, 100));
    for behind in [1, 2, 3] {
        let of = |node| match node == behind {
            true => backup(&old, node, settled(4, 0, 0), &[(&row, stored(entries.clone()))]),
            false => backup(&old, node, settled(4, 4, 0), &[(&row, stored(summed.clone()))]),
        };
        let sources = [of(1), of(2), of(3)];
        assert_eq!(count(&restored_row(&sources, &row).unwrap()), "112", "{behind} is behind");
    }
}

#[test]
fn what_a_fallback_holds_for_its_owners_is_restored_and_owed_to_nobody() {
    let old = layout(OLD, 5);
    let ring = RingView::new(old.clone()).unwrap();
    let row = main_row("count");
    let fallback = ring.preference_list(row.partition(8)).fallbacks()[0];
    let mut hint = stored(counted(50, 3));
    hint.header.owe(NodeId(1), crate::ids::RowVersion(1), crate::time::WallTime(5));
    let of = |node: u64| {
        let is_fallback = NodeId(node) == fallback;
        let rows = if is_fallback { vec![(&row, hint.clone())] } else { Vec::new() };
        backup(&old, node, settled(9, 0, 0), &rows)
    };
    let sources: Vec<Source> = (1..=5).map(of).collect();
    let found = restored_row(&sources, &row).unwrap();
    assert_eq!((count(&found), found.header.debts), ("3".to_owned(), Vec::new()));
}

#[test]
fn two_backups_of_a_node_hold_what_left_it_in_between() {
    let old = layout(OLD, 3);
    let row = main_row("count");
    let sources = [
        backup(&old, 1, settled(9, 0, 0), &[(&row, stored(counted(50, 3)))]),
        backup(&old, 1, settled(9, 0, 0), &[]),
        backup(&old, 2, settled(9, 0, 0), &[(&row, stored(counted(50, 3)))]),
    ];
    assert_eq!(count(&restored_row(&sources, &row).unwrap()), "3");
}

#[test]
fn what_was_replaced_between_two_rounds_does_not_stand_beside_what_took_its_place() {
    let old = layout(OLD, 3);
    let row = main_row("siblings");
    let mut before = Row::default();
    before.put_sibling(dot(50, 1), at(1), "before".into(), &Context::default()).unwrap();
    let mut after = before.clone();
    after.put_sibling(dot(50, 2), at(2), "after".into(), &before.siblings_context()).unwrap();
    let backup = |node, row_of: &Row| backup(&old, node, settled(9, 0, 0), &[(&row, stored(row_of.clone()))]);
    let first = [backup(1, &before), backup(2, &before), backup(3, &before)];
    let siblings = |sources: &[Source]| -> Vec<Bytes> {
        restored_row(sources, &row).unwrap().row.sibling_values().cloned().collect()
    };
    assert_eq!(siblings(&first), ["before"]);
    let again: Vec<Source> = first.into_iter().chain([backup(2, &after)]).collect();
    assert_eq!(siblings(&again), ["after"], "one owner of the second round is enough");
}

#[test]
fn missing_owners_are_told_and_partitions_without_any_are_refused_unless_that_is_accepted() {
    let (old, new) = (layout(OLD, 5), layout(NEW, 3));
    let of = |node| backup(&old, node, settled(9, 0, 0), &[]);
    let four: Vec<Source> = (1..=4).map(of).collect();
    let restored = restore(&four, &new, &targets(&new), &config(), false).unwrap();
    assert!(!restored.missing.is_empty());
    assert!(restored.missing.iter().all(|missing| missing.owners == [NodeId(5)] && missing.present == 2));
    let refused = restore(&[of(1)], &new, &targets(&new), &config(), false);
    let Err(RestoreError::OwnersMissing { count, first }) = refused else { panic!("{refused:?}") };
    assert!(count > 0 && !first.is_empty());
    let accepted = restore(&[of(1)], &new, &targets(&new), &config(), true).unwrap();
    assert_eq!(accepted.missing.iter().filter(|missing| missing.present == 0).count(), count);
}

fn is_the_old_cluster_refused() -> bool {
    let old = layout(OLD, 3);
    let sources = [backup(&old, 1, settled(9, 0, 0), &[])];
    matches!(restore(&sources, &old, &targets(&old), &config(), false), Err(RestoreError::OldCluster(OLD)))
}

#[test]
fn what_does_not_fit_together_is_refused() {
    assert!(is_the_old_cluster_refused());
    let (old, new) = (layout(OLD, 3), layout(NEW, 3));
    let good = || backup(&old, 1, settled(9, 0, 0), &[]);
    let refused = |sources: &[Source], layout: &Layout, targets: &[Target]| {
        restore(sources, layout, targets, &config(), false).expect_err("refused")
    };
    assert!(matches!(refused(&[], &new, &targets(&new)), RestoreError::NoBackup));
    let foreign = backup(&layout(ClusterId([9; 16]), 3), 2, settled(9, 0, 0), &[]);
    assert!(matches!(refused(&[good(), foreign], &new, &targets(&new)), RestoreError::OtherCluster { .. }));
    let mut wide = new.clone();
    wide.partitions = 16;
    let wide = wide.seal().unwrap();
    assert!(matches!(refused(&[good()], &wide, &targets(&wide)), RestoreError::Partitions { .. }));
    let mislabelled = Source { node: NodeId(2), ..good() };
    assert!(matches!(refused(&[mislabelled], &new, &targets(&new)), RestoreError::Backup { .. }));
    let empty = Source { store: Arc::new(MemoryStore::new(1)), ..good() };
    assert!(matches!(refused(&[empty], &new, &targets(&new)), RestoreError::Backup { .. }));
    assert!(matches!(refused(&[good()], &new, &targets(&new)[1..]), RestoreError::NoTarget(NodeId(1))));
    let used = targets(&new);
    restore(&[good()], &new, &used, &config(), true).unwrap();
    assert!(matches!(refused(&[good()], &new, &used), RestoreError::NotEmpty(NodeId(1))));
    let damaged = good();
    let mut batch = Batch::default();
    batch.put(Space::Rows, main_row("count").as_bytes().clone(), Bytes::from_static(b"torn"));
    damaged.store.write(&batch).unwrap();
    let other = backup(&old, 2, settled(9, 0, 0), &[]);
    assert!(matches!(refused(&[damaged, other], &new, &targets(&new)), RestoreError::Damaged { .. }));
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_each_of_them_goes_wrong() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::RestoredUnderOldCluster));
    let is_refused = is_the_old_cluster_refused();
    switch_off(Some(Mutation::ForgottenKept));
    let shown = shown_of_an_older_backup();
    switch_off(None);
    assert!(!is_refused);
    assert_ne!(shown, None);
}

/// Two of three owners have no backup, and writes are acknowledged by two.
fn is_a_backup_without_a_quorum_refused() -> bool {
    let (old, new) = (layout(OLD, 3), layout(NEW, 3));
    let of = |node| backup(&old, node, settled(0, 0, 0), &[(&main_row("count"), stored(counted(90, 5)))]);
    restore(&[of(1), of(2)], &new, &targets(&new), &config(), false).expect("one may be missing");
    let refused = restore(&[of(1)], &new, &targets(&new), &config(), false);
    let is_refused = matches!(
        refused,
        Err(RestoreError::WritesMissing { count: 8, owners: 2, of: 3, needed: 2, ref first }) if first.len() == 8
    );
    restore(&[of(1)], &new, &targets(&new), &config(), true).expect("the loss is accepted");
    is_refused
}

#[test]
fn what_only_owners_without_a_backup_may_hold_is_not_given_up_unless_that_is_accepted() {
    assert!(is_a_backup_without_a_quorum_refused());
}

#[cfg(feature = "mutations")]
#[test]
fn without_its_protection_acknowledged_writes_are_given_up_in_silence() {
    use crate::mutation::{Mutation, switch_off};
    switch_off(Some(Mutation::RestoredWithoutQuorum));
    let is_well = is_a_backup_without_a_quorum_refused();
    switch_off(None);
    assert!(!is_well);
}
