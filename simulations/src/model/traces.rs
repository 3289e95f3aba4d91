//! For rules that random histories hardly ever need: a history that fails without the rule and passes with it.
//!
//! Each was thought of first and then confirmed here; `README.md` tells them in words.

use super::instances;
use super::machine::rules::Rule;
use super::machine::step::Step;
use super::machine::world::Instance;

/// A history that misses rules.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The rules that must be off, all of them, for it to fail.
    pub rules: Vec<Rule>,
    /// The world, with all rules in force.
    pub world: Instance,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Trace {
    /// The world with the rules off.
    pub fn without(&self) -> Instance {
        let rules = self.rules.iter().fold(self.world.rules, |rules, rule| rules.without(*rule));
        Instance { rules, ..self.world.clone() }
    }
}

use Step::{
    Add, Compact, Copy, Crash, Delete, Deliver, EndSync, Exchange, Fold, Freeze, Hear, HearLate, Page, Remove, Report,
    ReportBaselines, Request, Restore, Retire, Seal, Set, Ship, Wipe,
};

/// Everybody hears everybody; node numbers up to `nodes`, owners first.
fn hear(owners: u8, nodes: u8) -> Vec<Step> {
    let pairs = (0..owners).flat_map(|owner| (0..nodes).map(move |node| (owner, node)));
    pairs.filter(|(owner, node)| owner != node).map(|(owner, node)| Hear(owner, node)).collect()
}

/// An owner comes back as a copy of itself from before a delete that both have forgotten.
fn copy_of_before_a_delete() -> Vec<Vec<Step>> {
    vec![
        vec![Set(0, 1, 0), Hear(1, 0), Exchange(1, 0), Copy(1), Delete(0, 1, 0), Exchange(1, 0)],
        freeze(2, 2),
        settle(2, true),
        vec![Restore(1)],
    ]
}

/// All seal the next tick and freeze it.
fn freeze(owners: u8, nodes: u8) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..nodes).map(Seal).collect();
    steps.extend(hear(owners, nodes));
    steps.extend((0..owners).map(Freeze));
    steps
}

/// Owners report, compact, and if `folds` fold and sweep, what is frozen.
fn settle(owners: u8, folds: bool) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..owners).map(Report).collect();
    steps.extend(hear(owners, owners));
    steps.extend((0..owners).map(Compact));
    if folds {
        steps.extend((0..owners).map(ReportBaselines));
        steps.extend(hear(owners, owners));
        steps.extend((0..owners).map(Fold));
        steps.extend((0..owners).map(Retire));
    }
    steps
}

/// All of them.
pub fn all() -> Vec<Trace> {
    let two = Instance { is_durable: true, ..instances::forgetful(1) };
    let three = Instance { owners: 3, ..two.clone() };
    let hinted = Instance { has_fallback: true, ..two.clone() };
    let short_lease = Instance { lease: 1, ..two.clone() };
    let trace = |rules: &[Rule], world: &Instance, parts: Vec<Vec<Step>>| Trace {
        rules: rules.to_vec(),
        world: world.clone(),
        steps: parts.concat(),
    };
    vec![
        trace(
            &[Rule::Tags, Rule::StartEndsRound],
            &three,
            vec![
                vec![Add(1, 1, 0)],
                freeze(3, 3),
                vec![Report(0), Hear(2, 0), Exchange(0, 1), Wipe(1), Hear(2, 1), Page(1, 2), EndSync(1, 2)],
                vec![Hear(1, 0), Hear(1, 2), Report(1), Hear(2, 1), Report(2), Compact(2)],
            ],
        ),
        trace(
            &[Rule::ServeKnown, Rule::AdoptReported, Rule::StartEndsRound],
            &three,
            vec![
                vec![Add(0, 1, 0), Hear(1, 0), Exchange(1, 0)],
                freeze(3, 3),
                vec![Report(0), Report(1), Hear(0, 1), Wipe(1), Page(1, 2), EndSync(1, 2), Exchange(2, 0)],
                vec![Report(2), Hear(0, 2), Compact(0), Hear(1, 0), Step::Adopt(1, 0)],
            ],
        ),
        trace(
            &[Rule::ReportSynced, Rule::AdoptReported],
            &Instance { is_durable: false, ..three.clone() },
            vec![
                vec![Add(2, 1, 0)],
                freeze(3, 3),
                vec![Exchange(0, 2), Report(0), Report(2), Exchange(1, 0), Report(1), Hear(2, 0), Hear(2, 1)],
                vec![Crash(1), Compact(2), Hear(1, 2), Step::Adopt(1, 2)],
            ],
        ),
        trace(
            &[Rule::GiverForgets],
            &hinted,
            vec![
                vec![Seal(0), Seal(2), Hear(0, 2), Hear(1, 2), Wipe(2), Step::TakeSeal(1), Seal(1), Add(2, 1, 0)],
                vec![Hear(0, 1), Freeze(0), Hear(1, 0), Freeze(1)],
            ],
        ),
        trace(
            &[Rule::NewbornTakesSeal],
            &two,
            vec![
                freeze(2, 2),
                settle(2, false),
                vec![Wipe(1), Hear(0, 1), Page(1, 0), EndSync(1, 0), Step::Request(0, 1, 1)],
            ],
        ),
        trace(
            &[Rule::EqualBaselines],
            &short_lease,
            vec![
                vec![Set(0, 1, 0), Delete(1, 1, 0)],
                freeze(2, 2),
                settle(2, false),
                vec![ReportBaselines(1), Fold(1), Retire(1)],
            ],
        ),
        trace(
            &[Rule::PresentAnswers],
            &three,
            vec![
                vec![Add(1, 1, 0), Ship(1, 0), Wipe(1), Hear(2, 1), Page(1, 2), EndSync(1, 2)],
                freeze(3, 3),
                vec![Report(0), Report(1), Report(2), Hear(2, 0), Hear(2, 1), Compact(2)],
                vec![HearLate(0, 0), Deliver(1, 0)],
            ],
        ),
        trace(
            &[Rule::NewbornOnlyPages],
            &two,
            vec![
                vec![Add(0, 1, 0), Ship(0, 0), Hear(1, 0), Exchange(1, 0), Remove(1, 1, 0), Hear(0, 1), Exchange(0, 1)],
                freeze(2, 2),
                settle(2, true),
                vec![Wipe(1), Hear(0, 1), Page(1, 0), Hear(1, 0), Deliver(2, 1), EndSync(1, 0)],
            ],
        ),
        trace(
            &[Rule::IgnoreDeadDots],
            &two,
            vec![
                vec![Add(0, 1, 0), Ship(0, 0), Hear(1, 0), Exchange(1, 0), Remove(1, 1, 0), Hear(0, 1), Exchange(0, 1)],
                freeze(2, 2),
                settle(2, true),
                vec![Deliver(2, 1)],
            ],
        ),
        trace(
            &[Rule::HintedRemovals],
            &hinted,
            vec![vec![Add(0, 1, 0), Deliver(0, 2), Remove(2, 1, 0), Hear(1, 0), Exchange(1, 0)], freeze(2, 3)],
        ),
        trace(
            &[Rule::DigestTombstones],
            &short_lease,
            vec![vec![Set(0, 1, 0), Delete(1, 1, 0)], freeze(2, 2), settle(2, true)],
        ),
        trace(
            &[Rule::RetireWaitsLease],
            &two,
            vec![
                vec![Set(0, 2, 0), Set(1, 1, 0), Delete(1, 1, 0), Hear(0, 1), Exchange(0, 1)],
                freeze(2, 2),
                settle(2, true),
            ],
        ),
        trace(
            &[Rule::RetireFolded],
            &short_lease,
            vec![vec![Set(0, 1, 0), Delete(1, 1, 0)], freeze(2, 2), settle(2, false), vec![Retire(1)]],
        ),
        trace(&[Rule::ProveLoss], &short_lease, copy_of_before_a_delete()),
        trace(&[Rule::GiveUp], &short_lease, copy_of_before_a_delete()),
        trace(
            &[Rule::StartEndsRound],
            &three,
            vec![
                vec![Copy(1), Add(1, 1, 0)],
                freeze(3, 3),
                vec![Report(0), Report(2), Hear(2, 0), Exchange(0, 1), Restore(1), Seal(1), Hear(1, 0), Hear(1, 2)],
                vec![Freeze(1), Report(1), Hear(2, 1), Compact(2)],
            ],
        ),
        trace(
            &[Rule::SessionClock],
            &two,
            vec![vec![Copy(1)], freeze(2, 2), settle(2, true), vec![Restore(1), Request(0, 1, 1)]],
        ),
        trace(
            &[Rule::Generation],
            &short_lease,
            vec![
                vec![Set(0, 1, 0), Delete(1, 1, 0), Ship(0, 0), Hear(0, 1), Exchange(0, 1)],
                freeze(2, 2),
                settle(2, true),
            ],
        ),
    ]
}
