//! A dot is minted once: in all starts of all nodes, whatever their disks had lost.
//!
//! And nobody meets an own entry that it does not remember: every start has an epoch of its own, so the amnesia check
//! of the core must stay silent too.

use super::{Evidence, Violation};

/// Checks the log of all mintings.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let facts = &evidence.world.facts;
    evidence.judges_many("dot_uniqueness", facts.mints.len());
    let mut found: Vec<Violation> = facts
        .mints
        .iter()
        .filter(|(_, mints)| mints.len() > 1)
        .take(3)
        .map(|((row, dot), mints)| Violation {
            checker: "dot_uniqueness",
            text: format!("{dot:?} of {row} was minted {} times: {mints:?}", mints.len()),
        })
        .collect();
    let has_one_layout = evidence.world.layouts().len() == 1;
    let unexplained = ["amnesia", "malformed", "foreign layout"];
    for kind in unexplained.into_iter().filter(|kind| has_one_layout || *kind != "foreign layout") {
        let count = facts.count(kind);
        if count > 0 {
            found.push(Violation {
                checker: "dot_uniqueness",
                text: format!("{count} reports of {kind:?}, which nothing in this world explains"),
            });
        }
    }
    found
}
