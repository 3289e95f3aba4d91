//! Showing what is there, to coordinators and to clients that inspect this replica.
//!
//! ```text
//! Read ──main row, named elements──────────────────────────→ answer
//!   └──side rows of sessions, a page of elements──job──Show─→ answer
//! ```
//!
//! What is shown is durable first: a crash must not un-show it. Bounded: a gather holds the side rows of one key within
//! [`limits::SIDE_ROWS_BYTES_MAX`], as does an answer with named elements; there are at most as many as parked tasks may be,
//! and together they hold [`limits::GATHERED_BYTES_MAX`], beyond which one that grows is refused as busy.
//! An inspection looks at the elements, too, one page in memory at a time; what it keeps of them is a hash.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Replica, Standing, StoredRow, normal};
use crate::ids::{CollectionKind, OpId};
use crate::limits;
use crate::message::client::{Reason, ReplicaView, Response};
use crate::message::peer::{PeerMessage, ReadAnswer, Refusal, Shown, Wanted};
use crate::mutation::{self, Mutation};
use crate::shard::{Asker, Env, Job, Local, Task, TaskBody, Turn, not_applied};
use crate::storage::{Page, PageLimit, Range, RowKey, RowKind, StoreError, keyspace};
use crate::value::{Beside, Row};

/// What was read beside a main row.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Side rows, encoded.
    pub rows: Vec<(RowKey, Bytes)>,
    /// As in [`crate::message::peer::Shown`].
    pub until: Option<Bytes>,
    /// Of an inspection: the elements.
    pub elements: ElementSum,
}

/// Side rows that are being read for answers.
#[derive(Debug, Default)]
pub struct Gathers {
    next: u64,
    open: BTreeMap<OpId, Gather>,
    /// What they hold together. Unit: bytes.
    bytes: usize,
}

#[derive(Debug)]
struct Gather {
    asker: Asker,
    main: RowKey,
    range: Range,
    /// One page is enough, with at most so many rows; `None`: all of the range.
    count: Option<usize>,
    rows: Vec<(RowKey, Bytes)>,
    bytes: usize,
    elements: ElementSum,
}

/// The rows of a key's elements, added up: equal sums, equal elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElementSum {
    /// Σ of a hash of (row key, state in its normal form).
    hash: u128,
    /// Rows that were looked at.
    rows: usize,
    /// There are more than are looked at.
    leaves_out: bool,
}

impl ElementSum {
    fn add(&mut self, row: &RowKey, state: &[u8]) {
        let mut bytes = Vec::with_capacity(row.as_bytes().len() + state.len());
        bytes.extend_from_slice(row.as_bytes());
        bytes.extend_from_slice(state);
        self.hash = self.hash.wrapping_add(xxhash_rust::xxh3::xxh3_128(&bytes));
    }
}

impl Replica {
    /// Shows the main row and what else is wanted, now or when a job has read it.
    pub(super) fn show(&mut self, env: &Env<'_>, turn: &mut Turn, main: RowKey, asker: Asker, wanted: Wanted) {
        if let Err(refusal) = may_show(env, turn, &main, asker) {
            return refuse(env, turn, &main, asker, &refusal);
        }
        let settled = turn.compacted(main.partition(env.ring.layout().partitions));
        let (range, count) = match wanted {
            Wanted::Nothing => return answer(env, turn, &main, asker, Gathered::default()),
            Wanted::Elements(rows) => {
                return match elements(turn, rows) {
                    Ok(rows) => answer(env, turn, &main, asker, Gathered { rows, ..Gathered::default() }),
                    Err(refusal) => refuse(env, turn, &main, asker, &refusal),
                };
            }
            Wanted::Sessions => {
                let inspects = matches!(asker, Asker::Client { .. });
                let beside = turn.row(&main).map(|stored| &stored.header.beside);
                if !beside.is_some_and(|beside| beside.has_sessions() || inspects && !beside.is_empty()) {
                    return answer(env, turn, &main, asker, Gathered::default());
                }
                let mut range = keyspace::sessions_after(&main, settled);
                if inspects {
                    // Elements stand behind the sessions, the last kind of them last.
                    range.end = keyspace::elements_after(&main, CollectionKind::SortedSet, None).end;
                }
                (range, None)
            }
            Wanted::Page { kind, after, count } => {
                let count = usize::from(count).clamp(1, limits::PAGE_ROWS_MAX);
                (keyspace::elements_after(&main, kind, after.as_deref()), Some(count))
            }
        };
        if self.gathers.open.len() >= env.config.parked_max {
            return refuse(env, turn, &main, asker, &Refusal::Busy);
        }
        self.gathers.next += 1;
        let op = OpId(self.gathers.next);
        let elements = ElementSum::default();
        let gather = Gather { asker, main, range, count, rows: Vec::new(), bytes: 0, elements };
        gather.read_page(turn, op);
        self.gathers.open.insert(op, gather);
    }

    /// A page of side rows was read.
    pub fn on_side_rows(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, outcome: Result<Page, StoreError>) {
        let Some(mut gather) = self.gathers.open.remove(&op) else { return };
        self.gathers.bytes -= gather.bytes;
        let page = match outcome {
            Ok(page) => page,
            Err(error) => {
                let refusal = Refusal::Failed(error.to_string());
                return refuse(env, turn, &gather.main, gather.asker, &refusal);
            }
        };
        let next = page.entries.last().filter(|_| !page.is_last).map(|(last, _)| keyspace::after(last));
        if let Err(refusal) = gather.take(env, turn, page) {
            return refuse(env, turn, &gather.main, gather.asker, &refusal);
        }
        match next {
            Some(next) if gather.count.is_none() && !gather.elements.leaves_out => {
                // The last one may always grow to its own bound.
                let is_last = self.gathers.open.is_empty();
                if !is_last && self.gathers.bytes + gather.bytes > limits::GATHERED_BYTES_MAX {
                    return refuse(env, turn, &gather.main, gather.asker, &Refusal::Busy);
                }
                gather.range.start = next;
                gather.read_page(turn, op);
                self.gathers.bytes += gather.bytes;
                self.gathers.open.insert(op, gather);
            }
            until => {
                let Gather { asker, main, rows, elements, .. } = gather;
                let gathered = Gathered { rows, until, elements };
                turn.out.tell(Local::Task(Task { row: main, body: TaskBody::Show { asker, gathered } }));
            }
        }
    }
}

impl Gather {
    fn read_page(&self, turn: &mut Turn, op: OpId) {
        let limit = PageLimit { rows: self.count.unwrap_or(limits::PAGE_ROWS_MAX), bytes: limits::PAGE_BYTES_MAX };
        turn.out.start_job(Job::ScanFamily { op, range: self.range.clone(), limit });
    }

    /// A row that cannot be read fails the whole answer: it is never taken for absent.
    fn take(&mut self, env: &Env<'_>, turn: &Turn, page: Page) -> Result<(), Refusal> {
        for (key, stored) in page.entries {
            let row = RowKey::parse(key).map_err(|error| Refusal::Failed(error.to_string()))?;
            if matches!((self.asker, row.kind()), (Asker::Client { .. }, RowKind::Element(_))) {
                self.look_at(env, turn, &row, &stored)?;
                continue;
            }
            let state = StoredRow::state_bytes(&stored).map_err(|error| Refusal::of_bytes(&error))?;
            count_bytes(&mut self.bytes, &row, state.len())?;
            if !state.is_empty() {
                self.rows.push((row, state));
            }
        }
        Ok(())
    }
}

impl Gather {
    /// Adds up an element that is inspected.
    fn look_at(&mut self, env: &Env<'_>, turn: &Turn, row: &RowKey, stored: &Bytes) -> Result<(), Refusal> {
        if self.elements.rows >= limits::INSPECTED_ELEMENTS_MAX {
            self.elements.leaves_out = true;
            return Ok(());
        }
        self.elements.rows += 1;
        let memory = turn.memory(turn.partition_of(row));
        let state = normal::shipped(row, stored, &memory, env.config).map_err(|error| Refusal::of_bytes(&error))?;
        if !state.is_empty() {
            self.elements.add(row, &state);
        }
        Ok(())
    }
}

/// The named elements that are there.
fn elements(turn: &Turn, rows: Vec<RowKey>) -> Result<Vec<(RowKey, Bytes)>, Refusal> {
    let mut shown = Vec::new();
    let mut bytes = 0;
    for row in rows {
        if let Some(stored) = turn.row(&row) {
            count_bytes(&mut bytes, &row, stored.row.encoded_bytes_max())?;
            shown.push((row, stored.row.encode()));
        }
    }
    Ok(shown)
}

/// Counts a side row that is to be shown; refuses what would not fit.
fn count_bytes(bytes: &mut usize, row: &RowKey, state_bytes: usize) -> Result<(), Refusal> {
    *bytes += row.as_bytes().len() + state_bytes;
    if *bytes <= limits::SIDE_ROWS_BYTES_MAX {
        return Ok(());
    }
    let bytes_max = limits::SIDE_ROWS_BYTES_MAX;
    Err(Refusal::Failed(format!(
        "the elements or sessions that are asked for take more than {bytes_max} bytes; name fewer elements, or wait until \
         sessions have ended"
    )))
}

/// Who may see what: coordinators what counts for a quorum, clients also what an owner has that does not count.
fn may_show(env: &Env<'_>, turn: &Turn, main: &RowKey, asker: Asker) -> Result<(), Refusal> {
    match (Standing::of(env, turn, main.partition(env.ring.layout().partitions)), asker) {
        (Standing::Owner | Standing::Fallback, _)
        | (Standing::Newborn | Standing::Joining | Standing::Leaving, Asker::Client { .. }) => Ok(()),
        (Standing::Joining, _) if mutation::is_off(Mutation::JoinerCountsAsReader) => Ok(()),
        (Standing::Newborn | Standing::Joining, Asker::Coordinator { .. }) => Err(Refusal::Newborn),
        (Standing::Leaving, Asker::Coordinator { .. }) | (Standing::Outside, _) => Err(Refusal::NotAccepted),
    }
}

/// Answers with the main row and these side rows, once they are durable.
pub(super) fn answer(env: &Env<'_>, turn: &mut Turn, main: &RowKey, asker: Asker, gathered: Gathered) {
    let Gathered { rows, until, elements } = gathered;
    if let Err(refusal) = may_show(env, turn, main, asker) {
        return refuse(env, turn, main, asker, &refusal);
    }
    let partition = main.partition(env.ring.layout().partitions);
    let mut ticket = turn.ticket_of(main);
    if !rows.is_empty() || elements.rows > 0 {
        // Elements stand in this turn; a page may show rows of every turn sealed so far.
        let newest = rows.iter().map(|(row, _)| turn.ticket_of(row)).max().unwrap_or_default();
        ticket = ticket.max(newest).max(turn.out.sealed_ticket());
    }
    match asker {
        Asker::Coordinator { from, epoch, op } => {
            let stored = turn.row(main);
            let shown = Shown {
                main: stored.map_or_else(Bytes::new, |stored| stored.row.encode()),
                beside: stored.map_or_else(Bytes::new, |stored| stored.header.beside.encode()),
                rows,
                until,
                settled: turn.compacted(partition),
                folded: turn.memory(partition).folded,
                exchanged: env.exchanged.ages(partition, env.now.mono),
            };
            let answer = PeerMessage::ReadAnswer(ReadAnswer { op, epoch, outcome: Ok(shown) });
            turn.out.send_after(ticket, from, partition, answer);
        }
        Asker::Client { connection, request_id } => {
            let response = match replica_view(env, turn, main, rows, elements) {
                Ok(view) => Response::Inspected(view),
                Err(refusal) => {
                    let reason = Reason::StorageFailed { node: env.me, detail: refusal.to_string() };
                    Response::Failed(not_applied(reason))
                }
            };
            turn.out.reply_after(ticket, connection, request_id, response);
        }
    }
}

/// This replica's own view, whatever its standing. In the normal form, so that two replicas that have settled as much show
/// the same, whatever each of them has rewritten yet.
fn replica_view(
    env: &Env<'_>,
    turn: &Turn,
    main: &RowKey,
    sessions: Vec<(RowKey, Bytes)>,
    elements: ElementSum,
) -> Result<ReplicaView, Refusal> {
    let partition = turn.partition_of(main);
    let standing = Standing::of(env, turn, partition);
    let memory = turn.memory(partition);
    let mut stored = turn.row(main).cloned().unwrap_or_default();
    normal::retire(main, &mut stored, &memory, env.config);
    let StoredRow { header, row: mut state } = stored;
    for (_, session) in &sessions {
        state.merge(&Row::decode(session).map_err(|error| Refusal::of_bytes(&error))?);
    }
    // The sessions are merged in; of elements there are only counts and a hash.
    let mut beside = Beside::NONE;
    beside.take_counts(&header.beside);
    Ok(ReplicaView {
        node: env.me,
        is_owner: env.ring.is_owner(partition, env.me),
        is_newborn: matches!(standing, Standing::Newborn | Standing::Joining),
        value: state.visible(&beside, env.now.wall),
        counter: state.counter_sum_text(&beside),
        seen: state.version_vector(),
        owes: header.debts.iter().map(|debt| debt.owner).collect(),
        state_hash: format!("{:032x}", state.state_hash().wrapping_add(elements.hash)),
        compared_elements: elements.rows as u64,
        leaves_out_elements: elements.leaves_out,
        compacted: memory.compacted,
        folded: memory.folded,
    })
}

/// Says why nothing is shown.
pub(super) fn refuse(env: &Env<'_>, turn: &mut Turn, main: &RowKey, asker: Asker, refusal: &Refusal) {
    match asker {
        Asker::Coordinator { from, epoch, op } => {
            let partition = main.partition(env.ring.layout().partitions);
            let answer = ReadAnswer { op, epoch, outcome: Err(refusal.clone()) };
            turn.out.send(from, partition, PeerMessage::ReadAnswer(answer));
        }
        Asker::Client { connection, request_id } => {
            let reason = match refusal {
                Refusal::NotAccepted => {
                    Reason::Forbidden(format!("node {} keeps nothing of this key; ask `ring` who does", env.me))
                }
                other => Reason::StorageFailed { node: env.me, detail: other.to_string() },
            };
            turn.out.reply(connection, request_id, Response::Failed(not_applied(reason)));
        }
    }
}
