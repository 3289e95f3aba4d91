//! What of a page of rows travels, on either side of an exchange.

use bytes::Bytes;

use crate::replica::{PartitionMemory, normal};
use crate::shard::Env;
use crate::storage::{Page, RowKey};

/// What rows weigh on the wire. Unit: bytes.
pub(super) fn bytes_of(rows: &[(RowKey, Bytes)]) -> usize {
    rows.iter().map(|(row, state)| row.as_bytes().len() + state.len()).sum()
}

/// The rows of a page with the states that travel, and whether there are some that cannot be read. These are left out: the
/// other side's copy of one is merged then, which reports the fault.
pub(super) fn readable(env: &Env<'_>, memory: &PartitionMemory, page: Page) -> (Vec<(RowKey, Bytes)>, bool) {
    let mut leaves_out = false;
    let mut rows = Vec::with_capacity(page.entries.len());
    for (key, stored) in page.entries {
        let shipped = RowKey::parse(key).ok().and_then(|row| {
            let state = normal::shipped(&row, &stored, memory, env.config).ok()?;
            Some((row, state))
        });
        match shipped {
            // A main row may hold nothing but what this directory knows of the rows beside it.
            Some((_, state)) if state.is_empty() => {}
            Some(row) => rows.push(row),
            None => leaves_out = true,
        }
    }
    (rows, leaves_out)
}
