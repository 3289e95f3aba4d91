//! What an owner may do next, from its own state and the answers to its present round: the rules, as a pure function.
//!
//! ```text
//! R7   all of the accept set have sealed t               ──→ freeze t           (one step at a time: frozen = compacted)
//! R8   all owners have frozen t, and settled as far as I ──→ survey, report
//! R9   all owners' reports for t equal, and their tags    ──→ compact t
//!      a co-owner has compacted t, from a report like mine ─→ compact t
//!      … from another one, or I cannot report t any more  ──→ catch up: an exchange with it, then its ticks
//! R10  the same with baselines, of ticks compacted by all ──→ fold
//! ```
//!
//! No vote, no leader: each owner acts on what it knows, and who comes late follows. What it waits for, it says.

use std::collections::BTreeMap;

use crate::causality::Tick;
use crate::ids::{Incarnation, NodeId};
use crate::message::client::{Need, Waiting};
use crate::message::peer::{Report, StabilityStanding, StabilityState};
use crate::mutation::{self, Mutation};

/// What an owner knows of a partition.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The own node.
    pub me: NodeId,
    /// The owners, the own node among them.
    pub owners: &'a [NodeId],
    /// Owners and fallbacks.
    pub accept_set: &'a [NodeId],
    /// The own state.
    pub own: &'a StabilityState,
    /// Answers to the present round.
    pub said: &'a BTreeMap<NodeId, StabilityState>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// From now on ticks up to this one change only by exchange.
    Freeze(Tick),
    /// Look through the own rows, and report what they hold of entries and of baselines up to these ticks.
    Survey(Tick, Tick),
    /// Replace entries up to here by their sum.
    Compact(Tick),
    /// Replace baselines up to here by their sum.
    Fold(Tick),
    /// Exchange with these owners: their reports differ from the own one.
    Compare(Vec<NodeId>),
    /// Exchange with this owner and take its ticks: it is ahead, and what it rests on cannot be compared any more.
    CatchUp(NodeId),
    /// Nothing, until these have done their part.
    Wait(Vec<Waiting>),
}

/// How the own report compares with the others'.
enum Tally {
    Equal,
    Missing(Vec<Waiting>),
    Unequal(Vec<NodeId>),
}

/// The next step of an established owner.
pub fn next(view: &View<'_>) -> Step {
    let own = view.own.marks;
    let silent: Vec<Waiting> =
        view.others().filter(|node| !view.said.contains_key(node)).map(Need::Answer.of()).collect();
    let mut others = view.said.iter().filter(|(_, state)| state.lifetimes != view.own.lifetimes).peekable();
    if others.peek().is_some() {
        // How old everything must be before it is forgotten is not the same there.
        return Step::Wait(silent.into_iter().chain(others.map(|(node, _)| Need::Lifetimes.of()(*node))).collect());
    }
    if let Some(step) = fold_with_step(view) {
        return step;
    }
    if silent.is_empty()
        && let Some(step) = freeze(view)
    {
        return step;
    }
    if view.co_owners().any(|node| !view.is_established(node)) {
        let newborn = view.co_owners().filter(|node| view.said.contains_key(node) && !view.is_established(*node));
        return Step::Wait(silent.into_iter().chain(newborn.map(Need::Data.of())).collect());
    }
    let ahead = view.states().filter(|(_, state)| state.marks.compacted > own.compacted);
    if let Some((node, state)) = ahead.max_by_key(|(_, state)| state.marks.compacted) {
        let basis = Basis { reached: state.marks.compacted, theirs: state.report, own: view.own.report };
        return match follow(basis, own.frozen) {
            Follow::Take(tick) => Step::Compact(tick),
            Follow::Report(tick) => Step::Survey(tick, own.compacted),
            Follow::CatchUp => Step::CatchUp(node),
        };
    }
    let behind: Vec<Waiting> = view
        .states()
        .filter(|(_, state)| state.marks.compacted < own.compacted)
        .map(|(node, _)| Need::Compaction.of()(node))
        .collect();
    if !behind.is_empty() {
        return Step::Wait(behind);
    }
    settle(view).unwrap_or_else(|| Step::Wait(silent.into_iter().chain(unsealed(view)).collect()))
}

/// R7. A step ends before the next one begins: what was frozen is compacted first.
fn freeze(view: &View<'_>) -> Option<Step> {
    let own = view.own.marks;
    let others = view.others().filter_map(|node| view.said.get(&node)).map(|state| match state.standing {
        StabilityStanding::Newborn => Tick(0),
        StabilityStanding::Owner | StabilityStanding::Fallback => state.marks.sealed,
    });
    let sealed_by_all = others.fold(own.sealed, Tick::min);
    let sealed = if mutation::is_off(Mutation::FreezeBeforeAllSealed) { own.sealed } else { sealed_by_all };
    (sealed > own.frozen && own.frozen <= own.compacted).then_some(Step::Freeze(sealed))
}

/// R10 between two steps: the survey of a step has reported the baselines too, of what all had compacted before it. They are
/// folded as soon as the step is done, before the next tick is frozen: where there is always a next one, nothing would ever
/// be forgotten.
fn fold_with_step(view: &View<'_>) -> Option<Step> {
    let own = view.own.marks;
    let report = view.own.baseline_report.filter(|report| report.tick > own.folded && own.frozen <= own.compacted)?;
    if view.co_owners().any(|node| !view.is_established(node)) {
        return None;
    }
    let is_done = |state: &StabilityState| state.marks.folded == report.tick && state.baseline_report == Some(report);
    let is_level = || view.states().all(|(_, state)| state.marks.folded == own.folded);
    let is_agreed = || is_level() && matches!(tally(view, report, |state| state.baseline_report), Tally::Equal);
    (view.states().any(|(_, state)| is_done(state)) || is_agreed()).then_some(Step::Fold(report.tick))
}

/// R8 to R10, among owners that have compacted equally far. Reports are compared among owners that have folded equally
/// far too: what one of them has forgotten would stand in the others' reports for ever.
fn settle(view: &View<'_>) -> Option<Step> {
    let own = view.own.marks;
    if view.states().any(|(_, state)| state.marks.folded != own.folded) {
        return fold(view);
    }
    let frozen = view.states().map(|(_, state)| state.marks.frozen).fold(own.frozen, Tick::min);
    if frozen > own.compacted {
        let Some(report) = view.own.report.filter(|report| report.tick == frozen) else {
            return Some(Step::Survey(frozen, own.compacted));
        };
        return Some(match tally(view, report, |state| state.report) {
            Tally::Equal => Step::Compact(frozen),
            Tally::Missing(waiting) => Step::Wait(waiting),
            Tally::Unequal(nodes) => Step::Compare(nodes),
        });
    }
    if own.frozen > own.compacted {
        let late = view.states().filter(|(_, state)| state.marks.frozen <= own.compacted);
        return Some(Step::Wait(late.map(|(node, _)| Need::Freeze.of()(node)).collect()));
    }
    fold(view)
}

/// R10.
fn fold(view: &View<'_>) -> Option<Step> {
    let own = view.own.marks;
    let ahead = view.states().filter(|(_, state)| state.marks.folded > own.folded);
    if let Some((node, state)) = ahead.max_by_key(|(_, state)| state.marks.folded) {
        let theirs = state.baseline_report;
        let basis = Basis { reached: state.marks.folded, theirs, own: view.own.baseline_report };
        return Some(match follow(basis, own.compacted) {
            Follow::Take(tick) => Step::Fold(tick),
            Follow::Report(tick) => Step::Survey(own.compacted, tick),
            Follow::CatchUp => Step::CatchUp(node),
        });
    }
    let behind: Vec<Waiting> = view
        .states()
        .filter(|(_, state)| state.marks.folded < own.folded)
        .map(|(node, _)| Need::Fold.of()(node))
        .collect();
    if !behind.is_empty() {
        return Some(Step::Wait(behind));
    }
    if own.folded >= own.compacted {
        return None;
    }
    let Some(report) = view.own.baseline_report.filter(|report| report.tick > own.folded) else {
        return Some(Step::Survey(own.compacted, own.compacted));
    };
    if mutation::is_off(Mutation::LocalBaselineFold) {
        return Some(Step::Fold(report.tick));
    }
    Some(match tally(view, report, |state| state.baseline_report) {
        Tally::Equal => Step::Fold(report.tick),
        // Of an older step: the present one is compared instead.
        Tally::Missing(_) | Tally::Unequal(_) if report.tick < own.compacted => {
            Step::Survey(own.compacted, own.compacted)
        }
        Tally::Missing(waiting) => Step::Wait(waiting),
        Tally::Unequal(nodes) => Step::Compare(nodes),
    })
}

/// A co-owner that is ahead, and what it rests on.
struct Basis {
    reached: Tick,
    theirs: Option<Report>,
    own: Option<Report>,
}

enum Follow {
    Take(Tick),
    Report(Tick),
    CatchUp,
}

/// How to follow a co-owner that is ahead. Its own report for what it reached tells which state it has summed up; one
/// that is equal to the present own state has the same sum. `may_report` is how far the own state can be reported.
fn follow(basis: Basis, may_report: Tick) -> Follow {
    let Basis { reached, theirs, own } = basis;
    match theirs.filter(|report| report.tick == reached) {
        None => Follow::CatchUp,
        Some(_) if may_report < reached => Follow::CatchUp,
        Some(theirs) => match own.filter(|report| report.tick == reached) {
            None => Follow::Report(reached),
            Some(own) if own == theirs => Follow::Take(reached),
            Some(_) => Follow::CatchUp,
        },
    }
}

/// R8: every owner reports the same state, and all mean the same directories, those that are known here now.
fn tally(view: &View<'_>, own: Report, of: impl Fn(&StabilityState) -> Option<Report>) -> Tally {
    let mut waiting = Vec::new();
    let mut unequal = Vec::new();
    for (node, state) in view.states() {
        match of(state).filter(|report| report.tick == own.tick) {
            None => waiting.push(Need::Report.of()(node)),
            Some(_) if !view.means_the_same(node, state) => waiting.push(Need::Directories.of()(node)),
            Some(report) if report.digest != own.digest => unequal.push(node),
            Some(_) => {}
        }
    }
    let missing = waiting.len() + unequal.len();
    let is_majority = (missing + 1) * 2 <= view.owners.len() + 1;
    if missing == 0 || is_majority && mutation::is_off(Mutation::CompactOnMajority) {
        Tally::Equal
    } else if unequal.is_empty() {
        Tally::Missing(waiting)
    } else {
        Tally::Unequal(unequal)
    }
}

/// Who has not sealed beyond what is compacted.
fn unsealed(view: &View<'_>) -> impl Iterator<Item = Waiting> {
    let compacted = view.own.marks.compacted;
    let is_unsealed = move |state: &StabilityState| state.marks.sealed <= compacted;
    let own = is_unsealed(view.own).then_some(view.me);
    let others = view.said.iter().filter(move |(_, state)| is_unsealed(state)).map(|(node, _)| *node);
    own.into_iter().chain(others).map(Need::Seal.of())
}

impl View<'_> {
    fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.accept_set.iter().copied().filter(|node| *node != self.me)
    }

    fn co_owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.owners.iter().copied().filter(|node| *node != self.me)
    }

    fn is_established(&self, node: NodeId) -> bool {
        self.said.get(&node).is_some_and(|state| state.standing == StabilityStanding::Owner)
    }

    /// The co-owners' states.
    fn states(&self) -> impl Iterator<Item = (NodeId, &StabilityState)> + '_ {
        self.co_owners().filter_map(|node| self.said.get(&node).map(|state| (node, state)))
    }

    /// Whether a co-owner's reports speak of the directories that are known here, all owners'.
    fn means_the_same(&self, node: NodeId, state: &StabilityState) -> bool {
        if mutation::is_off(Mutation::ReportsSurviveWipe) {
            return true;
        }
        let names = |tags: &[(NodeId, Incarnation)], node| tags.iter().find(|tag| tag.0 == node).map(|tag| tag.1);
        state.tags == self.own.tags
            && self.owners.iter().all(|owner| names(&self.own.tags, *owner).is_some())
            && names(&self.own.tags, node) == Some(state.marks.incarnation)
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
