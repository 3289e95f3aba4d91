//! Mutation tests: each protection of the core is switched off, and a history of shards, a scenario or a seed must notice.
//!
//! A checker that has never failed proves nothing. Only in builds with the feature `mutations`; the switch belongs to
//! the thread, so several mutants can be hunted at once.

use std::collections::BTreeSet;
use std::time::Duration;

use starling::mutation::{self, Mutation};

use crate::checker::Violation;
use crate::model::shards::search;
use crate::scenario::{self, Setting};
use crate::swarm::{SwarmOptions, Verdict, Without, run_seed};

/// Seeds of histories of whole shards, each in every instance: many, because which of them shows that a rule is gone
/// changes with every change of the store.
const HISTORIES: u64 = 500;

/// Protections of settling that histories of shards must miss.
const BY_SHARDS: [Mutation; 9] = [
    Mutation::SettleWhileMoving,
    Mutation::LeaverSealsAsOwner,
    Mutation::SealIgnored,
    Mutation::SealWithHints,
    Mutation::FreezeBeforeAllSealed,
    Mutation::FreezeIgnored,
    Mutation::CompactOnMajority,
    Mutation::LocalBaselineFold,
    Mutation::NewbornReports,
];

/// Seeds that are tried once no scenario has noticed.
const SEEDS: u64 = 12;

/// Protections whose absence only a rare order of events shows: hand-written stories of the core play it, one for each
/// (`src/shard/tests/{stability,loss,faulty,clocks,read_repair,proofs,council,trees,transfer,moves,adoption,lost_owners}.rs`, `src/antientropy/sums.rs`, `src/stability/decide_tests.rs`, `src/restore/tests.rs`, `src/coordinator/spread.rs`), and are run with the switches in.
/// What decides on layouts a search of every order of events plays (`src/membership/layout/paxos_tests.rs`).
const BY_STORY: [Mutation; 26] = [
    Mutation::UnreadRowsSummed,
    Mutation::StandInsCountTwice,
    Mutation::BackOffOutlivesLayout,
    Mutation::TransferDropsBeforeProof,
    Mutation::SyncWithOneTeacher,
    Mutation::AnyAnswerTaken,
    Mutation::RestoredWithoutQuorum,
    Mutation::TreeTrustedAfterCrash,
    Mutation::LostRowsCached,
    Mutation::ReportsSurviveWipe,
    Mutation::StartsShareRounds,
    Mutation::UnsealedSumTaken,
    Mutation::FutureContinued,
    Mutation::SealByOwnClock,
    Mutation::OlderFoldVouched,
    Mutation::ExpiredTaken,
    Mutation::RestoredUnderOldCluster,
    Mutation::LayoutByMinority,
    Mutation::PromiseNotDurable,
    Mutation::RepairToFallback,
    Mutation::StaleWriterTaken,
    Mutation::RoleKeepsEstablished,
    Mutation::FencedSpeaks,
    Mutation::PhaseWithoutBarrier,
    Mutation::ForgottenVoteRepeated,
    Mutation::TakenOverTakenBack,
];

/// The protections that histories of shards, scenarios or seeds must miss.
pub fn hunted() -> impl Iterator<Item = Mutation> {
    Mutation::ALL.into_iter().filter(|protection| !BY_STORY.contains(protection))
}

/// Who noticed a mutation, and what it said first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// The history, the scenario, or the seed.
    pub by: String,
    /// The first finding.
    pub finding: String,
    /// Every checker that complained about the same run.
    pub checkers: BTreeSet<&'static str>,
}

/// How the seeds of the hunt are run.
pub const SWARM: SwarmOptions =
    SwarmOptions { lasts: Duration::from_secs(60), rate: 50, without: Without::NOTHING, topics: None, prints: false };

/// Scenarios that take too long to be played once for each mutant, and show growth and cost rather than loss.
const TOO_LONG: [&str; 4] = ["big_set", "down_node_growth", "down_node_growth_wide", "hot_key_sessions"];

/// Switches a protection off and looks for somebody who notices: a history of shards for what settling rests on, else a
/// scenario, else a seed of the swarm.
pub fn hunt(protection: Mutation) -> Option<Noticed> {
    mutation::switch_off(Some(protection));
    let noticed = if BY_SHARDS.contains(&protection) { by_shards() } else { by_scenario().or_else(by_seed) };
    mutation::switch_off(None);
    noticed
}

/// Who complains although every protection is on. Nobody may: such a one would "notice" every mutant.
pub fn false_alarm() -> Option<Noticed> {
    by_shards().or_else(by_scenario).or_else(by_seed)
}

fn by_shards() -> Option<Noticed> {
    let failure = search::anywhere(HISTORIES, 0, &mut search::Seen::default())?;
    let by = format!("{}, seed {}, {} steps", failure.instance, failure.seed, failure.steps.len());
    Some(Noticed { by, finding: failure.found.to_string(), checkers: BTreeSet::new() })
}

fn by_scenario() -> Option<Noticed> {
    let quick = scenario::ALL.iter().filter(|scenario| !TOO_LONG.contains(&scenario.name));
    quick.into_iter().find_map(|scenario| {
        let outcome = scenario.run(Setting::default());
        let first = outcome.violations.first()?;
        let checkers = checkers(&outcome.violations);
        Some(Noticed { by: format!("scenario {}", scenario.name), finding: first.to_string(), checkers })
    })
}

fn by_seed() -> Option<Noticed> {
    (1..=SEEDS).find_map(|seed| {
        let report = run_seed(seed, SWARM);
        let checkers = match &report.verdict {
            Verdict::Passed => return None,
            Verdict::Wrong(violations) => checkers(violations),
            Verdict::NotConverged(_) | Verdict::Crashed(_) => BTreeSet::new(),
        };
        Some(Noticed { by: format!("seed {seed}"), finding: report.verdict.to_string(), checkers })
    })
}

fn checkers(violations: &[Violation]) -> BTreeSet<&'static str> {
    violations.iter().map(|violation| violation.checker).collect()
}
