//! Each rule, and what it must not do.

use super::*;
use crate::message::peer::{Lifetimes, Marks};

const OWNERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const ALL: [NodeId; 4] = [NodeId(1), NodeId(2), NodeId(3), NodeId(4)];

fn tags() -> Vec<(NodeId, Incarnation)> {
    OWNERS.iter().map(|node| (*node, Incarnation(node.0 * 10))).collect()
}

fn state(node: u64, ticks: [u32; 4]) -> StabilityState {
    let [sealed, frozen, compacted, folded] = ticks.map(Tick);
    let is_owner = OWNERS.contains(&NodeId(node));
    StabilityState {
        standing: if is_owner { StabilityStanding::Owner } else { StabilityStanding::Fallback },
        lifetimes: Lifetimes { tick_us: 10, lease_ticks: 6 },
        marks: Marks { incarnation: Incarnation(node * 10), sealed, frozen, compacted, folded },
        tags: tags(),
        report: None,
        baseline_report: None,
    }
}

/// Node 1 among states of the others, each with its number.
struct Story {
    own: StabilityState,
    said: BTreeMap<NodeId, StabilityState>,
}

impl Story {
    /// All of the accept set stand at these ticks.
    fn level(ticks: [u32; 4]) -> Story {
        let said = (2..=4).map(|node| (NodeId(node), state(node, ticks))).collect();
        Story { own: state(1, ticks), said }
    }

    fn with(mut self, node: u64, change: impl FnOnce(&mut StabilityState)) -> Story {
        change(if node == 1 { &mut self.own } else { self.said.get_mut(&NodeId(node)).unwrap() });
        self
    }

    fn reported(self, tick: u32, digests: [u128; 3]) -> Story {
        (1..=3).zip(digests).fold(self, |story, (node, digest)| {
            story.with(node, |state| state.report = Some(Report { tick: Tick(tick), digest }))
        })
    }

    fn reported_baselines(self, tick: u32, digests: [u128; 3]) -> Story {
        (1..=3).zip(digests).fold(self, |story, (node, digest)| {
            story.with(node, |state| state.baseline_report = Some(Report { tick: Tick(tick), digest }))
        })
    }

    fn silent(mut self, node: u64) -> Story {
        self.said.remove(&NodeId(node));
        self
    }

    fn next(&self) -> Step {
        next(&View { me: NodeId(1), owners: &OWNERS, accept_set: &ALL, own: &self.own, said: &self.said })
    }
}

fn waits(need: Need, node: u64) -> Step {
    Step::Wait(vec![Waiting { node: NodeId(node), need }])
}

#[test]
fn what_all_of_the_accept_set_have_sealed_is_frozen_and_no_more() {
    let story = || Story::level([9, 5, 5, 5]);
    assert_eq!(story().next(), Step::Freeze(Tick(9)));
    assert_eq!(story().with(4, |state| state.marks.sealed = Tick(7)).next(), Step::Freeze(Tick(7)));
    assert_eq!(story().with(4, |state| state.marks.sealed = Tick(5)).next(), waits(Need::Seal, 4));
    assert_eq!(story().silent(4).next(), waits(Need::Answer, 4), "a fallback that is down holds a step back …");
    assert_eq!(
        Story::level([9, 9, 5, 5]).silent(4).next(),
        Step::Survey(Tick(9), Tick(5)),
        "… but not one that is under way"
    );
}

#[test]
fn a_node_that_must_learn_first_has_sealed_nothing() {
    let story = Story::level([9, 5, 5, 5]);
    assert_eq!(story.with(4, |state| state.standing = StabilityStanding::Newborn).next(), Step::Wait(vec![]));
    let story = Story::level([9, 9, 5, 5]).reported(9, [7, 7, 7]);
    assert_eq!(story.with(3, |state| state.standing = StabilityStanding::Newborn).next(), waits(Need::Data, 3));
}

#[test]
fn a_step_ends_before_the_next_one_begins() {
    let story = Story::level([12, 9, 5, 5]);
    assert_eq!(story.next(), Step::Survey(Tick(9), Tick(5)));
}

#[test]
fn owners_report_what_all_owners_have_frozen() {
    let story = Story::level([12, 9, 5, 5]).with(2, |state| state.marks.frozen = Tick(8));
    assert_eq!(story.next(), Step::Survey(Tick(8), Tick(5)));
    let story = Story::level([12, 9, 5, 5]).with(2, |state| state.marks.frozen = Tick(5));
    assert_eq!(story.next(), waits(Need::Freeze, 2));
}

#[test]
fn equal_reports_of_all_owners_are_compacted_and_of_fewer_never() {
    let story = || Story::level([9, 9, 5, 5]);
    assert_eq!(story().reported(9, [7, 7, 7]).next(), Step::Compact(Tick(9)));
    assert_eq!(story().reported(9, [7, 7, 8]).next(), Step::Compare(vec![NodeId(3)]));
    assert_eq!(story().reported(9, [7, 7, 7]).with(3, |state| state.report = None).next(), waits(Need::Report, 3));
    assert_eq!(story().reported(9, [7, 7, 7]).silent(3).next(), waits(Need::Answer, 3));
    let older = |state: &mut StabilityState| state.report = Some(Report { tick: Tick(8), digest: 7 });
    assert_eq!(story().reported(9, [7, 7, 7]).with(3, older).next(), waits(Need::Report, 3));
}

#[test]
fn reports_count_only_if_all_mean_the_same_directories() {
    let story = || Story::level([9, 9, 5, 5]).reported(9, [7, 7, 7]);
    let of_another = |state: &mut StabilityState| state.tags[1].1 = Incarnation(999);
    assert_eq!(story().with(3, of_another).next(), waits(Need::Directories, 3));
    let is_another = |state: &mut StabilityState| state.marks.incarnation = Incarnation(999);
    assert_eq!(story().with(3, is_another).next(), waits(Need::Directories, 3));
    let not_known = |state: &mut StabilityState| {
        state.tags.pop();
    };
    let nobody_knows = story().with(1, not_known).with(2, not_known).with(3, not_known);
    assert!(matches!(nobody_knows.next(), Step::Wait(waiting) if waiting.len() == 2));
}

#[test]
fn nothing_is_settled_with_a_node_whose_actors_live_longer() {
    let ready = || Story::level([9, 5, 5, 5]);
    assert_eq!(ready().next(), Step::Freeze(Tick(9)));
    let longer = |state: &mut StabilityState| state.lifetimes.lease_ticks = 7;
    assert_eq!(ready().with(3, longer).next(), waits(Need::Lifetimes, 3));
    assert_eq!(Story::level([9, 9, 5, 5]).reported(9, [7, 7, 7]).with(4, longer).next(), waits(Need::Lifetimes, 4));
}

#[test]
fn who_comes_late_follows_a_report_that_is_like_its_own() {
    let ahead = |own: u128| {
        Story::level([9, 9, 5, 5]).reported(9, [own, 7, 7]).with(2, |state| state.marks.compacted = Tick(9))
    };
    assert_eq!(ahead(7).next(), Step::Compact(Tick(9)));
    assert_eq!(ahead(8).next(), Step::CatchUp(NodeId(2)), "it has another state, and the others' sum stands");
    assert_eq!(ahead(7).with(1, |state| state.report = None).next(), Step::Survey(Tick(9), Tick(5)));
    assert_eq!(ahead(7).with(2, |state| state.report = None).next(), Step::CatchUp(NodeId(2)));
    assert_eq!(ahead(7).with(1, |state| state.marks.frozen = Tick(8)).next(), Step::CatchUp(NodeId(2)));
}

#[test]
fn who_is_ahead_waits_for_the_others() {
    let story = Story::level([12, 9, 9, 5]).reported(9, [7, 7, 7]).with(3, |state| state.marks.compacted = Tick(5));
    let story = story.with(1, |state| state.marks.frozen = Tick(12));
    assert_eq!(story.next(), waits(Need::Compaction, 3));
}

#[test]
fn baselines_are_folded_when_all_owners_report_the_same() {
    let story = || Story::level([9, 9, 9, 5]);
    assert_eq!(story().next(), Step::Survey(Tick(9), Tick(9)));
    assert_eq!(story().reported_baselines(9, [4, 4, 4]).next(), Step::Fold(Tick(9)));
    assert_eq!(story().reported_baselines(9, [4, 5, 4]).next(), Step::Compare(vec![NodeId(2)]));
    let story = story().reported_baselines(9, [4, 4, 4]).with(2, |state| state.marks.folded = Tick(9));
    assert_eq!(story.next(), Step::Fold(Tick(9)));
    let story = story.with(2, |state| state.baseline_report = None);
    assert_eq!(story.next(), Step::CatchUp(NodeId(2)));
}

#[test]
fn baselines_that_were_reported_with_a_step_are_folded_after_it() {
    // The survey for tick 9 counted baselines up to 7, which all had compacted then.
    let story = || Story::level([9, 9, 9, 5]).reported(9, [7, 7, 7]);
    assert_eq!(story().reported_baselines(7, [4, 4, 4]).next(), Step::Fold(Tick(7)));
    assert_eq!(story().reported_baselines(7, [4, 5, 4]).next(), Step::Survey(Tick(9), Tick(9)));
}

#[test]
fn where_there_is_always_a_next_step_baselines_are_folded_between_two() {
    // It has just compacted, the others have not, and the next tick is sealed by all.
    let story = || {
        let level = Story::level([12, 9, 5, 3]).reported(9, [7, 7, 7]).reported_baselines(5, [4, 4, 4]);
        level.with(1, |state| state.marks.compacted = Tick(9))
    };
    assert_eq!(story().next(), Step::Fold(Tick(5)));
    let folded = story().with(1, |state| state.marks.folded = Tick(5));
    assert_eq!(folded.next(), Step::Freeze(Tick(12)));
    assert_eq!(story().reported_baselines(5, [4, 5, 4]).next(), Step::Freeze(Tick(12)), "which waits for nothing");
    assert_eq!(story().silent(3).next(), waits(Need::Answer, 3), "not without all owners");
    let follows = story().with(2, |state| state.marks.folded = Tick(5));
    assert_eq!(follows.next(), Step::Fold(Tick(5)));
    let in_a_step = Story::level([12, 9, 5, 3]).reported(9, [7, 7, 7]).reported_baselines(5, [4, 4, 4]);
    assert_eq!(in_a_step.next(), Step::Compact(Tick(9)), "first the step that the report was made for");
}

#[test]
fn owners_fold_equally_far_before_they_compare_the_next_step() {
    let story = || Story::level([12, 12, 9, 5]).reported(12, [1, 2, 3]);
    let ahead = story().reported_baselines(9, [4, 4, 4]).with(2, |state| state.marks.folded = Tick(9));
    assert_eq!(ahead.next(), Step::Fold(Tick(9)));
    let lost = ahead.with(1, |state| state.baseline_report = None);
    assert_eq!(lost.next(), Step::Survey(Tick(9), Tick(9)));
    let lost = lost.with(2, |state| state.baseline_report = None);
    assert_eq!(lost.next(), Step::CatchUp(NodeId(2)));
    let behind = story().with(1, |state| state.marks.folded = Tick(9));
    assert!(matches!(behind.next(), Step::Wait(waiting) if waiting.len() == 2));
}

#[test]
fn a_partition_that_is_settled_has_nothing_to_do() {
    assert_eq!(
        Story::level([9, 9, 9, 9]).reported(9, [7, 7, 7]).next(),
        Step::Wait(vec![
            Waiting { node: NodeId(1), need: Need::Seal },
            Waiting { node: NodeId(2), need: Need::Seal },
            Waiting { node: NodeId(3), need: Need::Seal },
            Waiting { node: NodeId(4), need: Need::Seal },
        ])
    );
}

/// What the step is with a protection switched off.
#[cfg(feature = "mutations")]
fn without(protection: Mutation, story: &Story) -> Step {
    mutation::switch_off(Some(protection));
    let step = story.next();
    mutation::switch_off(None);
    step
}

#[cfg(feature = "mutations")]
#[test]
fn each_rule_is_held_by_its_protection_alone() {
    let unsealed = Story::level([9, 5, 5, 5]).with(4, |state| state.marks.sealed = Tick(5));
    assert_eq!(without(Mutation::FreezeBeforeAllSealed, &unsealed), Step::Freeze(Tick(9)));

    let unequal = Story::level([9, 9, 5, 5]).reported(9, [7, 7, 8]);
    assert_eq!(unequal.next(), Step::Compare(vec![NodeId(3)]));
    assert_eq!(without(Mutation::CompactOnMajority, &unequal), Step::Compact(Tick(9)));

    let is_another = |state: &mut StabilityState| state.marks.incarnation = Incarnation(999);
    let wiped = Story::level([9, 9, 5, 5]).reported(9, [7, 7, 7]).with(3, is_another);
    assert_eq!(wiped.next(), waits(Need::Directories, 3));
    assert_eq!(without(Mutation::ReportsSurviveWipe, &wiped), Step::Compact(Tick(9)));

    let alone = Story::level([9, 9, 9, 5]).reported_baselines(9, [4, 5, 4]);
    assert_eq!(alone.next(), Step::Compare(vec![NodeId(2)]));
    assert_eq!(without(Mutation::LocalBaselineFold, &alone), Step::Fold(Tick(9)));
}
