//! The picture of [`super::grow`]: bytes per node and second against the size of the cluster, both by orders of magnitude.
//! A file of its own: its colours are written into it.

use std::fmt::Write as _;

use super::growth::{Grown, exponent};
use crate::report::svg::{Scale, escape, log_ticks, number};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 44.0;

/// A line: its name, its colour, and how it is read off.
type Line = (&'static str, &'static str, fn(&Grown) -> f64);

/// What is drawn.
const LINES: [Line; 4] = [
    ("liveness", "#1f77b4", |it| it.idle.liveness),
    ("comparing", "#2ca02c", |it| it.idle.repair),
    ("layout, while one joins", "#d62728", |it| it.joining.layout),
    ("all, while one joins", "#7f7f7f", |it| it.joining.sum),
];

/// The picture, as a whole SVG document.
pub fn plot(grown: &[Grown]) -> String {
    let values = || LINES.iter().flat_map(|(_, _, read)| grown.iter().map(read)).filter(|value| *value > 0.0);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(1.0, f64::max));
    let sizes = || grown.iter().map(|it| it.nodes as f64);
    let (first, last) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(1.0, f64::max));
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = Scale::log(first, last, LEFT, right);
    let y = Scale::log(low.min(high) * 0.8, high * 1.2, bottom, TOP);
    let mut body = String::new();
    for value in log_ticks(low * 0.8, high * 1.2) {
        let at = y.at(value);
        let _ = write!(
            body,
            r##"<path d="M{LEFT} {at:.1}H{right}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"##,
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
    }
    for size in sizes() {
        let at = x.at(size);
        let _ = write!(
            body,
            r##"<path d="M{at:.1} {TOP}V{bottom}" stroke="#eee"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"##,
            bottom + 16.0,
            number(size)
        );
    }
    for (place, (name, colour, read)) in LINES.iter().enumerate() {
        let points: Vec<(f64, f64)> = grown.iter().map(|it| (it.nodes as f64, read(it))).collect();
        let drawn: Vec<String> = points
            .iter()
            .filter(|(_, value)| *value > 0.0)
            .map(|(size, value)| format!("{:.1},{:.1}", x.at(*size), y.at(*value)))
            .collect();
        let law = exponent(&points).map_or_else(String::new, |power| format!(" ~ n^{power:.2}"));
        let _ = write!(
            body,
            r##"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/><text x="{:.1}" y="{:.1}" fill="{colour}">{}</text>"##,
            drawn.join(" "),
            right + 10.0,
            TOP + 18.0 * (place as f64 + 1.0),
            escape(&format!("{name}{law}"))
        );
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>{body}<text x="{LEFT}" y="16">bytes per node and second</text><text x="{right}" y="{:.1}" text-anchor="end">members</text></svg>
"##,
        HEIGHT - 8.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_drawn_of_a_few_sizes_and_of_none() {
        let drawn = plot(&super::super::grow(&[4, 5], 16));
        assert!(drawn.starts_with("<svg") && drawn.contains("members") && drawn.matches("<polyline").count() == 4);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert!(plot(&[]).ends_with("</svg>\n"));
    }
}
