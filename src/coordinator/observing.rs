//! What a covering write looks at before it is minted: the merge of min(R, reachable) replicas. A key with elements is
//! emptied first (`clear`).

use super::candidates::Candidates;
use super::clear::ClearOp;
use super::observes;
use super::quorum_read::{Merge, QuorumRead};
use super::tally::Verdict;
use super::write::{Progress, Stage, WriteOp, seal};
use crate::ids::{CollectionKind, OpId};
use crate::message::client::{Command, Options, Reason, Request, Response, Visible, WriteReply};
use crate::shard::{Env, Observed, Outbox};
use crate::value::{Beside, Row};

impl WriteOp {
    /// Observes first: min(R, reachable) replicas.
    pub fn observe(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Progress {
        let everyone = Candidates { strict: false, zones: 0, ..self.candidates };
        let there = everyone.readable(env).iter().filter(|node| env.liveness.is_reachable(**node));
        let reachable = there.count();
        let needed = reachable.min(self.r);
        let wanted = observes::wanted(&self.row, &self.command);
        let token = self.waiters.first().and_then(|waiter| waiter.token.clone());
        let quorum = QuorumRead::new(self.row.clone(), everyone, needed, wanted).of_session(token);
        self.stage = Stage::Observing(quorum);
        self.advance_observation(env, out, op)
    }

    /// An answer, a loss or a widening changed what is observed.
    pub fn advance_observation(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Progress {
        let Stage::Observing(quorum) = &mut self.stage else { return Progress::Open };
        quorum.ask(env, out, op);
        match quorum.verdict(env) {
            Verdict::NotYet => Progress::Open,
            Verdict::Impossible => {
                let reason = Reason::QuorumFailed {
                    answered: quorum.counted(env) as u8,
                    needed: quorum.needed as u8,
                    last_refusal: quorum.last_refusal().to_owned(),
                };
                self.refuse(reason)
            }
            Verdict::Met => {
                let merge = quorum.merge(env);
                if !quorum.catch_up(env, out, op, &merge) {
                    return Progress::Open;
                }
                let partial = merge.owners < self.r;
                for waiter in &mut self.waiters {
                    waiter.partial = partial;
                    if let Some(token) = &mut waiter.token {
                        quorum.add_read(token, &merge);
                    }
                }
                if let Some(kinds) = self.to_clear(env, &merge) {
                    return Progress::MustClear(kinds);
                }
                let is_live = merge.row.has_live_counter(&merge.beside);
                let covered = observes::covered(&self.row, &self.command);
                let is_counted = |row: &Row| row.has_live_counter(&Beside::NONE);
                let covers_field = covered.iter().filter_map(|row| merge.elements.get(row)).any(is_counted);
                if merge.owners == 0 && (is_live || covers_field) {
                    return self.refuse(Reason::NoOwner);
                }
                let is_nothing = merge.row.visible(&merge.beside, env.now.wall) == Visible::Nothing && !is_live;
                // A deadline that outlived its key would take away what is written next.
                let is_nothing = is_nothing && merge.row.deadline().is_none();
                if is_nothing && !partial && self.command == Command::Delete {
                    // With a partial view there may be something on the other side, and an older put must not win.
                    return self.nothing_to_delete(env);
                }
                let observed = Observed { row: merge.row, elements: merge.elements, beside: merge.beside };
                self.mint(out, op, Some(observed));
                Progress::Open
            }
        }
    }

    /// The collections that must be emptied before this write: all of them before a delete, and before a write to a key
    /// whose deadline has passed.
    fn to_clear(&self, env: &Env<'_>, merge: &Merge) -> Option<Vec<CollectionKind>> {
        let clears = self.command == Command::Delete || merge.row.is_expired(env.now.wall);
        let is_step = self.waiters.iter().any(|waiter| waiter.origin.is_step());
        let kinds: Vec<CollectionKind> =
            CollectionKind::ALL.into_iter().filter(|kind| merge.beside.elements(*kind).live > 0).collect();
        (clears && !is_step && !kinds.is_empty()).then_some(kinds)
    }

    /// The same write, after those collections are emptied.
    pub fn into_clear(self, env: &Env<'_>, kinds: Vec<CollectionKind>) -> Option<ClearOp> {
        let token = self.waiters.first().and_then(|waiter| seal(env, waiter.token.as_ref()));
        let options = Options {
            r: u8::try_from(self.r).ok(),
            w: u8::try_from(self.w).ok(),
            strict: self.candidates.strict,
            zones: Some(self.candidates.zones).filter(|zones| *zones > 0),
            token,
            ..Options::default()
        };
        let deadline = self.deadline();
        let then = Request { key: self.row.key(), command: self.command, options };
        let waiter = self.waiters.into_iter().next()?;
        Some(ClearOp::new(waiter.origin, self.candidates.partition, then, deadline, kinds))
    }

    fn nothing_to_delete(&mut self, env: &Env<'_>) -> Progress {
        self.end(|waiter| {
            let token = seal(env, waiter.token.as_ref());
            Response::Written(WriteReply {
                value: Visible::Nothing,
                acks: Vec::new(),
                removed: 0,
                partial: false,
                token,
            })
        })
    }
}
