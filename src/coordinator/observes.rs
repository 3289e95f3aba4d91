//! Which commands look before they write, and at what.
//!
//! A covering write acts on the merge of R replicas, so that a user behind a load balancer never covers less than what
//! was acknowledged a moment ago on another node. What only adds needs to see nothing.

use crate::message::client::{CollectionCommand, Command, ElementChange, ElementWrite, Upkeep};
use crate::message::peer::Wanted;
use crate::storage::RowKey;

/// Whether a write covers, or depends on, what is there.
pub(super) fn is_covering(command: &Command) -> bool {
    match command {
        Command::Put { .. } | Command::Delete | Command::SetFlag { on: false } | Command::Expire { .. } => true,
        Command::Collection { command: CollectionCommand::Write { changes }, .. } => changes.iter().any(covers),
        Command::Upkeep(upkeep) => !matches!(upkeep, Upkeep::List { .. }),
        Command::Increment { .. }
        | Command::IncrementAs(_)
        // What the context has seen is what they cover.
        | Command::Overwrite { .. }
        | Command::PutSibling { .. }
        | Command::SetFlag { on: true }
        | Command::AddToSketch { .. } => false,
        Command::Get
        | Command::Observe
        | Command::Siblings
        | Command::Collection { .. }
        | Command::Inspect
        | Command::Locate => false,
    }
}

fn covers(write: &ElementWrite) -> bool {
    match write.change {
        ElementChange::Remove | ElementChange::Put(_) | ElementChange::AddToScore(_) => true,
        // A score is written whatever stood there; adding and incrementing commute with what was not seen.
        ElementChange::Add | ElementChange::Increment(_) | ElementChange::Score(_) => false,
    }
}

/// The elements of which a write covers what it has seen.
pub(super) fn covered(main: &RowKey, command: &Command) -> Vec<RowKey> {
    match command {
        Command::Collection { kind, command: CollectionCommand::Write { changes } } => changes
            .iter()
            .filter(|write| matches!(write.change, ElementChange::Remove | ElementChange::Put(_)))
            .map(|write| main.element(*kind, &write.element))
            .collect(),
        Command::Upkeep(Upkeep::Remove { kind, elements }) => {
            elements.iter().map(|element| main.element(*kind, element)).collect()
        }
        _ => Vec::new(),
    }
}

/// Which rows beside the main row a write looks at.
pub(super) fn wanted(main: &RowKey, command: &Command) -> Wanted {
    match command {
        Command::Collection { kind, command: CollectionCommand::Write { changes } } => {
            Wanted::Elements(changes.iter().map(|write| main.element(*kind, &write.element)).collect())
        }
        Command::Upkeep(Upkeep::Remove { kind, elements }) => {
            Wanted::Elements(elements.iter().map(|element| main.element(*kind, element)).collect())
        }
        _ => Wanted::Sessions,
    }
}
