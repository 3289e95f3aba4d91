//! Of one number one layout is decided: whatever happened, no two nodes ever took up different ones.

use super::{Evidence, Violation};

/// Checks all layouts that any node took up.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    evidence.judges_many("one_layout", evidence.world.layouts().len().saturating_sub(1));
    let rivals = evidence.world.rival_layouts().iter();
    let found = rivals.map(|epoch| format!("layout {epoch:?} was taken up although another was decided before"));
    found.take(3).map(|text| Violation { checker: "one_layout", text }).collect()
}
