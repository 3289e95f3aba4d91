//! The replica: the rows that this node keeps, and the only door to them.
//!
//! ```text
//! Task ──→ row in memory? ──yes──→ done in this turn:  mint.rs   a new dot, exactly once
//!               │ no                                   apply.rs  merge what came
//!               ↓                                      view.rs   show what is there
//!               │                                      debts.rs  marks set and struck
//!          parked behind one fetch per row; resumed in arrival order
//!
//! family.rs                       which rows a task needs, and what the main row is told of the others
//! writing.rs, writing_*.rs          what each command writes
//! normal.rs, settle.rs            rows in their normal form, and on disk
//! partitions.rs, identity.rs      what this directory remembers of each partition, and of itself
//! role.rs, standing.rs            what it is to a partition, and what it may take, show and mint therefore
//! discard.rs                      what is another's now
//! marks.rs                        how far a partition is settled, as it stands in messages
//! ```
//!
//! Called by the shard with tasks from coordinators (its own included), from holders of debts and from exchanges.
//! Costs one row read per task, one row write per changed row and turn. Promises: a task is answered or refused,
//! never forgotten; an acknowledgement leaves when the row it speaks of is durable; a read error is never "absent".

mod apply;
mod conflicts;
mod debts;
mod discard;
mod family;
mod identity;
pub mod marks;
mod mint;
pub mod normal;
mod partitions;
mod role;
mod settle;
mod standing;
mod stored_row;
mod view;
mod writing;
mod writing_elements;
mod writing_expiry;
mod writing_sessions;

use std::collections::{BTreeMap, VecDeque};

pub use conflicts::Conflicts;
pub use identity::{Identity, OpenError, begin_candidate, begin_start, check_owner};
pub use partitions::{PartitionMemory, Partitions};
pub use role::Role;
pub use standing::Standing;
pub use stored_row::{Debt, LocalHeader, Minting, StoredRow};
pub use view::Gathered;

use crate::message::client::Reason;
use crate::message::peer::Refusal;
use crate::mutation::{self, Mutation};
use crate::shard::{Access, Env, Job, Local, MergeSource, Minted, Task, TaskBody, Turn, not_applied};
use crate::storage::{RowKey, StoreError};
use crate::time::HybridClock;

/// The tasks that wait for rows from disk, and the clock that stamps writes.
#[derive(Debug, Default)]
pub struct Replica {
    /// Makes the stamps of new writes, and of outgoing frames.
    pub clock: HybridClock,
    parked: BTreeMap<RowKey, VecDeque<Task>>,
    parked_count: usize,
    /// Amnesia alarms since the start.
    pub amnesia_alarms: u64,
    /// Keys that a split, or a slow replica, left with what does not fit together.
    pub conflicts: Conflicts,
    gathers: view::Gathers,
    /// Rows that readers' repairs changed since the start.
    pub repaired: u64,
}

impl Replica {
    /// Does a task, now or when its row has been read.
    pub fn on_task(&mut self, env: &Env<'_>, turn: &mut Turn, task: Task) {
        if !env.scope.has(task.row.partition(env.ring.layout().partitions)) {
            // A message that names a row of another shard: two writers of one row would lose writes.
            refuse(env, turn, task, &Refusal::NotAccepted);
            return;
        }
        let beside = family::side_rows(env, &task);
        for row in std::iter::once(&task.row).chain(&beside) {
            let is_fetching = self.parked.contains_key(row);
            if is_fetching && !mutation::is_off(Mutation::StaleFetchUsed) {
                return self.park(env, turn, row.clone(), task);
            }
            match turn.load(row) {
                Access::Ready => {}
                Access::Failed(refusal) => return refuse(env, turn, task, &refusal),
                Access::NotInMemory => return self.park(env, turn, row.clone(), task),
            }
        }
        self.execute(env, turn, task);
    }

    /// A row was read from disk: resumes what waited for it, in the order of arrival.
    pub fn on_fetched(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        row: RowKey,
        outcome: Result<Option<bytes::Bytes>, StoreError>,
    ) {
        let Some(waiting) = self.parked.remove(&row) else { return };
        self.parked_count = self.parked_count.saturating_sub(waiting.len());
        let failure = match outcome {
            Err(error) => Some(Refusal::Failed(error.to_string())),
            Ok(bytes) => match turn.admit(&row, bytes) {
                Ok(()) => None,
                Err(error) => Some(turn.malformed(&row, &error)),
            },
        };
        for task in waiting {
            match &failure {
                // It may need further rows of its family.
                None => self.on_task(env, turn, task),
                Some(refusal) => refuse(env, turn, task, refusal),
            }
        }
    }

    /// The first task on a row starts its fetch. Tasks of clients and peers beyond the bound are refused, and start
    /// none; the shard's own marks are not, they belong to bounded ledgers and pages.
    fn park(&mut self, env: &Env<'_>, turn: &mut Turn, row: RowKey, task: Task) {
        let is_own = matches!(
            task.body,
            TaskBody::Owe { .. }
                | TaskBody::Strike { .. }
                | TaskBody::Lose { .. }
                | TaskBody::Settle { .. }
                | TaskBody::Drop { .. }
                | TaskBody::Retarget { .. }
        );
        if self.parked_count >= env.config.parked_max && !is_own {
            refuse(env, turn, task, &Refusal::Busy);
            return;
        }
        if !self.parked.contains_key(&row) {
            turn.out.start_job(Job::Fetch { row: row.clone() });
        }
        self.parked.entry(row).or_default().push_back(task);
        self.parked_count += 1;
    }

    fn execute(&mut self, env: &Env<'_>, turn: &mut Turn, task: Task) {
        let Task { row, body } = task;
        match body {
            TaskBody::Mint(mint) => self.mint(env, turn, &row, &mint),
            TaskBody::Replicate { from, epoch, op, parts, owed, only_removes, layout } => {
                let outcome = match apply::check_layout(env, &row, layout) {
                    Ok(()) if env.is_below_reserve && !only_removes => Err(Refusal::DiskReserve),
                    Ok(()) => self.replicate(env, turn, from, &row, &parts, &owed),
                    Err(refusal) => Err(refusal),
                };
                apply::acknowledge_replicate(env, turn, &row, apply::Sent { from, epoch, op, parts }, outcome);
            }
            TaskBody::Read { asker, beside } => self.show(env, turn, row, asker, beside),
            TaskBody::Show { asker, gathered } => view::answer(env, turn, &row, asker, gathered),
            TaskBody::Owe { owners, version, since } => debts::owe(env, turn, &row, &owners, version, since),
            TaskBody::Strike { owner, version } => debts::strike(env, turn, &row, owner, version),
            TaskBody::Lose { owner, sealed } => debts::lose(env, turn, &row, owner, sealed),
            TaskBody::Retarget { op } => {
                debts::retarget(env, turn, &row);
                turn.out.tell(Local::Retargeted { op, is_done: true });
            }
            TaskBody::Drop { partition } => {
                discard::discard(env, turn, &row, partition);
                turn.out.tell(Local::Dropped(partition));
            }
            TaskBody::Settle { op } => {
                settle::settle(env, turn, &row);
                turn.out.tell(Local::Settled { op, is_done: true });
            }
            TaskBody::Merge { state, source } => {
                let outcome = self.merge_whole(env, turn, &row, &state, source);
                let is_repaired = matches!((source, &outcome), (MergeSource::Repair { .. }, Ok(true)));
                self.repaired += u64::from(is_repaired);
                apply::acknowledge_merge(env, turn, row, source, outcome);
            }
        }
    }
}

/// Answers a task that is not done. Nothing was changed.
fn refuse(env: &Env<'_>, turn: &mut Turn, task: Task, refusal: &Refusal) {
    let Task { row, body } = task;
    match body {
        TaskBody::Mint(mint) => {
            let reason = match refusal {
                Refusal::Busy => Reason::Busy { queue: "the queue of rows to be read".into() },
                Refusal::NewerRow => Reason::NewerRow { node: env.me },
                other => Reason::StorageFailed { node: env.me, detail: other.to_string() },
            };
            turn.out.tell(Local::Minted(Minted { op: mint.op, outcome: Err(not_applied(reason).into()) }));
        }
        TaskBody::Replicate { from, epoch, op, parts, .. } => {
            apply::acknowledge_replicate(env, turn, &row, apply::Sent { from, epoch, op, parts }, Err(refusal.clone()));
        }
        TaskBody::Read { asker, .. } | TaskBody::Show { asker, .. } => {
            view::refuse(env, turn, &row, asker, refusal);
        }
        // The owners stay unacknowledged, and no debt tells of it: only an exchange closes that.
        TaskBody::Owe { owners, .. } => debts::leave_to_exchange(env, turn, &row, &owners),
        // The mark stays, and the row is delivered again.
        TaskBody::Strike { .. } | TaskBody::Lose { .. } => {}
        // The sweep is not whole, and will be repeated.
        TaskBody::Settle { op } => turn.out.tell(Local::Settled { op, is_done: false }),
        // It stays, and is found by the next look.
        TaskBody::Retarget { op } => turn.out.tell(Local::Retargeted { op, is_done: false }),
        TaskBody::Drop { partition } => turn.out.tell(Local::Dropped(partition)),
        TaskBody::Merge { source, .. } => apply::acknowledge_merge(env, turn, row, source, Err(refusal.clone())),
    }
}
