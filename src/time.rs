//! Time as the core sees it: handed in, never read.
//!
//! [`Timestamp`] is monotonic and steers timers; [`WallTime`] may jump and only stamps values. Both come with every
//! input as a [`Now`]. [`Hlc`] is a hybrid logical clock reading (Kulkarni et al. 2014) and [`HybridClock`] makes them.
//! [`TimerQueue`] is the core's own timer table: a timer is keyed by what it means, so none can be stale.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Monotonic time of one process. Unit: microseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

/// Wall-clock time. Unit: microseconds since the Unix epoch. It can jump in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct WallTime(pub u64);

/// The time of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For timers and deadlines.
    pub mono: Timestamp,
    /// For stamps and expiry ticks.
    pub wall: WallTime,
}

/// A reading of the hybrid logical clock: wall time, and a count that orders readings within one microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Hlc {
    /// Unit: microseconds since the Unix epoch.
    pub wall: u64,
    /// Orders readings with equal wall time.
    pub logical: u32,
}

impl Timestamp {
    /// This time plus a span; stops at the end of time instead of wrapping.
    pub fn after(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(micros(span)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A span in whole microseconds, saturated.
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Hlc {
    /// The smallest reading that is larger than this one.
    pub fn next(self) -> Hlc {
        match self.logical.checked_add(1) {
            Some(logical) => Hlc { wall: self.wall, logical },
            None => Hlc { wall: self.wall.saturating_add(1), logical: 0 },
        }
    }
}

/// The hybrid logical clock of one shard: never behind the wall, never behind what it stamped or heard (within a bound).
#[derive(Clone, Copy, Debug, Default)]
pub struct HybridClock {
    last: Hlc,
}

impl HybridClock {
    /// The clock's present reading, which every message carries.
    pub fn reading(&self, wall: WallTime) -> Hlc {
        self.last.max(Hlc { wall: wall.0, logical: 0 })
    }

    /// Takes a peer's reading into account, unless it lies further ahead of the local wall than `ahead_max`:
    /// one broken clock must not pull the others along.
    pub fn observe(&mut self, peer: Hlc, wall: WallTime, ahead_max: Duration) {
        if peer.wall <= wall.0.saturating_add(micros(ahead_max)) {
            self.last = self.last.max(peer);
        }
    }

    /// A new stamp: larger than every stamp this clock gave, and than `seen`, the largest stamp on the row.
    pub fn stamp(&mut self, wall: WallTime, seen: Hlc) -> Hlc {
        let own = self.reading(wall).max(self.last.next());
        self.last = own;
        own.max(seen.next())
    }
}

/// Timers keyed by meaning: setting a key again moves it, and a key that was removed never fires.
#[derive(Debug)]
pub struct TimerQueue<K: Ord + Clone> {
    by_time: BTreeMap<(Timestamp, K), ()>,
    by_key: BTreeMap<K, Timestamp>,
}

impl<K: Ord + Clone> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue { by_time: BTreeMap::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> TimerQueue<K> {
    /// Sets or moves a timer.
    pub fn set(&mut self, key: K, at: Timestamp) {
        self.cancel(&key);
        self.by_time.insert((at, key.clone()), ());
        self.by_key.insert(key, at);
    }

    /// Removes a timer, if it is set.
    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// When a timer fires, if it is set.
    pub fn at(&self, key: &K) -> Option<Timestamp> {
        self.by_key.get(key).copied()
    }

    /// When the first timer fires.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.by_time.keys().next().map(|(at, _)| *at)
    }

    /// Takes the first timer that is due.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<K> {
        let (at, key) = self.by_time.keys().next()?.clone();
        if at > now {
            return None;
        }
        self.cancel(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_even_when_the_wall_goes_back() {
        let mut clock = HybridClock::default();
        let first = clock.stamp(WallTime(1_000), Hlc::default());
        let second = clock.stamp(WallTime(10), Hlc::default());
        assert!(second > first);
        assert!(clock.stamp(WallTime(10), Hlc::default()) > second);
    }

    #[test]
    fn a_stamp_beats_what_the_row_shows_without_pulling_the_clock_along() {
        let mut clock = HybridClock::default();
        let far = Hlc { wall: 9_000_000_000, logical: 4 };
        assert!(clock.stamp(WallTime(1_000), far) > far);
        assert!(clock.reading(WallTime(1_001)).wall < 2_000, "the row's far stamp stays the row's affair");
    }

    #[test]
    fn a_peer_too_far_ahead_is_not_followed() {
        let mut clock = HybridClock::default();
        clock.observe(Hlc { wall: 50_000_000, logical: 0 }, WallTime(0), Duration::from_secs(10));
        assert_eq!(clock.reading(WallTime(5)).wall, 5);
        clock.observe(Hlc { wall: 9_000_000, logical: 0 }, WallTime(0), Duration::from_secs(10));
        assert_eq!(clock.reading(WallTime(5)).wall, 9_000_000);
    }

    #[test]
    fn a_moved_timer_fires_once_and_a_cancelled_one_never() {
        let mut timers = TimerQueue::default();
        timers.set("ping", Timestamp(10));
        timers.set("ping", Timestamp(20));
        timers.set("read", Timestamp(15));
        timers.cancel(&"read");
        assert_eq!(timers.pop_due(Timestamp(15)), None);
        assert_eq!(timers.pop_due(Timestamp(20)), Some("ping"));
        assert_eq!(timers.next_deadline(), None);
    }
}
