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
        // The main row may have waited for its last side row, and was looked at before.
        let main = row.main_row();
        if let Some(tick) = turn.row(&main).and_then(|main| normal::retires_at(main, env.config)) {
            turn.note_tick(partition, tick);
        }
        return;
    }
    stored.header.version = turn.next_version();
    *turn.row_mut(row) = stored;
}
