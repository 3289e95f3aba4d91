//! Tokens: a read that must show what its session has seen.
//!
//! ```text
//! R answers count ─→ their merge shows all that the token has seen? ─yes─→ answered, with the token that has seen it too
//!                        │ no
//!                        └→ every other candidate is asked ─→ … ─→ all are asked anew, every `widen_after`
//!                                                                   └─ deadline ─→ stale (not applied)
//! ```
//!
//! A covering write observes like such a read, so it never covers less than its session has seen. What only adds does not
//! wait. Rows are followed one by one: the key's main row with its sessions, and elements that a command names, with the
//! deadline that the main row sets them. **Pages and sizes of collections are not**, because a page cannot tell which of
//! the elements that it lacks a token means: with a token they are refused, as is a read of a key that shows a collection.
//! Costs nothing without a token; with one, a read shows session rows at once.

use std::collections::BTreeMap;

use super::quorum_read::{Merge, QuorumRead};
use crate::causality::Tick;
use crate::ids::{OpId, RowVersion};
use crate::message::client::{CollectionCommand, Command, Reason, Response, ValueReply, Visible};
use crate::message::peer::Wanted;
use crate::message::token::Token;
use crate::mutation::{self, Mutation};
use crate::sealed::NotSealedHere;
use crate::shard::{Env, Outbox, not_applied};
use crate::storage::{RowKey, RowKind};
use crate::time::{WallTime, micros};
use crate::value::{Answered, Row};

/// Opens a request's token.
pub(super) fn open(env: &Env<'_>, token: Option<&bytes::Bytes>) -> Result<Option<Token>, Reason> {
    let opened = token.map(|token| Token::open(&env.config.seal_key, token)).transpose();
    opened.map_err(|NotSealedHere| Reason::ForeignToken { what: "token".into() })
}

/// Whether a command reads what no token can follow.
pub(super) fn is_unfollowed(command: &Command) -> bool {
    matches!(command, Command::Collection { command: CollectionCommand::Page { .. } | CollectionCommand::Size, .. })
}

/// What a read with a token is told: nothing, if that is the size of a collection.
pub(super) fn followed(response: Response) -> Response {
    match response {
        Response::Value(ValueReply { value: Visible::Collection { .. }, .. }) => {
            Response::Failed(not_applied(Reason::NotFollowed))
        }
        response => response,
    }
}

/// What a read with a token must be shown beside what its command needs.
pub(super) fn wanted(command: &Command, wanted: Wanted) -> Wanted {
    match (command, wanted) {
        (Command::Collection { .. } | Command::Upkeep(_), wanted) => wanted,
        (_, Wanted::Nothing) => Wanted::Sessions,
        (_, wanted) => wanted,
    }
}

/// Adds what a write has written.
pub(super) fn add_write(token: &mut Token, main: &RowKey, parts: &BTreeMap<RowKey, (RowVersion, Row)>) {
    for (row, (_, delta)) in parts {
        match row.kind() {
            RowKind::Main | RowKind::Session => token.add(main, &delta.seen()),
            RowKind::Element(_) => token.add(row, &delta.seen()),
        }
    }
}

/// Puts the token into an answer that has a place for it.
pub(super) fn put(response: &mut Response, token: bytes::Bytes) {
    match response {
        Response::Value(reply) => reply.token = Some(token),
        Response::Written(reply) => reply.token = Some(token),
        Response::Observed(reply) => reply.token = Some(token),
        Response::Page(reply) => reply.token = Some(token),
        Response::Inspected(_) | Response::Located(_) | Response::Failed(_) => {}
    }
}

/// Whoever may have written before this moment has expired by this tick: an actor lives for at most two leases.
fn written_before(env: &Env<'_>, settled: Tick) -> WallTime {
    let leases = env.config.actor_lease_ticks.saturating_mul(2);
    let ticks = settled.0.checked_sub(leases).map_or(0, |last| u64::from(last) + 1);
    WallTime(ticks.saturating_mul(micros(env.config.tick)))
}

impl QuorumRead {
    /// Whether the merge shows what the session has seen; if not, everybody who may know more is asked.
    pub fn catch_up(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId, merge: &Merge) -> bool {
        self.is_behind = !self.shows_session(env, merge);
        if self.is_behind {
            self.ask_next(env, out, op, usize::MAX);
        }
        !self.is_behind
    }

    fn shows_session(&self, env: &Env<'_>, merge: &Merge) -> bool {
        let Some(token) = &self.token else { return true };
        if mutation::is_off(Mutation::TokenIgnored) {
            return true;
        }
        let answered = Answered {
            settled: merge.settled,
            an_owner: merge.owners > 0,
            every_owner: merge.owners == self.candidates.readers(env).len(),
            written_before: written_before(env, merge.settled),
        };
        let nothing = Row::default();
        let shows = |row: &RowKey, state: &Row| token.of(row).is_none_or(|seen| seen.is_covered_by(state, answered));
        match &self.wanted {
            Wanted::Sessions => shows(&self.row, &merge.row),
            Wanted::Elements(rows) => {
                token.of(&self.row).is_none_or(|seen| seen.shows_deadline(&merge.row, answered))
                    && rows.iter().all(|row| shows(row, merge.elements.get(row).unwrap_or(&nothing)))
            }
            Wanted::Nothing | Wanted::Page { .. } => true,
        }
    }

    /// Adds what the merge shows.
    pub fn add_read(&self, token: &mut Token, merge: &Merge) {
        match &self.wanted {
            Wanted::Sessions => token.add_shown(&self.row, &merge.row.seen()),
            Wanted::Elements(rows) => {
                token.add(&self.row, &merge.row.seen_deadline());
                for row in rows {
                    token.add_shown(row, &merge.elements.get(row).map(Row::seen).unwrap_or_default());
                }
            }
            Wanted::Nothing | Wanted::Page { .. } => {}
        }
    }
}
