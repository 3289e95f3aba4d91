//! The page: one HTML file with everything in it. It loads nothing, runs no script, and reads well on paper, on a
//! telephone, in light and in dark.

use std::fmt::Write as _;
use std::time::Duration;

use super::svg::escape;
use super::verdict::span;
use super::{Report, Run, World, convergence, figures, plots, summary, words};

const STYLE: &str = include_str!("page.css");
const DEFINITIONS: &str = include_str!("definitions.html");

/// Wrong counts that are listed one by one.
const WRONG_MAX: usize = 12;

/// The whole page.
pub fn render(report: &Report) -> String {
    let end = report.runs.iter().map(|run| plots::end_of(&report.plan, &run.measured)).max().unwrap_or_default();
    let title = format!("Starling: {}", report.plan.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n",
        escape(&title)
    );
    page.push_str(&head(report));
    page.push_str(&comparison(report));
    page.push_str(&story(report));
    page.push_str(&pictures(report, end));
    page.push_str(&reasons(report));
    page.push_str(&counts(report));
    page.push_str(&expectations(report));
    page.push_str(&notes(report));
    page.push_str(DEFINITIONS);
    page.push_str("</main></body></html>\n");
    page
}

fn head(report: &Report) -> String {
    let verdicts: Vec<_> = report.runs.iter().flat_map(|run| report.verdicts(run)).collect();
    let holding = verdicts.iter().filter(|verdict| verdict.holds).count();
    let (mood, text) = if holding == verdicts.len() {
        ("good", format!("As expected: all {holding} expectations of the plan hold."))
    } else {
        ("bad", format!("Not as expected: {} of {} expectations fail.", verdicts.len() - holding, verdicts.len()))
    };
    let world = match report.runs.first().map(|run| run.measured.world) {
        Some(World::Virtual) => "the virtual world (virtual clock, network and disks)",
        Some(World::Processes) => "real node processes on one machine, over loopback",
        None => "nothing",
    };
    let cluster = &report.plan.cluster;
    format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p class=\"lead\">Ran in {world}: {} nodes, N = {} owners per key, {} keys, load for {}. Seed {}.</p>\n<p class=\"verdict {mood}\">{}</p>\n",
        escape(&report.plan.name.replace('_', " ")),
        escape(&report.plan.description),
        cluster.nodes.len(),
        cluster.replicas,
        report.plan.workload.keys,
        span(report.plan.duration),
        report.runs.first().map_or(0, |run| run.measured.seed),
        escape(&text)
    )
}

fn comparison(report: &Report) -> String {
    let mut html = String::from("<h2>The comparison</h2>\n<div class=\"scroll\"><table><thead><tr><th></th>");
    for run in &report.runs {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(&run.configuration.title));
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in summary::rows(report) {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(&row.label));
        for cell in row.cells {
            let mood = match cell.mood {
                summary::Mood::Good => " class=\"good\"",
                summary::Mood::Bad => " class=\"bad\"",
                summary::Mood::Plain => "",
            };
            let _ = write!(html, "<td{mood}>{}</td>", escape(&cell.text));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n<p class=\"lead\">~ marks a percentile that rests on fewer than 100 / (1 − q) requests.</p>\n");
    html
}

fn story(report: &Report) -> String {
    let mut html = String::from("<h2>What is seen</h2>\n<div class=\"grid\">\n");
    for run in &report.runs {
        let story = words::story(report, run);
        let sides: String = story.sides.iter().map(|side| format!("<li>{}</li>", escape(side))).collect();
        let _ = writeln!(
            html,
            "<div class=\"card\"><h3>{}</h3><p>{}</p><ul>{sides}</ul><p>{}</p></div>",
            escape(&run.configuration.title),
            escape(&story.setting),
            escape(&story.end)
        );
    }
    html.push_str("</div>\n");
    html
}

fn pictures(report: &Report, end: Duration) -> String {
    let plan = &report.plan;
    let mut html = String::new();
    if plan.timeline.phases(plan.duration).iter().any(|phase| phase.sides.len() > 1) {
        html.push_str(&section(
            report,
            "Availability per side during the splits",
            "Share of requests that the clients of a side were served within the deadline while the side was cut off.",
            &[("rect", "writes", "writes".to_owned()), ("rect", "reads", "reads".to_owned())],
            &|run| plots::availability::plot(plan, &run.configuration, &run.measured),
        ));
    }
    let peak =
        report.runs.iter().map(|run| plots::rates::peak(plan, &run.configuration, &run.measured)).fold(0.0, f64::max);
    html.push_str(&section(
        report,
        "Outcomes over time",
        "Requests per second by what came of them. Faults are shaded, here and below.",
        &[
            ("area", "served", "served".to_owned()),
            ("area", "late", "served after the deadline".to_owned()),
            ("area", "refused", "refused: certainly not applied".to_owned()),
            ("area", "unknown", "unknown: may have been applied".to_owned()),
        ],
        &|run| plots::rates::plot(plan, &run.configuration, &run.measured, end, peak),
    ));
    html.push_str(&section(
        report,
        "Latency",
        "Of served requests, from the time they were meant to start, per second of the run. Each step is ten times the one below.",
        &[("line", "p50", "p50".to_owned()), ("line", "p95", "p95".to_owned()), ("line", "p99", "p99".to_owned())],
        &|run| plots::latency::plot(plan, &run.configuration, &run.measured, end),
    ));
    html.push_str(&section(
        report,
        "Divergence",
        "Share of keys whose owners differ, and when they became equal for good.",
        &[("line", "diverged", "keys whose owners differ".to_owned())],
        &|run| plots::divergence::plot(plan, &run.configuration, &run.measured, end),
    ));
    let peak = report.runs.iter().map(|run| plots::counter::peak(&run.measured)).fold(0.0, f64::max);
    let mut legend = vec![
        ("line", "truth".to_owned(), "acknowledged so far".to_owned()),
        ("area", "possible".to_owned(), "plus what is unknown".to_owned()),
    ];
    let owners = report.runs.first().map(|run| run.measured.watched_owners.clone()).unwrap_or_default();
    for (index, name) in plan.cluster.nodes.iter().enumerate() {
        let kind = if owners.contains(&index) { "owner" } else { "stand-in" };
        legend.push(("line", format!("node{} {kind}", index % 8), format!("{name} ({kind})")));
    }
    let legend: Vec<_> = legend.iter().map(|(shape, class, text)| (*shape, class.as_str(), text.clone())).collect();
    let watched = report.runs.first().map(|run| run.measured.watched_key.clone()).unwrap_or_default();
    html.push_str(&section(
        report,
        &format!("One counter, as every node sees it: {watched}"),
        "The true total beside each node's own view. A stand-in shows only what it was given to keep for an owner, and lets it go once that is delivered.",
        &legend,
        &|run| plots::counter::plot(plan, &run.configuration, &run.measured, end, peak),
    ));
    html
}

fn section(
    report: &Report,
    title: &str,
    about: &str,
    legend: &[(&str, &str, String)],
    picture: &dyn Fn(&Run) -> String,
) -> String {
    let mut html =
        format!("<h2>{}</h2>\n<p class=\"lead\">{}</p>\n<ul class=\"legend\">", escape(title), escape(about));
    for (shape, class, text) in legend {
        let swatch = match *shape {
            "line" => format!(r#"<path class="line {class}" d="M0 6L26 6"/>"#),
            "area" => format!(r#"<path class="area {class}" d="M0 0L26 0L26 12L0 12Z"/>"#),
            _ => format!(r#"<rect class="{class}" width="26" height="12"/>"#),
        };
        let _ = write!(html, r#"<li><svg viewBox="0 0 26 12" aria-hidden="true">{swatch}</svg>{}</li>"#, escape(text));
    }
    html.push_str("</ul>\n<div class=\"grid\">\n");
    for run in &report.runs {
        let _ =
            writeln!(html, "<div class=\"card\"><h3>{}</h3>{}</div>", escape(&run.configuration.title), picture(run));
    }
    html.push_str("</div>\n");
    html
}

fn reasons(report: &Report) -> String {
    let mut html = String::from("<h2>Refusals and unknowns</h2>\n<div class=\"grid\">\n");
    for run in &report.runs {
        let _ = write!(html, "<div class=\"card\"><h3>{}</h3>", escape(&run.configuration.title));
        let reasons = figures::reasons(&run.measured);
        if reasons.is_empty() {
            html.push_str("<p>None: every request was served.</p>");
        } else {
            html.push_str("<table><tbody>");
            for (outcome, reason, count) in reasons.iter().take(WRONG_MAX) {
                let _ = write!(html, "<tr><th scope=\"row\">{outcome}: {}</th><td>{count}</td></tr>", escape(reason));
            }
            html.push_str("</tbody></table>");
        }
        html.push_str("</div>\n");
    }
    html.push_str("</div>\n");
    html
}

fn counts(report: &Report) -> String {
    let mut html = String::from(
        "<h2>Is every final count exact?</h2>\n<p class=\"lead\">Each owner's own count of each key, read after the settling, must lie in [acknowledged, acknowledged + unknown].</p>\n",
    );
    for run in &report.runs {
        let checked = convergence::check_counts(&run.measured);
        let wrong: Vec<_> = checked.iter().filter(|count| !count.is_right()).collect();
        let (mood, verdict) = if wrong.is_empty() && !checked.is_empty() {
            ("good", format!("yes, all {} counts on all owners", checked.len()))
        } else {
            ("bad", format!("no, {} of {} counts are outside of their range", wrong.len(), checked.len()))
        };
        let _ = write!(
            html,
            "<p><b>{}</b>: <span class=\"{mood}\">{}</span></p>\n<details><summary>{}</summary><div class=\"scroll\"><table><thead><tr><th>counter</th><th>owner</th><th>acknowledged</th><th>possible</th><th>owner shows</th><th>off by</th></tr></thead><tbody>\n",
            escape(&run.configuration.title),
            escape(&verdict),
            if wrong.is_empty() { "The watched counter" } else { "Some of the wrong ones" }
        );
        let watched = checked.iter().filter(|count| count.key == run.measured.watched_key);
        let listed: Vec<_> =
            if wrong.is_empty() { watched.collect() } else { wrong.into_iter().take(WRONG_MAX).collect() };
        for count in listed {
            let range = count.range;
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{} to {}</td><td>{}</td><td>{}</td></tr>",
                escape(&count.key),
                escape(&report.plan.names(&[count.owner])),
                range.acknowledged,
                range.acknowledged + range.unknown_low,
                range.acknowledged + range.unknown_high,
                count.count.map_or("no answer".to_owned(), |value| value.to_string()),
                count.error().map_or("–".to_owned(), |error| error.to_string())
            );
        }
        html.push_str("</tbody></table></div></details>\n");
    }
    html
}

fn expectations(report: &Report) -> String {
    let mut html = String::from(
        "<h2>What the plan expects</h2>\n<div class=\"scroll\"><table><thead><tr><th>configuration</th><th>expected</th><th>found</th><th></th></tr></thead><tbody>\n",
    );
    for run in &report.runs {
        for verdict in report.verdicts(run) {
            let (mood, word) = if verdict.holds { ("good", "holds") } else { ("bad", "fails") };
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{mood}\">{word}</td></tr>",
                escape(&run.configuration.title),
                escape(&verdict.expected),
                escape(&verdict.found)
            );
        }
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn notes(report: &Report) -> String {
    let notes: Vec<_> = report
        .runs
        .iter()
        .flat_map(|run| run.measured.notes.iter().map(|note| format!("{}: {note}", run.configuration.title)))
        .collect();
    if notes.is_empty() {
        return String::new();
    }
    let items: Vec<_> = notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
    format!("<h2>Notes</h2>\n<ul>{}</ul>\n", items.join("\n"))
}
