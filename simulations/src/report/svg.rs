//! Plots as text: scales, ticks, and a frame with axes to draw into. No dependency, no script, no font.
//!
//! Colours are CSS classes of the page (`page.css`), so that a plot follows the reader's light or dark setting. A frame
//! is about as wide as a telephone's screen, so that its text stays readable there; wide screens show several in a row.

use std::fmt::Write as _;

/// Width of every frame. Unit: pixels of its own coordinate system.
pub const WIDTH: f64 = 420.0;
/// Height of a frame unless its content decides.
pub const HEIGHT: f64 = 246.0;

const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 36.0;

/// Text with the characters that mean something in HTML and SVG made harmless, also inside quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Control characters are not allowed in XML at all.
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// From values to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// Values `low..high` onto pixels `from..to`. An empty range is widened, so that nothing divides by zero.
    pub fn linear(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let high = if high > low { high } else { low + 1.0 };
        Scale { low, high, from, to, is_log: false }
    }

    /// The same by orders of magnitude. `low` must be above zero; smaller values are drawn at it.
    pub fn log(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let low = low.max(f64::MIN_POSITIVE);
        let high = if high > low { high } else { low * 10.0 };
        Scale { low: low.ln(), high: high.ln(), from, to, is_log: true }
    }

    /// Where a value lies; values outside are drawn at the edge.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.is_log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }
}

/// Round numbers from `low` to `high`, about `count` of them: steps of 1, 2 or 5 times a power of ten.
pub fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || count == 0 {
        return vec![low];
    }
    let raw = span / count as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Powers of ten from `low` to `high`.
pub fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let first = low.max(f64::MIN_POSITIVE).log10().ceil() as i32;
    let last = (high.log10() + 1e-9).floor() as i32;
    (first..=last).map(|power| 10_f64.powi(power)).collect()
}

/// A tick's label: no more digits than it needs.
pub fn number(value: f64) -> String {
    if value.abs() >= 10_000.0 && value % 1000.0 == 0.0 {
        return format!("{}k", value / 1000.0);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A span of time that is shaded, with a word on top.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Unit: seconds.
    pub from: f64,
    /// Unit: seconds.
    pub to: f64,
    /// What went wrong.
    pub label: String,
}

/// What the vertical axis shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// Orders of magnitude instead of even steps.
    pub is_log: bool,
    /// Name and unit: `ms`.
    pub label: &'static str,
}

/// A plot over time: axes, shaded faults, and what is drawn into it.
#[derive(Debug)]
pub struct Frame {
    x: Scale,
    y: Scale,
    body: String,
}

impl Frame {
    /// A frame from 0 to `end_s` seconds with its axes, grid and bands.
    pub fn over_time(end_s: f64, axis: &Axis, bands: &[Band]) -> Frame {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let x = Scale::linear(0.0, end_s, LEFT, right);
        let scale = if axis.is_log { Scale::log } else { Scale::linear };
        let y = scale(axis.low, axis.high, bottom, TOP);
        let mut body = String::new();
        for band in bands {
            let (from, to) = (x.at(band.from), x.at(band.to));
            let (width, middle) = ((to - from).max(1.0), (from + to) / 2.0);
            let height = bottom - TOP;
            let _ = write!(
                body,
                r#"<rect class="band" x="{from:.1}" y="{TOP}" width="{width:.1}" height="{height:.1}"/><text class="small" x="{middle:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                TOP - 6.0,
                escape(&band.label)
            );
        }
        let marks = if axis.is_log { log_ticks(axis.low, axis.high) } else { ticks(axis.low, axis.high, 4) };
        for value in marks {
            let at = y.at(value);
            let _ = write!(
                body,
                r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 5.0,
                at + 4.0,
                number(value)
            );
        }
        for value in ticks(0.0, end_s, 6) {
            let at = x.at(value);
            let _ = write!(
                body,
                r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{bottom}" y2="{:.1}"/><text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                bottom + 4.0,
                bottom + 17.0,
                number(value)
            );
        }
        let _ = write!(
            body,
            r#"<text class="small" x="{right}" y="{:.1}" text-anchor="end">seconds</text><text class="small" x="4" y="12">{}</text>"#,
            HEIGHT - 4.0,
            escape(axis.label)
        );
        Frame { x, y, body }
    }

    /// A line through points (seconds, value).
    pub fn line(&mut self, points: &[(f64, f64)], class: &str) {
        if points.is_empty() {
            return;
        }
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if index == 0 { "M" } else { "L" }, self.x.at(*x), self.y.at(*y));
        }
        let _ = write!(self.body, r#"<path class="line {class}" d="{path}"/>"#);
    }

    /// The area between two lines of points (seconds, lower value, upper value).
    pub fn area(&mut self, points: &[(f64, f64, f64)], class: &str) {
        if points.is_empty() {
            return;
        }
        let mut path = String::from("M");
        for (x, _, upper) in points {
            let _ = write!(path, "{:.1} {:.1} ", self.x.at(*x), self.y.at(*upper));
        }
        for (x, lower, _) in points.iter().rev() {
            let _ = write!(path, "{:.1} {:.1} ", self.x.at(*x), self.y.at(*lower));
        }
        let _ = write!(self.body, r#"<path class="area {class}" d="{}Z"/>"#, path.trim_end());
    }

    /// A vertical line with a word beside it.
    pub fn mark(&mut self, at_s: f64, label: &str) {
        let x = self.x.at(at_s);
        let bottom = HEIGHT - BOTTOM;
        let _ = write!(
            self.body,
            r#"<line class="mark" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}"/><text class="small" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            x - 4.0,
            TOP + 12.0,
            escape(label)
        );
    }

    /// The finished picture; `description` is what a reader who cannot see it is told.
    pub fn finish(self, description: &str) -> String {
        picture(HEIGHT, description, &self.body)
    }
}

/// An SVG element around a body of this height.
pub fn picture(height: f64, description: &str, body: &str) -> String {
    let description = escape(description);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{description}"><title>{description}</title>{body}</svg>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_maps_its_ends_and_clamps_what_lies_outside() {
        let scale = Scale::linear(0.0, 10.0, 200.0, 100.0);
        assert_eq!((scale.at(0.0), scale.at(5.0), scale.at(10.0)), (200.0, 150.0, 100.0));
        assert_eq!((scale.at(-3.0), scale.at(99.0)), (200.0, 100.0));
    }

    #[test]
    fn a_log_scale_gives_every_order_of_magnitude_the_same_room() {
        let scale = Scale::log(1.0, 1000.0, 0.0, 300.0);
        for (value, at) in [(1.0, 0.0), (10.0, 100.0), (100.0, 200.0), (1000.0, 300.0), (0.0, 0.0)] {
            assert!((scale.at(value) - at).abs() < 1e-9, "{value} lies at {}", scale.at(value));
        }
    }

    #[test]
    fn empty_ranges_do_not_divide_by_zero() {
        assert!(Scale::linear(3.0, 3.0, 0.0, 10.0).at(3.0).is_finite());
        assert!(Scale::log(0.0, 0.0, 0.0, 10.0).at(0.0).is_finite());
        assert_eq!(ticks(3.0, 3.0, 4), [3.0]);
    }

    #[test]
    fn ticks_are_round_and_stay_inside() {
        assert_eq!(ticks(0.0, 36.0, 6), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(-7.0, 7.0, 4), [-5.0, 0.0, 5.0]);
        assert_eq!(log_ticks(0.5, 2000.0), [1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn labels_have_no_more_digits_than_they_need() {
        let labels: Vec<_> = [0.0, 0.5, 20.0, 1500.0, 25_000.0, 0.125].into_iter().map(number).collect();
        assert_eq!(labels, ["0", "0.5", "20", "1500", "25k", "0.125"]);
    }

    #[test]
    fn text_cannot_leave_its_element_or_attribute() {
        assert_eq!(escape(r#"<b a="1" c='2'>&</b>"#), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;&lt;/b&gt;");
        assert_eq!(escape("a\u{0}b\u{1b}c"), "a\u{fffd}b\u{fffd}c");
        let axis = Axis { low: 0.0, high: 1.0, is_log: false, label: "x" };
        let band = Band { from: 1.0, to: 2.0, label: "</svg><script>".into() };
        let svg = Frame::over_time(10.0, &axis, &[band]).finish("\"><script>");
        assert!(!svg.contains("<script>"), "{svg}");
    }

    #[test]
    fn a_line_goes_through_its_points_in_pixels() {
        let axis = Axis { low: 0.0, high: 10.0, is_log: false, label: "" };
        let mut frame = Frame::over_time(10.0, &axis, &[]);
        frame.line(&[(0.0, 0.0), (10.0, 10.0)], "served");
        frame.line(&[], "nothing");
        let svg = frame.finish("a line");
        assert!(svg.contains(r#"<path class="line served" d="M46.0 210.0L410.0 36.0"/>"#), "{svg}");
        assert!(!svg.contains("nothing"));
    }
}
