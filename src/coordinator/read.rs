//! One read: R replicas, merged, answered.
//!
//! ```text
//! reading ──R answers count──→ answered (value)
//!    ├── their sessions differ ─→ reading once more, session rows too
//!    ├── the token has seen more → asking everybody, again and again; at the deadline: stale (`session`)
//!    ├── no candidate left ──→ answered (not applied: quorum failed)
//!    └── deadline ───────────→ answered (not applied: deadline exceeded)
//! ```

use super::answers;
use super::origin::Origin;
use super::quorum_read::QuorumRead;
use super::session;
use super::tally::Verdict;
use crate::ids::OpId;
use crate::message::client::{Command, Reason, Response};
use crate::message::peer::Wanted;
use crate::shard::{Env, Outbox, not_applied};

/// A read under way.
#[derive(Debug)]
pub(super) struct ReadOp {
    pub origin: Origin,
    pub quorum: QuorumRead,
    pub command: Command,
}

impl ReadOp {
    /// The answer, if there is one by now; asks further nodes where some have failed.
    pub fn advance(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Option<Response> {
        self.quorum.ask(env, out, op);
        match self.quorum.verdict(env) {
            Verdict::NotYet => None,
            Verdict::Met => {
                let merge = self.quorum.merge(env);
                if !merge.sessions_agree {
                    self.quorum.again(Wanted::Sessions);
                    return self.advance(env, out, op);
                }
                if !self.quorum.catch_up(env, out, op, &merge) {
                    return None;
                }
                let partial = merge.owners < self.quorum.needed;
                let token = self.quorum.token.clone().map(|mut token| {
                    self.quorum.add_read(&mut token, &merge);
                    token.seal(&env.config.seal_key)
                });
                let mut response = answers::to(env, op, &self.command, &self.quorum.row, merge, partial);
                if let Some(token) = token {
                    response = session::followed(response);
                    session::put(&mut response, token);
                }
                Some(response)
            }
            Verdict::Impossible => Some(Response::Failed(not_applied(Reason::QuorumFailed {
                answered: self.quorum.counted(env) as u8,
                needed: self.quorum.needed as u8,
                last_refusal: self.quorum.last_refusal().to_owned(),
            }))),
        }
    }

    /// The deadline passed.
    pub fn expire(&self, env: &Env<'_>) -> Response {
        if self.quorum.is_behind {
            return Response::Failed(not_applied(Reason::Stale));
        }
        Response::Failed(not_applied(Reason::DeadlineExceeded {
            answered: self.quorum.counted(env) as u8,
            needed: self.quorum.needed as u8,
        }))
    }
}
