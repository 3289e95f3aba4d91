//! One write: observed if it covers, minted once, replicated, answered when W nodes hold it durably.
//!
//! ```text
//! observing ──merge of min(R, reachable)──→ minting ──Minted──→ gathering ──end of turn──→ replicating
//!     │ (covering writes only)                 │ (a cold row        │ (increments of the       │
//!     │                                        │  is fetched)       │  key in this turn join)   ├─ W acks ──→ applied
//!     └─ deadline, quorum failed ──────────────┴─ refused ─→ not applied                       ├─ deadline ─→ unknown
//!                                                                                              └─ no candidate left ─→ unknown
//! ```
//!
//! What is observed is in `observing`.
//!
//! While the partition's owners change there are two lists of owners and stand-ins, and W must be met in each.
//!
//! Before the mint every failure is "not applied"; after it, "unknown": the delta stays and will reach every owner,
//! because owners that have not acknowledged when the op ends are handed to the ledger.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::candidates::Candidates;
use super::origin::Origin;
use super::quorum_read::QuorumRead;
use super::session;
use super::tally::{Tally, Verdict};
use crate::config::Durability;
use crate::ids::{CollectionKind, NodeId, OpId, RowVersion};
use crate::message::client::{Command, Reason, Response, Visible, WriteAck, WriteReply};
use crate::message::peer::{PeerMessage, Refusal};
use crate::message::token::Token;
use crate::mutation::{self, Mutation};
use crate::shard::{Env, FreshWrite, Local, Mint, NotMinted, Observed, Outbox, Task, TaskBody, not_applied, unknown};
use crate::storage::RowKey;
use crate::time::Timestamp;
use crate::value::Row;

/// A write under way: of one client, or of all clients whose increments of the key joined in one turn.
#[derive(Debug)]
pub(super) struct WriteOp {
    /// The main row of the key.
    pub row: RowKey,
    pub candidates: Candidates,
    pub r: usize,
    pub w: usize,
    /// What is to be written; of several clients, what the first of them asked for.
    pub command: Command,
    pub stage: Stage,
    pub waiters: Vec<Waiter>,
}

/// How far a write is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Reads what it will cover; a view of fewer than R owners is partial.
    Observing(QuorumRead),
    /// The replica mints (or fetches the rows first).
    Minting,
    /// Minted in this turn.
    Gathering(Fresh),
    /// On its way to the replicas.
    Replicating { fresh: Fresh, tally: Tally<Durability> },
}

/// What was minted.
#[derive(Debug)]
pub(super) struct Fresh {
    /// By row, the version that contains the delta.
    pub parts: BTreeMap<RowKey, (RowVersion, Row)>,
}

/// A client that waits for the write.
#[derive(Debug)]
pub(super) struct Waiter {
    pub origin: Origin,
    pub deadline: Timestamp,
    pub value: Visible,
    /// What its session has seen.
    pub token: Option<Token>,
    /// It covers, and saw fewer than R owners.
    pub partial: bool,
}

/// What an event did to a write.
#[derive(Debug)]
pub(super) enum Progress {
    /// It goes on.
    Open,
    /// These answers, and it goes on.
    Answered(Vec<(Origin, Response)>),
    /// These answers, and it is over.
    Ended(Vec<(Origin, Response)>),
    /// The elements of these collections are to be removed first.
    MustClear(Vec<CollectionKind>),
}

impl WriteOp {
    /// Whether increments of other clients may join.
    pub fn is_gathering(&self) -> bool {
        matches!(self.stage, Stage::Gathering(_))
    }

    /// Asks the replica to mint.
    pub fn mint(&mut self, out: &mut Outbox, op: OpId, observed: Option<Observed>) {
        self.stage = Stage::Minting;
        let deadline = self.deadline();
        let body = TaskBody::Mint(Box::new(Mint { op, deadline, command: self.command.clone(), w: self.w, observed }));
        out.tell(Local::Task(Task { row: self.row.clone(), body }));
    }

    /// The replica minted, or refused.
    pub fn on_minted(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        op: OpId,
        outcome: Result<FreshWrite, NotMinted>,
    ) -> Progress {
        match outcome {
            Err(NotMinted::Refused(error)) => self.end(|_| Response::Failed(error.clone())),
            Err(NotMinted::MustObserve) => self.observe(env, out, op),
            // What is asked for is so already, as removing what is not there.
            Ok(fresh) if fresh.parts.is_empty() => self.end(|waiter| {
                let (value, partial) = (fresh.value.clone(), waiter.partial);
                let token = seal(env, waiter.token.as_ref());
                Response::Written(WriteReply { value, acks: Vec::new(), removed: 0, partial, token })
            }),
            Ok(fresh) => {
                for waiter in &mut self.waiters {
                    waiter.value = fresh.value.clone();
                }
                self.stage = Stage::Gathering(Fresh { parts: fresh.parts });
                Progress::Open
            }
        }
    }

    /// Takes over the clients and the delta of another write of the key that was minted in this turn.
    pub fn absorb(&mut self, other: WriteOp) {
        let (Stage::Gathering(fresh), Stage::Gathering(joined)) = (&mut self.stage, other.stage) else { return };
        for (row, (version, delta)) in joined.parts {
            match fresh.parts.get_mut(&row) {
                Some(part) => {
                    part.0 = part.0.max(version);
                    part.1.merge(&delta);
                }
                None => {
                    fresh.parts.insert(row, (version, delta));
                }
            }
        }
        self.waiters.extend(other.waiters);
    }

    /// End of the turn: sends the delta to the first N reachable nodes of each list, the own one included.
    pub fn replicate(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Progress {
        let Stage::Gathering(fresh) = std::mem::replace(&mut self.stage, Stage::Minting) else { return Progress::Open };
        let mut tally = Tally::default();
        tally.ask(env.me);
        let held = PeerMessage::Replicated(crate::message::peer::Replicated {
            op,
            epoch: env.epoch,
            rows: Vec::new(),
            outcome: Ok(env.config.durability),
        });
        out.send_after(out.open_ticket(), env.me, self.candidates.partition, held);
        self.stage = Stage::Replicating { fresh, tally };
        self.send_to_first(env, out, op);
        if mutation::is_off(Mutation::AckBeforeW) {
            return self.applied(env, out);
        }
        self.advance(env, out)
    }

    /// A node acknowledged or refused.
    pub fn on_replicated(
        &mut self,
        env: &Env<'_>,
        out: &mut Outbox,
        op: OpId,
        from: NodeId,
        outcome: Result<Durability, Refusal>,
    ) -> Progress {
        let Stage::Replicating { tally, .. } = &mut self.stage else { return Progress::Open };
        match outcome {
            Ok(durability) => tally.answer(from, durability),
            Err(refusal) => {
                let why = || format!("{from}: {refusal}");
                let was_awaited = match refusal {
                    // It was said before this node took that layout up: once more.
                    Refusal::StaleLayout { have } if have <= env.ring.epoch().number => tally.forget(from),
                    Refusal::StaleLayout { .. } => tally.defer(from, why),
                    _ => tally.fail(from, why),
                };
                if was_awaited {
                    self.send_in_place_of(env, out, op, from);
                }
            }
        }
        self.advance(env, out)
    }

    /// Another layout was taken up: from now on its lists count.
    pub fn on_ring_changed(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Progress {
        match &mut self.stage {
            Stage::Observing(quorum) => {
                quorum.again(quorum.wanted.clone());
                self.advance_observation(env, out, op)
            }
            Stage::Minting | Stage::Gathering(_) => Progress::Open,
            Stage::Replicating { tally, .. } => {
                tally.forget_failures();
                self.widen(env, out, op)
            }
        }
    }

    /// A node is lost, or what was sent to it never left.
    pub fn on_lost(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, node: NodeId) -> Progress {
        match &mut self.stage {
            Stage::Observing(quorum) => {
                quorum.on_lost(node);
                self.advance_observation(env, out, op)
            }
            Stage::Minting | Stage::Gathering(_) => Progress::Open,
            Stage::Replicating { tally, .. } => {
                if tally.fail(node, || format!("{node} was lost")) {
                    self.send_in_place_of(env, out, op, node);
                }
                self.advance(env, out)
            }
        }
    }

    /// Silence: asks as many further nodes of each list as acknowledgements are missing.
    pub fn widen(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Progress {
        match &mut self.stage {
            Stage::Observing(quorum) => {
                quorum.widen(env, out, op);
                Progress::Open
            }
            Stage::Minting | Stage::Gathering(_) => Progress::Open,
            Stage::Replicating { .. } => {
                self.send_to_missing(env, out, op);
                self.advance(env, out)
            }
        }
    }

    /// The earliest deadline of those that wait.
    pub fn deadline(&self) -> Timestamp {
        self.waiters.iter().map(|waiter| waiter.deadline).min().unwrap_or_default()
    }

    /// Answers those whose deadline has passed.
    pub fn expire(&mut self, env: &Env<'_>, out: &mut Outbox) -> Progress {
        let now = env.now.mono;
        let needed = self.w as u8;
        let error = match &self.stage {
            Stage::Observing(quorum) if quorum.is_behind => not_applied(Reason::Stale),
            Stage::Observing(quorum) => not_applied(Reason::DeadlineExceeded {
                answered: quorum.counted(env) as u8,
                needed: quorum.needed as u8,
            }),
            // The row is still being read, and the replica mints nothing at the deadline or after it.
            Stage::Minting => not_applied(Reason::DeadlineExceeded { answered: 0, needed: 1 }),
            // It goes out at the end of the turn.
            Stage::Gathering(_) => return Progress::Open,
            Stage::Replicating { tally, .. } => {
                let answered = self.counted(env, tally);
                unknown(Reason::DeadlineExceeded { answered, needed })
            }
        };
        let (late, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiters).into_iter().partition(|waiter| waiter.deadline <= now);
        self.waiters = waiting;
        let answers = late.into_iter().map(|waiter| (waiter.origin, Response::Failed(error.clone()))).collect();
        if self.waiters.is_empty() {
            self.hand_over(env, out);
            Progress::Ended(answers)
        } else {
            Progress::Answered(answers)
        }
    }

    fn advance(&mut self, env: &Env<'_>, out: &mut Outbox) -> Progress {
        let Stage::Replicating { tally, .. } = &self.stage else { return Progress::Open };
        match self.verdict(env, tally) {
            Verdict::NotYet => Progress::Open,
            Verdict::Met => self.applied(env, out),
            Verdict::Impossible => {
                let error = unknown(Reason::QuorumFailed {
                    answered: self.counted(env, tally),
                    needed: self.w as u8,
                    last_refusal: tally.last_refusal().to_owned(),
                });
                self.hand_over(env, out);
                self.end(|_| Response::Failed(error.clone()))
            }
        }
    }

    fn applied(&mut self, env: &Env<'_>, out: &mut Outbox) -> Progress {
        let Stage::Replicating { tally, fresh } = &self.stage else { return Progress::Open };
        let partition = self.candidates.partition;
        let owners = env.ring.owners(partition);
        // Who took it under an older layout and has no part in the partition any more holds it for nobody.
        let acks: Vec<WriteAck> = tally
            .answers()
            .filter(|(node, _)| env.ring.accepts(partition, *node))
            .map(|(node, durability)| WriteAck { node, durability: *durability, is_owner: owners.contains(&node) })
            .collect();
        self.hand_over(env, out);
        for waiter in &mut self.waiters {
            if let Some(token) = &mut waiter.token {
                session::add_write(token, &self.row, &fresh.parts);
            }
        }
        self.end(|waiter| {
            Response::Written(WriteReply {
                value: waiter.value.clone(),
                acks: acks.clone(),
                removed: 0,
                partial: waiter.partial,
                token: seal(env, waiter.token.as_ref()),
            })
        })
    }

    pub(super) fn refuse(&mut self, reason: Reason) -> Progress {
        let error = not_applied(reason);
        self.end(|_| Response::Failed(error.clone()))
    }

    pub(super) fn end(&mut self, answer: impl Fn(&Waiter) -> Response) -> Progress {
        let answers = self.waiters.iter().map(|waiter| (waiter.origin, answer(waiter))).collect();
        self.waiters.clear();
        Progress::Ended(answers)
    }
}

pub(super) fn seal(env: &Env<'_>, token: Option<&Token>) -> Option<Bytes> {
    token.map(|token| token.seal(&env.config.seal_key))
}
