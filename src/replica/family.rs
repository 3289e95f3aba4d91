//! The rows of one key: the main row, and side rows for sessions and elements.
//!
//! A task names the main row, or the one row that it is about; here stands which other rows it needs. All rows of a step
//! are in memory before its first write, so a step is done whole or not at all.

use super::StoredRow;
use crate::ids::RowVersion;
use crate::message::client::{CollectionCommand, Command, Upkeep};
use crate::message::contexts::CounterContext;
use crate::message::peer::Wanted;
use crate::shard::{Env, Mint, Task, TaskBody, Turn};
use crate::storage::{RowKey, RowKind};
use crate::value::Row;

/// The rows that a task needs in memory beside the one that it names.
pub(super) fn side_rows(env: &Env<'_>, task: &Task) -> Vec<RowKey> {
    match &task.body {
        TaskBody::Mint(mint) => of_mint(env, &task.row, mint),
        TaskBody::Replicate { parts, .. } => {
            parts.iter().map(|part| &part.row).filter(|row| **row != task.row).cloned().collect()
        }
        TaskBody::Read { beside: Wanted::Elements(rows), .. } => rows.clone(),
        TaskBody::Read { .. } | TaskBody::Show { .. } | TaskBody::Owe { .. } | TaskBody::Retarget { .. } => Vec::new(),
        // The main row knows what its side rows add up to.
        TaskBody::Strike { .. }
        | TaskBody::Lose { .. }
        | TaskBody::Merge { .. }
        | TaskBody::Settle { .. }
        | TaskBody::Drop { .. } => match task.row.kind() {
            RowKind::Main => Vec::new(),
            RowKind::Session | RowKind::Element(_) => vec![task.row.main_row()],
        },
    }
}

fn of_mint(env: &Env<'_>, main: &RowKey, mint: &Mint) -> Vec<RowKey> {
    let mut rows = match &mint.command {
        Command::IncrementAs(write) => vec![main.session(write.actor)],
        Command::Collection { kind, command: CollectionCommand::Write { changes } } => {
            changes.iter().map(|write| main.element(*kind, &write.element)).collect()
        }
        Command::Upkeep(Upkeep::Remove { kind, elements }) => {
            elements.iter().map(|element| main.element(*kind, element)).collect()
        }
        // A context that does not open is refused when the command is carried out.
        Command::Overwrite { context, .. } => match CounterContext::open(&env.config.seal_key, main, context) {
            Ok(context) => context.seen.sessions().map(|actor| main.session(actor)).collect(),
            Err(_) => Vec::new(),
        },
        _ => Vec::new(),
    };
    if let Some(observed) = &mint.observed {
        rows.extend(observed.row.sessions().map(|actor| main.session(actor)));
    }
    rows
}

/// Puts a new state in place of a loaded row's, under a version of its own, and tells the main row of it.
pub(super) fn replace(turn: &mut Turn, row: &RowKey, state: Row) -> RowVersion {
    let version = turn.next_version();
    let partition = turn.partition_of(row);
    let held = turn.held(row, partition);
    let compacted = turn.compacted(partition);
    if row.kind() != RowKind::Main {
        let is_new = turn.row(row).is_none();
        let before = std::mem::take(&mut turn.row_mut(row).row);
        note(turn, row, Some(&before).filter(|_| !is_new), Some(&state));
    }
    let stored = turn.row_mut(row);
    stored.row = state;
    // What it has taken over from another's sum no longer counts beside it.
    stored.header.beside.settle(&mut stored.row, compacted);
    stored.header.version = version;
    turn.note_change(row, partition, held);
    version
}

/// Deletes a loaded row that this node owes nobody, and tells the main row of it. A main row with rows beside it stays
/// until the last of them goes.
pub(super) fn delete(env: &Env<'_>, turn: &mut Turn, row: &RowKey, keeps_tenure: bool) {
    let partition = row.partition(env.ring.layout().partitions);
    let Some(stored) = turn.row(row) else { return };
    if !stored.header.beside.is_empty() {
        return;
    }
    let before = stored.row.clone();
    note(turn, row, Some(&before), None);
    let held = turn.held(row, partition);
    turn.delete_row(row, partition, keeps_tenure);
    turn.note_change(row, partition, held);
    let main = row.main_row();
    let is_left_over =
        |stored: &StoredRow| stored.row.is_empty() && stored.header.debts.is_empty() && stored.header.beside.is_empty();
    if main != *row && turn.row(&main).is_some_and(is_left_over) {
        turn.delete_row(&main, partition, keeps_tenure);
    }
}

/// Tells the main row what becomes of a side row.
pub(super) fn note(turn: &mut Turn, row: &RowKey, before: Option<&Row>, after: Option<&Row>) {
    match row.kind() {
        RowKind::Main => {}
        RowKind::Session => {
            let Some(actor) = row.actor() else { return };
            turn.row_mut(&row.main_row()).header.beside.replace_session(before, after, actor);
        }
        RowKind::Element(kind) => {
            let is_live = |row: Option<&Row>| row.is_some_and(|row| row.is_live_element(kind));
            let (was_live, is_live) = (is_live(before), is_live(after));
            let header = &mut turn.row_mut(&row.main_row()).header;
            header.beside.replace_element(kind, was_live, is_live, before.is_some(), after.is_some());
        }
    }
}
