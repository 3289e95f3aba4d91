//! A page of an exchange by sums: some rows together are one number, and only where that differs each is named by its hash.
//!
//! ```text
//! page of the initiator   |··· ≤ 32 rows ···|··· ≤ 32 rows ···|· … ·|     end, how many, Σ mod 2^128 of a hash of (row key, state)
//! responder               equal              differs           …         of its own rows in the same ranges
//!                                            └→ this part once more, by the hashes of its rows
//! ```
//!
//! Unlike the sums of a tree ([`super::tree`]) these are made of rows as they would travel, so they say something of partitions that
//! are settled unequally far, or not swept, too: then every row must be read, but only what differs travels. What is being written
//! stands on one side a moment earlier; it is looked at twice, for each part that differs is read anew. A part that the responder
//! has not read to its end differs, whatever it has read. Costs two bytes per row that is equal; some 50 by its hash.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::tree::{Sum, of_state};
use crate::message::peer::PartSum;
use crate::mutation::{self, Mutation};
use crate::storage::{Range, RowKey};

/// Rows of one part.
const PART_ROWS_MAX: usize = 32;

fn add(sum: &mut Sum, row: &RowKey, state: &Bytes) {
    sum.hash = sum.hash.wrapping_add(of_state(row.as_bytes(), state));
    sum.rows = sum.rows.saturating_add(1);
}

/// The parts of a page with these rows, which ends there.
pub(super) fn parts(rows: &BTreeMap<RowKey, Bytes>, end: &Bytes) -> Vec<PartSum> {
    let mut parts = Vec::with_capacity(rows.len().div_ceil(PART_ROWS_MAX));
    let mut sum = Sum::default();
    for (place, (row, state)) in rows.iter().enumerate() {
        if place > 0 && place % PART_ROWS_MAX == 0 {
            let Sum { hash, rows } = std::mem::take(&mut sum);
            parts.push(PartSum { end: row.as_bytes().clone(), rows, hash });
        }
        add(&mut sum, row, state);
    }
    parts.push(PartSum { end: end.clone(), rows: sum.rows, hash: sum.hash });
    parts
}

/// Whether these divide the range between the two keys.
pub(super) fn divide(parts: &[PartSum], start: &Bytes, end: &Bytes) -> bool {
    let ends = || parts.iter().map(|part| &part.end);
    let begins = std::iter::once(start).chain(ends());
    begins.zip(ends()).all(|(begin, end)| begin < end) && ends().next_back() == Some(end)
}

/// Which of the parts differ from the own rows, which are whole up to `read_to`, and up to where that holds.
pub(super) fn differing(parts: &[PartSum], own: &[(RowKey, Bytes)], read_to: &Bytes) -> (Vec<u16>, Bytes) {
    let mut own = own.iter().peekable();
    let mut differing = Vec::new();
    let mut covered = Bytes::new();
    for (place, part) in (0_u16..).zip(parts) {
        let mut sum = Sum::default();
        while let Some((row, state)) = own.next_if(|(row, _)| *row.as_bytes() < part.end) {
            add(&mut sum, row, state);
        }
        let is_whole = part.end <= *read_to || mutation::is_off(Mutation::UnreadRowsSummed);
        if !is_whole || (sum.rows, sum.hash) != (part.rows, part.hash) {
            differing.push(place);
        }
        covered = part.end.clone();
        if !is_whole {
            break;
        }
    }
    (differing, covered)
}

/// The ranges of the parts that differ, of a page that begins there; neighbours are joined. `ends`: where the parts end. `None` if
/// there are no such parts within what is covered.
pub(super) fn ranges(start: &Bytes, ends: &[Bytes], differing: &[u16], covered: &Bytes) -> Option<Vec<Range>> {
    let mut ranges: Vec<Range> = Vec::new();
    let is_ascending = differing.windows(2).all(|two| two.first() < two.last());
    for place in differing.iter().map(|place| usize::from(*place)) {
        let end = ends.get(place).filter(|end| *end <= covered && is_ascending)?;
        let start = place.checked_sub(1).map_or(Some(start), |before| ends.get(before))?;
        match ranges.last_mut() {
            Some(last) if last.end.as_ref() == Some(start) => last.end = Some(end.clone()),
            Some(_) | None => ranges.push(Range { start: start.clone(), end: Some(end.clone()) }),
        }
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Key;
    use crate::storage::keyspace;

    fn rows(count: u32) -> BTreeMap<RowKey, Bytes> {
        let row = |number: u32| (RowKey::main(&Key::new(format!("{number}")).unwrap()), Bytes::from(vec![1, 2, 3]));
        (0..count).map(row).collect()
    }

    const START: Bytes = Bytes::from_static(&[0]);
    const END: Bytes = Bytes::from_static(&[0xff; 4]);

    fn listed(rows: &BTreeMap<RowKey, Bytes>) -> Vec<(RowKey, Bytes)> {
        rows.iter().map(|(row, state)| (row.clone(), state.clone())).collect()
    }

    #[test]
    fn equal_pages_differ_nowhere_and_a_row_that_differs_names_its_part() {
        let ours = rows(100);
        let parts = parts(&ours, &END);
        assert!(divide(&parts, &START, &END));
        assert_eq!(parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [32, 32, 32, 4]);
        assert_eq!(differing(&parts, &listed(&ours), &END), (vec![], END));
        let ends: Vec<Bytes> = parts.iter().map(|part| part.end.clone()).collect();
        for (place, part) in [(0, 0), (31, 0), (32, 1), (63, 1), (99, 3)] {
            for change in [None, Some(Bytes::from(vec![1, 2, 4]))] {
                let mut theirs = listed(&ours);
                match change {
                    Some(state) => theirs[place].1 = state,
                    None => drop(theirs.remove(place)),
                }
                assert_eq!(differing(&parts, &theirs, &END), (vec![part], END), "row {place}");
            }
        }
        let joined = ranges(&START, &ends, &[0, 1, 3], &END).unwrap();
        let range = |start: &Bytes, end: &Bytes| Range { start: start.clone(), end: Some(end.clone()) };
        assert_eq!(joined, [range(&START, &ends[1]), range(&ends[2], &END)]);
        for bad in [&[4][..], &[1, 1], &[2, 1]] {
            assert_eq!(ranges(&START, &ends, bad, &END), None, "{bad:?}");
        }
        assert_eq!(ranges(&START, &ends, &[3], &ends[2]), None, "not covered");
    }

    #[test]
    fn parts_that_do_not_divide_the_range_are_seen() {
        let parts = parts(&rows(100), &END);
        assert!(!divide(&parts[..3], &START, &END));
        assert!(!divide(&[], &START, &END));
        assert!(!divide(&[parts[1].clone(), parts[0].clone(), parts[3].clone()], &START, &END));
        assert!(!divide(&parts, &parts[0].end, &END));
    }

    /// The other side has more rows than it reads at once, and has read just those that are here too.
    fn is_a_part_that_was_not_read_to_its_end_said_to_differ() -> bool {
        let (ours, theirs) = (rows(20), listed(&rows(20)));
        let read_to = keyspace::after(theirs[19].0.as_bytes());
        differing(&parts(&ours, &END), &theirs, &read_to).0 == [0]
    }

    #[test]
    fn a_part_that_was_not_read_to_its_end_differs() {
        assert!(is_a_part_that_was_not_read_to_its_end_said_to_differ());
        // What lies behind it waits for the next page.
        let all = rows(100);
        let theirs = &listed(&all)[..40];
        let read_to = keyspace::after(theirs[39].0.as_bytes());
        let parts = parts(&all, &END);
        assert_eq!(differing(&parts, theirs, &read_to), (vec![1], parts[1].end.clone()));
    }

    #[cfg(feature = "mutations")]
    #[test]
    fn without_its_protection_rows_that_were_not_read_count_as_equal() {
        mutation::switch_off(Some(Mutation::UnreadRowsSummed));
        let is_well = is_a_part_that_was_not_read_to_its_end_said_to_differ();
        mutation::switch_off(None);
        assert!(!is_well);
    }
}
