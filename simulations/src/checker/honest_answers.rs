//! Answers are in time and true: no request outlives its deadline on a node that runs, nothing is answered twice, and
//! what was refused as "not applied" is never seen.
//!
//! Refused increments are told from the sums by `counter_bounds`; here it is the texts of refused puts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use starling::message::client::{Command, Response, Visible};
use starling::time::WallTime;
use starling::value::Beside;

use super::{Certainty, Evidence, Violation};
use crate::world::history::OpNumber;

/// A turn, its mailboxes and a timer's grain. An answer that shows a value also waits for the disk: at most for the sync
/// under way and the next one.
const SLACK: Duration = Duration::from_millis(250);

/// Checks every operation.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let history = &evidence.world.history;
    evidence.judges_many("honest_answers", history.ops().len());
    let mut found: Vec<String> = history.stray_answers.iter().take(3).cloned().collect();
    let late = history.ops().iter().enumerate().filter_map(|(number, op)| {
        // A deadline counts from the arrival at the node, which sees nothing while it stands still.
        let pauses_end = |at| evidence.world.pauses_end(Some(op.node), at);
        let slack = SLACK + evidence.world.node(op.node).longest_sync * 2;
        let due = pauses_end(pauses_end(op.invoked_at).after(op.deadline)).after(slack);
        let is_late = match op.ended_at() {
            Some(ended) => ended > due,
            None => !op.is_refused && evidence.world.now() > due,
        };
        is_late.then(|| {
            let number = OpNumber(number);
            format!(
                "{number:?} of node {} was due at {due:?} and ended at {:?}: {:?}",
                op.node,
                op.ended_at(),
                op.request
            )
        })
    });
    found.extend(late.take(3));
    found.extend(seen_although_refused(evidence).into_iter().take(3));
    found.into_iter().map(|text| Violation { checker: "honest_answers", text }).collect()
}

fn seen_although_refused(evidence: &Evidence<'_>) -> Vec<String> {
    let mut refused: BTreeMap<Bytes, OpNumber> = BTreeMap::new();
    for (number, op) in evidence.world.history.ops().iter().enumerate() {
        if let Command::Put { value } = &op.request.command
            && evidence.certainty(op) == Certainty::MustNot
            && value.starts_with(b"text ")
        {
            refused.insert(value.clone(), OpNumber(number));
        }
    }
    let mut found = Vec::new();
    let mut see = |visible: &Visible, place: String| {
        if let Visible::Text(text) = visible
            && let Some(number) = refused.get(text)
        {
            found.push(format!("{place} shows {text:?} of {number:?}, which was refused as not applied"));
        }
    };
    for (number, op) in evidence.world.history.ops().iter().enumerate() {
        match &op.answer {
            Some((_, Response::Value(reply))) => see(&reply.value, format!("the read {:?}", OpNumber(number))),
            Some((_, Response::Written(reply))) => see(&reply.value, format!("the write {:?}", OpNumber(number))),
            _ => {}
        }
    }
    for (row, by_node) in &evidence.rows {
        for (node, stored) in by_node {
            see(&stored.row.visible(&Beside::NONE, WallTime(0)), format!("{row} on {node}"));
        }
    }
    found
}
