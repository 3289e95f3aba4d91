//! Answers to reads: what a client is shown of the merge of a quorum.

use super::quorum_read::Merge;
use crate::message::client::{Command, Reason, Response, ValueReply};
use crate::message::peer::Wanted;
use crate::shard::{Env, not_applied};
use crate::storage::RowKey;

/// Which rows beside the main row a read wants to see.
pub(super) fn wanted(_main: &RowKey, command: &Command) -> Wanted {
    match command {
        Command::Observe => Wanted::Sessions,
        _ => Wanted::Nothing,
    }
}

/// The answer to a read.
pub(super) fn to(env: &Env<'_>, command: &Command, _main: &RowKey, merge: Merge, partial: bool) -> Response {
    match command {
        Command::Get => Response::Value(ValueReply {
            value: merge.row.visible(&merge.beside, env.now.wall),
            partial,
            conflict: merge.row.has_conflict(&merge.beside),
            answered: merge.answered,
            stale_ms: None,
            token: None,
        }),
        _ => Response::Failed(not_applied(Reason::Malformed("this command reads nothing".into()))),
    }
}
