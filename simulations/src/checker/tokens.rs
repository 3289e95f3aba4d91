//! Clients with tokens: whoever wrote or saw something sees it again, through whichever node, or is told that this node
//! cannot show it ("stale"). On these keys there are only increments above zero, so a value that shrinks was forgotten.

use std::collections::BTreeMap;

use starling::ids::Key;
use starling::message::client::{Command, Response};

use super::{Evidence, Violation, shown, written};
use crate::workload::readers::FIRST_CONNECTION;
use crate::world::history::OpNumber;

/// What one client knows of a key.
#[derive(Debug, Default)]
struct Known {
    /// Sum of its own acknowledged increments.
    own: i128,
    /// The most that it was shown.
    shown: i128,
}

/// Follows every client with a token through its answers.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut known: BTreeMap<(u64, &Key), Known> = BTreeMap::new();
    let mut found = Vec::new();
    // Each of these clients asks one thing at a time, so the order of its questions is that of its answers.
    for (number, op) in evidence.world.history.ops().iter().enumerate() {
        if op.connection.0 < FIRST_CONNECTION || op.request.options.token.is_none() {
            continue;
        }
        let brought = match &op.answer {
            Some((_, Response::Value(reply))) => reply.token.is_some(),
            Some((_, Response::Written(reply))) => reply.token.is_some(),
            _ => true,
        };
        if !brought {
            let text =
                format!("{:?} came with a token and was answered without one: {:?}", OpNumber(number), op.answer);
            found.push(Violation { checker: "tokens", text });
        }
        let known = known.entry((op.connection.0, &op.request.key)).or_default();
        match (&op.request.command, &op.answer) {
            (Command::Increment { by }, Some(_)) if written(op).is_some() => known.own += i128::from(*by),
            (Command::Get, Some((_, Response::Value(reply)))) => {
                let least = known.own.max(known.shown);
                let value = shown::number(&reply.value).unwrap_or(i128::MIN);
                if value < least {
                    let text = format!(
                        "{:?} of {} shows {value}, though its client wrote {} and was shown {}: {reply:?}",
                        OpNumber(number),
                        op.request.key,
                        known.own,
                        known.shown
                    );
                    found.push(Violation { checker: "tokens", text });
                }
                known.shown = known.shown.max(value);
            }
            _ => {}
        }
    }
    found.truncate(5);
    found
}
