//! The rules by which things are forgotten: an executable specification, and the store's own rows in the same machine.
//!
//! ```text
//!              ┌─ spec   a counter, dots and a register, as small as the rules allow
//! machine ─────┤
//!              └─ real   starling::value's rows: families, session rows, encoded bytes
//! ```
//!
//! `README.md` beside this file has the rules, what is searched, and the counterexamples that shaped them.
//! `starling-sim model --help` runs the searches; the tests run a short part of each.

pub mod instances;
pub mod machine;
mod real;
pub mod shards;
mod spec;
pub mod traces;

pub use real::Family;
pub use spec::Row;
