//! What a command may carry: every bound, checked before anything is done.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::limits;
use crate::message::client::{
    CollectionCommand, CollectionKind, Command, ElementChange, ElementWrite, Reason, Request, Response,
};
use crate::message::weight;
use crate::shard::not_applied;

/// Refuses a request that carries too much, or what does not belong together, or what only nodes ask of themselves.
pub(super) fn check(request: &Request) -> Result<(), Reason> {
    of_command(&request.command)?;
    let bytes = weight::of_named_rows(request);
    if bytes <= limits::COMMAND_BYTES_MAX {
        return Ok(());
    }
    Err(Reason::CommandTooLarge { bytes: bytes as u64, bytes_max: limits::COMMAND_BYTES_MAX as u64 })
}

/// An answer that fits into a message, or one that says why there is none. What was written is always told.
pub(super) fn of_answer(response: Response) -> Response {
    let bytes = weight::of_response(&response);
    if bytes <= limits::ANSWER_BYTES_MAX || matches!(response, Response::Written(_)) {
        return response;
    }
    Response::Failed(not_applied(Reason::AnswerTooLarge {
        bytes: bytes as u64,
        bytes_max: limits::ANSWER_BYTES_MAX as u64,
    }))
}

fn of_command(command: &Command) -> Result<(), Reason> {
    match command {
        Command::Put { value } => of_value(value),
        Command::PutSibling { value, context } => {
            of_value(value)?;
            context.as_ref().map_or(Ok(()), of_context)
        }
        Command::Overwrite { context, .. } => of_context(context),
        Command::IncrementAs(write) if !write.actor.is_session() || write.event == 0 => {
            Err(Reason::Malformed("not the actor of a session, or event zero".into()))
        }
        Command::AddToSketch { items } if items.is_empty() => Err(Reason::Malformed("no item".into())),
        Command::AddToSketch { items } => {
            of_count("items", items.len())?;
            items.iter().try_for_each(of_element)
        }
        Command::Collection { kind, command } => of_collection(*kind, command),
        // It would show and remove what is hidden, whatever the type.
        Command::Upkeep(_) => Err(Reason::Forbidden("upkeep is what nodes ask of themselves".into())),
        Command::Get
        | Command::Increment { .. }
        | Command::IncrementAs(_)
        | Command::Delete
        | Command::Observe
        | Command::Siblings
        | Command::SetFlag { .. }
        | Command::Expire { .. }
        | Command::Inspect
        | Command::Locate => Ok(()),
    }
}

fn of_collection(kind: CollectionKind, command: &CollectionCommand) -> Result<(), Reason> {
    match command {
        CollectionCommand::Write { changes } => {
            of_count("elements", changes.len())?;
            let distinct: BTreeSet<&Bytes> = changes.iter().map(|write| &write.element).collect();
            if distinct.len() != changes.len() || changes.is_empty() {
                return Err(Reason::Malformed("no element, or one element twice".into()));
            }
            changes.iter().try_for_each(|write| of_change(kind, write))
        }
        CollectionCommand::Read { elements } => {
            of_count("elements", elements.len())?;
            elements.iter().try_for_each(of_element)
        }
        CollectionCommand::Page { after, .. } => after.as_ref().map_or(Ok(()), of_element),
        CollectionCommand::Size => Ok(()),
    }
}

fn of_change(kind: CollectionKind, write: &ElementWrite) -> Result<(), Reason> {
    of_element(&write.element)?;
    match (kind, &write.change) {
        (_, ElementChange::Remove)
        | (CollectionKind::Set, ElementChange::Add)
        | (CollectionKind::Map, ElementChange::Increment(_)) => Ok(()),
        (CollectionKind::Map, ElementChange::Put(value)) => of_value(value),
        (CollectionKind::SortedSet, ElementChange::Score(bits) | ElementChange::AddToScore(bits)) => {
            if f64::from_bits(*bits).is_finite() { Ok(()) } else { Err(Reason::NotFinite) }
        }
        _ => Err(Reason::Malformed("a change of another kind of collection".into())),
    }
}

fn of_value(value: &Bytes) -> Result<(), Reason> {
    of_bytes(value.len(), limits::VALUE_BYTES_MAX)
}

fn of_element(element: &Bytes) -> Result<(), Reason> {
    of_bytes(element.len(), limits::ELEMENT_BYTES_MAX)
}

fn of_context(context: &Bytes) -> Result<(), Reason> {
    of_bytes(context.len(), limits::CONTEXT_BYTES_MAX)
}

fn of_bytes(bytes: usize, bytes_max: usize) -> Result<(), Reason> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(Reason::ValueTooLarge { bytes: bytes as u64, bytes_max: bytes_max as u64 })
}

fn of_count(what: &str, count: usize) -> Result<(), Reason> {
    let count_max = limits::ELEMENTS_PER_COMMAND_MAX;
    if count <= count_max {
        return Ok(());
    }
    Err(Reason::TooMany { what: what.into(), count: count as u64, count_max: count_max as u64 })
}
