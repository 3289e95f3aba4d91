//! Stories, seeds and mutants, from outside.

mod model;
#[cfg(feature = "mutations")]
mod mutants;
mod same_seed;
mod scenarios;
mod shards;
mod swarms;
