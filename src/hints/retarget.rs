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
//! Begun when another layout is taken up, and at each start. Costs a look at each entry of the index; one page and its tasks at
//! a time. A row that cannot be read keeps its marks and is tried again after five seconds.

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
    look: Option<Look>,
    /// Dialogues are numbered downwards: those of deliveries, whose pages come by the same job, are numbered upwards.
    last_op: u64,
    /// Not before this.
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
}

impl Retargets {
    /// Another layout is taken up, or opened with: everything that is owed is looked at.
    pub fn on_layout(&mut self, env: &Env<'_>, turn: &Turn) {
        // Under the founding layout nobody has owned anything before.
        let is_first = env.ring.epoch().number <= 1;
        self.queue = turn.owed_owners().filter(|_| !is_first).collect();
        self.look = None;
        self.at = Timestamp(0);
    }

    /// Whether a page belongs here.
    pub fn has(&self, op: OpId) -> bool {
        self.look.as_ref().is_some_and(|look| look.op == op)
    }

    /// Looks through the next part, if none is being looked through.
    pub fn begin(&mut self, env: &Env<'_>, turn: &mut Turn) {
        if self.look.is_some() || env.now.mono < self.at {
            return;
        }
        let Some(owner) = self.queue.pop_first() else { return };
        let rest = keyspace::debt_range(owner);
        self.look = Some(Look { op: OpId(0), owner, rest, is_last: false, tasks: 0, is_whole: true });
        self.read(turn);
    }

    /// A page of the index was read.
    pub fn on_page(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, outcome: Result<DebtPage, StoreError>) {
        let Some(look) = self.look.as_mut().filter(|look| look.op == op) else { return };
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
            let Ok(row) = keyspace::row_of_debt(&debt) else { continue };
            let partition = row.partition(env.ring.layout().partitions);
            if env.scope.has(partition) && is_of_before(env.ring, partition, look.owner) {
                look.tasks += 1;
                turn.out.tell(Local::Task(Task { row, body: TaskBody::Retarget { op } }));
            }
        }
        self.advance(env, turn);
    }

    /// A row has the marks that it should have, or could not be read.
    pub fn on_retargeted(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, is_done: bool) {
        let Some(look) = self.look.as_mut().filter(|look| look.op == op) else { return };
        look.tasks = look.tasks.saturating_sub(1);
        look.is_whole &= is_done;
        self.advance(env, turn);
    }

    fn advance(&mut self, env: &Env<'_>, turn: &mut Turn) {
        let Some(look) = &self.look else { return };
        match (look.tasks, look.is_last) {
            (0, false) => self.read(turn),
            (0, true) => {
                if !look.is_whole {
                    self.queue.insert(look.owner);
                    self.at = env.now.mono.after(AGAIN_AFTER);
                }
                self.look = None;
                self.begin(env, turn);
            }
            _ => {}
        }
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
