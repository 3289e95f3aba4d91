//! Replicas converge: when all is healed and quiet, every owner of every row holds the same bytes.

use starling::time::WallTime;
use starling::value::Beside;

use super::{Evidence, Violation};

/// Checks every row.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let ring = evidence.world.ring();
    let partitions = ring.layout().partitions;
    let mut found = Vec::new();
    evidence.judges_many("convergence", evidence.rows.len());
    for (row, by_node) in &evidence.rows {
        let states: Vec<_> = ring
            .owners(row.partition(partitions))
            .iter()
            .map(|owner| (*owner, by_node.get(owner).map(|stored| stored.row.encode())))
            .collect();
        let first = states.first().and_then(|(_, state)| state.clone());
        if first.is_some() && states.iter().all(|(_, state)| *state == first) {
            continue;
        }
        let shown: Vec<String> = states
            .iter()
            .map(|(owner, state)| match (state, by_node.get(owner)) {
                (Some(_), Some(stored)) => {
                    format!(
                        "{owner} {:?} {:032x}",
                        stored.row.visible(&Beside::NONE, WallTime(0)),
                        stored.row.state_hash()
                    )
                }
                _ => format!("{owner} has no row"),
            })
            .collect();
        found.push(Violation { checker: "convergence", text: format!("{row} differs: {}", shown.join("; ")) });
    }
    found.truncate(5);
    found
}
