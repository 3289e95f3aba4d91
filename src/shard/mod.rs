//! The shard (front page follows).
mod input;
pub mod observation;
pub use input::{DebtPage, Effect, Input, Job, JobResult};
pub use observation::Observation;
