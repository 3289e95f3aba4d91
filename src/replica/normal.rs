//! The normal form of a stored row: what is settled in its partition stands in it as sums.
//!
//! Rows are settled lazily: each is brought into its normal form when it is loaded, when it is surveyed, and at the
//! latest by a sweep. Equal states have equal normal forms, which is why reports hash these.

use super::{PartitionMemory, StoredRow};
use crate::causality::Tick;
use crate::config::ShardConfig;
use crate::storage::RowKey;
use crate::time::WallTime;

/// What has become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normal {
    /// It was in its normal form.
    Unchanged,
    /// It is now, and was not.
    Changed,
    /// It is settled whole, and stands in the main row's sum: it is as if absent.
    Absent,
}

/// Settles a row as far as its partition is settled.
pub fn settle(key: &RowKey, stored: &mut StoredRow, memory: &PartitionMemory) -> Normal {
    if key.actor().is_some_and(|actor| actor.expires <= memory.compacted) {
        return Normal::Absent;
    }
    if memory.compacted == Tick(0) {
        return Normal::Unchanged;
    }
    let compacted = stored.header.beside.settle(&mut stored.row, memory.compacted);
    let folded = stored.row.fold_baselines(memory.folded);
    if compacted || folded { Normal::Changed } else { Normal::Unchanged }
}

/// The tick at which something in the row that only remembers a removal may be forgotten, if there is such a thing: an
/// actor lives for at most two leases.
pub fn retires_at(stored: &StoredRow, config: &ShardConfig) -> Option<Tick> {
    let mut rest = stored.row.clone();
    let ever = Tick(u32::MAX);
    if !rest.retire(ever, config.tick, config.actor_lease_ticks, &stored.header.beside) {
        return None;
    }
    let written = Tick::at(WallTime(stored.row.latest_stamp().wall), config.tick);
    Some(Tick(written.0.saturating_add(config.actor_lease_ticks.saturating_mul(2))))
}

/// Settles a row, and forgets what it need not remember any more.
pub fn retire(key: &RowKey, stored: &mut StoredRow, memory: &PartitionMemory, config: &ShardConfig) -> Normal {
    let settled = settle(key, stored, memory);
    if settled == Normal::Absent {
        return settled;
    }
    let beside = &stored.header.beside;
    let retired = stored.row.retire(memory.folded, config.tick, config.actor_lease_ticks, beside);
    if retired { Normal::Changed } else { settled }
}
