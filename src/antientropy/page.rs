//! What of a page of rows travels, on either side of an exchange: what can be read, and what differs from the other side's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::sums;
use crate::limits;
use crate::message::peer::{ExchangeFindings, ExchangeOffer, Marks};
use crate::replica::{PartitionMemory, normal};
use crate::shard::Env;
use crate::storage::{Page, RowKey};
use crate::value::Row;

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

/// Whether these can be the rows of one page: it ends with the row with which it reaches its bounds.
pub(super) fn is_page<'a>(count: usize, keys: impl Iterator<Item = &'a Bytes>) -> bool {
    let bytes: usize = keys.map(Bytes::len).sum();
    count <= limits::PAGE_ROWS_MAX && bytes <= limits::PAGE_BYTES_MAX + limits::ROW_KEY_BYTES_MAX
}

/// What differs between the offered hashes and the own rows, which are whole up to `covered`, as far as the bounds of an
/// answer reach.
pub(super) fn compare(
    offer: ExchangeOffer,
    mut covered: Bytes,
    own: impl Iterator<Item = (RowKey, Bytes)>,
    marks: Marks,
) -> ExchangeFindings {
    let shows = !offer.gives;
    let theirs: BTreeMap<RowKey, u128> = offer.hashes.into_iter().collect();
    let mut equal = BTreeSet::new();
    let mut rows = Vec::new();
    let mut wanted = Vec::new();
    let mut bytes = 0;
    for (row, state) in own {
        if bytes >= limits::PAGE_BYTES_MAX {
            covered = row.as_bytes().clone();
            break;
        }
        match theirs.get(&row) {
            Some(hash) if *hash == Row::state_hash_of(&state) => {
                equal.insert(row);
            }
            Some(_) | None if !shows => {}
            Some(_) | None => {
                bytes += state.len() + row.as_bytes().len();
                rows.push((row, state));
            }
        }
    }
    for (row, _) in theirs {
        if *row.as_bytes() < covered && !equal.contains(&row) {
            wanted.push(row);
        }
    }
    ExchangeFindings { covered, rows, wanted, differing: None, leaves_out: false, rows_here: None, marks }
}

/// Which of the offered parts differ from the own rows, which are whole up to `read_to`.
pub(super) fn compare_sums(
    offer: &ExchangeOffer,
    own: &[(RowKey, Bytes)],
    read_to: &Bytes,
    marks: Marks,
) -> ExchangeFindings {
    let (differing, covered) = sums::differing(&offer.sums, own, read_to);
    let (rows, wanted) = (Vec::new(), Vec::new());
    ExchangeFindings { covered, rows, wanted, differing: Some(differing), leaves_out: false, rows_here: None, marks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{ActorId, Dot, Epoch, Tenure, Tick};
    use crate::ids::{Key, OpId};
    use crate::replica::StoredRow;
    use crate::storage::keyspace;
    use crate::time::Hlc;
    use crate::value::Beside;

    fn stored(event: u64) -> StoredRow {
        let actor = ActorId { expires: Tick(9), epoch: Epoch(1), tenure: Tenure(0) };
        let mut stored = StoredRow::default();
        for event in 1..=event {
            stored.row.increment(Dot { actor, event }, Hlc { wall: event, logical: 0 }, 1, &Beside::NONE).unwrap();
        }
        stored
    }

    fn rows(rows: &[(&str, u64)]) -> impl Iterator<Item = (RowKey, Bytes)> {
        let mut entries: Vec<_> = rows
            .iter()
            .map(|(key, events)| (RowKey::main(&Key::new(key.to_string()).unwrap()), stored(*events).row.encode()))
            .collect();
        entries.sort();
        entries.into_iter()
    }

    fn offer(rows: &[(&str, u64)]) -> ExchangeOffer {
        let hashes = self::rows(rows).map(|(row, state)| (row, Row::state_hash_of(&state))).collect();
        ExchangeOffer {
            op: OpId(1),
            step: 1,
            start: Bytes::new(),
            end: Bytes::from_static(&[0xff; 4]),
            hashes,
            sums: Vec::new(),
            takes_over: false,
            marks: Marks::default(),
            gives: false,
        }
    }

    fn keys(rows: impl IntoIterator<Item = RowKey>) -> BTreeSet<String> {
        rows.into_iter().map(|row| row.key().to_string()).collect()
    }

    #[test]
    fn only_rows_that_differ_travel() {
        let findings = compare(
            offer(&[("same", 1), ("mine", 2), ("both", 1)]),
            Bytes::from_static(&[0xff; 4]),
            rows(&[("same", 1), ("both", 2), ("theirs", 1)]),
            Marks::default(),
        );
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>();
        assert_eq!(keys(findings.rows.into_iter().map(|(row, _)| row)), names(&["both", "theirs"]));
        assert_eq!(keys(findings.wanted), names(&["both", "mine"]));
        assert_eq!(findings.covered, Bytes::from_static(&[0xff; 4]));
    }

    #[test]
    fn a_page_that_is_cut_covers_only_what_was_compared() {
        let mut offered = offer(&[("a", 1), ("b", 1), ("c", 1)]);
        offered.hashes.sort();
        let own: Vec<_> = rows(&[("a", 1), ("b", 1), ("c", 1)]).take(2).collect();
        let cut = keyspace::after(own[1].0.as_bytes());
        let findings = compare(offered, cut.clone(), own.into_iter(), Marks::default());
        assert_eq!(findings.covered, cut);
        assert!(findings.rows.is_empty() && findings.wanted.is_empty());
    }
}
