//! The types that a key can show.

use std::fmt;

use crate::ids::CollectionKind;

/// A type. Two types may be live under one key after a split; the one that was touched last is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// A register and a counter: text or number.
    String,
    /// Concurrent values.
    Siblings,
    /// Raised or not.
    Flag,
    /// A count of distinct items, estimated.
    Sketch,
    /// A set, map or sorted set.
    Collection(CollectionKind),
}

impl ValueType {
    /// All of them.
    pub const ALL: [ValueType; 7] = [
        ValueType::String,
        ValueType::Siblings,
        ValueType::Flag,
        ValueType::Sketch,
        ValueType::Collection(CollectionKind::Set),
        ValueType::Collection(CollectionKind::Map),
        ValueType::Collection(CollectionKind::SortedSet),
    ];
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::String => "string",
            ValueType::Siblings => "siblings",
            ValueType::Flag => "flag",
            ValueType::Sketch => "sketch",
            ValueType::Collection(CollectionKind::Set) => "set",
            ValueType::Collection(CollectionKind::Map) => "map",
            ValueType::Collection(CollectionKind::SortedSet) => "sorted set",
        })
    }
}
