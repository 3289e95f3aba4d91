//! Compaction over histories: three owners of one key with sessions' rows beside it, and a model that knows every event.
//!
//! The ticks of actors are 1 to 4. A tick is sealed (no events of it any more) and frozen at once; what `stability` would
//! prove by messages is read off all owners here. The model is a set of events and the set of those that resets covered.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::causality::{Dot, Epoch, Tenure};
use crate::time::Hlc;

const OWNERS: usize = 3;

/// One step; message numbers are taken modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    /// An owner coordinates an untagged increment under its actor of a tick.
    Increment { at: usize, tick: u32, by: i64 },
    /// A session adds more, and sends its totals to an owner.
    Session { at: usize, tick: u32, number: u64, by: i64 },
    /// What a session sent at any time arrives at an owner, perhaps again.
    Resend { request: usize, at: usize },
    /// An owner resets the counter that it sees, or one that it has seen together with another.
    Reset { at: usize, observes: Option<usize> },
    /// A delta that was sent at any time arrives.
    Deliver { message: usize, to: usize },
    /// An owner gets everything that another has; main row first, or rows of sessions first.
    Exchange { from: usize, to: usize, main_first: bool },
    /// A tick is over: nobody takes its events any more.
    Seal,
    /// An owner adds up what is proved to be equal everywhere.
    Compact { at: usize },
    /// An owner adds up baselines that are proved to be equal everywhere.
    Fold { at: usize },
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let at = 0..OWNERS;
    let tick = 1..5u32;
    let by = -5..6i64;
    let step = prop_oneof![
        4 => (at.clone(), tick.clone(), by.clone()).prop_map(|(at, tick, by)| Step::Increment { at, tick, by }),
        4 => (at.clone(), tick, 0..2u64, by).prop_map(|(at, tick, number, by)| Step::Session { at, tick, number, by }),
        2 => (any::<usize>(), at.clone()).prop_map(|(request, at)| Step::Resend { request, at }),
        2 => (at.clone(), proptest::option::of(at.clone())).prop_map(|(at, observes)| Step::Reset { at, observes }),
        3 => (any::<usize>(), at.clone()).prop_map(|(message, to)| Step::Deliver { message, to }),
        9 => (at.clone(), at.clone(), any::<bool>())
            .prop_map(|(from, to, main_first)| Step::Exchange { from, to, main_first }),
        2 => Just(Step::Seal),
        6 => at.clone().prop_map(|at| Step::Compact { at }),
        4 => at.prop_map(|at| Step::Fold { at }),
    ];
    vec(step, 1..100)
}

/// The rows of one key at one owner, as `replica` keeps them.
#[derive(Clone, Debug, Default)]
struct Family {
    main: Row,
    beside: Beside,
    sessions: BTreeMap<ActorId, Row>,
    compacted: Tick,
    folded: Tick,
}

/// What someone knows: events with what they added, and those that a reset covered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    events: BTreeMap<Dot, i64>,
    covered: BTreeSet<Dot>,
}

impl Model {
    fn merge(&mut self, other: &Model) {
        self.events.extend(other.events.iter().map(|(dot, by)| (*dot, *by)));
        self.covered.extend(other.covered.iter());
    }

    fn sum(&self) -> i64 {
        self.events.iter().filter(|(dot, _)| !self.covered.contains(dot)).map(|(_, by)| by).sum()
    }

    fn is_live(&self) -> bool {
        self.events.keys().any(|dot| !self.covered.contains(dot))
    }

    fn of_actor(&self, actor: ActorId) -> Model {
        let events = self.events.iter().filter(|(dot, _)| dot.actor == actor).map(|(dot, by)| (*dot, *by));
        Model { events: events.collect(), covered: BTreeSet::new() }
    }
}

impl Family {
    /// Everything of the key in one row.
    fn whole(&self) -> Row {
        self.sessions.values().fold(self.main.clone(), |mut whole, row| {
            whole.merge(row);
            whole
        })
    }

    fn merge_main(&mut self, row: &Row) {
        self.main.merge(row);
        self.normalise();
    }

    fn merge_session(&mut self, actor: ActorId, row: &Row) {
        if actor.expires <= self.main.settled_tick().max(self.compacted) {
            // No row stands for it any more; what a reset saw of it belongs to the main row.
            self.merge_main(row);
            return;
        }
        let before = self.sessions.get(&actor).cloned();
        let after = self.sessions.entry(actor).or_default();
        after.merge(row);
        self.beside.replace_session(before.as_ref(), Some(after), actor);
    }

    fn normalise(&mut self) {
        self.beside.settle(&mut self.main, self.compacted);
        self.main.fold_baselines(self.folded);
        let settled = self.main.settled_tick().max(self.compacted);
        self.sessions.retain(|actor, _| actor.expires > settled);
    }

    fn touches(&self, parts: &Parts, frozen: Tick) -> bool {
        let nothing = Row::default();
        self.main.touches(&parts.main, Closed::to_owner(frozen, self.compacted))
            || parts.sessions.iter().any(|(actor, row)| {
                self.sessions.get(actor).unwrap_or(&nothing).touches(row, Closed::to_owner(frozen, self.compacted))
            })
    }

    /// Of the key, as a survey would add it up.
    fn digest(&self, through: Tick) -> BTreeMap<Option<ActorId>, u128> {
        let sessions = self.sessions.iter().map(|(actor, row)| (Some(*actor), row.digest(through)));
        let rows = sessions.chain([(None, self.main.digest(through))]);
        rows.filter_map(|(row, digest)| Some((row, digest?))).collect()
    }

    fn baseline_digest(&self, through: Tick) -> Option<u128> {
        self.main.baseline_digest(through, Duration::from_secs(1), 10)
    }
}

/// A delta of several rows.
#[derive(Clone, Debug, Default)]
struct Parts {
    main: Row,
    sessions: Vec<(ActorId, Row)>,
}

#[derive(Debug, Default)]
struct World {
    owners: Vec<(Family, Model)>,
    messages: Vec<(Parts, Model)>,
    requests: Vec<(Dot, Totals, Model)>,
    sessions: BTreeMap<ActorId, (u64, Totals, Model)>,
    event: u64,
    sealed: Tick,
    /// Ticks of which all owners reported the same, and those of baselines with what they reported.
    proved: Tick,
    foldable: Option<(Tick, Option<u128>)>,
}

impl World {
    fn after(steps: &[Step]) -> World {
        let mut world = World { owners: vec![Default::default(); OWNERS], ..World::default() };
        for step in steps {
            world.take(step);
            for (family, model) in &world.owners {
                check(family, model);
            }
            world.check_digests();
        }
        world
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Increment { at, tick, by } => self.increment(*at, Tick(*tick), *by),
            Step::Session { at, tick, number, by } => {
                let actor = ActorId { expires: Tick(*tick), epoch: Epoch(*number), tenure: Tenure::SESSION };
                let (event, totals, model) = self.sessions.entry(actor).or_default();
                *event += 1;
                let part = if *by < 0 { &mut totals.n } else { &mut totals.p };
                *part += u128::from(by.unsigned_abs());
                let dot = Dot { actor, event: *event };
                model.events.insert(dot, *by);
                let request = (dot, *totals, model.clone());
                self.requests.push(request);
                self.request(self.requests.len() - 1, *at);
            }
            Step::Resend { request, at } => {
                if !self.requests.is_empty() {
                    self.request(request % self.requests.len(), *at);
                }
            }
            Step::Reset { at, observes } => self.reset(*at, *observes),
            Step::Deliver { message, to } => {
                if self.messages.is_empty() {
                    return;
                }
                let (parts, news) = self.messages[message % self.messages.len()].clone();
                let (family, model) = &mut self.owners[*to];
                if !family.touches(&parts, self.sealed) {
                    family.merge_main(&parts.main);
                    parts.sessions.iter().for_each(|(actor, row)| family.merge_session(*actor, row));
                    model.merge(&news);
                }
            }
            Step::Exchange { from, to, main_first } => {
                let (theirs, news) = self.owners[*from].clone();
                let (family, model) = &mut self.owners[*to];
                let mut main = theirs.main.clone();
                main.ignore_settled(&family.main, family.compacted, family.folded);
                if *main_first {
                    family.merge_main(&main);
                }
                for (actor, row) in &theirs.sessions {
                    let mut row = row.clone();
                    row.ignore_settled(&Row::default(), family.compacted, family.folded);
                    family.merge_session(*actor, &row);
                }
                family.merge_main(&main);
                model.merge(&news);
            }
            Step::Seal => self.sealed = Tick((self.sealed.0 + 1).min(4)),
            Step::Compact { at } => {
                let digest = |owner: &(Family, Model)| owner.0.digest(self.sealed);
                let pending = self.owners.iter().filter(|owner| owner.0.compacted < self.sealed);
                let mut digests = pending.map(digest);
                if let Some(first) = digests.next()
                    && self.proved < self.sealed
                    && self.owners.iter().all(|owner| owner.0.compacted == self.proved && digest(owner) == first)
                {
                    self.proved = self.sealed;
                }
                let (family, _) = &mut self.owners[*at];
                family.compacted = self.proved;
                family.normalise();
            }
            Step::Fold { at } => {
                let tick = self.proved;
                let first = self.owners[0].0.baseline_digest(tick);
                let is_equal =
                    |owner: &(Family, Model)| owner.0.compacted == tick && owner.0.baseline_digest(tick) == first;
                if self.owners.iter().all(is_equal) {
                    self.foldable = Some((tick, first));
                }
                let (family, _) = &mut self.owners[*at];
                if let Some((tick, reported)) = self.foldable
                    && family.compacted >= tick
                    && family.baseline_digest(tick) == reported
                {
                    family.folded = tick;
                    family.normalise();
                }
            }
        }
    }

    fn increment(&mut self, at: usize, tick: Tick, by: i64) {
        if tick <= self.sealed {
            return;
        }
        self.event += 1;
        let actor = ActorId { expires: tick, epoch: Epoch(at as u64), tenure: Tenure(0) };
        let dot = Dot { actor, event: self.event };
        let (family, model) = &mut self.owners[at];
        let stamp = Hlc { wall: self.event, logical: 0 };
        let delta = family.main.increment(dot, stamp, by, &family.beside).unwrap();
        model.events.insert(dot, by);
        let news = model.of_actor(actor);
        self.messages.push((Parts { main: delta, sessions: Vec::new() }, news));
    }

    fn request(&mut self, request: usize, at: usize) {
        let (dot, totals, news) = self.requests[request].clone();
        if dot.actor.expires <= self.sealed {
            return;
        }
        let (family, model) = &mut self.owners[at];
        let mut row = family.sessions.get(&dot.actor).cloned().unwrap_or_default();
        let change = row.session_change(dot.actor, dot.event, totals).unwrap();
        let known = model.of_actor(dot.actor);
        let seen = known.events.keys().next_back().map_or(0, |dot| dot.event);
        let expected: i64 = news.events.iter().filter(|(dot, _)| dot.event > seen).map(|(_, by)| by).sum();
        assert_eq!(change, (dot.event > seen).then_some(expected));
        let delta = row.increment_as(dot.actor, dot.event, totals).unwrap();
        family.merge_session(dot.actor, &delta);
        model.merge(&news);
        let mut sent = known;
        sent.merge(&news);
        self.messages.push((Parts { main: Row::default(), sessions: vec![(dot.actor, delta)] }, sent));
    }

    fn reset(&mut self, at: usize, observes: Option<usize>) {
        self.event += 1;
        let mut news = self.owners[at].1.clone();
        let mut observed = self.owners[at].0.whole();
        if let Some(other) = observes {
            observed.merge(&self.owners[other].0.whole());
            news.merge(&self.owners[other].1);
        }
        news.covered.extend(news.events.keys().copied());
        // The actor never expires here; what matters are the entries that it covers.
        let actor = ActorId { expires: Tick(9), epoch: Epoch(at as u64), tenure: Tenure(0) };
        let stamp = Hlc { wall: self.event, logical: 0 };
        let delta = Row::default().reset(Dot { actor, event: self.event }, stamp, &observed);
        let (main, sessions) = delta.split_sessions();
        let parts = Parts { main, sessions };
        let (family, model) = &mut self.owners[at];
        // What the other showed may be late for this one, as any delta may.
        if family.touches(&parts, self.sealed) {
            return;
        }
        family.merge_main(&parts.main);
        parts.sessions.iter().for_each(|(actor, row)| family.merge_session(*actor, row));
        model.merge(&news);
        self.messages.push((parts, news));
    }

    /// Owners that report the same have the same, as far as the report goes.
    fn check_digests(&self) {
        for through in (1..=4).map(Tick) {
            for (one, mine) in &self.owners {
                for (other, theirs) in &self.owners {
                    if one.digest(through) == other.digest(through) {
                        let expired = |model: &Model| -> i64 {
                            model.events.iter().filter(|(dot, _)| dot.actor.expires <= through).map(|(_, by)| by).sum()
                        };
                        assert_eq!(expired(mine), expired(theirs), "equal digests, equal sums");
                    }
                }
            }
        }
    }
}

fn check(family: &Family, model: &Model) {
    let Family { main, beside, sessions, compacted, .. } = family;
    assert_eq!(main.counter_sum_text(beside), model.sum().to_string(), "the value is that of the events it knows");
    assert_eq!(main.has_live_counter(beside), model.is_live());
    assert_eq!(family.whole().counter_sum_text(&Beside::NONE), model.sum().to_string(), "and so is the whole");
    assert_eq!(beside.sessions().rows, sessions.len() as u64);
    assert_eq!(Row::decode(&main.encode()).as_ref(), Ok(main));
    let mut bytes = Vec::new();
    beside.encode_into(&mut bytes);
    assert_eq!(Beside::decode(&bytes).as_ref(), Ok(beside));
    assert!(sessions.keys().all(|actor| actor.expires > *compacted), "what has settled has no row");
    let rebuilt = sessions.iter().fold(Beside::NONE, |mut rebuilt, (actor, row)| {
        rebuilt.replace_session(None, Some(row), *actor);
        rebuilt
    });
    assert_eq!(&rebuilt, beside, "what stands beside is what was noted");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_owner_shows_what_the_events_it_knows_add_up_to_whoever_has_compacted(steps in any_steps()) {
        World::after(&steps);
    }

    #[test]
    fn owners_that_exchange_everything_agree_and_forget_every_expired_actor(steps in any_steps()) {
        let mut world = World::after(&steps);
        let everybody = |world: &mut World| {
            for _ in 0..2 {
                for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
                    world.take(&Step::Exchange { from, to, main_first: true });
                }
            }
        };
        for _ in 0..4 {
            everybody(&mut world);
            (0..OWNERS).for_each(|at| world.take(&Step::Compact { at }));
            everybody(&mut world);
            (0..OWNERS).for_each(|at| world.take(&Step::Fold { at }));
            world.take(&Step::Seal);
        }
        everybody(&mut world);
        (0..OWNERS).for_each(|at| world.take(&Step::Compact { at }));
        everybody(&mut world);
        (0..OWNERS).for_each(|at| world.take(&Step::Fold { at }));
        let all = world.owners.iter().fold(Model::default(), |mut all, (_, model)| {
            all.merge(model);
            all
        });
        for (family, model) in &world.owners {
            prop_assert_eq!(model, &all);
            check(family, model);
            prop_assert_eq!(family.main.encode(), world.owners[0].0.main.encode());
            prop_assert!(family.sessions.is_empty() && family.beside.is_empty(), "no session has a row");
            prop_assert!(family.main.actors().all(|(actor, _)| actor.expires == Tick(9)), "no expired actor is named");
        }
    }
}

/// The same histories in every run.
fn histories(count: usize) -> Vec<Vec<Step>> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    (0..count).map(|_| any_steps().new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn the_histories_compact_fold_and_refuse() {
    let (mut compacted, mut folded, mut covered) = (0, 0, 0);
    for steps in histories(100) {
        for (family, _) in World::after(&steps).owners {
            compacted += u32::from(family.main.settled_tick() > Tick(0));
            folded += u32::from(family.folded > Tick(0));
            covered += u32::from(family.main.covered_tick() > Tick(0));
        }
    }
    assert!(
        compacted > 20 && folded > 20 && covered > 5,
        "{compacted} {folded} {covered}: histories that prove little"
    );
}

/// A checker that has never failed proves nothing.
#[cfg(feature = "mutations")]
#[test]
fn the_histories_notice_every_protection_that_is_missing() {
    use crate::mutation::{self, Mutation};
    let histories = histories(400);
    for protection in [
        Mutation::MergeKeepsSettledEntries,
        Mutation::ResetWithoutEntries,
        Mutation::BaselineNotSuperseded,
        Mutation::MergeTakesLargerSum,
    ] {
        mutation::switch_off(Some(protection));
        let is_noticed = histories.iter().any(|steps| std::panic::catch_unwind(|| World::after(steps)).is_err());
        mutation::switch_off(None);
        assert!(is_noticed, "nobody misses {protection:?}");
    }
}

fn actor(tick: u32) -> ActorId {
    ActorId { expires: Tick(tick), epoch: Epoch(1), tenure: Tenure(0) }
}

fn at(wall: u64) -> Hlc {
    Hlc { wall, logical: 0 }
}

fn counter(ticks: &[u32]) -> Row {
    let mut row = Row::default();
    for tick in ticks {
        row.increment(Dot { actor: actor(*tick), event: 1 }, at(1), i64::from(*tick), &Beside::NONE).unwrap();
    }
    row
}

#[test]
fn a_quiet_row_stays_as_it_is_when_the_ticks_go_on() {
    let mut row = counter(&[3, 5, 9]);
    assert!(row.compact(Tick(6)));
    assert_eq!(row.settled_tick(), Tick(5), "the largest tick that was added up");
    let quiet = row.clone();
    assert!(!row.compact(Tick(8)) && row == quiet);
}

#[test]
fn who_has_compacted_and_who_has_not_merge_to_the_sum_in_either_direction() {
    let plain = counter(&[3, 5, 9]);
    let mut compacted = plain.clone();
    compacted.compact(Tick(6));
    let (mut one, mut other) = (plain.clone(), compacted.clone());
    one.merge(&compacted);
    other.merge(&plain);
    assert_eq!((&one, &other), (&compacted, &compacted));
    assert_eq!(compacted.counter_sum_text(&Beside::NONE), "17");
}

#[test]
fn a_reset_of_a_settled_sum_supersedes_older_baselines() {
    let mut row = counter(&[3]);
    let whole = row.clone();
    row.reset(Dot { actor: actor(9), event: 1 }, at(2), &whole);
    row.compact(Tick(4));
    assert_eq!((row.counter_sum_text(&Beside::NONE).as_str(), row.covered_tick()), ("0", Tick(0)));
    let whole = row.clone();
    row.reset(Dot { actor: actor(9), event: 2 }, at(3), &whole);
    assert_eq!((row.counter_sum_text(&Beside::NONE).as_str(), row.covered_tick()), ("0", Tick(3)));
    assert!(!row.has_live_counter(&Beside::NONE));
}

#[test]
fn a_late_delta_touches_what_is_frozen_and_a_sum_does_not() {
    let ours = counter(&[3]);
    assert!(!ours.touches(&counter(&[3]), Closed::to_owner(Tick(4), Tick(0))), "it is known");
    assert!(ours.touches(&counter(&[2]), Closed::to_owner(Tick(4), Tick(0))));
    assert!(!ours.touches(&counter(&[5]), Closed::to_owner(Tick(4), Tick(0))), "it is not frozen");
    let mut sum = counter(&[2, 3]);
    sum.compact(Tick(4));
    assert!(!ours.touches(&sum, Closed::to_owner(Tick(4), Tick(0))), "sums are welcome");
    assert!(Row::default().touches(&sum, Closed::to_owner(Tick(4), Tick(4))), "a sum that was retired is not");
}

const TICK: Duration = Duration::from_secs(1);

#[test]
fn a_deleted_counter_is_forgotten_when_all_of_it_has_settled_and_expired() {
    let mut row = counter(&[3]);
    let whole = row.clone();
    row.delete(Dot { actor: actor(9), event: 1 }, at(8_500_000), &whole);
    let steps = |row: &mut Row, through: u32| {
        row.compact(Tick(through));
        row.fold_baselines(Tick(through));
        row.retire(Tick(through), TICK, 10, &Beside::NONE)
    };
    steps(&mut row, 9);
    assert!(!row.is_empty(), "an actor that writes below the deletion may still live");
    assert_eq!(row.visible(&Beside::NONE, WallTime(0)), super::super::Visible::Nothing);
    let whole = row.clone();
    row.delete(Dot { actor: actor(12), event: 1 }, at(9_000_000), &whole);
    assert!(steps(&mut row, 29) && row.is_empty());
}

/// What an owner holds of a deleted counter when it has summed up the entries, but not yet the baselines.
fn deleted_and_half_settled() -> Row {
    let mut row = counter(&[3]);
    let whole = row.clone();
    row.delete(Dot { actor: actor(4), event: 1 }, at(2_000_000), &whole);
    row.compact(Tick(4));
    row
}

#[test]
fn a_sum_that_was_forgotten_here_comes_back_with_all_that_covers_it() {
    let forgotten = Row::default();
    let mut incoming = deleted_and_half_settled();
    incoming.ignore_settled(&forgotten, Tick(30), Tick(30));
    assert_eq!(incoming.counter_sum_text(&Beside::NONE), "0");
    assert_eq!(incoming.visible(&Beside::NONE, WallTime(0)), super::super::Visible::Nothing);
}

#[test]
fn a_spent_counter_that_was_forgotten_here_does_not_come_back_at_all() {
    let mut incoming = deleted_and_half_settled();
    incoming.ignore_settled(&Row::default(), Tick(30), Tick(30));
    let spent = incoming.clone();
    incoming.ignore_retired(&Row::default(), Tick(30), TICK, 10, &Beside::NONE);
    assert!(incoming.is_empty());
    let mut used = spent;
    used.increment(Dot { actor: actor(40), event: 1 }, at(38_000_000), 1, &Beside::NONE).unwrap();
    let mut incoming = used.clone();
    incoming.ignore_retired(&Row::default(), Tick(30), TICK, 10, &Beside::NONE);
    assert!(incoming.string.register.is_unwritten(), "the removal was forgotten here");
    let (kept, sent) = (incoming.string.counter, used.string.counter);
    assert_eq!(kept, sent, "the sender cannot forget a sum that is in use, so it is to be held everywhere");
}

#[test]
fn a_deadline_that_was_forgotten_here_comes_back_only_with_what_it_hides() {
    let mut hiding = Row::default();
    hiding.set_expiry(Dot { actor: actor(2), event: 1 }, at(1_500_000), Some(WallTime(3_000_000)));
    let ignore = |row: &Row, ours: &Row| {
        let mut incoming = row.clone();
        incoming.ignore_retired(ours, Tick(30), TICK, 10, &Beside::NONE);
        incoming
    };
    assert!(ignore(&hiding, &Row::default()).is_empty());
    assert_eq!(ignore(&hiding, &counter(&[40])), hiding);
    hiding.merge(&counter(&[40]));
    assert_eq!(ignore(&hiding, &Row::default()), hiding);
}

#[test]
fn a_removed_member_is_forgotten_when_its_removal_has_settled() {
    let mut row = Row::default();
    row.add_member(Dot { actor: actor(3), event: 1 });
    let whole = row.clone();
    row.remove_member(Dot { actor: actor(5), event: 1 }, &whole);
    row.compact(Tick(4));
    assert!(!row.retire(Tick(4), TICK, 10, &Beside::NONE), "the removal itself has not settled");
    row.compact(Tick(5));
    assert!(row.retire(Tick(5), TICK, 10, &Beside::NONE) && row.is_empty());
}

#[test]
fn a_late_addition_after_a_removal_was_forgotten_is_refused_and_a_tombstone_ignored() {
    let mut added = Row::default();
    added.add_member(Dot { actor: actor(3), event: 1 });
    let mut removed = added.clone();
    removed.remove_member(Dot { actor: actor(4), event: 1 }, &added);
    let forgotten = Row::default();
    assert!(forgotten.touches(&added, Closed::to_owner(Tick(5), Tick(5))));
    let mut incoming = removed.clone();
    incoming.ignore_settled(&forgotten, Tick(5), Tick(5));
    assert!(incoming.is_empty());
    let mut incoming = removed.clone();
    incoming.ignore_settled(&removed, Tick(5), Tick(5));
    assert_eq!(incoming, removed, "who still has it may have it");
}

#[test]
fn a_fresh_removal_of_what_is_frozen_is_welcome() {
    let mut added = Row::default();
    added.add_member(Dot { actor: actor(3), event: 1 });
    let mut removed = added.clone();
    removed.remove_member(Dot { actor: actor(9), event: 1 }, &added);
    assert!(!added.touches(&removed, Closed::to_owner(Tick(5), Tick(0))));
    assert_eq!(added.digest(Tick(5)), removed.digest(Tick(5)), "and leaves the report alone");
}

#[test]
fn a_deadline_that_is_over_goes_last() {
    let mut row = Row::default();
    row.put(Dot { actor: actor(2), event: 1 }, at(1_000_000), bytes::Bytes::from_static(b"x"), &Row::default());
    row.set_expiry(Dot { actor: actor(2), event: 2 }, at(1_500_000), Some(WallTime(3_000_000)));
    let whole = row.clone();
    row.sweep(Dot { actor: actor(5), event: 1 }, at(3_500_000), &whole);
    assert!(row.is_expired(WallTime(4_000_000)), "what comes late stays hidden");
    row.retire(Tick(22), TICK, 10, &Beside::NONE);
    assert!(!row.is_empty() && row.deadline().is_some());
    row.retire(Tick(23), TICK, 10, &Beside::NONE);
    assert!(row.retire(Tick(30), TICK, 10, &Beside::NONE) || row.is_empty());
}

/// What the mutation tests rely on: with each protection off, a value is wrong.
#[cfg(feature = "mutations")]
#[test]
fn without_a_protection_something_counts_twice_or_not_at_all() {
    use crate::mutation::{self, Mutation};
    let sum = |row: &Row| row.counter_sum_text(&Beside::NONE);
    let mut settled = counter(&[3]);
    settled.compact(Tick(3));

    mutation::switch_off(Some(Mutation::MergeKeepsSettledEntries));
    let mut twice = settled.clone();
    twice.merge(&counter(&[3]));
    assert_eq!(sum(&twice), "6");

    mutation::switch_off(Some(Mutation::BaselineNotSuperseded));
    let mut row = counter(&[3]);
    let whole = row.clone();
    row.reset(Dot { actor: actor(9), event: 1 }, at(2), &whole);
    row.compact(Tick(3));
    let whole = row.clone();
    row.reset(Dot { actor: actor(9), event: 2 }, at(3), &whole);
    assert_eq!(sum(&row), "-3");

    mutation::switch_off(Some(Mutation::ResetWithoutEntries));
    let mut row = counter(&[3]);
    let whole = row.clone();
    let delta = row.reset(Dot { actor: actor(9), event: 1 }, at(2), &whole);
    mutation::switch_off(None);
    let mut other = Row::default();
    other.merge(&delta);
    assert_eq!(sum(&other), "-3");
}
