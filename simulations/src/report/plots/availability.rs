//! Availability per side of every split: one bar per side, writes above reads.

use std::fmt::Write as _;

use crate::plan::{Configuration, Plan};
use crate::report::svg::{WIDTH, escape, picture};
use crate::report::{Measured, figures, verdict};

const ROW: f64 = 40.0;
const LABEL: f64 = 92.0;
const VALUE: f64 = 58.0;

/// The picture.
pub fn plot(plan: &Plan, run: &Configuration, measured: &Measured) -> String {
    let sides = figures::sides(plan, measured, run.quorums.deadline);
    let mut body = String::new();
    let room = WIDTH - LABEL - VALUE;
    let mut told = Vec::new();
    for (index, side) in sides.iter().enumerate() {
        let top = index as f64 * ROW + 6.0;
        let names = format!("{{{}}}", plan.names(&side.nodes));
        let _ = write!(
            body,
            r#"<text class="label" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LABEL - 8.0,
            top + 17.0,
            escape(&names)
        );
        for (row, (what, tally)) in [("writes", side.writes), ("reads", side.reads)].into_iter().enumerate() {
            let Some(share) = tally.availability() else { continue };
            let y = top + row as f64 * 14.0;
            let text = format!("{what} {}", verdict::percent(share));
            let _ = write!(
                body,
                r#"<rect class="empty" x="{LABEL}" y="{y:.1}" width="{room:.1}" height="11"/><rect class="{what}" x="{LABEL}" y="{y:.1}" width="{:.1}" height="11"/><text class="small" x="{:.1}" y="{:.1}">{}</text>"#,
                room * share,
                LABEL + room + 5.0,
                y + 9.5,
                verdict::percent(share)
            );
            told.push(format!("{names} {text}"));
        }
    }
    let height = sides.len() as f64 * ROW + 6.0;
    picture(height, &format!("{}: {}", run.title, told.join(", ")), &body)
}
