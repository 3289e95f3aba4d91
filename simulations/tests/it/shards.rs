//! Whole shards in the hands of a scheduler lose nothing, count nothing twice, and settle.

use starling_sim::model::shards::instance;
use starling_sim::model::shards::search::{Seen, history, random, replay};

#[test]
fn random_histories_of_shards_lose_nothing_and_settle() {
    for world in instance::all() {
        let mut seen = Seen::default();
        let failure = random(&world, 25, 0, &mut seen);
        assert!(failure.is_none(), "{}", failure.map_or_else(String::new, |failure| failure.short()));
        assert!(seen.compactions > 0 && seen.folds > 0 && seen.restarts > 0 && seen.hints > 0, "{seen}");
    }
}

/// Seeds that once failed, or were once blamed without cause, with their instances.
const KEPT: [(&str, u64); 4] = [
    ("three owners and a fallback, counters", 58),
    ("three owners and a fallback, strings", 29),
    ("three owners and a fallback, collections", 354),
    ("owners come and go", 394),
];

#[test]
fn histories_that_once_failed_pass() {
    for (name, seed) in KEPT {
        let world = instance::all().into_iter().find(|world| world.name == name).expect(name);
        let failure = random(&world, 1, seed, &mut Seen::default());
        assert!(failure.is_none(), "{}", failure.map_or_else(String::new, |failure| failure.short()));
    }
}

#[test]
fn a_history_is_the_same_again_from_its_seed_and_steps() {
    let world = instance::counting();
    let (mut once, mut twice) = (Seen::default(), Seen::default());
    let (steps, found) = history(&world, 7, &mut once);
    assert_eq!(history(&world, 7, &mut twice), (steps.clone(), found.clone()));
    assert_eq!(once, twice);
    assert_eq!(replay(&world, 7, &steps), (steps, found));
}
