//! Plan files: what is shipped is valid, what a fault does to the links, and which key a bad value is refused with.

use std::time::Duration;

use super::*;

const DEMO: &str = include_str!("../../plans/demo.toml");

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn check_refused(from: &str, to: &str, expected: &str) {
    assert!(DEMO.contains(from), "the test changes {from:?}, which the plan does not hold");
    let error = Plan::parse(&DEMO.replacen(from, to, 1)).expect_err(expected).to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn every_plan_that_is_shipped_is_valid_and_named_like_its_file() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let plan = Plan::parse(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), plan.name);
        names.push(plan.name);
    }
    names.sort();
    assert_eq!(names, Plan::shipped().collect::<Vec<_>>(), "every file in plans/ can be called by its name");
}

#[test]
fn a_configuration_changes_what_it_names_and_keeps_the_rest() {
    let plan = Plan::parse(DEMO).unwrap();
    let off = plan.configuration("no_repair").unwrap();
    assert_eq!((off.node.handoff, off.node.exchange), (Some(false), Some(false)));
    assert_eq!(off.node.suspect_after, Some(Duration::from_millis(400)));
    let shard = off.node.shard_config(off.quorums);
    assert!(!shard.handoff && !shard.exchange && !shard.strict);
    let strict = plan.configuration("strict").unwrap();
    assert!(strict.quorums.strict && strict.node.shard_config(strict.quorums).strict);
}

#[test]
fn a_split_cuts_every_link_between_its_sides_and_a_heal_mends_them() {
    let timeline = Plan::parse(DEMO).unwrap().timeline;
    assert!(timeline.links_at(secs(3)).is_whole());
    let split = timeline.links_at(secs(4));
    for (from, to, is_cut) in [(0, 1, false), (0, 2, true), (4, 1, true), (2, 4, false)] {
        assert_eq!(split.link(from, to).is_cut, is_cut, "{from} to {to}");
    }
    assert!(timeline.links_at(secs(13)).is_whole());
    assert!(timeline.links_at(secs(20)).link(4, 0).is_cut && !timeline.links_at(secs(20)).link(0, 2).is_cut);
}

#[test]
fn one_way_cuts_and_delays_add_to_a_split() {
    let at = |s, fault| Event { at: secs(s), fault };
    let timeline = Timeline::new(
        3,
        vec![
            at(1, Fault::OneWay { from: 0, to: 1 }),
            at(2, Fault::Delay { between: (0, 1), by: secs(1) }),
            at(3, Fault::Split(vec![vec![0, 1], vec![2]])),
            at(4, Fault::Heal),
        ],
    );
    assert!(timeline.links_at(secs(1)).link(0, 1).is_cut && !timeline.links_at(secs(1)).link(1, 0).is_cut);
    let all = timeline.links_at(secs(3));
    assert_eq!(all.link(1, 0), Link { is_cut: false, delay: secs(1) });
    assert!(all.link(0, 1).is_cut && all.link(2, 0).is_cut);
    assert!(timeline.links_at(secs(4)).is_whole());
}

#[test]
fn phases_cover_the_run_without_gaps_and_know_who_is_down() {
    let timeline = Timeline::new(
        2,
        vec![
            Event { at: secs(2), fault: Fault::Kill(1) },
            Event { at: secs(5), fault: Fault::Restart(1) },
            Event { at: secs(5), fault: Fault::Heal },
        ],
    );
    let phases = timeline.phases(secs(9));
    let spans: Vec<_> =
        phases.iter().map(|phase| (phase.from.as_secs(), phase.to.as_secs(), phase.is_faulty)).collect();
    assert_eq!(spans, [(0, 2, false), (2, 5, true), (5, 9, false)]);
    assert_eq!(phases[1].down, [1]);
    assert_eq!(timeline.healed_at(), Some(secs(5)));
}

#[test]
fn an_unknown_key_is_refused_with_its_name() {
    check_refused("settle_s", "settling_s", "settling_s");
    check_refused("suspect_after_ms", "suspect_ms", "suspect_ms");
    check_refused("converges", "converge", "converge");
}

#[test]
fn values_that_cannot_be_are_refused_with_the_key() {
    check_refused("replicas = 3", "replicas = 6", "cluster.replicas: 6; 1 to 5");
    check_refused("partitions = 64", "partitions = 60", "cluster.partitions: 60");
    check_refused("w = 2", "w = 4", "workload.w: 4; 1 to 3");
    check_refused("rate_per_second = 200.0", "rate_per_second = -1.0", "workload.rate_per_second: -1");
    check_refused("deltas = [1, 5]", "deltas = [5, 1]", "workload.deltas");
    check_refused("ping_interval_ms = 100", "ping_interval_ms = 900", "suspect_after and ping_interval");
    check_refused("at_least = 0.85", "at_least = 1.5", "at_least = 1.5");
    check_refused("duration_s = 24.0", "duration_s = nan", "duration_s: NaN");
}

#[test]
fn faults_that_cannot_be_are_refused_with_the_key() {
    check_refused(r#"isolate = "e""#, r#"isolate = "f""#, r#"fault.isolate: there is no node "f""#);
    check_refused(r#"["c", "d", "e"]]"#, r#"["c", "d"]]"#, "fault.split");
    check_refused(r#"["c", "d", "e"]]"#, r#"["c", "d", "e", "a"]]"#, "in two groups");
    check_refused(r#"isolate = "e""#, "isolate = \"e\"\nkill = \"a\"", "names 2 faults");
    check_refused(r#"isolate = "e""#, r#"kill = "a""#, "fault.restart");
    check_refused("at_s = 24.0\nheal = true", "at_s = 24.0\nisolate = \"a\"", "fault.heal");
    check_refused("at_s = 24.0\nheal", "at_s = 99.0\nheal", "fault.at_s");
    check_refused(r#"side = ["e"]"#, r#"side = ["d"]"#, "is not a side of a split");
}

#[test]
fn a_plan_that_does_not_exist_is_told_with_those_that_do() {
    let error = Plan::load("dmo").unwrap_err().to_string();
    assert!(error.contains("demo, isolate_one, kill_one, split_two_three"), "{error}");
    let error = Plan::load("no/such/file.toml").unwrap_err().to_string();
    assert!(error.contains("no/such/file.toml"), "{error}");
}

#[test]
fn the_watched_key_has_owners_on_most_sides() {
    let plan = Plan::load("demo").unwrap();
    let owners = |key: &str| match key {
        "likes:3" | "likes:7" => vec![0, 2, 4],
        _ => vec![0, 1, 3],
    };
    assert_eq!(plan.watched_key(owners), "likes:3");
}
