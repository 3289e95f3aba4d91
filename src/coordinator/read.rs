//! One read: R replicas, merged, answered.
//!
//! ```text
//! reading ──R answers count──→ answered (value)
//!    ├── no candidate left ──→ answered (not applied: quorum failed)
//!    └── deadline ───────────→ answered (not applied: deadline exceeded)
//! ```

use super::origin::Origin;
use super::quorum_read::QuorumRead;
use super::tally::Verdict;
use crate::ids::OpId;
use crate::message::client::{Reason, Response, ValueReply};
use crate::shard::{Env, Outbox, not_applied};
use crate::value::Beside;

/// A read under way.
#[derive(Debug)]
pub(super) struct ReadOp {
    pub origin: Origin,
    pub quorum: QuorumRead,
}

impl ReadOp {
    /// The answer, if there is one by now; asks further nodes where some have failed.
    pub fn advance(&mut self, env: &Env<'_>, out: &mut Outbox, op: OpId) -> Option<Response> {
        self.quorum.ask(env, out, op);
        match self.quorum.verdict(env) {
            Verdict::NotYet => None,
            Verdict::Met => {
                let merge = self.quorum.merge(env);
                Some(Response::Value(ValueReply {
                    value: merge.row.visible(&Beside::NONE, env.now.wall),
                    partial: merge.owners < self.quorum.needed,
                    conflict: merge.row.has_conflict(&Beside::NONE),
                    answered: merge.answered,
                    stale_ms: None,
                    token: None,
                }))
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
        Response::Failed(not_applied(Reason::DeadlineExceeded {
            answered: self.quorum.counted(env) as u8,
            needed: self.quorum.needed as u8,
        }))
    }
}
