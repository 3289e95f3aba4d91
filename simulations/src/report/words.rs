//! What is seen, in plain words. Every sentence is made from the figures of the run: nothing is said that was not measured.

use super::convergence::{self, Convergence};
use super::verdict::{percent, span};
use super::{Report, Run, figures, latency, summary};

/// What is seen of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// How the cluster was set.
    pub setting: String,
    /// What each side of each split did.
    pub sides: Vec<String>,
    /// How it ended.
    pub end: String,
}

/// The story of one run.
pub fn story(report: &Report, run: &Run) -> Story {
    Story { setting: setting(run), sides: sides(report, run), end: format!("{} {}", drift(run), end(report, run)) }
}

fn setting(run: &Run) -> String {
    let quorums = run.configuration.quorums;
    let who = if quorums.strict {
        format!("Only owners count: a write needs {} of a key's owners, whatever other nodes are there.", quorums.w)
    } else {
        format!(
            "A write needs {} reachable {}; where owners are out of reach, the next nodes on the ring stand in and keep hints for them.",
            quorums.w,
            if quorums.w == 1 { "node" } else { "nodes" }
        )
    };
    let (handoff, exchange) =
        (run.configuration.node.handoff != Some(false), run.configuration.node.exchange != Some(false));
    let repair = match (handoff, exchange) {
        (true, true) => "",
        (false, false) => {
            " Hints are not delivered and owners do not compare their rows: only a key that is written again catches up."
        }
        (false, true) => " Hints are not delivered; owners still compare their rows.",
        (true, false) => " Hints are delivered; owners do not compare their rows.",
    };
    format!("{who}{repair}")
}

fn sides(report: &Report, run: &Run) -> Vec<String> {
    let sides = figures::sides(&report.plan, &run.measured, run.configuration.quorums.deadline);
    let mut sentences = Vec::new();
    for side in &sides {
        let Some(share) = side.writes.availability() else { continue };
        let names = report.plan.names(&side.nodes);
        let mut text = format!(
            "Cut off for {}, {{{names}}} served {} of its {} writes",
            span(side.to.saturating_sub(side.from)),
            percent(share),
            side.writes.offered
        );
        let here = |op: &&super::Op| {
            op.start >= side.from && op.start < side.to && side.nodes.contains(&op.node) && op.is_write()
        };
        if let Some(told) = latency::refusals(run.measured.ops.iter().filter(here)) {
            text.push_str(&format!("; {} were refused, half of them within {}", side.writes.refused, span(told.p50)));
        }
        if side.writes.unknown > 0 {
            text.push_str(&format!("; of {} nobody knows the outcome", side.writes.unknown));
        }
        text.push('.');
        if side.nodes.len() < usize::from(run.configuration.quorums.w) {
            text.push_str(&format!(" Alone it cannot keep {} copies, and says so.", run.configuration.quorums.w));
        }
        sentences.push(text);
    }
    sentences
}

fn drift(run: &Run) -> String {
    let worst = summary::worst_divergence(run);
    if worst == 0.0 {
        return "At no time did the owners of a key differ.".to_owned();
    }
    format!("At the worst time the owners of {} of the keys differed.", percent(worst))
}

fn end(report: &Report, run: &Run) -> String {
    let counts = convergence::check_counts(&run.measured);
    let wrong = counts.iter().filter(|count| !count.is_right()).count();
    let tally = summary::tally(run);
    let unknown = if tally.unknown == 0 { "" } else { ", plus at most what was unknown" };
    let found = match convergence::convergence(&report.plan, &run.measured) {
        Convergence::After(time) => {
            format!("{} after the last heal every owner held the same as its co-owners", span(time))
        }
        Convergence::NotConverged { keys, .. } => {
            format!(
                "The owners of {keys} keys still differed when the run ended, {} after the last heal",
                span(report.plan.settle)
            )
        }
        Convergence::NotMeasured => "After the heal no owner answered".to_owned(),
    };
    if wrong == 0 && !counts.is_empty() {
        format!("{found}, and all {} final counts are exactly what was acknowledged{unknown}.", counts.len())
    } else {
        let short = counts.iter().filter_map(super::convergence::Checked::error).min().unwrap_or(0);
        let by =
            if short < 0 { format!("; the worst misses {} of what was acknowledged", -short) } else { String::new() };
        format!("{found}, and {wrong} of {} final counts are wrong{by}.", counts.len())
    }
}
