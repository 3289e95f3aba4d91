//! Every protection of the core is missed by somebody when it is gone.

use starling::mutation::Mutation;
use starling_sim::mutants::{false_alarm, hunt, hunted};

#[test]
fn nobody_complains_while_every_protection_is_on() {
    assert_eq!(false_alarm(), None);
}

#[test]
fn every_mutation_is_noticed() {
    let survivors: Vec<Mutation> = hunted().filter(|protection| hunt(*protection).is_none()).collect();
    assert!(survivors.is_empty(), "nobody misses {survivors:?}");
}
