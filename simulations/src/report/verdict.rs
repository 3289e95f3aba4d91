//! The plan's expectations against what was measured.

use super::convergence::{self, Convergence};
use super::{Measured, figures};
use crate::plan::{AvailabilityBound, Configuration, OpClass, Plan};

/// One expectation and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the plan says, in words.
    pub expected: String,
    /// What was measured, in words.
    pub found: String,
    /// Whether the two agree.
    pub holds: bool,
}

/// Every expectation of a configuration, judged.
pub fn verdicts(plan: &Plan, configuration: &Configuration, measured: &Measured) -> Vec<Verdict> {
    let expect = &configuration.expect;
    let mut verdicts: Vec<Verdict> =
        expect.availability.iter().map(|bound| availability(plan, configuration, measured, bound)).collect();
    if let Some(expected) = expect.converges {
        verdicts.push(converges(plan, measured, expected));
    }
    if let Some(expected) = expect.exact_counts {
        verdicts.push(exact_counts(measured, expected));
    }
    verdicts
}

/// A share as percent with one decimal, never rounded up to 100 %.
pub fn percent(share: f64) -> String {
    let tenths = (share * 1000.0 + 1e-6).floor();
    format!("{:.1} %", tenths / 10.0)
}

/// A span in milliseconds or seconds, as people read it.
pub fn span(time: std::time::Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 0.05 => "<0.1 ms".to_owned(),
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// The class in words.
pub fn class_name(of: OpClass) -> &'static str {
    match of {
        OpClass::Writes => "writes",
        OpClass::Reads => "reads",
        OpClass::All => "requests",
    }
}

fn availability(plan: &Plan, run: &Configuration, measured: &Measured, bound: &AvailabilityBound) -> Verdict {
    let sides = figures::sides(plan, measured, run.quorums.deadline);
    let tally = sides
        .iter()
        .filter(|side| side.nodes == bound.side)
        .fold(figures::Tally::default(), |sum, side| sum.plus(side.tally(bound.of)));
    let what = format!("{} on {{{}}} served during the split", class_name(bound.of), plan.names(&bound.side));
    let expected = match (bound.at_least > 0.0, bound.at_most < 1.0) {
        (true, true) => format!("{what}: {} to {}", percent(bound.at_least), percent(bound.at_most)),
        (true, false) => format!("{what}: at least {}", percent(bound.at_least)),
        _ => format!("{what}: at most {}", percent(bound.at_most)),
    };
    let found = match tally.availability() {
        Some(share) => format!("{} of {}", percent(share), tally.offered),
        None => "no request was made".to_owned(),
    };
    let holds = tally.availability().is_some_and(|share| share >= bound.at_least && share <= bound.at_most);
    Verdict { expected, found, holds }
}

fn converges(plan: &Plan, measured: &Measured, expected: bool) -> Verdict {
    let convergence = convergence::convergence(plan, measured);
    let holds = match convergence {
        Convergence::After(_) => expected,
        Convergence::NotConverged { .. } => !expected,
        Convergence::NotMeasured => false,
    };
    let expected = if expected { "owners become equal by themselves" } else { "owners stay different" };
    Verdict { expected: expected.to_owned(), found: in_words(convergence), holds }
}

/// How the run ended, in a few words.
pub fn in_words(convergence: Convergence) -> String {
    match convergence {
        Convergence::After(time) => format!("equal {} after the heal", span(time)),
        Convergence::NotConverged { share, keys } => {
            format!("not converged: owners of {keys} keys ({}) still differ", percent(share))
        }
        Convergence::NotMeasured => "not measured: no owner answered after the heal".to_owned(),
    }
}

fn exact_counts(measured: &Measured, expected: bool) -> Verdict {
    let counts = convergence::check_counts(measured);
    let wrong = counts.iter().filter(|count| !count.is_right()).count();
    let found = format!("{} of {} counts right", counts.len() - wrong, counts.len());
    let holds = !counts.is_empty() && (wrong == 0) == expected;
    let expected = if expected {
        "every owner's every count is what was acknowledged, plus at most what was unknown"
    } else {
        "some owners miss acknowledged increments"
    };
    Verdict { expected: expected.to_owned(), found, holds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_below_one_is_never_shown_as_all() {
        assert_eq!(
            (percent(1.0), percent(0.99999), percent(0.85)),
            ("100.0 %".into(), "99.9 %".into(), "85.0 %".into())
        );
    }

    #[test]
    fn spans_have_the_unit_that_people_read() {
        let of = |ms| span(std::time::Duration::from_micros(ms));
        assert_eq!(of(3), "<0.1 ms");
        assert_eq!((of(1_234), of(45_600), of(1_950_000)), ("1.2 ms".into(), "46 ms".into(), "1.9 s".into()));
    }
}
