//! Flags: raising wins. A flag is up if some raising was acknowledged that no lowering can have observed, and down if
//! lowerings must have observed all that may have been raised.

use std::time::Duration;

use starling::message::client::Command;

use super::cell::{self, Presence, What};
use super::{Evidence, Violation, shown};

/// Checks every key that is a flag and nothing else.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (key, finals) in &evidence.finals {
        let is_about = |command: &Command| matches!(command, Command::SetFlag { .. } | Command::Delete);
        let is_flag = evidence.ops(key).any(|(_, op)| matches!(op.request.command, Command::SetFlag { .. }));
        let mut writes = evidence.ops(key).filter(|(_, op)| op.request.command.is_write());
        if !is_flag || !writes.all(|(_, op)| is_about(&op.request.command)) {
            continue;
        }
        let events = cell::events(evidence, key, |op| match op.request.command {
            Command::SetFlag { on: true } => Some(What::Raise),
            Command::SetFlag { on: false } | Command::Delete => Some(What::Cover),
            _ => None,
        });
        let expected = cell::presence(evidence, &events, Duration::ZERO);
        for value in finals.shown.into_iter().chain(finals.views.iter().map(|view| &view.value)) {
            if expected != Presence::May {
                evidence.judges("flags");
            }
            let wrong = match (expected, shown::is_raised(value)) {
                (Presence::Must, false) => "was raised and not lowered since",
                (Presence::MustNot, true) => "was lowered by somebody who had seen it up, or never raised",
                _ => continue,
            };
            found.push(Violation { checker: "flags", text: format!("{key} {wrong}, and shows {value:?}") });
        }
    }
    found.truncate(5);
    found
}
