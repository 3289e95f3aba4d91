//! What a row shows to a reader, when its types are taken together.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::score::Score;
use crate::ids::CollectionKind;

/// What a key shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visible {
    /// Never written, or deleted.
    #[default]
    Nothing,
    /// An integer register plus the counter.
    Integer {
        /// The number.
        value: i64,
        /// The true sum lies beyond what an i64 can hold; `value` is the nearest.
        saturated: bool,
    },
    /// A text register.
    Text(Bytes),
    /// Values that were put without seeing each other, in the order of their dots.
    Siblings(Vec<Bytes>),
    /// A flag that is raised; a lowered one shows nothing.
    Flag,
    /// About so many distinct items were added to a sketch.
    Estimate(u64),
    /// A set, map or sorted set; its elements are read in pages.
    Collection {
        /// Which.
        kind: CollectionKind,
        /// Elements.
        size: u64,
    },
    /// Of an element: it is a member of the set.
    Member,
    /// Of an element: its score in the sorted set.
    Score(Score),
}
