//! Every protection of the core is missed by somebody when it is gone.

use starling::mutation::Mutation;
use starling_sim::mutants::{BY_SHARDS, false_alarm, hunt, hunt_in_shards, hunted};

#[test]
fn nobody_complains_while_every_protection_is_on() {
    assert_eq!(false_alarm(), None);
}

#[test]
fn every_mutation_is_noticed() {
    let survivors: Vec<Mutation> = hunted().filter(|protection| hunt(*protection).is_none()).collect();
    assert!(survivors.is_empty(), "nobody misses {survivors:?}");
}

#[test]
fn histories_of_shards_miss_what_settling_rests_on() {
    let survivors: Vec<Mutation> =
        BY_SHARDS.into_iter().filter(|protection| hunt_in_shards(*protection).is_none()).collect();
    assert!(survivors.is_empty(), "no history of shards misses {survivors:?}");
}
