//! The responder of a plain exchange: compares a page with the own rows, and takes what it wanted.
//!
//! ```text
//! Offer ──→ reading the own rows of the range ──→ Answer (covered up to, rows, wanted)
//! Push  ──→ merging ──all durable──→ Pushed
//! ```
//!
//! A node that only gives, because it is no owner any more, is answered with what is wanted, and shown nothing.
//!
//! Bounded: [`OPEN_MAX`] dialogues, each of a page at most, and [`limits::TRANSFERS_MAX`] partitions that owners to come are loaded with;
//! a further one is answered `Busy` and tried again by its initiator.

use std::collections::BTreeMap;

use super::exchange::SILENCE_MAX;
use super::pace::Haste;
use super::page::{bytes_of, compare, compare_sums, is_page, readable};
use super::sums;
use super::tree::MerkleTree;
use crate::causality::{Epoch, Tick};
use crate::ids::{NodeId, OpId, PartitionId};
use crate::limits;
use crate::message::peer::{
    ExchangeAnswer, ExchangeFindings, ExchangeOffer, ExchangePush, ExchangePushed, Marks, PeerMessage, Refusal,
};
use crate::replica::{PartitionMemory, Standing, marks, normal};
use crate::shard::{Env, Job, Local, MergeSource, Outbox, Task, TaskBody, TimerKey, Turn};
use crate::storage::{Page, PageLimit, Range, RowKey, StoreError, keyspace};
use crate::time::Timestamp;

/// Offers and pushes under way at once, together. Each holds one page in memory.
pub const OPEN_MAX: usize = 64;

/// The dialogues that other shards have begun with this one.
#[derive(Debug, Default)]
pub struct Responders {
    offers: BTreeMap<OpId, (Asker, ExchangeOffer)>,
    pushes: BTreeMap<OpId, Push>,
    /// Owners to come that are being loaded from here, and when they asked last.
    teaching: BTreeMap<(NodeId, PartitionId), Timestamp>,
}

/// Who asked, and under which name.
#[derive(Clone, Copy, Debug)]
struct Asker {
    node: NodeId,
    epoch: Epoch,
    partition: PartitionId,
    op: OpId,
    step: u32,
}

#[derive(Debug)]
struct Push {
    asker: Asker,
    merging: usize,
    /// The first row that was not taken.
    refused: Option<Refusal>,
}

impl Responders {
    /// A co-owner offers a page. `op` is a fresh dialogue of this shard.
    pub fn on_offer(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        standing: Standing,
        from: ((NodeId, Epoch), PartitionId),
        offer: ExchangeOffer,
    ) {
        let ((node, epoch), partition) = from;
        let asker = Asker { node, epoch, partition, op: offer.op, step: offer.step };
        let within = keyspace::partition_range(partition, env.ring.layout().partitions);
        let is_within = offer.start >= within.start && within.end.as_ref().is_none_or(|end| offer.end <= *end);
        let refusal = match offer.gives {
            true => refusal_of_gift(env, turn, standing, (node, partition), &offer.marks),
            false => refusal(env, turn, standing, (node, partition), &offer.marks),
        };
        let refusal = match refusal {
            Some(refusal) => Some(refusal),
            None if !is_within || offer.start >= offer.end => {
                Some(Refusal::Failed("a range that is not of the partition".into()))
            }
            None if !is_page(offer.hashes.len(), offer.hashes.iter().map(|(row, _)| row.as_bytes()))
                || !is_page(offer.sums.len(), offer.sums.iter().map(|part| &part.end)) =>
            {
                Some(Refusal::Failed("more rows than a page has".into()))
            }
            None if !offer.sums.is_empty() && !sums::divide(&offer.sums, &offer.start, &offer.end) => {
                Some(Refusal::Failed("parts that are not the range".into()))
            }
            None if self.is_busy() || !self.may_teach(env, (node, partition)) => Some(Refusal::Busy),
            None => None,
        };
        if let Some(refusal) = refusal {
            return asker.answer_offer(&mut turn.out, Err(refusal));
        }
        let haste = haste(&offer);
        self.offers.insert(op, (asker, offer));
        match turn.pace.wait(env, haste) {
            Some(wait) => turn.out.set_timer(TimerKey::Pace(op), env.now.mono.after(wait)),
            None => self.on_paced(turn, op),
        }
    }

    /// The pause before an offer is compared is over.
    pub fn on_paced(&mut self, turn: &mut Turn, op: OpId) {
        let Some((_, offer)) = self.offers.get(&op) else { return };
        let range = Range { start: offer.start.clone(), end: Some(offer.end.clone()) };
        let limit = PageLimit { rows: limits::PAGE_ROWS_MAX, bytes: limits::PAGE_BYTES_MAX };
        turn.out.start_job(Job::ScanRows { op, range, limit });
    }

    /// The own page was read.
    pub fn on_page(&mut self, env: &Env<'_>, turn: &mut Turn, op: OpId, outcome: Result<Page, StoreError>) {
        let Some((asker, offer)) = self.offers.remove(&op) else { return };
        let marks = marks::marks(env, turn, asker.partition);
        let memory = turn.memory(asker.partition);
        let offer_end = offer.end.clone();
        let has_slept = offer.marks.compacted < marks.folded && !offer.gives;
        let haste = haste(&offer);
        turn.pace.charge(env, haste, outcome.as_ref().map_or(0, Page::bytes), 0);
        let is_moved = env.ring.is_moved(asker.partition);
        let rows_here = turn.trees.whole(asker.partition).filter(|_| is_moved).map(MerkleTree::rows);
        let findings = |page: Page| {
            let end = match page.entries.last() {
                Some((last, _)) if !page.is_last => keyspace::after(last),
                _ => offer.end.clone(),
            };
            let (own, leaves_out) = readable(env, &memory, page);
            let found = match offer.sums.is_empty() {
                true => compare(offer, end, own.into_iter(), marks),
                false => compare_sums(&offer, &own, &end, marks),
            };
            ExchangeFindings { leaves_out, rows_here, ..found }
        };
        let outcome = match outcome {
            // A row that is left out would count as forgotten.
            Ok(page) if has_slept => is_readable(env, turn, &memory, &page).map(|()| page),
            other => other.map_err(|error| Refusal::Failed(error.to_string())),
        };
        let (asked_to, end) = (offer_end, keyspace::partition_range(asker.partition, env.ring.layout().partitions).end);
        let outcome = outcome.map(findings);
        if outcome.as_ref().is_ok_and(|found| found.covered == asked_to && end.is_none_or(|end| end == asked_to)) {
            self.teaching.remove(&(asker.node, asker.partition));
        }
        if let Ok(found) = &outcome {
            turn.pace.charge(env, haste, bytes_of(&found.rows), found.rows.len());
        }
        asker.answer_offer(&mut turn.out, outcome);
    }

    /// A co-owner pushes rows that were wanted. `op` is a fresh dialogue of this shard.
    pub fn on_push(
        &mut self,
        env: &Env<'_>,
        turn: &mut Turn,
        op: OpId,
        from: ((NodeId, Epoch), PartitionId),
        push: ExchangePush,
    ) {
        let ((node, epoch), partition) = from;
        let asker = Asker { node, epoch, partition, op: push.op, step: push.step };
        let standing = Standing::of(env, turn, partition);
        let is_known = marks::is_known(env, turn, node, &push.marks);
        let was_owner = env.ring.is_owner(partition, node) || env.ring.leavers(partition).contains(&node);
        let is_vouched = marks::is_level(turn, partition, &push.marks) && is_known && was_owner;
        let out = &mut turn.out;
        if standing != Standing::Owner {
            // A newborn learns from the exchange that it began, and from nothing else.
            return asker.answer_push(out, Err(Refusal::Newborn));
        }
        // What an earlier layout left elsewhere is taken like a hint.
        let is_stray = !env.ring.accepts(partition, node);
        if !is_known && !is_stray {
            return asker.answer_push(out, Err(Refusal::UnknownDirectory));
        }
        if self.is_busy() {
            return asker.answer_push(out, Err(Refusal::Busy));
        }
        if !is_page(push.rows.len(), push.rows.iter().map(|(row, _)| row.as_bytes())) {
            return asker.answer_push(out, Err(Refusal::Failed("more rows than a page has".into())));
        }
        if push.rows.is_empty() {
            return asker.answer_push(out, Ok(()));
        }
        turn.pace.charge(env, Haste::Comparing, bytes_of(&push.rows), push.rows.len());
        let out = &mut turn.out;
        self.pushes.insert(op, Push { asker, merging: push.rows.len(), refused: None });
        for (row, state) in push.rows {
            let body = TaskBody::Merge { state, source: MergeSource::Exchange { op, is_vouched, forgotten: Tick(0) } };
            out.tell(Local::Task(Task { row, body }));
        }
    }

    /// Partitions that owners to come are being loaded with from here.
    #[cfg(test)]
    pub(crate) fn teaching(&self) -> usize {
        self.teaching.len()
    }

    fn is_busy(&self) -> bool {
        self.offers.len() + self.pushes.len() >= OPEN_MAX
    }

    /// A pushed row is merged and durable, or was refused.
    pub fn on_merged(&mut self, out: &mut Outbox, op: OpId, outcome: Result<(), Refusal>) {
        let Some(push) = self.pushes.get_mut(&op) else { return };
        push.merging = push.merging.saturating_sub(1);
        if let Err(refusal) = outcome {
            // A refusal of the whole page says more than that of one row, and that of what is frozen says least.
            let says_more = push
                .refused
                .as_ref()
                .is_none_or(|first| *first == Refusal::Frozen || first.is_of_one_row() && !refusal.is_of_one_row());
            if says_more {
                push.refused = Some(refusal);
            }
        }
        if push.merging == 0 {
            let (asker, outcome) = (push.asker, push.refused.take().map_or(Ok(()), Err));
            self.pushes.remove(&op);
            asker.answer_push(out, outcome);
        }
    }

    /// Whether one that is to own the partition may be loaded from here now, beside those that are.
    fn may_teach(&mut self, env: &Env<'_>, pupil: (NodeId, PartitionId)) -> bool {
        let (node, partition) = pupil;
        if env.ring.readers(partition).contains(&node) || !env.ring.is_owner(partition, node) {
            return true;
        }
        self.teaching.retain(|_, at| env.now.mono.since(*at) < SILENCE_MAX);
        if !self.teaching.contains_key(&pupil) && self.teaching.len() >= limits::TRANSFERS_MAX {
            return false;
        }
        self.teaching.insert(pupil, env.now.mono);
        true
    }

    /// Refuses all that is under way: the pages that were read for it are of before.
    pub fn refuse_all(&mut self, out: &mut Outbox, refusal: &Refusal) {
        self.teaching.clear();
        for (asker, _) in std::mem::take(&mut self.offers).into_values() {
            asker.answer_offer(out, Err(refusal.clone()));
        }
        for push in std::mem::take(&mut self.pushes).into_values() {
            push.asker.answer_push(out, Err(refusal.clone()));
        }
    }
}

impl Asker {
    fn answer_offer(self, out: &mut Outbox, outcome: Result<ExchangeFindings, Refusal>) {
        let Asker { node, epoch, partition, op, step } = self;
        let answer = PeerMessage::ExchangeAnswer(ExchangeAnswer { op, step, epoch, outcome });
        // The page may show rows of every turn sealed so far.
        out.send_after(out.sealed_ticket(), node, partition, answer);
    }

    fn answer_push(self, out: &mut Outbox, outcome: Result<(), Refusal>) {
        let Asker { node, epoch, partition, op, step } = self;
        out.send(node, partition, PeerMessage::ExchangePushed(ExchangePushed { op, step, epoch, outcome }));
    }
}

fn haste(offer: &ExchangeOffer) -> Haste {
    if offer.takes_over { Haste::TakingOver } else { Haste::Comparing }
}

/// Why an asker may not learn from this node, if it may not.
pub(super) fn refusal(
    env: &Env<'_>,
    turn: &Turn,
    standing: Standing,
    (node, partition): (NodeId, PartitionId),
    marks: &Marks,
) -> Option<Refusal> {
    match standing {
        Standing::Newborn | Standing::Joining => Some(Refusal::Newborn),
        Standing::Fallback | Standing::Leaving | Standing::Outside => Some(Refusal::NotAccepted),
        Standing::Owner if !env.ring.is_owner(partition, node) => Some(Refusal::NotAccepted),
        // Whoever learns from this node must be known to it in its present directory: else its reports could rest on an
        // earlier one.
        Standing::Owner if !marks::is_known(env, turn, node, marks) => Some(Refusal::UnknownDirectory),
        Standing::Owner => None,
    }
}

/// Why a node that only gives may not, if it may not. It learns nothing here, so its directory matters only for what its rows may
/// change: those of an owner of before as much as an owner's, once it is known.
fn refusal_of_gift(
    env: &Env<'_>,
    turn: &Turn,
    standing: Standing,
    (node, partition): (NodeId, PartitionId),
    marks: &Marks,
) -> Option<Refusal> {
    let is_leaver = env.ring.leavers(partition).contains(&node);
    match standing {
        Standing::Newborn | Standing::Joining => Some(Refusal::Newborn),
        Standing::Fallback | Standing::Leaving | Standing::Outside => Some(Refusal::NotAccepted),
        Standing::Owner if is_leaver && !marks::is_known(env, turn, node, marks) => Some(Refusal::UnknownDirectory),
        Standing::Owner => None,
    }
}

/// Whether every row of a page can be shown.
pub(super) fn is_readable(
    env: &Env<'_>,
    turn: &mut Turn,
    memory: &PartitionMemory,
    page: &Page,
) -> Result<(), Refusal> {
    for (key, stored) in &page.entries {
        let row = RowKey::parse(key.clone()).map_err(|error| Refusal::Failed(error.to_string()))?;
        normal::shipped(&row, stored, memory, env.config).map_err(|error| turn.malformed(&row, &error))?;
    }
    Ok(())
}
