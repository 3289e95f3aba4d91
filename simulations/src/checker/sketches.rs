//! Sketches: the estimate lies within the error of the true number of distinct items, between those that were certainly
//! added and those that may have been. What a delete did not see may be lost with it, so a key that was ever deleted has
//! an upper bound only.

use std::collections::BTreeSet;

use bytes::Bytes;
use starling::message::client::Command;

use super::{Certainty, Evidence, Violation, shown};

/// Five standard errors of 2^14 registers: 1.04 / √16384 each. Unit: per mille.
const ERROR_PER_MILLE: u64 = 41;

/// Items by which a small estimate may be off: two that fall into one register look like one.
const ERROR_ITEMS: u64 = 3;

/// Checks every key that is a sketch and nothing else.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (key, finals) in &evidence.finals {
        let is_about = |command: &Command| matches!(command, Command::AddToSketch { .. } | Command::Delete);
        let mut writes = evidence.ops(key).filter(|(_, op)| op.request.command.is_write()).peekable();
        let is_sketch = evidence.ops(key).any(|(_, op)| matches!(op.request.command, Command::AddToSketch { .. }));
        if !is_sketch || !writes.all(|(_, op)| is_about(&op.request.command)) {
            continue;
        }
        let (mut sure, mut possible): (BTreeSet<&Bytes>, BTreeSet<&Bytes>) = Default::default();
        let mut is_deleted = false;
        for (_, op) in evidence.ops(key) {
            let certainty = evidence.certainty(op);
            match &op.request.command {
                Command::AddToSketch { items } if certainty != Certainty::MustNot => {
                    possible.extend(items);
                    if certainty == Certainty::Must {
                        sure.extend(items);
                    }
                }
                Command::Delete if certainty != Certainty::MustNot => is_deleted = true,
                _ => {}
            }
        }
        let error = |count: usize| count as u64 * ERROR_PER_MILLE / 1000 + ERROR_ITEMS;
        let least = if is_deleted { 0 } else { (sure.len() as u64).saturating_sub(error(sure.len())) };
        let most = possible.len() as u64 + error(possible.len());
        for value in finals.shown.into_iter().chain(finals.views.iter().map(|view| &view.value)) {
            evidence.judges("sketches");
            let is_good = shown::estimate(value).is_some_and(|estimate| (least..=most).contains(&estimate));
            if !is_good {
                let text = format!("{key} shows {value:?}; {least} to {most} are possible");
                found.push(Violation { checker: "sketches", text });
            }
        }
    }
    found.truncate(5);
    found
}
