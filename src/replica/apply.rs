//! Merging what comes.
//!
//! A write of several rows of a family is taken whole or refused whole. What is settled here is ignored in it, and what
//! would change frozen ticks is refused, unless an exchange brings it (rules R2 and R7 of `stability`). What says that it is
//! settled further than anything can be is refused: an own dot would be taken for settled. Every merge looks for amnesia first: an own
//! entry that this row's header does not remember means that this start has forgotten something (a memory snapshot of a
//! running machine, for instance). The tenure is burnt in the same batch, so no actor of the forgotten past is
//! continued, and an alarm is raised.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{PartitionMemory, Replica, Standing, debts, family};
use crate::causality::{ActorId, Epoch, Tick};
use crate::config::Durability;
use crate::ids::{CollectionKind, NodeId, OpId, Ticket};
use crate::message::peer::{Delivered, Part, PeerMessage, Refusal, Replicated};
use crate::mutation::{self, Mutation};
use crate::shard::{Env, Local, MergeSource, Merged, Observation, Turn};
use crate::storage::{RowKey, RowKind};
use crate::value::{Beside, Closed, Missed, Row};

/// Who sent a write, and under which name it waits for the acknowledgement.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub from: NodeId,
    pub epoch: Epoch,
    pub op: OpId,
    pub parts: Vec<Part>,
}

/// Whether what comes may change what is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passage {
    /// By exchange with an established owner, or where nothing is frozen.
    Free,
    /// No: it is refused whole.
    Refused,
    /// By the sync of a newborn, which gives up what stands here up to this tick and not there.
    TakesOver(Tick),
}

/// A row that is being merged.
struct Merging {
    state: Row,
    bytes: usize,
    has_changed: bool,
    missed: Missed,
}

impl Replica {
    /// Merges a coordinator's fresh write. Returns whether any row changed.
    pub(super) fn replicate(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: NodeId,
        main: &RowKey,
        parts: &[Part],
        owed: &[NodeId],
    ) -> Result<bool, Refusal> {
        if env.has_rival {
            return Err(Refusal::TwoClaimants);
        }
        let mut rows = Vec::with_capacity(parts.len());
        for part in parts {
            if part.row.main_row() != *main {
                return Err(Refusal::Failed("a write of more than one key".into()));
            }
            let delta = Row::decode(&part.delta).map_err(|error| Refusal::of_bytes(&error))?;
            rows.push((part.row.clone(), delta));
        }
        let partition = main.partition(env.ring.layout().partitions);
        match Standing::of(env, turn, partition) {
            Standing::Owner | Standing::Joining => self.merge(env, turn, from, rows, Passage::Refused),
            Standing::Newborn => Err(Refusal::Newborn),
            Standing::Leaving | Standing::Outside => Err(Refusal::NotAccepted),
            Standing::Fallback => {
                let owners = env.ring.owners(partition);
                let owed: Vec<NodeId> = owed.iter().copied().filter(|node| owners.contains(node)).collect();
                if owed.is_empty() {
                    return Err(Refusal::Failed("a hint that names no owner".into()));
                }
                for part in parts {
                    debts::check_room(env, turn, &part.row, &owed)?;
                }
                let refused = turn.refused(partition);
                let nothing = Row::default();
                let brings_sealed = |(row, delta): &&(RowKey, Row)| {
                    turn.row(row).map_or(&nothing, |stored| &stored.row).touches(delta, Closed::to_fallback(refused))
                };
                if let Some((row, _)) = rows.iter().find(brings_sealed) {
                    turn.out.observe(Observation::FrozenRefused { row: row.clone(), from });
                    return Err(Refusal::Frozen);
                }
                let changed = self.merge(env, turn, from, rows, Passage::Free)?;
                for part in parts {
                    if turn.row(&part.row).is_none() {
                        // All that it says is settled long ago.
                        continue;
                    }
                    let stored = turn.row_mut(&part.row);
                    for owner in &owed {
                        stored.header.owe(*owner, stored.header.version, env.now.wall);
                    }
                }
                Ok(changed)
            }
        }
    }

    /// Merges a whole row that is owed to this node, or that an exchange brought.
    pub(super) fn merge_whole(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        row: &RowKey,
        state: &Bytes,
        source: MergeSource,
    ) -> Result<bool, Refusal> {
        if env.is_below_reserve {
            return Err(Refusal::DiskReserve);
        }
        let partition = row.partition(env.ring.layout().partitions);
        let standing = Standing::of(env, turn, partition);
        match (standing, source) {
            // Its acknowledgement would strike what the rival lacks; an exchange strikes nothing.
            (_, MergeSource::Delivery { .. } | MergeSource::Repair { .. }) if env.has_rival => {
                return Err(Refusal::TwoClaimants);
            }
            (Standing::Owner | Standing::Joining, _) | (Standing::Newborn, MergeSource::Exchange { .. }) => {}
            (Standing::Fallback, MergeSource::Repair { .. }) if mutation::is_off(Mutation::RepairToFallback) => {}
            (Standing::Newborn, MergeSource::Delivery { .. } | MergeSource::Repair { .. }) => {
                return Err(Refusal::Newborn);
            }
            (Standing::Fallback | Standing::Leaving | Standing::Outside, _) => return Err(Refusal::NotAccepted),
        }
        let state = Row::decode(state).map_err(|error| Refusal::of_bytes(&error))?;
        let (from, passage) = match source {
            // An owner to come has no rows of one moment yet, by which a whole row could be measured.
            MergeSource::Delivery { from, is_vouched: true, .. } if standing == Standing::Owner => {
                (from, Passage::Free)
            }
            MergeSource::Delivery { from, .. } | MergeSource::Repair { from } => (from, Passage::Refused),
            MergeSource::Exchange { forgotten, .. } if forgotten > Tick(0) => (env.me, Passage::TakesOver(forgotten)),
            MergeSource::Exchange { is_vouched, .. } => {
                (env.me, if is_vouched { Passage::Free } else { Passage::Refused })
            }
        };
        self.merge(env, turn, from, vec![(row.clone(), state)], passage)
    }

    /// Merges into loaded rows of one family, all or none; true if one changed. A merge that would pass the bounds of a
    /// row (a flood of actors) is refused: nobody could read its bytes.
    fn merge(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: NodeId,
        mut rows: Vec<(RowKey, Row)>,
        passage: Passage,
    ) -> Result<bool, Refusal> {
        // The main row first: its sum says which sessions' rows are settled.
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut merged: BTreeMap<RowKey, Merging> = BTreeMap::new();
        for (row, mut incoming) in rows {
            let memory = turn.memory(row.partition(env.ring.layout().partitions));
            if is_impossible(&memory, incoming.settled_until()) {
                return Err(Refusal::Failed("it says that ticks are settled which are not sealed here".into()));
            }
            self.check_memory(env, turn, &row, &mut incoming.actors());
            let main = row.main_row();
            let settled = match merged.get(&main) {
                Some(merging) => merging.state.settled_tick(),
                None => turn.row(&main).map_or(Tick(0), |stored| stored.row.settled_tick()),
            };
            let summed = settled.max(memory.compacted);
            // A settled session has no row of its own: what a reset saw of it is the main row's.
            let is_settled = row.actor().is_some_and(|actor| actor.expires <= summed);
            let (row, through) = if is_settled { (main.clone(), summed) } else { (row, memory.compacted) };
            let mut ours = match merged.get(&row) {
                Some(merging) => merging.state.clone(),
                None => turn.row(&row).map_or_else(Row::default, |stored| stored.row.clone()),
            };
            let beside = turn.row(&row).map_or(&Beside::NONE, |stored| &stored.header.beside);
            let (tick, lease) = (env.config.tick, env.config.actor_lease_ticks);
            let mut has_changed = false;
            if let Passage::TakesOver(folded) = passage
                && !is_settled
                && !mutation::is_off(Mutation::ForgottenKept)
            {
                has_changed = ours.give_up(&incoming, folded, tick, lease, beside);
            }
            incoming.ignore_settled(&ours, through, memory.folded);
            incoming.ignore_retired(&ours, memory.folded, tick, lease, beside);
            if has_changed {
                turn.out.observe(Observation::GivenUp { row: row.clone() });
            }
            let is_frozen = passage == Passage::Refused && !mutation::is_off(Mutation::FreezeIgnored);
            if is_frozen && ours.touches(&incoming, Closed::to_owner(memory.frozen, memory.compacted)) {
                turn.out.observe(Observation::FrozenRefused { row, from });
                return Err(Refusal::Frozen);
            }
            let own = turn.row(&row).and_then(|stored| stored.header.minting).map(|minting| minting.actor);
            let missed = Missed::No;
            let merging = merged.entry(row).or_insert(Merging { state: ours, bytes: 0, has_changed, missed });
            let has_counted = self.conflicts.has_counted(&main);
            merging.missed = merging.missed.max(merging.state.missed(&incoming, own, has_counted));
            merging.has_changed |= merging.state.merge(&incoming);
            merging.bytes += incoming.encoded_bytes_max();
            if !merging.state.is_within_limits() {
                return Err(Refusal::Failed("the merged row would pass its bounds".into()));
            }
        }
        merged.retain(|_, merging| merging.has_changed);
        let changed = !merged.is_empty();
        let mut mains: BTreeMap<RowKey, Missed> = BTreeMap::new();
        for (row, Merging { state, bytes, missed, .. }) in merged {
            let is_given_up = state.is_empty();
            family::replace(turn, &row, state);
            turn.count_bytes(bytes);
            if is_given_up {
                // Nothing is left to be kept, or owed to anybody.
                family::delete(env, turn, &row, false);
            }
            let of_main = mains.entry(row.main_row()).or_default();
            match row.kind() {
                RowKind::Main => *of_main = missed,
                RowKind::Element(CollectionKind::Map) => self.note_conflict(env, turn, &row, missed),
                RowKind::Session | RowKind::Element(_) => {}
            }
        }
        for (row, missed) in mains {
            // What its side rows hold counts too.
            self.note_conflict(env, turn, &row, missed);
        }
        Ok(changed)
    }

    /// The amnesia check (see the front page). Entries of older starts and of older tenures are foreign by right.
    pub(super) fn check_memory(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        row: &RowKey,
        mut actors: &mut dyn Iterator<Item = (ActorId, u64)>,
    ) {
        let partition = row.partition(env.ring.layout().partitions);
        let minting = turn.row(row).and_then(|stored| stored.header.minting);
        let PartitionMemory { tenure, compacted, .. } = turn.memory(partition);
        let forgotten = (&mut actors).find(|(actor, event)| {
            // What has settled may be forgotten by right, and is never continued.
            actor.epoch == env.epoch
                && actor.expires > compacted
                && match minting {
                    Some(minting) if minting.actor == *actor => *event > minting.event,
                    Some(minting) if actor.expires < minting.actor.expires => actor.tenure > minting.actor.tenure,
                    Some(_) | None => actor.tenure >= tenure,
                }
        });
        if let Some((actor, event)) = forgotten {
            let tenure = turn.advance_tenure(partition);
            if minting.is_some() {
                turn.row_mut(row).header.minting = None;
            }
            self.amnesia_alarms += 1;
            turn.out.observe(Observation::Amnesia { row: row.clone(), actor, event, tenure });
        }
    }
}

/// Whether nobody can hold what says that it is settled up to this tick: settling waits for this node's seal. A newborn
/// does not know of it, and takes what its teacher has.
pub(super) fn is_impossible(memory: &PartitionMemory, settled: Tick) -> bool {
    memory.is_established && settled > memory.sealed && !mutation::is_off(Mutation::UnsealedSumTaken)
}

/// Refuses what was said under a layout that counts too few nodes for the partition. Asked where the row changes and not where
/// the message arrives: while the row was read from disk, this node may have taken up the layout that an owner to come is
/// loaded under, and shown it the row without the write.
pub(super) fn check_layout(env: &Env<'_>, main: &RowKey, layout: u64) -> Result<(), Refusal> {
    let partition = main.partition(env.ring.layout().partitions);
    if layout >= env.ring.since(partition) || mutation::is_off(Mutation::StaleWriterTaken) {
        return Ok(());
    }
    Err(Refusal::StaleLayout { have: env.ring.epoch().number })
}

/// Tells a coordinator how safely its delta is held; leaves when the row is durable.
pub(super) fn acknowledge_replicate(
    env: &Env<'_>,
    turn: &mut Turn,
    main: &RowKey,
    sent: Sent,
    outcome: Result<bool, Refusal>,
) {
    let partition = main.partition(env.ring.layout().partitions);
    let Sent { from, epoch, op, parts } = sent;
    let ticket = match outcome {
        Ok(changed) => parts.iter().map(|part| ticket_of_merge(turn, &part.row, changed)).max().unwrap_or_default(),
        Err(_) => Ticket(0),
    };
    let outcome: Result<Durability, Refusal> = outcome.map(|_| env.config.durability);
    let rows = parts.into_iter().map(|part| (part.row, part.version)).collect();
    let answer = PeerMessage::Replicated(Replicated { op, epoch, rows, outcome });
    turn.out.send_after(ticket, from, partition, answer);
}

/// Tells a holder of debts, or an exchange, that a row is merged; leaves when it is durable.
pub(super) fn acknowledge_merge(
    env: &Env<'_>,
    turn: &mut Turn,
    row: RowKey,
    source: MergeSource,
    outcome: Result<bool, Refusal>,
) {
    let ticket = match outcome {
        Ok(changed) => ticket_of_merge(turn, &row, changed),
        Err(_) => Ticket(0),
    };
    match source {
        MergeSource::Exchange { op, .. } => {
            turn.out.tell_after(ticket, Local::Merged(Merged { op, outcome: outcome.map(|_| ()) }));
        }
        MergeSource::Delivery { from, epoch, op, version, .. } => {
            let partition = row.partition(env.ring.layout().partitions);
            let (rows, refused) = match outcome {
                Ok(_) => (vec![(row, version)], Vec::new()),
                Err(refusal) => (Vec::new(), vec![(row, refusal)]),
            };
            let answer =
                PeerMessage::Delivered(Delivered { op, epoch, rows, refused, pause_ms: env.delivery_pause_ms });
            turn.out.send_after(ticket, from, partition, answer);
        }
        MergeSource::Repair { from } => {
            if outcome == Ok(true) {
                turn.out.observe(Observation::Repaired { row, from });
            }
        }
    }
}

/// Also a merge that changed nothing waits for the row: what it found there may not be synced yet.
fn ticket_of_merge(turn: &Turn, row: &RowKey, changed: bool) -> Ticket {
    if !changed && mutation::is_off(Mutation::AckUnchangedMergeEarly) {
        return Ticket(0);
    }
    // What a settled session did is the main row's.
    turn.ticket_of(row).max(turn.ticket_of(&row.main_row()))
}
