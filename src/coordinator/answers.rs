//! Answers to reads: what a client is shown of the merge of a quorum.

use bytes::Bytes;

use super::quorum_read::Merge;
use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
use crate::ids::{CollectionKind, OpId};
use crate::limits;
use crate::message::client::{
    CollectionCommand, Command, ObservedReply, PageReply, Reason, Response, Upkeep, ValueReply,
};
use crate::message::contexts::{CounterContext, seal_siblings};
use crate::message::peer::Wanted;
use crate::shard::{Env, not_applied};
use crate::storage::RowKey;
use crate::time::Hlc;
use crate::value::{Beside, Row, ValueType, Visible};

/// Which rows beside the main row a read wants to see.
pub(super) fn wanted(main: &RowKey, command: &Command) -> Wanted {
    match command {
        Command::Observe => Wanted::Sessions,
        Command::Collection { kind, command: CollectionCommand::Read { elements } } => {
            Wanted::Elements(elements.iter().map(|element| main.element(*kind, element)).collect())
        }
        Command::Collection { kind, command: CollectionCommand::Page { after, count } } => {
            Wanted::Page { kind: *kind, after: after.clone(), count: *count }
        }
        Command::Upkeep(Upkeep::List { kind, after }) => {
            Wanted::Page { kind: *kind, after: after.clone(), count: limits::ELEMENTS_PER_COMMAND_MAX as u16 }
        }
        _ => Wanted::Nothing,
    }
}

/// The answer to a read.
pub(super) fn to(env: &Env<'_>, op: OpId, command: &Command, main: &RowKey, merge: Merge, partial: bool) -> Response {
    match command {
        Command::Get => Response::Value(ValueReply {
            value: merge.row.visible(&merge.beside, env.now.wall),
            partial,
            conflict: merge.row.has_conflict(&merge.beside),
            answered: merge.answered,
            stale_ms: merge.stale_ms,
            token: None,
        }),
        Command::Observe => match check_type(env, &merge, ValueType::String) {
            Err(reason) => Response::Failed(not_applied(reason)),
            // What fallbacks hold of a counter is a part of it.
            Ok(()) if merge.owners == 0 && merge.row.has_live_counter(&merge.beside) => {
                Response::Failed(not_applied(Reason::NoOwner))
            }
            Ok(()) => {
                let context = counter_context(env, op, &merge.row).seal(&env.config.seal_key, main);
                observed(env, context, &merge, partial)
            }
        },
        Command::Siblings => match check_type(env, &merge, ValueType::Siblings) {
            Err(reason) => Response::Failed(not_applied(reason)),
            Ok(()) => {
                let context = seal_siblings(&env.config.seal_key, main, &merge.row.siblings_context());
                observed(env, context, &merge, partial)
            }
        },
        Command::Collection { kind, command } => match check_type(env, &merge, ValueType::Collection(*kind)) {
            Err(reason) => Response::Failed(not_applied(reason)),
            Ok(()) if merge.row.is_expired(env.now.wall) => empty_page(partial),
            Ok(()) => page(env, *kind, matches!(command, CollectionCommand::Page { .. }), merge, partial),
        },
        Command::Upkeep(Upkeep::List { kind, .. }) => page(env, *kind, true, merge, partial),
        _ => Response::Failed(not_applied(Reason::Malformed("this command reads nothing".into()))),
    }
}

/// The value with the context that a second step sends back: one that would be refused then is none.
fn observed(env: &Env<'_>, context: Bytes, merge: &Merge, partial: bool) -> Response {
    if context.is_empty() || context.len() > limits::CONTEXT_BYTES_MAX {
        return Response::Failed(not_applied(Reason::TooManySessions));
    }
    let value = merge.row.visible(&merge.beside, env.now.wall);
    Response::Observed(ObservedReply { value, context, partial, token: None })
}

/// The elements that are there, as far as all replicas that were merged have shown theirs.
fn page(env: &Env<'_>, kind: CollectionKind, is_cut: bool, merge: Merge, partial: bool) -> Response {
    let Merge { beside, elements, until, .. } = merge;
    let (mut shown, mut conflicts) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    // A page ends behind its last element, by one zero byte.
    let mut next = until.map(|until| until.slice(..until.len().saturating_sub(1)));
    let mut last = None;
    for (row, state) in elements {
        if is_cut && bytes >= limits::PAGE_BYTES_MAX {
            next = last;
            break;
        }
        if state.is_live_element(kind) {
            let value = state.visible(&Beside::NONE, env.now.wall);
            bytes += row.as_bytes().len() + if let Visible::Text(text) = &value { text.len() } else { 0 };
            if state.has_conflict(&Beside::NONE) {
                bytes += row.as_bytes().len();
                conflicts.push(row.sub_key());
            }
            shown.push((row.sub_key(), value));
        }
        last = Some(row.as_bytes().clone());
    }
    let next = next.and_then(|next| RowKey::parse(next).ok()).map(|row| row.sub_key());
    let size = beside.elements(kind).live;
    Response::Page(PageReply { elements: shown, conflicts, next, size, partial, token: None })
}

/// Of a key whose deadline has passed.
fn empty_page(partial: bool) -> Response {
    Response::Page(PageReply { elements: Vec::new(), conflicts: Vec::new(), next: None, size: 0, partial, token: None })
}

fn check_type(env: &Env<'_>, merge: &Merge, kind: ValueType) -> Result<(), Reason> {
    merge.row.can_write(kind, &merge.beside, env.now.wall).map_err(|held| Reason::WrongType { held: held.to_string() })
}

/// Makes the one write that the second step may carry out. Its actor is a session of one event: no two dialogues of a
/// start have the same number, and no two starts the same epoch.
fn counter_context(env: &Env<'_>, op: OpId, row: &Row) -> CounterContext {
    let tick = Tick::at(env.now.wall, env.config.tick);
    let number = [env.epoch.0.to_be_bytes(), op.0.to_be_bytes()].concat();
    let actor = ActorId {
        expires: Tick(tick.0.saturating_add(env.config.actor_lease_ticks)),
        epoch: Epoch(xxhash_rust::xxh3::xxh3_64(&number)),
        tenure: Tenure::SESSION,
    };
    let now = Hlc { wall: env.now.wall.0, logical: 0 };
    CounterContext { stamp: now.max(row.latest_stamp().next()), dot: Dot { actor, event: 1 }, seen: row.counter_seen() }
}
