//! Settling a row on disk: a sweep found that it holds what is settled in its partition.

use super::family;
use super::normal::{self, Normal};
use crate::shard::{Env, Turn};
use crate::storage::RowKey;

/// Writes a loaded row in its normal form without what may be forgotten; deletes it if nothing is left. What it owed is
/// forgotten with it: all owners have proved that they have it.
pub(super) fn settle(env: &Env<'_>, turn: &mut Turn, row: &RowKey) {
    let partition = row.partition(env.ring.layout().partitions);
    let memory = turn.memory(partition);
    let Some(mut stored) = turn.row(row).cloned() else {
        // A session's row that stands in the main row's sum: it was loaded as absent.
        turn.erase_row(row);
        return;
    };
    match normal::retire(row, &mut stored, &memory, env.config) {
        Normal::Absent => return turn.erase_row(row),
        Normal::Changed | Normal::Unchanged => {}
    }
    if stored.row.is_empty() && stored.header.beside.is_empty() {
        // An actor that can mint no more need not be remembered as forgotten.
        let has_expired = stored.header.minting.is_none_or(|minting| minting.actor.expires <= memory.sealed);
        family::delete(env, turn, row, has_expired);
        let main = row.main_row();
        if main != *row {
            settle_main(env, turn, &main);
        }
        return;
    }
    stored.header.version = turn.next_version();
    *turn.row_mut(row) = stored;
}

/// A main row may have waited for the last row beside it, and was looked at before: it is settled now, and noted if there
/// will be more to forget.
fn settle_main(env: &Env<'_>, turn: &mut Turn, main: &RowKey) {
    let partition = turn.partition_of(main);
    let memory = turn.memory(partition);
    let Some(mut stored) = turn.row(main).cloned() else { return };
    if normal::retire(main, &mut stored, &memory, env.config) == Normal::Changed {
        settle(env, turn, main);
    }
    if let Some(tick) = turn.row(main).and_then(|stored| normal::retires_at(stored, env.config)) {
        turn.note_tick(partition, tick);
    }
}
