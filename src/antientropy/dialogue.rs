//! One plain exchange, on the side of its initiator: the dialogue about a page of rows, and then about the next.
//!
//! ```text
//! reading own page ──→ offered ──→ merging what came, pushing what was wanted ──→ next page, or done
//!        ↑             │ by sums: parts that differ come next, by hashes              │ all durable on both sides
//!        └─────────────┴──────────────────────────────────────────────────────────────┘
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
//! Holds one page of rows at a time (within `PAGE_ROWS_MAX`, `PAGE_BYTES_MAX`), and the ranges that are still to be compared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::exchange::SILENCE_MAX;
use super::exchanged::Began;
use super::pace::Haste;
use super::page::{bytes_of, readable};
use super::plan::{Aim, By, Outcome, Plan};
use super::sums;
use super::walk::is_step;
use crate::causality::Tick;
use crate::ids::{NodeId, OpId, PartitionId};
use crate::limits;
use crate::message::peer::{
    ExchangeAnswer, ExchangeFindings, ExchangeOffer, ExchangePush, ExchangePushed, Marks, PeerMessage, Refusal,
};
use crate::replica::marks;
use crate::shard::{Env, Job, Local, MergeSource, Task, TaskBody, TimerKey, Turn};
use crate::storage::{Page, PageLimit, Range, RowKey, keyspace};
use crate::value::Row;

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) peer: NodeId,
    pub(super) partition: PartitionId,
    pub(super) aim: Aim,
    /// The rest of the range that is compared now.
    range: Range,
    by: By,
    /// What is compared after it.
    ahead: VecDeque<(Range, By)>,
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
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) bytes: u64,
    /// Rows of the partition on the other side, as it told last.
    pub(super) rows_there: Option<u64>,
}

#[derive(Debug)]
enum Stage {
    Reading,
    /// The rows as they were when the marks were true.
    Offered {
        end: Bytes,
        rows: BTreeMap<RowKey, Bytes>,
        marks: Marks,
        /// Where the parts end that were offered by their sums; none: each row by its hash.
        parts: Vec<Bytes>,
    },
    Repairing {
        covered: Bytes,
        merging: usize,
        is_pushing: bool,
    },
}

/// What becomes of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// It waits for something.
    Waits,
    /// Everything was compared, and what was to travel has.
    Ends,
    /// It cannot go on.
    Fails,
}

impl Exchange {
    /// Begins with the first range of a plan, which has one.
    pub(super) fn start(env: &Env<'_>, turn: &mut Turn, op: OpId, plan: Plan) -> Option<Exchange> {
        let Plan { peer, partition, aim, ranges, by, began, marks, is_current } = plan;
        let mut ahead: VecDeque<(Range, By)> = ranges.into_iter().map(|range| (range, by)).collect();
        let (range, by) = ahead.pop_front()?;
        let exchange = Exchange {
            peer,
            partition,
            aim,
            range,
            by,
            ahead,
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
        Some(exchange)
    }

    /// Reads the next page, or waits until it may.
    pub(super) fn read_page(&self, env: &Env<'_>, turn: &mut Turn, op: OpId) {
        let out = &mut turn.out;
        if let Some(wait) = turn.pace.wait(env, self.haste) {
            out.cancel_timer(&TimerKey::ExchangeTimeout(op));
            return out.set_timer(TimerKey::Pace(op), env.now.mono.after(wait));
        }
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        out.start_job(Job::ScanRows { op, range: self.range.clone(), limit });
        out.set_timer(TimerKey::ExchangeTimeout(op), env.now.mono.after(SILENCE_MAX));
    }

    /// The own page was read: it is offered.
    pub(super) fn offer(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, page: Page) {
        let marks = marks::marks(env, turn, self.partition);
        let memory = turn.memory(self.partition);
        turn.pace.charge(env, self.haste, page.bytes(), 0);
        let end = match page.entries.last() {
            Some((last, _)) if !page.is_last => keyspace::after(last),
            _ => self.range.end.clone().unwrap_or_default(),
        };
        let out = &mut turn.out;
        let (rows, leaves_out) = readable(env, &memory, page);
        let rows: BTreeMap<RowKey, Bytes> = rows.into_iter().collect();
        self.is_whole &= !leaves_out;
        self.step = self.step.saturating_add(1);
        let (sums, hashes) = match self.by {
            By::Sums if !rows.is_empty() => (sums::parts(&rows, &end), Vec::new()),
            _ => (Vec::new(), rows.iter().map(|(row, state)| (row.clone(), Row::state_hash_of(state))).collect()),
        };
        let parts = sums.iter().map(|part| part.end.clone()).collect();
        let (step, start, gives) = (self.step, self.range.start.clone(), self.aim == Aim::Give);
        let takes_over = self.haste == Haste::TakingOver;
        let offer = ExchangeOffer { op, step, start, end: end.clone(), hashes, sums, takes_over, marks, gives };
        // The page may show rows of every turn sealed so far.
        out.send_after(out.sealed_ticket(), self.peer, self.partition, PeerMessage::ExchangeOffer(offer));
        self.stage = Stage::Offered { end, rows, marks, parts };
        out.set_timer(TimerKey::ExchangeTimeout(op), env.now.mono.after(SILENCE_MAX));
    }

    /// The other side told what differs. Its rows count only if they come from one directory, the one that is known here;
    /// a newborn takes what it gets. Rows of one that has forgotten less than this node may not change frozen ticks.
    pub(super) fn on_answer(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        (from, layout): ((NodeId, PartitionId), u64),
        answer: ExchangeAnswer,
    ) -> Course {
        let op = answer.op;
        if from != (self.peer, self.partition) || !is_step(answer.step, self.step) {
            return Course::Waits;
        }
        let memory = turn.memory(self.partition);
        let takes_nothing = self.aim == Aim::Give;
        let is_known =
            |marks: &Marks| !memory.is_established || takes_nothing || marks::is_known(env, turn, self.peer, marks);
        self.is_current &= layout == env.ring.epoch().number;
        if !self.is_current && (takes_nothing || self.aim != Aim::Both && env.ring.is_moved(self.partition)) {
            return Course::Fails;
        }
        let Stage::Offered { end, rows: own, marks: own_marks, parts } = &mut self.stage else { return Course::Waits };
        let first = |last: &Marks| self.marks.map_or(*last, |(first, _)| first);
        let findings = match answer.outcome {
            Ok(findings) if is_known(&findings.marks) => findings,
            Ok(_) | Err(_) => return Course::Fails,
        };
        if first(&findings.marks).incarnation != findings.marks.incarnation {
            return Course::Fails;
        }
        self.marks = Some((first(&findings.marks), findings.marks));
        // Progress is a duty: an answer that covers nothing, or more than was asked, ends the exchange.
        let is_bounded = findings.rows.len().max(findings.wanted.len()) <= limits::PAGE_ROWS_MAX;
        if findings.covered <= self.range.start || findings.covered > *end || !is_bounded {
            return Course::Fails;
        }
        self.is_whole &= !findings.leaves_out;
        self.rows_there = findings.rows_here.or(self.rows_there);
        let ExchangeFindings { covered, differing, .. } = &findings;
        if !parts.is_empty() {
            // A program that knows of no sums has compared nothing.
            let all = || Some(vec![Range { start: self.range.start.clone(), end: Some(covered.clone()) }]);
            let ranges = |differing: &Vec<u16>| sums::ranges(&self.range.start, parts, differing, covered);
            let Some(ranges) = differing.as_ref().map_or_else(all, ranges) else { return Course::Fails };
            return self.go_on(env, turn, op, covered.clone(), ranges);
        }
        let is_vouched = marks::is_level(turn, self.partition, &findings.marks);
        let is_behind = !memory.is_established && findings.marks.folded > memory.compacted;
        let has_slept = is_behind && self.aim == Aim::TakeOver;
        let forgotten = if has_slept { findings.marks.folded } else { Tick(0) };
        let out = &mut turn.out;
        let mut rows = if takes_nothing { Vec::new() } else { findings.rows };
        let bytes = bytes_of(&rows);
        turn.pace.charge(env, self.haste, bytes, rows.len());
        self.received += rows.len() as u64;
        self.bytes += bytes as u64;
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
        let wanted: Vec<(RowKey, Bytes)> = if self.aim.pushes() && !self.is_full {
            findings.wanted.iter().filter_map(|row| own.remove_entry(row)).collect()
        } else {
            Vec::new()
        };
        let is_pushing = !wanted.is_empty();
        self.sent += wanted.len() as u64;
        if is_pushing {
            let bytes = bytes_of(&wanted);
            turn.pace.charge(env, self.haste, bytes, wanted.len());
            self.bytes += bytes as u64;
            let push = ExchangePush { op, step: self.step, rows: wanted, marks: *own_marks };
            out.send(self.peer, self.partition, PeerMessage::ExchangePush(push));
        }
        self.stage = Stage::Repairing { covered: findings.covered, merging, is_pushing };
        out.set_timer(TimerKey::ExchangeTimeout(op), env.now.mono.after(SILENCE_MAX));
        self.advance(env, turn, op)
    }

    /// A row that came is merged and durable, or was refused.
    pub(super) fn on_merged(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        outcome: Result<(), Refusal>,
    ) -> Course {
        match outcome {
            Ok(()) => {}
            Err(refusal) if refusal.is_of_one_row() => self.is_whole = false,
            Err(_) => return Course::Fails,
        }
        if let Stage::Repairing { merging, .. } = &mut self.stage {
            *merging = merging.saturating_sub(1);
        }
        self.advance(env, turn, op)
    }

    /// What was pushed is durable there, or was refused.
    pub(super) fn on_pushed(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        from: (NodeId, PartitionId),
        answer: ExchangePushed,
    ) -> Course {
        if from != (self.peer, self.partition) || !is_step(answer.step, self.step) {
            return Course::Waits;
        }
        match answer.outcome {
            Ok(()) => {}
            // Of what is given an owner froze only what it had taken over before.
            Err(Refusal::Frozen) if self.aim == Aim::Give => {}
            Err(Refusal::DiskReserve) if self.aim == Aim::Both => {
                (self.is_given, self.is_full) = (false, true);
            }
            Err(refusal) if refusal.is_of_one_row() => self.is_given = false,
            Err(refusal) => {
                self.is_full = refusal == Refusal::DiskReserve;
                return Course::Fails;
            }
        }
        if let Stage::Repairing { is_pushing, .. } = &mut self.stage {
            *is_pushing = false;
        }
        self.advance(env, turn, answer.op)
    }

    /// Goes on as soon as all of the page is durable on both sides.
    fn advance(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId) -> Course {
        let Stage::Repairing { covered, merging: 0, is_pushing: false } = &self.stage else { return Course::Waits };
        let covered = covered.clone();
        self.go_on(env, turn, op, covered, Vec::new())
    }

    /// The range is compared up to there, but for these ranges of it, whose rows come next.
    fn go_on(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, covered: Bytes, differing: Vec<Range>) -> Course {
        let rest = Range { start: covered, end: self.range.end.clone() };
        if rest.end.as_ref().is_some_and(|end| rest.start < *end) {
            self.ahead.push_front((rest, self.by));
        }
        differing.into_iter().rev().for_each(|range| self.ahead.push_front((range, By::Hashes)));
        let Some((range, by)) = self.ahead.pop_front() else { return Course::Ends };
        (self.range, self.by) = (range, by);
        self.stage = Stage::Reading;
        self.read_page(env, turn, op);
        Course::Waits
    }

    /// How it ended; `is_through`: everything was compared.
    pub(super) fn outcome(self, is_through: bool) -> Outcome {
        let Exchange { partition, peer, aim, is_full, is_current, began, marks, .. } = self;
        let Exchange { received, sent, bytes, rows_there, .. } = self;
        let has_taken = is_through && self.is_whole;
        let is_complete = has_taken && self.is_given;
        Outcome {
            partition,
            peer,
            aim,
            is_complete,
            has_taken,
            is_full,
            is_current,
            began,
            marks,
            received,
            sent,
            bytes,
            rows_there,
        }
    }
}

/// An owner that does not hold its data, and is read from nevertheless, is in haste. One to come is not: the others serve.
fn haste(env: &Env<'_>, turn: &Turn, partition: PartitionId) -> Haste {
    let is_reader = env.ring.readers(partition).contains(&env.me);
    if is_reader && !turn.memory(partition).is_established { Haste::TakingOver } else { Haste::Comparing }
}
