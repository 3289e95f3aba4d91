//! A small swarm: every seed must pass every checker, and come to rest.

use std::time::Duration;

use starling_sim::checker::JUDGED;
use starling_sim::cli::swarm::run_seeds;
use starling_sim::swarm::changes::{KINDS, RARE};
use starling_sim::swarm::{Part, SeedReport, SwarmOptions, TROUBLES, Verdict, Without};
use starling_sim::workload::Topics;

/// So many seconds of all the trouble but members that change.
fn same_members(seconds: u64) -> SwarmOptions {
    SwarmOptions { without: Without::of(&[Part::Members]), ..SwarmOptions::of(Duration::from_secs(seconds), 50) }
}

fn has_met(report: &SeedReport, kind: &str) -> bool {
    report.statistics.changes.iter().any(|(met, count)| *met == kind && *count > 0)
}

/// Seeds in which operators did what few seeds meet: several drained, moved to other zones and addresses, zones and majorities lost.
const OF_OPERATORS: [u64; 4] = [14, 23, 42, 47];

#[test]
fn seeds_in_which_zones_and_majorities_are_lost_lose_nothing_else_and_converge() {
    let options = SwarmOptions::of(Duration::from_secs(30), 40);
    let reports: Vec<SeedReport> =
        OF_OPERATORS.into_iter().flat_map(|seed| run_seeds(seed..seed + 1, 1, options, |_| {})).collect();
    for SeedReport { seed, verdict, shape, .. } in &reports {
        assert!(*verdict == Verdict::Passed, "seed {seed}: {verdict}\n  made of {shape}");
    }
    for kind in RARE {
        assert!(reports.iter().any(|report| has_met(report, kind)), "no seed met {kind:?}");
    }
}

/// Seed 127 once failed: a paid hint stayed for ever, for the stand-in had not learned yet what was sealed.
#[test]
fn seeds_whose_members_change_lose_nothing_and_converge() {
    let reports = run_seeds(101..149, 2, SwarmOptions::of(Duration::from_secs(24), 30), |_| {});
    let mut failed = String::new();
    for report in reports.iter().filter(|report| report.verdict != Verdict::Passed) {
        failed += &format!("\nseed {}: {}\n  made of {}", report.seed, report.verdict, report.shape);
    }
    assert!(failed.is_empty(), "replay with `starling-sim replay SEED --minutes 0.4 --rate 30`:{failed}");

    let decided = reports.iter().flat_map(|report| &report.statistics.judged).any(|(name, _)| *name == "one_layout");
    assert!(decided, "in no seed was a layout decided");
    // Every kind of change must have been decided on in some seed, and every other kind of trouble beside one.
    let is_changed = |report: &&SeedReport| report.statistics.changes.iter().any(|(_, count)| *count > 0);
    let changed: Vec<&SeedReport> = reports.iter().filter(is_changed).collect();
    for kind in KINDS.into_iter().filter(|kind| !RARE.contains(kind)) {
        assert!(changed.iter().any(|report| has_met(report, kind)), "no seed met {kind:?}");
    }
    for trouble in TROUBLES {
        assert!(changed.iter().any(|report| report.troubles.contains(&trouble)), "no change went with {trouble:?}");
    }
}

#[test]
fn two_dozen_seeds_of_random_faults_lose_nothing_and_converge() {
    let options = same_members(120);
    let reports = run_seeds(1..25, 2, options, |_| {});
    let mut failed = String::new();
    for report in reports.iter().filter(|report| report.verdict != Verdict::Passed) {
        failed += &format!("\nseed {}: {}\n  made of {}", report.seed, report.verdict, report.shape);
    }
    assert!(failed.is_empty(), "replay with `starling-sim replay SEED --minutes 2`:{failed}");

    // The swarm must have met what it is about; otherwise it proves nothing.
    let happened = [
        "debt recorded",
        "debt struck",
        "hint dropped",
        "established",
        "exchange done",
        "peer suspected",
        "sealed",
        "frozen",
        "compacted",
        "folded",
        "conflict",
        "repaired",
    ];
    for kind in happened {
        let met = reports.iter().flat_map(|report| &report.statistics.facts).any(|(seen, _)| *seen == kind);
        assert!(met, "no seed met {kind:?}");
    }
    // Two live processes of one member are a story's business: no seed draws them. A key that is emptied before its deadline and
    // then written is met by one seed of ten only; a story has it too.
    // Layouts are decided where members change.
    let rare = ["rivals_refuse", "begun_anew: written anew", "one_layout"];
    for name in JUDGED.into_iter().filter(|name| !rare.contains(name)) {
        let judged = reports.iter().flat_map(|report| &report.statistics.judged).any(|(seen, _)| *seen == name);
        assert!(judged, "in no seed was anything judged of {name:?}");
    }
    for topic in Topics::all().list() {
        assert!(reports.iter().any(|report| report.statistics.topics.has(topic)), "no seed was about {topic:?}");
    }
}

/// What seeds drew before N, zones and further wishes of operators were drawn: those that failed then are made of it.
const AS_THEN: [Part; 2] = [Part::Placement, Part::Operator];

/// Seeds of one minute that once failed, and what they showed.
const ONCE_FAILED: [(u64, &str); 6] = [
    (
        150,
        "a removed counter counted again: a co-owner that had forgotten it took its sum back without what covered it",
    ),
    (247, "a read lacked an acknowledged increment: answers to two questions of one dialogue were mixed"),
    (249, "a put was gone: it had not seen a deadline that was over before it"),
    (927, "owners never agreed: a report was not void when a flag's old floor came to count again"),
    (764, "owners never agreed: rows of sessions stood in a sum whose owner was wiped after it had sent it"),
    (551, "owners never agreed: the range of a partition's last leaf ended beyond the partition, and was refused"),
];

#[test]
fn seeds_that_once_failed_pass() {
    let without = Without::of(&AS_THEN).and(Part::Members);
    let options = SwarmOptions { without, ..SwarmOptions::of(Duration::from_secs(60), 50) };
    for (seed, showed) in ONCE_FAILED {
        for report in run_seeds(seed..seed + 1, 1, options, |_| {}) {
            assert!(report.verdict == Verdict::Passed, "seed {seed} ({showed}): {}", report.verdict);
        }
    }
}

/// Seeds of half a minute whose members change, which once failed, and what they showed.
const ONCE_FAILED_WITH_MEMBERS: [(u64, &str); 5] = [
    (7, "partitions had an owner less: a change that had declared a member lost was taken back"),
    (62, "the same, with a network that loses and repeats frames"),
    (20, "an answer named a node that had no part in the key any more: a change was taken back under a write"),
    (80, "the same, where nodes stood in"),
    (1, "a node that is no owner was owed rows for ever: they were noted in the turn in which the layout was taken up"),
];

/// Seeds of half a minute that once failed with all that is drawn, and what they showed.
const ONCE_FAILED_WITH_ALL: [(u64, &str); 4] = [
    (60, "nothing was ever forgotten where one node is the whole accept set: it waited for an answer of nobody"),
    (124, "partitions were nobody's: a change was taken back by which the survivors of a lost majority had taken over"),
    (
        241,
        "a change never ended: a recovery that came to nothing had taken votes, and none with all members could be made",
    ),
    (235, "nobody was ever loaded: the one teacher was put behind newborns that were asked again and again"),
];

#[test]
fn seeds_of_everything_that_once_failed_pass() {
    let options = SwarmOptions::of(Duration::from_secs(30), 40);
    for (seed, showed) in ONCE_FAILED_WITH_ALL {
        for report in run_seeds(seed..seed + 1, 1, options, |_| {}) {
            assert!(report.verdict == Verdict::Passed, "seed {seed} ({showed}): {}", report.verdict);
        }
    }
}

#[test]
fn seeds_whose_members_change_and_that_once_failed_pass() {
    let options = SwarmOptions { without: Without::of(&AS_THEN), ..SwarmOptions::of(Duration::from_secs(30), 40) };
    for (seed, showed) in ONCE_FAILED_WITH_MEMBERS {
        for report in run_seeds(seed..seed + 1, 1, options, |_| {}) {
            assert!(report.verdict == Verdict::Passed, "seed {seed} ({showed}): {}", report.verdict);
        }
    }
}
