//! What must be true at rest. All owners have the same rows then, so the first one's are looked at.
//!
//! ```text
//! increment    acknowledged and seen by no reset: counts once     seen by an acknowledged reset: does not
//!              refused: was never counted                         in any case at most once
//! register     not older than the newest acknowledged write       one that somebody wrote, and was not refused
//! dot          acknowledged and seen by no other write: stands    seen by an acknowledged write that lacks it: does not
//! ```
//!
//! A write that was not acknowledged may have taken part in all of that, or not.

use starling::storage::RowKey;
use starling::time::WallTime;
use starling::value::Row;

use super::cluster::Cluster;
use super::record::{Certainty, Increment, Place};
use super::rows::Family;
use super::writes::Write;

impl Cluster {
    /// Compares what the owners hold with what clients were told.
    pub fn check_finals(&mut self) {
        let keys = self.clients.keys().to_vec();
        for (key, name) in (0_u8..).zip(&keys) {
            let owners = self.ring.owners(self.ring.partition_of(name));
            let Some(owner) = self.nodes.iter().find(|it| owners.first() == Some(&it.id)) else { continue };
            let main = RowKey::main(name);
            let family = Family::of(&owner.store, &main);
            let writes: Vec<&Write> = self.record.writes.iter().filter(|write| write.main == main).collect();
            let wall = super::node::wall(self.now);
            let mut found = Vec::new();
            for (place, increments) in self.record.counters().filter(|((of, _), _)| *of == key) {
                found.extend(wrong_increments(place, increments, &family, &writes).map(|text| ("exactly once", text)));
            }
            let nothing = Row::default();
            let written = writes.iter().flat_map(|write| write.parts.keys());
            let mut rows: Vec<&RowKey> = family.rows().map(|(row, _)| row).chain(written).collect();
            rows.sort_unstable();
            rows.dedup();
            for row in rows {
                let held = family.row(row).unwrap_or(&nothing);
                found.extend(wrong_register(row, held, &writes, wall).map(|text| ("registers", text)));
                found.extend(wrong_dots(row, held, &writes).map(|text| ("removals", text)));
                let value = held.register_write().and_then(|(_, value)| value);
                if let Some(value) = value.filter(|value| self.clients.is_refused(key, value)) {
                    found.push(("registers", format!("{value:?} of {row} was refused, and stands")));
                }
            }
            for (promise, text) in found {
                self.wrong(promise, format!("key {key}: {text}"));
            }
        }
    }
}

fn wrong_increments(place: Place, increments: &[Increment], family: &Family, writes: &[&Write]) -> Option<String> {
    let digits = family.digits(place.1);
    let covers: Vec<_> = writes.iter().map(|write| (write.is_acknowledged, write.family().digits(place.1))).collect();
    let wrong = increments.iter().enumerate().filter_map(|(number, increment)| {
        let certainty = increment.certainty();
        let (counted, covered) = (digits.counted(number), digits.covered(number));
        let is_seen = covers.iter().any(|(_, cover)| cover.covered(number) > 0);
        let is_taken = covers.iter().any(|(is_acknowledged, cover)| *is_acknowledged && cover.covered(number) > 0);
        let what = match (counted, covered) {
            (0 | 1, 0 | 1) if covered > counted => "is covered without being counted",
            (2.., _) | (_, 2..) => "is counted or covered more than once",
            (1, 0) if certainty == Certainty::MustNot => "was refused and counts",
            (1, 0) if is_taken => "counts although an acknowledged reset saw it",
            (0, 0) if certainty == Certainty::Must && !is_seen => "is lost",
            (1, 1) if !is_seen => "is covered by no reset that ever was",
            _ => return None,
        };
        let who = increment.session.map_or("of no session".to_owned(), |actor| format!("of session {actor}"));
        Some(format!("increment {number} {who} ({certainty:?} count) {what}"))
    });
    let wrong: Vec<String> = wrong.collect();
    let at = place.1.map_or(String::new(), |element| format!(" in element {element}"));
    (!wrong.is_empty()).then(|| format!("{}{at}", wrong.join("; ")))
}

/// The register, and the deadline of the key: the last writer wins. A deadline that has passed goes with the key.
fn wrong_register(row: &RowKey, held: &Row, writes: &[&Write], wall: WallTime) -> Option<String> {
    let parts = || writes.iter().filter_map(|write| Some((write.is_acknowledged, write.parts.get(row)?)));
    let values =
        parts().filter_map(|(is, part)| part.register_write().map(|(stamp, value)| (is, *stamp, value.is_some())));
    let is_ahead = |deadline: Option<WallTime>| deadline.is_some_and(|deadline| deadline > wall);
    let deadlines =
        parts().filter_map(|(is, part)| part.deadline_write().map(|(stamp, value)| (is, *stamp, is_ahead(value))));
    let value = held.register_write().map(|(stamp, _)| *stamp);
    let deadline = held.deadline_write().map(|(stamp, _)| *stamp);
    let wrong = last_writer(value, values.collect()).map(|text| format!("the value of {row} {text}"));
    wrong.or_else(|| last_writer(deadline, deadlines.collect()).map(|text| format!("the deadline of {row} {text}")))
}

/// What is wrong with the stamp that stands, if these were written (acknowledged, stamp, is there something).
fn last_writer<S: Ord + Copy + std::fmt::Debug>(held: Option<S>, written: Vec<(bool, S, bool)>) -> Option<String> {
    let newest = written.iter().filter(|(is_acknowledged, ..)| *is_acknowledged).max_by_key(|(_, stamp, _)| *stamp);
    match held {
        Some(held) if !written.iter().any(|(_, stamp, _)| *stamp == held) => {
            Some(format!("was written by nobody: {held:?}"))
        }
        Some(held) => newest
            .filter(|(_, stamp, _)| *stamp > held)
            .map(|(_, stamp, _)| format!("is of {held:?}, but a write at {stamp:?} was acknowledged")),
        // Forgotten: by right if what came last was a removal.
        None => {
            let is_removed = |stamp: S| written.iter().any(|(_, other, is_there)| *other >= stamp && !is_there);
            newest.filter(|(_, stamp, is_there)| *is_there && !is_removed(*stamp)).map(|(_, stamp, _)| {
                format!("is gone, but a write at {stamp:?} was acknowledged, and nothing after it removed it")
            })
        }
    }
}

/// Siblings, flag, presence and score: what was added stands until it is seen removed.
fn wrong_dots(row: &RowKey, held: &Row, writes: &[&Write]) -> Option<String> {
    let parts: Vec<_> = writes.iter().filter_map(|write| Some((write, write.parts.get(row)?.dotted_parts()))).collect();
    held.dotted_parts().iter().enumerate().find_map(|(field, (live, _))| {
        let of_field = || parts.iter().filter_map(|(write, fields)| Some((write, fields.get(field)?)));
        let removers = |dot| of_field().filter(move |(_, (stands, seen))| seen.has_seen(dot) && !stands.contains(&dot));
        let risen = live.iter().find(|dot| removers(**dot).any(|(write, _)| write.is_acknowledged));
        if let Some(dot) = risen {
            return Some(format!("{dot:?} of {row} stands although an acknowledged write saw it and took it away"));
        }
        let added = of_field().flat_map(|(write, (stands, _))| {
            let own = write.dots.iter().filter(move |(of, dot)| of == row && stands.contains(dot));
            own.map(|(_, dot)| (write.is_acknowledged, *dot))
        });
        let mut lost = added.filter(|(is_acknowledged, dot)| {
            *is_acknowledged && !live.contains(dot) && removers(*dot).next().is_none()
        });
        lost.next().map(|(_, dot)| format!("{dot:?} of {row} was acknowledged, and is lost"))
    })
}
