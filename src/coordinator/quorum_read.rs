//! Reading a quorum: the part that a read and a covering write share.
//!
//! ```text
//! asks R ─→ answers … ─refusal, loss, or silence─→ asks the next ─→ R answers count ─→ their merge
//! ```
//!
//! A fallback's row counts towards R like an owner's, except an empty one: it says only that nothing was handed to it,
//! so it counts only when fewer than R owners can be asked. With fewer than R owners the result is *partial*.

use bytes::Bytes;

use super::candidates::Candidates;
use super::tally::{Tally, Verdict};
use crate::ids::{NodeId, OpId};
use crate::message::peer::{PeerMessage, Read, Refusal};
use crate::shard::{Env, Outbox};
use crate::storage::RowKey;
use crate::value::Row;

/// One quorum of replies, in the making.
#[derive(Debug)]
pub(super) struct QuorumRead {
    pub row: RowKey,
    pub candidates: Candidates,
    pub needed: usize,
    tally: Tally<Row>,
}

/// The merge of a quorum.
#[derive(Clone, Debug)]
pub(super) struct Merge {
    pub row: Row,
    pub answered: Vec<NodeId>,
    pub owners: usize,
}

impl QuorumRead {
    pub fn new(row: RowKey, candidates: Candidates, needed: usize) -> QuorumRead {
        QuorumRead { row, candidates, needed, tally: Tally::default() }
    }

    /// Asks nodes until enough answers may come.
    pub fn ask(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        let missing = self.needed.saturating_sub(self.counted(env) + self.tally.waiting().count());
        self.ask_next(env, out, op, missing);
    }

    /// Nobody else answered in time: asks further nodes, one for each answer that is missing.
    pub fn widen(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) {
        let missing = self.needed.saturating_sub(self.counted(env));
        self.ask_next(env, out, op, missing);
    }

    fn ask_next(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, count: usize) {
        let next: Vec<NodeId> = self
            .candidates
            .reachable(env)
            .into_iter()
            .filter(|node| !self.tally.has_asked(*node))
            .take(count)
            .collect();
        for node in next {
            self.tally.ask(node);
            let read = PeerMessage::Read(Read { op, row: self.row.clone() });
            out.send(node, self.candidates.partition, read);
        }
    }

    /// A replica answered.
    pub fn on_answer(&mut self, from: NodeId, outcome: Result<Bytes, Refusal>) {
        match outcome.and_then(|bytes| Row::decode(&bytes).map_err(|error| Refusal::of_bytes(&error))) {
            Ok(row) => self.tally.answer(from, row),
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
        let unasked = self.candidates.reachable(env).into_iter().filter(|node| !self.tally.has_asked(*node)).count();
        let counts = self.counts(env);
        self.tally.verdict(self.needed, counts, unasked)
    }

    pub fn counted(&self, env: &Env<'_>) -> usize {
        self.tally.counted(self.counts(env))
    }

    pub fn last_refusal(&self) -> &str {
        self.tally.last_refusal()
    }

    /// The merge of all answers.
    pub fn merge(&self, env: &Env<'_>) -> Merge {
        let owners = env.ring.owners(self.candidates.partition);
        let mut merge = Merge { row: Row::default(), answered: Vec::new(), owners: 0 };
        for (node, row) in self.tally.answers() {
            merge.row.merge(row);
            merge.answered.push(node);
            merge.owners += usize::from(owners.contains(&node));
        }
        merge
    }

    /// Which answers count (see the front page). An owner that refused or was lost cannot be asked.
    fn counts<'a>(&'a self, env: &Env<'a>) -> impl Fn(NodeId, &Row) -> bool + 'a {
        let owners = env.ring.owners(self.candidates.partition);
        let askable = owners
            .iter()
            .filter(|node| {
                let is_open = !self.tally.has_asked(**node) && env.liveness.is_reachable(**node);
                is_open || self.tally.has_answered(**node) || self.tally.waiting().any(|waiting| waiting == **node)
            })
            .count();
        let needed = self.needed;
        move |node, row| owners.contains(&node) || !row.is_empty() || askable < needed
    }
}
