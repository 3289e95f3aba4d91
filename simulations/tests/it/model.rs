//! The rules of forgetting hold in a short search, on the specification and on the store's own rows, and are missed.

use starling_sim::model::machine::rules::{Rule, Rules};
use starling_sim::model::machine::search::Seen;
use starling_sim::model::machine::world::Instance;
use starling_sim::model::{Family, Row, instances, traces};

#[test]
fn random_histories_of_the_specification_lose_nothing_and_settle() {
    let mut seen = Seen::default();
    assert_eq!(instances::large(1).random::<Row>(40, 150, 0, &mut seen), None);
    assert_eq!(instances::forgetful(2).random::<Row>(40, 150, 0, &mut seen), None);
    assert!(seen.compactions > 0 && seen.folds > 0 && seen.retired > 0 && seen.faults > 0, "{seen}");
}

#[test]
fn random_histories_of_the_stores_rows_lose_nothing_and_settle() {
    let mut seen = Seen::default();
    let large = instances::without_observed(&instances::large(1));
    assert_eq!(large.random::<Family>(40, 150, 0, &mut seen), None);
    let forgetful = instances::without_observed(&instances::forgetful(2));
    assert_eq!(forgetful.random::<Family>(40, 150, 0, &mut seen), None);
    assert!(seen.compactions > 0 && seen.folds > 0 && seen.hints > 0 && seen.faults > 0, "{seen}");
}

#[test]
fn every_interleaving_of_small_worlds_is_right() {
    for world in instances::complete().into_iter().filter(|world| SHORT.contains(&world.name)) {
        let mut seen = Seen::default();
        assert_eq!(world.complete::<Row>(100_000, &mut seen), Ok(true), "{}", world.name);
    }
}

/// The worlds whose complete search takes seconds.
const SHORT: [&str; 3] = [
    "2 owners and a fallback, 1 session",
    "2 owners, 1 untagged increment, 1 crash with a lost tail",
    "2 owners, 1 session, 1 wipe, an exchange in flight",
];

#[test]
fn a_rule_that_is_off_is_missed() {
    let soon = [Rule::Seal, Rule::AllSealed, Rule::Freeze, Rule::DropSettled, Rule::FullSupersedes, Rule::NewbornWaits];
    for rule in soon {
        let world = Instance { rules: Rules::ALL.without(rule), ..instances::large(1) };
        let found = world.random::<Row>(300, 150, 0, &mut Seen::default());
        assert!(found.is_some(), "nobody misses {rule:?}");
    }
}

#[test]
fn what_a_rule_prevents_happens_without_it_and_not_with_it() {
    for trace in traces::all() {
        let whole = trace.world.replay::<Row>(&trace.steps, false);
        assert_eq!(whole, None, "with all rules, {:?} among them", trace.rules);
        let without = trace.without().replay::<Row>(&trace.steps, false);
        assert!(without.is_some(), "nobody misses {:?}", trace.rules);
    }
}
