//! What operations cost the core: three shards in one thread, with everything but disks and sockets.
//!
//! Called by `starling-sim cost` (part of `make bench`). The shards take real turns, frames go through the codec, stores
//! are in memory; what RocksDB, QUIC and the switches between threads cost on top is `starling bench`'s to say.
//! Kinds of operations take turns round by round, so that other work on the machine weighs on all of them alike;
//! ratios are taken within a round, and the median is shown. Times are the thread's time on a processor.

#![allow(clippy::indexing_slicing, reason = "every index is a node, a key or a session that was made here")]

mod bus;
mod elements;
mod growth;
mod increments;
pub mod law;
mod layout;
mod placement;
mod trees;
mod values;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use bus::Bus;
pub use elements::elements;
pub use growth::{Grown, grow};
pub use increments::increments;
pub use layout::{NODES, Spread, layout};
pub use placement::{Placed, SIZES, Size, placement};
pub use trees::{Comparison, trees};
pub use values::values;

/// What one kind of operation cost, round by round.
#[derive(Clone, Debug)]
pub struct Cost {
    /// What was done.
    pub name: String,
    /// Time of one operation in each round.
    pub rounds: Vec<Duration>,
}

impl Cost {
    /// The median over the rounds.
    pub fn median(&self) -> Duration {
        let mut rounds = self.rounds.clone();
        rounds.sort();
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }

    /// The median of the ratios to another kind, round by round.
    pub fn ratio_to(&self, base: &Cost) -> f64 {
        let pairs = self.rounds.iter().zip(&base.rounds);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// The time of one of `count` operations that `work` does.
fn time_of(count: usize, work: impl FnOnce()) -> Duration {
    let start = on_processor();
    work();
    (on_processor() - start) / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

/// How long this thread has run, waiting for a processor left out.
fn on_processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("a thread has run for no less than nothing")
}
