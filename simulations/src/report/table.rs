//! The comparison for the terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};

use super::{Report, summary};

/// The table and the expectations that do not hold, ready to print.
pub fn render(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    // Without a terminal the table would otherwise be as wide as its longest line.
    if table.width().is_none() {
        table.set_width(132);
    }
    let titles = report.runs.iter().map(|run| run.configuration.title.clone());
    table.set_header(std::iter::once(report.plan.name.clone()).chain(titles));
    for row in summary::rows(report) {
        table.add_row(std::iter::once(row.label).chain(row.cells.into_iter().map(|cell| cell.text)));
    }
    let mut text = table.to_string();
    text.push('\n');
    for run in &report.runs {
        for verdict in report.verdicts(run).iter().filter(|verdict| !verdict.holds) {
            text.push_str(&format!(
                "NOT AS EXPECTED, {}: {}; found: {}\n",
                run.configuration.name, verdict.expected, verdict.found
            ));
        }
        for note in &run.measured.notes {
            text.push_str(&format!("note, {}: {note}\n", run.configuration.name));
        }
    }
    text
}
