//! What checkers and models look at: parts of a row that no client is shown.

use bytes::Bytes;

use super::Row;
use super::counter::Totals;
use super::others::Others;
use super::register::Stamp;
use crate::causality::{ActorId, Context, Dot};
use crate::time::WallTime;

impl Row {
    /// What the counter holds: the settled sum and every entry.
    pub fn counted_parts(&self) -> impl Iterator<Item = Totals> + '_ {
        let sum = self.string.counter.settled().sum;
        std::iter::once(Totals { p: sum.p, n: sum.n }).chain(self.string.counter.entries.iter().map(|it| it.content))
    }

    /// What resets took from it: the covered sum and every baseline.
    pub fn covered_parts(&self) -> impl Iterator<Item = Totals> + '_ {
        let sum = self.string.counter.covered().sum;
        std::iter::once(Totals { p: sum.p, n: sum.n }).chain(self.string.counter.baselines.iter().map(|it| it.content))
    }

    /// The actors whose events stand in the counter by themselves, each with its last one.
    pub fn counted_by(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.string.counter.entries.dots()
    }

    /// The actors of whose events resets have seen some, each with the last one.
    pub fn covered_by(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.string.counter.baselines.dots()
    }

    /// The register's last write: when, and what; no value is a deletion.
    pub fn register_write(&self) -> Option<(&Stamp, Option<&Bytes>)> {
        let register = &self.string.register;
        register.stamp().map(|stamp| (stamp, register.value()))
    }

    /// The siblings, in the order of their dots.
    pub fn sibling_values(&self) -> impl Iterator<Item = &Bytes> {
        let live = self.others.as_deref().map_or(&[][..], |others| others.siblings.live());
        live.iter().map(|(_, value)| value)
    }

    /// The last write of the deadline: when, and what; no deadline says that the key stays.
    pub fn deadline_write(&self) -> Option<(&Stamp, Option<WallTime>)> {
        let expiry = &self.others.as_deref()?.expiry;
        expiry.stamp().map(|stamp| (stamp, expiry.deadline()))
    }

    /// Of siblings, flag, presence and score: the dots that stand, and what was seen.
    pub fn dotted_parts(&self) -> [(Vec<Dot>, Context); 4] {
        let nothing = Others::default();
        let others = self.others.as_deref().unwrap_or(&nothing);
        [
            (others.siblings.live().iter().map(|(dot, _)| *dot).collect(), others.siblings.context().clone()),
            (others.flag.live().iter().map(|(dot, ())| *dot).collect(), others.flag.context().clone()),
            (others.presence.live().iter().map(|(dot, ())| *dot).collect(), others.presence.context().clone()),
            (others.scored.live().iter().map(|(dot, _)| *dot).collect(), others.scored.context().clone()),
        ]
    }
}
