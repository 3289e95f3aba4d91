//! What can be asked of a key, type by type.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causality::ActorId;
pub use crate::ids::CollectionKind;
use crate::time::WallTime;

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The merge of R replicas: the value of the visible type.
    Get,
    /// Adds to the number. Sent again, it counts again.
    Increment {
        /// May be negative.
        by: i64,
    },
    /// Adds to the number exactly once, however often it is sent and through whichever node.
    IncrementAs(SessionWrite),
    /// Writes the register and covers the counter that was seen.
    Put {
        /// Text; the text of an integer makes the value a number.
        value: Bytes,
    },
    /// Covers all that was seen, of every type.
    Delete,
    /// First step of a write that can be sent again: what there is now. Answered by `Observed`.
    Observe,
    /// Second step: covers what the context has seen, and writes a number (`None`: nothing, a reset to zero). Sent again
    /// with the same context it changes nothing more.
    Overwrite {
        /// From [`Command::Observe`].
        context: Bytes,
        /// The new number.
        to: Option<i64>,
    },
    /// All concurrent values, with the context that a put needs to replace them. Answered by `Observed`.
    Siblings,
    /// Writes a value beside those that the context has not seen.
    PutSibling {
        /// The value.
        value: Bytes,
        /// From [`Command::Siblings`]; `None`: has seen nothing.
        context: Option<Bytes>,
    },
    /// Raises or lowers a flag; raising wins over a lowering that did not see it.
    SetFlag {
        /// Raised.
        on: bool,
    },
    /// Adds items to a sketch that counts distinct ones (HyperLogLog).
    AddToSketch {
        /// At most [`crate::limits::ELEMENTS_PER_COMMAND_MAX`].
        items: Vec<Bytes>,
    },
    /// A set, map or sorted set.
    Collection {
        /// Which.
        kind: CollectionKind,
        /// What to do with it.
        command: CollectionCommand,
    },
    /// Sets the moment at which the key goes; `None`: it stays.
    Expire {
        /// Unit: microseconds since the Unix epoch.
        deadline: Option<WallTime>,
    },
    /// What it takes to forget a key. Nodes ask this of themselves; clients need not.
    Upkeep(Upkeep),
    /// The own, unmerged view of the node that is asked. Never forwarded.
    Inspect,
    /// Where the key lies. Never forwarded.
    Locate,
}

/// One step of a session on a key: everything that it ever added to it, up to this event. Cumulative, so the larger
/// event contains the smaller, and a repetition changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionWrite {
    /// The session: expiry tick, a random number, [`crate::causality::Tenure::SESSION`].
    pub actor: ActorId,
    /// Counts from 1 on each key.
    pub event: u64,
    /// Sum of the increments.
    pub p: u128,
    /// Sum of the decrements.
    pub n: u128,
}

/// What to do with a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CollectionCommand {
    /// Changes elements, at most [`crate::limits::ELEMENTS_PER_COMMAND_MAX`], all or none.
    Write {
        /// One change for each element, no element twice.
        changes: Vec<ElementWrite>,
    },
    /// Reads these elements. Answered by `Page`.
    Read {
        /// At most [`crate::limits::ELEMENTS_PER_COMMAND_MAX`].
        elements: Vec<Bytes>,
    },
    /// Reads the elements after one, in the order of their bytes. Answered by `Page`.
    Page {
        /// `None`: from the first.
        after: Option<Bytes>,
        /// At most this many, within [`crate::limits::PAGE_ROWS_MAX`].
        count: u16,
    },
    /// How many elements there are: an estimate while writes are on their way.
    Size,
}

/// A change of one element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementWrite {
    /// Its bytes.
    pub element: Bytes,
    /// What becomes of it.
    pub change: ElementChange,
}

/// What becomes of an element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElementChange {
    /// Set: is in it.
    Add,
    /// Every kind: is no longer in it.
    Remove,
    /// Map: holds this value.
    Put(Bytes),
    /// Map: holds this much more.
    Increment(i64),
    /// Sorted set: has this score, the bits of a finite `f64`.
    Score(u64),
    /// Sorted set: has this much more, the bits of a finite `f64`. A write of the merged value.
    AddToScore(u64),
}

/// What it takes to forget a key, whatever type it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upkeep {
    /// Covers the key if its deadline has passed. The deadline stays, so that what comes late stays hidden.
    Sweep,
    /// Elements of a collection after one, hidden ones too. Answered by `Page`.
    List {
        /// Of which collection.
        kind: CollectionKind,
        /// `None`: from the first.
        after: Option<Bytes>,
    },
    /// Removes these elements.
    Remove {
        /// From which collection.
        kind: CollectionKind,
        /// At most [`crate::limits::ELEMENTS_PER_COMMAND_MAX`].
        elements: Vec<Bytes>,
    },
}

impl Command {
    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        match self {
            Command::Increment { .. }
            | Command::IncrementAs(_)
            | Command::Put { .. }
            | Command::Delete
            | Command::Overwrite { .. }
            | Command::PutSibling { .. }
            | Command::SetFlag { .. }
            | Command::AddToSketch { .. }
            | Command::Collection { command: CollectionCommand::Write { .. }, .. }
            | Command::Upkeep(Upkeep::Sweep | Upkeep::Remove { .. })
            | Command::Expire { .. } => true,
            Command::Get
            | Command::Observe
            | Command::Siblings
            | Command::Collection { .. }
            | Command::Upkeep(Upkeep::List { .. })
            | Command::Inspect
            | Command::Locate => false,
        }
    }

    /// Whether the order of clocks decides between it and others: it needs a clock that is not ahead.
    pub fn writes_a_stamp(&self) -> bool {
        match self {
            Command::Put { .. }
            | Command::Delete
            | Command::Overwrite { .. }
            | Command::Expire { .. }
            | Command::Upkeep(Upkeep::Sweep) => true,
            Command::Collection { kind, command: CollectionCommand::Write { .. } } => *kind != CollectionKind::Set,
            _ => false,
        }
    }

    /// Whether it only takes away, so that it makes room in time: carried out below the disk reserve, too.
    pub fn only_removes(&self) -> bool {
        match self {
            Command::Delete
            | Command::Overwrite { to: None, .. }
            | Command::SetFlag { on: false }
            | Command::Upkeep(_) => true,
            Command::Collection { command: CollectionCommand::Write { changes }, .. } => {
                changes.iter().all(|write| write.change == ElementChange::Remove)
            }
            _ => false,
        }
    }

    /// Whether it may overlap commands of its kind on one connection and key: they commute.
    pub fn is_increment(&self) -> bool {
        matches!(self, Command::Increment { .. } | Command::IncrementAs(_))
    }

    /// Whether it may be sent again although an earlier copy may have been carried out.
    pub fn is_idempotent(&self) -> bool {
        !self.is_write() || matches!(self, Command::IncrementAs(_) | Command::Overwrite { .. })
    }
}
