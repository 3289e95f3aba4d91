//! Marks in the local header: which owners have not acknowledged a row.
//!
//! A mark carries the version that was current when it was set, and a durable acknowledgement strikes it only if what
//! was acknowledged is at least that version: a row that grew meanwhile stays owed. A row without marks is kept by an
//! owner, and by who was one and has not handed over yet; anybody else deletes it in the same turn: a delivered hint.

use super::{Standing, family};
use crate::causality::Tick;
use crate::ids::{NodeId, PartitionId, RowVersion};
use crate::message::peer::Refusal;
use crate::mutation::{self, Mutation};
use crate::shard::{Env, Observation, Turn};
use crate::storage::RowKey;
use crate::time::WallTime;

/// Marks owners that have not acknowledged the row since a moment; beyond the bound the exchange must find them, and the
/// partition is marked as in need of repair.
pub(super) fn owe(
    env: &Env<'_>,
    turn: &mut Turn,
    row: &RowKey,
    owners: &[NodeId],
    version: RowVersion,
    since: WallTime,
) {
    if turn.row(row).is_none() {
        return;
    }
    let partition = row.partition(env.ring.layout().partitions);
    for owner in &debtees(env, partition, owners) {
        let is_marked = turn.row(row).is_some_and(|stored| stored.header.debt_to(*owner).is_some());
        if !is_marked && turn.owed_to(*owner) >= env.config.debts_per_owner_max {
            leave_to_exchange(env, turn, row, &[*owner]);
            continue;
        }
        turn.row_mut(row).header.owe(*owner, version, since);
        turn.out.observe(Observation::DebtRecorded { owner: *owner, row: row.clone(), version });
    }
}

/// Sets the marks that the present layout asks for in place of those of before. What stood in one mark may come to stand in
/// several, beyond the bound too: nobody else may know of it.
pub(super) fn retarget(env: &Env<'_>, turn: &mut Turn, row: &RowKey) {
    let partition = row.partition(env.ring.layout().partitions);
    let Some(stored) = turn.row(row) else { return };
    let marks = stored.header.debts.clone();
    let (Some(since), version) = (marks.iter().map(|debt| debt.since).min(), stored.header.version) else { return };
    let named: Vec<NodeId> = marks.iter().map(|debt| debt.owner).collect();
    let mut owners = debtees(env, partition, &named);
    let joiners = env.ring.joiners(partition).filter(|owner| *owner != env.me);
    let joiners: Vec<NodeId> = joiners.filter(|owner| !owners.contains(owner)).collect();
    owners.extend(joiners);
    let is_left = |owner: NodeId| !owners.contains(&owner);
    if !named.iter().any(|owner| is_left(*owner)) && owners.iter().all(|owner| named.contains(owner)) {
        return;
    }
    let header = &mut turn.row_mut(row).header;
    header.debts.retain(|debt| !is_left(debt.owner));
    for owner in owners.iter().filter(|owner| !named.contains(owner)) {
        header.owe(*owner, version, since);
    }
    for owner in owners.into_iter().filter(|owner| !named.contains(owner)) {
        turn.out.observe(Observation::DebtRecorded { owner, row: row.clone(), version });
    }
}

/// Whom a node owes what it is to owe to these: themselves, and for those of them that are no owners any more all that are.
/// While all of them are declared lost and nobody owns the partition, the marks stay for whoever does next.
fn debtees(env: &Env<'_>, partition: PartitionId, named: &[NodeId]) -> Vec<NodeId> {
    let owners = env.ring.owners(partition);
    if owners.is_empty() {
        return named.to_vec();
    }
    let is_left = |node: &NodeId| !owners.contains(node) && !mutation::is_off(Mutation::HintNotRetargeted);
    let mut present: Vec<NodeId> = named.iter().copied().filter(|node| !is_left(node)).collect();
    if named.iter().any(is_left) {
        present.extend(owners.iter().filter(|owner| **owner != env.me && !named.contains(owner)));
    }
    present
}

/// What owners have not acknowledged cannot be written down as owed to them: the partition is marked as in need of repair.
pub(super) fn leave_to_exchange(env: &Env<'_>, turn: &mut Turn, row: &RowKey, owners: &[NodeId]) {
    let partition = row.partition(env.ring.layout().partitions);
    for owner in &debtees(env, partition, owners) {
        turn.mark_for_repair(partition, *owner, env.now.mono);
        turn.out.observe(Observation::NeedsRepair { owner: *owner, partition });
    }
}

/// An owner acknowledged the row up to a version.
pub(super) fn strike(env: &Env<'_>, turn: &mut Turn, row: &RowKey, owner: NodeId, version: RowVersion) {
    let Some(debt) = turn.row(row).and_then(|stored| stored.header.debt_to(owner)) else { return };
    if debt.version > version && !mutation::is_off(Mutation::StrikeDespiteGrowth) {
        return;
    }
    let header = &mut turn.row_mut(row).header;
    header.debts.retain(|debt| debt.owner != owner);
    let is_paid = header.debts.is_empty();
    turn.out.observe(Observation::DebtStruck { owner, row: row.clone() });

    let partition = row.partition(env.ring.layout().partitions);
    let is_data = match Standing::of(env, turn, partition) {
        Standing::Owner | Standing::Joining | Standing::Leaving => true,
        // Of those who wait for an answer some own it, and some stand in.
        Standing::Newborn | Standing::Fallback | Standing::Outside => {
            env.ring.is_owner(partition, env.me) || turn.memory(partition).has_strays
        }
    };
    if is_paid && (!is_data || mutation::is_off(Mutation::OwnerRowDeletedAsHint)) {
        let keeps_tenure = mutation::is_off(Mutation::TenureKept);
        family::delete(env, turn, row, keeps_tenure);
        turn.out.observe(Observation::HintDropped { row: row.clone() });
        // The main row of a hint was delivered before its side rows, and waited for them.
        let main = row.main_row();
        if main != *row && turn.row(&main).is_some_and(|stored| stored.header.debts.is_empty()) {
            family::delete(env, turn, &main, keeps_tenure);
        }
    }
}

/// An owner refuses a hint of what this node had sealed once: it was delivered before the memory of that was lost, or nobody
/// but this node has it. The other owners may take it, and tell this one; for the last one what is younger is kept.
pub(super) fn lose(env: &Env<'_>, turn: &mut Turn, row: &RowKey, owner: NodeId, sealed: Tick) {
    let Some(stored) = turn.row(row).filter(|stored| stored.header.debt_to(owner).is_some()) else { return };
    let is_last = stored.header.debts.len() == 1;
    let mut rest = stored.row.clone();
    let has_changed = rest.keep_younger(sealed);
    turn.out.observe(Observation::HintLost { row: row.clone(), owner });
    if is_last && has_changed && !rest.holds_only_touches() {
        family::replace(turn, row, rest);
    } else {
        strike(env, turn, row, owner, RowVersion(u64::MAX));
    }
}

/// Whether a fallback may hold this row for these owners: a hint that counted towards W is never dropped, so beyond
/// the bound a new one is refused.
pub(super) fn check_room(env: &Env<'_>, turn: &Turn, row: &RowKey, owed: &[NodeId]) -> Result<(), Refusal> {
    let is_marked = |owner: NodeId| turn.row(row).is_some_and(|stored| stored.header.debt_to(owner).is_some());
    let is_full = |owner: NodeId| turn.owed_to(owner) >= env.config.debts_per_owner_max;
    if owed.iter().any(|owner| !is_marked(*owner) && is_full(*owner)) {
        return Err(Refusal::HintsFull);
    }
    Ok(())
}
