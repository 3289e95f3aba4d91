//! The initiator of a plain exchange of one partition with one co-owner.
//!
//! ```text
//! reading own page ──→ offered (hashes) ──→ merging what came, pushing what was wanted ──→ next page, or done
//!        ↑                                                        │ all durable on both sides
//!        └────────────────────────────────────────────────────────┘
//! a refusal of this page, a loss or silence ends it; the schedule tries again
//! a refusal of one row does not: the rows behind it are compared, and the exchange ends as incomplete
//! the other side has no room: nothing more is pushed, what it has is taken, and the exchange ends as incomplete
//! ```
//!
//! Pages are numbered, and an answer counts only for its own, and from the other side only: a repeated one of an earlier page
//! proves nothing of this one. Rows that one side cannot read make an exchange incomplete: the other may lack just these.
//!
//! A newborn that has rows (its directory was replaced by an earlier copy) gives up what the other side has forgotten since:
//! the other side then shows its rows in their normal form, and those that it lacks count as empty. Who is loaded from several
//! owners, one after the other, does so with the first; who hands over only gives ([`Aim`]).
//!
//! While a partition moves, what is taken or given counts only under one layout: an answer of another one ends the exchange.
//!
//! Holds one page of rows at a time (within `PAGE_ROWS_MAX`, `PAGE_BYTES_MAX`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::exchanged::Began;
use super::pace::Haste;
use super::page::{bytes_of, readable};
use super::plan::{Aim, Outcome, Plan};
use super::walk::is_step;
use crate::causality::Tick;
use crate::ids::{NodeId, OpId, PartitionId};
use crate::limits;
use crate::message::peer::{ExchangeAnswer, ExchangeOffer, ExchangePush, ExchangePushed, Marks, PeerMessage, Refusal};
use crate::replica::marks;
use crate::shard::{Env, Job, Local, MergeSource, Outbox, Running, Task, TaskBody, TimerKey, Turn};
use crate::storage::{Page, PageLimit, Range, RowKey, StoreError, keyspace};
use crate::value::Row;

/// Silence of the other side or of the own store ends an exchange after this long.
pub(super) const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// The exchanges that this shard has begun.
#[derive(Debug, Default)]
pub struct Exchanges {
    open: BTreeMap<OpId, Exchange>,
    /// Those that wait for room: at most one for each pair of partition and co-owner.
    waiting: VecDeque<Plan>,
}

#[derive(Debug)]
struct Exchange {
    peer: NodeId,
    partition: PartitionId,
    /// The rest of the range that is compared now.
    range: Range,
    /// The ranges after it.
    ranges: VecDeque<Range>,
    aim: Aim,
    stage: Stage,
    began: Began,
    haste: Haste,
    /// Every row so far was shown by both sides, and taken here.
    is_whole: bool,
    /// What was pushed so far was taken there.
    is_given: bool,
    /// The other side has no room.
    is_full: bool,
    /// The number of the page.
    step: u32,
    /// What the other side said of itself in its first answer and in its last.
    marks: Option<(Marks, Marks)>,
    /// All that it said was said under the own layout.
    is_current: bool,
    received: u64,
    sent: u64,
    bytes: u64,
    /// Rows of the partition on the other side, as it told last.
    rows_there: Option<u64>,
}

#[derive(Debug)]
enum Stage {
    Reading,
    /// The rows as they were when the marks were true.
    Offered {
        end: Bytes,
        rows: BTreeMap<RowKey, Bytes>,
        marks: Marks,
    },
    Repairing {
        covered: Bytes,
        merging: usize,
        is_pushing: bool,
    },
}

impl Exchanges {
    /// The exchanges in which data moves one way.
    pub fn running(&self) -> impl Iterator<Item = Running> {
        self.open.values().filter(|exchange| exchange.aim != Aim::Both).map(|exchange| {
            let Exchange { partition, peer, aim, received, sent, bytes, rows_there, .. } = exchange;
            let rows = if *aim == Aim::Give { *sent } else { *received };
            Running { partition: *partition, peer: *peer, rows, bytes: *bytes, rows_there: *rows_there }
        })
    }

    /// What this owner holds of a partition is in doubt: its exchanges end.
    pub fn abandon(&mut self, out: &mut Outbox, partition: PartitionId) -> Vec<Outcome> {
        self.abandon_those(out, |_, of| of == partition)
    }

    /// Another layout is taken up: what came so far is of before.
    pub fn abandon_all(&mut self, out: &mut Outbox) {
        self.abandon_those(out, |_, _| true);
    }

    fn abandon_those(&mut self, out: &mut Outbox, which: impl Fn(NodeId, PartitionId) -> bool) -> Vec<Outcome> {
        let (ended, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|plan: &Plan| which(plan.peer, plan.partition));
        self.waiting = waiting;
        let is_one = |exchange: &Exchange| which(exchange.peer, exchange.partition);
        let ops: Vec<OpId> = self.open.iter().filter(|(_, exchange)| is_one(exchange)).map(|(op, _)| *op).collect();
        let mut ended: Vec<Outcome> = Vec::from(ended).into_iter().map(Plan::fail).collect();
        ended.extend(ops.into_iter().filter_map(|op| self.end(out, op, false)));
        ended
    }

    /// Begins an exchange when there is room.
    pub fn wish(&mut self, plan: Plan) {
        self.waiting.push_back(plan);
    }

    /// The next one that waits for room.
    pub fn next_waiting(&mut self) -> Option<Plan> {
        self.waiting.pop_front()
    }

    /// Exchanges under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins an exchange.
    pub fn start(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, plan: Plan) {
        let Plan { peer, partition, aim, mut ranges, began, marks, is_current } = plan;
        let Some(range) = ranges.pop_front() else { return };
        let exchange = Exchange {
            peer,
            partition,
            range,
            ranges,
            aim,
            began,
            stage: Stage::Reading,
            haste: haste(env, turn, partition),
            is_whole: true,
            is_given: true,
            is_full: false,
            step: 0,
            marks,
            is_current,
            received: 0,
            sent: 0,
            bytes: 0,
            rows_there: None,
        };
        exchange.read_page(env, turn, op);
        self.open.insert(op, exchange);
    }

    /// The pause before a page is over.
    pub fn on_paced(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId) {
        if let Some(exchange) = self.open.get(&op) {
            exchange.read_page(env, turn, op);
        }
    }

    /// The partitions of which this node is being loaded.
    pub fn loading(&self) -> BTreeSet<PartitionId> {
        let takes = |exchange: &&Exchange| matches!(exchange.aim, Aim::Take | Aim::TakeOver);
        self.open.values().filter(takes).map(|exchange| exchange.partition).collect()
    }

    /// Exchanges end in which data moves between owners of before and those to come.
    pub fn halt(&mut self, out: &mut Outbox, is_move: impl Fn(PartitionId) -> bool) -> Vec<Outcome> {
        let moves =
            |exchange: &Exchange| exchange.aim == Aim::Give || exchange.aim != Aim::Both && is_move(exchange.partition);
        let ops: Vec<OpId> = self.open.iter().filter(|(_, exchange)| moves(exchange)).map(|(op, _)| *op).collect();
        ops.into_iter().filter_map(|op| self.end(out, op, false)).collect()
    }

    /// Whether an exchange of this partition is under way.
    pub fn has_partition(&self, partition: PartitionId) -> bool {
        self.open.values().any(|exchange| exchange.partition == partition)
    }

    /// Whether this is one of ours.
    pub fn has(&self, op: OpId) -> bool {
        self.open.contains_key(&op)
    }

    /// The own page was read.
    pub fn on_page(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<Page, StoreError>,
    ) -> Option<Outcome> {
        let exchange = self.open.get_mut(&op)?;
        let marks = marks::marks(env, turn, exchange.partition);
        let memory = turn.memory(exchange.partition);
        let Ok(page) = outcome else { return self.end(&mut turn.out, op, false) };
        turn.pace.charge(env, exchange.haste, page.bytes(), 0);
        let end = match page.entries.last() {
            Some((last, _)) if !page.is_last => keyspace::after(last),
            _ => exchange.range.end.clone().unwrap_or_default(),
        };
        let out = &mut turn.out;
        let (rows, leaves_out) = readable(env, &memory, page);
        let rows: BTreeMap<RowKey, Bytes> = rows.into_iter().collect();
        exchange.is_whole &= !leaves_out;
        exchange.step = exchange.step.saturating_add(1);
        let hashes = rows.iter().map(|(row, state)| (row.clone(), Row::state_hash_of(state))).collect();
        let (step, start, gives) = (exchange.step, exchange.range.start.clone(), exchange.aim == Aim::Give);
        let takes_over = exchange.haste == Haste::TakingOver;
        let offer = ExchangeOffer { op, step, start, end: end.clone(), hashes, takes_over, marks, gives };
        // The page may show rows of every turn sealed so far.
        out.send_after(out.sealed_ticket(), exchange.peer, exchange.partition, PeerMessage::ExchangeOffer(offer));
        exchange.stage = Stage::Offered { end, rows, marks };
        out.set_timer(TimerKey::ExchangeTimeout(op), env.now.mono.after(SILENCE_MAX));
        None
    }

    /// The other side told what differs. Its rows count only if they come from one directory, the one that is known here;
    /// a newborn takes what it gets. Rows of one that has forgotten less than this node may not change frozen ticks.
    pub fn on_answer(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        (from, layout): ((NodeId, PartitionId), u64),
        answer: ExchangeAnswer,
    ) -> Option<Outcome> {
        let op = answer.op;
        let exchange = self.open.get_mut(&op)?;
        if from != (exchange.peer, exchange.partition) || !is_step(answer.step, exchange.step) {
            return None;
        }
        let memory = turn.memory(exchange.partition);
        let takes_nothing = exchange.aim == Aim::Give;
        let is_known =
            |marks: &Marks| !memory.is_established || takes_nothing || marks::is_known(env, turn, exchange.peer, marks);
        exchange.is_current &= layout == env.ring.epoch().number;
        if !exchange.is_current && (takes_nothing || exchange.aim != Aim::Both && env.ring.is_moved(exchange.partition))
        {
            return self.end(&mut turn.out, op, false);
        }
        let Stage::Offered { end, rows: own, marks: own_marks } = &mut exchange.stage else { return None };
        let first = |last: &Marks| exchange.marks.map_or(*last, |(first, _)| first);
        let findings = match answer.outcome {
            Ok(findings) if is_known(&findings.marks) => findings,
            Ok(_) | Err(_) => return self.end(&mut turn.out, op, false),
        };
        let is_vouched = marks::is_level(turn, exchange.partition, &findings.marks);
        let out = &mut turn.out;
        if first(&findings.marks).incarnation != findings.marks.incarnation {
            return self.end(out, op, false);
        }
        exchange.marks = Some((first(&findings.marks), findings.marks));
        let is_behind = !memory.is_established && findings.marks.folded > memory.compacted;
        let has_slept = is_behind && exchange.aim == Aim::TakeOver;
        let forgotten = if has_slept { findings.marks.folded } else { Tick(0) };
        // Progress is a duty: an answer that covers nothing, or more than was asked, ends the exchange.
        let is_bounded = findings.rows.len().max(findings.wanted.len()) <= limits::PAGE_ROWS_MAX;
        if findings.covered <= exchange.range.start || findings.covered > *end || !is_bounded {
            return self.end(out, op, false);
        }
        exchange.is_whole &= !findings.leaves_out;
        exchange.rows_there = findings.rows_here.or(exchange.rows_there);
        let mut rows = if takes_nothing { Vec::new() } else { findings.rows };
        let bytes = bytes_of(&rows);
        turn.pace.charge(env, exchange.haste, bytes, rows.len());
        exchange.received += rows.len() as u64;
        exchange.bytes += bytes as u64;
        if has_slept {
            // Of what the other side lacks, all is forgotten there, or never was there.
            let came: BTreeSet<RowKey> = rows.iter().map(|(row, _)| row.clone()).collect();
            let lacks = findings.wanted.iter().filter(|row| own.contains_key(*row) && !came.contains(*row));
            rows.extend(lacks.map(|row| (row.clone(), Bytes::new())));
        }
        let merging = rows.len();
        for (row, state) in rows {
            let body = TaskBody::Merge { state, source: MergeSource::Exchange { op, is_vouched, forgotten } };
            out.tell(Local::Task(Task { row, body }));
        }
        let wanted: Vec<(RowKey, Bytes)> = if exchange.aim.pushes() && !exchange.is_full {
            findings.wanted.iter().filter_map(|row| own.remove_entry(row)).collect()
        } else {
            Vec::new()
        };
        let is_pushing = !wanted.is_empty();
        exchange.sent += wanted.len() as u64;
        if is_pushing {
            let bytes = bytes_of(&wanted);
            turn.pace.charge(env, exchange.haste, bytes, wanted.len());
            exchange.bytes += bytes as u64;
            let push = ExchangePush { op, step: exchange.step, rows: wanted, marks: *own_marks };
            out.send(exchange.peer, exchange.partition, PeerMessage::ExchangePush(push));
        }
        exchange.stage = Stage::Repairing { covered: findings.covered, merging, is_pushing };
        out.set_timer(TimerKey::ExchangeTimeout(op), env.now.mono.after(SILENCE_MAX));
        self.advance(env, turn, op)
    }

    /// A row that came is merged and durable, or was refused.
    pub fn on_merged(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<(), Refusal>,
    ) -> Option<Outcome> {
        let exchange = self.open.get_mut(&op)?;
        match outcome {
            Ok(()) => {}
            Err(refusal) if refusal.is_of_one_row() => exchange.is_whole = false,
            Err(_) => return self.end(&mut turn.out, op, false),
        }
        if let Stage::Repairing { merging, .. } = &mut exchange.stage {
            *merging = merging.saturating_sub(1);
        }
        self.advance(env, turn, op)
    }

    /// What was pushed is durable there, or was refused.
    pub fn on_pushed(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: (NodeId, PartitionId),
        answer: ExchangePushed,
    ) -> Option<Outcome> {
        let exchange = self.open.get_mut(&answer.op)?;
        if from != (exchange.peer, exchange.partition) || !is_step(answer.step, exchange.step) {
            return None;
        }
        match answer.outcome {
            Ok(()) => {}
            // Of what is given an owner froze only what it had taken over before.
            Err(Refusal::Frozen) if exchange.aim == Aim::Give => {}
            Err(Refusal::DiskReserve) if exchange.aim == Aim::Both => {
                (exchange.is_given, exchange.is_full) = (false, true);
            }
            Err(refusal) if refusal.is_of_one_row() => exchange.is_given = false,
            Err(_) => return self.end(&mut turn.out, answer.op, false),
        }
        if let Stage::Repairing { is_pushing, .. } = &mut exchange.stage {
            *is_pushing = false;
        }
        self.advance(env, turn, answer.op)
    }

    /// Nothing was heard for too long.
    pub fn on_timeout(&mut self, out: &mut Outbox, op: OpId) -> Option<Outcome> {
        self.open.contains_key(&op).then(|| self.end(out, op, false)).flatten()
    }

    /// A peer is lost: its exchanges end.
    pub fn on_lost(&mut self, out: &mut Outbox, node: NodeId) -> Vec<Outcome> {
        self.abandon_those(out, |peer, _| peer == node)
    }

    fn advance(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId) -> Option<Outcome> {
        let exchange = self.open.get_mut(&op)?;
        let Stage::Repairing { covered, merging: 0, is_pushing: false } = &exchange.stage else { return None };
        exchange.range.start = covered.clone();
        if exchange.range.end.as_ref().is_none_or(|end| exchange.range.start >= *end) {
            let Some(next) = exchange.ranges.pop_front() else {
                let (has_taken, is_complete) = (exchange.is_whole, exchange.is_whole && exchange.is_given);
                let ended = self.end(&mut turn.out, op, is_complete);
                return ended.map(|outcome| Outcome { has_taken, ..outcome });
            };
            exchange.range = next;
        }
        exchange.stage = Stage::Reading;
        exchange.read_page(env, turn, op);
        None
    }

    fn end(&mut self, out: &mut Outbox, op: OpId, is_complete: bool) -> Option<Outcome> {
        out.cancel_timer(&TimerKey::ExchangeTimeout(op));
        out.cancel_timer(&TimerKey::Pace(op));
        let Exchange { partition, peer, aim, is_current, began, marks, received, sent, bytes, rows_there, .. } =
            self.open.remove(&op)?;
        let has_taken = is_complete;
        Some(Outcome {
            partition,
            peer,
            aim,
            is_complete,
            has_taken,
            is_current,
            began,
            marks,
            received,
            sent,
            bytes,
            rows_there,
        })
    }
}

impl Exchange {
    /// Reads the next page, or waits until it may.
    fn read_page(&self, env: &Env<'_>, turn: &mut Turn, op: OpId) {
        let out = &mut turn.out;
        if let Some(wait) = turn.pace.wait(env, self.haste) {
            out.cancel_timer(&TimerKey::ExchangeTimeout(op));
            return out.set_timer(TimerKey::Pace(op), env.now.mono.after(wait));
        }
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        out.start_job(Job::ScanRows { op, range: self.range.clone(), limit });
        out.set_timer(TimerKey::ExchangeTimeout(op), env.now.mono.after(SILENCE_MAX));
    }
}

/// An owner that does not hold its data, and is read from nevertheless, is in haste. One to come is not: the others serve.
fn haste(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> Haste {
    let is_reader = env.ring.readers(partition).contains(&env.me);
    if is_reader && !turn.memory(partition).is_established { Haste::TakingOver } else { Haste::Comparing }
}
