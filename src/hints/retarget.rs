//! Retargeting: what is owed to a node that is no owner any more becomes owed to all that are.
//!
//! ```text
//! another layout ─→ every owner that is owed something ─→ its part of the index, page by page ─→ rows whose marks are of before
//!                                                                                                     │ one task each
//!                                                     next page, next owner ←──all done──  replica/debts.rs: new marks, one write
//! ```
//!
//! A row is state, not an update: whoever is sent it once more merges it and is none the wiser, so it goes to all present owners
//! and nobody has to know who took the place of whom (ScyllaDB issue 5833). While owners to come are loaded, what is still
//! owed to any owner is owed to them too: it may reach that owner after the new one was loaded from it. A mark that is set later
//! is set for the present owners at once.
//!
//! Begun when another layout is taken up. A start looks through the index anyway, to count what is owed; it goes on here only
//! if it sees marks of before, left by a look that was cut off or set under a layout that it slept through. Costs a look at each
//! entry of the index; one page and its tasks at a time. A row that cannot be read keeps its marks and is tried again after five
//! seconds; it holds up nobody else's.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::{NodeId, OpId, PartitionId};
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::ring::RingView;
use crate::shard::{DebtPage, Env, Job, Local, Task, TaskBody, Turn};
use crate::storage::{PageLimit, Range, StoreError, keyspace};
use crate::time::Timestamp;

/// After a page that could not be dealt with.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The looks through what this shard owes.
#[derive(Debug, Default)]
pub struct Retargets {
    /// Owners whose part of the index is still to be looked through.
    queue: BTreeSet<NodeId>,
    /// Those of whom a row could not be read, to be looked through once more when all others are done.
    again: BTreeSet<NodeId>,
    look: Option<Look>,
    /// Dialogues are numbered downwards: those of deliveries, whose pages come by the same job, are numbered upwards.
    last_op: u64,
    /// Not before this are rows looked at again that could not be read.
    at: Timestamp,
}

#[derive(Debug)]
struct Look {
    op: OpId,
    owner: NodeId,
    rest: Range,
    is_last: bool,
    /// Rows of the page that are not done yet.
    tasks: usize,
    is_whole: bool,
    /// Some row was to get other marks.
    has_changed: bool,
}

impl Retargets {
    /// A start finds a mark: what is owed to the same owner is looked through if this one may be of before.
    pub fn on_found(&mut self, ring: &RingView, partition: PartitionId, owner: NodeId) {
        if is_of_before(ring, partition, owner) {
            self.queue.insert(owner);
        }
    }

    /// Another layout is taken up: everything that is owed is looked at.
    pub fn on_layout(&mut self, turn: &Turn) {
        self.queue = turn.owed_owners().collect();
        self.again.clear();
        self.look = None;
        self.at = Timestamp(0);
    }

    /// Owners whose part of the index is still to be looked through.
    #[cfg(test)]
    pub(crate) fn owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.queue.iter().chain(&self.again).copied()
    }

    /// Whether a page belongs here.
    pub fn has(&self, op: OpId) -> bool {
        self.look.as_ref().is_some_and(|look| look.op == op)
    }

    /// Looks through the next part, if none is being looked through.
    pub fn begin(&mut self, env: &Env<'_>, turn: &mut Turn) {
        if self.look.is_some() {
            return;
        }
        if self.queue.is_empty() && env.now.mono >= self.at {
            self.queue = std::mem::take(&mut self.again);
        }
        let Some(owner) = self.queue.pop_first() else { return };
        let rest = keyspace::debt_range(owner);
        self.look =
            Some(Look { op: OpId(0), owner, rest, is_last: false, tasks: 0, is_whole: true, has_changed: false });
        self.read(turn);
    }

    /// A page of the index was read. True: what is owed to one owner is looked through, and some of it is owed to others now.
    #[must_use]
    pub fn on_page(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, outcome: Result<DebtPage, StoreError>) -> bool {
        let Some(look) = self.look.as_mut().filter(|look| look.op == op) else { return false };
        let Ok(page) = outcome else {
            look.is_whole = false;
            look.is_last = true;
            return self.advance(env, turn);
        };
        match page.entries.last() {
            Some((last, _)) if !page.is_last => look.rest.start = keyspace::after(last),
            Some(_) | None => look.is_last = true,
        }
        for (debt, _) in page.entries {
            let Ok(row) = keyspace::row_of_debt(&debt) else {
                look.is_whole = false;
                continue;
            };
            let partition = row.partition(env.ring.layout().partitions);
            if env.scope.has(partition) && is_of_before(env.ring, partition, look.owner) {
                look.tasks += 1;
                look.has_changed = true;
                turn.out.tell(Local::Task(Task { row, body: TaskBody::Retarget { op } }));
            }
        }
        self.advance(env, turn)
    }

    /// A row has the marks that it should have, or could not be read. True: the same as of [`Retargets::on_page`].
    #[must_use]
    pub fn on_retargeted(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, is_done: bool) -> bool {
        let Some(look) = self.look.as_mut().filter(|look| look.op == op) else { return false };
        look.tasks = look.tasks.saturating_sub(1);
        look.is_whole &= is_done;
        self.advance(env, turn)
    }

    fn advance(&mut self, env: &Env<'_>, turn: &mut Turn) -> bool {
        let Some(look) = &self.look else { return false };
        let has_changed = look.has_changed;
        match (look.tasks, look.is_last) {
            (0, false) => self.read(turn),
            (0, true) => {
                if !look.is_whole {
                    self.again.insert(look.owner);
                    self.at = env.now.mono.after(AGAIN_AFTER);
                }
                self.look = None;
                self.begin(env, turn);
                return has_changed;
            }
            _ => {}
        }
        false
    }

    fn read(&mut self, turn: &mut Turn) {
        let Some(look) = &mut self.look else { return };
        self.last_op += 1;
        look.op = OpId(u64::MAX - self.last_op);
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        turn.out.start_job(Job::ScanDebts { op: look.op, range: look.rest.clone(), limit });
    }
}

/// Whether a mark of this owner may not be all that it would be if it were set now.
fn is_of_before(ring: &RingView, partition: PartitionId, owner: NodeId) -> bool {
    let is_left = !ring.is_owner(partition, owner) || ring.joiners(partition).next().is_some();
    is_left && !mutation::is_off(Mutation::HintNotRetargeted)
}
