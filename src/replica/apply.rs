//! Merging what comes, and showing what is there.
//!
//! Every merge looks for amnesia first: an own entry that this row's header does not remember means that this start has
//! forgotten something (a memory snapshot of a running machine, for instance). The tenure is burnt in the same batch,
//! so no actor of the forgotten past is continued, and an alarm is raised.

use bytes::Bytes;

use super::{Replica, Standing, debts};
use crate::causality::Epoch;
use crate::config::Durability;
use crate::ids::{ConnectionId, NodeId, OpId, RequestId, RowVersion, Ticket};
use crate::message::client::{Reason, ReplicaView, Response, Visible};
use crate::message::peer::{Delivered, PeerMessage, ReadAnswer, Refusal, Replicated};
use crate::mutation::{self, Mutation};
use crate::shard::{Env, Local, MergeSource, Merged, Observation, Turn, not_applied};
use crate::storage::RowKey;
use crate::value::{Beside, Row};

/// Who sent a delta, and under which name it waits for the acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub from: NodeId,
    pub epoch: Epoch,
    pub op: OpId,
    pub version: RowVersion,
}

/// Who asked for a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub from: NodeId,
    pub epoch: Epoch,
    pub op: OpId,
}

impl Replica {
    /// Merges a coordinator's fresh delta. Returns whether the row changed.
    pub(super) fn replicate(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        row: &RowKey,
        delta: &Bytes,
        owed: &[NodeId],
    ) -> Result<bool, Refusal> {
        if env.is_below_reserve {
            return Err(Refusal::DiskReserve);
        }
        if env.has_rival {
            return Err(Refusal::TwoClaimants);
        }
        let delta = Row::decode(delta).map_err(|error| Refusal::of_bytes(&error))?;
        let partition = row.partition(env.ring.layout().partitions);
        match Standing::of(env, turn, partition) {
            Standing::Owner => self.merge(env, turn, row, &delta),
            Standing::Newborn => Err(Refusal::Newborn),
            Standing::Outside => Err(Refusal::NotAccepted),
            Standing::Fallback => {
                let owners = env.ring.owners(partition);
                let owed: Vec<NodeId> = owed.iter().copied().filter(|node| owners.contains(node)).collect();
                if owed.is_empty() {
                    return Err(Refusal::Failed("a hint that names no owner".into()));
                }
                debts::check_room(env, turn, row, &owed)?;
                let changed = self.merge(env, turn, row, &delta)?;
                let stored = turn.row_mut(row);
                for owner in owed {
                    stored.header.owe(owner, stored.header.version);
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
        match (Standing::of(env, turn, partition), source) {
            // Its acknowledgement would strike what the rival lacks; an exchange strikes nothing.
            (_, MergeSource::Delivery { .. }) if env.has_rival => return Err(Refusal::TwoClaimants),
            (Standing::Owner, _) | (Standing::Newborn, MergeSource::Exchange { .. }) => {}
            (Standing::Newborn, MergeSource::Delivery { .. }) => return Err(Refusal::Newborn),
            (Standing::Fallback | Standing::Outside, _) => return Err(Refusal::NotAccepted),
        }
        let state = Row::decode(state).map_err(|error| Refusal::of_bytes(&error))?;
        self.merge(env, turn, row, &state)
    }

    /// Merges into a loaded row; true if it changed. A merge that would pass the bounds of a row (a flood of actors)
    /// is refused whole: nobody could read its bytes.
    fn merge(&mut self, env: &Env<'_>, turn: &mut Turn, row: &RowKey, incoming: &Row) -> Result<bool, Refusal> {
        self.check_memory(env, turn, row, incoming);
        let mut merged = match turn.row(row) {
            Some(stored) => stored.row.clone(),
            None => Row::default(),
        };
        if !merged.merge(incoming) {
            return Ok(false);
        }
        if !merged.is_within_limits() {
            return Err(Refusal::Failed("the merged row would pass its bounds".into()));
        }
        if merged.has_conflict(&Beside::NONE) {
            turn.out.observe(Observation::Conflict { row: row.clone() });
        }
        let version = turn.next_version();
        let stored = turn.row_mut(row);
        stored.row = merged;
        stored.header.version = version;
        turn.count_bytes(incoming.encoded_bytes_max());
        Ok(true)
    }

    /// The amnesia check (see the front page). Entries of older starts and of older tenures are foreign by right.
    pub(super) fn check_memory(&mut self, env: &Env<'_>, turn: &mut Turn, row: &RowKey, incoming: &Row) {
        let partition = row.partition(env.ring.layout().partitions);
        let minting = turn.row(row).and_then(|stored| stored.header.minting);
        let tenure = turn.memory(partition).tenure;
        let forgotten = incoming.actors().find(|(actor, event)| {
            actor.epoch == env.epoch
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

/// Tells a coordinator how safely its delta is held; leaves when the row is durable.
pub(super) fn acknowledge_replicate(
    env: &Env<'_>,
    turn: &mut Turn,
    row: RowKey,
    sent: Sent,
    outcome: Result<bool, Refusal>,
) {
    let partition = row.partition(env.ring.layout().partitions);
    let ticket = match outcome {
        Ok(changed) => ticket_of_merge(turn, &row, changed),
        Err(_) => Ticket(0),
    };
    let outcome: Result<Durability, Refusal> = outcome.map(|_| env.config.durability);
    let Sent { from, epoch, op, version } = sent;
    let answer = PeerMessage::Replicated(Replicated { op, epoch, row, version, outcome });
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
        MergeSource::Exchange { op } => {
            turn.out.tell_after(ticket, Local::Merged(Merged { op, outcome: outcome.map(|_| ()) }));
        }
        MergeSource::Delivery { from, epoch, op, version } => {
            let partition = row.partition(env.ring.layout().partitions);
            let (rows, refused) = match outcome {
                Ok(_) => (vec![(row, version)], Vec::new()),
                Err(refusal) => (Vec::new(), vec![(row, refusal)]),
            };
            let answer =
                PeerMessage::Delivered(Delivered { op, epoch, rows, refused, pause_ms: env.delivery_pause_ms });
            turn.out.send_after(ticket, from, partition, answer);
        }
    }
}

/// Also a merge that changed nothing waits for the row: what it found there may not be synced yet.
fn ticket_of_merge(turn: &Turn, row: &RowKey, changed: bool) -> Ticket {
    if !changed && mutation::is_off(Mutation::AckUnchangedMergeEarly) {
        return Ticket(0);
    }
    turn.ticket_of(row)
}

/// Shows a row to a coordinator, once it is durable: a crash must not un-show it.
pub(super) fn show(env: &Env<'_>, turn: &mut Turn, row: &RowKey, from: NodeId, epoch: Epoch, op: OpId) {
    let partition = row.partition(env.ring.layout().partitions);
    let outcome = match Standing::of(env, turn, partition) {
        Standing::Owner | Standing::Fallback => Ok(turn.row(row).map_or_else(Bytes::new, |stored| stored.row.encode())),
        Standing::Newborn => Err(Refusal::Newborn),
        Standing::Outside => Err(Refusal::NotAccepted),
    };
    answer_read(env, turn, row, Asked { from, epoch, op }, outcome);
}

/// Answers a coordinator's read.
pub(super) fn answer_read(env: &Env<'_>, turn: &mut Turn, row: &RowKey, asked: Asked, outcome: Result<Bytes, Refusal>) {
    let ticket = if outcome.is_ok() { turn.ticket_of(row) } else { Ticket(0) };
    let Asked { from, epoch, op } = asked;
    let partition = row.partition(env.ring.layout().partitions);
    turn.out.send_after(ticket, from, partition, PeerMessage::ReadAnswer(ReadAnswer { op, epoch, outcome }));
}

/// Shows this replica's own view to a client, whatever its standing.
pub(super) fn inspect(env: &Env<'_>, turn: &mut Turn, row: &RowKey, connection: ConnectionId, request_id: RequestId) {
    let partition = row.partition(env.ring.layout().partitions);
    let standing = Standing::of(env, turn, partition);
    if standing == Standing::Outside {
        let reason = Reason::Forbidden(format!("node {} keeps nothing of this key; ask `ring` who does", env.me));
        turn.out.reply(connection, request_id, Response::Failed(not_applied(reason)));
        return;
    }
    let nothing = Row::default();
    let stored = turn.row(row);
    let state = stored.map_or(&nothing, |stored| &stored.row);
    let view = ReplicaView {
        node: env.me,
        is_owner: matches!(standing, Standing::Owner | Standing::Newborn),
        is_newborn: standing == Standing::Newborn,
        value: if stored.is_some() { state.visible(&Beside::NONE, env.now.wall) } else { Visible::Nothing },
        counter: state.counter_sum_text(&Beside::NONE),
        seen: state.version_vector(),
        owes: stored.iter().flat_map(|stored| &stored.header.debts).map(|debt| debt.owner).collect(),
        state_hash: format!("{:032x}", state.state_hash()),
    };
    let ticket = turn.ticket_of(row);
    turn.out.reply_after(ticket, connection, request_id, Response::Inspected(view));
}
