//! Rows that a reader found missing or outdated at an owner.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::storage::RowKey;

/// Rows of the addressed partition in which the receiver lacks what another owner has. Nobody waits for an answer: what is lost
/// or refused is found again by the next read, or by an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Whole rows of one key, the main row first.
    pub rows: Vec<(RowKey, Bytes)>,
}
