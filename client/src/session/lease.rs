//! The lease: the name of a session, and until when it may be used. Pure.
//!
//! ```text
//! opened                    fresh_until        ends (start of the expiry tick)
//!   ├── new events ──────────────┼── retries only ──┼── refused by the nodes
//! ```
//!
//! All times are the cluster's: a node told its clock when the session was opened, so a client with a wrong clock is
//! harmless as long as it runs at the right speed. Source: `R1` of the exactly-once rules (expiring actors).

use std::time::Duration;

use starling::causality::{ActorId, Epoch, Tenure, Tick};
use starling::message::client::SessionTerms;
use starling::time::{WallTime, micros};

/// No new event in the last part of a lease: a quarter of it, at most this much. It leaves time to retry, and room for
/// nodes whose clocks are ahead.
const MARGIN_MAX: Duration = Duration::from_secs(10);

/// A session's name, and its times on the cluster's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Who writes.
    pub(crate) actor: ActorId,
    /// No new event from here on.
    pub(crate) fresh_until: WallTime,
    /// The nodes refuse everything soon after this.
    pub(crate) ends: WallTime,
}

impl Lease {
    /// A lease of at least `wanted`, if the cluster allows so much, that begins when the terms were told. `random` makes
    /// the name unique.
    pub(crate) fn open(terms: &SessionTerms, wanted: Duration, random: u64) -> Lease {
        let tick = Duration::from_micros(terms.tick_us.max(1));
        let now = Tick::at(terms.wall, tick);
        let wished = Tick::at(WallTime(terms.wall.0.saturating_add(micros(wanted))), tick).0.saturating_add(1);
        // One tick less than the longest: to a node whose clock is behind, the end is further away.
        let longest = terms.lease_ticks_max.saturating_sub(1).max(1);
        let expires = Tick(wished.min(now.0.saturating_add(longest)));
        let ends = WallTime(u64::from(expires.0).saturating_mul(micros(tick)));
        let length = Duration::from_micros(ends.0.saturating_sub(terms.wall.0));
        let margin = (length / 4).min(MARGIN_MAX);
        Lease {
            actor: ActorId { expires, epoch: Epoch(random), tenure: Tenure::SESSION },
            fresh_until: WallTime(ends.0.saturating_sub(micros(margin))),
            ends,
        }
    }

    /// Whether a new event may be made.
    pub(crate) fn is_fresh(&self, now: WallTime) -> bool {
        now < self.fresh_until
    }

    /// Whether no node would take an event any more, even one whose clock is far behind: `grace` after the end.
    pub(crate) fn is_over(&self, now: WallTime, grace: Duration) -> bool {
        now.0 >= self.ends.0.saturating_add(micros(grace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(wall_s: u64, lease_ticks_max: u32) -> SessionTerms {
        SessionTerms { tick_us: 10_000_000, lease_ticks_max, wall: WallTime(wall_s * 1_000_000) }
    }

    #[test]
    fn a_lease_lasts_at_least_as_long_as_was_wanted() {
        for wall_s in 1_000..1_030 {
            let lease = Lease::open(&terms(wall_s, 360), Duration::from_secs(60), 7);
            let seconds = lease.ends.0 / 1_000_000 - wall_s;
            assert!((60..=70).contains(&seconds), "{seconds}");
            assert_eq!(u64::from(lease.actor.expires.0) * 10_000_000, lease.ends.0);
            assert_eq!(lease.ends.0 - lease.fresh_until.0, 10_000_000);
        }
    }

    #[test]
    fn a_lease_keeps_to_the_longest_that_the_cluster_allows() {
        let lease = Lease::open(&terms(1_004, 3), Duration::from_secs(60), 7);
        assert_eq!(lease.actor.expires, Tick(102));
        let lease = Lease::open(&terms(1_004, 0), Duration::from_secs(60), 7);
        assert_eq!(lease.actor.expires, Tick(101), "one tick at least");
        assert!(lease.is_fresh(WallTime(1_004_000_000)) && !lease.is_fresh(WallTime(1_009_000_000)));
    }

    #[test]
    fn a_lease_is_over_only_after_the_grace() {
        let lease = Lease::open(&terms(1_000, 360), Duration::from_secs(10), 7);
        let at = |after_s: u64| WallTime(lease.ends.0 + after_s * 1_000_000);
        assert!(!lease.is_over(at(29), Duration::from_secs(30)) && lease.is_over(at(30), Duration::from_secs(30)));
    }

    #[test]
    fn times_at_the_end_of_time_do_not_overflow() {
        let terms = SessionTerms { tick_us: 0, lease_ticks_max: u32::MAX, wall: WallTime(u64::MAX) };
        let lease = Lease::open(&terms, Duration::MAX, 7);
        assert!(lease.is_over(WallTime(u64::MAX), Duration::MAX));
    }
}
