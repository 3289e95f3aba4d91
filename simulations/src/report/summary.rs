//! The comparison: one row per metric, one column per configuration; the terminal's table and the page's show the same.

use super::convergence::{self, Convergence};
use super::latency::{self, Percentiles};
use super::verdict::{self, percent, span};
use super::{Report, Run, figures};
use crate::plan::NodeIndex;

/// A row of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which metric.
    pub label: String,
    /// One value per configuration.
    pub cells: Vec<Cell>,
}

/// A value of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// As people read it.
    pub text: String,
    /// Whether it is good, bad, or neither.
    pub mood: Mood,
}

/// How a value is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As one would wish.
    Good,
    /// Not so.
    Bad,
    /// A plain number.
    Plain,
}

impl Cell {
    fn plain(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), mood: Mood::Plain }
    }

    fn judged(text: impl Into<String>, is_good: bool) -> Cell {
        Cell { text: text.into(), mood: if is_good { Mood::Good } else { Mood::Bad } }
    }
}

/// Every row.
pub fn rows(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |label: &str, cell: &dyn Fn(&Run) -> Cell| {
        rows.push(Row { label: label.to_owned(), cells: report.runs.iter().map(cell).collect() });
    };
    row("requests offered", &|run| Cell::plain(tally(run).offered.to_string()));
    row("served within the deadline", &|run| Cell::plain(tally(run).served.to_string()));
    row("refused (certainly not applied)", &|run| Cell::plain(tally(run).refused.to_string()));
    row("unknown (may have been applied)", &|run| Cell::plain(tally(run).unknown.to_string()));
    for nodes in split_sides(report) {
        let names = report.plan.names(&nodes);
        row(&format!("writes served on {{{names}}} while cut off"), &|run| {
            share_cell(report, run, &nodes, |side| side.writes)
        });
        row(&format!("reads served on {{{names}}} while cut off"), &|run| {
            share_cell(report, run, &nodes, |side| side.reads)
        });
    }
    row("latency served: p50 / p95 / p99", &|run| percentiles(latency::served(run.measured.ops.iter())));
    row("the same, failures at the deadline", &|run| {
        percentiles(latency::with_failures(run.measured.ops.iter(), run.configuration.quorums.deadline))
    });
    row("told of a refusal after: p50 / p95 / p99", &|run| percentiles(latency::refusals(run.measured.ops.iter())));
    row("largest divergence", &|run| Cell::plain(percent(worst_divergence(run))));
    row("divergence × time (key-share · s)", &|run| {
        Cell::plain(format!("{:.2}", convergence::divergence_area(&run.measured)))
    });
    row("after the last heal", &|run| {
        let found = convergence::convergence(&report.plan, &run.measured);
        Cell::judged(verdict::in_words(found), matches!(found, Convergence::After(_)))
    });
    row("final counts on every owner", &|run| {
        let counts = convergence::check_counts(&run.measured);
        let right = counts.iter().filter(|count| count.is_right()).count();
        let exact = right == counts.len() && !counts.is_empty();
        Cell::judged(format!("{right} of {} right{}", counts.len(), if exact { ": exact" } else { "" }), exact)
    });
    row("expectations of the plan that hold", &|run| {
        let verdicts = report.verdicts(run);
        let holding = verdicts.iter().filter(|verdict| verdict.holds).count();
        Cell::judged(format!("{holding} of {}", verdicts.len()), holding == verdicts.len())
    });
    rows
}

/// Largest share of keys whose owners differed.
pub fn worst_divergence(run: &Run) -> f64 {
    let compared = run.measured.divergence.iter().filter(|sample| sample.compared > 0);
    compared.map(|sample| f64::from(sample.differing) / f64::from(sample.compared)).fold(0.0, f64::max)
}

/// All requests of a run.
pub fn tally(run: &Run) -> figures::Tally {
    figures::Tally::of(run.measured.ops.iter(), run.configuration.quorums.deadline)
}

/// The sides of all splits, each once, in order of time.
fn split_sides(report: &Report) -> Vec<Vec<NodeIndex>> {
    let mut sides: Vec<Vec<NodeIndex>> = Vec::new();
    for phase in report.plan.timeline.phases(report.plan.duration) {
        for side in phase.sides.into_iter().filter(|side| side.len() < report.plan.cluster.nodes.len()) {
            if !sides.contains(&side) {
                sides.push(side);
            }
        }
    }
    sides
}

fn share_cell(report: &Report, run: &Run, nodes: &[NodeIndex], of: impl Fn(&figures::Side) -> figures::Tally) -> Cell {
    let sides = figures::sides(&report.plan, &run.measured, run.configuration.quorums.deadline);
    let tally =
        sides.iter().filter(|side| side.nodes == nodes).fold(figures::Tally::default(), |sum, side| sum.plus(of(side)));
    Cell::plain(tally.availability().map_or("–".to_owned(), percent))
}

/// A percentile that rests on few samples is marked with `~`.
fn percentiles(found: Option<Percentiles>) -> Cell {
    let Some(found) = found else { return Cell::plain("–") };
    let one = |percent: u32, value| format!("{}{}", if found.is_firm(percent) { "" } else { "~" }, span(value));
    Cell::plain(format!("{} / {} / {}", one(50, found.p50), one(95, found.p95), one(99, found.p99)))
}
