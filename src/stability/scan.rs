//! Looking through a partition's rows, page by page: to report them, to find hints, to sweep out what is settled.
//!
//! ```text
//! queue ──room──→ reading ──page──→ counted ──pause──→ reading … ──last page──→ Found
//!                                   swept: tasks for the rows of the page, main rows and elements first,
//!                                          then its sessions' rows, ──all done──→ pause
//! ```
//!
//! Bounded: [`SCANS_MAX`] at once per shard, one page each, a pause between pages. A row that cannot be read ends the
//! scan without a finding: what cannot be read cannot be vouched for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::footing::Watch;
use super::seal;
use crate::causality::Tick;
use crate::ids::{OpId, PartitionId};
use crate::limits;
use crate::replica::StoredRow;
use crate::replica::normal::{self, Normal};
use crate::shard::{Env, Job, Local, Observation, Task, TaskBody, TimerKey, Turn};
use crate::storage::{Page, PageLimit, Range, RowKey, RowKind, StoreError, keyspace};
use crate::time::Timestamp;

/// Scans of one shard at once. Each holds one page in memory.
pub const SCANS_MAX: usize = 2;

/// Pause between two pages, so that a large partition does not hold up clients.
const PAGE_PAUSE: Duration = Duration::from_millis(2);

/// A page counts as at most so long. One that took longer says that the process or its disk stood still, not how much there is
/// to look through, and the partition must not rest for it.
const PAGE_TAKES_MAX: Duration = Duration::from_secs(1);

/// What a partition is looked through for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A fallback wants to seal this tick: is there a row of it?
    Seal(Tick),
    /// Entries up to the first tick, baselines up to the second.
    Report(Tick, Tick),
    /// How much is unsettled.
    Measure,
    /// Rewrite what holds settled parts, delete what is empty.
    Sweep,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The dialogue.
    pub op: OpId,
    /// Where.
    pub partition: PartitionId,
    /// For what.
    pub purpose: Purpose,
    /// Every row was read, and every task done.
    pub is_whole: bool,
    /// From its first page to its end, without the time that the process stood still.
    pub took: Duration,
    /// What the rows held.
    pub count: Count,
}

/// What the rows of a partition hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Σ over the rows of a hash of (row key, entries).
    pub entries: u128,
    /// Σ over the rows of a hash of (row key, baselines).
    pub baselines: u128,
    /// A row holds back a seal.
    pub holds_back: bool,
    /// Rows with actors that are not settled.
    pub unsettled_rows: u64,
    /// Bytes of these rows.
    pub unsettled_bytes: u64,
}

/// The scans of one shard.
#[derive(Debug, Default)]
pub struct Scans {
    open: BTreeMap<OpId, Scan>,
    queue: VecDeque<(PartitionId, Purpose)>,
}

#[derive(Debug)]
struct Scan {
    partition: PartitionId,
    purpose: Purpose,
    rest: Range,
    count: Count,
    is_whole: bool,
    /// For the pages so far.
    took: Duration,
    /// Since when it is at the present page.
    page_at: Timestamp,
    sweeping: Option<Sweeping>,
    /// The main row that was read last, and the tick up to which its sum holds what its sessions did.
    summed: Option<(RowKey, Tick)>,
}

/// A page whose rows are being swept.
#[derive(Debug)]
struct Sweeping {
    tasks: usize,
    /// Rows of sessions; after the main rows that take their sums in.
    sessions: Vec<RowKey>,
    is_last: bool,
}

impl Scans {
    /// Looks through a partition when there is room. A later wish for the same partition and purpose takes the place of
    /// an earlier one that has not begun.
    pub fn wish(&mut self, partition: PartitionId, purpose: Purpose) {
        let is_same = |other: &Purpose| std::mem::discriminant(other) == std::mem::discriminant(&purpose);
        match self.queue.iter_mut().find(|(other, for_what)| *other == partition && is_same(for_what)) {
            Some((_, earlier)) => *earlier = purpose,
            None => self.queue.push_back((partition, purpose)),
        }
    }

    /// Another layout is taken up: what was looked for by the one before is of no use; sweeps of own partitions go on.
    pub fn on_layout(&mut self, is_own: impl Fn(PartitionId) -> bool) {
        let goes_on = |partition: PartitionId, purpose: Purpose| {
            matches!(purpose, Purpose::Sweep | Purpose::Measure) && is_own(partition)
        };
        self.open.retain(|_, scan| goes_on(scan.partition, scan.purpose));
        self.queue.retain(|(partition, purpose)| goes_on(*partition, *purpose));
    }

    /// Whether a partition is being looked through for this, or will be.
    pub fn is_under_way(&self, partition: PartitionId, purpose: Purpose) -> bool {
        self.open
            .values()
            .map(|scan| (scan.partition, scan.purpose))
            .chain(self.queue.iter().copied())
            .any(|(other, for_what)| other == partition && for_what == purpose)
    }

    /// Whether this dialogue is one of ours.
    pub fn has(&self, op: OpId) -> bool {
        self.open.contains_key(&op)
    }

    /// Begins what there is room for. `next_op` numbers it.
    pub fn begin(&mut self, env: &Env<'_>, turn: &mut Turn, mut next_op: impl FnMut() -> OpId) {
        while self.open.len() < SCANS_MAX {
            let Some((partition, purpose)) = self.queue.pop_front() else { return };
            let op = next_op();
            if let Purpose::Report(through, baselines) = purpose {
                let watch = Watch::new(op, through, baselines, turn.memory(partition).folded, env.config);
                turn.footing_mut().watch(partition, watch);
            }
            let scan = Scan {
                partition,
                purpose,
                rest: keyspace::partition_range(partition, env.ring.layout().partitions),
                count: Count::default(),
                is_whole: true,
                took: Duration::ZERO,
                page_at: env.now.mono,
                sweeping: None,
                summed: None,
            };
            scan.read(turn, op);
            self.open.insert(op, scan);
        }
    }

    /// The pause after a page is over.
    pub fn on_timer(&mut self, turn: &mut Turn, op: OpId) {
        if let Some(scan) = self.open.get(&op) {
            scan.read(turn, op);
        }
    }

    /// A page was read.
    pub fn on_page(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<Page, StoreError>,
    ) -> Option<Found> {
        let scan = self.open.get_mut(&op)?;
        let Ok(page) = outcome else {
            scan.is_whole = false;
            return self.end(env, op);
        };
        let is_last = page.is_last || page.entries.is_empty();
        if let Some((last, _)) = page.entries.last() {
            scan.rest.start = keyspace::after(last);
        }
        let (mut first, mut sessions) = (Vec::new(), Vec::new());
        for (key, bytes) in page.entries {
            match scan.look_at(env, turn, key, &bytes) {
                Some(Due { row, is_session: true }) => sessions.push(row),
                Some(Due { row, is_session: false }) => first.push(row),
                None => {}
            }
        }
        scan.sweeping = Some(Sweeping { tasks: 0, sessions, is_last });
        scan.sweep(turn, op, first);
        self.advance(env, turn, op)
    }

    /// A task of a sweep is done, or was refused.
    pub fn on_settled(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, is_done: bool) -> Option<Found> {
        let scan = self.open.get_mut(&op)?;
        scan.is_whole &= is_done;
        if let Some(sweeping) = &mut scan.sweeping {
            sweeping.tasks = sweeping.tasks.saturating_sub(1);
        }
        self.advance(env, turn, op)
    }

    fn advance(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId) -> Option<Found> {
        let scan = self.open.get_mut(&op)?;
        let sweeping = scan.sweeping.as_mut()?;
        if sweeping.tasks > 0 {
            return None;
        }
        let sessions = std::mem::take(&mut sweeping.sessions);
        if !sessions.is_empty() && scan.is_whole {
            scan.sweep(turn, op, sessions);
            return None;
        }
        if sweeping.is_last {
            return self.end(env, op);
        }
        scan.sweeping = None;
        scan.turn_page(env.now.mono);
        let pause = PAGE_PAUSE + Duration::from_millis(u64::from(env.delivery_pause_ms));
        turn.out.set_timer(TimerKey::ScanPage(op), env.now.mono.after(pause));
        None
    }

    fn end(&mut self, env: &Env<'_>, op: OpId) -> Option<Found> {
        let mut scan = self.open.remove(&op)?;
        scan.turn_page(env.now.mono);
        let Scan { partition, purpose, count, is_whole, took, .. } = scan;
        Some(Found { op, partition, purpose, is_whole, took, count })
    }
}

/// A row that a sweep must write or delete.
struct Due {
    row: RowKey,
    is_session: bool,
}

impl Scan {
    /// A page is done.
    fn turn_page(&mut self, now: Timestamp) {
        self.took += now.since(self.page_at).min(PAGE_TAKES_MAX);
        self.page_at = now;
    }

    fn read(&self, turn: &mut Turn, op: OpId) {
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        turn.out.start_job(Job::ScanRows { op, range: self.rest.clone(), limit });
    }

    fn sweep(&mut self, turn: &mut Turn, op: OpId, rows: Vec<RowKey>) {
        if let Some(sweeping) = &mut self.sweeping {
            sweeping.tasks += rows.len();
        }
        for row in rows {
            turn.out.tell(Local::Task(Task { row, body: TaskBody::Settle { op } }));
        }
    }

    /// Counts a row; tells whether a sweep has something to do with it.
    fn look_at(&mut self, env: &Env<'_>, turn: &mut Turn, key: Bytes, bytes: &Bytes) -> Option<Due> {
        let Ok(row) = RowKey::parse(key) else {
            self.is_whole = false;
            return None;
        };
        let mut stored = match StoredRow::decode(bytes) {
            Ok(stored) => stored,
            Err(error) => {
                turn.malformed(&row, &error);
                self.is_whole = false;
                return None;
            }
        };
        let memory = turn.memory(self.partition);
        let normal = normal::retire(&row, &mut stored, &memory, env.config);
        if normal == Normal::Absent {
            return (self.purpose == Purpose::Sweep).then_some(Due { row, is_session: true });
        }
        let is_unsettled = self.note_rest(env, turn, &row, &stored);
        if normal == Normal::Changed && self.purpose == Purpose::Sweep {
            let is_session = row.kind() == RowKind::Session;
            return Some(Due { row, is_session });
        }
        if let Purpose::Seal(tick) = self.purpose {
            self.count.holds_back |= seal::holds_back(&stored.row, tick);
        }
        if let Purpose::Report(through, baselines) = self.purpose {
            if row.kind() == RowKind::Session && stored.row.has_newer_fields() {
                // Settling would delete it, with fields that only a newer program could take over.
                let detail = "fields of a newer program in a session's row; upgrade, or its partition is never settled";
                turn.out.observe(Observation::Malformed { row: row.clone(), detail: detail.to_owned() });
                self.is_whole = false;
            }
            if !self.is_summed(&row, &stored) {
                let (tick, lease) = (env.config.tick, env.config.actor_lease_ticks);
                self.count.add(&row, stored.row.digest(through), stored.row.baseline_digest(baselines, tick, lease));
            }
        }
        if is_unsettled {
            self.count.unsettled_rows += 1;
            self.count.unsettled_bytes += bytes.len() as u64;
        }
        None
    }

    /// Whether the main row has taken over the sum of an owner that settled first, and this session's part with it. The row
    /// stays until this node settles; who never had it, because it came after the sum, must count the same.
    fn is_summed(&mut self, row: &RowKey, stored: &StoredRow) -> bool {
        match row.actor() {
            None if row.kind() == RowKind::Main => {
                self.summed = Some((row.clone(), stored.row.settled_tick()));
                false
            }
            None => false,
            Some(actor) => {
                let main = self.summed.as_ref().filter(|(_, settled)| actor.expires <= *settled);
                main.is_some_and(|(main, _)| row.main_row() == *main)
            }
        }
    }

    /// Notes what is still to come for a row, settled as far as it is: its deadline, the ticks of its actors, and when what
    /// only remembers a removal may be forgotten. A swept row is no exception, or its partition would go to sleep too
    /// early. Returns whether there is anything to settle.
    fn note_rest(&self, env: &Env<'_>, turn: &mut Turn, row: &RowKey, stored: &StoredRow) -> bool {
        turn.deadlines().note_passed(row, stored);
        let compacted = turn.memory(self.partition).compacted;
        let actors = stored.row.actors().map(|(actor, _)| actor.expires);
        let ticks = actors.chain(normal::retires_at(stored, env.config)).filter(|tick| *tick > compacted);
        let mut is_unsettled = false;
        for tick in ticks {
            is_unsettled = true;
            turn.note_tick(self.partition, tick);
        }
        is_unsettled
    }
}

impl Count {
    fn add(&mut self, row: &RowKey, entries: Option<u128>, baselines: Option<u128>) {
        let of_row = |digest: u128| {
            let mut bytes = row.as_bytes().to_vec();
            bytes.extend_from_slice(&digest.to_be_bytes());
            xxhash_rust::xxh3::xxh3_128(&bytes)
        };
        self.entries = self.entries.wrapping_add(entries.map_or(0, of_row));
        self.baselines = self.baselines.wrapping_add(baselines.map_or(0, of_row));
    }
}
