//! Nothing is owed at the end, and nobody keeps what belongs to others.

use starling::storage::Space;

use super::{Evidence, Violation};

/// Checks every disk and every ledger.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let world = evidence.world;
    let ring = world.ring();
    let partitions = ring.layout().partitions;
    let mut found = Vec::new();
    let mut report = |text: String| found.push(Violation { checker: "no_debt_left", text });
    for (number, node) in world.nodes().iter().enumerate().filter(|(_, node)| world.counts(node.id)) {
        let debts = world.entries_of(node.id, Space::Debts).len();
        if debts > 0 {
            report(format!("{} still owes {debts} rows", node.id));
        }
        for status in world.status(number) {
            if status.ledger_entries > 0 || status.open_ops > 0 {
                report(format!(
                    "{} still has {} entries in its ledger and {} open requests",
                    node.id, status.ledger_entries, status.open_ops
                ));
            }
        }
    }
    evidence.judges_many("no_debt_left", evidence.rows.len());
    for (row, by_node) in &evidence.rows {
        let owners = ring.owners(row.partition(partitions));
        for (node, stored) in by_node {
            if !owners.contains(node) {
                report(format!("{node} keeps {row}, which is not its own (debts: {:?})", stored.header.debts));
            } else if !stored.header.debts.is_empty() {
                report(format!("{node} has marks left on {row}: {:?}", stored.header.debts));
            }
        }
    }
    found.truncate(5);
    found
}
