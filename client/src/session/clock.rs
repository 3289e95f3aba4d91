//! The cluster's clock, as a client sees it that was told it once.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use starling::time::{WallTime, micros};

/// The cluster's clock as this process sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClusterClock {
    told: WallTime,
    at: Instant,
    /// What the clock of this machine showed then.
    own: WallTime,
}

impl ClusterClock {
    /// What a node told just now.
    pub(super) fn told(told: WallTime) -> ClusterClock {
        ClusterClock { told, at: Instant::now(), own: own_wall() }
    }

    /// The later of two guesses: the monotonic clock stands still while a machine sleeps, the wall clock may be set.
    pub(super) fn now(&self) -> WallTime {
        let slept = own_wall().0.saturating_sub(self.own.0);
        WallTime(self.told.0.saturating_add(micros(self.at.elapsed()).max(slept)))
    }

    /// The cluster's clock minus the own one. Unit: microseconds.
    pub(super) fn ahead_us(&self) -> i64 {
        i64::try_from(i128::from(self.told.0) - i128::from(self.own.0)).unwrap_or(0)
    }

    /// What the own clock and [`ClusterClock::ahead_us`] of an earlier process tell.
    pub(super) fn from_ahead(ahead_us: i64) -> ClusterClock {
        let own = own_wall();
        ClusterClock { told: WallTime(own.0.saturating_add_signed(ahead_us)), at: Instant::now(), own }
    }
}

fn own_wall() -> WallTime {
    WallTime(micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}
