//! How figures grow with the size of a cluster: the law that is read off, in words and as a picture.
//!
//! A figure y of clusters of n members is fitted by y = c · n^k: a straight line where both are drawn by orders of magnitude,
//! and k its slope, by least squares. What grows as a logarithm shows a small k. Called by `starling-sim cost`, for every
//! table and plot over sizes.

use std::fmt::Write as _;

use crate::report::svg::{Scale, escape, log_ticks, number};

const WIDTH: f64 = 720.0;
const PANEL: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 290.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;

/// Colours of the lines of a panel, one after the other; written into the picture, so that it is a file of its own.
const COLOURS: [&str; 5] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#7f7f7f"];

/// A figure of several sizes: (size, value). What was not measured is left out.
pub type Points = Vec<(f64, f64)>;

/// Figures of one unit, which are drawn together.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What stands above: the unit.
    pub title: String,
    /// Each with its name.
    pub lines: Vec<(String, Points)>,
}

/// The exponent k by which a quantity grows as the size to the power of k. `None` of fewer than two sizes, or if anything is
/// not above zero.
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    if points.len() < 2 || points.iter().any(|(x, y)| *x <= 0.0 || *y <= 0.0) {
        return None;
    }
    let logs: Points = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (mean_x, mean_y) = logs.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / count, y + b / count));
    let above: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let below: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (below > 0.0).then(|| above / below)
}

/// The law in words: `n^0.98, linear`; a dash where none can be read off.
pub fn law(points: &[(f64, f64)]) -> String {
    let Some(power) = exponent(points) else { return "–".to_owned() };
    let words = match power {
        ..-1.2 => "falls fast",
        -1.2..-0.8 => "falls as 1/n",
        -0.8..-0.15 => "falls",
        -0.15..0.15 => "constant",
        0.15..0.8 => "less than linear",
        0.8..1.2 => "linear",
        1.2..1.8 => "more than linear",
        1.8..2.2 => "quadratic",
        _ => "fast",
    };
    // Rounding leaves a sign before zero.
    let shown = format!("n^{power:.2}, {words}");
    shown.replacen("n^-0.00", "n^0.00", 1)
}

/// The picture, as a whole SVG document: one panel below the other, both axes by orders of magnitude, each line with its law.
pub fn picture(title: &str, across: &str, panels: &[Panel]) -> String {
    let height = TOP + PANEL * panels.len() as f64;
    let mut body = String::new();
    for (place, panel) in panels.iter().enumerate() {
        body.push_str(&draw(panel, TOP + place as f64 * PANEL, across));
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/><text x="{LEFT}" y="20" font-size="14">{}</text>{body}</svg>
"##,
        escape(title)
    )
}

/// The same on a page, below the table of figures as it was printed.
pub fn page(title: &str, table: &str, picture: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title></head>\n<body><h1>{0}</h1>\n\
         <pre style=\"overflow-x: auto\">{1}</pre>\n{picture}</body></html>\n",
        escape(title),
        escape(table)
    )
}

fn draw(panel: &Panel, top: f64, across: &str) -> String {
    let drawn = |points: &Points| points.iter().copied().filter(|(_, value)| *value > 0.0).collect::<Points>();
    let all: Points = panel.lines.iter().flat_map(|(_, points)| drawn(points)).collect();
    let least = |read: fn(&(f64, f64)) -> f64| all.iter().map(read).fold(f64::INFINITY, f64::min);
    let most = |read: fn(&(f64, f64)) -> f64| all.iter().map(read).fold(0.0, f64::max);
    let (top, bottom, right) = (top + 28.0, top + PANEL - BOTTOM, WIDTH - RIGHT);
    let mut body =
        format!(r##"<text x="{LEFT}" y="{:.1}" font-weight="bold">{}</text>"##, top - 12.0, escape(&panel.title));
    if all.is_empty() {
        return body;
    }
    let (low, high) = (least(|it| it.1) * 0.8, most(|it| it.1) * 1.25);
    let (x, y) = (Scale::log(least(|it| it.0), most(|it| it.0), LEFT, right), Scale::log(low, high, bottom, top));
    for value in log_ticks(low, high) {
        let at = y.at(value);
        let _ = write!(
            body,
            r##"<path d="M{LEFT} {at:.1}H{right}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"##,
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
    }
    let mut sizes: Vec<u64> = all.iter().map(|(size, _)| *size as u64).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        let at = x.at(size as f64);
        let _ = write!(
            body,
            r##"<path d="M{at:.1} {top}V{bottom}" stroke="#eee"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{size}</text>"##,
            bottom + 16.0
        );
    }
    let _ = write!(body, r##"<text x="{right}" y="{:.1}" text-anchor="end">{}</text>"##, bottom + 32.0, escape(across));
    for (place, (name, points)) in panel.lines.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let drawn: Vec<String> =
            drawn(points).iter().map(|(size, value)| format!("{:.1},{:.1}", x.at(*size), y.at(*value))).collect();
        let dots: String = drawn
            .iter()
            .filter_map(|at| at.split_once(','))
            .map(|(x, y)| format!(r##"<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>"##))
            .collect();
        let _ = write!(
            body,
            r##"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}<text x="{:.1}" y="{:.1}" fill="{colour}">{}</text>"##,
            drawn.join(" "),
            right + 10.0,
            top + 18.0 * (place as f64 + 1.0),
            escape(&format!("{name}: {}", law(points)))
        );
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: impl Fn(f64) -> f64) -> Points {
        [5.0, 10.0, 100.0].iter().map(|size: &f64| (*size, of(*size))).collect()
    }

    #[test]
    fn the_law_of_a_power_is_found() {
        assert!((exponent(&points(|size| 3.0 * size * size)).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(law(&points(|size| 3.0 * size * size)), "n^2.00, quadratic");
        assert_eq!(law(&points(|_| 7.0)), "n^0.00, constant");
        assert_eq!(law(&points(|size| 5.0 / size)), "n^-1.00, falls as 1/n");
        assert_eq!(law(&points(f64::ln)), "n^0.34, less than linear");
        assert_eq!((law(&[(1.0, 1.0)]).as_str(), law(&[(1.0, 0.0), (2.0, 1.0)]).as_str()), ("–", "–"));
    }

    #[test]
    fn a_picture_is_drawn_of_many_sizes_of_one_and_of_none() {
        let line = |points: Points| ("a < b".to_owned(), points);
        for points in [points(|size| size), vec![(5.0, 2.0)], vec![(5.0, 0.0)], vec![]] {
            let panel = Panel { title: "bytes".into(), lines: vec![line(points.clone()), line(points)] };
            let drawn = picture("how it grows", "members", &[panel.clone(), panel]);
            assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n") && drawn.contains("bytes"), "{drawn}");
            assert!(!drawn.contains("NaN") && !drawn.contains("inf") && !drawn.contains("a < b"), "{drawn}");
        }
        assert!(page("t", "1 < 2", "<svg/>").contains("1 &lt; 2"));
    }
}
