//! The normal form of a stored row: what is settled in its partition stands in it as sums.
//!
//! Rows are settled lazily: each is brought into its normal form when it is loaded, when it is surveyed, and at the
//! latest by a sweep. Equal states have equal normal forms, which is why reports hash these. What travels is in it too: beside
//! it go marks that say how far it is settled, and who has forgotten as much drops baselines of settled ticks, because they
//! stand in a sum.

use bytes::Bytes;

use super::{PartitionMemory, StoredRow};
use crate::causality::Tick;
use crate::config::ShardConfig;
use crate::storage::RowKey;
use crate::time::WallTime;
use crate::value::DecodeError;

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
/// actor lives for at most two leases, and a deadline hides what was written before it was over.
pub fn retires_at(stored: &StoredRow, config: &ShardConfig) -> Option<Tick> {
    let mut rest = stored.row.clone();
    let ever = Tick(u32::MAX);
    if !rest.retire(ever, config.tick, config.actor_lease_ticks, &stored.header.beside) {
        return None;
    }
    let deadline = stored.row.deadline().unwrap_or_default();
    let over = Tick::at(deadline.max(WallTime(stored.row.latest_stamp().wall)), config.tick);
    Some(Tick(over.0.saturating_add(config.actor_lease_ticks.saturating_mul(2))))
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

/// The state that travels of a stored row: in its normal form, without what need not be remembered; empty if nothing is
/// left. Decodes only while a sweep is due.
pub fn shipped(
    key: &RowKey,
    stored: &Bytes,
    memory: &PartitionMemory,
    config: &ShardConfig,
) -> Result<Bytes, DecodeError> {
    if !memory.is_unswept {
        return StoredRow::state_bytes(stored);
    }
    let mut stored = StoredRow::decode(stored)?;
    match retire(key, &mut stored, memory, config) {
        Normal::Absent => Ok(Bytes::new()),
        Normal::Changed | Normal::Unchanged => Ok(stored.row.encode()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{ActorId, Dot, Epoch, Tenure};
    use crate::ids::Key;
    use crate::time::Hlc;
    use crate::value::{Beside, Row};

    #[test]
    fn what_travels_while_a_sweep_is_due_is_settled_as_far_as_its_marks_say() {
        let dot = |expires, event| Dot {
            actor: ActorId { expires: Tick(expires), epoch: Epoch(1), tenure: Tenure(0) },
            event,
        };
        let at = |wall| Hlc { wall, logical: 0 };
        let mut row = Row::default();
        row.increment(dot(3, 1), at(1), 5, &Beside::NONE).unwrap();
        row.reset(dot(3, 2), at(2), &row.clone());
        row.compact(Tick(3));
        let stored = StoredRow { row: row.clone(), ..StoredRow::default() }.encode();
        let key = RowKey::main(&Key::new("k").unwrap());
        let (config, tick) = (ShardConfig { actor_lease_ticks: 1, ..ShardConfig::default() }, Tick(5));
        let mut memory = PartitionMemory { compacted: tick, folded: Tick(0), is_unswept: true, ..Default::default() };
        assert_eq!(shipped(&key, &stored, &memory, &config), Ok(row.encode()), "its baseline is not folded");
        memory.folded = tick;
        assert_eq!(shipped(&key, &stored, &memory, &config), Ok(Row::default().encode()), "it is covered whole");
        memory.is_unswept = false;
        assert_eq!(shipped(&key, &stored, &memory, &config), Ok(row.encode()), "nothing like it stands after a sweep");
    }
}
