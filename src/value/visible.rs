//! What a row shows to a reader, when its types are taken together.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
}
