//! The figures of a report from samples made by hand, and the page that is made of them.

use std::time::Duration;

use super::convergence::{self, Convergence, Range};
use super::*;
use crate::plan::{OpClass, Plan};

const DEMO: &str = include_str!("../../plans/demo.toml");

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn op(node: usize, at: u64, by: i64, outcome: OpOutcome) -> Op {
    Op { node, kind: OpKind::Increment(by), key: "likes:0".into(), start: ms(at), end: ms(at + 5), outcome }
}

fn refused() -> OpOutcome {
    OpOutcome::Refused("too few".into())
}

fn unknown() -> OpOutcome {
    OpOutcome::Unknown("no answer".into())
}

/// The demo's splits are at 4 to 12 s and 17 to 24 s.
fn measured(ops: Vec<Op>, samples: &[(u64, u32)], counts: &[Option<i128>]) -> Measured {
    Measured {
        configuration: "sloppy".into(),
        world: World::Virtual,
        seed: 1,
        ops,
        divergence: samples
            .iter()
            .map(|(at, n)| DivergenceSample { at: ms(*at), compared: 4, differing: *n })
            .collect(),
        watched_key: "likes:0".into(),
        views: vec![ViewSample { at: ms(100), counts: vec![Some(3), None, Some(0), Some(3), Some(0)] }],
        watched_owners: vec![0, 1, 3],
        events: Vec::new(),
        final_counts: counts
            .iter()
            .enumerate()
            .map(|(owner, count)| FinalCount { key: "likes:0".into(), owner, count: *count, state_hash: String::new() })
            .collect(),
        notes: Vec::new(),
    }
}

#[test]
fn availability_counts_a_sides_own_clients_while_it_is_cut_off() {
    let plan = Plan::parse(DEMO).unwrap();
    let late = Op { end: ms(9_000), ..op(0, 5_000, 1, OpOutcome::Ok) };
    let ops = vec![
        op(0, 3_999, 1, refused()),
        op(0, 4_000, 1, OpOutcome::Ok),
        op(1, 5_000, 1, refused()),
        op(1, 11_999, 1, unknown()),
        late,
        op(2, 5_000, 1, OpOutcome::Ok),
        op(0, 12_000, 1, refused()),
    ];
    let sides = figures::sides(&plan, &measured(ops, &[], &[]), ms(1000));
    assert_eq!(sides[0].nodes, [0, 1]);
    let expected = figures::Tally { offered: 4, served: 1, late: 1, refused: 1, unknown: 1 };
    assert_eq!(sides[0].tally(OpClass::Writes), expected);
    assert_eq!(sides[0].tally(OpClass::All).availability(), Some(0.25));
    assert_eq!(sides[1].tally(OpClass::Writes).availability(), Some(1.0));
    assert_eq!(sides[1].tally(OpClass::Reads).availability(), None);
}

#[test]
fn faults_count_from_when_they_really_came() {
    let plan = Plan::parse(DEMO).unwrap();
    let mut measured = measured(vec![op(0, 4_010, 1, refused())], &[], &[]);
    measured.events = vec![(0, ms(4_020))];
    assert_eq!(figures::sides(&plan, &measured, ms(1000))[0].writes.offered, 0);
}

#[test]
fn convergence_is_the_first_sample_after_which_the_owners_stay_equal() {
    let plan = Plan::parse(DEMO).unwrap();
    let found = |samples: &[(u64, u32)]| convergence::convergence(&plan, &measured(Vec::new(), samples, &[]));
    assert_eq!(
        found(&[(23_000, 0), (24_500, 2), (25_000, 0), (25_500, 1), (26_000, 0), (27_000, 0)]),
        Convergence::After(ms(2_000))
    );
    assert_eq!(found(&[(24_500, 2), (30_000, 1)]), Convergence::NotConverged { share: 0.25, keys: 1 });
    assert_eq!(found(&[(23_000, 0)]), Convergence::NotMeasured);
    assert_eq!(found(&[]), Convergence::NotMeasured);
}

#[test]
fn the_area_under_divergence_is_that_of_its_trapezoids() {
    let area = convergence::divergence_area(&measured(Vec::new(), &[(0, 0), (1_000, 4), (3_000, 4), (4_000, 0)], &[]));
    assert!((area - 3.0).abs() < 1e-9, "{area}");
}

#[test]
fn a_count_is_right_from_acknowledged_to_acknowledged_plus_unknown() {
    let ops =
        || vec![op(0, 1, 5, OpOutcome::Ok), op(0, 2, 3, unknown()), op(0, 3, 100, refused()), op(0, 4, -2, unknown())];
    let measured = measured(ops(), &[], &[Some(3), Some(8), Some(2), Some(9), None]);
    let range = Range { acknowledged: 5, unknown_low: -2, unknown_high: 3 };
    assert_eq!(convergence::ranges(&measured)["likes:0"], range);
    let checked = convergence::check_counts(&measured);
    let right: Vec<_> = checked.iter().map(convergence::Checked::is_right).collect();
    assert_eq!(right, [true, true, false, false, false]);
    let errors: Vec<_> = checked.iter().map(convergence::Checked::error).collect();
    assert_eq!(errors, [Some(0), Some(0), Some(-1), Some(1), None]);
}

#[test]
fn expectations_fail_when_the_run_breaks_them() {
    let plan = Plan::parse(DEMO).unwrap();
    let good = || {
        let mut ops = Vec::new();
        for node in 0..5 {
            ops.push(op(node, 5_000, 1, OpOutcome::Ok));
            ops.push(op(node, 18_000, 1, if node == 4 { refused() } else { OpOutcome::Ok }));
        }
        measured(ops, &[(24_500, 2), (26_000, 0)], &[Some(9), Some(9), Some(9)])
    };
    let report = Report::new(plan.clone(), vec![good()]);
    assert!(report.holds(), "{:?}", report.verdicts(&report.runs[0]));

    let mut lost = good();
    lost.final_counts[1].count = Some(8);
    let mut apart = good();
    apart.divergence[1].differing = 1;
    let mut refusing = good();
    refusing.ops[0].outcome = refused();
    for broken in [lost, apart, refusing] {
        assert!(!Report::new(plan.clone(), vec![broken]).holds());
    }
    assert!(!Report::new(plan, vec![measured(Vec::new(), &[], &[])]).holds(), "nothing measured proves nothing");
}

#[test]
fn the_page_is_complete_in_itself_and_no_text_becomes_markup() {
    let mut plan = Plan::parse(DEMO).unwrap();
    plan.description = "<script>alert(1)</script>".into();
    plan.configurations[0].title = "\"><img src=x onerror=y>".into();
    let mut run = measured(vec![op(0, 5_000, 1, OpOutcome::Refused("<b>".into()))], &[(25_000, 1)], &[Some(0)]);
    run.notes = vec!["<i>".into()];
    let report = Report::new(plan, vec![run]);
    let page = report.page();
    for forbidden in ["<script", "<img", "<b>&lt;", "<i>", "http:", "https:", "url(", "@import", "<link"] {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("&lt;img src=x onerror=y&gt;"));
    assert!(report.table().contains("NOT AS EXPECTED, sloppy"));
}
