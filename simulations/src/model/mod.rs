//! The rules of forgetting, as an executable specification, and the store's own values under the same searches.
pub mod machine;
pub mod real;
pub mod spec;
