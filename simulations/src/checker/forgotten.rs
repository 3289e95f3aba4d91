//! What need not be remembered is forgotten: once clients have been quiet for as long as their leases last, no row of a
//! session is left on any node. Where the actors of the nodes expire as soon, a key that shows nothing has left nothing
//! behind, whatever it was, and a removed element keeps no row.

use std::collections::BTreeMap;

use starling::ids::Key;
use starling::message::client::Visible;
use starling::storage::{RowKey, RowKind};

use super::{Evidence, Violation};
use crate::swarm::rest;

/// Checks every row of every node.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found: Vec<String> = Vec::new();
    let sessions: Vec<&RowKey> = evidence.rows.keys().filter(|row| row.kind() == RowKind::Session).collect();
    if let Some(first) = sessions.first()
        && evidence.world.history.rest_from.is_some()
    {
        found.push(format!("{} rows of sessions are left, such as {first}, long after their leases", sessions.len()));
    }
    if rest::remembers_for_short(&evidence.world.options.config) {
        found.extend(deleted(evidence).into_iter().take(3));
    }
    found.into_iter().map(|text| Violation { checker: "forgotten", text }).collect()
}

fn deleted(evidence: &Evidence<'_>) -> Vec<String> {
    let mut by_key: BTreeMap<Key, Vec<&RowKey>> = BTreeMap::new();
    for row in evidence.rows.keys() {
        by_key.entry(row.key()).or_default().push(row);
    }
    let mut found = Vec::new();
    for (key, rows) in by_key {
        let Some(finals) = evidence.finals.get(&key) else { continue };
        evidence.judges("forgotten");
        if finals.shown == Some(&Visible::Nothing) {
            let names: Vec<String> = rows.iter().take(3).map(ToString::to_string).collect();
            found.push(format!("{key} shows nothing, and {} rows of it are left: {}", rows.len(), names.join(", ")));
            continue;
        }
        for (kind, elements) in &finals.elements {
            let stored = rows.iter().filter(|row| row.kind() == RowKind::Element(*kind)).count();
            if stored > elements.listed.len() {
                found.push(format!("{key} lists {} elements, and has {stored} rows for them", elements.listed.len()));
            }
        }
    }
    found
}
