//! Counters count: on every owner the final sum is that of all acknowledged increments plus some of the unknown ones.
//!
//! On keys that were only incremented the sum is searched exactly (steps are large and random, so a sum tells what it
//! contains). Where deletes and puts covered increments, those invoked after the last of them must be in the sum, and
//! the earlier ones may be.

use starling::ids::Key;
use starling::message::client::Command;
use starling::time::Timestamp;

use super::subset_sum::SubsetSums;
use super::{Certainty, Evidence, Violation};
use crate::world::history::{Op, OpNumber};

/// One increment.
struct Step {
    op: OpNumber,
    by: i128,
    certainty: Certainty,
}

/// Checks every key that was incremented, and otherwise only put or deleted.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let is_string = |op: &Op| {
        matches!(op.request.command, Command::Increment { .. } | Command::Put { .. } | Command::Delete)
            || !op.request.command.is_write()
    };
    let keys = evidence.by_key.keys().filter(|key| evidence.ops(key).all(|(_, op)| is_string(op)));
    keys.filter_map(|key| check_key(evidence, key)).collect()
}

fn check_key(evidence: &Evidence<'_>, key: &Key) -> Option<Violation> {
    let covered_until = covered_until(evidence, key);
    let steps = steps(evidence, key, covered_until);
    if steps.is_empty() {
        return None;
    }
    let required: i128 = steps.iter().filter(|step| step.certainty == Certainty::Must).map(|step| step.by).sum();
    let optional: Vec<i128> =
        steps.iter().filter(|step| step.certainty == Certainty::May).map(|step| step.by).collect();
    let sums = if covered_until.is_none() { SubsetSums::of(&optional) } else { None };
    let mut last_good = None;
    for (owner, sum) in final_sums(evidence, key) {
        evidence.judges("counter_bounds");
        if last_good == Some(sum) {
            continue;
        }
        let rest = sum - required;
        let is_good = match &sums {
            Some(sums) => sums.contains(rest),
            None => {
                let least: i128 = optional.iter().filter(|by| **by < 0).sum();
                let most: i128 = optional.iter().filter(|by| **by > 0).sum();
                (least..=most).contains(&rest)
            }
        };
        if !is_good {
            let hint = sums.as_ref().map(|sums| explanation(sums, &steps, rest)).unwrap_or_default();
            let text = format!(
                "{key} on {owner} counts {sum}; acknowledged increments sum to {required}, {} more are unknown and \
                 cannot make up the rest of {rest}{hint}",
                optional.len()
            );
            return Some(Violation { checker: "counter_bounds", text });
        }
        last_good = Some(sum);
    }
    None
}

/// When the last put or delete that may have been applied can have been minted.
fn covered_until(evidence: &Evidence<'_>, key: &Key) -> Option<Timestamp> {
    evidence
        .ops(key)
        .filter(|(_, op)| matches!(op.request.command, Command::Put { .. } | Command::Delete))
        .filter(|(_, op)| evidence.certainty(op) != Certainty::MustNot)
        .map(|(_, op)| evidence.minted_by(op))
        .max()
}

/// The increments of a key. What a put or delete may have covered may be there or not.
fn steps(evidence: &Evidence<'_>, key: &Key, covered_until: Option<Timestamp>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, op) in evidence.ops(key) {
        let Command::Increment { by } = op.request.command else { continue };
        let certainty = match evidence.certainty(op) {
            Certainty::Must if covered_until.is_some_and(|until| op.invoked_at <= until) => Certainty::May,
            certainty => certainty,
        };
        steps.push(Step { op: number, by: i128::from(by), certainty });
    }
    steps
}

/// What every owner counts by itself.
fn final_sums(evidence: &Evidence<'_>, key: &Key) -> Vec<(starling::ids::NodeId, i128)> {
    let views = evidence.finals.get(key).map(|finals| finals.views.as_slice()).unwrap_or_default();
    let sum = |text: &str| text.parse().expect("the sum of a counter is a decimal number");
    views.iter().map(|view| (view.node, sum(&view.counter))).collect()
}

/// Which single operation would explain a wrong sum.
fn explanation(sums: &SubsetSums, steps: &[Step], rest: i128) -> String {
    let mut found = Vec::new();
    // Each question searches both halves; a few hundred of them stay below a second.
    for step in steps.iter().take(400) {
        match step.certainty {
            Certainty::Must if sums.contains(rest + step.by) => found.push(format!("{:?} was lost", step.op)),
            Certainty::Must if sums.contains(rest - step.by) => found.push(format!("{:?} counts twice", step.op)),
            Certainty::May if sums.contains(rest - step.by) => found.push(format!("{:?} counts twice", step.op)),
            Certainty::MustNot if sums.contains(rest - step.by) => {
                found.push(format!("{:?} was applied although it was refused", step.op));
            }
            Certainty::Must | Certainty::May | Certainty::MustNot => {}
        }
        if found.len() == 3 {
            break;
        }
    }
    if found.is_empty() { String::new() } else { format!(" (it would fit if {})", found.join(", or ")) }
}
