//! Dropping a row that is not this node's to keep any more: every owner has it ([`crate::transfer`]).

use super::{Standing, family};
use crate::ids::PartitionId;
use crate::shard::{Env, Turn};
use crate::storage::RowKey;

/// Deletes a loaded row, unless it has marks: then it goes once they are paid. A layout that was taken up meanwhile may have given
/// the partition back to this node; then it stays.
pub(super) fn discard(env: &Env<'_>, turn: &mut Turn, row: &RowKey, partition: PartitionId) {
    let standing = Standing::of(env, turn, partition);
    if env.ring.is_owner(partition, env.me) || turn.row(row).is_some_and(|stored| !stored.header.debts.is_empty()) {
        return;
    }
    match (turn.row(row), standing) {
        // A session's row that stands in the main row's sum: it was loaded as absent.
        (None, _) => turn.erase_row(row),
        // Beside what is dropped there may be hints, and the main row knows of them.
        (Some(_), Standing::Fallback | Standing::Newborn) => family::delete(env, turn, row, false),
        (Some(_), _) => turn.delete_row(row, partition, false),
    }
}
