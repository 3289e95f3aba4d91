//! Every protection of the core is missed by somebody when it is gone.

use starling::mutation::Mutation;
use starling_sim::mutants::hunt;

#[test]
fn every_mutation_is_noticed() {
    let survivors: Vec<Mutation> = Mutation::ALL.into_iter().filter(|protection| hunt(*protection).is_none()).collect();
    assert!(survivors.is_empty(), "nobody misses {survivors:?}");
}
