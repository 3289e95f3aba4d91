//! The process's clock, read once per input and handed to the core.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use starling::time::{Now, Timestamp, WallTime, micros};

/// Monotonic time since the process began to count, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The present.
    pub fn now(&self) -> Now {
        Now { mono: Timestamp(micros(self.start.elapsed())), wall: wall() }
    }

    /// How long until a deadline; zero if it has passed.
    pub fn until(&self, deadline: Timestamp) -> Duration {
        deadline.since(Timestamp(micros(self.start.elapsed())))
    }
}

/// What the wall clock shows.
pub fn wall() -> WallTime {
    WallTime(micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}
