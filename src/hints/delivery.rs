//! Delivery: paying what is owed to an owner, a page at a time.
//!
//! ```text
//! idle ──owner reachable, rows owed──→ reading a page ──→ sent ──all rows answered──→ next page, or idle
//!   ↑                                                      │ refused (goes on behind the page), lost, silent
//!   └──────────── back-off (doubles, bounded) ←────────────┘
//! ```
//!
//! One page per owner is under way; the receiver's `pause_ms` spaces the pages. A delivery carries the versions it
//! sent, and only marks at or below them are struck. Pages may be stale: merges are idempotent.
//!
//! What an owner refused under one layout says nothing of the next, and what becomes owed by it waits for no back-off of before:
//! every delivery begins anew ([`Delivery::begin_anew`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::causality::Tick;
use crate::ids::{NodeId, OpId, PartitionId, RowVersion};
use crate::limits;
use crate::message::peer::{Deliver, Delivered, OwedRow, PeerMessage, Refusal};
use crate::mutation::{self, Mutation};
use crate::replica::{Standing, StoredRow, marks, normal};
use crate::shard::{DebtPage, Env, Job, Local, Outbox, Task, TaskBody, TimerKey, Turn};
use crate::storage::{PageLimit, Range, RowKey, StoreError, keyspace};

/// The deliveries of one shard, one per owner that is owed something.
#[derive(Debug, Default)]
pub struct Delivery {
    by_owner: BTreeMap<NodeId, State>,
    owners: BTreeMap<OpId, NodeId>,
    next_op: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Where the next page of the debt index begins; `None`: at the beginning.
    cursor: Option<bytes::Bytes>,
    stage: Stage,
    failures: u32,
    /// Once the page that is under way is answered, the next look waits for nothing.
    begins_anew: bool,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Reading(OpId),
    Sent {
        op: OpId,
        unanswered: BTreeSet<(RowKey, RowVersion)>,
        is_last: bool,
        pause_ms: u32,
        was_refused: bool,
    },
}

/// Answers of an owner are awaited this long.
const ANSWER_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

impl Delivery {
    /// Something is owed to a reachable owner: begins, unless a delivery to it is under way or backing off.
    pub fn kick(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId) {
        let state = self.by_owner.entry(owner).or_default();
        let is_waiting = out.timer_at(&TimerKey::Delivery(owner)).is_some();
        if env.config.handoff && env.liveness.is_reachable(owner) && matches!(state.stage, Stage::Idle) && !is_waiting {
            self.read_page(out, owner);
        }
    }

    /// A peer answers again: what is owed to it is delivered without waiting for the back-off.
    pub fn on_reachable(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId) {
        let state = self.by_owner.entry(owner).or_default();
        state.failures = 0;
        if matches!(state.stage, Stage::Idle) {
            out.cancel_timer(&TimerKey::Delivery(owner));
            self.kick(env, out, owner);
        }
    }

    /// A peer is lost: its page will be sent again when it answers.
    pub fn on_lost(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId) {
        let Some(state) = self.by_owner.get(&owner) else { return };
        if matches!(state.stage, Stage::Sent { .. }) {
            self.back_off(env, out, owner);
        }
    }

    /// A node is no member any more: nothing is delivered to it.
    pub fn forget(&mut self, out: &mut Outbox, owner: NodeId) {
        self.by_owner.remove(&owner);
        self.owners.retain(|_, node| *node != owner);
        out.cancel_timer(&TimerKey::Delivery(owner));
    }

    /// Another layout is taken up, or has changed what is owed: no owner is waited for any longer. What is owed is looked at from
    /// the beginning with the next kick, or after the page that is under way.
    pub fn begin_anew(&mut self, out: &mut Outbox) {
        if mutation::is_off(Mutation::BackOffOutlivesLayout) {
            return;
        }
        for (owner, state) in &mut self.by_owner {
            state.failures = 0;
            if matches!(state.stage, Stage::Idle) {
                state.cursor = None;
                out.cancel_timer(&TimerKey::Delivery(*owner));
            } else {
                state.begins_anew = true;
            }
        }
    }

    /// The pause or the back-off is over, or an answer is overdue.
    pub fn on_timer(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId, owed: u64) {
        let Some(state) = self.by_owner.get(&owner) else { return };
        match state.stage {
            Stage::Sent { .. } => self.back_off(env, out, owner),
            Stage::Reading(_) => {}
            Stage::Idle if owed > 0 => self.kick(env, out, owner),
            Stage::Idle => {}
        }
    }

    /// A page of the debt index was read.
    pub fn on_page(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, outcome: Result<DebtPage, StoreError>) {
        let Some(owner) = self.owners.remove(&op) else { return };
        let Some(state) = self.by_owner.get_mut(&owner) else { return };
        state.stage = Stage::Idle;
        let Ok(page) = outcome else { return self.back_off(env, &mut turn.out, owner) };
        if let Some((last, _)) = page.entries.last() {
            state.cursor = Some(keyspace::after(last));
        }
        let partitions = env.ring.layout().partitions;
        let rows: Vec<OwedRow> =
            page.entries.into_iter().filter_map(|(debt, row)| owed_row(env, turn, owner, &debt, row?)).collect();
        let out = &mut turn.out;
        if rows.is_empty() {
            return self.end_page(env, out, owner, page.is_last, 0);
        }
        if !env.liveness.is_reachable(owner) {
            return self.back_off(env, out, owner);
        }
        let unanswered = rows.iter().map(|row| (row.row.clone(), row.version)).collect();
        state.stage = Stage::Sent { op, unanswered, is_last: page.is_last, pause_ms: 0, was_refused: false };
        self.owners.insert(op, owner);
        out.set_timer(TimerKey::Delivery(owner), env.now.mono.after(ANSWER_WITHIN));
        // One message per partition: the receiver may have another number of shards.
        let mut by_partition: BTreeMap<PartitionId, Vec<OwedRow>> = BTreeMap::new();
        for row in rows {
            by_partition.entry(row.row.partition(partitions)).or_default().push(row);
        }
        for (partition, rows) in by_partition {
            let is_owner = Standing::of(env, turn, partition) == Standing::Owner;
            let marks = is_owner.then(|| marks::marks(env, turn, partition));
            let deliver = PeerMessage::Deliver(Deliver { op, rows, marks });
            // The page may show rows of every turn sealed so far.
            turn.out.send_after(turn.out.sealed_ticket(), owner, partition, deliver);
        }
    }

    /// The owner answered for some of the rows. `had_sealed` tells of a row how far this node had sealed, if it has
    /// lost the memory of that: then what the owner refuses as frozen is a hint of that, and owed no longer.
    pub fn on_delivered(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        from: NodeId,
        answer: Delivered,
        had_sealed: impl Fn(&RowKey) -> Option<Tick>,
    ) {
        for (row, version) in &answer.rows {
            let body = TaskBody::Strike { owner: from, version: *version };
            out.tell(Local::Task(Task { row: row.clone(), body }));
        }
        for (row, refusal) in &answer.refused {
            if *refusal == Refusal::Frozen
                && let Some(sealed) = had_sealed(row)
            {
                out.tell(Local::Task(Task { row: row.clone(), body: TaskBody::Lose { owner: from, sealed } }));
            }
        }
        let Some(state) = self.by_owner.get_mut(&from) else { return };
        let Stage::Sent { op, unanswered, is_last, pause_ms, was_refused } = &mut state.stage else { return };
        if *op != answer.op {
            return;
        }
        for answered in &answer.rows {
            unanswered.remove(answered);
        }
        if !answer.refused.is_empty() {
            *was_refused = true;
            unanswered.retain(|(row, _)| !answer.refused.iter().any(|(refused, _)| refused == row));
        }
        *pause_ms = (*pause_ms).max(answer.pause_ms);
        if unanswered.is_empty() {
            let (is_last, pause_ms, was_refused) = (*is_last, *pause_ms, *was_refused);
            self.owners.remove(&answer.op);
            if was_refused {
                self.pass_over(env, out, from, is_last);
            } else {
                self.end_page(env, out, from, is_last, pause_ms);
            }
        }
    }

    fn read_page(&mut self, out: &mut Outbox, owner: NodeId) {
        self.next_op += 1;
        let op = OpId(self.next_op);
        let state = self.by_owner.entry(owner).or_default();
        let all = keyspace::debt_range(owner);
        let range = Range { start: state.cursor.clone().unwrap_or(all.start), end: all.end };
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        state.stage = Stage::Reading(op);
        self.owners.insert(op, owner);
        out.start_job(Job::ScanDebts { op, range, limit });
    }

    /// A page is done. After the last one the delivery starts from the beginning with the next kick, if something is owed then.
    fn end_page(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId, is_last: bool, pause_ms: u32) {
        let Some(state) = self.by_owner.get_mut(&owner) else { return };
        state.stage = Stage::Idle;
        state.failures = 0;
        if state.ends_anew(out, owner) {
            return;
        }
        if is_last {
            state.cursor = None;
        }
        if !is_last || pause_ms > 0 {
            let pause = std::time::Duration::from_millis(u64::from(pause_ms));
            out.set_timer(TimerKey::Delivery(owner), env.now.mono.after(pause));
        }
    }

    /// Some rows of the page were refused. They stay owed, and the delivery goes on behind them after a pause: else a
    /// row that the owner can never take would hold back all that stands behind it.
    fn pass_over(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId, is_last: bool) {
        let Some(state) = self.by_owner.get(&owner) else { return };
        let cursor = if is_last { None } else { state.cursor.clone() };
        self.wait(env, out, owner, cursor);
    }

    fn back_off(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId) {
        self.wait(env, out, owner, None);
    }

    /// After a while what is owed is looked at from there.
    fn wait(&mut self, env: &Env<'_>, out: &mut Outbox, owner: NodeId, cursor: Option<bytes::Bytes>) {
        let Some(state) = self.by_owner.get_mut(&owner) else { return };
        if let Stage::Sent { op, .. } | Stage::Reading(op) = state.stage {
            self.owners.remove(&op);
        }
        state.stage = Stage::Idle;
        if state.ends_anew(out, owner) {
            return;
        }
        state.cursor = cursor;
        let pause = env.config.delivery_backoff * (1 << state.failures.min(5));
        state.failures = state.failures.saturating_add(1);
        out.set_timer(TimerKey::Delivery(owner), env.now.mono.after(pause));
    }
}

impl State {
    /// Whether nothing is to be waited for once the page that was under way is done.
    fn ends_anew(&mut self, out: &mut Outbox, owner: NodeId) -> bool {
        if !std::mem::take(&mut self.begins_anew) {
            return false;
        }
        self.cursor = None;
        self.failures = 0;
        out.cancel_timer(&TimerKey::Delivery(owner));
        true
    }
}

/// The row of an index entry, if it is this shard's, still owed and readable. An unreadable one stays owed and is
/// reported when it is next used in a turn.
fn owed_row(env: &Env<'_>, turn: &Turn, owner: NodeId, debt: &bytes::Bytes, stored: bytes::Bytes) -> Option<OwedRow> {
    let row = keyspace::row_of_debt(debt).ok()?;
    let partition = row.partition(env.ring.layout().partitions);
    if !env.scope.has(partition) {
        return None;
    }
    let (header, _) = StoredRow::header_and_state(&stored).ok()?;
    header.debt_to(owner)?;
    let state = normal::shipped(&row, &stored, &turn.memory(partition), env.config).ok()?;
    Some(OwedRow { row, version: header.version, state })
}
