//! Reading a quorum: the part that a read and a covering write share.
//!
//! ```text
//! asks R ─→ answers … ─refusal, loss, or silence─→ asks the next ─→ R answers count ─→ their merge
//! ```
//!
//! While the partition moves, "owners" are those that are read. Another layout that is taken up meanwhile may name others: then
//! everybody is asked anew.
//!
//! A fallback's row counts towards R like an owner's, except an empty one: it says only that nothing was handed to it,
//! so it counts only when fewer than R owners can be asked. With fewer than R owners the result is *partial*.
//! A first round shows main rows, each with a summary of the session rows beside it; only if the summaries differ, or a
//! write covers, a second round shows the session rows themselves.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::candidates::Candidates;
use super::tally::{self, Tally, Verdict};
use crate::causality::Tick;
use crate::ids::{NodeId, OpId};
use crate::message::peer::{PeerMessage, Read, Refusal, Shown, Wanted};
use crate::message::token::Token;
use crate::shard::{Env, Outbox};
use crate::storage::{RowKey, RowKind};
use crate::time::Timestamp;
use crate::value::{Beside, DecodeError, Row};

/// One quorum of replies, in the making.
#[derive(Debug)]
pub(super) struct QuorumRead {
    /// The main row of the key.
    pub row: RowKey,
    pub candidates: Candidates,
    pub needed: usize,
    pub wanted: Wanted,
    /// What the merge must show before it answers; see `session`.
    pub token: Option<Token>,
    /// The merge of all who answered does not show it.
    pub is_behind: bool,
    /// When the first of those that answer now was asked.
    asked_at: Timestamp,
    tally: Tally<View>,
}

/// What one replica showed.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub main: Row,
    pub beside: Beside,
    pub rows: BTreeMap<RowKey, Row>,
    pub until: Option<Bytes>,
    pub settled: Tick,
    pub folded: Tick,
    exchanged: Vec<(NodeId, u64)>,
}

/// The merge of a quorum.
#[derive(Clone, Debug, Default)]
pub(super) struct Merge {
    /// The main row, with every session row that was shown.
    pub row: Row,
    /// What stands beside it and was not shown.
    pub beside: Beside,
    /// The elements that were shown.
    pub elements: BTreeMap<RowKey, Row>,
    /// Of a page: the elements before this row key are complete.
    pub until: Option<Bytes>,
    /// The replicas have the same session rows, or showed them.
    pub sessions_agree: bool,
    /// Actors that expire at this tick or before are settled at one of the replicas.
    pub settled: Tick,
    /// As in [`crate::message::client::ValueReply`].
    pub stale_ms: Option<u64>,
    pub answered: Vec<NodeId>,
    pub owners: usize,
}

impl QuorumRead {
    pub fn new(row: RowKey, candidates: Candidates, needed: usize, wanted: Wanted) -> QuorumRead {
        QuorumRead {
            row,
            candidates,
            needed,
            wanted,
            token: None,
            is_behind: false,
            asked_at: Timestamp(0),
            tally: Tally::default(),
        }
    }

    /// The same for a session, of which this was seen.
    pub fn of_session(self, token: Option<Token>) -> QuorumRead {
        QuorumRead { token, ..self }
    }

    /// Asks everybody once more, for other side rows or for news.
    pub fn again(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.tally = Tally::default();
    }

    /// Asks nodes until enough answers may come.
    pub fn ask(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        let missing = self.needed.saturating_sub(self.counted(env) + self.tally.waiting().count());
        let hopeful: Vec<NodeId> = self.tally.hopeful().collect();
        let missing_zones = self.missing_zones(env, &hopeful);
        self.ask_next(env, out, op, missing.max(missing_zones));
    }

    /// Nobody else answered in time: asks further nodes, one for each answer that is missing. If enough did, but the
    /// session has seen more, all are asked anew.
    pub fn widen(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        if self.is_behind {
            self.again(self.wanted.clone());
            return self.ask_next(env, out, op, usize::MAX);
        }
        let missing = self.needed.saturating_sub(self.counted(env));
        let counts = self.counts(env);
        let counted = self.tally.answers().filter(|(node, view)| counts(*node, view)).map(|(node, _)| node);
        let counted: Vec<NodeId> = counted.collect();
        drop(counts);
        let missing_zones = self.missing_zones(env, &counted);
        self.ask_next(env, out, op, missing.max(missing_zones));
    }

    fn missing_zones(&self, env: &Env<'_>, nodes: &[NodeId]) -> usize {
        let needed = usize::from(self.candidates.zones);
        needed.saturating_sub(tally::zones(nodes, |node| env.ring.zone_of(node)))
    }

    /// Asks so many of those who were not asked.
    pub fn ask_next(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, count: usize) {
        if self.tally.is_unused() {
            self.asked_at = env.now.mono;
        }
        let readers = self.candidates.readers(env);
        let mut next = Vec::new();
        self.candidates.choose(env, (self.candidates.readable(env), readers), &self.tally, &mut next, count);
        for node in next {
            self.tally.ask(node);
            let read = PeerMessage::Read(Read { op, row: self.row.clone(), beside: self.wanted.clone() });
            out.send(node, self.candidates.partition, read);
        }
    }

    /// A replica answered.
    pub fn on_answer(&mut self, from: NodeId, outcome: Result<Shown, Refusal>) {
        match outcome.and_then(|shown| View::decode(shown).map_err(|error| Refusal::of_bytes(&error))) {
            Ok(view) => {
                // A late copy of an answer to the first question: it tells of sessions that it does not show.
                let lacks_sessions = view.rows.is_empty() && view.beside.has_sessions();
                if !(self.wanted == Wanted::Sessions && lacks_sessions) {
                    self.tally.answer(from, view);
                }
            }
            Err(refusal) => {
                self.tally.fail(from, || refusal.to_string());
            }
        }
    }

    /// A replica is lost, or the request to it never left.
    pub fn on_lost(&mut self, node: NodeId) {
        self.tally.fail(node, || format!("{node} was lost"));
    }

    pub fn verdict(&self, env: &Env<'_>) -> Verdict {
        let list = self.candidates.readable(env);
        let unasked = Candidates::unasked(env, list, &self.tally);
        let need = self.candidates.need(self.needed);
        self.tally.verdict(need, list, self.counts(env), &unasked, |node| env.ring.zone_of(node))
    }

    pub fn counted(&self, env: &Env<'_>) -> usize {
        self.tally.counted(self.counts(env))
    }

    pub fn last_refusal(&self) -> &str {
        self.tally.last_refusal()
    }

    /// What each of those that answered showed.
    pub fn views(&self) -> impl Iterator<Item = (NodeId, &View)> {
        self.tally.answers()
    }

    /// The merge of all answers.
    pub fn merge(&self, env: &Env<'_>) -> Merge {
        let owners = self.candidates.readers(env);
        let shows_sessions = self.wanted == Wanted::Sessions;
        let mut merge = Merge { sessions_agree: true, ..Merge::default() };
        let mut first: Option<&Beside> = None;
        for (node, view) in self.tally.answers() {
            merge.row.merge(&view.main);
            for (row, state) in &view.rows {
                match row.kind() {
                    RowKind::Main | RowKind::Session => {
                        merge.row.merge(state);
                    }
                    RowKind::Element(_) => {
                        merge.elements.entry(row.clone()).or_default().merge(state);
                    }
                }
            }
            merge.sessions_agree &= shows_sessions || first.is_none_or(|first| first.has_same_sessions(&view.beside));
            first = first.or(Some(&view.beside));
            merge.beside.take_counts(&view.beside);
            merge.settled = merge.settled.max(view.settled);
            merge.until = [merge.until.take(), view.until.clone()].into_iter().flatten().min();
            merge.answered.push(node);
            merge.owners += usize::from(owners.contains(&node));
        }
        if let (false, Some(first)) = (shows_sessions, first) {
            merge.beside.take_sessions(first);
        }
        merge.stale_ms = self.stale_ms(env);
        if let Some(until) = &merge.until {
            merge.elements.retain(|row, _| row.as_bytes() < until);
        }
        merge
    }

    /// For every owner that did not answer: how old what it may have beyond the merge is at most, by the exchanges of those
    /// that did. `None` if that is not known of one of them.
    fn stale_ms(&self, env: &Env<'_>) -> Option<u64> {
        let owners = self.candidates.readers(env);
        let age_of = |missing: NodeId| {
            let ages =
                self.tally.answers().filter(|(node, _)| owners.contains(node)).flat_map(|(_, view)| &view.exchanged);
            ages.filter(|(peer, _)| *peer == missing).map(|(_, age)| *age).min()
        };
        let waited = env.now.mono.since(self.asked_at).as_micros().div_ceil(1000);
        owners.iter().filter(|owner| !self.tally.has_answered(**owner)).try_fold(0, |oldest: u64, missing| {
            Some(oldest.max(age_of(*missing)?.saturating_add(u64::try_from(waited).unwrap_or(u64::MAX))))
        })
    }

    /// Which answers count (see the front page). An owner that refused or was lost cannot be asked.
    fn counts<'a>(&'a self, env: &Env<'a>) -> impl Fn(NodeId, &View) -> bool + 'a {
        let owners = self.candidates.readers(env);
        let askable = owners
            .iter()
            .filter(|node| {
                let is_open = !self.tally.has_asked(**node) && env.liveness.is_reachable(**node);
                is_open || self.tally.has_answered(**node) || self.tally.waiting().any(|waiting| waiting == **node)
            })
            .count();
        let needed = self.needed;
        move |node, view| owners.contains(&node) || !view.is_empty() || askable < needed
    }
}

impl View {
    fn decode(shown: Shown) -> Result<View, DecodeError> {
        let rows = shown.rows.iter().map(|(row, state)| Ok((row.clone(), Row::decode(state)?)));
        Ok(View {
            main: Row::decode(&shown.main)?,
            beside: Beside::decode(&shown.beside)?,
            rows: rows.collect::<Result<_, DecodeError>>()?,
            until: shown.until,
            settled: shown.settled,
            folded: shown.folded,
            exchanged: shown.exchanged,
        })
    }

    fn is_empty(&self) -> bool {
        self.main.is_empty() && self.beside.is_empty() && self.rows.is_empty()
    }
}
