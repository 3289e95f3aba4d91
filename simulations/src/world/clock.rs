//! The clocks of a node: a monotonic one that starts anywhere at each start, and a wall clock that is wrong.

use std::time::Duration;

use starling::time::{Now, Timestamp, WallTime};

/// Wall time of the world's start. Unit: microseconds since the Unix epoch.
pub const WORLD_START: u64 = 1_700_000_000_000_000;

/// How one node sees time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeClock {
    /// Monotonic time shown at the world's start. Unit: microseconds.
    mono_base: u64,
    /// How far the wall clock is off. Unit: microseconds.
    wall_offset: i64,
    /// How much faster than true time the wall clock runs. Unit: microseconds per second.
    drift_ppm: i64,
}

impl NodeClock {
    /// A clock that is off by `wall_offset` microseconds and drifts.
    pub fn new(wall_offset: i64, drift_ppm: i64) -> NodeClock {
        NodeClock { mono_base: 0, wall_offset, drift_ppm }
    }

    /// A new start: monotonic time goes on from somewhere else.
    pub fn restart(&mut self, mono_base: u64) {
        self.mono_base = mono_base;
    }

    /// The wall clock jumps.
    pub fn jump(&mut self, by_micros: i64) {
        self.wall_offset = self.wall_offset.saturating_add(by_micros);
    }

    /// The wall clock is set right (to within nothing).
    pub fn correct(&mut self) {
        self.wall_offset = 0;
        self.drift_ppm = 0;
    }

    /// What the node reads at a moment of the world.
    pub fn now(&self, world: Timestamp) -> Now {
        let drift = i64::try_from(world.0 / 1_000_000).unwrap_or(i64::MAX).saturating_mul(self.drift_ppm);
        let off = self.wall_offset.saturating_add(drift);
        Now {
            mono: Timestamp(world.0.saturating_add(self.mono_base)),
            wall: WallTime(WORLD_START.saturating_add(world.0).saturating_add_signed(off)),
        }
    }

    /// The moment of the world at which the node's monotonic clock shows `mono`.
    pub fn world_time(&self, mono: Timestamp) -> Timestamp {
        Timestamp(mono.0.saturating_sub(self.mono_base))
    }

    /// How far the wall clock is off at a moment.
    pub fn skew(&self, world: Timestamp) -> Duration {
        let wall = self.now(world).wall.0;
        Duration::from_micros(wall.abs_diff(WORLD_START.saturating_add(world.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_is_its_own_affair_and_can_be_turned_back_into_the_worlds() {
        let mut clock = NodeClock::new(-5_000_000, 100);
        clock.restart(77);
        let now = clock.now(Timestamp(10_000_000));
        assert_eq!(now.mono, Timestamp(10_000_077));
        assert_eq!(clock.world_time(now.mono), Timestamp(10_000_000));
        assert_eq!(clock.skew(Timestamp(10_000_000)), Duration::from_micros(4_999_000));
    }
}
