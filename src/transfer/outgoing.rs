//! Owners of before, and what earlier layouts left: handing over, then dropping.
//!
//! ```text
//! looking ──rows──→ giving ──every owner has taken all──→ dropping, page by page ──→ looking ──nothing left──→ cleared
//!    │ nothing                ↑ one exchange with each, in which this node takes nothing          │ rows with marks: later
//!    └────────────────────────┼───────────────────────────────────────────────────────────────────┘
//!        a restart, or another layout, begins again
//! ```
//!
//! Three kinds of partitions come here: those that this node owned and hands over now, those that it once owned and never
//! handed over, and, while a change closes, those for which it stands in no longer: of these it only looks whether hints are
//! left, which go by delivery. Nothing fresh is taken for any of them, or, by a stand-in, only for an owner and with a mark; so
//! what every owner has taken once is all that there is. A row that an owner refuses as frozen counts as taken: it froze only
//! what all had sealed before, and took that over itself. A row with marks is not dropped before they are paid.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Came;
use crate::ids::{NodeId, OpId, PartitionId};
use crate::limits;
use crate::membership::layout::Phase;
use crate::mutation::{self, Mutation};
use crate::replica::StoredRow;
use crate::shard::{Env, Job, Local, Observation, Task, TaskBody, Turn};
use crate::storage::{Page, PageLimit, Range, RowKey, StoreError, keyspace};
use crate::time::Timestamp;

/// From one look at rows that wait for others to the next.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The partitions that this shard is to hold nothing of.
#[derive(Debug, Default)]
pub struct Outgoing {
    by_id: BTreeMap<PartitionId, Leaving>,
    /// The look through rows that is under way.
    scan: Option<(OpId, PartitionId)>,
    cleared: u64,
    /// What was given since the change began, by who took it.
    pub(super) gave: BTreeMap<NodeId, Came>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Leaving {
    kind: Kind,
    pub(super) stage: Stage,
    /// Owners that have taken everything.
    pub(super) taken: BTreeSet<NodeId>,
    /// Those that had no room when rows were given to them last.
    pub(super) full: BTreeSet<NodeId>,
    /// Rows seen by the last look that was not a drop, at least.
    pub(super) rows_left: u64,
    pub(super) gave: Came,
    /// Not before this is it looked at again.
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It was this node's until the present change.
    Owned,
    /// It was this node's once.
    Left,
    /// This node stood in.
    StoodIn,
}

#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Is anything there?
    Looking(Range),
    /// Every owner takes what it lacks.
    Giving,
    /// What all have is deleted.
    Dropping {
        rest: Range,
        /// Rows of the present page that are not looked at yet.
        tasks: usize,
        is_last: bool,
    },
}

/// What a look through the rows of a partition has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Rows: every owner is to take what it lacks.
    Gives(PartitionId),
    /// Nothing is left.
    Cleared(PartitionId),
}

impl Outgoing {
    /// A layout is taken up, or opened with: everything is looked at anew.
    pub fn on_layout(&mut self, env: &Env<'_>, turn: &Turn) {
        self.scan = None;
        if env.ring.layout().phase == Phase::Moving {
            self.gave.clear();
        }
        let before = std::mem::take(&mut self.by_id);
        for (partition, memory) in turn.memories() {
            let is_stand_in = || {
                let accepts = env.ring.accepts(partition, env.me) && !env.ring.read_set(partition).contains(&env.me);
                accepts && env.ring.layout().phase == Phase::Closing
            };
            let kind = if env.ring.is_owner(partition, env.me) {
                continue;
            } else if env.ring.leavers(partition).contains(&env.me) {
                if memory.is_cleared {
                    continue;
                }
                Kind::Owned
            } else if memory.has_strays {
                Kind::Left
            } else if is_stand_in() {
                Kind::StoodIn
            } else {
                continue;
            };
            let gave = before.get(&partition).map_or(Came::default(), |leaving| leaving.gave);
            let stage = Stage::Looking(whole(env, partition));
            let at = Timestamp(0);
            let (taken, full) = (BTreeSet::new(), BTreeSet::new());
            let leaving = Leaving { kind, stage, taken, full, rows_left: 0, gave, at };
            self.by_id.insert(partition, leaving);
        }
    }

    /// Whether this node still has to hand the partition over to this owner.
    pub fn may_give(&self, env: &Env<'_>, partition: PartitionId, peer: NodeId) -> bool {
        let is_giving = |leaving: &Leaving| matches!(leaving.stage, Stage::Giving) && !leaving.taken.contains(&peer);
        env.ring.owners(partition).contains(&peer) && self.by_id.get(&partition).is_some_and(is_giving)
    }

    /// Whether this dialogue is a look through rows.
    pub fn has(&self, op: OpId) -> bool {
        self.scan.is_some_and(|(open, _)| open == op)
    }

    /// Looks through the next partition that waits for it, if none is being looked through.
    pub fn begin(&mut self, env: &Env<'_>, turn: &mut Turn, next_op: impl FnOnce() -> OpId) {
        if self.scan.is_some() {
            return;
        }
        let is_due = |leaving: &Leaving| {
            let has_work = match &leaving.stage {
                Stage::Looking(_) => true,
                Stage::Giving => false,
                Stage::Dropping { tasks, .. } => *tasks == 0,
            };
            has_work && leaving.at <= env.now.mono
        };
        let due = self.by_id.iter().find(|(_, leaving)| is_due(leaving));
        let Some((partition, rest)) = due.and_then(|(partition, leaving)| Some((*partition, leaving.rest()?))) else {
            return;
        };
        let op = next_op();
        self.scan = Some((op, partition));
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        turn.out.start_job(Job::ScanRows { op, range: rest, limit });
    }

    /// A page of rows was read.
    pub fn on_page(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<Page, StoreError>,
    ) -> Option<Looked> {
        let (_, partition) = self.scan.take_if(|(open, _)| *open == op)?;
        let leaving = self.by_id.get_mut(&partition)?;
        let Ok(page) = outcome else {
            leaving.at = env.now.mono.after(LOOK_AGAIN);
            return None;
        };
        let is_last = page.is_last || page.entries.is_empty();
        let next = page.entries.last().map(|(last, _)| keyspace::after(last));
        match &mut leaving.stage {
            Stage::Giving => {}
            Stage::Looking(rest) => {
                let is_left = |bytes: &bytes::Bytes| leaving.kind.is_left(env, partition, bytes);
                let found = page.entries.iter().filter(|(_, bytes)| is_left(bytes)).count() as u64;
                if found == 0 && !is_last {
                    rest.start = next.unwrap_or_default();
                    return None;
                }
                leaving.rows_left = found;
                if found == 0 {
                    return self.clear(env, turn, partition);
                }
                if leaving.kind == Kind::StoodIn {
                    // They are owed, and go by delivery.
                    leaving.stage = Stage::Looking(whole(env, partition));
                    leaving.at = env.now.mono.after(LOOK_AGAIN);
                } else if leaving.has_been_taken(env, partition) {
                    leaving.stage = Stage::dropping(env, partition);
                    // Rows with marks were left over.
                    leaving.at = env.now.mono.after(LOOK_AGAIN);
                } else {
                    leaving.stage = Stage::Giving;
                    return Some(Looked::Gives(partition));
                }
            }
            Stage::Dropping { rest, tasks, is_last: ends } => {
                rest.start = next.unwrap_or_default();
                *ends = is_last;
                for (key, _) in page.entries {
                    // What cannot be named cannot be dropped, nor was it handed over: the exchange has reported it.
                    if let Ok(row) = RowKey::parse(key) {
                        *tasks += 1;
                        turn.out.tell(Local::Task(Task { row, body: TaskBody::Drop { partition } }));
                    }
                }
                leaving.end_page(env, partition);
            }
        }
        None
    }

    /// A row of the page was deleted, or has marks.
    pub fn on_dropped(&mut self, env: &Env<'_>, partition: PartitionId) {
        let Some(leaving) = self.by_id.get_mut(&partition) else { return };
        if let Stage::Dropping { tasks, .. } = &mut leaving.stage {
            *tasks = tasks.saturating_sub(1);
        }
        leaving.end_page(env, partition);
    }

    /// So much was given to an owner, which had no room for more, or had.
    pub fn note(&mut self, partition: PartitionId, peer: NodeId, gave: Came, is_full: bool) {
        if let Some(leaving) = self.by_id.get_mut(&partition) {
            leaving.gave.add(gave);
            match is_full {
                true => leaving.full.insert(peer),
                false => leaving.full.remove(&peer),
            };
        }
        self.gave.entry(peer).or_default().add(gave);
    }

    /// An owner has taken everything, in an exchange that both sides began under the present layout.
    pub fn on_taken(&mut self, env: &Env<'_>, partition: PartitionId, owner: NodeId) {
        let Some(leaving) = self.by_id.get_mut(&partition) else { return };
        if matches!(leaving.stage, Stage::Giving) {
            leaving.taken.insert(owner);
            if leaving.has_been_taken(env, partition) {
                leaving.stage = Stage::dropping(env, partition);
            }
        }
    }

    pub(super) fn leaving(&self) -> impl Iterator<Item = (PartitionId, &Leaving)> {
        self.by_id.iter().map(|(partition, leaving)| (*partition, leaving))
    }

    /// Nothing is left: what was remembered of the partition goes too, but for the tenure, under which nothing is minted again.
    fn clear(&mut self, env: &Env<'_>, turn: &mut Turn, partition: PartitionId) -> Option<Looked> {
        let leaving = self.by_id.get_mut(&partition)?;
        match leaving.kind {
            Kind::StoodIn => {
                // Nothing new comes; but what is there now may stand on disk only as of the last sealed turn.
                self.by_id.remove(&partition);
                return None;
            }
            Kind::Owned => {
                turn.advance_tenure(partition);
                turn.mark_cleared(partition);
            }
            Kind::Left => {
                turn.advance_tenure(partition);
                turn.change_memory(partition, |memory| memory.has_strays = false);
            }
        }
        let Came { rows, bytes } = leaving.gave;
        self.by_id.remove(&partition);
        self.cleared += 1;
        turn.out.observe(Observation::PartitionCleared { partition, rows, bytes, number: env.ring.epoch().number });
        Some(Looked::Cleared(partition))
    }
}

impl Kind {
    /// Whether a row keeps the partition from being cleared.
    fn is_left(self, env: &Env<'_>, partition: PartitionId, bytes: &bytes::Bytes) -> bool {
        if self != Kind::Left || !env.ring.accepts(partition, env.me) {
            return true;
        }
        // Who stands in now may hold hints; only what has no marks is left from before.
        StoredRow::header_and_state(bytes).map_or(true, |(header, _)| header.debts.is_empty())
    }
}

impl Leaving {
    /// It was this node's until the present change.
    pub(super) fn is_owned(&self) -> bool {
        self.kind == Kind::Owned
    }

    /// Whether this owner has to take something still.
    pub(super) fn waits_for(&self, owner: NodeId) -> bool {
        self.kind != Kind::StoodIn && !self.taken.contains(&owner)
    }

    fn rest(&self) -> Option<Range> {
        match &self.stage {
            Stage::Looking(rest) | Stage::Dropping { rest, .. } => Some(rest.clone()),
            Stage::Giving => None,
        }
    }

    fn has_been_taken(&self, env: &Env<'_>, partition: PartitionId) -> bool {
        let owners = env.ring.owners(partition);
        let have_all = !owners.is_empty() && owners.iter().all(|owner| self.taken.contains(owner));
        have_all || mutation::is_off(Mutation::TransferDropsBeforeProof)
    }

    /// After a page of a drop: the next page, or, at the end, a look whether anything is left.
    fn end_page(&mut self, env: &Env<'_>, partition: PartitionId) {
        if let Stage::Dropping { tasks: 0, is_last: true, .. } = self.stage {
            self.stage = Stage::Looking(whole(env, partition));
        }
    }
}

impl Stage {
    fn dropping(env: &Env<'_>, partition: PartitionId) -> Stage {
        Stage::Dropping { rest: whole(env, partition), tasks: 0, is_last: false }
    }
}

fn whole(env: &Env<'_>, partition: PartitionId) -> Range {
    keyspace::partition_range(partition, env.ring.layout().partitions)
}
